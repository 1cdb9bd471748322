"""The code of the app and of its messages, read and parsed once for all tests of a process."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from babel.messages.catalog import Catalog

from core.platform.config import CODE_ROOT


@cache
def modules() -> dict[str, Path]:
    """Return the modules of core, of the pages and of the app, by their dotted names."""
    paths = [
        *(CODE_ROOT / "core").rglob("*.py"),
        *(CODE_ROOT / "pages").rglob("*.py"),
        CODE_ROOT / "app.py",
    ]
    return {
        ".".join(path.relative_to(CODE_ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


@cache
def text(path: Path) -> str:
    """Return what a file holds."""
    return path.read_text(encoding="utf-8")


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return all nodes of a module, the module itself first."""
    return list(ast.walk(ast.parse(text(path))))


@cache
def catalogue_script() -> ModuleType:
    """Return the script that extracts messages."""
    spec = importlib.util.spec_from_file_location("catalogue", CODE_ROOT / ".ci" / "catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def extracted() -> Catalog:
    """Return the messages of the source."""
    template: Catalog = catalogue_script().extracted()
    return template
