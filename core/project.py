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

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> Column:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Rows(Options):
    """Which rows train the model (development) and which it meets in operation (production)."""

    column: str
    development: str
    development_name: str
    production: str
    production_name: str


class Court(Options):
    """Columns of the shot chart, in tenths of a foot from the hoop, and what stands above it."""

    title: str
    x: str
    y: str


class Sample(Options):
    """The built-in sample: what it is, and the file beside the project's that calibrates it."""

    about: str
    tables: str = Field(pattern=r"^[a-z0-9_]+\.json$")


class ProjectSpec(Options):
    """What is predicted, from which columns, on which rows.

    Parameters
    ----------
    model : str
        Name of the registered model.
    target : str
        Column of type `label`; `positive` and `negative` are the words for 1 and 0.
    id : str
        Column that differs from row to row; rows are put in its order.
    time : str
        Column that says when a row came to be. A source must hold it; no step orders by it yet.
    threshold : float
        Probability from which on a row is labelled `positive`.
    court : Court or None
        Only for a project whose rows lie on a basketball court.
    sample : Sample or None
        Only for a project with a built-in sample.

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
        missing = [name for name in named if name not in self.columns]
        if missing:
            raise ValueError(f"not in [columns]: {', '.join(missing)}")
        if self.columns[self.target].type != "label":
            raise ValueError(f"the target {self.target} must be of type label")
        text = [name for name in self.features if self.columns[name].type == "text"]
        if text:
            raise ValueError(f"features must be numbers: {', '.join(text)}")
        if self.columns[self.rows.column].type != "text":
            raise ValueError(f"the column of [rows], {self.rows.column}, must be of type text")
        places = [self.court.x, self.court.y] if self.court else []
        if any(self.columns[name].type not in ("integer", "number") for name in places):
            raise ValueError(f"the columns of [court] must be numbers: {', '.join(places)}")
        return self

    @model_validator(mode="after")
    def _nothing_is_its_own_opposite(self) -> ProjectSpec:
        if self.target in self.features:
            raise ValueError(f"the target {self.target} must not be a feature")
        if self.id in self.features:
            raise ValueError(f"the id {self.id} must not be a feature")
        twice = sorted({name for name in self.features if self.features.count(name) > 1})
        if twice:
            raise ValueError(f"features stand there more than once: {', '.join(twice)}")
        if self.rows.development == self.rows.production:
            raise ValueError(f"development and production are the same: {self.rows.production}")
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are the same word: {self.positive}")
        return self

    @property
    def prepared_columns(self) -> tuple[str, ...]:
        """Columns of a prepared set: the features, then the target."""
        return (*self.features, self.target)


def load(name: str, folder: Path | None = None) -> ProjectSpec:
    """Return the project of that name, from core/projects unless another folder is given.

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
    return _read(name, folder or FOLDER)


@lru_cache
def _read(name: str, folder: Path) -> ProjectSpec:
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.toml")))
        raise InputError(f"There is no project '{name}'. Known: {known}.")
    try:
        return ProjectSpec(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        text = _fault(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"The project file {path.name} cannot be used: {text}") from error


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] != "value_error":
        return sentence(error)
    # one of our own rules; pydantic would repeat the whole file behind it
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}{': ' if where else ''}{first['ctx']['error']}."


def sample_tables(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the calibration tables of the project's built-in sample.

    Raises
    ------
    InputError
        When the project has no sample.
    """
    folder = folder or FOLDER
    spec = load(name, folder)
    if spec.sample is None:
        raise InputError(f"The project '{name}' has no built-in sample. Acquire a file instead.")
    return _tables(folder / spec.sample.tables)


@lru_cache
def _tables(path: Path) -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tables
