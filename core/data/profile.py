"""Profile of the raw data: small tables, computed once, that pages draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.data.split import as_text
from core.platform.project import ProjectSpec
from core.platform.rows import EXACT_LIMIT
from core.stats import intervals

Kind = Literal["all", "development", "production"]
KINDS: tuple[Kind, ...] = ("all", "development", "production")
NUMBER_BINS = 30
# Values beyond these quantiles count in the first and the last bin.
FAR_OUT = (0.002, 0.998)
# Up to this many distinct texts have a bin each; beyond it the rarer ones share a bin.
TEXT_BINS = 60
OTHERS = "others"
MOST_VALUES = 200
# With fewer labels a rate means nothing.
MIN_ROWS = 20
# negative, positive, unlabelled
CLASSES = 3
# rows at a time of a correlation
_BLOCK = 20_000
# share of missing values from which they are not the exceptions
_DENSE = 0.1
# variance as a share of the mean square, below which a column counts as constant
_CONSTANT = 1e-12

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Described:
    """The tables that describe the columns of a frame.

    Parameters
    ----------
    columns : DataFrame
        A line for each column, for all rows and for each kind of row: `kind` (one of KINDS),
        `column`, `type`, `about`, `recorded`, `rows`, `missing`, `distinct`, `low`, `high` (texts),
        `mean` (NaN for texts), `usual` (the most frequent value), `usual_share` (share of the
        non-missing rows).
    bins : DataFrame
        The rows in the bins of each column but the target, by class: `kind`, `column`, `place`
        (order of the bin), `label`, `start`, `end` (of a numeric bin; equal for a single value, NaN
        for texts and dates), `negative`, `positive`, `unlabelled` (rows). Missing values are in no
        bin. Outliers count in the bin at their end.
    """

    columns: pd.DataFrame
    bins: pd.DataFrame


def describe(frame: pd.DataFrame, spec: ProjectSpec) -> Described:
    """Describe every column, for all rows and for each kind of row.

    Examples
    --------
    >>> from core.platform.project import load
    >>> from core.projects.kobe.sample import generate
    >>> from core.platform.project import sample_tables
    >>> shots = generate(sample_tables("kobe"))
    >>> table = describe(shots, load("kobe")).bins
    >>> period = table[(table["column"] == "period") & (table["kind"] == "all")]
    >>> period["label"].tolist()[:4], int(period["unlabelled"].sum())
    (['1', '2', '3', '4'], 5000)
    """
    rows = _Rows.of(frame, spec)
    lines: list[dict[str, Any]] = []
    binned: dict[str, list[_Bins]] = {kind: [] for kind in KINDS}
    for name in map(str, frame.columns):
        column, values = spec.columns[name], frame[name].to_numpy()
        counted = _count_texts(values, rows) if column.is_text else _count_numbers(values, rows)
        facts = {"type": column.type, "about": column.about, "recorded": column.recorded}
        for part in counted:
            lines.append({"kind": part.kind, "column": name, **facts, **part.facts(rows)})
        if name == spec.target:
            continue
        if column.type == "date":
            counted = _count_numbers(_days(frame[name]), rows)
        for part in counted:
            bins = part.bins()
            binned[part.kind].append(_with_days(bins) if column.type == "date" else bins)
    names = [str(name) for name in frame.columns if name != spec.target]
    return Described(pd.DataFrame(lines), _as_table(names, binned))


@dataclass(frozen=True)
class _Rows:
    """The places of rows by class (negative, positive, unlabelled) in each part of the rows.

    The parts are those of neither kind, the development rows and the production rows.
    """

    places: list[list[Ints]]
    part: Ints
    klass: Ints

    @classmethod
    def of(cls, frame: pd.DataFrame, spec: ProjectSpec) -> _Rows:
        label = frame[spec.target].to_numpy(dtype=float)
        klass = np.where(np.isnan(label), 2, label).astype(np.int64)
        masks = kinds(frame, spec)
        part = masks["development"] + 2 * masks["production"].astype(np.int64)
        places = [
            [np.flatnonzero((part == kind) & (klass == label)) for label in range(CLASSES)]
            for kind in range(len(KINDS))
        ]
        return cls(places, part, klass)

    def count(self, kind: Kind) -> int:
        """Return the number of rows of a kind."""
        return sum(len(places) for part in _parts(kind) for places in self.places[part])


def _parts(kind: Kind) -> Sequence[int]:
    # rows of neither kind count among all alone
    return range(len(KINDS)) if kind == "all" else (KINDS.index(kind),)


@dataclass(frozen=True)
class _Bins:
    """The bins of a column; `counts` are rows by class and bin."""

    labels: list[str]
    start: npt.ArrayLike
    end: npt.ArrayLike
    counts: Ints


@dataclass(frozen=True)
class _Counted:
    """The different values of a column in the rows of a kind, sorted, and how often they occur."""

    kind: Kind
    values: npt.NDArray[Any]
    counts: Ints

    def facts(self, rows: _Rows) -> dict[str, Any]:
        """Return what `Described.columns` says about them."""
        size, known = rows.count(self.kind), int(self.counts.sum())
        first, last, most = (
            (self.values[0], self.values[-1], self.values[int(self.counts.argmax())])
            if known
            else (None, None, None)
        )
        return {
            "rows": size,
            "missing": size - known,
            "distinct": len(self.values),
            "low": _text(first),
            "high": _text(last),
            "mean": self.mean() if known else np.nan,
            "usual": _text(most),
            "usual_share": float(self.counts.max() / known) if known else np.nan,
        }

    def mean(self) -> float:
        """Return the mean; NaN of texts."""
        return np.nan

    def bins(self) -> _Bins:
        """Return what `Described.bins` says about them."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Numbers(_Counted):
    """`known` are all values, sorted; `ordered` are those of each class, in several parts."""

    known: npt.NDArray[Any]
    ordered: list[list[npt.NDArray[Any]]]

    def mean(self) -> float:
        sums = self.values.astype(float, copy=False) * self.counts
        return float(sums.sum() / self.counts.sum())

    def bins(self) -> _Bins:
        values = self.values.astype(float, copy=False)
        if len(values) and max(-values[0], values[-1]) >= EXACT_LIMIT:
            # several integers are one float
            values = np.unique(values)
        if len(values) <= intervals.DISCRETE:
            labels = [f"{value:.10g}" for value in values.tolist()]
            return _Bins(labels, values, values, self._between(values[1:]))
        known = self.known.astype(float, copy=False)
        # an outlier would put all other values into one bin
        inside = np.clip(values, *intervals.quantiles(known, FAR_OUT))
        edges = intervals.edges(inside, NUMBER_BINS)
        labels = [f"{first:.8g}" for first in edges[:-1].tolist()]
        return _Bins(labels, edges[:-1], edges[1:], self._between(edges[1:-1]))

    def _between(self, edges: intervals.Floats) -> Ints:
        """Return the number of values by class, and by place between the edges."""
        counts = np.zeros((CLASSES, len(edges) + 1 if len(self.values) else 0), dtype=np.int64)
        for of_class, parts in zip(counts, self.ordered, strict=True):
            for part in parts if len(self.values) else ():
                places = np.searchsorted(part, edges)
                of_class[:-1] += places
                of_class[1:] -= places
                of_class[-1] += len(part)
        return counts


@dataclass(frozen=True)
class _Texts(_Counted):
    """`by_class` are the rows of each text by class."""

    by_class: Ints

    def bins(self) -> _Bins:
        kept = np.arange(len(self.values))
        is_many = len(kept) > TEXT_BINS
        if is_many:
            kept = np.sort(np.argsort(-self.counts, kind="stable")[: TEXT_BINS - 1])
        counts = self.by_class[:, kept]
        if is_many:
            others = self.by_class.sum(axis=1) - counts.sum(axis=1)
            counts = np.column_stack([counts, others])
        names = [*map(str, self.values[kept]), *([OTHERS] if is_many else [])]
        nothing = np.full(len(names), np.nan)
        return _Bins(names, nothing, nothing, counts)


def _count_numbers(values: npt.NDArray[Any], rows: _Rows) -> list[_Counted]:
    ordered = [[_sorted(values[places]) for places in by_class] for by_class in rows.places]
    counted: list[_Counted] = []
    for kind in KINDS:
        parts = [ordered[part] for part in _parts(kind)]
        known = np.concatenate([values for by_class in parts for values in by_class])
        known.sort()
        is_first = np.empty(len(known), dtype=bool)
        is_first[:1] = True
        np.not_equal(known[1:], known[:-1], out=is_first[1:])
        first = np.flatnonzero(is_first)
        counts = np.append(first[1:], len(known))[: len(first)] - first
        by_class = [[part[label] for part in parts if len(part[label])] for label in range(CLASSES)]
        counted.append(_Numbers(kind, known[first], counts, known, by_class))
    return counted


def _sorted(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values in order, without missing ones."""
    if values.dtype.kind != "f":
        return np.sort(values)
    # one zero, not two
    ordered = np.sort(values + 0.0)
    return ordered[: np.searchsorted(ordered, np.nan)]


def _count_texts(values: npt.NDArray[Any], rows: _Rows) -> list[_Counted]:
    codes, texts = pd.factorize(pd.Series(values), sort=True)
    size = len(texts) + 1
    # missing values are counted in a place before the first
    keys = (rows.part * CLASSES + rows.klass) * size + codes + 1
    table = np.bincount(keys, minlength=len(KINDS) * CLASSES * size).reshape(-1, CLASSES, size)
    counted: list[_Counted] = []
    for kind in KINDS:
        by_class = table[list(_parts(kind))].sum(axis=0)[:, 1:]
        counts = by_class.sum(axis=0)
        present = np.flatnonzero(counts)
        names = np.asarray(texts, dtype=object)[present]
        counted.append(_Texts(kind, names, counts[present], by_class[:, present]))
    return counted


def _with_days(bins: _Bins) -> _Bins:
    nothing = np.full(len(bins.labels), np.nan)
    days = [_day(day) for day in np.asarray(bins.start, dtype=float).tolist()]
    return _Bins(days, nothing, nothing, bins.counts)


def _as_table(names: Sequence[str], binned: Mapping[str, Sequence[_Bins]]) -> pd.DataFrame:
    every = [bins for parts in binned.values() for bins in parts]
    sizes = [len(bins.labels) for bins in every]
    kind = np.repeat(np.array([*binned], dtype=object), len(names))
    classes = np.concatenate([bins.counts for bins in every], axis=1)
    return pd.DataFrame(
        {
            "kind": np.repeat(kind, sizes),
            "column": np.repeat(np.array([*names] * len(binned), dtype=object), sizes),
            "place": np.concatenate([np.arange(size) for size in sizes]),
            "label": [label for bins in every for label in bins.labels],
            "start": np.concatenate([np.asarray(bins.start) for bins in every]),
            "end": np.concatenate([np.asarray(bins.end) for bins in every]),
            **dict(zip(("negative", "positive", "unlabelled"), classes, strict=True)),
        }
    )


def correlation(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Return Pearson's correlation of each pair of numeric columns, including the target.

    Returns
    -------
    DataFrame
        `kind`, `one`, `other`, `correlation` (-1 to 1). Columns that are constant are left out.
    """
    numeric = [name for name in frame.columns if not spec.columns[name].is_text]
    arrays = [frame[name].to_numpy() for name in numeric]
    masks = kinds(frame, spec)
    # sums of values around zero keep their digits
    middle = np.array([_middle(values.astype(float)) for values in arrays])
    sums = {kind: np.zeros((4, len(numeric), len(numeric))) for kind in masks}
    lows, highs = (
        {kind: np.full(len(numeric), end) for kind in masks} for end in (np.inf, -np.inf)
    )
    for start in range(0, len(frame), _BLOCK):
        some = slice(start, start + _BLOCK)
        block = np.column_stack([values[some].astype(float, copy=False) for values in arrays])
        kind_of = masks["development"][some] + 2 * masks["production"][some]
        # rows of the other kinds count among all alone
        for place, kind in enumerate(KINDS):
            part = block[kind_of == place]
            if not len(part):
                continue
            for counted in {kind, "all"}:
                lows[counted] = np.fmin(lows[counted], np.fmin.reduce(part))
                highs[counted] = np.fmax(highs[counted], np.fmax.reduce(part))
            sums[kind] += _pairwise(part - middle)
    sums["all"] += sums["development"] + sums["production"]
    names = np.array(numeric, dtype=object)
    parts: dict[str, list[npt.NDArray[Any]]] = {"kind": [], "one": [], "other": []}
    tables = []
    for kind in masks:
        varied = np.flatnonzero(lows[kind] < highs[kind])
        parts["kind"].append(np.full(len(varied) ** 2, kind, dtype=object))
        parts["one"].append(np.tile(names[varied], len(varied)))
        parts["other"].append(np.repeat(names[varied], len(varied)))
        tables.append(_correlations(sums[kind][:, varied][:, :, varied]).ravel(order="F"))
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    return pd.DataFrame({**columns, "correlation": np.concatenate(tables)}, copy=False)


def _middle(values: intervals.Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _pairwise(rows: intervals.Floats) -> intervals.Floats:
    """Return what the correlations of all pairs of columns are computed from.

    Of each pair, over the rows in which both have a value: their number, the sum of the first, the
    sum of its squares, and the sum of the products. As matrix products, hundreds of columns take
    no time.
    """
    from scipy import sparse

    holes: Any = np.isnan(rows)
    filled = np.where(holes, 0.0, rows)
    squares = filled * filled
    missing = holes.sum(axis=0)
    holes = holes.astype(float) if holes.mean() > _DENSE else sparse.csr_array(holes, dtype=float)
    both, without, squares_without = (holes.T @ side for side in (holes, filled, squares))
    return np.stack(
        [
            len(rows)
            - missing[:, None]
            - missing
            + (both if type(both) is np.ndarray else both.toarray()),
            filled.sum(axis=0)[:, None] - without.T,
            squares.sum(axis=0)[:, None] - squares_without.T,
            filled.T @ filled,
        ]
    )


def _correlations(sums: intervals.Floats) -> intervals.Floats:
    counts, first, squares, products = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares - first * first / counts
        # the first one is constant in these rows; the rest is rounding
        spread[spread <= _CONSTANT * squares] = np.nan
        table = (products - first * first.T / counts) / np.sqrt(spread * spread.T)
    clipped: intervals.Floats = np.clip(table, -1, 1)
    return clipped


def rates(binned: pd.DataFrame) -> pd.DataFrame:
    """Return the positive rate in each bin of one column, with its 95 % interval (Wilson).

    Parameters
    ----------
    binned : DataFrame
        Rows of `bins` for one column and kind; bins with few labelled rows are left out.

    Returns
    -------
    DataFrame
        `label`, `middle` (NaN for texts), `rows` (labelled), `rate`, `low`, `high` (0 to 1).

    Examples
    --------
    >>> binned = pd.DataFrame({"label": ["a", "b"], "start": np.nan, "end": np.nan,
    ...                       "negative": [30, 3], "positive": [10, 4]})
    >>> rates(binned).round(3).values.tolist()
    [['a', nan, 40, 0.25, 0.14, 0.404]]
    """
    rows = binned["negative"] + binned["positive"]
    table = binned[["label"]].assign(
        middle=(binned["start"] + binned["end"]) / 2, rows=rows, rate=binned["positive"] / rows
    )
    table = table[rows >= MIN_ROWS].reset_index(drop=True)
    low, high = intervals.share(table["rate"], table["rows"])
    return table.assign(low=low, high=high)


def values(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Count the rows of each value of the filter columns, the most frequent 200 of each.

    Returns
    -------
    DataFrame
        `column`, `value` (as `split.filter_rows` expects it), `rows`, ordered by value.

    Examples
    --------
    >>> frame = pd.DataFrame({"period": [1.0, 10.0, 2.0, 2.0, None]})
    >>> values(frame, ["period"]).values.tolist()
    [['period', '1', 1], ['period', '2', 2], ['period', '10', 1]]
    """
    parts = []
    for name in dict.fromkeys(names):
        counts = frame[name].value_counts().head(MOST_VALUES).sort_index()
        index = pd.Series(counts.index, dtype=frame[name].dtype)
        parts.append(
            pd.DataFrame({"column": name, "value": as_text(index), "rows": counts.to_numpy()})
        )
    return pd.concat(parts, ignore_index=True)


def kinds(frame: pd.DataFrame, spec: ProjectSpec) -> dict[Kind, npt.NDArray[np.bool_]]:
    """Return a row mask for each kind of row."""
    kind = frame[spec.rows.column]
    return {
        "all": np.ones(len(frame), dtype=bool),
        "development": (kind == spec.rows.development).to_numpy(dtype=bool),
        "production": (kind == spec.rows.production).to_numpy(dtype=bool),
    }


def _days(values: pd.Series[Any]) -> intervals.Floats:
    """Return the days since 1970 of days and moments as the row contract has them."""
    days = np.full(len(values), np.nan)
    known = np.flatnonzero(values.notna())
    texts = values.to_numpy()
    for start in range(0, len(known), _BLOCK):
        some = known[start : start + _BLOCK]
        # moments without a zone are in UTC too; pandas takes ten times as long
        moments = np.array([text.removesuffix("Z") for text in texts[some]], "datetime64[ns]")
        days[some] = (moments - np.datetime64(0, "ns")) / np.timedelta64(1, "D")
    return days


def _day(days: float) -> str:
    return (pd.Timestamp(0) + pd.Timedelta(days=days)).strftime("%Y-%m-%d")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
