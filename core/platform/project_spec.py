"""What a project file says: what is predicted, from which columns, on which rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from core.platform import formulas, own_columns, project_checks, project_defaults
from core.platform.config import Options
from core.platform.errors import words_of
from core.platform.messages import Message
from core.platform.project_parts import (
    Column,
    Court,
    Download,
    Engineered,
    FaultError,
    FeatureSet,
    Identity,
    Place,
    Preset,
    Reason,
    Rows,
    Sample,
)

# Keys that change no prepared set: texts, and what is for training or the default of an option.
_NO_RULES = (
    "title",
    "question",
    "icon",
    "model",
    "threshold",
    "former_features_title",
    "presets",
    "error_slices",
    "downloads",
    "domain",
    "threshold_by",
    "cost_false_positive",
    "cost_false_negative",
    "balanced",
    "metric",
    "missing",
    "allowed",
)
_OF_ROWS = {"column", "development", "development_name", "production", "production_name"}


class ProjectSpec(Options):
    """What is predicted, from which columns, on which rows.

    Parameters
    ----------
    icon : str
        A pictogram for the browser's tab.
    domain : str
        What the rows are about, for whom and why, in a few sentences for the documents.
    target : str
        Column of type `label`; `positive` and `negative` are the words for 1 and 0.
    id : str
        Unique column; rows are sorted by it. By default one that Courtside derives from the number
        of the row and its values.
    time : str, optional
        Column with the time of a row, for a split by time.
    group : str, optional
        Column that identifies related rows (a game, a customer); a split by group keeps them
        together.
    weights : str, optional
        Column of sampling weights, positive numbers; no feature.
    threshold : float
        Probability from which a row is labelled `positive`.
    threshold_by : {"fixed", "f1", "cost"}
        How Train chooses the threshold of a candidate, unless its options say otherwise:
        `threshold` itself, the highest F1, or the lowest cost of errors.
    cost_false_positive, cost_false_negative : float
        Cost of either kind of error, for "cost".
    balanced : bool
        Default of Train's option of that name: whether the classes weigh the same.
    metric : {"log_loss", "average_precision", "roc_auc"}
        The metric that pages and documents show first. The best candidate has the lowest log loss
        whatever is shown first.
    missing : {"drop", "drop_inputs", "impute"}
        Default of Prepare's option of that name.
    missing_values : tuple of str
        What the source writes for a missing value in columns that are not text; see `Column`.
    left_out : dict of str to str
        Columns of the source that are no features, and the code of the reason. Those that are not
        in `columns` are not read.
    allowed : tuple of str
        Features that are used despite a finding that they may reveal the label.
    features : tuple of str
        The default features, columns or engineered; `features_title` is their title, and
        `former_features_title` what it was when sets were prepared whose digest has it.
    feature_sets : tuple of FeatureSet
        Alternatives to choose from.
    presets : tuple of Preset
        Options of Prepare and Train that belong together.
    slices : tuple of str
        Columns with few values, for filtering and comparing rows.
    error_slices : tuple of str
        Columns by which errors are analysed; default `slices`.
    place : Place or None
        Two columns with the place of a row, for a map or any plane.
    court : Court or None
        Only for a project whose rows are places on a basketball court.
    sample : Sample or None
        Only for a project with a built-in sample.

    Examples
    --------
    >>> from core.platform.project import load
    >>> spec = load("kobe")
    >>> spec.target, len(spec.features), len(spec.columns)
    ('shot_made_flag', 6, 25)
    """

    name: str
    title: str
    question: str
    icon: str = ""
    domain: str = ""
    model: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    target: str
    positive: str
    negative: str
    id: str = own_columns.ID
    time: str | None = None
    group: str | None = None
    weights: str | None = None
    threshold: float = Field(0.5, ge=0, le=1)
    threshold_by: Literal["fixed", "f1", "cost"] = "fixed"
    cost_false_positive: float = Field(1.0, ge=0, le=1e9)
    cost_false_negative: float = Field(1.0, ge=0, le=1e9)
    balanced: bool = False
    metric: Literal["log_loss", "average_precision", "roc_auc"] = "log_loss"
    missing: Literal["drop", "drop_inputs", "impute"] = "drop"
    missing_values: tuple[str, ...] = ()
    left_out: dict[str, Reason] = Field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    features: tuple[str, ...] = Field(min_length=1)
    features_title: str = "Default"
    former_features_title: str = ""
    feature_sets: tuple[FeatureSet, ...] = ()
    presets: tuple[Preset, ...] = ()
    slices: tuple[str, ...] = ()
    error_slices: tuple[str, ...] = ()
    rows: Rows
    place: Place | None = None
    court: Court | None = None
    sample: Sample | None = None
    downloads: tuple[Download, ...] = ()
    columns: dict[str, Column]
    engineered: dict[str, Engineered] = Field(default_factory=dict)
    identities: tuple[Identity, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _derives_columns(cls, given: Any) -> Any:
        return project_defaults.completed(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _named_columns_exist(self) -> ProjectSpec:
        missing = {name: key for key, name in self._named() if name not in self.columns}
        if missing:
            first = next(iter(missing.values()))
            raise FaultError(
                Message("not in {table}: {names}", table="[columns]", names=list(missing)), *first
            )
        if self.columns[self.target].type != "label":
            raise FaultError(
                Message("{column} must be of type {type}", column=self.target, type="label"),
                "columns",
                self.target,
                "type",
            )
        project_checks.roles(self)
        return self

    def _named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield each key of the file that names a column, and the name."""
        yield from ((("target",), self.target), (("id",), self.id))
        yield ("rows", "column"), self.rows.of or self.rows.column
        yield from ((("slices",), name) for name in self.slices)
        yield from ((("error_slices",), name) for name in self.error_slices)
        for name in ("time", "group", "weights"):
            if column := getattr(self, name):
                yield (name,), column
        for table, axes in (("court", self.court), ("place", self.place)):
            if axes:
                yield (table, "x"), axes.x
                yield (table, "y"), axes.y
        yield from ((("allowed",), name) for name in self.allowed if name not in self.engineered)
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
        tried: list[tuple[tuple[str | int, ...], str, str]] = [
            (("engineered", name, "formula"), feature.type, feature.formula)
            for name, feature in self.engineered.items()
        ]
        tried += [
            (("identities", place, "formula"), "number", identity.formula)
            for place, identity in enumerate(self.identities)
        ]
        for key, kind, formula in tried:
            try:
                formulas.give(
                    formula, kind, {name: column.type for name, column in self.columns.items()}
                )
            except ValueError as error:
                raise FaultError(words_of(error), *key) from error
        return self

    @model_validator(mode="after")
    def _nothing_is_its_own_opposite(self) -> ProjectSpec:
        for key, features in self._feature_lists():
            if fault := self.fault_of(features):
                raise FaultError(fault, *key)
        if self.rows.development == self.rows.production:
            raise FaultError(
                Message(
                    "{keys} must differ: {values}",
                    keys=["development", "production"],
                    values=self.rows.production,
                ),
                "rows",
                "production",
            )
        if both := [name for name in self.features if name in self.left_out]:
            raise FaultError(
                Message("{keys} must differ: {values}", keys=["features", "left_out"], values=both),
                "left_out",
                both[0],
            )
        if self.positive == self.negative:
            raise FaultError(
                Message(
                    "{keys} must differ: {values}",
                    keys=["positive", "negative"],
                    values=self.positive,
                ),
                "negative",
            )
        return self

    @model_validator(mode="after")
    def _a_name_means_one_thing(self) -> ProjectSpec:
        project_checks.names(self)
        return self

    @property
    def digest(self) -> str:
        """SHA-256, 12 digits, of the rules on rows and columns, not of the file's layout.

        Training options and texts are excluded, as they change no prepared set.
        """
        other: dict[str, Any] = dict.fromkeys(_NO_RULES, True)
        # what files of before did not have counts only where it is used
        other |= {
            name: True
            for name in ("weights", "left_out", "place", "missing_values")
            if not getattr(self, name)
        }
        other["columns"] = {
            name: {"missing_values"}
            for name, column in self.columns.items()
            if not column.missing_values
        }
        if not self.rows.is_derived:
            other["rows"] = set(type(self.rows).model_fields) - _OF_ROWS
        titled = {"features_title": self.former_features_title or self.features_title}
        ruled = self.model_copy(update=titled).model_dump_json(exclude=other)
        return hashlib.sha256(ruled.encode()).hexdigest()[:12]

    @property
    def derived(self) -> tuple[str, ...]:
        """The columns that are in no source, because Courtside derives them."""
        return tuple(name for name in (own_columns.ID, own_columns.PART) if name in self.columns)

    @property
    def source_columns(self) -> dict[str, Column]:
        """The columns that a source has."""
        return {name: column for name, column in self.columns.items() if name not in self.derived}

    @property
    def fingerprint(self) -> str:
        """SHA-256, 12 digits, of all that the file says, texts too; not of its layout."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Columns by which errors are analysed, including the kind of row."""
        is_kind = self.rows.by not in ("random", "none")
        kind = (self.rows.column,) if is_kind else ()
        return tuple(dict.fromkeys([*(self.error_slices or self.slices), *kind]))

    def fault_of(self, features: Sequence[str]) -> Message | None:
        """Return why these cannot be a model's features; None if they can.

        Examples
        --------
        >>> from core.platform.project import load
        >>> str(load("kobe").fault_of(["lat", "shot_id"]))
        'features and id must differ: shot_id'
        """
        known = {*self.columns, *self.engineered}
        if unknown := [name for name in features if name not in known]:
            return Message("not in {table}: {names}", table="[columns]", names=unknown)
        needed = {*features, *self.inputs_of(features)}
        roles = {"target": self.target, "id": self.id, "weights": self.weights}
        for role, column in {**roles, "rows": own_columns.PART}.items():
            if column in needed:
                return Message(
                    "{keys} must differ: {values}", keys=["features", role], values=column
                )
        twice = sorted({name for name in features if list(features).count(name) > 1})
        return Message("used more than once: {names}", names=twice) if twice else None

    def features_called(self, title: str) -> tuple[str, ...]:
        """Return the feature set with this title.

        Examples
        --------
        >>> from core.platform.project import load
        >>> load("kobe").features_called("Place and time of the shot")[:2]
        ('lat', 'lon')
        """
        sets = {feature_set.title: feature_set.features for feature_set in self.feature_sets}
        return {self.features_title: self.features, **sets}[title]

    def inputs_of(self, features: Sequence[str]) -> tuple[str, ...]:
        """Return the raw columns that a model with these features takes, in order.

        Examples
        --------
        >>> from core.platform.project import load
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
        >>> from core.platform.project import load
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
        >>> from core.platform.project import load
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
