"""Simulation of monitoring and retraining on labelled history.

Rows arrive in the order of time, and nothing is used before it would have been known: a model is
trained, and its limits are learned, on rows whose labels had arrived by then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.classifier import Classifier, Unfitted
from core.platform.errors import InputError
from core.platform.messages import Message, Words, plural
from core.platform.own_columns import LABEL, PROBABILITY
from core.retraining.injection import DAY
from core.retraining.policy import Policy
from core.retraining.policy_evidence import Window
from core.retraining.policy_settings import STRATEGIES
from core.stats import checks, drift, figure_intervals, limits, metrics
from core.stats.checks import Check, Conclusion
from core.stats.metrics import Floats, Labels
from core.training.estimators import unfitted

Bools = npt.NDArray[np.bool_]

# Fewest rows of a training, and fewest windows of a replay.
MIN_TRAIN, MIN_WINDOWS = 200, 2
MOST_WINDOWS = 1_000
# Folds of the out-of-fold predictions that are a champion's reference.
FOLDS = 5
# Draws for learning limits: few, since every champion learns its own.
DRAWS = 200
# Limits are learned for window sizes in steps of this factor; the next smaller size applies.
SIZE_STEP = 1.5
# The policy that others are compared with: no retraining.
BASELINE = "none"


@dataclass(frozen=True)
class Stream:
    """Labelled rows in the order of time.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        As a model would see them.
    codes : DataFrame, shape (n, k)
        The same with texts encoded by `coded`.
    labels : array of int, shape (n,)
        Final label of each row, whether known at the time or not.
    moments, arrivals : array of float, shape (n,)
        Time of a row, and of its label's arrival; seconds since 1970, infinite for a label that
        never arrives.
    keys : sequence of str
        The project's id of each row.
    """

    features: pd.DataFrame
    codes: pd.DataFrame
    labels: Labels
    moments: Floats
    arrivals: Floats
    keys: Sequence[str]


@dataclass(frozen=True)
class Span:
    """A window of the stream: rows `first` to `last`, exclusive.

    Parameters
    ----------
    begin, end : float
        Times of its first and of its last row, seconds since 1970.
    """

    name: str
    first: int
    last: int
    begin: float
    end: float


@dataclass(frozen=True)
class Recipe:
    """How every champion of a replay is trained."""

    kind: str
    params: Mapping[str, Any]
    features: tuple[str, ...]
    texts: tuple[str, ...]
    impute: bool
    threshold: float
    seed: int


@dataclass(frozen=True)
class Champion:
    """A model in force, and the reference of its windows.

    Parameters
    ----------
    version : int
        From 1, in the order in which the replay needed them.
    trained_at : float
        Seconds since 1970.
    first : int
        The first row that it scores.
    rows : int
        Number of its training rows.
    reference : DataFrame
        The features, label, and out-of-fold probability of those rows.
    figures : mapping
        Of the reference, from `metrics.classification`.
    seconds : float
        Time to train it.
    """

    version: int
    trained_at: float
    first: int
    rows: int
    estimator: Classifier
    reference: pd.DataFrame
    figures: Mapping[str, float]
    seconds: float
    learned: dict[tuple[int, int], limits.Learned] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Report:
    """The checks of a window with what was known at its end, and the conclusion."""

    checks: tuple[Check, ...]
    conclusion: Conclusion
    labels: int

    def codes(self, verdict: str, *groups: str) -> list[str]:
        """Return the checks with a verdict, of these groups or of all."""
        return [
            check.code
            for check in self.checks
            if check.verdict == verdict and (not groups or check.group in groups)
        ]

    @property
    def is_alarm(self) -> bool:
        """Whether a performance check is in alert: inputs alone are no alarm."""
        return bool(self.codes("alert", "performance"))


def policy_code(policy: Policy) -> str:
    """Return the code of a policy in tables and charts; `titled` puts it into words.

    Examples
    --------
    >>> policy_code(Policy()), policy_code(Policy(strategy="reactive", k=2, n=3))
    ('none', 'reactive:2:3')
    """
    numbers = {
        "none": (),
        "reactive": (policy.k, policy.n),
        "predictive": (policy.horizon_days,),
        "calendar": (policy.every_days,),
    }[policy.strategy]
    return ":".join([policy.strategy, *(f"{number:g}" for number in numbers)])


def titled(code: str) -> Words:
    """Return the name of a policy by its code; another text as it is.

    Examples
    --------
    >>> str(titled("none")), str(titled("reactive:2:3")), titled("gone")
    ('None', 'Reactive (2 of 3)', 'gone')
    """
    strategy, *numbers = code.split(":")
    if strategy == "reactive" and len(numbers) == 2:
        return Message("Reactive ({k} of {n})", k=numbers[0], n=numbers[1])
    if strategy == "predictive" and len(numbers) == 1:
        return Message("Predictive ({days:g} days ahead)", days=float(numbers[0]))
    if strategy == "calendar" and len(numbers) == 1:
        return Message("Calendar (every {days:g} days)", days=float(numbers[0]))
    return STRATEGIES[code][0] if code in STRATEGIES else code


def moments_of(values: pd.Series[Any]) -> Floats:
    """Return dates or times as seconds since 1970, UTC without a zone.

    Raises
    ------
    InputError
        When one is missing or invalid.

    Examples
    --------
    >>> moments_of(pd.Series(["1970-01-01", "1970-01-02"])).tolist()
    [0.0, 86400.0]
    """
    # dates and times may be mixed
    form = "ISO8601" if values.dtype == object else None
    parsed = pd.to_datetime(values, utc=True, errors="coerce", format=form)
    if parsed.isna().any():
        raise InputError(
            plural(
                "{count:,} row has no time in '{column}'. A replay needs one for each row.",
                "{count:,} rows have no time in '{column}'. A replay needs one for each row.",
                int(parsed.isna().sum()),
                column=str(values.name),
            )
        )
    return ((parsed - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)


def coded(features: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Return the features with texts encoded as numbers from 1, in alphabetical order.

    Otherwise every fit would process each text of each row again, which takes longer than the fit
    itself. A model that one-hot encodes texts gets the same columns from their numbers.

    Examples
    --------
    >>> coded(pd.DataFrame({"t": ["b", "a", None]}), ["t"])["t"].tolist()
    [2.0, 1.0, nan]
    """
    numeric = features.copy()
    for name in texts:
        codes = pd.factorize(features[name], sort=True)[0]
        # 0 is what imputation makes of a missing one
        numeric[name] = np.where(codes < 0, np.nan, codes + 1)
    return numeric


def arrivals(moments: Floats, *, delay_days: float, share: float, seed: int) -> Floats:
    """Return when each label arrives; infinite for those that never do.

    Parameters
    ----------
    delay_days : float
        Between a row and its label, 0 or more.
    share : float
        Share of rows whose label ever arrives, above 0, at most 1.

    Examples
    --------
    >>> (arrivals(np.array([0.0, 0.0]), delay_days=2, share=1, seed=0) / DAY).tolist()
    [2.0, 2.0]
    """
    arriving = moments + delay_days * DAY
    lost = np.random.default_rng(seed).random(len(moments)) >= share
    return np.where(lost, np.inf, arriving)


def cut(
    moments: Floats, first: int, *, by: str, rows: int = 1000, names: pd.Series[Any] | None = None
) -> list[Span]:
    """Divide the rows from `first` on into windows.

    Parameters
    ----------
    by : {"rows", "month", "year", "column"}
        A fixed number of rows; calendar months or years; or stretches of one value of `names`.
    rows : int
        For `rows`: size of each window. A remainder of less than half of it joins the last window.
    names : Series, optional
        For `column`: a value per row.

    Raises
    ------
    InputError
        When a value recurs after others, or there are too few or too many windows.

    Examples
    --------
    >>> [(span.name, span.last - span.first) for span in cut(
    ...     np.arange(100) * DAY, 0, by="month")]
    [('1970-01', 31), ('1970-02', 28), ('1970-03', 31), ('1970-04', 10)]
    """
    count = len(moments)
    if by == "rows":
        starts = list(range(first, count, rows))
        if len(starts) > 1 and count - starts[-1] < rows / 2:
            starts.pop()
        labels = [_day(moments[start]) for start in starts]
    else:
        values = (names if by == "column" and names is not None else _periods(moments, by)).astype(
            str
        )
        changes = np.flatnonzero(values.to_numpy()[1:] != values.to_numpy()[:-1]) + 1
        all_starts = [0, *changes.tolist()]
        known = [values.iloc[start] for start in all_starts]
        if len(set(known)) < len(known):
            twice = next(name for name in known if known.count(name) > 1)
            raise InputError(
                Message(
                    "'{column}' does not divide time: {twice} recurs after other values. Cut the "
                    "windows by month, year or rows.",
                    column=str(values.name),
                    twice=twice,
                )
            )
        starts = [max(start, first) for start in all_starts if start >= first]
        starts = starts if starts and starts[0] == first else [first, *starts]
        labels = [values.iloc[start] for start in starts]
    if not MIN_WINDOWS <= len(starts) <= MOST_WINDOWS:
        raise InputError(_wrong_number(len(starts)))
    ends = [*starts[1:], count]
    return [
        Span(name, start, end, float(moments[start]), float(moments[end - 1]))
        for name, start, end in zip(labels, starts, ends, strict=True)
    ]


def _wrong_number(windows: int) -> Message:
    return Message(
        "The rows after the first training give {windows:,} windows; a replay needs {fewest} to "
        "{most:,}. Choose other windows, or another first training.",
        windows=windows,
        fewest=MIN_WINDOWS,
        most=MOST_WINDOWS,
    )


def first_of(moments: Floats, names: pd.Series[Any], *, windows: int, by: str, rows: int) -> int:
    """Return the first row after a number of windows.

    Raises
    ------
    InputError
        When there are no more windows than that.

    Examples
    --------
    >>> first_of(np.arange(100) * DAY, pd.Series(dtype=object), windows=2, by="month", rows=0)
    59
    """
    spans = cut(moments, 0, by=by, rows=rows, names=names)
    if windows >= len(spans):
        raise InputError(_wrong_number(0))
    return spans[windows].first


def train(
    stream: Stream, recipe: Recipe, known: Bools, *, version: int, at: float, first: int
) -> Champion:
    """Fit a champion on the rows with known labels, with out-of-fold predictions for them.

    Parameters
    ----------
    known : array of bool, shape (n,)
        Rows whose labels had arrived.
    at : float
        Time of the training, seconds since 1970.
    first : int
        The first row that it will score.

    Raises
    ------
    InputError
        When there are too few rows, or too few of a class, or the classifier cannot be fitted.
    """
    from sklearn.model_selection import StratifiedKFold

    began = time.perf_counter()
    codes, labels = stream.codes[known], stream.labels[known]
    count = len(labels)
    fewest = int(np.bincount(labels, minlength=2).min())
    if count < MIN_TRAIN or fewest < FOLDS:
        raise InputError(
            Message(
                "By {day} only {labels:,} labels are known, {fewest:,} of the rarer class; a "
                "model needs {min_train}, and {folds} of each class. Let the first training take "
                "more rows, or labels arrive sooner.",
                day=_day(at),
                labels=count,
                fewest=fewest,
                min_train=MIN_TRAIN,
                folds=FOLDS,
            )
        )

    def new_estimator() -> Unfitted:
        numbers = [name for name in recipe.features if name not in recipe.texts]
        return unfitted(
            recipe.kind,
            numbers,
            recipe.texts,
            impute=recipe.impute,
            params=recipe.params,
            seed=recipe.seed,
        )

    held_out = np.empty(count)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=recipe.seed)
    try:
        for rest, fold in folds.split(codes, labels):
            fitted = new_estimator().fit(codes.iloc[rest], labels[rest])
            held_out[fold] = fitted.predict_proba(codes.iloc[fold])[:, 1]
        estimator = new_estimator().fit(codes, labels)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            Message("'{name}' cannot be fitted: {reason}", name=recipe.kind, reason=reason)
        ) from error
    reference = (
        stream.features[known]
        .reset_index(drop=True)
        .assign(**{PROBABILITY: held_out, LABEL: labels})
    )
    return Champion(
        version,
        at,
        first,
        count,
        estimator,
        reference,
        _figures(labels, held_out, recipe.threshold),
        time.perf_counter() - began,
    )


def forecast(champion: Champion, codes: pd.DataFrame) -> Floats:
    """Return the probability of label 1 of each row."""
    probabilities = champion.estimator.predict_proba(codes)[:, 1]
    return np.asarray(probabilities, dtype=np.float64)


def judge(
    champion: Champion,
    recipe: Recipe,
    current: pd.DataFrame,
    labelled: pd.DataFrame,
    *,
    name: Words,
) -> Report:
    """Compare a window with the champion's reference, using what is known at its end.

    Parameters
    ----------
    current : DataFrame
        Features and probability of the window's rows.
    labelled : DataFrame
        Probability and label of rows that this champion scored and whose labels arrived in
        the window; with a delay they are older than the window.
    name : Message
        Name of the window.
    """
    reference = champion.reference
    columns = [*recipe.features, PROBABILITY]
    known = limits_of(champion, recipe, len(current), len(labelled))
    labels, forecasts = _pair(labelled)
    figures = _figures(labels, forecasts, recipe.threshold) if len(labels) else None
    intervals = figure_intervals.of(labels, forecasts, recipe.threshold, seed=recipe.seed)
    moved = drift.by_feature(reference[columns], current[columns], columns)
    answers = moved["feature"] == PROBABILITY
    all_checks = [
        *checks.performance(champion.figures, figures, len(labels), intervals, known),
        *checks.inputs(moved[~answers], known),
        *checks.outputs(moved[answers], known),
    ]
    conclusion = checks.conclude(all_checks, name, "reference", labels=len(labels))
    return Report(tuple(all_checks), conclusion, len(labels))


def limits_of(
    champion: Champion, recipe: Recipe, rows: int, labels: int
) -> Mapping[str, limits.Limit]:
    """Return the champion's limits for windows of about this size, learned once per size."""
    size = size_class(rows), size_class(labels)
    if size not in champion.learned:
        champion.learned[size] = limits.learn(
            champion.reference,
            features=recipe.features,
            rows=size[0],
            labels=min(size),
            threshold=recipe.threshold,
            windows=DRAWS,
            tells_needed=False,
            seed=recipe.seed,
        )
    return champion.learned[size].limits


def size_class(rows: int) -> int:
    """Return the standard size for windows of about this many rows, never a larger one.

    Examples
    --------
    >>> [size_class(rows) for rows in (0, 47, 1000, 1300, 1500)]
    [0, 38, 985, 985, 1477]
    """
    if rows < 1:
        return 0
    return int(SIZE_STEP ** np.floor(np.log(rows) / np.log(SIZE_STEP) + 1e-9))


def as_window(report: Report, run_id: str, span: Span) -> Window:
    """Return a report as input of a policy."""
    judged = [check for check in report.checks if check.value is not None]
    return Window(
        run_id=run_id,
        begin=span.begin,
        end=span.end,
        rows=span.last - span.first,
        labels=report.labels,
        values={check.code: float(check.value) for check in judged if check.value is not None},
        verdicts={check.code: check.verdict for check in report.checks},
        groups={check.code: check.group for check in report.checks},
        limits={check.code: (check.alert_low, check.alert_high) for check in report.checks},
        verdict=report.conclusion.code,
    )


def truth(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """Return the metrics of a window by all its labels, including those not known in time.

    `log_loss_error` is the standard error of its mean log loss.
    """
    figures = _figures(labels, probabilities, threshold)
    losses = metrics.log_losses(labels, probabilities)
    figures["log_loss_error"] = float(losses.std() / np.sqrt(len(losses)))
    names = ("log_loss", "log_loss_error", "skill", "roc_auc", "calibration", "base_rate")
    return {name: figures.get(name, float("nan")) for name in names}


def compare(
    windows: pd.DataFrame,
    losses: Mapping[str, Floats],
    moments: Floats,
    *,
    baseline: str,
    drift_begin: float | None = None,
    drift_column: str | None = None,
) -> pd.DataFrame:
    """Compare policies over the same rows.

    Parameters
    ----------
    windows : DataFrame
        A row per policy and window: policy, begin, end (seconds since 1970), rows, labels,
        is_alarm, is_input_alert, input_alerts (codes), is_retrained, seconds.
    losses : mapping of policy to array of float, shape (n,)
        The log loss of each streamed row.
    moments : array of float, shape (n,)
        Of the same rows.
    baseline : str
        The policy that others are compared with.
    drift_begin : float, optional
        When drift was injected, seconds since 1970.
    drift_column : str, optional
        The drifting column.

    Returns
    -------
    DataFrame
        A row per policy: `policy`, `rows`, `log_loss` (mean over all rows), `gain` (reduction of
        log loss against the baseline, with its 95% interval `gain_low`, `gain_high`; rows of the
        same time form a cluster, since they resemble each other), `retrainings`, `alarms`,
        `input_alerts` (windows with an alert of inputs only), `detection_days` and `detection_rows`
        (from the start of the drift to the end of the window of the first alarm), `noticed_days`
        (the same to the first alert of the drifting column itself), `false_alarms` (before the
        drift; NaN without injected drift: an alarm may be true then) and `seconds` spent on
        training.

    Examples
    --------
    >>> windows = pd.DataFrame({"policy": ["a", "a"], "begin": [0.0, DAY], "end": [0.0, DAY],
    ...     "rows": 1, "is_alarm": [False, True], "is_input_alert": False, "input_alerts": "",
    ...     "is_retrained": False, "seconds": 0.0})
    >>> row = compare(windows, {"a": np.array([0.6, 0.8])}, np.array([0, DAY]), baseline="a",
    ...     drift_begin=DAY).iloc[0]
    >>> round(row["log_loss"], 2), row["alarms"], row["detection_days"]
    (0.7, 1, 0.0)
    """
    compared = []
    for policy, part in windows.groupby("policy", sort=False):
        mine = losses[str(policy)]
        gain, low, high = mean_gain(losses[baseline] - mine, moments)
        alarms = part[part["is_alarm"]]
        row = {
            "policy": str(policy),
            "rows": len(mine),
            "log_loss": float(mine.mean()),
            "gain": gain,
            "gain_low": low,
            "gain_high": high,
            "retrainings": int(part["is_retrained"].sum()),
            "alarms": len(alarms),
            "input_alerts": int((part["is_input_alert"] & ~part["is_alarm"]).sum()),
            "detection_days": np.nan,
            "detection_rows": np.nan,
            "noticed_days": np.nan,
            "false_alarms": np.nan,
            "seconds": float(part["seconds"].sum()),
        }
        if drift_begin is not None:
            row["false_alarms"] = int((alarms["end"] < drift_begin).sum())
            heard = part[[drift_column in _columns(codes) for codes in part["input_alerts"]]]
            for name, signal in (("detection", alarms), ("noticed", heard)):
                after = signal[signal["end"] >= drift_begin]
                if len(after):
                    end = float(after["end"].iloc[0])
                    row[f"{name}_days"] = (end - drift_begin) / DAY
                    if name == "detection":
                        between = (moments >= drift_begin) & (moments <= end)
                        row["detection_rows"] = int(between.sum())
        compared.append(row)
    return pd.DataFrame(compared)


def _columns(codes: str) -> set[str]:
    """Return the columns of input checks."""
    return {code.split(".", 1)[1] for code in codes.split(",") if "." in code}


def mean_gain(differences: Floats, moments: Floats) -> tuple[float, float, float]:
    """Return the mean and its 95% interval; rows of the same time are one cluster.

    Cluster-robust variance of the mean, from the sums of each cluster's deviations (Liang and
    Zeger, 1986), with Student's t: few clusters give a wider interval.

    Examples
    --------
    >>> mean_gain(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    (1.0, -inf, inf)
    """
    from scipy import stats

    mean = float(differences.mean())
    place = np.unique(moments, return_inverse=True)[1]
    sums = np.bincount(place, weights=differences - mean)
    if len(sums) < 2:
        return mean, -np.inf, np.inf
    error = float(np.sqrt(np.sum(sums**2) * len(sums) / (len(sums) - 1))) / len(differences)
    half = float(stats.t.ppf(0.975, len(sums) - 1)) * error
    return mean, mean - half, mean + half


def _figures(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    figures = metrics.classification(labels, probabilities, threshold)
    figures["calibration"] = figures["mean_probability"] - figures["base_rate"]
    return figures


def _pair(rows: pd.DataFrame) -> tuple[Labels, Floats]:
    return rows[LABEL].to_numpy(dtype=np.int64), rows[PROBABILITY].to_numpy(dtype=np.float64)


def _periods(moments: Floats, by: str) -> pd.Series[Any]:
    days = pd.to_datetime(pd.Series(moments, name="time"), unit="s")
    return days.dt.strftime("%Y-%m" if by == "month" else "%Y").rename(by)


def _day(moment: float) -> str:
    return pd.Timestamp(moment, unit="s").date().isoformat()
