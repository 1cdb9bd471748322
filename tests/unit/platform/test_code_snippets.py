"""Code and commands shown in the app, which repeat exactly what was done."""

from __future__ import annotations

import ast
import shlex

import pytest

from core.platform import code_snippets

UPLOAD = {"name": "my shots.csv", "stored": "0f3a.csv"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("test_share", 0.25, ["--test-share", "0.25"]),
        ("dry_run", True, ["--dry-run"]),
        ("refit", False, ["--no-refit"]),
        ("reason", 'it\'s "better", $HOME or not', ["--reason", 'it\'s "better", $HOME or not']),
        ("reason", "-5 is too low", ["--reason=-5 is too low"]),
        ("features", ["lat", "a b"], ["--features", "lat", "a b"]),
        ("rows", {"season": ["2000-01"]}, ["--rows", '{"season": ["2000-01"]}']),
        ("rows", {}, ["--rows", "{}"]),
        ("policies", [{"k": 1}], ["--policies", '[{"k": 1}]']),
        ("upload", UPLOAD, ["--upload", "my shots.csv"]),
        ("uploads", [UPLOAD, UPLOAD], ["--uploads", "my shots.csv", "my shots.csv"]),
    ],
)
def test_a_shell_reads_back_what_was_meant(name: str, value: object, words: list[str]) -> None:
    line = code_snippets.command("step", {name: value}, {"home": "/srv/a b"})
    assert shlex.split(line) == ["COURTSIDE_HOME=/srv/a b", "python", "-m", "core", "step", *words]


@pytest.mark.parametrize("settings", [{}, {"home": "/srv/it's", "workers": 3}, None])
def test_python_is_valid_whatever_a_person_typed(settings: dict | None) -> None:
    options = {
        "reason": "quote ' and \" and \\ and\nline",
        "rows": {"a'b": ["ü"]},
        "uploads": [UPLOAD],
    }
    tree = ast.parse(code_snippets.python("acquire", options, settings))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (options_call,) = [call for call in calls if ast.unparse(call.func) == "acquire.Options"]
    arguments = {word.arg: word.value for word in options_call.keywords}
    assert ast.literal_eval(arguments["reason"]) == options["reason"]
    assert ast.literal_eval(arguments["rows"]) == options["rows"]
    assert "Path('my shots.csv').read_bytes()" in ast.unparse(arguments["uploads"])
    (settings_call,) = [call for call in calls if ast.unparse(call.func).startswith("Settings")]
    settings_read = {word.arg: ast.literal_eval(word.value) for word in settings_call.keywords}
    assert settings_read == (settings or {})
    assert (ast.unparse(settings_call.func) == "Settings.load") == (settings is None)
