"""acquire: bring a source in unchanged and make it the raw data that later steps read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from core import config, project, schema
from core.adapters import archives, download, snapshots, storage, tables, tracking
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import InputError, NotReadyError
from core.logic import court, leakage, profile, sample
from core.project import ProjectSpec
from core.record import SILENT, Dataset, Progress, Record
from core.schema import Finding

# Single rows that a chart of places may show; drawn at random where there are more.
POINTS = 30_000
# A zip may hold so many times the upload limit once it is unpacked.
UNPACKED = 5


class Options(config.Options):
    """What to bring in.

    Parameters
    ----------
    source : {"sample", "download", "upload", "folder", "file", "snapshot"}
        The built-in sample; the project's files on the network; uploaded files; the operator's
        folder; one file; what was brought in before, to be current again.
    path : Path, optional
        The folder or file; without it the operator's folder (`COURTSIDE_RAW_DIR`).
    files : tuple of str
        Names of the files to take from the folder; all of them where none is named.
    uploads : tuple of Upload
        What `storage.stage_upload` returned.
    snapshot : str, optional
        Id of the snapshot.
    seed : int
        Of the sample, 0 or more.
    """

    source: Literal["sample", "download", "upload", "folder", "file", "snapshot"] = "sample"
    path: Path | None = None
    files: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    snapshot: str | None = Field(None, pattern=r"^[0-9a-f]{12}$")
    seed: int = Field(24, ge=0, le=2**32 - 1)


@dataclass(frozen=True)
class Result:
    """The raw data that now stands."""

    run_id: str
    snapshot: str
    rows: int
    columns: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """A file of the source: the name it came with, where it lies, and where it came from."""

    name: str
    path: Path
    origin: str = ""


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Bring a source in unchanged, as the run `AquisicaoDados`.

    Nothing is replaced before the whole source was read, found valid and recorded. What is wrong
    or odd with it is the run's table `validation`, in a run that failed too.

    Raises
    ------
    InputError
        When the source cannot be read or lacks what the project needs.
    DownloadError
        When a file cannot be had from the network.
    """
    spec = project.load(settings.project)
    with (
        tracking.step_run(settings, "acquire", options, progress) as run_id,
        tempfile.TemporaryDirectory() as temporary,
    ):
        brought = _collect(settings, spec, options, Path(temporary), progress)
        files, left_out = _unpacked(settings, spec, brought, Path(temporary))
        _refuse_twins(files)
        progress.update(0.4, "Reading the files")
        raw, notes, columns = _read(spec, files)
        progress.update(0.5, f"Checking {len(raw):,} rows")
        unread = [name for name in columns if name not in raw]
        found = schema.inspect_source(raw, spec, unread)
        findings = (*found.findings, *notes, *left_out)
        rows_raw, width = len(raw), len(columns)
        del raw  # a million rows stand there once
        tracking.log(
            settings,
            run_id,
            Record(
                metrics={
                    "errors": len(found.errors),
                    "warnings": len(findings) - len(found.errors),
                },
                tables={"validation": schema.as_table(findings)},
            ),
        )
        found.required()
        snapshot = _snapshot(settings, spec, options, files, rows_raw, width, run_id)
        progress.update(0.6, "Gathering the picture of the data")
        record = _record(spec, found.frame, snapshot, options)
        progress.update(0.85, "Recording the run")
        tracking.log(settings, run_id, record)
        snapshots.keep(settings, snapshot, [file.path for file in files])
        if options.source == "download":
            storage.forget_downloads(settings)
        progress.update(1.0, f"{rows_raw:,} rows, {width} columns")
    warnings = tuple(one.text for one in findings if one.severity == "warning")
    return Result(run_id, snapshot.id, rows_raw, width, warnings)


def _snapshot(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    files: Sequence[_File],
    rows: int,
    columns: int,
    run_id: str,
) -> snapshots.Snapshot:
    if options.source == "snapshot":
        stands = snapshots.find(settings, str(options.snapshot))
        return stands.again(run_id, spec.digest)
    listed = [(file.name, file.path, file.origin) for file in files]
    return snapshots.describe(settings, options.source, listed, rows, columns, run_id, spec.digest)


def _record(
    spec: ProjectSpec, frame: pd.DataFrame, snapshot: snapshots.Snapshot, options: Options
) -> Record:
    kinds = frame[spec.rows.column]
    labelled = frame[frame[spec.target].notna()]
    others = labelled.drop(columns=spec.target)
    alone = {
        kind: leakage.alone(others[mask], labelled.loc[mask, spec.target])
        for kind, mask in profile.kinds(labelled, spec).items()
    }
    columns = profile.columns(frame, spec)
    each = pd.MultiIndex.from_frame(columns[["kind", "column"]])
    pictures = {
        "bins": profile.bins(frame, spec),
        "columns": columns.assign(auc_alone=pd.concat(alone).reindex(each).to_numpy()),
        "values": profile.values(frame, (spec.rows.column, *spec.slices)),
        "correlation": profile.correlation(frame, spec),
        "leakage": leakage.look(others, alone["all"], spec),
    }
    if spec.court is not None:
        # gathered here, so that a page draws hundreds of bins and not thousands of rows
        place = (frame, spec.court.x, spec.court.y, spec.target)
        pictures["court_cells"] = court.cells(*place, by=spec.slices)
        pictures["court_points"] = court.points(
            *place, by=spec.slices, most=POINTS, seed=options.seed
        )
    return Record(
        params={"sha256": snapshot.digest, "file_count": len(snapshot.files)},
        metrics={
            "rows_raw": snapshot.rows,
            "columns_raw": snapshot.columns,
            "rows_development": int((kinds == spec.rows.development).sum()),
            "rows_production": int((kinds == spec.rows.production).sum()),
            "base_rate_raw": float(frame[spec.target].mean()),
            "labels_missing": int(frame[spec.target].isna().sum()),
        },
        tags={
            tracking.TAG + "source": snapshot.source,
            tracking.TAG + "snapshot": snapshot.id,
        },
        is_sample=snapshot.is_sample,
        tables={
            "files": pd.DataFrame(
                [(one.name, one.sha256, one.size, one.origin) for one in snapshot.files],
                columns=["name", "sha256", "bytes", "origin"],
            ),
            **pictures,
        },
        datasets=(
            Dataset(
                "raw", frame, f"data/{storage.RAW}/{snapshot.id}", "raw", spec.target,
                snapshot.digest,
            ),
        ),
    )  # fmt: skip


def _collect(
    settings: Settings, spec: ProjectSpec, options: Options, temporary: Path, progress: Progress
) -> list[_File]:
    """Return the files of the source, zip files as they are."""
    if options.source == "sample":
        progress.update(0.1, "Making the sample")
        frame = sample.generate(project.sample_tables(settings.project), seed=options.seed)
        path = temporary / "sample.parquet"
        frame.to_parquet(path, index=False)
        return [_File(f"sample-{options.seed}.parquet", path)]
    if options.source == "snapshot":
        if options.snapshot is None:
            raise InputError("No snapshot is named. Choose one that is listed.")
        stands = snapshots.find(settings, options.snapshot)
        paths = snapshots.paths(settings, stands)
        return [
            _File(file.name, path, file.origin)
            for path, file in zip(paths, stands.files, strict=True)
        ]
    if options.source == "download":
        return _downloaded(settings, spec, progress)
    progress.update(0.1, "Looking for the files")
    if options.source == "upload":
        if not options.uploads:
            raise InputError("No file was uploaded. Choose one or several files.")
        return [
            _File(upload.name, storage.uploaded(settings, upload)) for upload in options.uploads
        ]
    return _in_the_folder(settings, options)


def _in_the_folder(settings: Settings, options: Options) -> list[_File]:
    path = options.path or settings.raw_dir
    if path is None:
        raise NotReadyError(
            "No folder is set. Start the app with COURTSIDE_RAW_DIR=<folder with the files>."
        )
    if options.source == "file":
        if not path.is_file():
            raise InputError(f"There is no file {path}.")
        return [_File(path.name, path)]
    there = {found.name: found for found in tables.list_sources(path)}
    missing = [name for name in options.files if name not in there]
    if missing:
        raise InputError(
            f"There is no {', '.join(missing)} in {path} any more. Found: {', '.join(there)}."
        )
    return [_File(name, there[name]) for name in options.files or there]


def _downloaded(settings: Settings, spec: ProjectSpec, progress: Progress) -> list[_File]:
    if not spec.downloads:
        raise InputError(f"The project '{spec.name}' names no files to download.")
    total = sum(item.size for item in spec.downloads)
    before = 0
    found = []
    for item in spec.downloads:

        def told(there: int, before: int = before, name: str = item.name) -> None:
            done = (before + there) / 1e6
            progress.update(
                0.05 + 0.35 * (before + there) / total,
                f"Downloading {name}: {done:.1f} of {total / 1e6:.1f} MB",
            )

        told(0)
        path = download.fetch(
            item, storage.downloads(settings), mirror=settings.download_mirror, on_progress=told
        )
        before += item.size
        found.append(_File(item.name, path, item.url))
    return found


def _unpacked(
    settings: Settings, spec: ProjectSpec, files: Sequence[_File], temporary: Path
) -> tuple[list[_File], list[Finding]]:
    """Return the files with what zip files hold in their place, and what was left out of these.

    A zip can hold more than the data (Kaggle's has an example of an answer): of its files those
    are taken that have most of the project's columns, or all where none has.
    """
    limit = UNPACKED * settings.upload_limit_mb * 1_000_000
    found: list[_File] = []
    left_out: list[Finding] = []
    for i, file in enumerate(files):
        if file.path.suffix.lower() != ".zip":
            found.append(file)
            continue
        folder = temporary / f"zip-{i}"
        folder.mkdir()
        members = [
            _File(name, path, file.name)
            for name, path in archives.unpack(file.path, file.name, folder, limit=limit)
        ]
        fitting = [one for one in members if _fits(one, spec)] or members
        found += fitting
        for one in members:
            if one not in fitting:
                text = f"'{one.name}' in '{file.name}' was left out: it has other columns."
                left_out.append(Finding("warning", "file", "", None, "", "", text))
    return found, left_out


def _fits(file: _File, spec: ProjectSpec) -> bool:
    try:
        names = tables.look(file.path, file.name).columns
    except InputError:
        return True  # so that it is told what is wrong with it
    taken = schema.taken_aliases(names, spec.columns)
    there = {taken.get(name, name) for name in names}
    return len(there & set(spec.columns)) > len(spec.columns) / 2


def _refuse_twins(files: Sequence[_File]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        digest = storage.sha256(file.path)
        if digest in seen:
            raise InputError(f"'{file.name}' is the same file as '{seen[digest]}'. Bring it once.")
        seen[digest] = file.name


def _read(
    spec: ProjectSpec, files: Sequence[_File]
) -> tuple[pd.DataFrame, list[Finding], list[str]]:
    """Return the project's columns of all files, what is odd with them, and all their columns.

    Raises
    ------
    InputError
        With what is wrong with every file, not with the first alone.
    """
    heads, faults = [], []
    for file in files:
        try:
            heads.append(tables.look(file.path, file.name))
        except InputError as error:
            faults.append(error.message)
    if faults:
        raise InputError(" ".join(faults))
    notes, shapes = [], []
    for file, head in zip(files, heads, strict=True):
        taken = schema.taken_aliases(head.columns, spec.columns)
        shapes.append({taken.get(name, name) for name in head.columns})
        if shapes[-1] != shapes[0]:
            raise InputError(
                f"'{file.name}' has other columns than '{files[0].name}' "
                f"({', '.join(sorted(shapes[-1] ^ shapes[0])[:5])}). Bring files of one shape."
            )
        for alias, name in taken.items():
            text = f"In '{file.name}' the column '{alias}' is taken as '{name}'."
            notes.append(Finding("warning", "alias", name, None, "", "", text))
        notes += [Finding("warning", "file", "", None, "", "", text) for text in head.notes]
    frames = [tables.read(file.path, file.name, spec.columns) for file in files]
    rows = snapshots.joined(frames, spec.columns)
    taken = schema.taken_aliases(heads[0].columns, spec.columns)
    return rows, notes, [taken.get(name, name) for name in heads[0].columns]
