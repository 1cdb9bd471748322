"""Optional: Evidently's drift report in addition to ours, if that extra is installed.

Evidently (Apache-2.0) is not a dependency of the app: it adds 28 packages that nothing else here
needs. Its verdict is per column, by its own tests and limits; ours is in the report.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.platform.errors import InputError, NotReadyError
from core.platform.messages import Message

VERSION = "0.7.23"
# with the app's pinned versions, none of which it changes
INSTALL = f"pip install evidently=={VERSION} -c requirements.txt"
# The page holds aggregates, not rows; more rows would not change it visibly.
MOST_ROWS = 20_000


def available() -> bool:
    """Return whether evidently is installed, without importing it.

    Examples
    --------
    >>> available() in (True, False)
    True
    """
    return importlib.util.find_spec("evidently") is not None


def html(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Sequence[str], *, seed: int = 0
) -> str:
    """Return evidently's drift report as one HTML document of about 4 MB that needs no network.

    The first call takes about 7 s to load evidently, each about 1 s: call it in a job.

    Parameters
    ----------
    reference, current : DataFrame
        With the columns: numbers or texts. Larger frames are sampled to 20,000 rows.
    columns : sequence of str
        Columns to compare, e.g. the features and `probability`. A column that is empty on one side
        is left out.

    Raises
    ------
    NotReadyError
        When evidently is not installed, or in a version with another interface.
    InputError
        When a side has no row, no column is left, or evidently cannot compare them.
    """
    absent = Message(
        "{package} is not installed, or not in a version that can be used. Run `{command}`, and "
        "restart the app.",
        package="Evidently",
        command=INSTALL,
    )
    if not available():
        raise NotReadyError(absent)
    # disables evidently's telemetry, whatever the user's setting
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset
    except ImportError as error:
        raise NotReadyError(absent) from error
    sides = [_ready(frame[list(columns)], seed) for frame in (reference, current)]
    both = all(len(side) for side in sides)
    names = [name for name in sides[0] if both and all(side[name].notna().any() for side in sides)]
    if not names:
        raise InputError(
            Message("No column has values on both sides. Choose other columns or rows.")
        )
    numbers = [name for name in names if pd.api.types.is_numeric_dtype(sides[0][name])]
    described = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in names if name not in numbers],
    )
    before, now = (Dataset.from_pandas(side[names], described) for side in sides)
    try:
        with warnings.catch_warnings():
            # a constant column has no deviation to divide by
            warnings.simplefilter("ignore")
            page = Report([DataDriftPreset()]).run(now, before).get_html_str(as_iframe=False)
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as error:
        raise InputError(
            Message("{name} cannot be used: {reason}", name="Evidently", reason=str(error))
        ) from error
    return str(page)


def _ready(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return at most MOST_ROWS rows, escaped so that no text can end the surrounding script."""
    drawn = frame if len(frame) <= MOST_ROWS else frame.sample(MOST_ROWS, random_state=seed)
    columns = {}
    for name in drawn:
        values = drawn[name]
        if pd.api.types.is_numeric_dtype(values):
            plain = values.to_numpy(dtype=np.float64, na_value=np.nan)
            columns[_plain(name)] = np.where(np.isfinite(plain), plain, np.nan)
        else:
            columns[_plain(name)] = values.map(_plain, na_action="ignore").to_numpy(dtype=object)
    return pd.DataFrame(columns)


def _plain(value: object) -> str:
    return str(value).replace("<", "‹").replace(">", "›")
