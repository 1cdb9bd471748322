"""Whether current rows are inside the support of the reference.

Only there can a model be trusted without labels. Two measures that need no labels: how well a
classifier separates the two sets (domain classifier), and how many rows are further from known rows
than those from each other (support).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.stats import intervals
from core.stats.alignment import aligned_frame

# With fewer rows on a side, five folds would have a handful each.
MIN_ROWS = 50
NEIGHBOURS, QUANTILE = 5, 0.99
FOLDS = 5
# Each row is used for scoring and for training, so folds are correlated: the variance of k folds is
# not 1/k of one fold's but 1/k + 1/(k - 1) (Nadeau and Bengio, Inference for the generalization
# error, 2003).
REUSE = (1 + FOLDS / (FOLDS - 1)) ** 0.5
# Most frequent text values with their own code; the rest count as one.
NAMES = 30
# With more columns a k-d tree saves nothing, so distances are computed by brute force.
_TREE_COLUMNS = 15
_BINS = 20
# Distance between two text values, and of missing from present, in standard deviations.
_APART = 2**0.5

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Support:
    """Current rows relative to known rows.

    Values are NaN if there are too few rows (`MIN_ROWS`).

    Parameters
    ----------
    domain_auc, domain_low, domain_high : float
        Out-of-fold ROC AUC of a classifier of reference against current rows, with its 95%
        interval: 0.5 if they are alike, 1 if they are perfectly separable.
    outside_share, outside_low, outside_high : float
        Share of the current rows outside the support, with its 95% interval (Wilson, 1927).
    outside_reference : float
        Share of the reference rows outside: the level under chance, about 1%.
    beyond_reference : array of bool
        Whether each reference row is outside, in order.
    ranking : DataFrame
        What separates the two sets, best first: `feature`; `auc` of the feature alone (0.5 to 1, up
        to chance); `importance`, its share of the classifier's gain, 0 to 1.
    failed : bool
        Whether the computation failed.
    """

    domain_auc: float
    domain_low: float
    domain_high: float
    outside_share: float
    outside_low: float
    outside_high: float
    outside_reference: float
    beyond_reference: Bools
    ranking: pd.DataFrame
    rows: int
    failed: bool = False


def measure(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    *,
    trained_on: pd.DataFrame | None = None,
    weights: tuple[Floats, Floats] | None = None,
    seed: int = 0,
    rows: int = 5000,
) -> Support:
    """Measure the distance of current rows from the reference, and which features show it.

    *Domain classifier*: boosted trees with 8 leaves, which detect shifts of single columns and of
    combinations. The AUC is that of out-of-fold scores (5 stratified folds); its interval is by
    DeLong, DeLong and Clarke-Pearson (1988), on the logit scale and widened for the folds
    (`REUSE`).

    *Support*: a row's distance to its 5th nearest known row. Numbers are scaled by the known rows'
    standard deviations; a different text value, or missing against present, counts as far as in
    one-hot encoding (square root of 2). A row is outside if its distance exceeds the 99th
    percentile of the known rows' distances to each other. More known rows are closer together, so
    the share depends on their number: pass `trained_on`, the training rows, if available. The
    reference, which the model was not trained on, then shows the level under chance.

    Parameters
    ----------
    reference, current : DataFrame
        Features as the model sees them: numbers or text, possibly missing.
    trained_on : DataFrame, optional
        Known rows, with the same features; by default the reference.
    weights : (array of float, array of float), optional
        Sampling weights of the reference rows, above 0, and of the current ones, 0 or more. The
        domain classifier is fitted and judged by them, each side with a mean weight of 1, and the
        shares outside are those of the population, with an interval for the effective number of
        rows (`intervals.effective`). Where the support ends is a matter of which rows are known,
        not of how many each stands for: distances are not weighted.
    seed : int
        For the folds and the sampled rows.
    rows : int
        At most this many rows of each side are used for the classifier. Distances use four times as
        many known rows, or as many with more than 15 columns.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"x": rng.normal(size=400), "y": rng.normal(size=400)})
    >>> same = pd.DataFrame({"x": rng.normal(size=300), "y": rng.normal(size=300)})
    >>> pair = measure(old, same, ["x", "y"]), measure(old, same + [8, 0], ["x", "y"])
    >>> [side.domain_low < 0.5 < side.domain_high for side in pair]
    [True, False]
    >>> [round(side.outside_share, 2) for side in pair], pair[1].ranking["feature"][0]
    ([0.01, 1.0], 'x')
    """
    rng = np.random.default_rng(seed)
    columns = list(features)
    of_reference, of_current = (None, None) if weights is None else weights
    if of_current is not None:
        # a row of weight 0 is none of the population
        current, of_current = current[of_current > 0], of_current[of_current > 0]
    current = aligned_frame(reference, current, columns)
    if trained_on is not None:
        trained_on = aligned_frame(reference, trained_on, columns)
    # the reference last: the others are aligned to its original values
    reference = aligned_frame(reference, reference, columns)
    known = reference if trained_on is None else trained_on
    (old, of_old), (new, of_new) = (
        _drawn(side[columns], by, rows, rng)
        for side, by in ((reference, of_reference), (current, of_current))
    )
    auc, low, high = (float("nan"),) * 3
    gained = np.full(len(columns), np.nan)
    alone = [float("nan")] * len(columns)
    if min(len(old), len(new)) >= MIN_ROWS:
        by = None if of_old is None or of_new is None else _balanced(of_old, of_new)
        auc, low, high, gained = _domain(old, new, columns, by, seed)
        alone = [_alone(old[name], new[name], by, seed) for name in columns]
    ranking = pd.DataFrame({"feature": columns, "auc": alone, "importance": gained})
    ranking = ranking.sort_values(["importance", "auc"], ascending=False, kind="stable")
    share, ends = float("nan"), (float("nan"), float("nan"))
    beyond_reference = np.zeros(len(reference), dtype=bool)
    usual = float("nan")
    counted = min(len(current), 4 * rows)
    if len(known) >= MIN_ROWS and len(current):
        place = _Places(known[columns], current[columns], rows, rng)
        beyond_reference = (
            place.beyond_itself() if trained_on is None else place.beyond(reference[columns])
        )
        usual = _share(beyond_reference, of_reference)
        drawn, of_drawn = _drawn(current[columns], of_current, 4 * rows, rng)
        beyond = place.beyond(drawn)
        share, counted = _share(beyond, of_drawn), len(beyond)
        size = counted if of_drawn is None else float(intervals.effective(of_drawn).sum())
        both = intervals.share(pd.Series([share]), pd.Series([size]))
        ends = float(both[0][0]), float(both[1][0])
    return Support(
        auc,
        low,
        high,
        share,
        *ends,
        usual,
        beyond_reference,
        ranking.reset_index(drop=True),
        counted,
    )


def unknown(reference: int, features: Sequence[str]) -> Support:
    """Return the result of a failed computation, for a reference of this many rows.

    Examples
    --------
    >>> unknown(3, ["x"]).failed
    True
    """
    nothing = float("nan")
    ranking = pd.DataFrame({"feature": list(features), "auc": nothing, "importance": nothing})
    return Support(
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        np.zeros(reference, dtype=bool),
        ranking,
        0,
        failed=True,
    )


def _drawn(
    frame: pd.DataFrame, weights: Floats | None, rows: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, Floats | None]:
    if len(frame) <= rows:
        return frame, weights
    drawn = np.sort(rng.choice(len(frame), rows, replace=False))
    return frame.iloc[drawn], None if weights is None else weights[drawn]


def _balanced(old: Floats, new: Floats) -> Floats:
    """Return the weights of both sides, each with mean 1, so that neither outweighs the other."""
    return np.concatenate([old / old.mean(), new / new.mean()])


def _share(which: Bools, weights: Floats | None) -> float:
    return float(which.mean() if weights is None else np.average(which, weights=weights))


def _domain(
    old: pd.DataFrame, new: pd.DataFrame, columns: list[str], weights: Floats | None, seed: int
) -> tuple[float, float, float, Floats]:
    """Return the AUC with its interval, and each column's share of the classifier's gain."""
    from lightgbm import LGBMClassifier
    from sklearn.model_selection import StratifiedKFold

    values = np.column_stack([_coded(old[name], new[name]) for name in columns])
    side = np.repeat([0, 1], [len(old), len(new)])
    scores = np.empty(len(side))
    gained = np.zeros(len(columns))
    for learn, rest in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(values, side):
        # one thread, so that parallel runs do not compete
        model = LGBMClassifier(
            n_estimators=60,
            num_leaves=8,
            learning_rate=0.12,
            importance_type="gain",
            random_state=seed,
            n_jobs=1,
            deterministic=True,
            force_col_wise=True,
            verbosity=-1,
        )
        by = None if weights is None else weights[learn]
        model.fit(values[learn], side[learn], sample_weight=by)
        scores[rest] = model.predict_proba(values[rest])[:, 1]
        gained += model.feature_importances_
    by_side = None if weights is None else (weights[side == 0], weights[side == 1])
    auc, error = intervals.delong(scores[side == 0], scores[side == 1], by_side)
    smaller = (
        min(len(old), len(new))
        if by_side is None
        else round(min(float(intervals.effective(part).sum()) for part in by_side))
    )
    low, high = intervals.on_logit(auc, REUSE * error, smaller)
    return auc, low, high, gained / max(float(gained.sum()), 1e-300)


def _alone(old: pd.Series[Any], new: pd.Series[Any], weights: Floats | None, seed: int) -> float:
    """Return how well one column alone separates the sides, for any kind of difference.

    Each half of the rows is scored by the odds in the other half, in bins of equal count.
    """
    values = _coded(old, new)
    side = np.repeat([0, 1], [len(old), len(new)])
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.5
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)))
    # a frequent value has its own bin
    edges = np.unique(np.concatenate([edges, np.nextafter(edges, np.inf)]))
    place = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, "right"))
    half = np.random.default_rng(seed).permutation(len(side)) % 2
    aucs = []
    for part in (0, 1):
        others, mine = (
            [(half == which) & (side == number) for number in (0, 1)] for which in (1 - part, part)
        )
        counts = [
            np.bincount(
                place[of], None if weights is None else weights[of], minlength=len(edges) + 2
            )
            for of in others
        ]
        scores = ((counts[1] + 0.5) / (counts[0] + 0.5))[place]
        by = None if weights is None else (weights[mine[0]], weights[mine[1]])
        aucs.append(intervals.delong(scores[mine[0]], scores[mine[1]], by)[0])
    return float(np.mean(aucs))


def _coded(old: pd.Series[Any], new: pd.Series[Any]) -> Floats:
    """Return both sides as one array; text is coded by frequency, missing as NaN."""
    both = pd.concat([old, new], ignore_index=True)
    if pd.api.types.is_numeric_dtype(both):
        numbers = both.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    names = both.astype("object")
    counts = names.value_counts()
    ranked = counts.rename_axis("name").reset_index(name="rows")
    ranked["text"] = ranked["name"].astype(str)
    ranked = ranked.sort_values(["rows", "text"], ascending=[False, True])
    codes = {name: place for place, name in enumerate(ranked["name"])}
    return np.asarray(names.map(codes), dtype=np.float64)


class _Places:
    """The positions of known rows, and their distances to each other."""

    def __init__(
        self, known: pd.DataFrame, current: pd.DataFrame, rows: int, rng: np.random.Generator
    ) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._columns = [_Column(known[name], current[name]) for name in known.columns]
        self._all = self._placed(known)
        is_flat = self._all.shape[1] <= _TREE_COLUMNS
        most = 4 * rows if is_flat else rows
        kept = np.arange(len(known))
        if len(known) > most:
            kept = np.sort(rng.choice(len(known), most, replace=False))
        self._tree = NearestNeighbors(
            n_neighbors=min(NEIGHBOURS, len(kept) - 1), algorithm="kd_tree" if is_flat else "brute"
        ).fit(self._all[kept])
        self._kept = np.zeros(len(known), dtype=bool)
        self._kept[kept] = True
        # a row is not its own neighbour
        self._limit = float(np.quantile(self._tree.kneighbors()[0][:, -1], QUANTILE))

    def beyond_itself(self) -> Bools:
        """Return whether each known row is outside the others."""
        distances = np.empty(len(self._all))
        distances[self._kept] = self._tree.kneighbors()[0][:, -1]
        if not self._kept.all():
            distances[~self._kept] = self._distances(self._all[~self._kept])
        return distances > self._limit

    def beyond(self, frame: pd.DataFrame) -> Bools:
        """Return whether each row is outside."""
        return self._distances(self._placed(frame)) > self._limit

    def _distances(self, placed: Floats) -> Floats:
        distances: Floats = self._tree.kneighbors(placed)[0][:, -1]
        return distances

    def _placed(self, frame: pd.DataFrame) -> Floats:
        parts = [
            column.placed(frame[name])
            for column, name in zip(self._columns, frame.columns, strict=True)
        ]
        return np.column_stack([part for part in parts if part.shape[1]] or [np.zeros(len(frame))])


class _Column:
    """How values of a column are mapped to coordinates, fitted on the known rows."""

    def __init__(self, known: pd.Series[Any], current: pd.Series[Any]) -> None:
        self._is_number = pd.api.types.is_numeric_dtype(known)
        self._has_missing = bool(known.isna().any() or current.isna().any())
        if self._is_number:
            values, others = _numbers(known), _numbers(current)
            self._has_missing = bool(np.isnan(values).any() or np.isnan(others).any())
            present = values[~np.isnan(values)]
            self._mean = float(present.mean()) if len(present) else 0.0
            scale = float(present.std()) if len(present) else 0.0
            if scale <= 1e-12 * max(abs(self._mean), 1.0):
                # it never varied: scale by the difference of the two sets
                both = np.concatenate([values, others])
                scale = float(np.nanstd(both)) if len(both[~np.isnan(both)]) else 0.0
            self._scale = scale or 1.0
            return
        names = known.dropna()
        counts = names.value_counts().rename_axis("name").reset_index(name="rows")
        # a name with one row would be unknown without that row: it represents unseen names
        counts = counts[counts["rows"] > 1]
        counts["text"] = counts["name"].astype(str)
        counts = counts.sort_values(["rows", "text"], ascending=[False, True])
        self._names = {
            name: min(place, NAMES) for place, name in enumerate(counts["name"].tolist())
        }
        self._width = min(len(self._names), NAMES + 1)

    def placed(self, values: pd.Series[Any]) -> Floats:
        """Return the coordinates of each value."""
        if self._is_number:
            numbers = _numbers(values)
            gone = np.isnan(numbers)
            places = np.where(gone, 0.0, (numbers - self._mean) / self._scale)[:, None]
            return np.column_stack([places, _APART * gone]) if self._has_missing else places
        # one more column for unknown names, and one for missing values
        codes = np.asarray(values.map(self._names).fillna(self._width), dtype=np.int64)
        codes = np.where(values.isna(), self._width + 1, codes)
        return np.eye(self._width + 2)[codes]


def _numbers(values: pd.Series[Any]) -> Floats:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)
