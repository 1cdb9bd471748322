"""The recipes of docs/commands.md run as they are on the page."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from core.data import snapshots
from core.platform import model_store
from core.platform.config import CODE_ROOT, Settings
from core.platform.project import load
from core.runtime import command_options, commands
from tests.conftest import WITH_LONG, copy_home

pytestmark = pytest.mark.long

PAGE = (CODE_ROOT / "docs" / "commands.md").read_text("utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL)
# steps that a shared home has behind it
DONE_BEFORE = ("acquire", "prepare", "train")


def block(heading: str) -> str:
    after = PAGE[PAGE.index(f"\n## {heading}\n") :]
    match = re.search(r"```\n(.*?)```", after, flags=re.DOTALL)
    assert match is not None
    return match[1]


def shell(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a CI service does, with the tests' own Python as `python`."""
    bin_ = cwd / "bin"
    bin_.mkdir(exist_ok=True)
    if not (bin_ / "python").exists():
        (bin_ / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (bin_ / "python").chmod(0o755)
    environ = {
        "PATH": f"{bin_}:/usr/bin:/bin",
        "HOME": str(cwd),
        "PYTHONPATH": str(CODE_ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def test_every_block_of_the_page_is_tried() -> None:
    headings = ("What it says, and how it ends", "From cron", "In CI")
    assert [block(heading) for heading in headings] == BLOCKS


def test_the_first_example_gives_the_output_it_shows(
    acquired_few: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    command, _, shown = block("What it says, and how it ends").partition("\n")
    words = shlex.split(command)
    assert words[:4] == ["$", "python", "-m", "core"]
    # in this process, where the libraries are loaded already
    monkeypatch.setattr(commands.signal, "signal", lambda *_: None)
    assert commands.main([*words[4:], "--home", str(settings.home)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    output = json.loads(captured.out)
    result = re.search(r'"result": \{(.*?)\}', shown)
    assert result is not None
    assert list(output["result"]) == re.findall(r'"(\w+)":', result[1])
    wanted = re.findall(r'"(\w+)":', re.sub(r"(?<=: )\{.*?\}", "", shown))
    assert list(output) == wanted


def test_what_cron_runs_scores_and_monitors(trained_few: Settings, tmp_path: Path) -> None:
    settings = copy_home(trained_few, tmp_path / "home")
    spec = load(settings.project)
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    rows = snapshots.Archive.of(settings).read(snapshot, spec.columns)
    today = rows[rows[spec.rows.column] == spec.rows.production]
    today.drop(columns=spec.target).to_parquet(tmp_path / "today.parquet", index=False)
    replacements = {
        "/srv/courtside/code": CODE_ROOT,
        "/srv/courtside/home": settings.home,
        "/srv/courtside/venv/bin/python": sys.executable,
        "/srv/today.parquet": tmp_path / "today.parquet",
        "/var/log/courtside.jsonl": tmp_path / "courtside.jsonl",
    }
    lines = [line for line in block("From cron").splitlines() if not line.startswith("#")]
    for line in lines:
        timing = re.match(r"((?:[\d*/,-]+ ){5})", line)
        assert timing is not None, line
        command = line[len(timing[1]) :]
        for named, own in replacements.items():
            command = command.replace(named, str(own))
        assert not re.search(r"(?<!\w)/(srv|var)/", command)
        # cron has a terminal no more than it has a folder
        done = shell(command, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in (tmp_path / "courtside.jsonl").read_text().splitlines()]
    assert [(line_of_log["command"], line_of_log["status"]) for line_of_log in answers] == [
        ("score", "done"),
        ("monitor", "done"),
    ]
    assert answers[0]["result"]["rows"] == len(today)
    assert answers[1]["verdict"]


def test_what_ci_runs_ends_well(trained_few: Settings, tmp_path: Path) -> None:
    script = block("In CI")
    if not WITH_LONG:
        # these commands are only parsed: their results are in the home already
        copy_home(trained_few, tmp_path / "home")
        remaining = []
        for line in script.splitlines():
            words = shlex.split(line)
            if words[:3] == ["python", "-m", "core"] and words[3] in DONE_BEFORE:
                arguments = commands._parser(words[3]).parse_args(words[4:])
                command_options.chosen(words[3], arguments, trained_few)
            else:
                remaining.append(line)
        assert len(script.splitlines()) - len(remaining) == len(DONE_BEFORE)
        script = "\n".join(remaining)
    done = shell(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    gate = json.loads((tmp_path / "gate.json").read_text())
    assert (gate["status"], gate["result"]["decision"]) == ("done", "unchanged")
    assert (tmp_path / "dossier.zip").read_bytes()[:2] == b"PK"
    settings = Settings(home=tmp_path / "home")
    champion = model_store.find_version(
        settings, load(settings.project).model, model_store.CHAMPION
    )
    assert champion is not None
    assert champion.version == "1"


def test_a_refusal_stops_what_ci_runs(tmp_path: Path) -> None:
    (line,) = (
        candidate for candidate in block("In CI").splitlines() if candidate.startswith("python -c")
    )
    for decision, code in (("refuse", 1), ("hold", 0), ("promote", 0), ("unchanged", 0)):
        (tmp_path / "gate.json").write_text(json.dumps({"result": {"decision": decision}}))
        assert shell(line, tmp_path).returncode == code


@pytest.mark.parametrize("line", re.findall(r"`(python -m core \w+ --[^`]+)`", PAGE))
def test_an_example_in_a_table_is_valid(line: str) -> None:
    words = shlex.split(line)[3:]
    if words[1:] != ["--help"]:
        commands._parser(words[0]).parse_args(words[1:])
