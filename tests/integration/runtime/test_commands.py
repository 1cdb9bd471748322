"""Commands: the same settings as the pages, JSON on standard output, exit codes for cron and CI."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from core.documents import export
from core.jobs import supervision
from core.platform import code_snippets, messages, steps, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.runtime import command_options, commands
from tests.conftest import copy_home

Run = Callable[..., tuple[int, dict]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(commands.signal, "signal", lambda *_: None)

    def call(settings: Settings, *words: str) -> tuple[int, dict]:
        code = commands.main([*words, "--home", str(settings.home), "--quiet"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out.startswith("{") else {}

    return call


def test_prepare_as_a_separate_program(acquired_few: Settings, tmp_path: Path) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "core", "prepare", "--test-share", "0.25", "--seed", "7"],
        env={**os.environ, "COURTSIDE_HOME": str(settings.home)},
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["status"], report["run"]) == ("done", "PreparacaoDados")
    recorded = tracking.run(settings, report["run_id"])
    assert recorded is not None
    assert report["metrics"] == dict(recorded.metrics)
    assert report["links"]["run"].endswith(f"/runs?run={recorded.run_id}")
    assert (recorded.params["test_share"], recorded.params["seed"]) == ("0.25", "7")
    assert "%" in done.stderr  # its progress


def test_a_step_that_is_refused_says_why_and_marks_its_run(settings: Settings, run: Run) -> None:
    code, report = run(settings, "train")
    assert (code, report["status"]) == (1, "refused")
    assert "No prepared data yet" in report["error"]
    last = tracking.last_run(settings, "train", status=None)
    assert last is not None
    assert (last.status, last.run_id) == ("FAILED", report["run_id"])


@pytest.mark.parametrize(
    "words",
    [
        ["trian"],
        ["prepare", "--test-share", "1.5"],
        ["prepare", "--tset-share", "0.2"],
        ["prepare", "--rows", "{not json"],
        ["prepare", "--split", "sideways"],
        ["lifecycle", "--data", "elsewhere"],
        ["documents"],
        ["reset"],
        [],
    ],
    ids=" ".join,
)
def test_invalid_arguments_do_nothing(
    words: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in settings.home.iterdir())
    assert commands.main([*words, *(["--home", str(settings.home)] if words else [])]) == 2
    assert "python -m core" in capsys.readouterr().err or not words
    assert sorted(path.name for path in settings.home.iterdir()) == before


def test_interrupted_leaves_a_failed_run(
    acquired_few: Settings, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("core.data.prepare.storage.staged", interrupt)
    code, report = run(settings, "prepare")
    assert (code, report["status"]) == (130, "interrupted")
    last = tracking.last_run(settings, "prepare", status=None)
    assert last is not None
    assert (last.run_id, last.status in ("FAILED", "KILLED")) == (report["run_id"], True)


def test_a_file_is_acquired_as_an_upload_is(settings: Settings, few_file: Path, run: Run) -> None:
    code, report = run(settings, "acquire", "--source", "upload", "--uploads", str(few_file))
    assert (code, report["metrics"]["rows_raw"]) == (0, 800)
    code, report = run(settings, "acquire", "--source", "upload", "--uploads", "/nowhere.csv")
    assert (code, report["error"]) == (1, "'/nowhere.csv' does not exist.")


def test_status_and_documents(
    trained_few: Settings, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the zip has its own tests
    monkeypatch.setattr(export, "bundle", create_autospec(export.bundle, return_value=b"zip"))
    settings = copy_home(trained_few, tmp_path / "home")
    code, report = run(settings, "status")
    assert (code, report["champion"], report["served"]) == (0, "1", [])
    assert report["prepared"] == storage.current_prepared(settings).run_id
    code, report = run(settings, "documents", "--out", str(tmp_path / "all.zip"))
    assert (code, (tmp_path / "all.zip").stat().st_size) == (0, report["bytes"])
    assert "project_charter" in report["documents"]


def test_reset_is_refused_while_the_app_is_open(
    acquired_few: Settings, tmp_path: Path, run: Run
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    supervision.beat(settings)
    code, report = run(settings, "reset", "--yes")
    assert (code, "The app is open" in report["error"]) == (1, True)


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from core.runtime import commands; commands.main(['prepare', '--help']); "
        "print([name for name in ('mlflow', 'pycaret') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--test-share" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


# options that a page may have used, by step
CHOICES = {
    "acquire": {"source": "folder", "files": ["a b.csv", "c.csv"]},
    "prepare": {
        "features": ["lat", "lon"],
        "rows": {"season": ["2000-01"]},
        "missing": "impute",
        "split": "time",
        "test_from": "2010-01-01",
    },
    "train": {
        "candidates": ["lr", "dt"],
        "params": {"lr": {"C": 0.5}},
        "blend": True,
        "folds": 3,
        "calibrate": "sigmoid",
        "budget_seconds": 60,
    },
    "promote": {"action": "override", "reason": 'it\'s "better" for us, surely', "threshold": 0.4},
    "explain": {"target": "champion", "rows": 100, "row": {"lat": 33.9, "lon": None}},
    "serve": {"target": "challenger", "port": 5009, "shadow": True},
    "score": {"source": "path", "path": "/data/a b.parquet", "way": "in_process", "keep": "file"},
    "monitor": {
        "window": "log",
        "last": 500,
        "where": {"season": ["2000-01"]},
        "limits": {"roc_auc": {"alert_low": 0.5}},
    },
    "retrain": {"reason": "the rows changed a lot", "decided_by": "me", "recipe": "free"},
    "replay": {
        "train_windows": 4,
        "policies": [{"strategy": "reactive", "k": 1, "n": 2}],
        "speed": 5.0,
    },
}


@pytest.mark.parametrize("step", CHOICES)
def test_the_command_that_a_page_shows_means_the_same_options(
    step: str, settings: Settings
) -> None:
    options = steps.module(step).Options
    expected = options(**CHOICES[step])
    changed = expected.model_dump(mode="json", exclude_defaults=True)
    words = shlex.split(code_snippets.command(step, changed, {"home": "/srv/a b"}))
    assert words[:5] == ["COURTSIDE_HOME=/srv/a b", "python", "-m", "core", step]
    parsed = commands._parser(step).parse_args(words[5:])
    assert command_options.chosen(step, parsed, settings) == expected
    # and so does the Python code, evaluated without running the step
    names = {"Options": options}
    code = code_snippets.python(step, changed, {"home": "/srv/a b"})
    call = code[code.index(f"{step}.Options(") + len(step) + 1 :].removesuffix("))")
    assert eval(call, {"__builtins__": {}}, names) == expected


def test_the_command_of_an_upload_reads_the_file_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my answers.csv").write_text("shot_id,label\n1,0\n")
    content = (tmp_path / "my answers.csv").read_bytes()
    staged = storage.stage_upload(settings, "my answers.csv", content)
    monkeypatch.chdir(tmp_path)
    line = code_snippets.command("label", {"upload": staged.model_dump()}, {})
    parsed = commands._parser("label").parse_args(shlex.split(line)[4:])
    assert command_options.chosen("label", parsed, settings).upload == staged


@pytest.mark.parametrize("name", [None, *commands.OTHERS])
def test_help_is_in_the_language_of_the_settings(
    name: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    for language, usage in (("en", "usage: "), ("pt", "uso: ")):
        monkeypatch.setenv("COURTSIDE_LANGUAGE", language)
        assert commands.main([name, "--help"] if name else ["--help"]) == commands.DONE
        text = capsys.readouterr().out
        assert text.startswith(usage)
        with messages.speaking(language):
            about = str(commands.OTHERS[name or "new"])
            assert about[1:] in text
            assert str(commands.CODES) in text
    monkeypatch.setenv("COURTSIDE_LANGUAGE", "xx")
    assert commands.main(["--help"]) == commands.DONE


def test_the_document_has_an_example_of_every_command() -> None:
    text = (CODE_ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in (*commands.STEPS, *commands.OTHERS):
        assert f"python -m core {name} " in text or f"python -m core {name}`" in text, name


@pytest.mark.parametrize("words", [["lat"], ["=3"], ["{"], ["lat=1", "{}"]], ids=" ".join)
def test_an_invalid_mapping_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        command_options._mapping(words)


def test_the_python_of_a_page_runs_unchanged(
    acquired_few: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    exec(code_snippets.python("prepare", {"test_share": 0.3}, {"home": str(settings.home)}), {})
    last = tracking.last_run(settings, "prepare")
    assert last is not None
    assert last.run_id in capsys.readouterr().out
    assert last.params["test_share"] == "0.3"
