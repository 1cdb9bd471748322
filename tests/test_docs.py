"""What the documents say about the code is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.adapters import tracking
from core.config import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_tells_every_setting_and_no_other() -> None:
    told = set(re.findall(r"^\| `([A-Z_]+)`", README, flags=re.MULTILINE))
    there = {PREFIX + name.upper() for name in Settings.model_fields if name != "tracking_uri"}
    assert told == there | {"MLFLOW_TRACKING_URI"}


def test_the_readme_names_the_run_of_every_step() -> None:
    told = dict(re.findall(r"^\| (\w+) \| `(\w+)`", README, flags=re.MULTILINE))
    assert told == tracking.RUN_NAMES


def test_the_readmes_python_runs_as_it_stands(
    tmp_path: Path, store_template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert code is not None
    (tmp_path / "mlflow.db").write_bytes(store_template.read_bytes())
    assert code[1].count("/tmp/courtside") == 1
    exec(code[1].replace("/tmp/courtside", tmp_path.as_posix()), {})
    assert "rows_train=16228, rows_test=4057" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data" / "README.md"],
    ids=lambda path: path.name,
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_direct_dependency_is_pinned() -> None:
    direct = re.findall(
        r"^([a-zA-Z0-9_-]+)", (ROOT / "requirements.in").read_text("utf-8"), flags=re.MULTILINE
    )
    pinned = (ROOT / "requirements.txt").read_text("utf-8")
    for name in direct:
        assert re.search(rf"^{name.lower()}==\S+", pinned, flags=re.MULTILINE), name
    assert "://" not in pinned
    assert "/" not in re.sub(r"^#.*$", "", pinned, flags=re.MULTILINE)
