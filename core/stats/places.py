"""Rows by their place: counted in the cells of a grid over two columns. Computes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# cells along each axis, and how many rows a cell should have on average before there are more
FEWEST_CELLS, MOST_CELLS, ROWS_IN_A_CELL = 6, 28, 25
# with fewer labels a cell has no rate; an error is smaller than a difference of rates
MIN_LABELS, MIN_LABELS_OF_ERRORS = 15, 30
# places beyond these quantiles by more than half of the span between them are far from all others
INNER = (0.002, 0.998)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def cells(
    x: npt.ArrayLike, y: npt.ArrayLike, label: npt.ArrayLike, sets: Mapping[str, Bools]
) -> pd.DataFrame:
    """Count the rows of each set in the cells of one grid.

    Parameters
    ----------
    x, y : array of float
        The place of each row; may have missing values.
    label : array of float
        1, 0 or NaN.
    sets : mapping of str to mask
        Rows by the name of their set.

    Returns
    -------
    DataFrame
        A row per set and cell: `set`, `x`, `y` (mean place of its rows), `rows`, `labelled`,
        `positive`. Where `x` is missing, the row counts those without a place or far from the rest.

    Examples
    --------
    >>> table = cells([0, 0, 5, None], [1, 1, 2, 3], [1, 0, 1, 1], {"all": np.ones(4, dtype=bool)})
    >>> table.values.tolist()
    [['all', nan, nan, 1, 1, 1], ['all', 0.0, 1.0, 2, 2, 1], ['all', 5.0, 2.0, 1, 1, 1]]
    """
    rows = pd.DataFrame(
        {name: np.asarray(part, dtype=np.float64) for name, part in (("x", x), ("y", y))}
    )
    rows["label"] = np.asarray(label, dtype=np.float64)
    rows["cell"] = _cells(rows["x"].to_numpy(), rows["y"].to_numpy())
    rows.loc[rows["cell"] < 0, ["x", "y"]] = np.nan
    parts = []
    for name, mask in sets.items():
        grouped = rows[mask].groupby("cell")
        counted = grouped.agg(
            x=("x", "mean"),
            y=("y", "mean"),
            rows=("cell", "size"),
            labelled=("label", "count"),
            positive=("label", "sum"),
        )
        parts.append(counted.assign(set=name))
    table = pd.concat(parts, ignore_index=True)
    names = ["set", "x", "y", "rows", "labelled", "positive"]
    return table[names].astype({"positive": "int64"})


def errors(
    x: npt.ArrayLike, y: npt.ArrayLike, label: npt.ArrayLike, probability: npt.ArrayLike
) -> pd.DataFrame:
    """Compare the mean predicted probability with the observed share in the cells of a grid.

    Returns
    -------
    DataFrame
        A row per cell: `x`, `y`, `rows`, `observed`, `predicted`, `difference` (predicted minus
        observed; NaN with few labels). Rows without a place or a label are left out.

    Examples
    --------
    >>> errors([1] * 40, [2] * 40, [1, 0] * 20, [0.75] * 40)["difference"].tolist()
    [0.25]
    """
    values = {"x": x, "y": y, "label": label, "probability": probability}
    rows = pd.DataFrame({name: np.asarray(part, np.float64) for name, part in values.items()})
    rows = rows[rows["label"].notna()]
    # errors need more rows than rates
    rows["cell"] = _cells(
        rows["x"].to_numpy(), rows["y"].to_numpy(), 2 * ROWS_IN_A_CELL, MOST_CELLS // 2
    )
    grouped = rows[rows["cell"] >= 0].groupby("cell")
    table = grouped.agg(
        x=("x", "mean"),
        y=("y", "mean"),
        rows=("cell", "size"),
        observed=("label", "mean"),
        predicted=("probability", "mean"),
    ).reset_index(drop=True)
    difference = table["predicted"] - table["observed"]
    return table.assign(difference=difference.where(table["rows"] >= MIN_LABELS_OF_ERRORS))


def with_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of `cells` that have a place, with `rate`: NaN where labels are few.

    Examples
    --------
    >>> table = pd.DataFrame({"x": [0.0, 1.0], "rows": 20, "labelled": [20, 2], "positive": [5, 2]})
    >>> with_rates(table)["rate"].tolist()
    [0.25, nan]
    """
    known = table[table["x"].notna()]
    rate = known["positive"] / known["labelled"].where(known["labelled"] >= MIN_LABELS)
    return known.assign(rate=rate).reset_index(drop=True)


def _cells(
    x: Floats, y: Floats, wanted: int = ROWS_IN_A_CELL, most: int = MOST_CELLS
) -> npt.NDArray[np.int64]:
    """Return the cell of each place; -1 for a missing one and one far from all others."""
    placed = np.isfinite(x) & np.isfinite(y)
    cell = np.full(len(x), -1, dtype=np.int64)
    if not placed.any():
        return cell
    across = int(np.clip(np.sqrt(placed.sum() / wanted), FEWEST_CELLS, most))
    numbers = []
    for values in (x, y):
        low, high = _ends(values[placed])
        placed &= np.nan_to_num((values >= low) & (values <= high)).astype(bool)
        width = (high - low) / across or 1.0
        numbers.append(
            np.clip(np.floor((np.where(placed, values, low) - low) / width), 0, across - 1)
        )
    cell[placed] = (numbers[1] * across + numbers[0])[placed].astype(np.int64)
    return cell


def _ends(values: Floats) -> tuple[float, float]:
    low, high = (float(value) for value in np.quantile(values, INNER))
    room = (high - low) / 2 or 1.0
    return max(low - room, float(values.min())), min(high + room, float(values.max()))


def without_place(table: pd.DataFrame) -> int:
    """Return how many rows of `cells` have no place, or one far from all others."""
    rows: Any = table.loc[table["x"].isna(), "rows"].sum()
    return int(rows)
