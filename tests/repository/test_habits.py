"""The recipes of the justfile, the checks of a commit, and how the pins are refreshed."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from benchmarks import all as benchmarks
from core.platform.config import CODE_ROOT

JUSTFILE = (CODE_ROOT / "justfile").read_text("utf-8")
WORDS = {
    "setup",
    "app",
    "test",
    "quick",
    "lint",
    "types",
    "format",
    "screenshots",
    "dossier",
    "refresh",
    "audit",
    "bench",
    "clean",
}


def script(name: str) -> ModuleType:
    """Return a script of .ci, which is no package."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", CODE_ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look here
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# --- justfile -----------------------------------------------------------------------------------


def recipes() -> dict[str, list[str]]:
    """Return the commands of each recipe."""
    recipe_commands: dict[str, list[str]] = {}
    for line in JUSTFILE.splitlines():
        if head := re.match(r"([a-z][\w-]*)( [^:=]*(=\"\w+\")?[^:=]*)?:(?!=)", line):
            recipe_commands[head[1]] = []
        elif line.startswith("    "):
            recipe_commands[list(recipe_commands)[-1]].append(line.strip())
    return recipe_commands


def test_every_word_is_a_recipe() -> None:
    assert recipes().keys() >= WORDS


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_names_what_exists(name: str) -> None:
    requirements = (CODE_ROOT / "requirements.in").read_text("utf-8")
    for command in recipes()[name]:
        if command.startswith("@just"):
            continue
        assert command.startswith("{{run}} "), command
        program, *arguments = [
            part for part in shlex.split(command.removeprefix("{{run}} ")) if part != "{{options}}"
        ]
        if program == "python" and arguments[0] == "-m":
            module_path = Path(*arguments[1].split("."))
            places = [module_path.with_suffix(".py"), module_path / "__main__.py"]
            if "{{name}}" in arguments[1]:
                scripts = {file.stem for file in (CODE_ROOT / module_path.parent).glob("*.py")}
                # the rest needs a folder of tables or an environment, or looks for faults
                others = {"all", "any_table", "kedro", "fuzz_endpoint"}
                assert {*benchmarks.ARGUMENTS} == scripts - others
                continue
            assert any((CODE_ROOT / place).is_file() for place in places), command
            continue
        if program != "python":
            assert re.search(rf"^{program}\b", requirements, flags=re.MULTILINE), program
        for part in arguments:
            if "/" in part or part.endswith(".py"):
                assert (CODE_ROOT / part).exists(), part


def test_just_itself_can_read_it() -> None:
    just = shutil.which("just")
    if just is None:
        pytest.skip("just is not installed (uv tool install rust-just)")
    ran = subprocess.run(
        [just, "--list"], cwd=CODE_ROOT, capture_output=True, text=True, check=True
    )
    listed = set(re.findall(r"^    ([a-z-]+)", ran.stdout, flags=re.MULTILINE))
    assert listed == recipes().keys()


# --- checks of a commit -------------------------------------------------------------------------


def test_the_hooks_are_local_and_name_what_exists() -> None:
    config = yaml.safe_load((CODE_ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert [hook["id"] for hook in hooks] == ["files", "ruff-check", "ruff-format", "mypy"]
    for hook in hooks:
        assert {"id", "name", "entry", "language"} <= hook.keys()
        re.compile(hook.get("files", ""))
        for part in hook["entry"].split():
            if part.endswith((".py", ".txt")):
                assert (CODE_ROOT / part).is_file(), part


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rows.parquet", "is data or a model"),
        ("tests/Rows.CSV", "is data or a model"),
        ("data/01_raw/x.txt", "what the app writes"),
        ("mlruns/1/model.py", "what the app writes"),
        (".streamlit/secrets.toml", "belong to the machine"),
    ],
)
def test_data_and_secrets_are_refused(name: str, words: str) -> None:
    assert words in script("files").fault(Path(name))


def test_large_files_and_the_real_rows_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = script("files")
    monkeypatch.setattr(files, "ROOT", tmp_path)
    (tmp_path / "big.txt").write_bytes(b"x" * (files.LARGEST_KB * 1024 + 1))
    (tmp_path / "rows.txt").write_bytes(b"id," + b",".join(files.SOURCE_COLUMNS) + b"\n1,1\n")
    (tmp_path / "fine.txt").write_text("a few words")
    assert files.main(["big.txt", "rows.txt", "fine.txt"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["big.txt", "rows.txt"]
    assert files.main(["fine.txt"]) == 0


def test_no_committed_file_is_refused() -> None:
    if not (CODE_ROOT / ".git").exists():
        pytest.skip("not a checkout")
    assert script("files").main([]) == 0


# --- pins ---------------------------------------------------------------------------------------

OLD = "# by uv\nalpha==1.0\nbeta==2.0 ; sys_platform == 'win32'\ngone==1\n"
NEW = "# by uv\nalpha==1.1\nbeta==2.0 ; sys_platform == 'win32'\nnew==3\n"


def test_changes_are_listed() -> None:
    assert script("refresh").changes(OLD, NEW) == [
        "  alpha: 1.0 -> 1.1",
        "  gone: 1 -> gone",
        "  new: new -> 3",
    ]


@pytest.mark.parametrize(
    "line",
    ["--index-url https://index.example", "x @ file:///srv/x", "#   -o /srv/x", "#   ~/x.txt"],
)
def test_pins_name_no_host_and_no_path(line: str) -> None:
    refresh = script("refresh")
    assert refresh.hosts_and_paths(f"{OLD}{line}\n") == [line]
    assert refresh.hosts_and_paths((CODE_ROOT / "requirements.txt").read_text("utf-8")) == []
    assert refresh.SHOWN_COMMAND in (CODE_ROOT / "requirements.txt").read_text("utf-8")


@pytest.fixture
def refreshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`refresh` in a folder of its own, where uv chooses NEW; `fails` are programs that fail."""
    refresh = script("refresh")
    monkeypatch.setattr(refresh, "ROOT", tmp_path)
    monkeypatch.setattr(refresh.shutil, "which", lambda _: "uv")
    stub = SimpleNamespace(module=refresh, pinned=tmp_path / "requirements.txt", fails=set())
    stub.pinned.write_text(OLD)
    stub.report = {"dependencies": [{"name": "alpha", "version": "1.1", "vulns": []}]}

    def run(command: list[str], **_: object) -> SimpleNamespace:
        kind = next(program for program in ("compile", "pytest", "pip-audit") if program in command)
        failed = kind in stub.fails
        if kind == "compile" and not failed:
            upgraded = "--upgrade" in command
            Path(command[command.index("-o") + 1]).write_text(NEW if upgraded else OLD)
        out = json.dumps(stub.report) if kind == "pip-audit" and not failed else ""
        return SimpleNamespace(returncode=int(failed), stdout=out, stderr="uv says no")

    monkeypatch.setattr(refresh.subprocess, "run", run)
    return stub


def test_pins_are_replaced_when_tests_pass(
    refreshed: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refreshed.module.main([]) == 0
    assert refreshed.pinned.read_text() == NEW
    output = capsys.readouterr().out
    assert "alpha: 1.0 -> 1.1" in output
    assert "No known vulnerability in 1 packages." in output


@pytest.mark.parametrize(
    ("program", "words"), [("pytest", "The quick tests fail"), ("compile", "uv says no")]
)
def test_pins_stay_when_something_fails(
    program: str, words: str, refreshed: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    refreshed.fails.add(program)
    assert refreshed.module.main([]) == 1
    assert refreshed.pinned.read_text() == OLD
    assert words in capsys.readouterr().out


def test_a_check_upgrades_nothing(refreshed: SimpleNamespace) -> None:
    assert refreshed.module.main(["--check"]) == 0
    refreshed.pinned.write_text(NEW)
    assert refreshed.module.main(["--check"]) == 1
    assert refreshed.pinned.read_text() == NEW


@pytest.mark.parametrize(
    ("report", "fails", "words"),
    [
        ([{"name": "alpha", "skip_reason": "x"}], set(), "NOT AUDITED: 1 of 1 packages"),
        ([], {"pip-audit"}, "NOT AUDITED: pip-audit could not be run"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            set(),
            "a 1: CVE-1, fixed in 2",
        ),
    ],
)
def test_a_failed_audit_is_never_called_clean(
    report: list[dict[str, object]],
    fails: set[str],
    words: str,
    refreshed: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refreshed.report, refreshed.fails = {"dependencies": report}, fails
    assert refreshed.module.main(["--audit"]) == 1
    output = capsys.readouterr().out
    assert words in output
    assert "No known" not in output
