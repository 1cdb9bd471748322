"""Scoring a file: its first rows, column mapping, rows left out, and the way to score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.data import column_names
from core.jobs import jobs, local_cluster
from core.platform import model_store, project, schema
from core.platform.config import Settings
from core.platform.csv_dialect import Dialect, DialectError, Given
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _, n_, number
from core.platform.project import ProjectSpec
from core.scoring import batches, score
from core.serving import server
from pages.score import serving_choice
from pages.shared import csv_format, elements, table_texts, uploads

# From here on the result is the file only: browsing that many rows is slow.
MANY_ROWS = 200_000
WAYS = {
    "endpoint": (
        Message("Served model"),
        Message("Every batch goes through the endpoint that other clients call."),
    ),
    "in_process": (
        Message("In this process"),
        Message("The same function without the network: faster for many rows."),
    ),
    "dask": (
        Message("Dask cluster"),
        Message("Parts of the file in parallel on its workers: for the largest files."),
    ),
}
KEEPS = {
    "auto": (
        Message("By size"),
        Message("Row by row up to {rows:,} rows, else as a file.", rows=MANY_ROWS),
    ),
    "rows": (Message("Row by row"), Message("Each row has an id and can get its label later.")),
    "file": (Message("As a file"), Message("The log refers to the file; fast for many rows.")),
}


def ask_upload(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Draw a file upload with its contents, and the button that scores it."""
    files = uploads.ask(settings, _("CSV or parquet file"), "file", types=["csv", "parquet"])
    if not files:
        st.caption(
            _(
                "Nothing is sent before you press Score. The model needs {inputs}.",
                inputs=inputs_of(settings, served),
            )
        )
        if st.button(_("Score"), type="primary", icon=":material/target:", key="score-upload"):
            st.error(_("No file is chosen yet. Drop one above."))
        return
    staged = files[0]
    try:
        head, first = csv_format.inspect(
            settings, staged.stored, staged.name, csv_format.chosen("upload")
        )
    except DialectError as error:
        if error.asks is None:
            raise
        csv_format.ask("upload", error)
        return
    csv_format.describe(staged.name, head.dialect)
    written = csv_format.ask("upload", None) if head.dialect is not None else {}
    mapping = columns(settings, spec, served, head.columns, first, head.rows)
    left, right = elements.side_by_side()
    with left:
        way = choose_way(settings, head.rows, ("endpoint", "in_process"))
    with right:
        keep = choose_keep("upload")
    if st.button(
        _("Score"),
        type="primary",
        icon=":material/target:",
        key="score-upload",
        disabled=mapping is None or serving_choice.is_scoring(settings),
    ):
        elements.submit(
            settings,
            "score",
            score.Options,
            source="upload",
            port=served.port,
            upload=staged.model_dump(),
            mapping=mapping or {},
            way=way,
            keep=keep,
            **written,
        )


def ask_path(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Draw the input of a path or an address, and the button that scores it."""
    left, right = elements.side_by_side()
    path = left.text_input(
        _("File, folder or address"),
        key="path",
        placeholder=_("/data/rows.parquet or s3://bucket/rows"),
        help=_("On the app's machine, or any storage that fsspec supports."),
    ).strip()
    destination = right.text_input(
        _("Where the result goes"),
        key="destination",
        placeholder=_("Empty: a folder of its own in data/07_model_output"),
    ).strip()
    mapping: dict[str, str] | None = {}
    written: dict[str, str] = {}
    if path and st.session_state.get("looked-at") == path:
        with elements.show_errors():
            try:
                with st.spinner(_("Reading the first rows")):
                    names, first, dialect = peek(path, csv_format.chosen("path"))
            except DialectError as error:
                if error.asks is None:
                    raise
                written, mapping = csv_format.ask("path", error), None
            else:
                csv_format.describe(path, dialect)
                written = csv_format.ask("path", None) if dialect is not None else {}
                mapping = columns(settings, spec, served, names, first, None)
    else:
        st.caption(
            _(
                "Columns are matched by name; the inputs are {inputs}. Preview the first rows to "
                "match other names. Rows that cannot be scored are listed and left out.",
                inputs=inputs_of(settings, served),
            )
        )
        if st.button(_("Preview"), icon=":material/visibility:", key="look", disabled=not path):
            peek.clear()
            st.session_state["looked-at"] = path
            st.rerun()
    left, right = elements.side_by_side()
    with left:
        way = choose_way(settings, MANY_ROWS + 1, tuple(WAYS))
    with right:
        keep = None if way == "dask" else choose_keep("path")
        if way == "dask":
            cluster(settings)
    if st.button(
        _("Score"),
        type="primary",
        icon=":material/target:",
        key="score-path",
        disabled=mapping is None or serving_choice.is_scoring(settings),
    ):
        if not path:
            st.error(_("No path given. Type a path or an address above."))
            return
        elements.submit(
            settings,
            "score",
            score.Options,
            source="path",
            port=served.port,
            path=path,
            destination=destination or None,
            mapping=mapping or {},
            way=way,
            keep=keep,
            **written,
        )


def resume(settings: Settings) -> None:
    """Offer to resume the newest interrupted scoring of a path."""
    newest = jobs.latest(settings, "score", limit=1)
    if not newest or newest[0].status not in ("failed", "cancelled") or not newest[0].run_id:
        return
    job = newest[0]
    if job.options.get("source") != "path" and not job.options.get("resume"):
        return
    st.info(_("The last scoring was interrupted. Its finished parts are kept."))
    if st.button(_("Resume"), icon=":material/play_arrow:", key=f"resume-{job.job_id}"):
        elements.submit(settings, "score", score.Options, **{**job.options, "resume": job.run_id})


@st.cache_data(show_spinner=False, max_entries=8)
def peek(path: str, given: Given) -> tuple[tuple[str, ...], pd.DataFrame, Dialect | None]:
    """Return columns, first rows and dialect at a path or address."""
    return batches.peek(path, csv_format.CHECKED_ROWS, given)


def inputs_of(settings: Settings, served: server.Server) -> tuple[str, ...]:
    """Return the input columns of the served version."""
    return model_store.require_version(settings, served.model, served.version).inputs


def columns(
    settings: Settings,
    spec: ProjectSpec,
    served: server.Server,
    names: Sequence[str],
    first: pd.DataFrame,
    rows: int | None,
) -> dict[str, str] | None:
    """Show the first rows and the column mapping; None while an input is not mapped."""
    st.markdown(
        n_("**First rows**, {count:,} column", "**First rows**, {count:,} columns", len(names))
        if rows is None
        else n_(
            "**First rows** of {rows:,}, {count:,} column",
            "**First rows** of {rows:,}, {count:,} columns",
            len(names),
            rows=rows,
        )
    )
    st.dataframe(table_texts.localized(first.head(csv_format.FIRST_ROWS)), hide_index=True)
    inputs = inputs_of(settings, served)
    wanted = schema.chosen_columns(spec, (*inputs, spec.id, spec.target))
    guess = column_names.guessed(wanted, names)
    missing = [name for name in inputs if guess[name] is None]
    chosen: dict[str, str | None] = {}
    with st.expander(_("Column mapping"), expanded=bool(missing)):
        fields = st.container(horizontal=True)
        for name in wanted:
            title = {
                spec.id: _("{name} (key, if any)", name=name),
                spec.target: _("{name} (label, if any)", name=name),
            }.get(name, name)
            at = names.index(guess[name]) if guess[name] in names else None
            chosen[name] = fields.selectbox(
                title,
                names,
                index=at,
                placeholder=_("None"),
                width=226,
                help=str(project.words(wanted[name].about)) or None,
                key=f"column-{served.run_id}-{names}-{name}",
            )
    if missing := [name for name in inputs if chosen[name] is None]:
        st.warning(
            n_(
                "Select the column of {inputs}. Scoring needs it.",
                "Select the columns of {inputs}. Scoring needs them.",
                len(missing),
                inputs=missing,
            )
        )
        return None
    taken = {name: column for name, column in chosen.items() if column is not None}
    if twice := sorted(
        {column for column in taken.values() if list(taken.values()).count(column) > 1}
    ):
        st.warning(
            n_(
                "Column {columns} is selected more than once.",
                "Columns {columns} are selected more than once.",
                len(twice),
                columns=[elements.plain(column) for column in twice],
            )
        )
        return None
    st.caption(
        _(
            "Label: {label} · Key: {key}",
            label=taken.get(spec.target) or _("none; it can come later"),
            key=taken.get(spec.id) or _("none"),
        )
    )
    checked(spec, first, taken, inputs, rows)
    return {name: column for name, column in taken.items() if name != column}


def checked(
    spec: ProjectSpec,
    first: pd.DataFrame,
    taken: dict[str, str],
    inputs: tuple[str, ...],
    rows: int | None,
) -> None:
    """State which of the first rows would be left out, and why."""
    frame = pd.DataFrame({name: first[column] for name, column in taken.items()})
    clean, refused = schema.usable(frame, schema.chosen_columns(spec, list(taken)))
    is_all = rows is not None and rows <= len(first)
    # column, rows, why they are left out, the first row
    faults = [
        (refusal.column, int(refusal.rows.sum()), str(refusal.reason), int(refusal.rows.argmax()))
        for refusal in refused
    ]
    broken = {refusal.column: refusal.rows for refusal in refused}
    for name in inputs:
        empty = clean[name].isna().to_numpy()
        if name in broken:
            empty &= ~broken[name]
        if empty.any():
            why = _("no value, unless the model imputes it")
            faults.append((name, int(empty.sum()), why, int(empty.argmax())))
    if not faults:
        st.success(
            _("All {rows:,} rows can be scored.", rows=len(first))
            if is_all
            else _("The first {rows:,} rows can be scored.", rows=len(first)),
            icon=":material/verified:",
        )
        return
    st.warning(
        _("Of all {rows:,} rows, some cannot be scored and are left out.", rows=len(first))
        if is_all
        else _("Of the first {rows:,} rows, some cannot be scored.", rows=len(first))
    )
    st.table(
        pd.DataFrame(
            {
                _("Column"): [elements.plain(column) for column, *_rest in faults],
                _("Rows"): [number(count) for _column, count, _why, _first in faults],
                _("Why they are left out"): [why for _column, _count, why, _first in faults],
                _("First row"): [number(place) for *_rest, place in faults],
            }
        ),
        hide_index=True,
    )


def choose_way(settings: Settings, rows: int, offered: tuple[str, ...]) -> str:
    """Draw the choice of the way, with a sentence for the selected one."""
    usual = "endpoint" if rows <= MANY_ROWS else "in_process"
    way = st.segmented_control(
        _("Mode"),
        offered,
        default=usual,
        required=True,
        key=f"way-{len(offered)}-{usual}",
        format_func=lambda name: str(WAYS[name][0]),
    )
    st.caption(str(WAYS[way][1]))
    return str(way)


def choose_keep(source: str) -> str | None:
    """Draw the choice of what the predictions log stores."""
    keep = st.segmented_control(
        _("Keep"),
        list(KEEPS),
        default="auto",
        required=True,
        key=f"keep-{source}",
        format_func=lambda name: str(KEEPS[name][0]),
    )
    st.caption(str(KEEPS[keep][1]))
    return None if keep == "auto" else str(keep)


def cluster(settings: Settings) -> None:
    """Show the cluster in use, and start or stop a local one."""
    if settings.dask:
        st.caption(_("Scheduler: {dask}", dask=elements.plain(settings.dask)))
        return
    running = local_cluster.find(settings)
    with st.container(horizontal=True, vertical_alignment="center"):
        if running is None:
            st.markdown(_("No Dask cluster is running."), width="content")
            if st.button(_("Start two workers here"), key="start-cluster"):
                with elements.show_errors(), st.spinner(_("Starting a scheduler and two workers")):
                    local_cluster.start(settings)
                    st.rerun()
            return
        st.markdown(
            n_(
                "{count} worker at {address}",
                "{count} workers at {address}",
                len(running.workers),
                address=elements.plain(running.address),
            ),
            width="content",
        )
        if st.button(_("Stop"), key="stop-cluster"):
            with suppress(CourtsideError):
                local_cluster.stop(settings)
            st.rerun()
