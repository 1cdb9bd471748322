"""Profile of the raw data: small tables, computed once, that pages draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.data.split import as_text
from core.platform.project import Column, ProjectSpec
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
# rows at a time of a correlation
_BLOCK = 20_000
# share of missing values from which they are not the exceptions
_DENSE = 0.1
# variance as a share of the mean square, below which a column counts as constant
_CONSTANT = 1e-12
_BINS = ("kind", "column", "place", "label", "start", "end", "negative", "positive", "unlabelled")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Places:
    """The bin of each row of a column (-1 for a missing value), and the bins themselves."""

    place: Ints
    labels: list[str]
    start: list[float]
    end: list[float]


def bins(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Count the rows in each column's bins by class, for all rows and for each kind of row.

    Returns
    -------
    DataFrame
        `kind` (one of KINDS), `column`, `place` (order of the bin), `label`, `start`, `end` (of a
        numeric bin; equal for a single value, NaN for texts and dates), `negative`, `positive`,
        `unlabelled` (rows). Missing values are in no bin, see `columns`. Outliers count in the
        bin at their end.

    Examples
    --------
    >>> from core.platform.project import load
    >>> from core.projects.kobe.sample import generate
    >>> from core.platform.project import sample_tables
    >>> shots = generate(sample_tables("kobe"))
    >>> table = bins(shots, load("kobe"))
    >>> period = table[(table["column"] == "period") & (table["kind"] == "all")]
    >>> period["label"].tolist()[:4], int(period["unlabelled"].sum())
    (['1', '2', '3', '4'], 5000)
    """
    label = frame[spec.target].to_numpy(dtype=float)
    klass = np.where(np.isnan(label), 2, label).astype(np.int64)
    masks = kinds(frame, spec)
    lines: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in masks}
    for name in frame.columns:
        if name == spec.target:
            continue
        values = _ordinal(frame[name], spec.columns[name])
        for kind, mask in masks.items():
            places = values.places(mask)
            size = len(places.labels)
            # missing values are counted in a place before the first
            counts = np.bincount((places.place + 1) * 3 + klass[mask], minlength=3 * (size + 1))
            classes = counts.reshape(-1, 3)[1:].T.tolist()
            lines[kind] += zip(
                *(repeat(kind, size), repeat(name, size), range(size)),
                *(places.labels, places.start, places.end, *classes),
                strict=True,
            )
    return pd.DataFrame([line for part in lines.values() for line in part], columns=_BINS)


def columns(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Describe every column, for all rows and for each kind of row.

    Returns
    -------
    DataFrame
        `kind`, `column`, `type`, `about`, `recorded`, `rows`, `missing`, `distinct`, `low`,
        `high` (texts), `mean` (NaN for texts), `usual` (the most frequent value), `usual_share`
        (share of the non-missing rows).
    """
    parts = []
    masks = kinds(frame, spec)
    for name in frame.columns:
        column = spec.columns[name]
        codes, values = pd.factorize(frame[name], sort=True)
        for kind, mask in masks.items():
            counts = np.bincount(codes[mask & (codes >= 0)], minlength=len(values))
            present = np.flatnonzero(counts)
            known = int(counts.sum())
            first, last, most = (
                (values[present[0]], values[present[-1]], values[int(counts.argmax())])
                if known
                else (None, None, None)
            )
            parts.append(
                {
                    "kind": kind,
                    "column": name,
                    "type": column.type,
                    "about": column.about,
                    "recorded": column.recorded,
                    "rows": int(mask.sum()),
                    "missing": int(mask.sum()) - known,
                    "distinct": len(present),
                    "low": _text(first),
                    "high": _text(last),
                    "mean": np.nan
                    if column.is_text or not known
                    else float(np.average(values.astype(float), weights=counts)),
                    "usual": _text(most),
                    "usual_share": float(counts.max() / known) if known else np.nan,
                }
            )
    return pd.DataFrame(parts)


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
    for start in range(0, len(frame), _BLOCK):
        some = slice(start, start + _BLOCK)
        block = np.column_stack([values[some].astype(float) for values in arrays]) - middle
        kind_of = masks["development"][some] + 2 * masks["production"][some]
        # rows of the other kinds count among all alone
        for place, kind in enumerate(KINDS):
            if (kind_of == place).any():
                sums[kind] += _pairwise(block[kind_of == place])
    sums["all"] += sums["development"] + sums["production"]
    parts = []
    for kind, mask in masks.items():
        varied = [
            place for place, values in enumerate(arrays) if _is_varied(values[mask].astype(float))
        ]
        names = np.array(numeric, dtype=object)[varied]
        table = _correlations(sums[kind][:, varied][:, :, varied])
        part = {"one": np.tile(names, len(names)), "other": np.repeat(names, len(names))}
        part["correlation"] = table.ravel(order="F")
        parts.append(pd.DataFrame(part).assign(kind=kind))
    return pd.concat(parts, ignore_index=True)[["kind", "one", "other", "correlation"]]


def _middle(values: intervals.Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _is_varied(values: intervals.Floats) -> bool:
    low, high = np.fmin.reduce(values, initial=np.inf), np.fmax.reduce(values, initial=-np.inf)
    return bool(low < high)


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


@dataclass(frozen=True)
class _Ordinal:
    """A column as numbers: its own, days, or the places of its texts in alphabetical order."""

    numbers: intervals.Floats
    texts: npt.NDArray[Any] | None = None
    is_date: bool = False

    def places(self, mask: npt.NDArray[np.bool_]) -> _Places:
        """Return the bins of some rows."""
        numbers = self.numbers[mask]
        if self.texts is not None:
            return _of_texts(numbers.astype(np.int64), self.texts)
        placed = _of_numbers(numbers)
        if not self.is_date:
            return placed
        nothing = [np.nan] * len(placed.labels)
        return _Places(placed.place, [_day(day) for day in placed.start], nothing, nothing)


def _ordinal(values: pd.Series[Any], column: Column) -> _Ordinal:
    if column.type == "date":
        return _Ordinal(_days(values), is_date=True)
    if column.is_text:
        codes, texts = pd.factorize(values, sort=True)
        return _Ordinal(codes.astype(float), np.asarray(texts, dtype=object))
    return _Ordinal(values.to_numpy(dtype=float))


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


def _of_numbers(values: intervals.Floats) -> _Places:
    known = ~np.isnan(values)
    place = np.full(len(values), -1, dtype=np.int64)
    ordered = np.sort(values[known])
    if not len(ordered):
        return _Places(place, [], [], [])
    distinct = ordered[np.r_[True, np.diff(ordered) > 0]]
    if len(distinct) <= intervals.DISCRETE:
        place[known] = np.searchsorted(distinct, values[known])
        single = [float(value) for value in distinct]
        return _Places(place, [f"{value:.10g}" for value in single], single, single)
    # an outlier would put all other values into one bin
    edges = intervals.edges(np.clip(ordered, *intervals.quantiles(ordered, FAR_OUT)), NUMBER_BINS)
    place[known] = np.searchsorted(edges[1:-1], values[known], side="right")
    labels = [f"{first:.8g}" for first in edges[:-1]]
    return _Places(place, labels, edges[:-1].tolist(), edges[1:].tolist())


def _of_texts(codes: Ints, texts: npt.NDArray[Any]) -> _Places:
    """Return the bins of texts, given the place of each row's text in alphabetical order."""
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    kept = np.flatnonzero(counts)
    is_many = len(kept) > TEXT_BINS
    if is_many:
        most = np.argsort(-counts[kept], kind="stable")[: TEXT_BINS - 1]
        kept = kept[np.sort(most)]
    # a text that is not kept is in a place after them
    where = np.full(len(texts) + 1, len(kept), dtype=np.int64)
    where[kept] = np.arange(len(kept))
    where[-1] = -1  # a missing value has the code -1
    names = [*map(str, texts[kept]), *([OTHERS] if is_many else [])]
    nothing = [np.nan] * len(names)
    return _Places(where[codes], names, nothing, nothing)


def _day(days: float) -> str:
    return (pd.Timestamp(0) + pd.Timedelta(days=days)).strftime("%Y-%m-%d")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
