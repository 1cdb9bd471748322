"""Numbers and moments of tables are written in the reader's form, and are numbers still."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import altair as alt
import pandas as pd
import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from core.platform import messages
from core.stats.charts import style
from pages.shared import elements
from tests.integration.pages.conftest import Lived

VIEWS = (
    "data?view=source",
    "train?view=results",
    "registry?view=versions",
    "registry?view=ledger",
    "score?view=log",
    "score?view=rows",
    "monitor?view=history",
    "runs?view=runs",
)
# Streamlit's own to write: the script of the page makes them follow its language
OWN = {"progress", "bar_chart", "link"}
ENGLISH = re.compile(r"\d\.\d{1,2}(?!\d)|\d\.\d{4,}|\d{4}-\d\d-\d\d")


def numbers_of(table: AppTest) -> dict[str, list[str]]:
    """Return what is shown in the columns of numbers and of moments of a table."""
    configured = json.loads(table.proto.columns or "{}")
    shown = convert_arrow_bytes_to_pandas_df(table.proto.arrow_data.styler.display_values)
    texts = {}
    for name in table.value.columns:
        config = configured.get(name) or {}
        kind = (config.get("type_config") or {}).get("type")
        values = table.value[name]
        is_number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
        if kind in OWN or not (is_number or pd.api.types.is_datetime64_any_dtype(values)):
            continue
        # Streamlit's format would count more
        assert not (config.get("type_config") or {}).get("format"), name
        texts[name] = shown[name].tolist()
    return texts


@pytest.mark.parametrize("page", VIEWS)
def test_a_table_is_written_in_portuguese(
    page: str, lived: Lived, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(lived.settings, page, lang="pt")
    assert not app.exception
    tables = [table for table in app.dataframe if table.editing_mode == "read_only"]
    assert tables
    for table in tables:
        for name, texts in numbers_of(table).items():
            assert not [text for text in texts if ENGLISH.search(text)], (name, texts[:5])


@pytest.mark.parametrize(("language", "mark"), [("en", "."), ("pt", ",")])
def test_charts_write_numbers_in_the_form_of_the_language(language, mark):
    rows = alt.Chart(pd.DataFrame({"x": [1]})).mark_bar().encode(x="x:Q")

    with messages.speaking(language):
        drawn = elements.localized(style.finish([rows])).to_dict(validate=True)

    assert drawn["config"]["locale"]["number"]["decimal"] == mark
