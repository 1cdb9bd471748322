"""explain: say what a registered model's probabilities hang on, in general or for a single row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from core import config, project, schema
from core.adapters import registry, tracking
from core.config import Settings
from core.errors import InputError
from core.logic import explanation, explanation_charts
from core.project import ProjectSpec
from core.record import SILENT, Dataset, Progress, Record

Places = npt.NDArray[np.int64]
# Rows on which features are shuffled: with fewer, the interval of a weak feature is wide.
IMPORTANCE_ROWS = 2000
# Figures of partial dependence that are kept; the table has all features.
PARTIAL_FIGURES = 6


class Options(config.Options):
    """Which version to explain, on which rows.

    Parameters
    ----------
    target : str
        An alias (`champion`, `challenger`) or a version number.
    rows : int
        Rows of the test set whose contributions are computed, 10 to 2,000; all where there are
        fewer.
    row : dict of str to (float, str or None), optional
        A value per input of the model: then this row alone is explained.
    repeats : int
        Shuffles of each feature, 2 to 100.
    orders : int, optional
        Random orders in which a row's features are added, 1 to 100; by default 2, and 5 for a
        single row. More orders are more exact and take as many times longer.
    seed : int
        Of all that is drawn, 0 or more.
    """

    target: str = Field("challenger", pattern=r"^([a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$")
    rows: int = Field(300, ge=10, le=2000)
    row: dict[str, float | str | None] | None = None
    repeats: int = Field(10, ge=2, le=100)
    orders: int | None = Field(None, ge=1, le=100)
    seed: int = Field(42, ge=0, le=2**31 - 1)


@dataclass(frozen=True)
class Result:
    """What was explained.

    Parameters
    ----------
    base : float
        Mean probability of the background rows.
    rows : int
        Explained rows.
    strongest : str
        The feature with the largest (mean absolute) contribution.
    probability : float or None
        Of the single row; None where there is none.
    """

    run_id: str
    version: str
    base: float
    rows: int
    strongest: str
    probability: float | None


@dataclass(frozen=True)
class _Known:
    """The model, and the rows it is asked about: the test set that its training run kept."""

    version: tracking.ModelVersion
    predict: explanation.Predict
    tested: pd.DataFrame
    features: pd.DataFrame
    background: pd.DataFrame


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Explain a registered version, as the run `Explicacao`.

    Importance, contributions and partial dependence are those of the test set that the version's
    own training run kept. The background, from which absent features are taken, comes from it too:
    a run keeps no training rows. With `row`, only this row's contributions are computed. Where the
    classifier was fitted again on all labelled rows, a row is explained by the one that is served,
    and all else by the one that the test figures are of, which has not seen these rows.

    Raises
    ------
    NotReadyError
        When there is no such version, or its run kept no test set.
    InputError
        When the row cannot be used.
    StoreError
        When the version's files are not those that were registered.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "explain", options, progress) as run_id:
        version = tracking.require_version(settings, spec.model, options.target)
        progress.update(0.02, f"Loading version {version.version}")
        model = registry.load(settings, version, evaluated=options.row is None)
        single = None
        if options.row is not None:
            single = model.features(_given(spec, version, options.row))
        tested = tracking.table(settings, version.run_id, "test_predictions").reset_index(drop=True)
        features = model.features(tested)
        known = _Known(
            version, model.probabilities, tested, features,
            explanation.background(features, tested["probability"].to_numpy(dtype=np.float64)),
        )  # fmt: skip
        if single is not None:
            progress.update(0.3, "Asking the model about the row")
            found, record = _of_row(known, single, options)
        else:
            found, record = _in_general(known, options, progress)
        progress.update(0.97, "Keeping the explanation")
        tracking.log(settings, run_id, record)
        strongest = str(explanation.global_contributions(found.values)["feature"].iloc[0])
        progress.update(1.0, f"{strongest} moves the probability most")
    probability = None if single is None else float(found.probabilities[0])
    return Result(run_id, version.version, found.base, len(found.values), strongest, probability)


def _given(
    spec: ProjectSpec, version: tracking.ModelVersion, row: dict[str, float | str | None]
) -> pd.DataFrame:
    """Return the inputs of a single row as a frame.

    Raises
    ------
    InputError
        When a value is missing or none of its column's, or a column is none of the model's.
    """
    columns = schema.chosen_columns(spec, version.inputs)
    if unknown := [name for name in row if name not in columns]:
        raise InputError(
            f"The model takes no {', '.join(unknown)}. It takes: {', '.join(version.inputs)}."
        )
    given = pd.DataFrame({name: [row.get(name)] for name in version.inputs})
    settled = schema.validate(given, columns).frame
    if version.is_complete and (empty := settled.columns[settled.isna().any()].tolist()):
        raise InputError(
            f"The row has no value for {', '.join(empty)}, and this model imputes none. Fill in "
            "what is missing."
        )
    return settled


def _of_row(
    known: _Known, row: pd.DataFrame, options: Options
) -> tuple[explanation.Contributions, Record]:
    found = explanation.contributions(
        known.predict, row, known.background, seed=options.seed, orders=options.orders or 5
    )
    table = explanation.long(found, row).drop(columns="row")
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    probability = float(found.probabilities[0])
    return found, _record(
        known, found, "row",
        metrics={"probability": probability},
        tables={"contributions": table.loc[order].reset_index(drop=True)},
        figures={
            "contributions": explanation_charts.waterfall(table, found.base, probability).to_dict()
        },
    )  # fmt: skip


def _in_general(
    known: _Known, options: Options, progress: Progress
) -> tuple[explanation.Contributions, Record]:
    rng = np.random.default_rng(options.seed)
    shuffled = _drawn(known.features, IMPORTANCE_ROWS, rng)
    important = explanation.importance(
        known.predict, known.features.iloc[shuffled],
        known.tested["label"].to_numpy(dtype=np.int64)[shuffled],
        repeats=options.repeats, seed=options.seed,
        on_feature=_telling(progress, 0.05, 0.3, "Shuffling features: {} of {}"),
    )  # fmt: skip
    chosen = _drawn(known.features, options.rows, rng)
    rows = known.features.iloc[chosen]
    found = explanation.contributions(
        known.predict, rows, known.background, seed=options.seed, orders=options.orders or 2,
        on_row=_telling(progress, 0.3, 0.8, "Contributions: {} of {} rows"),
    )  # fmt: skip
    told = _telling(progress, 0.8, 0.97, "Partial dependence: {} of {} features")
    parts = []
    for place, name in enumerate(known.features):
        part = explanation.partial_dependence(
            known.predict, known.features, str(name), seed=options.seed
        )
        parts.append(part)
        told(place + 1, known.features.shape[1])
    size = explanation.global_contributions(found.values)
    contributions = explanation.long(found, rows)
    partial = pd.concat(parts, ignore_index=True)
    by_feature = dict(tuple(partial.groupby("feature")))
    return found, _record(
        known, found, "model",
        metrics={
            "rows_importance": len(shuffled),
            **{f"importance_{name}": float(mean)
               for name, mean in zip(important["feature"], important["mean"], strict=True)},
            **{f"contribution_{name}": float(mean)
               for name, mean in zip(size["feature"], size["mean"], strict=True)},
        },
        tables={
            "importance": important,
            "shap": contributions,
            "shap_rows": known.tested.iloc[chosen].rename_axis("row").reset_index(),
            "partial": partial,
        },
        figures={
            "importance": explanation_charts.importance_bars(important).to_dict(),
            "shap": explanation_charts.contribution_strip(contributions).to_dict(),
            **{f"partial_{name}": explanation_charts.partial_dependence(
                by_feature[name]).to_dict()
               for name in size["feature"].head(PARTIAL_FIGURES) if name in by_feature},
        },
    )  # fmt: skip


def _record(
    known: _Known,
    found: explanation.Contributions,
    explained: str,
    *,
    metrics: dict[str, float],
    tables: dict[str, pd.DataFrame],
    figures: dict[str, dict[str, object]],
) -> Record:
    version = known.version
    return Record(
        params={"model": version.name, "version": version.version},
        metrics={
            "base": found.base,
            "rows_explained": len(found.values),
            "rows_background": len(known.background),
            **metrics,
        },
        tags={
            tracking.TAG + "model_run": version.run_id,
            tracking.TAG + "version": version.version,
            tracking.TAG + "explained": explained,
        },
        is_sample=version.is_sample,
        tables=tables,
        figures=figures,
        datasets=(Dataset("test_data", known.tested, f"run-{version.run_id}", "testing"),),
    )


def _drawn(features: pd.DataFrame, rows: int, rng: np.random.Generator) -> Places:
    count = len(features)
    return np.sort(rng.choice(count, min(rows, count), replace=False))


def _telling(progress: Progress, start: float, end: float, text: str) -> explanation.Told:
    def told(done: int, total: int) -> None:
        progress.update(start + (end - start) * done / total, text.format(done, total))

    return told
