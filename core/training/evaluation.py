"""Evaluation of a candidate: threshold, test metrics, curves, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.platform import project
from core.platform.messages import Message, Words, _, in_words
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.stats import calibration, comparison, curves, metrics, places, slices, weighted_figures
from core.stats import thresholds as choosing
from core.stats.charts import models as model_charts
from core.stats.metrics import Floats, Labels
from core.stats.thresholds import Choice
from core.training import candidates as kinds
from core.training import evaluation_charts

AimName = Literal["project", "f1", "balanced", "cost"]
# tables of all candidates that the training's own run combines
TOGETHER = ("folds", "roc", "pr", "gain", "calibration", "confusion")
VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True)
class Aim:
    """The criterion for the threshold, and the cost of either kind of error."""

    name: AimName = "project"
    cost_false_positive: float = 1.0
    cost_false_negative: float = 1.0


@dataclass(frozen=True)
class Validated:
    """The cross-validation result of a candidate.

    Parameters
    ----------
    id : str
        Name of the candidate, as for `candidates.title`.
    folds : DataFrame
        `fold` and one column per metric.
    forecasts : DataFrame
        `label` and out-of-fold `probability` of each training row.
    weights : array of float, optional
        Sampling weight of each of these rows.
    """

    id: str
    folds: pd.DataFrame
    forecasts: pd.DataFrame
    weights: Floats | None = None


@dataclass(frozen=True)
class Evaluated:
    """The complete evaluation of a candidate.

    Parameters
    ----------
    choice : Choice
        Its threshold, chosen on the validation folds.
    probabilities : array of float
        Predicted probabilities of the test rows.
    metrics : mapping of str to float
        `<name>_cv`, `<name>_cv_std`, `<name>_test`, `<name>_test_low`, `<name>_test_high`.
    summary : mapping of str to value
        Its row of the comparison.
    tables : mapping of str to DataFrame
        Curves, validation predictions, thresholds, slices, court.
    figures : mapping of str to dict
        Vega-Lite specifications.
    """

    id: str
    choice: Choice
    probabilities: Floats
    metrics: Mapping[str, float]
    summary: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, dict[str, Any]]

    @property
    def title(self) -> Words:
        """The display name."""
        return kinds.title(self.id)

    @property
    def log_loss_cv(self) -> float:
        """The mean log loss of the folds, which selects the best candidate."""
        return float(self.summary["log_loss_cv"])


def evaluate(
    spec: ProjectSpec,
    aim: Aim,
    validated: Validated,
    labels: Labels,
    probabilities: Floats,
    rows: pd.DataFrame,
) -> Evaluated:
    """Evaluate a candidate's predictions for the test set.

    The threshold is chosen on the out-of-fold predictions, never on the test set.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1, of the test set.
    probabilities : array of float, shape (n,)
        Probability of 1, of the test set.
    rows : DataFrame, n rows
        The test set with all of the project's columns.
    """
    choice = choose(spec, aim, validated.forecasts, validated.weights)
    weights = None if spec.weights is None else rows[spec.weights].to_numpy(dtype=np.float64)
    measured = (labels, probabilities, choice.threshold)
    on_test = weighted_figures.figures(*measured, weights)
    spans = weighted_figures.intervals(*measured, weights)
    cv = validated.folds.drop(columns="fold")
    tables = _tables(spec, validated, choice.threshold, labels, probabilities, rows, weights)
    name = in_words(kinds.title(validated.id), "en")
    return Evaluated(
        validated.id,
        choice,
        probabilities,
        {
            **{f"{key}_cv": float(cv[key].mean()) for key in cv},
            **{f"{key}_cv_std": float(cv[key].std(ddof=0)) for key in cv},
            **{f"{key}_test": value for key, value in on_test.items()},
            "calibration_test": on_test["mean_probability"] - on_test["base_rate"],
            **_calibration(labels, probabilities, weights),
            **_ends(spans),
        },
        {
            "model": validated.id,
            "name": kinds.title(validated.id),
            "log_loss_cv": float(cv["log_loss"].mean()),
            "log_loss_cv_std": float(cv["log_loss"].std(ddof=0)),
            "threshold": choice.threshold,
            "positive_rate_test": on_test["positive_rate"],
            **{f"{key}_test": on_test[key] for key in metrics.TITLES if key in on_test},
            **_ends({key: ends for key, ends in spans.items() if key in metrics.TITLES}),
        },
        tables,
        {
            "roc": model_charts.roc_curve(tables["roc"].assign(model=name)).to_dict(),
            "calibration": model_charts.calibration_curve(
                tables["calibration"].assign(model=name)
            ).to_dict(),
            "confusion": model_charts.confusion(
                tables["confusion"],
                positive=str(project.words(spec.positive)),
                negative=str(project.words(spec.negative)),
            ).to_dict(),
        },
    )


def compare(
    done: Sequence[Evaluated], best: Evaluated, labels: Labels, weights: Floats | None = None
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, Any]]]:
    """Compare all candidates with the best one on the same rows of the test set.

    Parameters
    ----------
    weights : array of float, shape (n,), optional
        Sampling weight of each row of the test set.

    Returns
    -------
    (tables, figures) : tuple of dict
        `comparison` (one row per candidate), `paired` (`comparison.against_best`), and each table
        of TOGETHER with a column `model` of ids, see `named`; the charts `comparison` and, with
        several candidates, `paired`.
    """
    table = pd.DataFrame([candidate.summary for candidate in done])
    paired = comparison.against_best(
        labels, {candidate.id: candidate.probabilities for candidate in done}, best.id, weights
    )
    base = float(labels.mean() if weights is None else np.average(labels, weights=weights))
    figures = {
        "comparison": model_charts.metric_bars(
            named(table[["model", "log_loss_test"]].rename(columns={"log_loss_test": "value"})),
            _("Log loss"),
            higher_is_better=False,
            baseline=metrics.base_rate_log_loss(base),
        ).to_dict()
    }
    if len(paired):
        figures["paired"] = evaluation_charts.paired_differences(
            named(paired), by="model", first=_("candidate"), second=_("the best")
        ).to_dict()
    together = {
        name: pd.concat(
            [candidate.tables[name].assign(model=candidate.id) for candidate in done],
            ignore_index=True,
        )
        for name in TOGETHER
    }
    return {"comparison": table, "paired": paired, **together}, figures


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the names of candidates for the ids in its column `model`.

    Examples
    --------
    >>> named(pd.DataFrame({"model": ["lr", "blend"]}))["model"].tolist()
    ['Logistic regression', 'Blend of the best']
    """
    return table.assign(model=[str(kinds.title(model)) for model in table["model"]])


def choose(
    spec: ProjectSpec, aim: Aim, forecasts: pd.DataFrame, weights: Floats | None = None
) -> Choice:
    """Return the threshold that an aim chooses on the out-of-fold predictions.

    Parameters
    ----------
    weights : array of float, optional
        Sampling weight of each of these rows.

    Examples
    --------
    >>> from core.platform import project
    >>> forecasts = pd.DataFrame({LABEL: [0, 0, 1, 1], PROBABILITY: [0.1, 0.4, 0.35, 0.8]})
    >>> spec = project.load("kobe")
    >>> [choose(spec, Aim(name), forecasts).threshold for name in ("project", "f1")]
    [0.5, 0.35]
    """
    if aim.name == "project" and spec.threshold_by != "fixed":
        aim = Aim(spec.threshold_by, spec.cost_false_positive, spec.cost_false_negative)
    if aim.name == "project":
        text = Message(
            "The project's own threshold, {threshold:g}, was used.", threshold=spec.threshold
        )
        return Choice(spec.threshold, float("nan"), text)
    return choosing.choose(
        forecasts[LABEL].to_numpy(dtype=np.int64),
        forecasts[PROBABILITY].to_numpy(dtype=np.float64),
        aim.name,
        aim.cost_false_positive,
        aim.cost_false_negative,
        weights,
    )


def _tables(
    spec: ProjectSpec,
    validated: Validated,
    threshold: float,
    labels: Labels,
    probabilities: Floats,
    rows: pd.DataFrame,
    weights: Floats | None,
) -> dict[str, pd.DataFrame]:
    forecasts = validated.forecasts
    sides = (
        (
            VALIDATION,
            forecasts[LABEL].to_numpy(dtype=np.int64),
            forecasts[PROBABILITY].to_numpy(dtype=np.float64),
            validated.weights,
        ),
        (TEST, labels, probabilities, weights),
    )
    tables = {
        "folds": validated.folds,
        "roc": curves.roc_points(labels, probabilities, weights=weights),
        "pr": curves.pr_points(labels, probabilities, weights=weights),
        "gain": curves.gain_points(labels, probabilities, weights=weights),
        "calibration": calibration.calibration_bins(labels, probabilities, weights=weights),
        "confusion": curves.confusion(labels, probabilities, threshold),
        "validation": forecasts,
        "thresholds": pd.concat(
            [
                choosing.trade_off(side_labels, forecast, weights=by).assign(set=name)
                for name, side_labels, forecast, by in sides
            ],
            ignore_index=True,
        ),
        "slices": slices.by_slice(
            rows, labels, probabilities, spec.slice_columns, threshold, weights=weights
        ),
    }
    if spec.place is not None:
        tables["places"] = places.errors(
            rows[spec.place.x].astype("float64"),
            rows[spec.place.y].astype("float64"),
            labels,
            probabilities,
        )
    court = part(spec.name, "court")
    if spec.court is not None and court is not None:
        place = rows[[spec.court.x, spec.court.y]].assign(
            **{LABEL: labels, PROBABILITY: probabilities}
        )
        tables["court"] = court.residual_cells(
            place, spec.court.x, spec.court.y, LABEL, PROBABILITY
        )
    return tables


def _calibration(labels: Labels, probabilities: Floats, weights: Floats | None) -> dict[str, float]:
    """Return the calibration and the decomposition of the Brier score as run metrics."""
    mean, floor = calibration.calibration_floor(probabilities, weights=weights)
    return {
        "calibration_error_test": calibration.calibration_error(
            labels, probabilities, weights=weights
        ),
        # what chance alone would give
        "calibration_floor_mean_test": mean,
        "calibration_floor_test": floor,
        **{
            f"brier_{name}_test": part
            for name, part in calibration.brier_parts(
                labels, probabilities, weights=weights
            ).items()
        },
    }


def _ends(spans: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    return {
        f"{name}_test_{end}": value
        for name, ends in spans.items()
        for end, value in zip(("low", "high"), ends, strict=True)
    }
