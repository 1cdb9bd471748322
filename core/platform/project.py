"""The project file: what is predicted, from which columns, on which rows.

That of a project of one's own is `<home>/projects/<name>/project.toml`; a built-in one's is in
core/projects, `<name>.toml`, or `<name>/project.toml` next to the project's own code.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from core.platform import formulas, own_columns, toml_lines
from core.platform.config import PROJECT_FILE, PROJECTS, Options, Settings, sentence
from core.platform.errors import InputError, words_of
from core.platform.messages import Message, Words, in_context
from core.platform.rows import Rule, label_word

FOLDER = Path(__file__).resolve().parents[1] / "projects"


class _FaultError(ValueError):
    """A violated rule of the project file, and the key that violates it."""

    def __init__(self, text: Message, *key: str | int) -> None:
        super().__init__(text)
        self.key = key


class Column(Options):
    """One column of a source: its type, allowed values and meaning.

    Parameters
    ----------
    type : {"text", "integer", "number", "label", "date"}
        `label` is 0, 1 or missing; `date` is a day, year-month-day, optionally with a time of day.
    positive_values, negative_values : tuple
        Values of a label that mean 1 and 0, if it is not written as 0 and 1. Case is ignored, and
        so is whether 1 is a number or a text.
    about : str
        Its meaning, with the unit.
    min, max : float, optional
        Inclusive range of a number.
    categories : tuple of str
        Allowed values of a text; empty allows any.
    pattern : str, optional
        Regular expression that the whole text must match.
    aliases : tuple of str
        Other names of the column in sources.
    recorded : {"before", "after"}
        Whether the value is known before the predicted event, or only after it.
    """

    type: Literal["text", "integer", "number", "label", "date"]
    about: str
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()
    pattern: str | None = None
    aliases: tuple[str, ...] = ()
    recorded: Literal["before", "after"] = "before"
    positive_values: tuple[bool | int | float | str, ...] = ()
    negative_values: tuple[bool | int | float | str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether a model treats it as categorical rather than as a number."""
        return self.type in ("text", "date")

    @property
    def rule(self) -> Rule:
        """Its rule in the row contract."""
        return Rule(
            self.type,
            self.min,
            self.max,
            self.categories,
            self.pattern,
            tuple(label_word(value) for value in self.negative_values),
            tuple(label_word(value) for value in self.positive_values),
        )

    @model_validator(mode="after")
    def _rules_suit_the_type(self) -> Column:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                Message("min {min:g} is above max {max:g}", min=self.min, max=self.max)
            )
        if (self.min, self.max) != (None, None) and self.type not in ("integer", "number"):
            raise ValueError(
                Message("min and max are for numbers, not for type {type}", type=self.type)
            )
        if (self.categories or self.pattern) and self.type != "text":
            raise ValueError(
                Message("categories and pattern are for text, not for type {type}", type=self.type)
            )
        if (self.positive_values or self.negative_values) and self.type != "label":
            raise ValueError(
                Message("values of a label are for type label, not for type {type}", type=self.type)
            )
        if bool(self.positive_values) != bool(self.negative_values):
            raise ValueError(Message("positive_values and negative_values must be given together"))
        both = {label_word(word) for word in self.positive_values}
        both &= {label_word(word) for word in self.negative_values}
        if both:
            raise ValueError(Message("both positive and negative: {values}", values=sorted(both)))
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(
                Message(
                    "the pattern {pattern} is invalid: {error}",
                    pattern=self.pattern,
                    error=str(error),
                )
            ) from error
        return self


class Formula(Options):
    """An expression over columns, see `core.platform.formulas`."""

    formula: str
    about: str

    @model_validator(mode="after")
    def _is_a_formula(self) -> Formula:
        formulas.columns_in(self.formula)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return formulas.columns_in(self.formula)


class Engineered(Formula):
    """A feature that the model's pipeline computes from raw columns."""

    type: Literal["text", "number"] = "number"

    @property
    def is_text(self) -> bool:
        """Whether a model treats it as categorical rather than as a number."""
        return self.type == "text"


class Identity(Formula):
    """What a column must equal, up to `tolerance`; otherwise the source gets a warning."""

    column: str
    tolerance: float = Field(0.0, ge=0)


class FeatureSet(Options):
    """Features that can be chosen together on the Data page."""

    title: str
    about: str
    features: tuple[str, ...] = Field(min_length=1)


class Preset(Options):
    """Options of Prepare and Train for a known result, applied with one click.

    Parameters
    ----------
    features : str
        Title of a feature set.
    split, test_from
        Options of Prepare.
    candidates, params, blend
        Options of Train.
    """

    title: str
    about: str
    features: str
    split: Literal["random", "time", "group"] = "random"
    test_from: str | None = None
    candidates: tuple[str, ...] = Field(min_length=1)
    params: dict[str, dict[str, int | float | bool | str]] = Field(default_factory=dict)
    blend: bool = False


class Download(Options):
    """A file on the network, verified by its size in bytes and its SHA-256."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}\.(csv|parquet|zip)$")
    url: str = Field(pattern=r"^https?://[^@\s]+$")
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Rows(Options):
    """Which rows are for training (development) and which for operation (production)."""

    column: str
    development: str
    development_name: str
    production: str
    production_name: str


class Court(Options):
    """Columns of the shot chart, in tenths of a foot from the hoop, and its title."""

    title: str
    x: str
    y: str


class Sample(Options):
    """The built-in sample: its description, and the file with its calibration tables."""

    about: str
    tables: str = Field(pattern=r"^[a-z0-9_]+\.json$")


class ProjectSpec(Options):
    """What is predicted, from which columns, on which rows.

    Parameters
    ----------
    domain : str
        What the rows are about, for whom and why, in a few sentences for the documents.
    model : str
        Name of the registered model.
    target : str
        Column of type `label`; `positive` and `negative` are the words for 1 and 0.
    id : str
        Unique column; rows are sorted by it.
    time : str
        Column with the time of a row, for a split by time.
    group : str, optional
        Column that identifies related rows (a game, a customer); a split by group keeps them
        together.
    threshold : float
        Probability from which a row is labelled `positive`.
    features : tuple of str
        The default features, columns or engineered; `features_title` is their title.
    feature_sets : tuple of FeatureSet
        Alternatives to choose from.
    presets : tuple of Preset
        Options of Prepare and Train that belong together.
    slices : tuple of str
        Columns with few values, for filtering and comparing rows.
    error_slices : tuple of str
        Columns by which errors are analysed; default `slices`.
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
    domain: str = ""
    model: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    target: str
    positive: str
    negative: str
    id: str
    time: str
    group: str | None = None
    threshold: float = Field(ge=0, le=1)
    features: tuple[str, ...] = Field(min_length=1)
    features_title: str = "Default"
    feature_sets: tuple[FeatureSet, ...] = ()
    presets: tuple[Preset, ...] = ()
    slices: tuple[str, ...] = ()
    error_slices: tuple[str, ...] = ()
    rows: Rows
    court: Court | None = None
    sample: Sample | None = None
    downloads: tuple[Download, ...] = ()
    columns: dict[str, Column]
    engineered: dict[str, Engineered] = Field(default_factory=dict)
    identities: tuple[Identity, ...] = ()

    @model_validator(mode="after")
    def _named_columns_exist(self) -> ProjectSpec:
        missing = {name: key for key, name in self._named() if name not in self.columns}
        if missing:
            first = next(iter(missing.values()))
            raise _FaultError(Message("not in [columns]: {names}", names=list(missing)), *first)
        if self.columns[self.target].type != "label":
            raise _FaultError(
                Message("the target {target} must be of type label", target=self.target),
                "columns",
                self.target,
                "type",
            )
        if self.columns[self.rows.column].type != "text":
            raise _FaultError(
                Message(
                    "the column of [rows], {column}, must be of type text", column=self.rows.column
                ),
                "rows",
                "column",
            )
        places = [self.court.x, self.court.y] if self.court else []
        if any(self.columns[name].type not in ("integer", "number") for name in places):
            raise _FaultError(
                Message("the columns of [court] must be numbers: {columns}", columns=list(places)),
                "court",
            )
        return self

    def _named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield each key of the file that names a column, and the name."""
        yield from ((("target",), self.target), (("id",), self.id), (("time",), self.time))
        yield ("rows", "column"), self.rows.column
        yield from ((("slices",), name) for name in self.slices)
        yield from ((("error_slices",), name) for name in self.error_slices)
        if self.group:
            yield ("group",), self.group
        if self.court:
            yield from ((("court", "x"), self.court.x), (("court", "y"), self.court.y))
        for place, identity in enumerate(self.identities):
            yield ("identities", place, "column"), identity.column
            for name in identity.columns:
                yield ("identities", place, "formula"), name
        for own, feature in self.engineered.items():
            yield from ((("engineered", own, "formula"), name) for name in feature.columns)
        for key, features in self._feature_lists():
            yield from ((key, name) for name in features if name not in self.engineered)

    def _feature_lists(self) -> Iterator[tuple[tuple[str | int, ...], tuple[str, ...]]]:
        yield ("features",), self.features
        for place, feature_set in enumerate(self.feature_sets):
            yield ("feature_sets", place, "features"), feature_set.features

    @model_validator(mode="after")
    def _formulas_give_what_they_say(self) -> ProjectSpec:
        tried: list[tuple[tuple[str | int, ...], Words, str, str]] = [
            (("engineered", name, "formula"), name, feature.type, feature.formula)
            for name, feature in self.engineered.items()
        ]
        tried += [
            (
                ("identities", place, "formula"),
                Message("identity of {column}", column=identity.column),
                "number",
                identity.formula,
            )
            for place, identity in enumerate(self.identities)
        ]
        for key, name, kind, formula in tried:
            try:
                formulas.give(
                    formula, kind, {name: column.type for name, column in self.columns.items()}
                )
            except ValueError as error:
                fault = Message("{name}: {reason}", name=name, reason=words_of(error))
                raise _FaultError(fault, *key) from error
        return self

    @model_validator(mode="after")
    def _nothing_is_its_own_opposite(self) -> ProjectSpec:
        for key, features in self._feature_lists():
            if fault := self.fault_of(features):
                raise _FaultError(fault, *key)
        if self.rows.development == self.rows.production:
            raise _FaultError(
                Message(
                    "development and production are the same: {production}",
                    production=self.rows.production,
                ),
                "rows",
                "production",
            )
        if self.positive == self.negative:
            raise _FaultError(
                Message(
                    "positive and negative are the same word: {positive}", positive=self.positive
                ),
                "negative",
            )
        return self

    @model_validator(mode="after")
    def _a_name_means_one_thing(self) -> ProjectSpec:
        names = [*self.columns, *self.engineered]
        names += [alias for column in self.columns.values() for alias in column.aliases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _FaultError(
                Message("names with more than one meaning: {names}", names=list(twice)),
                *self._place_of(twice[0]),
            )
        if reserved := sorted(name for name in names if own_columns.is_own(name)):
            raise _FaultError(
                Message(
                    "names that begin with {prefix} are reserved for Courtside: {names} (rename "
                    "the column, in the source too)",
                    prefix=own_columns.PREFIX,
                    names=list(reserved),
                ),
                *self._place_of(reserved[0]),
            )
        if self.id in ("prediction_id", "label", "labelled_at"):
            raise _FaultError(
                Message(
                    "the id must not be called {id}: a label that is sent to /labels has a field "
                    "of that name",
                    id=self.id,
                ),
                "id",
            )
        # a run's metric is named after its column, and MLflow allows no other characters
        odd = sorted(
            name
            for name in {*self.columns, *self.engineered}
            if not re.fullmatch(r"[\w.\- /]+", name)
        )
        if odd:
            raise _FaultError(
                Message(
                    "names may contain letters, digits, spaces and _.-/ only: {names} (give the "
                    "source's name as an alias)",
                    names=list(odd),
                ),
                *self._place_of(odd[0]),
            )
        titles = [self.features_title, *(feature_set.title for feature_set in self.feature_sets)]
        if len(set(titles)) < len(titles):
            raise _FaultError(
                Message("two sets of features have the same title: {titles}", titles=list(titles)),
                "feature_sets",
                0,
            )
        if unknown := [preset.features for preset in self.presets if preset.features not in titles]:
            place = [preset.features for preset in self.presets].index(unknown[0])
            raise _FaultError(
                Message("presets of unknown features: {names}", names=list(unknown)),
                "presets",
                place,
                "features",
            )
        presets = [preset.title for preset in self.presets]
        if len(set(presets)) < len(presets):
            raise _FaultError(
                Message("two presets have the same title: {titles}", titles=list(presets)),
                "presets",
                0,
            )
        return self

    def _place_of(self, name: str) -> tuple[str, ...]:
        """Return the key that gives a column or an engineered feature this name or alias."""
        if name in self.engineered and name not in self.columns:
            return ("engineered", name)
        owners = (own for own, column in self.columns.items() if name in column.aliases)
        return ("columns", next(owners, name))

    @property
    def digest(self) -> str:
        """SHA-256, 12 digits, of the rules on rows and columns, not of the file's layout.

        Training options and texts are excluded, as they change no prepared set.
        """
        other = {
            "title",
            "question",
            "model",
            "threshold",
            "presets",
            "error_slices",
            "downloads",
            "domain",
        }
        return hashlib.sha256(self.model_dump_json(exclude=other).encode()).hexdigest()[:12]

    @property
    def fingerprint(self) -> str:
        """SHA-256, 12 digits, of all that the file says, texts too; not of its layout."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Columns by which errors are analysed, including the kind of row."""
        return tuple(dict.fromkeys([*(self.error_slices or self.slices), self.rows.column]))

    def fault_of(self, features: Sequence[str]) -> Message | None:
        """Return why these cannot be a model's features; None if they can.

        Examples
        --------
        >>> str(load("kobe").fault_of(["lat", "shot_id"]))
        'the id shot_id must not be a feature'
        """
        known = {*self.columns, *self.engineered}
        if unknown := [name for name in features if name not in known]:
            return Message("not in [columns]: {names}", names=unknown)
        needed = {*features, *self.inputs_of(features)}
        if self.target in needed:
            return Message("the target {target} must not be a feature", target=self.target)
        if self.id in needed:
            return Message("the id {id} must not be a feature", id=self.id)
        twice = sorted({name for name in features if list(features).count(name) > 1})
        return Message("repeated features: {names}", names=twice) if twice else None

    def features_called(self, title: str) -> tuple[str, ...]:
        """Return the feature set with this title.

        Examples
        --------
        >>> load("kobe").features_called("The six of the brief")[:2]
        ('lat', 'lon')
        """
        sets = {feature_set.title: feature_set.features for feature_set in self.feature_sets}
        return {self.features_title: self.features, **sets}[title]

    def inputs_of(self, features: Sequence[str]) -> tuple[str, ...]:
        """Return the raw columns that a model with these features takes, in order.

        Examples
        --------
        >>> load("kobe").inputs_of(["shot_distance", "angle", "seconds_left"])
        ('shot_distance', 'loc_x', 'loc_y', 'minutes_remaining', 'seconds_remaining')
        """
        return tuple(
            dict.fromkeys(
                column
                for name in features
                for column in (
                    self.engineered[name].columns if name in self.engineered else (name,)
                )
            )
        )

    def formulas_of(self, features: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return formula and kind, number or text, of the engineered features.

        Examples
        --------
        >>> load("kobe").formulas_of(["lat", "month"])
        {'month': ('game_date.str.slice(5, 7)', 'text')}
        """
        return {
            name: (self.engineered[name].formula, self.engineered[name].type)
            for name in features
            if name in self.engineered
        }

    def kinds_of(self, names: Sequence[str]) -> dict[str, str]:
        """Return the kind, number or text, of each column or engineered feature.

        Examples
        --------
        >>> load("kobe").kinds_of(["lat", "season", "month"])
        {'lat': 'number', 'season': 'text', 'month': 'text'}
        """
        return {name: "text" if self.is_text(name) else "number" for name in names}

    def about(self, name: str) -> str:
        """Return the meaning of a column or an engineered feature."""
        return (self.engineered.get(name) or self.columns[name]).about

    def is_text(self, name: str) -> bool:
        """Return whether a model treats a column or an engineered feature as categorical."""
        return (self.engineered.get(name) or self.columns[name]).is_text

    def recorded_after(self, name: str) -> bool:
        """Return whether a feature is known only after the predicted event."""
        return any(self.columns[column].recorded == "after" for column in self.inputs_of([name]))


def words(text: Words) -> Message:
    """Return a text of a project file as a message: the shipped project's have a translation.

    A message stays as it is.

    Examples
    --------
    >>> str(words("Kobe Bryant's shots"))
    "Kobe Bryant's shots"
    """
    return text if isinstance(text, Message) else in_context("project", text)


def of(settings: Settings) -> ProjectSpec:
    """Return the project of these settings, from its nested home or from core/projects.

    Raises
    ------
    InputError
        If there is no such project, or its file is invalid.

    Examples
    --------
    >>> of(Settings(home="/srv/courtside")).name
    'kobe'
    """
    if not settings.is_nested:
        return load(settings.project)
    path = settings.home / PROJECT_FILE
    status = path.stat()
    # it can be edited while the app runs
    return _kept(path, settings.project, status.st_mtime_ns, status.st_size)


def load(name: str, folder: Path | None = None) -> ProjectSpec:
    """Load a project by name, from core/projects by default.

    Raises
    ------
    InputError
        If there is no such file, or the project in it is invalid.

    Examples
    --------
    >>> load("curry")
    Traceback (most recent call last):
    core.platform.errors.InputError: There is no project 'curry'. Known: kobe.
    """
    return _read(name, folder or FOLDER)


def _file(name: str, folder: Path) -> Path:
    """Return the file of a project; `<name>.toml` takes precedence."""
    for path in (folder / f"{name}.toml", folder / name / PROJECT_FILE):
        if path.is_file():
            return path
    names = list(built_in(folder))
    raise InputError(
        Message("There is no project '{name}'. Known: {names}.", name=name, names=names)
    )


def built_in(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of the projects that come with the code.

    Examples
    --------
    >>> "kobe" in built_in()
    True
    """
    folder = folder or FOLDER
    names = {path.stem for path in folder.glob("*.toml")}
    return tuple(sorted(names | {path.parent.name for path in folder.glob(f"*/{PROJECT_FILE}")}))


def text_of(name: str) -> str:
    """Return the file of a built-in project.

    Raises
    ------
    InputError
        If there is none.
    """
    return _file(name, FOLDER).read_text(encoding="utf-8")


@lru_cache
def _read(project: str, folder: Path) -> ProjectSpec:
    path = _file(project, folder)
    return parse(path.read_bytes(), path.relative_to(folder).as_posix())


@lru_cache(maxsize=64)
def _kept(path: Path, project: str, changed: int, size: int) -> ProjectSpec:
    name = f"{PROJECTS}/{project}/{PROJECT_FILE}"
    spec = parse(path.read_bytes(), name)
    if spec.name != project:
        raise InputError(
            Message(
                "The project file {name} is of another project: its name is {project}.",
                name=name,
                project=spec.name,
            )
        )
    return spec


def parse(content: str | bytes, name: str = PROJECT_FILE) -> ProjectSpec:
    """Return the project that a file describes.

    Parameters
    ----------
    content : str or bytes
        The file, UTF-8.
    name : str
        Its name in errors.

    Raises
    ------
    InputError
        If it is not TOML, or a rule is violated; with the line, where one is to blame.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return ProjectSpec(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            Message("The project file {name} is not TOML: {error}.", name=name, error=error)
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            Message("The project file {name} is not UTF-8 text: {error}.", name=name, error=error)
        ) from error
    except ValidationError as error:
        fault, key = _fault(error)
        line = toml_lines.line_of(toml_lines.lines(text), key)
        if line is None:
            raise InputError(
                Message("The project file {name} cannot be used: {fault}", name=name, fault=fault)
            ) from error
        raise InputError(
            Message(
                "The project file {name} cannot be used in line {line}: {fault}",
                name=name,
                line=line,
                fault=fault,
            )
        ) from error


def _fault(error: ValidationError) -> tuple[Message, tuple[str | int, ...]]:
    """Return the fault in a sentence, and the key of the file that it concerns."""
    first = error.errors()[0]
    if first["type"] != "value_error":
        return sentence(error), first["loc"]
    # one of our own rules; pydantic would append the whole file
    where = ".".join(str(part) for part in first["loc"])
    fault = first["ctx"]["error"]
    key = (*first["loc"], *getattr(fault, "key", ()))
    if where:
        return Message("{where}: {reason}.", where=where, reason=words_of(fault)), key
    return Message("{reason}.", reason=words_of(fault)), key


def sample_tables(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the calibration tables of the project's built-in sample.

    Raises
    ------
    InputError
        If the project has no sample.
    """
    folder = folder or FOLDER
    spec = load(name, folder) if name in built_in(folder) else None
    if spec is None or spec.sample is None:
        raise InputError(
            Message(
                "The project '{name}' has no built-in sample. Acquire a file instead.", name=name
            )
        )
    return _tables(_file(name, folder).with_name(spec.sample.tables))


@lru_cache
def _tables(path: Path) -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tables
