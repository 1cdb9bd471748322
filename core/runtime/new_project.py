"""The command `new`: a project from a user's table, with a guessed schema."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.data import guess_json, guess_project, guess_roles, guess_sample
from core.data.guess import Guesses, guess
from core.data.guess_roles import Cut
from core.platform import lifecycle, project, projects
from core.platform.config import PROJECT_FILE, Settings, exists, is_project_name
from core.platform.csv_dialect import CODECS, POINTS, SIGNS, Given
from core.platform.errors import InputError
from core.platform.messages import Message, _
from core.platform.projects import not_a_name

# runs steps on a project: its settings, and each step's name with its options
RunSteps = Callable[[Settings, Sequence[tuple[str, dict[str, Any]]]], dict[str, Any]]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ROLES = ("target", "positive", "id", "time", "group", "weights")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "table", type=Path, metavar="TABLE", help=_("CSV or parquet file, or a zip of one")
    )
    for name, field in {"target": _("Target"), "positive": _("Positive class")}.items():
        parser.add_argument(f"--{name}", help=_("{field}; guessed by default", field=field))
    columns = {
        "id": _("Id"),
        "time": _("Time"),
        "group": _("Group"),
        "weights": _("Sampling weight"),
    }
    for name, field in columns.items():
        about = _('{field}: a column, or "" for none; guessed by default', field=field)
        parser.add_argument(f"--{name}", help=about)
    parser.add_argument(
        "--current",
        metavar="ROWS",
        help=_(
            "{field}: a first day, `COLUMN=VALUE`, `labels` (rows without one), `random`, a share "
            "of rows such as `0.3`, or `none`; guessed by default",
            field=_("Current rows"),
        ),
    )
    parser.add_argument(
        "--metric",
        choices=("log_loss", "average_precision", "roc_auc"),
        help=_("{field}; guessed by default", field=_("Metric")),
    )
    parser.add_argument("--balanced", action="store_true", help=_("Balance the class weights"))
    parser.add_argument("--leave-out", nargs="+", default=(), help=_("Excluded"))
    parser.add_argument(
        "--allow", nargs="+", default=(), help=_("columns that are features despite a finding")
    )
    parser.add_argument("--name", help=_("{field}; guessed by default", field=_("Name")))
    parser.add_argument("--title", help=_("{field}; guessed by default", field=_("Title")))
    for name, choices in (("delimiter", SIGNS), ("decimal", POINTS), ("encoding", CODECS)):
        parser.add_argument(
            f"--{name}", choices=tuple(choices), help=_("{field}; guessed by default", field=name)
        )
    parser.add_argument(
        "--dry-run", action="store_true", help=_("print the guesses, write nothing")
    )
    parser.add_argument("--yes", action="store_true", help=_("run the life cycle on the table too"))


def run(settings: Settings, given: argparse.Namespace, run_steps: RunSteps) -> dict[str, Any]:
    """Guess what the table is about, write the project file, and run the life cycle if asked.

    Raises
    ------
    InputError
        If the table cannot be read, has no target, or the project is there already.
    """
    name = given.name or guess_project.name_of(given.table.name)
    _require_free(settings, name)
    dialect = Given(given.delimiter, given.decimal, given.encoding)
    guesses = _guesses(given, dialect)
    text = guesses.project_file(name, given.title or name)
    answer: dict[str, Any] = {"project": name, "guesses": guess_json.of(guesses)}
    if given.dry_run:
        return {**answer, "project_file": text}
    own = projects.create(settings, text)
    answer["file"] = str(own.home / PROJECT_FILE)
    if not given.yes:
        return answer
    return {**answer, **_life_cycle(own, given.table, dialect, guesses, run_steps)}


def _require_free(settings: Settings, name: str) -> None:
    if not is_project_name(name):
        raise InputError(Message("{where}: {reason}.", where="--name", reason=not_a_name(name)))
    if name in {*projects.names(settings), *project.built_in()}:
        raise InputError(Message("{where}: {reason}.", where="--name", reason=exists(name)))


def _guesses(given: argparse.Namespace, dialect: Given) -> Guesses:
    frame = guess_sample.read_some(given.table, given=dialect)
    choices: dict[str, Any] = {role: getattr(given, role) for role in _ROLES}
    choices |= {"metric": given.metric, "balanced": given.balanced or None}
    choices |= {"left_out": tuple(given.leave_out), "allowed": tuple(given.allow)}
    guesses = guess_sample.with_proved_id(guess(frame, **choices), given.table, dialect)
    return guesses.with_(rows=_cut(given.current, guesses)) if given.current else guesses


def _cut(text: str, guesses: Guesses) -> Cut:
    """Return the current rows that a person names.

    Raises
    ------
    InputError
        If the text names none.
    """
    column, equals, value = text.partition("=")
    if text == "none":
        return guess_roles.NO_ROWS
    if text == "labels":
        return Cut("labels")
    if text == "random":
        return guess_roles.RANDOM
    if _DAY.fullmatch(text) and guesses.time.value:
        return Cut("date", column=guesses.time.value, start=text)
    if equals:
        return guesses.by_value(column, value)
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise InputError(
            Message(
                "`--current` is a day (the table needs a time), `COLUMN=VALUE`, `labels`, "
                "`random`, a share like `0.3`, or `none`; not '{given}'.",
                given=text,
            )
        )
    return Cut("random", share=share, seed=guess_roles.SEED)


def _life_cycle(
    own: Settings, table: Path, dialect: Given, guesses: Guesses, run_steps: RunSteps
) -> dict[str, Any]:
    """Run the steps on the table; without current rows up to the endpoint."""
    acquire: dict[str, Any] = {"source": "file", "path": table.resolve()}
    stated = {part: getattr(dialect, part) for part in ("delimiter", "decimal", "encoding")}
    acquire |= {part: value for part, value in stated.items() if value}
    has_current = guesses.current.value.by != "none"
    steps = lifecycle.of_table(acquire, has_current=has_current, rows=guesses.rows)
    return run_steps(own, steps)
