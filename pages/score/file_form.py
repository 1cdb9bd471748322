"""Scoring a file: its first rows, column mapping, excluded rows, and the mode."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
import streamlit as st

from core.data import column_names
from core.jobs import jobs, local_cluster
from core.platform import model_store, permissions, project, schema
from core.platform.config import Settings
from core.platform.csv_dialect import Dialect, DialectError, Given
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _, n_, number
from core.platform.project import ProjectSpec
from core.scoring import batches, score
from core.serving import server
from pages.shared import csv_format, elements, step_jobs, table_texts, uploads

# From here on the result is the file only: browsing that many rows is slow.
MANY_ROWS = 200_000
WAYS = {
    "endpoint": Message("Served model"),
    "in_process": Message("In this process"),
    "dask": Message("Dask cluster"),
}
KEEPS = {"auto": Message("By size"), "rows": Message("Row by row"), "file": Message("As a file")}


def ask_upload(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Draw a file upload with its contents, and the button that scores it."""
    files = uploads.ask(settings, _("CSV or parquet file"), "file", types=["csv", "parquet"])
    if not files:
        st.caption(_("The model needs {inputs}.", inputs=inputs_of(settings, served)))
        if st.button(
            _("Score"),
            type="primary",
            icon=":material/target:",
            key="score-upload",
            disabled=not permissions.may("score"),
        ):
            st.error(_("Required: {field}.", field=_("CSV or parquet file")))
        return
    staged = files[0]
    try:
        known = csv_format.chosen("upload").knowing(spec.source_columns)
        head, first = csv_format.inspect(settings, staged.stored, staged.name, known)
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
        disabled=mapping is None or step_jobs.is_locked(settings, "score"),
    ):
        step_jobs.submit(
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
        _("File, folder or address"), key="path", placeholder="/data/rows.parquet, s3://bucket/rows"
    ).strip()
    destination = right.text_input(
        _("Result"), key="destination", placeholder="data/07_model_output/"
    ).strip()
    mapping: dict[str, str] | None = {}
    written: dict[str, str] = {}
    if path and st.session_state.get("looked-at") == path:
        with elements.show_errors():
            try:
                with st.spinner(_("First rows")):
                    known = csv_format.chosen("path").knowing(spec.source_columns)
                    names, first, dialect = peek(path, known)
            except DialectError as error:
                if error.asks is None:
                    raise
                written, mapping = csv_format.ask("path", error), None
            else:
                csv_format.describe(path, dialect)
                written = csv_format.ask("path", None) if dialect is not None else {}
                mapping = columns(settings, spec, served, names, first, None)
    else:
        st.caption(_("The model needs {inputs}.", inputs=inputs_of(settings, served)))
        if st.button(_("First rows"), icon=":material/visibility:", key="look", disabled=not path):
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
        disabled=mapping is None or step_jobs.is_locked(settings, "score"),
    ):
        if not path:
            st.error(_("Required: {field}.", field=_("File, folder or address")))
            return
        step_jobs.submit(
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
    if st.button(
        _("Resume"),
        icon=":material/play_arrow:",
        key=f"resume-{job.job_id}",
        disabled=not permissions.may("score"),
    ):
        step_jobs.submit(settings, "score", score.Options, **{**job.options, "resume": job.run_id})


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
    size = f"{number(rows)} × {len(names)}" if rows is not None else f"… × {len(names)}"
    st.markdown(f"**{_('First rows')}** · {size}")
    st.dataframe(table_texts.localized(first.head(csv_format.FIRST_ROWS)), hide_index=True)
    inputs = inputs_of(settings, served)
    wanted = schema.chosen_columns(spec, (*inputs, spec.id, spec.target))
    guess = column_names.guessed(wanted, names)
    missing = [name for name in inputs if guess[name] is None]
    chosen: dict[str, str | None] = {}
    with st.expander(_("Columns"), expanded=bool(missing)):
        fields = st.container(horizontal=True)
        for name in wanted:
            title = {spec.id: f"{name} ({_('Key')})", spec.target: f"{name} ({_('Label')})"}.get(
                name, name
            )
            at = names.index(guess[name]) if guess[name] in names else None
            chosen[name] = fields.selectbox(
                title,
                names,
                index=at,
                placeholder="–",
                width=226,
                help=str(project.words(wanted[name].about)) or None,
                key=f"column-{served.run_id}-{names}-{name}",
            )
    if missing := [name for name in inputs if chosen[name] is None]:
        st.warning(_("No column of the file is chosen for {inputs}.", inputs=missing))
        return None
    taken = {name: column for name, column in chosen.items() if column is not None}
    if twice := sorted(
        {column for column in taken.values() if list(taken.values()).count(column) > 1}
    ):
        st.warning(
            elements.capital(
                Message(
                    "used more than once: {names}",
                    names=[elements.plain(column) for column in twice],
                )
            )
        )
        return None
    st.caption(
        f"{elements.named(_('Label'), taken.get(spec.target) or _('none'))} · "
        + elements.named(_("Key"), taken.get(spec.id) or _("none"))
    )
    # a model that imputes scores rows with missing inputs
    checked(spec, first, taken, inputs if served.is_complete else ())
    return {name: column for name, column in taken.items() if name != column}


def checked(
    spec: ProjectSpec, first: pd.DataFrame, taken: dict[str, str], required: tuple[str, ...]
) -> None:
    """State which of the first rows would be excluded, and why.

    Parameters
    ----------
    required : tuple of str
        Inputs that a row needs.
    """
    frame = pd.DataFrame({name: first[column] for name, column in taken.items()})
    clean, refused = schema.usable(frame, schema.chosen_columns(spec, list(taken)))
    # column, rows, why they are left out, some of the values
    faults = [
        (refusal.column, refusal.rows, str(refusal.reason), refusal.fault.examples)
        for refusal in refused
    ]
    broken = {refusal.column: refusal.rows for refusal in refused}
    for name in required:
        empty = clean[name].isna().to_numpy()
        if name in broken:
            empty &= ~broken[name]
        if empty.any():
            faults.append((name, empty, _("Missing"), ()))
    if not faults:
        st.success(
            _("{rows:,} rows checked: all can be scored.", rows=len(first)),
            icon=":material/verified:",
        )
        return
    left_out = np.logical_or.reduce([wrong for _column, wrong, _why, _values in faults])
    if left_out.all():
        st.error(_("{rows:,} rows checked: none can be scored.", rows=len(first)))
    else:
        st.warning(
            n_(
                "{rows:,} rows checked: {count:,} cannot be scored and is left out.",
                "{rows:,} rows checked: {count:,} cannot be scored and are left out.",
                int(left_out.sum()),
                rows=len(first),
            )
        )
    elements.fixed_table(
        {
            _("Column"): [elements.plain(column) for column, *_rest in faults],
            _("Rows"): [number(int(wrong.sum())) for _column, wrong, *_rest in faults],
            _("Why"): [why for _column, _wrong, why, _values in faults],
            _("Values"): [elements.plain(", ".join(values)) for *_rest, values in faults],
            # counted from 1, as in every other list of rows
            _("First row"): [number(int(wrong.argmax()) + 1) for _column, wrong, *_rest in faults],
        }
    )


def choose_way(settings: Settings, rows: int, offered: tuple[str, ...]) -> str:
    """Draw the choice of the mode, with a sentence for the selected one."""
    usual = "endpoint" if rows <= MANY_ROWS else "in_process"
    ways = {way: WAYS[way] for way in offered}
    key = f"way-{len(offered)}-{usual}"
    return str(elements.choose(_("Mode"), ways, key, default=usual))


def choose_keep(source: str) -> str | None:
    """Draw the choice of what the predictions log stores."""
    keep = elements.choose(
        _("Keep"),
        KEEPS,
        f"keep-{source}",
        default="auto",
        help=_(
            "Row by row, each row has an id and can be labelled later; above {rows:,} rows, a "
            "file is faster.",
            rows=MANY_ROWS,
        ),
    )
    return None if keep == "auto" else str(keep)


def cluster(settings: Settings) -> None:
    """Show the cluster in use, and start or stop a local one."""
    if settings.dask:
        st.caption(elements.named(_("Dask cluster"), elements.plain(settings.dask)))
        return
    running = local_cluster.find(settings)
    with st.container(horizontal=True, vertical_alignment="center"):
        if running is None:
            if st.button(
                _("Start two workers here"),
                key="start-cluster",
                disabled=not permissions.may("cluster"),
            ):
                with elements.show_errors(), st.spinner(_("Start two workers here")):
                    local_cluster.start(settings)
                    st.rerun()
            return
        st.markdown(
            elements.named(_("Dask cluster"), elements.plain(running.address)), width="content"
        )
        if st.button(_("Stop"), key="stop-cluster", disabled=not permissions.may("cluster")):
            with suppress(CourtsideError):
                local_cluster.stop(settings)
            st.rerun()
