"""The scorings that were made: the newest, and earlier ones by choice."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.messages import _, day, n_
from core.platform.project import ProjectSpec
from core.platform.run_tags import Condition
from core.predictions_log import predictions
from pages.shared import elements, navigation

# as the predictions log names them
ONE_ROW = ("page", "row")
MANY_ROWS = ("production", "file", "upload")
HISTORY = 50


def source_words(spec: ProjectSpec, source: str) -> str:
    """Return the name of a source of rows: an option of a scoring, or as the log names it."""
    names = {
        "production": elements.capital(spec.rows.current_rows),
        **{
            code: elements.capital(predictions.SOURCE_LABELS[code])
            for code in ("row", "upload", "file", "api")
        },
        "page": elements.capital(predictions.SOURCE_LABELS["row"]),
        "path": _("File, folder or address"),
    }
    return names.get(source, source)


def newest(settings: Settings, *, one_row: bool) -> tracking.RunInfo | None:
    """Return the newest finished scoring of one row, or of many."""
    runs = tracking.runs(
        settings,
        step="score",
        status="FINISHED",
        limit=1,
        matching=[Condition("params", "source", "row", "=" if one_row else "!=")],
    )
    return runs[0] if runs else None


def chosen(
    settings: Settings, spec: ProjectSpec, last: tracking.RunInfo, *, one_row: bool
) -> tracking.RunInfo:
    """Return the scoring to show: the newest, or an earlier one by selection."""
    kept: list[predictions.Scoring] = []
    with elements.show_errors():
        kept = predictions.scorings(
            settings, sources=ONE_ROW if one_row else MANY_ROWS, limit=HISTORY
        )
    titles = {scoring.run_id: _title(spec, scoring, one_row=one_row) for scoring in kept}
    if last.run_id not in titles:
        titles = {last.run_id: elements.ago(last.ended or last.started), **titles}
    if len(titles) == 1:
        when = elements.ago(last.ended or last.started)
        version = last.params["version"]
        st.caption(
            f"{elements.capital(_('version {version}', version=version))}, {when}", width="content"
        )
        return last
    run_id = st.selectbox(
        _("Scoring"),
        list(titles),
        index=list(titles).index(last.run_id),
        format_func=titles.__getitem__,
        # a new scoring is shown immediately, whatever was selected before
        key=f"scoring-{last.run_id}",
        label_visibility="collapsed",
        width=380,
    )
    run = last if run_id == last.run_id else tracking.finished_run(settings, run_id)
    if run is None:
        st.warning(navigation.run_again("score"))
        return last
    return run


def _title(spec: ProjectSpec, scoring: predictions.Scoring, *, one_row: bool) -> str:
    when = elements.ago(scoring.scored_at)
    version = _("version {version}", version=scoring.version)
    if one_row:
        title = f"{elements.capital(version)}, {when}"
    else:
        rows = n_("{count:,} row", "{count:,} rows", scoring.rows)
        title = f"{source_words(spec, scoring.source)}: {rows}, {version}, {when}"
    return title + (f", {elements.data_word(is_sample=True)}" if scoring.is_sample else "")


def classes(spec: ProjectSpec) -> dict[int, str]:
    """Return the names of the labels."""
    return {1: str(project.words(spec.positive)), 0: str(project.words(spec.negative))}


def moment(at: float) -> str:
    """Return a time in words."""
    return day(datetime.fromtimestamp(at))
