"""Which rows a model is built from, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.errors import InputError
from core.project import ProjectSpec


@dataclass(frozen=True)
class Filtered:
    """Development rows without missing values, and what was left out.

    Parameters
    ----------
    frame : DataFrame
        Columns `spec.prepared_columns`, target as whole numbers 0 and 1.
    missing : DataFrame
        Columns `column`, `missing`: missing values per column of the raw rows.
    rows_missing : int
        Raw rows dropped because some value is missing.
    rows_other : int
        Complete rows that are not development rows.
    """

    frame: pd.DataFrame
    missing: pd.DataFrame
    rows_missing: int
    rows_other: int


def filter_development(raw: pd.DataFrame, spec: ProjectSpec) -> Filtered:
    """Drop rows with any missing value, keep development rows and the project's columns.

    Parameters
    ----------
    raw : DataFrame
        Rows in the order of the project's id; it is not changed.

    Raises
    ------
    InputError
        When no row is left, or all that are left have the same label.
    """
    missing = raw.isna().sum().rename_axis("column").reset_index(name="missing")
    complete = raw.dropna()
    if complete.empty:
        worst = missing.sort_values("missing", ascending=False).iloc[0]
        raise InputError(
            f"Every row has a missing value (column '{worst['column']}' misses "
            f"{worst['missing']:,} of {len(raw):,}). There is nothing to train on."
        )
    chosen = complete[complete[spec.rows.column] == spec.rows.development]
    if chosen.empty:
        kinds = ", ".join(sorted(map(str, complete[spec.rows.column].unique()))[:5])
        raise InputError(
            f"No row has {spec.rows.column} = '{spec.rows.development}' (found: {kinds})."
        )
    frame = chosen[list(spec.prepared_columns)].reset_index(drop=True)
    frame = frame.astype({spec.target: "int64"})
    labels = frame[spec.target].unique()
    if len(labels) < 2:
        name = spec.positive if labels[0] == 1 else spec.negative
        raise InputError(
            f"All {len(frame):,} rows are '{name}'. A classifier needs rows of both classes."
        )
    return Filtered(frame, missing, len(raw) - len(complete), len(complete) - len(chosen))


def split(
    frame: pd.DataFrame, target: str, *, test_share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide the rows at random into train and test, with the same share of labels in both.

    Parameters
    ----------
    frame : DataFrame
        Complete rows; their order matters for which rows a seed picks.
    test_share : float
        Share of rows in the test set, above 0 and below 1.
    seed : int
        Of the random choice.

    Returns
    -------
    tuple of DataFrame
        Train and test.

    Raises
    ------
    InputError
        When a set would be left with too few rows to hold both labels.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(10), "y": [0, 1] * 5})
    >>> [len(part) for part in split(frame, "y", test_share=0.2, seed=42)]
    [8, 2]
    """
    from sklearn.model_selection import train_test_split

    fault = InputError(
        f"A test share of {test_share:g} cannot be taken from {len(frame):,} rows so that both "
        "sets hold both labels. Choose another share or bring more rows."
    )
    try:
        train, test = train_test_split(
            frame, test_size=test_share, random_state=seed, stratify=frame[target]
        )
    except ValueError as error:
        raise fault from error
    # a stratified draw may still round a rare label away
    if train[target].nunique() < 2 or test[target].nunique() < 2:
        raise fault
    return train, test
