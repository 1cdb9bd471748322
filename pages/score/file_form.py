"""Scoring a file: its first rows, column mapping, rows left out, and the way to score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd

from core.data import column_names
from core.jobs import jobs, local_cluster
from core.platform import model_store, schema
from core.platform.config import Settings
from core.platform.csv_dialect import Dialect, DialectError, Given
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _
from core.platform.project import ProjectSpec
from core.scoring import batches, score
from core.serving import server
from pages.shared import csv_format, elements, uploads
from pages.shared.bilingual import st

# From here on the result is the file only: browsing that many rows is slow.
MANY_ROWS = 200_000
WAYS = {
    "endpoint": (
        Message("Served model"),
        Message("Every batch goes through the endpoint that others call too."),
    ),
    "in_process": (
        Message("In this process"),
        Message("The same function without the network: for many rows."),
    ),
    "dask": (
        Message("Dask cluster"),
        Message("Parts of the file side by side on its workers: for the largest."),
    ),
}
KEEPS = {
    "auto": (
        Message("By size"),
        Message("Row by row up to {many_rows:,} rows, else as a file.", many_rows=MANY_ROWS),
    ),
    "rows": (Message("Row by row"), Message("Each row has an id and can get its label later.")),
    "file": (Message("As a file"), Message("The log knows of the file; quick for many rows.")),
}


def ask_upload(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Draw a file upload with its contents, and the button that scores it."""
    files = uploads.ask(settings, _("CSV or parquet file"), "file", types=["csv", "parquet"])
    if not files:
        wanted = ", ".join(inputs_of(settings, served))
        st.caption(
            _("Nothing is sent before you press Score. The model takes: {wanted}.", wanted=wanted)
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
    way = choose_way(settings, head.rows, ("endpoint", "in_process"))
    keep = choose_keep("upload")
    if st.button(
        _("Score"),
        type="primary",
        icon=":material/target:",
        key="score-upload",
        disabled=mapping is None,
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
    path = st.text_input(
        _("File, folder or address"),
        key="path",
        placeholder=_("/data/rows.parquet or s3://bucket/rows"),
        help=_("On the machine of the app, or any place that fsspec knows."),
    ).strip()
    destination = st.text_input(
        _("Where the result goes"),
        key="destination",
        placeholder=_("Empty: a folder of its own in data/07_model_output"),
    ).strip()
    mapping: dict[str, str] | None = {}
    written: dict[str, str] = {}
    if path and st.session_state.get("looked-at") == path:
        with elements.show_errors():
            try:
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
                "The columns are taken by their names; the inputs are {settings}. Look at the "
                "first rows to say otherwise. What cannot be scored is listed and left out.",
                settings=", ".join(inputs_of(settings, served)),
            )
        )
        if st.button(_("Look at it"), icon=":material/visibility:", key="look", disabled=not path):
            peek.clear()
            st.session_state["looked-at"] = path
            st.rerun()
    way = choose_way(settings, MANY_ROWS + 1, tuple(WAYS))
    keep = None if way == "dask" else choose_keep("path")
    if way == "dask":
        cluster(settings)
    if st.button(
        _("Score"),
        type="primary",
        icon=":material/target:",
        key="score-path",
        disabled=mapping is None,
    ):
        if not path:
            st.error(_("No place is named yet. Type a path or an address above."))
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
    st.info(_("The last scoring was interrupted. What it had finished is kept."))
    if st.button(_("Resume"), icon=":material/play_arrow:", key=f"resume-{job.job_id}"):
        elements.submit(settings, "score", score.Options, **{**job.options, "resume": job.run_id})


@st.cache_data(show_spinner=_("Reading the first rows"), max_entries=8)
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
    of = "" if rows is None else (" " + _("of {rows:,}", rows=rows))
    st.markdown(_("**The first rows**{of} with {names} columns", of=of, names=len(names)))
    st.dataframe(first.head(10), hide_index=True)
    inputs = inputs_of(settings, served)
    wanted = schema.chosen_columns(spec, (*inputs, spec.id, spec.target))
    guess = column_names.guessed(wanted, names)
    missing = [name for name in inputs if guess[name] is None]
    chosen: dict[str, str | None] = {}
    with st.expander(_("Which column is which"), expanded=bool(missing)):
        fields = st.container(horizontal=True)
        for name in wanted:
            role = {
                spec.id: (" " + _("(key, if any)")),
                spec.target: (" " + _("(label, if any)")),
            }.get(name, "")
            at = names.index(guess[name]) if guess[name] in names else None
            chosen[name] = fields.selectbox(
                f"{name}{role}",
                names,
                index=at,
                placeholder=_("None"),
                width=226,
                help=wanted[name].about,
                key=f"column-{served.run_id}-{names}-{name}",
            )
    if missing := [name for name in inputs if chosen[name] is None]:
        st.warning(
            _(
                "Say which column holds {missing}. Nothing can be scored before.",
                missing=", ".join(missing),
            )
        )
        return None
    taken = {name: column for name, column in chosen.items() if column is not None}
    if twice := sorted(
        {column for column in taken.values() if list(taken.values()).count(column) > 1}
    ):
        st.warning(
            _("Column {twice} is chosen more than once.", twice=elements.plain(", ".join(twice)))
        )
        return None
    st.caption(
        (_("Label:") + " ")
        + (taken.get(spec.target) or _("none; it can come later"))
        + (" " + _("· Key:") + " ")
        + (taken.get(spec.id) or "none")
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
    some = (
        _("all {first:,} rows", first=len(first))
        if is_all
        else _("the first {first:,} rows", first=len(first))
    )
    faults = [
        {
            "Column": refusal.column,
            "Rows": int(refusal.rows.sum()),
            "Why they are left out": refusal.reason,
            "First row": int(refusal.rows.argmax()),
        }
        for refusal in refused
    ]
    broken = {refusal.column: refusal.rows for refusal in refused}
    for name in inputs:
        empty = clean[name].isna().to_numpy()
        if name in broken:
            empty &= ~broken[name]
        if empty.any():
            faults.append(
                {
                    "Column": name,
                    "Rows": int(empty.sum()),
                    "First row": int(empty.argmax()),
                    "Why they are left out": _("no value, unless the model fills it in itself"),
                }
            )
    if not faults:
        st.success(_("Checked {some}: each can be scored.", some=some), icon=":material/verified:")
        return
    st.warning(_("Of {some}, some cannot be scored. The others are.", some=some))
    st.table(
        pd.DataFrame(faults).assign(Column=lambda f: f["Column"].map(elements.plain)),
        hide_index=True,
    )


def choose_way(settings: Settings, rows: int, offered: tuple[str, ...]) -> str:
    """Draw the choice of the way, with a sentence for the selected one."""
    usual = "endpoint" if rows <= MANY_ROWS else "in_process"
    way = st.segmented_control(
        _("Way"),
        offered,
        default=usual,
        required=True,
        key=f"way-{len(offered)}-{usual}",
        format_func=lambda name: WAYS[name][0],
    )
    st.caption(WAYS[way][1])
    return str(way)


def choose_keep(source: str) -> str | None:
    """Draw the choice of what the predictions log stores."""
    keep = st.segmented_control(
        _("Keep"),
        list(KEEPS),
        default="auto",
        required=True,
        key=f"keep-{source}",
        format_func=lambda name: KEEPS[name][0],
    )
    st.caption(KEEPS[keep][1])
    return None if keep == "auto" else str(keep)


def cluster(settings: Settings) -> None:
    """Show the cluster in use, and start or stop a local one."""
    if settings.dask:
        st.caption(_("Scheduler: {dask}", dask=elements.plain(settings.dask)))
        return
    running = local_cluster.find(settings)
    with st.container(horizontal=True, vertical_alignment="center"):
        if running is None:
            st.markdown(_("No Dask cluster runs."), width="content")
            if st.button(_("Start two workers here"), key="start-cluster"):
                with elements.show_errors(), st.spinner(_("Starting a scheduler and two workers")):
                    local_cluster.start(settings)
                    st.rerun()
            return
        st.markdown(
            _(
                "{workers} workers at {address}",
                workers=len(running.workers),
                address=elements.plain(running.address),
            ),
            width="content",
        )
        if st.button(_("Stop it"), key="stop-cluster"):
            with suppress(CourtsideError):
                local_cluster.stop(settings)
            st.rerun()
