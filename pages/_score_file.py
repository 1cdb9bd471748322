"""A file to be scored: its first rows, which column is which, what is left out, and which way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd

from core import schema
from core.adapters import batches, jobs, local_cluster, server, storage, tables, tracking
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import CourtsideError
from core.logic import column_names
from core.project import ProjectSpec
from core.steps import score
from pages import _parts
from pages._bilingual import st

# From here on the file itself is the result: as many rows are slow to look at one by one.
MANY_ROWS = 200_000
CHECKED_ROWS = 1000
WAYS = {
    "endpoint": ("Served model", "Every batch goes through the endpoint that others call too."),
    "in_process": ("In this process", "The same function without the network: for many rows."),
    "dask": ("Dask cluster", "Parts of the file side by side on its workers: for the largest."),
}
KEEPS = {
    "auto": ("By size", f"Row by row up to {MANY_ROWS:,} rows, else as a file."),
    "rows": ("Row by row", "Each row has an id and can get its label later."),
    "file": ("As a file", "The log knows of the file; quick for many rows."),
}


def ask_upload(settings: Settings, spec: ProjectSpec, one: server.Server) -> None:
    """Take a file from the browser, show what it holds, and score it at a press."""
    file = st.file_uploader(
        "CSV or parquet file", type=["csv", "parquet"],
        max_upload_size=settings.upload_limit_mb, key="file",
    )  # fmt: skip
    if file is None:
        wanted = ", ".join(inputs_of(settings, one))
        st.caption(f"Nothing is sent before you press Score. The model takes: {wanted}.")
        if st.button("Score", type="primary", icon=":material/target:", key="score-upload"):
            st.error("No file is chosen yet. Drop one above.")
        return
    staged = stage(settings, file.file_id, file.name, _content=file.getvalue())
    head, first = look(settings, staged.stored, staged.name)
    mapping = columns(settings, spec, one, head.columns, first, head.rows)
    way = choose_way(settings, head.rows, ("endpoint", "in_process"))
    keep = choose_keep("upload")
    if st.button("Score", type="primary", icon=":material/target:", key="score-upload",
                 disabled=mapping is None):  # fmt: skip
        _parts.submit(
            settings, "score", score.Options, source="upload", port=one.port,
            upload=staged.model_dump(), mapping=mapping or {}, way=way, keep=keep,
        )  # fmt: skip


def ask_path(settings: Settings, spec: ProjectSpec, one: server.Server) -> None:
    """Take a path or an address, and score what lies there at a press."""
    path = st.text_input(
        "File, folder or address", key="path", placeholder="/data/rows.parquet or s3://bucket/rows",
        help="On the machine of the app, or any place that fsspec knows.",
    ).strip()  # fmt: skip
    destination = st.text_input(
        "Where the result goes", key="destination",
        placeholder="Empty: a folder of its own in data/07_model_output",
    ).strip()  # fmt: skip
    mapping: dict[str, str] | None = {}
    if path and st.session_state.get("looked-at") == path:
        with _parts.told():
            names, first = peek(path)
            mapping = columns(settings, spec, one, names, first, None)
    else:
        st.caption(
            "The columns are taken by their names; the inputs are "
            f"{', '.join(inputs_of(settings, one))}. Look at the first rows to say otherwise. What "
            "cannot be scored is listed and left out."
        )
        if st.button("Look at it", icon=":material/visibility:", key="look", disabled=not path):
            peek.clear(path)
            st.session_state["looked-at"] = path
            st.rerun()
    way = choose_way(settings, MANY_ROWS + 1, tuple(WAYS))
    keep = None if way == "dask" else choose_keep("path")
    if way == "dask":
        cluster(settings)
    if st.button("Score", type="primary", icon=":material/target:", key="score-path",
                 disabled=mapping is None):  # fmt: skip
        if not path:
            st.error("No place is named yet. Type a path or an address above.")
            return
        _parts.submit(
            settings, "score", score.Options, source="path", port=one.port, path=path,
            destination=destination or None, mapping=mapping or {}, way=way, keep=keep,
        )  # fmt: skip


def resume(settings: Settings) -> None:
    """Offer to go on with the newest scoring of a path where it was interrupted."""
    found = jobs.latest(settings, "score", limit=1)
    if not found or found[0].status not in ("failed", "cancelled") or not found[0].run_id:
        return
    job = found[0]
    if job.options.get("source") != "path" and not job.options.get("resume"):
        return
    st.info("The last scoring was interrupted. What it had finished is kept.")
    if st.button("Resume", icon=":material/play_arrow:", key=f"resume-{job.job_id}"):
        _parts.submit(settings, "score", score.Options, **{**job.options, "resume": job.run_id})


@st.cache_data(show_spinner=False, max_entries=8)
def stage(_settings: Settings, file_id: str, name: str, *, _content: bytes) -> Upload:
    """Keep the bytes of an upload once, however often the page runs."""
    return storage.stage_upload(_settings, name, _content)


@st.cache_data(show_spinner=False, max_entries=8)
def look(_settings: Settings, stored: str, name: str) -> tuple[tables.Head, pd.DataFrame]:
    """Return what a file says of itself, and its first rows."""
    path = storage.uploaded(_settings, Upload(name=name, stored=stored))
    return tables.preview(path, name, CHECKED_ROWS)


@st.cache_data(show_spinner="Reading the first rows", max_entries=8)
def peek(path: str) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return the columns and the first rows of what lies at a path or address."""
    return batches.peek(path, CHECKED_ROWS)


def inputs_of(settings: Settings, one: server.Server) -> tuple[str, ...]:
    """Return the columns that the served version takes."""
    return tracking.require_version(settings, one.model, one.version).inputs


def columns(
    settings: Settings, spec: ProjectSpec, one: server.Server, names: Sequence[str],
    first: pd.DataFrame, rows: int | None,
) -> dict[str, str] | None:  # fmt: skip
    """Show the first rows and ask which column is which; None while an input has none."""
    of = "" if rows is None else f" of {rows:,}"
    st.markdown(f"**The first rows**{of} with {len(names)} columns")
    st.dataframe(first.head(10), hide_index=True)
    inputs = inputs_of(settings, one)
    wanted = schema.chosen_columns(spec, (*inputs, spec.id, spec.target))
    guess = column_names.guessed(wanted, names)
    missing = [name for name in inputs if guess[name] is None]
    chosen: dict[str, str | None] = {}
    with st.expander("Which column is which", expanded=bool(missing)):
        fields = st.container(horizontal=True)
        for name in wanted:
            role = {spec.id: " (key, if any)", spec.target: " (label, if any)"}.get(name, "")
            at = names.index(guess[name]) if guess[name] in names else None
            chosen[name] = fields.selectbox(
                f"{name}{role}", names, index=at, placeholder="None", width=226,
                help=wanted[name].about, key=f"column-{one.run_id}-{names}-{name}",
            )  # fmt: skip
    if missing := [name for name in inputs if chosen[name] is None]:
        st.warning(f"Say which column holds {', '.join(missing)}. Nothing can be scored before.")
        return None
    taken = {name: column for name, column in chosen.items() if column is not None}
    if twice := sorted({one for one in taken.values() if list(taken.values()).count(one) > 1}):
        st.warning(f"Column {_parts.plain(', '.join(twice))} is chosen more than once.")
        return None
    st.caption(
        "Label: " + (taken.get(spec.target) or "none; it can come later") + " · Key: "
        + (taken.get(spec.id) or "none")
    )  # fmt: skip
    checked(spec, first, taken, inputs, rows)
    return {name: column for name, column in taken.items() if name != column}


def checked(
    spec: ProjectSpec, first: pd.DataFrame, taken: dict[str, str], inputs: tuple[str, ...],
    rows: int | None,
) -> None:  # fmt: skip
    """Say what of the first rows would be left out, and why."""
    frame = pd.DataFrame({name: first[column] for name, column in taken.items()})
    clean, refused = schema.usable(frame, schema.chosen_columns(spec, list(taken)))
    is_all = rows is not None and rows <= len(first)
    some = f"all {len(first):,} rows" if is_all else f"the first {len(first):,} rows"
    found = [
        {"Column": one.column, "Rows": int(one.rows.sum()), "Why they are left out": one.reason,
         "First row": int(one.rows.argmax())}
        for one in refused
    ]  # fmt: skip
    broken = {one.column: one.rows for one in refused}
    for name in inputs:
        empty = clean[name].isna().to_numpy()
        if name in broken:
            empty &= ~broken[name]
        if empty.any():
            found.append(
                {"Column": name, "Rows": int(empty.sum()), "First row": int(empty.argmax()),
                 "Why they are left out": "no value, unless the model fills it in itself"}
            )  # fmt: skip
    if not found:
        st.success(f"Checked {some}: each can be scored.", icon=":material/verified:")
        return
    st.warning(f"Of {some}, some cannot be scored. The others are.")
    st.table(pd.DataFrame(found).assign(Column=lambda f: f["Column"].map(_parts.plain)),
             hide_index=True)  # fmt: skip


def choose_way(settings: Settings, rows: int, offered: tuple[str, ...]) -> str:
    """Ask for the way, with a sentence for the one that is chosen."""
    usual = "endpoint" if rows <= MANY_ROWS else "in_process"
    way = st.segmented_control(
        "Way", offered, default=usual, required=True, key=f"way-{len(offered)}-{usual}",
        format_func=lambda one: WAYS[one][0],
    )  # fmt: skip
    st.caption(WAYS[way][1])
    return str(way)


def choose_keep(source: str) -> str | None:
    """Ask what the predictions log keeps."""
    keep = st.segmented_control(
        "Keep", list(KEEPS), default="auto", required=True, key=f"keep-{source}",
        format_func=lambda one: KEEPS[one][0],
    )  # fmt: skip
    st.caption(KEEPS[keep][1])
    return None if keep == "auto" else str(keep)


def cluster(settings: Settings) -> None:
    """Show the cluster that is used, and start or stop one on this machine."""
    if settings.dask:
        st.caption(f"Scheduler: {_parts.plain(settings.dask)}")
        return
    found = local_cluster.find(settings)
    with st.container(horizontal=True, vertical_alignment="center"):
        if found is None:
            st.markdown("No Dask cluster runs.", width="content")
            if st.button("Start two workers here", key="start-cluster"):
                with _parts.told(), st.spinner("Starting a scheduler and two workers"):
                    local_cluster.start(settings)
                    st.rerun()
            return
        st.markdown(f"{len(found.workers)} workers at {_parts.plain(found.address)}",
                    width="content")  # fmt: skip
        if st.button("Stop it", key="stop-cluster"):
            with suppress(CourtsideError):
                local_cluster.stop(settings)
            st.rerun()
