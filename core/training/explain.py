"""explain: what a candidate's probabilities depend on, globally or for a single row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from core.platform import config, model_store, project, schema, steps, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message, Words
from core.platform.own_columns import LABEL, PROBABILITY, ROW
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, Progress, Record, counted
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.training import candidates as kinds
from core.training import explanation, explanation_charts, shap_values
from core.training.records import ExplanationRun

Places = npt.NDArray[np.int64]
# Rows for permutation importance: fewer make the interval of a weak feature wide.
IMPORTANCE_ROWS = 2000
# Rows that represent all in the partial dependence: see decision 0015.
PARTIAL_ROWS = 300
# Stored figures of partial dependence; the table has all features.
PARTIAL_FIGURES = 6


class Options(config.Options):
    """Which candidate to explain, on which rows.

    Parameters
    ----------
    target : str
        An alias (`champion`, `challenger`), a version number, or the run id of a candidate, which
        need not be registered.
    rows : int
        Test rows whose contributions are computed, 10 to 2,000; all if there are fewer.
    row : dict of str to (float, str or None), optional
        A value per input of the model: only this row is explained.
    test_row : str, optional
        Id of a test row: only this row is explained, and its label is recorded.
    around : bool
        Whether to compute how a single row's probability changes with each input and, where the
        project has a court, with the place on it.
    repeats : int
        Shuffles of each feature, 2 to 100.
    orders : int, optional
        Random orders in which a row's features are added, 1 to 100; by default 1, and 5 for a
        single row. More orders are more exact and take proportionally longer.
    seed : int
        Random seed.
    """

    target: str = Field(
        "challenger", pattern=r"^([0-9a-f]{32}|[a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$"
    )
    rows: int = Field(150, ge=10, le=2000)
    row: dict[str, float | str | None] | None = None
    test_row: str | None = Field(None, min_length=1, max_length=100)
    around: bool = False
    repeats: int = Field(5, ge=2, le=100)
    orders: int | None = Field(None, ge=1, le=100)
    seed: int = Field(42, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _has_a_single_row(self) -> Options:
        if self.row is not None and self.test_row is not None:
            raise config.excluded("row", "test_row")
        if self.around and not self.is_single:
            raise config.needs("around", "row")
        return self

    @property
    def is_single(self) -> bool:
        """Whether a single row is explained."""
        return self.row is not None or self.test_row is not None


@dataclass(frozen=True)
class Result:
    """What was explained.

    Parameters
    ----------
    version : str
        Version number; empty for a candidate named by its run.
    base : float
        Mean probability of the background rows.
    strongest : str
        The feature with the largest (mean absolute) contribution.
    probability : float or None
        Probability of the single row; None without one.
    """

    run_id: str
    version: str
    base: float
    rows: int
    strongest: str
    probability: float | None


@dataclass(frozen=True)
class _Subject:
    """The model and the test set of its training run.

    `partial` are the rows that represent all in the partial dependence.
    """

    version: ModelVersion
    predict: explanation.Predict
    tested: pd.DataFrame
    features: pd.DataFrame
    background: pd.DataFrame
    partial: pd.DataFrame


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Explain a registered version or a candidate, as the run `Explicacao`.

    Importance, contributions and partial dependence are computed on the test set in the
    candidate's training run. So is the background, which replaces absent features: a run stores no
    training rows. With `row` or `test_row`, only this row's contributions are computed. If the
    classifier was refitted on all labelled rows, a given `row` is explained with the served model,
    and everything else with the evaluated one, which has not seen these rows.

    Raises
    ------
    NotReadyError
        When the version or candidate does not exist, or its run has no test set.
    InputError
        When the row cannot be used.
    StoreError
        When the classifier's files have changed.
    """
    spec = project.of(settings)
    with tracking.step_run(settings, "explain", options, progress) as run_id:
        version = find(settings, spec.model, options.target)
        progress.update(0.02, Message("Reading the rows"))
        model = version_files.load(settings, version, evaluated=options.row is None)
        frame = None if options.row is None else _as_frame(spec, version, options.row)
        single = None if frame is None else model.features(frame)
        tested = tracking.table(settings, version.run_id, "test_predictions").reset_index(drop=True)
        features = model.features(tested)
        probabilities = tested[PROBABILITY].to_numpy(dtype=np.float64)
        subject = _Subject(
            version,
            model.probabilities,
            tested,
            features,
            shap_values.background(features, probabilities),
            shap_values.background(features, probabilities, PARTIAL_ROWS),
        )
        label = None
        if options.test_row is not None:
            place = _place(settings, spec, version, options.test_row)
            single, label = features.iloc[[place]], float(tested[LABEL].iloc[place])
            frame = tested.iloc[[place]][list(version.inputs)]
        if single is not None:
            progress.update(0.3, _explained(0, 1))
            contributions, record = _of_row(subject, single, label, options)
            if options.around and frame is not None:
                progress.update(0.6, _explained(0, 1))
                record = _with_surroundings(record, spec, model, frame, tested)
        else:
            contributions, record = _in_general(subject, options, progress)
        progress.update(0.97, Message("Writing the results"))
        tracking.log(settings, run_id, record)
        strongest = str(shap_values.global_contributions(contributions.values)["feature"].iloc[0])
        progress.update(1.0, Message("{feature} affects the probability most", feature=strongest))
    probability = None if single is None else float(contributions.probabilities[0])
    return Result(
        run_id,
        version.version,
        contributions.base,
        len(contributions.values),
        strongest,
        probability,
    )


def find(settings: Settings, model: str, target: str) -> ModelVersion:
    """Return the version or candidate that the option `target` names; raises as `run` does."""
    if len(target) == 32:
        return version_files.candidate(settings, model, target)
    return model_store.require_version(settings, model, target)


def called(version: ModelVersion) -> Words:
    """Return the display name of a version, or of a candidate without a number."""
    kind = version.about.candidate
    title = kinds.title(kind) if kind else Message("candidate")
    if not version.version:
        return title
    number = Message("version {version}", version=version.version)
    return Message("{first}, {second}", first=number, second=title)


def predicted_rows(options: Options, features: int, rows: int) -> int:
    """Return the largest number of rows a model has to predict, which determines the run time.

    Parameters
    ----------
    features, rows : int
        Of the model, and of its test set.

    Examples
    --------
    >>> predicted_rows(Options(rows=100), features=17, rows=4000)
    622000
    """
    per_row = shap_values.evaluations(features, options.orders or 1) * shap_values.BACKGROUND_ROWS
    shuffled = features * options.repeats * min(IMPORTANCE_ROWS, rows)
    varied = features * explanation.GRID_POINTS * min(PARTIAL_ROWS, rows)
    return min(options.rows, rows) * per_row + shuffled + varied


def _place(settings: Settings, spec: ProjectSpec, version: ModelVersion, test_row: str) -> int:
    """Return the position in the test set of the row with that id; InputError if there is none."""
    ids = tracking.table(settings, version.trained_by, "test_rows")[spec.id].astype(str).to_numpy()
    places = np.flatnonzero(ids == test_row)
    if not len(places):
        raise InputError(
            Message(
                "No row of the test set has the {column} {id}. Choose another, or enter the "
                "values.",
                column=spec.id,
                id=test_row,
            )
        )
    return int(places[0])


def _as_frame(
    spec: ProjectSpec, version: ModelVersion, row: dict[str, float | str | None]
) -> pd.DataFrame:
    """Return the inputs of a single row as a frame.

    Raises
    ------
    InputError
        When a value is missing or invalid, or a column is not an input of the model.
    """
    columns = schema.chosen_columns(spec, version.inputs)
    if unknown := [name for name in row if name not in columns]:
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.",
                name=unknown[0],
                names=list(version.inputs),
            )
        )
    frame = pd.DataFrame({name: [row.get(name)] for name in version.inputs})
    settled = schema.validate(frame, columns).frame
    if version.is_complete and (empty := settled.columns[settled.isna().any()].tolist()):
        raise InputError(
            Message(
                "No value for {columns}, and this model imputes none. Fill in what is missing.",
                columns=empty,
            )
        )
    return settled


def _of_row(
    subject: _Subject, row: pd.DataFrame, label: float | None, options: Options
) -> tuple[shap_values.Contributions, Record]:
    contributions = shap_values.contributions(
        subject.predict, row, subject.background, seed=options.seed, orders=options.orders or 5
    )
    table = shap_values.long(contributions, row).drop(columns="row")
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    probability = float(contributions.probabilities[0])
    return contributions, _record(
        subject,
        contributions,
        "row",
        metrics={"probability": probability, **({} if label is None else {"label": label})},
        tables={"contributions": table.loc[order].reset_index(drop=True)},
        figures={
            "contributions": explanation_charts.waterfall(
                table, contributions.base, probability
            ).to_dict()
        },
    )


def _with_surroundings(
    record: Record,
    spec: ProjectSpec,
    model: version_files.Loaded,
    row: pd.DataFrame,
    tested: pd.DataFrame,
) -> Record:
    """Add how the row's probability changes with each input, and with its place."""
    inputs = tested[list(model.inputs)]
    tables = {"along": explanation.along(model.predict, row, inputs)}
    metrics: dict[str, float] = {}
    figures: dict[str, dict[str, object]] = {}
    court_map = part(spec.name, "court_map")
    if court_map is not None and court_map.place_columns(spec, list(model.inputs)):
        cells = court_map.probability_map(model.predict, spec, row, inputs)
        tables["map"] = cells
        metrics = {"cells_map": len(cells), "cells_without_rows": int((cells["rows"] == 0).sum())}
        place = court_map.place_of(spec, row).iloc[0]
        figures["map"] = court_map.court_chart(
            cells,
            None if place.isna().any() else (float(place["x"]), float(place["y"])),
            threshold=model.threshold,
            positive=str(project.words(spec.positive)),
            clickable=False,
        ).to_dict()
    return replace(
        record,
        tables={**record.tables, **tables},
        metrics={**record.metrics, **metrics},
        figures={**record.figures, **figures},
    )


def _in_general(
    subject: _Subject, options: Options, progress: Progress
) -> tuple[shap_values.Contributions, Record]:
    rng = np.random.default_rng(options.seed)
    shuffled = _drawn(subject.features, IMPORTANCE_ROWS, rng)
    important = explanation.importance(
        subject.predict,
        subject.features.iloc[shuffled],
        subject.tested[LABEL].to_numpy(dtype=np.int64)[shuffled],
        repeats=options.repeats,
        seed=options.seed,
        on_feature=_reporter(progress, 0.05, 0.3),
    )
    chosen = _drawn(subject.features, options.rows, rng)
    rows = subject.features.iloc[chosen]
    contributions = shap_values.contributions(
        subject.predict,
        rows,
        subject.background,
        seed=options.seed,
        orders=options.orders or 1,
        on_row=_reporter(progress, 0.3, 0.8),
    )
    report = _reporter(progress, 0.8, 0.97)
    parts = []
    for place, name in enumerate(subject.features):
        part = explanation.partial_dependence(
            subject.predict, subject.features, str(name), over=subject.partial
        )
        parts.append(part)
        report(place + 1, subject.features.shape[1])
    size = shap_values.global_contributions(contributions.values)
    by_row = shap_values.long(contributions, rows)
    partial = pd.concat(parts, ignore_index=True)
    by_feature = dict(tuple(partial.groupby("feature")))
    return contributions, _record(
        subject,
        contributions,
        "model",
        metrics={
            "rows_importance": len(shuffled),
            **{
                f"importance_{name}": float(mean)
                for name, mean in zip(important["feature"], important["mean"], strict=True)
            },
            **{
                f"contribution_{name}": float(mean)
                for name, mean in zip(size["feature"], size["mean"], strict=True)
            },
        },
        tables={
            "importance": important,
            "shap": by_row,
            "shap_rows": subject.tested.iloc[chosen].rename_axis(ROW).reset_index(),
            "partial": partial,
        },
        figures={
            "importance": explanation_charts.importance_bars(important).to_dict(),
            "shap": explanation_charts.contribution_strip(by_row).to_dict(),
            **{
                f"partial_{name}": explanation_charts.partial_dependence(by_feature[name]).to_dict()
                for name in size["feature"].head(PARTIAL_FIGURES)
                if name in by_feature
            },
        },
    )


def _record(
    subject: _Subject,
    contributions: shap_values.Contributions,
    explained: str,
    *,
    metrics: dict[str, float],
    tables: dict[str, pd.DataFrame],
    figures: dict[str, dict[str, object]],
) -> Record:
    version = subject.version
    return Record(
        params={
            "model": version.name,
            "candidate": version.about.candidate,
            **({"version": version.version} if version.version else {}),
        },
        metrics={
            "base": contributions.base,
            "rows_explained": len(contributions.values),
            "rows_background": len(subject.background),
            **metrics,
        },
        tags=ExplanationRun(
            model_run=version.run_id, version=version.version or None, explained=explained
        ).write(),
        is_sample=version.is_sample,
        tables=tables,
        figures=figures,
        datasets=(Dataset("test_data", subject.tested, f"run-{version.run_id}", "testing"),),
    )


def _drawn(features: pd.DataFrame, rows: int, rng: np.random.Generator) -> Places:
    count = len(features)
    return np.sort(rng.choice(count, min(rows, count), replace=False))


def _explained(done: int, total: int) -> Message:
    return counted(steps.named("explain").title, done, total)


def _reporter(progress: Progress, start: float, end: float) -> explanation.OnProgress:
    def report(done: int, total: int) -> None:
        progress.update(start + (end - start) * done / total, _explained(done, total))

    return report
