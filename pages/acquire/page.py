"""Acquire: import data, check it, and explore it before training."""

from datetime import datetime

import pandas as pd

from core.data import acquire, snapshots
from core.platform import storage, tables, tracking
from pages.acquire import data_view
from pages.shared import code_snippets, csv_format, elements
from pages.shared.bilingual import st

settings, spec = elements.open_app()
SOURCES = {
    "sample": "Built-in sample",
    "download": "Download",
    "folder": "Folder on this machine",
    "upload": "Upload files",
}
CAME = {**SOURCES, "upload": "Upload", "folder": "Folder", "file": "File"}


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
        "Source",
        offered,
        format_func=SOURCES.__getitem__,
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
            "Acquire",
            type="primary",
            icon=":material/download:",
            key="acquire",
            disabled=values is None,
        ):
            send(source, values)
    return elements.job_panel(settings, "acquire")


def send(source: str, values: dict) -> None:
    if source == "upload" and not values["uploads"]:
        st.error("No file is chosen yet. Drop one or several files above.")
    elif source == "folder" and not values["files"]:
        st.error("No file of the folder is chosen. Choose at least one.")
    else:
        if source == "upload":
            values["uploads"] = [staged(file).model_dump() for file in values["uploads"]]
        elements.submit(settings, "acquire", acquire.Options, source=source, **values)


def from_sample() -> dict:
    if spec.sample is not None:
        st.caption(f"{spec.sample.about} Every figure that comes from them is marked.")
    return {}


def from_network() -> dict:
    listed = "  \n".join(
        f"`{download.url}` · {download.size / 1e6:.1f} MB" for download in spec.downloads
    )
    st.caption(
        "Each file is kept only if its size and its SHA-256 are those of the project file.  \n"
        f"{listed}"
    )
    if settings.download_mirror:
        st.caption(f"Taken from the mirror {settings.download_mirror} instead.")
    return {}


def staged(file) -> storage.Upload:
    return csv_format.stage(settings, file.file_id, file.name, _content=file.getvalue())


def from_upload() -> dict | None:
    files = st.file_uploader(
        "CSV or parquet files with the project's columns, or a zip of them",
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
        f"Files in {settings.raw_dir}",
        list(listed),
        default=list(listed),
        format_func=lambda name: f"{name} ({listed[name] / 1e6:.1f} MB)",
        help="The folder that COURTSIDE_RAW_DIR names.",
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


def in_use(snapshot: snapshots.Snapshot) -> tracking.RunInfo | None:
    run = tracking.finished_run(settings, snapshot.run_id)
    size = sum(file.size for file in snapshot.files)
    of = run.metrics if run else {}
    labels = f"{of['labels_missing']:,.0f} without label" if "labels_missing" in of else ""
    elements.figures(
        [
            ("Rows", f"{snapshot.rows:,}", labels),
            ("Columns", f"{snapshot.columns}", f"{len(spec.columns)} in the project"),
            ("Files", f"{len(snapshot.files)}", f"{size / 1e6:.1f} MB"),
            ("Digest", snapshot.id, elements.ago(snapshot.acquired_at)),
        ]
    )
    names = ", ".join(file.name for file in snapshot.files)
    kept = next(
        (stored for stored in snapshots.listed(settings) if stored.digest == snapshot.digest), None
    )
    again = (
        f" The same bytes were brought in first {elements.ago(kept.acquired_at)}; they are kept "
        "once."
        if kept is not None and snapshot.acquired_at - kept.acquired_at > 1
        else ""
    )
    st.caption(f"{CAME[snapshot.source]}: {elements.plain(names)}.{again}")
    elements.run_link(snapshot.run_id, "AquisicaoDados")
    if run is None:
        st.info("The run that acquired these rows is not in this MLflow store. Acquire again.")
        return None
    warnings = int(of.get("warnings", 0))
    if warnings:
        st.warning(
            f"Validated: no errors, {warnings} warning{'s'[: warnings != 1]}. Warnings stop "
            "nothing, but look at them."
        )
        elements.validation(settings, run.run_id)
    else:
        st.success(
            "Validated: columns, types, ranges, allowed values, unique "
            f"{spec.id}, labels, identities and repeated rows are as they should be.",
            icon=":material/verified:",
        )
    return run


def history(snapshot: snapshots.Snapshot) -> None:
    listed = snapshots.listed(settings)
    with st.expander(f"Snapshots ({len(listed)})", expanded=len(listed) > 1):
        st.caption(
            "Raw data is never changed. Each acquisition is a snapshot, named by the SHA-256 of "
            "its bytes; the same bytes are kept once."
        )
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "current": "★" if stored.digest == snapshot.digest else "",
                        "id": stored.id,
                        "source": CAME[stored.source],
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
                "current": st.column_config.TextColumn("Current", width="small"),
                "id": "Snapshot",
                "source": "Source",
                "files": "Files",
                "rows": st.column_config.NumberColumn("Rows", format="localized"),
                "size": st.column_config.NumberColumn("Size", format="%.1f MB"),
                "acquired": st.column_config.DatetimeColumn(
                    "Acquired", format="YYYY-MM-DD HH:mm:ss"
                ),
                "sha256": st.column_config.TextColumn("SHA-256", width="small"),
                "run": st.column_config.LinkColumn("Run", display_text="open"),
            },
        )
        others = {
            stored.id: f"{stored.id} · {CAME[stored.source]} · {stored.rows:,} rows · "
            f"{elements.ago(stored.acquired_at)}"
            for stored in listed
            if stored.digest != snapshot.digest
        }
        if others:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = st.selectbox(
                    "Another snapshot", list(others), format_func=others.__getitem__, key="snapshot"
                )
                if st.button("Make current", icon=":material/restore:"):
                    make_current(chosen)


def make_current(snapshot_id: str) -> None:
    elements.submit(settings, "acquire", acquire.Options, source="snapshot", snapshot=snapshot_id)
    st.rerun()


elements.header(
    "Acquire",
    "Bring in raw data, see that it is whole, and get to know it before anything is trained.",
    is_sample=elements.current_is_sample(settings),
)
with elements.show_errors():
    st.subheader("1. Source", anchor=False)
    running = source_form()
    snapshot = snapshots.current(settings)
    if snapshot is None:
        if not running:
            st.info("No raw data yet. Choose a source and press Acquire.")
        code_snippets.panel(settings, "acquire")
        st.stop()
    elements.wait_for_store()
    st.subheader("2. Raw data in use", anchor=False)
    run = in_use(snapshot)
    history(snapshot)
    if run is not None and snapshot.rules != spec.digest:
        st.warning(
            "The project file changed since this was acquired. Validate it again: the same bytes, "
            "by today's rules."
        )
        if st.button("Validate again", icon=":material/rule:"):
            make_current(snapshot.id)
    elif run is not None:
        st.subheader("3. What the data looks like", anchor=False)
        data_view.draw(settings, spec, run)
    with st.container(horizontal=True):
        st.page_link(
            "pages/prepare/page.py", label="Go to Prepare", icon=":material/arrow_forward:"
        )
code_snippets.panel(settings, "acquire")
