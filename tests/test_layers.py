"""The rooms and the one way in which they import each other, read from the imports themselves."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GROUND = {"core.config", "core.errors"}
BASE = {
    "core.schema",
    "core.record",
    "core.project",
    "core.formulas",
    "core.alerting",
    "core.retraining",
    "core.dossier",
    "core.language",
    "core.artifacts",
    "core.stages",
}
# room -> what it may import of ours
ALLOWED = {
    "pages": ("pages", "core"),
    "core.steps": ("core.adapters", "core.logic", "core.steps", *BASE, *GROUND),
    "core.adapters": ("core.adapters", *BASE, *GROUND),
    "core.logic": ("core.logic", *BASE, *GROUND),
    "core.base": (*BASE, *GROUND),
    "core.ground": tuple(GROUND),
    # runs any step in a process of its own, so it stands above them
    "core.worker": ("core.steps", "core.adapters", *BASE, *GROUND),
    "core.commands": ("core.steps", "core.adapters", "core.logic", *BASE, *GROUND),
    "core.__main__": ("core.commands",),
}
# library -> the only modules that import it
ONLY = {
    "pycaret": {"core.adapters.automl"},
    "mlflow": {
        "core.adapters.tracking",
        "core.adapters.model_files",
        "core.adapters.served_model",
        "core.adapters.registry",
        "core.adapters.scorer",
    },
    "shap": {"core.logic.explanation"},
    "streamlit": set(),
    "huey": {"core.adapters.jobs", "core.adapters.schedules"},
    "distributed": {"core.adapters.cluster"},
    "dask": set(),
    "aiohttp": {"core.adapters.gateway"},
    "prometheus_client": {"core.adapters.gateway_stats"},
    "evidently": {"core.adapters.evidently_report"},
    "fpdf": {"core.logic.documents.as_pdf"},
    "fsspec": {"core.adapters.batches"},
    "requests": {
        "core.adapters.client",
        "core.adapters.deliver",
        "core.adapters.download",
        "core.adapters.mlflow_ui",
    },
    "smtplib": {"core.adapters.deliver"},
    "pandera": {"core.schema"},
    "subprocess": {"core.adapters.process", "core.adapters.jobs", "core.adapters.tracking"},
}
BANNED_NAMES = {"utils.py", "helpers.py", "manager.py"}


def modules() -> dict[str, Path]:
    found = [*(ROOT / "core").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in found
    }


@cache
def imports(path: Path) -> set[str]:
    """Return all that a file imports, inside functions too, with the names taken from packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            ours = node.module in ("core", "core.adapters", "core.logic", "core.steps", "pages")
            found |= {f"{node.module}.{a.name}" if ours else node.module for a in node.names}
    return found


def room(name: str) -> str:
    if name == "app" or name.startswith("pages"):
        return "pages"
    if name in GROUND:
        return "core.ground"
    if name in BASE:
        return "core.base"
    if name in ("core.worker", "core.commands", "core.__main__"):
        return name
    return ".".join(name.split(".")[:2])


MODULES = modules()


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"core"}))
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    allowed = ALLOWED[room(name)]
    for wanted in imports(MODULES[name]):
        if wanted.split(".")[0] not in ("core", "pages"):
            continue
        assert any(wanted == one or wanted.startswith(one + ".") for one in allowed), (
            f"{name} imports {wanted}"
        )


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    users = {
        name
        for name, path in MODULES.items()
        if name.startswith("core")
        and any(wanted.split(".")[0] == library for wanted in imports(path))
    }
    assert users == ONLY[library]


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room(name) == "pages"))
def test_a_page_imports_no_heavy_library_itself(name: str) -> None:
    heavy = {"mlflow", "pycaret", "sklearn", "lightgbm", "skops", "huey", "sqlalchemy", "requests"}
    assert not {wanted.split(".")[0] for wanted in imports(MODULES[name])} & heavy


def test_steps_do_not_import_steps() -> None:
    # a retraining is a preparation, a training and a decision about the champion
    may = {
        "core.steps.retrain": {"core.steps.prepare", "core.steps.train", "core.steps.promote"},
        # documents are gathered once, and written in many forms
        "core.steps.export": {"core.steps.documents"},
    }
    for name, path in MODULES.items():
        if name.startswith("core.steps."):
            found = {wanted for wanted in imports(path) if wanted.startswith("core.steps")}
            assert found <= may.get(name, set())


def test_only_the_project_file_the_court_and_the_sample_know_the_project() -> None:
    words = re.compile(r"kobe|lakers|hoop|(?<!snap)shot|[23]pt|[23]-point|made-up")
    knowing = {"core.logic.court", "core.logic.sample", "core.logic.shot"}
    for name, path in MODULES.items():
        if name in knowing:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        texts = [
            node.value.lower()
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
        ]
        found = [text for text in texts if words.search(text)]
        # the default project is a setting, and settings stand in config
        assert found == (["kobe"] if name == "core.config" else []), name


def test_names_say_what_a_file_is() -> None:
    assert not [path for path in ROOT.glob("*/**/*.py") if path.name in BANNED_NAMES]


def test_files_stay_small_enough_to_read_in_one_sitting() -> None:
    long = {
        name: count
        for name, path in MODULES.items()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 750
    }
    assert not long


def test_the_pages_are_those_of_the_navigation() -> None:
    listed = {
        node.args[0].value
        for node in ast.walk(ast.parse((ROOT / "pages" / "_parts.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "st.Page"
        and isinstance(node.args[0], ast.Constant)
    }
    there = {f"pages/{path.name}" for path in (ROOT / "pages").glob("[a-z]*.py")}
    assert listed == there
