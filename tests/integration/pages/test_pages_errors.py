"""What pages say when something is wrong: a sentence, never a traceback."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import NotReadyError
from core.serving import server_process

PAGES = (
    "overview",
    "data?view=source",
    "data?view=explore",
    "data?view=prepare",
    "train",
    "train?view=explain",
    "registry",
    "serve",
    "score",
    "monitor",
    "runs",
)
GARBAGE = b"this is no database at all" * 400


@pytest.mark.parametrize("page", PAGES)
def test_an_unknown_setting_is_reported_with_the_likely_one(
    page: str,
    settings: Settings,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Settings, "environment", lambda self: {"COURTSIDE_WORKER": "1"})
    app = open_page(settings, page)
    assert not app.exception
    (error,) = app.error
    assert "'COURTSIDE_WORKER' does not exist" in error.value
    assert "COURTSIDE_WORKERS" in error.value
    assert not app.title


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("COURTSIDE_WORKERS", "99", "COURTSIDE_WORKERS: input should be less than or equal to 16"),
        ("COURTSIDE_SERVE_PORT", "http", "COURTSIDE_SERVE_PORT: input should be a valid integer"),
        ("COURTSIDE_PROJECT", "curling", "curling"),
        ("COURTSIDE_PROJECT", "../kobe", "COURTSIDE_PROJECT: "),
    ],
)
def test_a_setting_with_an_invalid_value_is_reported(
    name: str,
    value: str,
    words: str,
    settings: Settings,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {**settings.environment(), name: value}
    monkeypatch.setattr(Settings, "environment", lambda self: variables)
    app = open_page(settings, "overview")
    assert not app.exception
    assert words in app.error[0].value
    assert not app.title


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_mlflow_store_is_reported(
    page: str, copied, open_page: Callable[..., AppTest]
) -> None:
    (copied.settings.home / "mlflow.db").write_bytes(GARBAGE)
    app = open_page(copied.settings, page, warm=False)
    assert not app.exception
    assert any("mlflow.db is damaged" in error.value for error in app.error)


@pytest.mark.parametrize(
    "page", ["overview", "data?view=source", "data?view=prepare", "serve", "runs"]
)
def test_an_mlflow_store_that_breaks_while_the_app_runs_is_reported(
    page: str, copied, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(copied.settings, page)
    (copied.settings.home / "mlflow.db").write_bytes(GARBAGE)
    app.run()
    assert not app.exception
    assert any("mlflow.db is damaged" in error.value for error in app.error)


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_job_table_is_reported(
    page: str, copied, open_page: Callable[..., AppTest]
) -> None:
    (copied.settings.state_dir / "state.db").write_bytes(GARBAGE)
    app = open_page(copied.settings, page)
    assert not app.exception
    assert any("state.db is damaged" in error.value for error in app.error)


@pytest.mark.parametrize("page", ["overview", "score", "monitor"])
def test_a_damaged_predictions_log_is_reported(
    page: str, copied, open_page: Callable[..., AppTest]
) -> None:
    for path in copied.settings.state_dir.glob("predictions.db*"):
        path.write_bytes(GARBAGE)
    app = open_page(copied.settings, page)
    assert not app.exception
    if page == "monitor":  # the last report is in its run; a new one reads the log
        app = app.button(key="open-new-menu").click().run()
        assert not app.exception
    if page != "score":  # the last scoring is in its run
        assert any("predictions.db is damaged" in error.value for error in app.error)


def test_stopping_a_server_that_was_stopped_elsewhere_reports_it(
    copied, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(settings: Settings, port: int) -> None:
        raise NotReadyError(f"No model is served on port {port}. It may be stopped already.")

    app = open_page(copied.settings, "serve")
    monkeypatch.setattr(server_process, "stop", gone)
    app.button(key=f"stop-{copied.port}").click().run()
    assert not app.exception
    assert any("It may be stopped already." in error.value for error in app.error)


def test_score_without_raw_data_says_where_to_get_it(
    copied, open_page: Callable[..., AppTest]
) -> None:
    (copied.settings.data_dir / "01_raw" / "current.json").unlink()
    app = open_page(copied.settings, "score", view="rows")
    assert not app.exception
    assert any("No raw data yet. Acquire it first." in info.value for info in app.info)
    assert not [button for button in app.button if button.label == "Score"]


def test_no_page_imports_a_slow_library_when_it_starts() -> None:
    imports = []
    for path in [CODE_ROOT / "app.py", *sorted((CODE_ROOT / "pages").rglob("*.py"))]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom) and "__future__" not in ast.unparse(
                node
            ):
                imports.append(ast.unparse(node))
    assert any(line.startswith("from pages.shared import") for line in imports)
    steps_of = [line for line in imports if line.startswith("from core.data import")]
    assert any("prepare" in line for line in steps_of)
    imports.append("import sys")
    imports.append("from core.platform import steps as table")
    imports.append("[table.module(name) for name in table.RUN_NAMES]")
    imports.append(
        "print([n for n in ('pycaret', 'mlflow', 'sklearn', 'lightgbm') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(imports)],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
