"""Tables with numbers and times in the form of the language, sorted by value.

Streamlit's own formats follow the browser, or English: a table of this module shows the texts of
`core.platform.messages` instead, while its cells keep their values for sorting and downloads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.platform.messages import day, number

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

Writer = Callable[[Any], str]
MISSING = "–"
# decimal places of a number without a format, without trailing zeros
DIGITS = 4


def localized(
    rows: pd.DataFrame, formats: Mapping[str, str | Writer] | None = None, *, missing: str = MISSING
) -> Styler:
    """Return rows for `st.dataframe`, with their numbers and moments in the form of the language.

    A format in `column_config` takes precedence. Streamlit itself formats editable cells and bars.

    Parameters
    ----------
    formats : mapping, optional
        Python's format of a column's numbers, or what writes its cells. Without one, whole numbers
        are written plainly, as identifiers are, others with up to four digits after the decimal
        sign, and moments to the minute.
    missing : str
        Shown for a missing value.

    Examples
    --------
    >>> shown = localized(pd.DataFrame({"rows": [20285, 3], "size": [1.5, None]}), {"rows": ","})
    >>> [cell["display_value"] for cell in shown._translate(False, False)["body"][0][1:]]
    ['20,285', '1.5']
    """
    chosen = formats or {}
    writers: dict[Any, Writer] = {}
    for name in rows.columns:
        form = chosen.get(name, _written)
        writers[name] = partial(_formatted, form=form) if isinstance(form, str) else form
    unique = rows if rows.index.is_unique else rows.reset_index(drop=True)
    return unique.style.format(writers, na_rep=missing)


def to_the_second(moment: pd.Timestamp) -> str:
    """Return a moment to the second, for `localized`."""
    return f"{day(moment)}:{moment:%S}"


def _formatted(value: Any, form: str) -> str:
    return number(value, form) if isinstance(value, Real) else _written(value)


def _written(value: Any) -> str:
    if isinstance(value, float):
        return _short(value)
    return day(value) if hasattr(value, "isoformat") else str(value)


def _short(value: float) -> str:
    if value and abs(value) < 10**-DIGITS:
        return number(value, ".2g")
    digits = f"{value:.{DIGITS}f}".rstrip("0").partition(".")[2]
    return number(value, f".{len(digits)}f")
