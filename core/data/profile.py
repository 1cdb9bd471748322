"""Profile of the raw data: small tables, computed once, that pages draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    parts = []
    for kind, mask in kinds(frame, spec).items():
        for name in frame.columns:
            if name == spec.target:
                continue
            places = _places(frame.loc[mask, name], spec.columns[name])
            present = places.place >= 0
            counts = np.bincount(
                places.place[present] * 3 + klass[mask][present], minlength=3 * len(places.labels)
            ).reshape(-1, 3)
            parts.append(
                pd.DataFrame(
                    {
                        "kind": kind,
                        "column": name,
                        "place": np.arange(len(places.labels)),
                        "label": places.labels,
                        "start": places.start,
                        "end": places.end,
                        "negative": counts[:, 0],
                        "positive": counts[:, 1],
                        "unlabelled": counts[:, 2],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


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
    parts = []
    for kind, mask in kinds(frame, spec).items():
        rows = frame.loc[mask, numeric].astype(float)
        varied = [name for name in numeric if rows[name].nunique() > 1]
        if not varied:
            continue
        table = rows[varied].corr().rename_axis("one").reset_index()
        part = table.melt("one", var_name="other", value_name="correlation")
        parts.append(part.assign(kind=kind))
    names = ["kind", "one", "other", "correlation"]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def rates(binned: pd.DataFrame, *, min_rows: int = MIN_ROWS) -> pd.DataFrame:
    """Return the positive rate in each bin of one column, with its 95 % interval (Wilson).

    Parameters
    ----------
    binned : DataFrame
        Rows of `bins` for one column and kind.
    min_rows : int
        Bins with fewer labelled rows are left out.

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
    table = table[rows >= max(min_rows, 1)].reset_index(drop=True)
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


def _places(values: pd.Series[Any], column: Column) -> _Places:
    if column.type == "date":
        moments = pd.to_datetime(values, format="ISO8601", utc=True)
        days = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
        placed = _of_numbers(days.to_numpy(dtype=float))
        nothing = [np.nan] * len(placed.labels)
        return _Places(placed.place, [_day(day) for day in placed.start], nothing, nothing)
    if column.is_text:
        return _of_texts(values)
    return _of_numbers(values.to_numpy(dtype=float))


def _of_numbers(values: intervals.Floats) -> _Places:
    known = ~np.isnan(values)
    place = np.full(len(values), -1, dtype=np.int64)
    if not known.any():
        return _Places(place, [], [], [])
    distinct, codes = np.unique(values[known], return_inverse=True)
    if len(distinct) <= intervals.DISCRETE:
        place[known] = codes
        single = [float(value) for value in distinct]
        return _Places(place, [f"{value:.10g}" for value in single], single, single)
    # an outlier would put all other values into one bin
    inner = np.clip(values[known], *np.quantile(values[known], FAR_OUT))
    edges = intervals.edges(inner, NUMBER_BINS)
    place[known] = np.searchsorted(edges[1:-1], values[known], side="right")
    labels = [f"{first:.8g}" for first in edges[:-1]]
    return _Places(place, labels, edges[:-1].tolist(), edges[1:].tolist())


def _of_texts(values: pd.Series[Any]) -> _Places:
    codes, texts = pd.factorize(values, sort=True)
    names = [str(text) for text in texts]
    if len(names) > TEXT_BINS:
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        kept = np.sort(np.argsort(-counts, kind="stable")[: TEXT_BINS - 1])
        where = np.full(len(names) + 1, len(kept), dtype=np.int64)
        where[kept] = np.arange(len(kept))
        where[-1] = -1  # a missing value has the code -1
        codes = where[codes]
        names = [*(names[place] for place in kept), OTHERS]
    nothing = [np.nan] * len(names)
    return _Places(codes.astype(np.int64), names, nothing, nothing)


def _day(days: float) -> str:
    return (pd.Timestamp(0) + pd.Timedelta(days=days)).strftime("%Y-%m-%d")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
