"""Acquire: import data, check it, and explore it before training."""

from datetime import datetime

import pandas as pd
import streamlit as st

from core.data import acquire, snapshots
from core.platform import project, storage, tables, tracking
from core.platform.messages import _, n_, number, p_
from pages.acquire import data_view
from pages.acquire.sources import ORIGINS, SOURCES
from pages.shared import code_snippets, csv_format, elements

settings, spec = elements.open_app()


def source_form() -> bool:
    """Draw the choice of a source; return whether an acquisition is running."""
    available = {
        "sample": spec.sample,
        "download": spec.downloads,
        "folder": settings.raw_dir,
        "upload": True,
    }
    offered = [name for name in SOURCES if available[name]]
    source = st.segmented_control(
        _("Source"),
        offered,
        format_func=lambda name: str(SOURCES[name]),
        default="folder" if settings.raw_dir else offered[0],
        required=True,
        key="source",
    )
    draw = {
        "sample": from_sample,
        "download": from_network,
        "upload": from_upload,
        "folder": from_folder,
    }
    with elements.show_errors():
        values = draw[source]()
        # an ambiguous CSV format must be set first
        if st.button(
            _("Acquire"),
            type="primary",
            icon=":material/download:",
            key="acquire",
            disabled=values is None,
        ):
            send(source, values)
    return elements.job_panel(settings, "acquire")


def send(source: str, values: dict) -> None:
    if source == "upload" and not values["uploads"]:
        st.error(_("No file is chosen yet. Drop one or several files above."))
    elif source == "folder" and not values["files"]:
        st.error(_("No file of the folder is chosen. Choose at least one."))
    else:
        if source == "upload":
            values["uploads"] = [staged(file).model_dump() for file in values["uploads"]]
        elements.submit(settings, "acquire", acquire.Options, source=source, **values)


def from_sample() -> dict:
    if spec.sample is not None:
        about = str(project.words(spec.sample.about))
        st.caption(about + " " + _("All results from the sample are marked."))
    return {}


def from_network() -> dict:
    files = "  \n".join(
        f"`{download.url}` · {megabytes(download.size)}" for download in spec.downloads
    )
    about = _("Each file is kept only if its size and its SHA-256 are those of the project file.")
    st.caption(f"{about}  \n{files}")
    if settings.download_mirror:
        st.caption(
            _("Downloaded from the mirror {mirror} instead.", mirror=settings.download_mirror)
        )
    return {}


def staged(file) -> storage.Upload:
    return csv_format.stage(settings, file.file_id, file.name, _content=file.getvalue())


def from_upload() -> dict | None:
    files = st.file_uploader(
        _("CSV or parquet files with the project's columns, or a zip of them"),
        type=["csv", "parquet", "zip"],
        accept_multiple_files=True,
        max_upload_size=settings.upload_limit_mb,
        key="files",
    )
    shown = [
        (
            file.name,
            lambda given, file=file: csv_format.inspect(
                settings, staged(file).stored, file.name, given
            ),
        )
        for file in files
        if not file.name.lower().endswith(".zip")
    ]
    values = csv_format.preview("upload", shown)
    return None if values is None else {"uploads": files, **values}


def from_folder() -> dict | None:
    listed = {path.name: path.stat().st_size for path in tables.list_sources(settings.raw_dir)}
    chosen = st.multiselect(
        _("Files in {folder}", folder=settings.raw_dir),
        list(listed),
        default=list(listed),
        format_func=lambda name: f"{name} ({megabytes(listed[name])})",
        help=_("The folder in COURTSIDE_RAW_DIR."),
        key="folder-files",
    )
    texts = [settings.raw_dir / name for name in chosen if name.lower().endswith(".csv")]
    shown = [
        (
            path.name,
            lambda given, path=path: csv_format.inspect_in_folder(
                str(path), path.name, given, path.stat().st_mtime
            ),
        )
        for path in texts
    ]
    values = csv_format.preview("folder", shown)
    return None if values is None else {"files": tuple(chosen), **values}


def megabytes(size: float) -> str:
    return f"{number(size / 1e6, '.1f')} MB"


def in_use(snapshot: snapshots.Snapshot) -> tracking.RunInfo | None:
    run = tracking.finished_run(settings, snapshot.run_id)
    size = sum(file.size for file in snapshot.files)
    of = run.metrics if run else {}
    labels = (
        _("{count:,} without label", count=int(of["labels_missing"]))
        if "labels_missing" in of
        else ""
    )
    expected = _("{count} in the project", count=len(spec.columns))
    elements.figures(
        [
            (_("Rows"), number(snapshot.rows), labels),
            (_("Columns"), number(snapshot.columns), expected),
            (_("Files"), number(len(snapshot.files)), megabytes(size)),
            (_("Digest"), snapshot.id, str(elements.ago(snapshot.acquired_at))),
        ]
    )
    names = elements.plain(", ".join(file.name for file in snapshot.files))
    caption = f"{ORIGINS[snapshot.source]}: {names}."
    kept = next(
        (stored for stored in snapshots.listed(settings) if stored.digest == snapshot.digest), None
    )
    if kept is not None and snapshot.acquired_at - kept.acquired_at > 1:
        ago = elements.ago(kept.acquired_at)
        caption += " " + _("First acquired {ago}; the same bytes are kept once.", ago=ago)
    st.caption(caption)
    elements.run_link(snapshot.run_id, "AquisicaoDados")
    if run is None:
        st.info(_("The run that acquired these rows is not in this MLflow store. Acquire again."))
        return None
    warnings = int(of.get("warnings", 0))
    if warnings:
        st.warning(
            n_(
                "Validated: no errors, {count} warning. You can continue, but check it.",
                "Validated: no errors, {count} warnings. You can continue, but check them.",
                warnings,
            )
        )
        elements.validation(settings, run.run_id)
    else:
        st.success(
            _(
                "Validated: columns, types, ranges, allowed values, unique {id}, labels, "
                "identities and repeated rows are as expected.",
                id=spec.id,
            ),
            icon=":material/verified:",
        )
    return run


def history(snapshot: snapshots.Snapshot) -> None:
    listed = snapshots.listed(settings)
    with st.expander(_("Snapshots ({count})", count=len(listed)), expanded=len(listed) > 1):
        st.caption(
            _(
                "Raw data never changes. Each acquisition is a snapshot, named by the SHA-256 of "
                "its bytes; the same bytes are kept once."
            )
        )
        config = st.column_config
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "current": "★" if stored.digest == snapshot.digest else "",
                        "id": stored.id,
                        "source": str(ORIGINS[stored.source]),
                        "files": ", ".join(file.name for file in stored.files),
                        "rows": stored.rows,
                        "size": sum(file.size for file in stored.files) / 1e6,
                        "acquired": datetime.fromtimestamp(stored.acquired_at).replace(
                            microsecond=0
                        ),
                        "sha256": stored.digest,
                        "run": f"/runs?run={stored.run_id}",
                    }
                    for stored in listed
                ]
            ),
            hide_index=True,
            height="content",
            column_config={
                "current": config.TextColumn(_("Current"), width="small"),
                "id": _("Snapshot"),
                "source": _("Source"),
                "files": _("Files"),
                "rows": config.NumberColumn(_("Rows"), format="localized"),
                "size": config.NumberColumn(_("Size"), format="%.1f MB"),
                "acquired": config.DatetimeColumn(_("Acquired"), format="YYYY-MM-DD HH:mm:ss"),
                "sha256": config.TextColumn("SHA-256", width="small"),
                "run": config.LinkColumn(_("Run"), display_text=p_("link", "open")),
            },
        )
        others = {
            stored.id: _(
                "{snapshot} · {source} · {rows:,} rows · {ago}",
                snapshot=stored.id,
                source=ORIGINS[stored.source],
                rows=stored.rows,
                ago=elements.ago(stored.acquired_at),
            )
            for stored in listed
            if stored.digest != snapshot.digest
        }
        if others:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = st.selectbox(
                    _("Another snapshot"),
                    list(others),
                    format_func=others.__getitem__,
                    key="snapshot",
                )
                if st.button(_("Make current"), icon=":material/restore:"):
                    make_current(chosen)


def make_current(snapshot_id: str) -> None:
    elements.submit(settings, "acquire", acquire.Options, source="snapshot", snapshot=snapshot_id)
    st.rerun()


elements.header(
    _("Acquire"),
    _("Import raw data, check it, and explore it before training."),
    is_sample=elements.current_is_sample(settings),
)
with elements.show_errors():
    st.subheader(_("1. Source"), anchor=False)
    running = source_form()
    snapshot = snapshots.current(settings)
    if snapshot is None:
        if not running:
            st.info(_("No raw data yet. Choose a source and press Acquire."))
        code_snippets.panel(settings, "acquire")
        st.stop()
    elements.wait_for_store()
    st.subheader(_("2. Raw data in use"), anchor=False)
    run = in_use(snapshot)
    history(snapshot)
    if run is not None and snapshot.rules != spec.digest:
        st.warning(
            _(
                "The project file changed since this was acquired. Validate the same bytes again, "
                "by today's rules."
            )
        )
        if st.button(_("Validate again"), icon=":material/rule:"):
            make_current(snapshot.id)
    elif run is not None:
        st.subheader(_("3. What the data looks like"), anchor=False)
        data_view.draw(settings, spec, run)
    with st.container(horizontal=True):
        st.page_link(
            "pages/prepare/page.py", label=_("Go to Prepare"), icon=":material/arrow_forward:"
        )
code_snippets.panel(settings, "acquire")
