"""What import-linter cannot check: which code knows the shipped project, and names of files."""

from __future__ import annotations

import ast
import re

from core.platform import runs
from core.platform.config import CODE_ROOT
from core.platform.run_tags import RunTags
from pages.shared import navigation
from tests import code_trees

BANNED_NAMES = {"utils.py", "helpers.py", "manager.py"}
MODULES = code_trees.modules()


def test_only_its_own_package_knows_the_project() -> None:
    words = re.compile(
        r"kobe|lakers|hoop|(?<!snap)shot|[23]pt|[23]-point|made-up|(?<!of )\bcourse\b"
    )
    for name, path in MODULES.items():
        if name.startswith("core.projects."):
            continue
        nodes = code_trees.nodes(path)
        docs = {
            id(node.body[0].value)
            for node in nodes
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        texts = [
            node.value.lower()
            for node in nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
        ]
        naming = [text for text in texts if words.search(text)]
        # the default project is a setting, and settings are in config
        assert naming == (["kobe"] if name == "core.platform.config" else []), name


def is_raw_tag(node: ast.AST) -> bool:
    """Whether a node reads a tag by its text: `run.tags.get(...)`, `run.tags[...]`, or its name."""
    match node:
        case ast.Attribute(attr="get", value=ast.Attribute(attr="tags")):
            return True
        case ast.Subscript(value=ast.Attribute(attr="tags")):
            return True
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Attribute(attr="tags")]):
            return True
        case ast.Constant(value=str(text)):
            # a page's `courtside.example` is an address
            return bool(re.search(r"(^|`)courtside\.(?!example|mo$)[a-z_]*", text))
        case ast.Name(id="TAG") | ast.Attribute(attr="TAG"):
            return True
    return False


def test_tags_are_read_and_written_by_their_records_alone() -> None:
    records = {name for name, kind in vars(runs).items() if isinstance(kind, type(RunTags))}
    for name, path in MODULES.items():
        if name.startswith("core.platform.run"):
            continue
        nodes = code_trees.nodes(path)
        docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        raw = [node.lineno for node in nodes if is_raw_tag(node) and id(node) not in docs]
        assert not raw, f"{name}: {raw}"
        kinds = [
            node.name
            for node in nodes
            if isinstance(node, ast.ClassDef)
            and records & {ast.unparse(base) for base in node.bases}
        ]
        # where test_docs.py looks for them
        assert not kinds or name.endswith((".records", ".model_files")), f"{name}: {kinds}"


def test_names_say_what_a_file_is() -> None:
    assert not [path for path in CODE_ROOT.glob("*/**/*.py") if path.name in BANNED_NAMES]


def test_files_stay_small_enough_to_read_in_one_sitting() -> None:
    long = {
        name: count
        for name, path in MODULES.items()
        if (count := len(code_trees.text(path).splitlines())) > 750
    }
    assert not long


def test_the_pages_are_those_of_the_navigation() -> None:
    assert {*navigation.PAGES, *navigation.LINKED_PAGES} == {
        path.parent.name for path in (CODE_ROOT / "pages").glob("*/page.py")
    }


def test_what_refreshes_itself_draws_and_returns_nothing() -> None:
    """A fragment of a value would be drawn again by the clock, and what shows it would not."""
    of_values = [
        f"{name}.{node.name}"
        for name, path in MODULES.items()
        for node in code_trees.nodes(path)
        if isinstance(node, ast.FunctionDef)
        and any("st.fragment" in ast.unparse(each) for each in node.decorator_list)
        and (node.returns is None or ast.unparse(node.returns) != "None")
    ]
    assert of_values == []
