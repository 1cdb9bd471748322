"""The view Source: choose a source of raw data, and the current raw data."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.data import acquire, snapshots
from core.platform import permissions, project, tables, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, n_, number, p_
from core.platform.project import ProjectSpec
from pages.data import chips
from pages.shared import csv_format, elements, navigation, step_jobs, table_texts, uploads

# what is checked -> codes of the findings about it
CHECKED = {
    "columns": (Message("Columns"), ("alias", "extra_column")),
    "values": (Message("Types and ranges"), ()),
    "missing": (Message("Missing values"), ("missing",)),
    "unique": (Message("Unique ids"), ()),
    "labels": (Message("Labels"), ("labels",)),
    "identities": (Message("Identities"), ("identity",)),
    "repeated": (Message("Repeated rows"), ("duplicate_row",)),
}
FEW_COLUMNS = ("current", "id", "source", "rows", "acquired", "run")


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the choice of a source, and the current raw data at its right."""
    snapshot = snapshots.current(settings)
    running = step_jobs.chain_panel(settings, "acquire")
    running = step_jobs.job_panel(settings, "acquire") or running
    is_stale = snapshot is not None and snapshot.rules != spec.digest
    if is_stale:
        st.warning(navigation.changed("acquire", _("Project file")))
        if st.button(
            _("Validate again"),
            type="primary",
            icon=":material/rule:",
            disabled=not permissions.may("acquire") or running,
        ):
            make_current(settings, snapshot.id)
    left, right = elements.side_by_side()
    with left:
        st.subheader(_("Source"), anchor=False)
        source_form(settings, spec, running=running, is_next=not is_stale)
    with right:
        st.subheader(_("Current"), anchor=False)
        if snapshot is None:
            if not running:
                st.info(_("No raw data yet. Acquire it first."))
            return
        run = in_use(settings, spec, snapshot)
    if run is not None and run.metrics.get("warnings"):
        step_jobs.validation(settings, run.run_id)
    history(settings, snapshot)


def source_form(settings: Settings, spec: ProjectSpec, *, running: bool, is_next: bool) -> None:
    """Draw the choice of a source, and the button that acquires it."""
    available = {
        "sample": spec.sample,
        "download": spec.downloads,
        "folder": settings.raw_dir,
        "upload": True,
    }
    offered = {
        name: elements.capital(snapshots.SOURCE_LABELS[name])
        for name, is_there in available.items()
        if is_there
    }
    source = elements.choose(
        _("Source"),
        offered,
        "source",
        default="folder" if settings.raw_dir else next(iter(offered)),
        disabled=running,
        is_bare=True,
    )
    with elements.show_errors():
        if source == "sample":
            values: dict[str, Any] | None = from_sample(spec)
        elif source == "download":
            values = from_network(settings, spec)
        elif source == "upload":
            values = from_upload(settings, spec)
        else:
            values = from_folder(settings, spec, disabled=running)
        # an ambiguous CSV format must be set first
        if st.button(
            _("Acquire"),
            type="primary" if is_next else "secondary",
            icon=":material/download:",
            key="acquire",
            disabled=not permissions.may("acquire") or values is None or running,
        ):
            send(settings, source, values or {})


def send(settings: Settings, source: str, values: dict[str, Any]) -> None:
    if (source == "upload" and not values["uploads"]) or (
        source == "folder" and not values["files"]
    ):
        st.error(_("Required: {field}.", field=elements.capital(_("files"))))
    else:
        if source == "upload":
            values["uploads"] = [upload.model_dump() for upload in values["uploads"]]
        step_jobs.submit(settings, "acquire", acquire.Options, source=source, **values)
        if step_jobs.is_going(settings, "acquire"):
            st.rerun()


def from_sample(spec: ProjectSpec) -> dict[str, Any]:
    if spec.sample is not None:
        st.caption(str(project.words(spec.sample.about)))
    return {}


def from_network(settings: Settings, spec: ProjectSpec) -> dict[str, Any]:
    st.caption(
        "  \n".join(f"`{download.url}` · {megabytes(download.size)}" for download in spec.downloads)
    )
    if settings.download_mirror:
        st.caption(_("From the mirror {mirror}", mirror=settings.download_mirror))
    return {}


def from_upload(settings: Settings, spec: ProjectSpec) -> dict[str, Any] | None:
    files = uploads.ask(
        settings,
        f"{_('CSV or parquet file')}, zip",
        "files",
        types=["csv", "parquet", "zip"],
        several=True,
    )
    shown = [
        (
            file.name,
            lambda given, file=file: csv_format.inspect(
                settings, file.stored, file.name, given.knowing(spec.source_columns)
            ),
        )
        for file in files
        if not file.name.lower().endswith(".zip")
    ]
    values = csv_format.preview("upload", shown)
    return None if values is None else {"uploads": files, **values}


def from_folder(settings: Settings, spec: ProjectSpec, *, disabled: bool) -> dict[str, Any] | None:
    folder = settings.raw_dir
    assert folder is not None
    listed = {path.name: path.stat().st_size for path in tables.list_sources(folder)}
    chosen = st.multiselect(
        elements.capital(_("files")),
        list(listed),
        default=list(listed),
        format_func=lambda name: f"{name} ({megabytes(listed[name])})",
        help=f"`{folder}`",
        key="folder-files",
        disabled=disabled,
    )
    texts = [folder / name for name in chosen if name.lower().endswith(".csv")]
    shown = [
        (
            path.name,
            lambda given, path=path: csv_format.inspect_in_folder(
                str(path), path.name, given.knowing(spec.source_columns), path.stat().st_mtime
            ),
        )
        for path in texts
    ]
    values = csv_format.preview("folder", shown)
    return None if values is None else {"files": tuple(chosen), **values}


def megabytes(size: float) -> str:
    return f"{number(size / 1e6, '.1f')} MB"


def in_use(
    settings: Settings, spec: ProjectSpec, snapshot: snapshots.Snapshot
) -> tracking.RunInfo | None:
    """Draw the current raw data: size, checks, details; return its run."""
    run = tracking.finished_run(settings, snapshot.run_id)
    labels = (
        elements.named(_("Without label"), number(run.metrics["labels_missing"], ",.0f"))
        if run and "labels_missing" in run.metrics
        else ""
    )
    # columns that Courtside derives are in no file
    expected = elements.named(_("Expected"), number(len(spec.columns) - len(spec.derived)))
    elements.figures(
        [
            (_("Rows"), number(snapshot.rows), labels),
            (_("Columns"), number(snapshot.columns), expected),
        ]
    )
    if run is None:
        st.info(navigation.run_again("acquire"))
    else:
        draw_checks(settings, spec, run)
    with st.container(horizontal=True, vertical_alignment="center"):
        navigation.go_to("prepare")
    details(snapshot)
    return run


def draw_checks(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Draw a chip for each check of the rows; one with a finding is a warning."""
    warnings = int(run.metrics.get("warnings", 0))
    findings = elements.table(settings, run.run_id, "validation")
    texts = dict(zip(findings["check"], findings["text"], strict=True)) if warnings else {}
    checks = []
    for name, (title, codes) in CHECKED.items():
        if name == "identities" and not spec.identities:
            continue
        code = next((code for code in codes if code in texts), None)
        text = elements.words(texts[code]) if code else ""
        checks.append((title, "warning" if code else "ok", text))
    elements.question(elements.named(_("Warnings"), number(warnings)))
    chips.draw(checks)


def details(snapshot: snapshots.Snapshot) -> None:
    """Draw the source, the files and the digest of the current raw data."""
    facts = [
        (_("Source"), str(snapshots.SOURCE_LABELS[snapshot.source])),
        (
            elements.capital(_("files")),
            ", ".join(f"{file.name} ({megabytes(file.size)})" for file in snapshot.files),
        ),
        (_("Snapshot"), snapshot.id),
        ("SHA-256", snapshot.digest),
        (_("When"), elements.ago(snapshot.acquired_at)),
    ]

    with st.expander(_("Details")):
        elements.fact_table(facts)


def history(settings: Settings, snapshot: snapshots.Snapshot) -> None:
    """Draw the snapshots of raw data, of which any can be made current again."""
    listed = snapshots.listed(settings)
    with st.expander(elements.counted(_("History"), len(listed))):
        config = st.column_config
        every = st.toggle(_("All columns"), key="all-columns-snapshots")
        st.dataframe(
            table_texts.localized(
                pd.DataFrame(
                    [
                        {
                            "current": "★" if stored.digest == snapshot.digest else "",
                            "id": stored.id,
                            "source": str(snapshots.SOURCE_LABELS[stored.source]),
                            "files": ", ".join(file.name for file in stored.files),
                            "rows": stored.rows,
                            "size": sum(file.size for file in stored.files) / 1e6,
                            "acquired": elements.when(stored.acquired_at),
                            "sha256": stored.digest,
                            "run": f"/runs?run={stored.run_id}",
                        }
                        for stored in listed
                    ]
                ),
                {
                    "rows": ",",
                    "size": lambda size: f"{number(size, '.1f')} MB",
                    "acquired": table_texts.to_the_second,
                },
            ),
            hide_index=True,
            height="content",
            column_order=None if every else FEW_COLUMNS,
            column_config={
                "current": config.TextColumn(_("Current"), width="small"),
                "id": _("Snapshot"),
                "source": _("Source"),
                "files": elements.capital(_("files")),
                "rows": _("Rows"),
                "size": _("Size"),
                "acquired": _("When"),
                "sha256": config.TextColumn("SHA-256", width="small"),
                "run": config.LinkColumn(_("Run"), display_text=p_("link", "open")),
            },
        )
        others = {
            stored.id: " · ".join(
                (
                    stored.id,
                    str(snapshots.SOURCE_LABELS[stored.source]),
                    n_("{count:,} row", "{count:,} rows", stored.rows),
                    elements.ago(stored.acquired_at),
                )
            )
            for stored in listed
            if stored.digest != snapshot.digest
        }
        if others:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = st.selectbox(
                    _("Snapshot"), list(others), format_func=others.__getitem__, key="snapshot"
                )
                if st.button(
                    _("Use"),
                    icon=":material/restore:",
                    disabled=step_jobs.is_locked(settings, "acquire")
                    or step_jobs.running_chain(settings) is not None,
                ):
                    make_current(settings, chosen)


def make_current(settings: Settings, snapshot_id: str) -> None:
    step_jobs.submit(settings, "acquire", acquire.Options, source="snapshot", snapshot=snapshot_id)
    st.rerun()
