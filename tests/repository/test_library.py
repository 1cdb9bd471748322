"""`core` as a library: what its wheel holds, that it works elsewhere, and its few functions."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import core
from core.platform.config import CODE_ROOT, Settings

ASKED = (CODE_ROOT / "requirements.in").read_text("utf-8")
REFERENCE = (CODE_ROOT / "docs" / "reference.md").read_text("utf-8")
# what `.ci/messages.py` reads, and the library does not
SOURCES_OF_TEXTS = {"core/locale/pt/LC_MESSAGES/courtside.po"}
AWAY = """
import sys
import core

heavy = {"pandas", "mlflow", "sklearn", "pydantic"} & sys.modules.keys()
assert not heavy, heavy

from importlib.metadata import entry_points
from pathlib import Path
from core.documents import inventory
from core.platform import git, messages, templates

settings = core.Settings()
print(Path(core.__file__).parents[1])
print(settings.home)
print(core.load_project(settings).target, git.git_commit(), sorted(inventory.shipped()))
with messages.speaking("pt"):
    print(messages._("What changed"))
print(entry_points(group="console_scripts", name="courtside")["courtside"].load().__module__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy as `pip install .` builds it, but without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    cached = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CODE_ROOT / "core", source / "core", ignore=cached)
    for name in ("pyproject.toml", "setup.py", "requirements.in", "README.md"):
        shutil.copyfile(CODE_ROOT / name, source / name)
    # nothing next to core may be included
    for name in ("pages", "tests"):
        (source / name).mkdir()
        (source / name / "__init__.py").touch()
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_core_and_its_data_files_and_nothing_else(wheel: Path) -> None:
    files = {
        path.relative_to(CODE_ROOT).as_posix()
        for path in (CODE_ROOT / "core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files - SOURCES_OF_TEXTS
    assert files >= SOURCES_OF_TEXTS


def test_the_wheel_says_what_it_is_and_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (name,) = (path for path in held.namelist() if path.endswith(".dist-info/METADATA"))
        about = held.read(name).decode().partition("\n\n")[0]
    needed = set(re.findall(r"^Requires-Dist: ([\w-]+)", about, flags=re.MULTILINE))
    names = re.compile(r"^([a-zA-Z0-9_-]+)", flags=re.MULTILINE)
    library, _, others = ASKED.partition("# Pages only")
    assert needed == set(names.findall(library))
    assert {"mlflow", "pandas", "pycaret"} <= needed
    assert {"streamlit", "pytest", "ruff"} <= set(names.findall(others))
    released = re.findall(
        r"^## v?(\d\S*)", (CODE_ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    version = re.search(r"^Version: (\S+)", about, flags=re.MULTILINE)
    assert version is not None
    assert version[1] == (released[0] if released else "0.1.0.dev0")


def test_the_wheel_alone_is_a_library(wheel: Path, tmp_path: Path) -> None:
    alone, elsewhere = tmp_path / "alone", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(alone)
    # a surrounding repository is not this one
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    ran = subprocess.run(
        [sys.executable, "-c", AWAY],
        cwd=elsewhere,
        env={"PYTHONPATH": str(alone), "PATH": "/usr/bin:/bin", "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        str(alone),
        str(elsewhere / "courtside"),
        "shot_made_flag unknown []",
        "O que mudou",
        "core.__main__",
    ]
    # reading creates nothing
    assert list(elsewhere.iterdir()) == []


@pytest.mark.long
def test_the_example_of_the_reference_runs_as_it_stands(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    part = re.search(
        r"^## As a library\n.*?```python\n(.*?)```", REFERENCE, re.MULTILINE | re.DOTALL
    )
    assert part is not None
    assert part[1].count('"/srv/courtside"') == 1
    assert len(part[1].splitlines()) <= 10
    exec(part[1].replace("/srv/courtside", settings.home.as_posix()), {})
    report = core.last_report(settings)
    assert report is not None
    printed = capsys.readouterr().out
    assert "rows_train=16228, rows_test=4057" in printed
    assert report["conclusion"]["title"] in printed
    assert report["checks"]


def test_the_functions_of_the_library_exist_and_are_documented() -> None:
    part = re.search(r"^## As a library\n(.*?)^## ", REFERENCE, re.MULTILINE | re.DOTALL)
    assert part is not None
    for name in core.__all__:
        assert getattr(core, name).__doc__
        assert f"`core.{name}" in part[1], name
    with pytest.raises(AttributeError, match="no_such_name"):
        core.no_such_name  # noqa: B018


def test_no_report_is_none_and_no_step_is_refused(settings: Settings) -> None:
    assert core.last_report(settings) is None
    with pytest.raises(core.CourtsideError) as caught:
        core.run(settings, "trian")
    assert "Choose from: acquire, prepare, train" in str(caught.value)
    with pytest.raises(core.CourtsideError) as caught:
        core.run(settings, "prepare", test_share=2)
    assert str(caught.value).startswith("test_share: ")
