"""Everything that one run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.platform import tracking
from core.platform.config import Settings
from core.platform.messages import _, day, number
from core.platform.tracking import RunInfo
from pages.runs import mlflow_buttons
from pages.shared import elements, navigation, statuses, table_texts

HEIGHT = 300
# of a table of a run
FIRST_ROWS = 200


def draw(settings: Settings, run: RunInfo, *, has_link: bool = False) -> None:
    """Draw a run: state, relatives, metrics, parameters, tags and artifacts."""
    _head(run)
    if run.error:
        st.error(elements.fact(run.error))
    with st.container(horizontal=True, vertical_alignment="center"):
        if has_link:
            navigation.run_link(run.run_id)
        if run.parent:
            navigation.run_link(run.parent, _("Parent run"))
        for child in tracking.runs(settings, parent=run.run_id):
            navigation.run_link(child.run_id, elements.words(child.name))
        mlflow_buttons.draw(settings, run)
    left, right = elements.side_by_side()
    with left:
        _pairs({name: number(value, ",.6g") for name, value in run.metrics.items()}, _("Metric"))
    with right:
        _pairs(run.params, _("Parameters"))
    _artifacts(settings, run)
    with st.expander(_("Tags")):
        own = {name: text for name, text in run.tags.items() if not name.startswith("mlflow.log-")}
        _pairs(own, _("Tags"))


def _head(run: RunInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{elements.words(run.name)} {run.run_id[:8]}", anchor=False, width="content")
        st.badge(statuses.status(run.status), color=statuses.COLOURS.get(run.status, "gray"))
        if run.is_sample:
            elements.sample_badge()
    started = day(elements.when(run.started))
    seconds = f", {number(run.ended - run.started, '.1f')} s" if run.ended else ""
    commit = f"{_('Commit')} {run.git_commit[:10] or '–'}"
    st.caption(f"{started}{seconds} · {commit} · id {run.run_id}")


def _artifacts(settings: Settings, run: RunInfo) -> None:
    kept = tracking.artifacts(settings, run.run_id)
    tables = [
        path.split("/")[1].removesuffix(".parquet") for path in kept if path.startswith("tables/")
    ]
    with st.expander(elements.counted(_("Artifacts"), len(kept))):
        if tables:
            name = st.selectbox(
                _("Artifacts"), tables, key=f"table-{run.run_id}", label_visibility="collapsed"
            )
            first = elements.table(settings, run.run_id, name).head(FIRST_ROWS)
            st.dataframe(table_texts.localized(first.map(_in_words)), height=HEIGHT)
        st.code("\n".join(kept) or "–", language=None)


def _in_words(cell: Any) -> Any:
    """Return a cell as it is, or the words of a message that was stored in it."""
    return elements.words(cell) if isinstance(cell, str) else cell


def _pairs(values: Mapping[str, Any], title: str) -> None:
    if not values:
        st.caption(f"{title}: –")
        return
    frame = pd.DataFrame(sorted(values.items()), columns=["name", "value"])
    frame["value"] = frame["value"].map(_in_words)
    st.dataframe(
        table_texts.localized(frame),
        height=min(HEIGHT, 38 + 35 * len(frame)),
        hide_index=True,
        column_config={"name": title, "value": _("Value")},
    )
