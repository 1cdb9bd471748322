"""ProjectSpec: what is predicted, from which columns, on which rows. One TOML file a project."""

from __future__ import annotations

import json
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from core.config import Options, sentence
from core.errors import InputError

FOLDER = Path(__file__).resolve().parent / "projects"


class Column(Options):
    """One column of a source: its type, its range and what it means.

    `label` is a whole number 0 or 1 that may be missing; no other type may be, in a row that is
    trained on or scored.
    """

    type: Literal["text", "integer", "number", "label"]
    about: str
    min: float | None = None
    max: float | None = None


class Rows(Options):
    """Which rows train the model (development) and which it meets in operation (production)."""

    column: str
    development: str
    development_name: str
    production: str
    production_name: str


class Court(Options):
    """Columns of the shot chart, in tenths of a foot from the hoop."""

    x: str
    y: str


class Sample(Options):
    """The file beside the project's that calibrates its built-in sample."""

    tables: str = Field(pattern=r"^[a-z0-9_]+\.json$")


class ProjectSpec(Options):
    """What is predicted, from which columns, on which rows.

    Examples
    --------
    >>> spec = load("kobe")
    >>> spec.target, len(spec.features), len(spec.columns)
    ('shot_made_flag', 6, 25)
    """

    name: str
    title: str
    question: str
    model: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    target: str
    positive: str
    negative: str
    id: str
    time: str
    season: str | None = None
    threshold: float = Field(ge=0, le=1)
    features: tuple[str, ...] = Field(min_length=1)
    rows: Rows
    court: Court | None = None
    sample: Sample | None = None
    columns: dict[str, Column]

    @model_validator(mode="after")
    def _named_columns_exist(self) -> ProjectSpec:
        named = [self.target, self.id, self.time, self.rows.column, *self.features]
        named += [self.court.x, self.court.y] if self.court else []
        named += [self.season] if self.season else []
        missing = [name for name in named if name not in self.columns]
        if missing:
            raise ValueError(f"not in [columns]: {', '.join(missing)}")
        if self.columns[self.target].type != "label":
            raise ValueError(f"the target {self.target} must be of type label")
        text = [name for name in self.features if self.columns[name].type == "text"]
        if text:
            raise ValueError(f"features must be numbers: {', '.join(text)}")
        return self

    @property
    def prepared_columns(self) -> tuple[str, ...]:
        """Columns of a prepared set: the features, then the target."""
        return (*self.features, self.target)


@lru_cache
def load(name: str, folder: Path = FOLDER) -> ProjectSpec:
    """Return the project of that name.

    Raises
    ------
    InputError
        When there is no such file, or it does not hold a whole project.

    Examples
    --------
    >>> load("curry")
    Traceback (most recent call last):
    core.errors.InputError: There is no project 'curry'. Known: kobe.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.toml")))
        raise InputError(f"There is no project '{name}'. Known: {known}.")
    try:
        return ProjectSpec(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        text = sentence(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"The project file {path.name} cannot be used: {text}") from error


@lru_cache
def sample_tables(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the calibration tables of the project's built-in sample.

    Raises
    ------
    InputError
        When the project has no sample.
    """
    spec = load(name, folder)
    if spec.sample is None:
        raise InputError(f"The project '{name}' has no built-in sample. Acquire a file instead.")
    tables: dict[str, Any] = json.loads((folder / spec.sample.tables).read_text(encoding="utf-8"))
    return tables
