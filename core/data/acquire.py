"""acquire: import a source unchanged as the raw data of the later steps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from core.data import archives, derived_columns, download, leakage, over_time, profile, snapshots
from core.data.records import AcquiredRun
from core.platform import bounds, csv_dialect, project, schema, storage, tables, tracking
from core.platform.config import Settings, needs
from core.platform.csv_dialect import Dialect, Given
from core.platform.errors import InputError, NotReadyError, words_of
from core.platform.findings import Finding, findings_table
from core.platform.messages import Message, Words, sentences
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, Progress, Record, counted
from core.platform.storage import Upload
from core.stats import places

# Most single rows in a chart of places; a random sample of them where there are more.
POINTS = 30_000
# The unpacked size of a zip, as a multiple of the upload limit.
UNPACKED = 5


class Options(csv_dialect.Options):
    """What to import.

    Parameters
    ----------
    source : {"sample", "download", "upload", "folder", "file", "snapshot"}
        The built-in sample; the project's files on the network; uploaded files; the operator's
        folder; a single file; an earlier snapshot, which becomes current again.
    path : Path, optional
        The folder or file; the operator's folder (`COURTSIDE_RAW_DIR`) by default.
    files : tuple of str
        Names of the files to take from the folder; all by default.
    uploads : tuple of Upload
        As returned by `storage.stage_upload`.
    snapshot : str, optional
        Id of the snapshot.
    seed : int
        Random seed of the sample.
    delimiter : {"comma", "semicolon", "tab", "bar"}, optional
        Field delimiter of CSV files; detected by default.
    decimal : {"point", "comma"}, optional
        Decimal sign of CSV files; detected by default.
    encoding : {"utf-8", "windows-1252"}, optional
        Encoding of CSV files; detected by default.
    """

    source: Literal["sample", "download", "upload", "folder", "file", "snapshot"] = "sample"
    path: Path | None = None
    files: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    snapshot: str | None = Field(None, pattern=r"^[0-9a-f]{12}$")
    seed: int = Field(24, ge=0, le=2**32 - 1)


@dataclass(frozen=True)
class Result:
    """The raw data that is now current."""

    run_id: str
    snapshot: str
    rows: int
    columns: int
    warnings: tuple[Words, ...]
    dialects: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """A file of the source: its original name, its path, and its origin.

    `dialect` is how a snapshot's CSV file was read before.
    """

    name: str
    path: Path
    origin: str = ""
    dialect: str = ""

    def given(self, options: Options, spec: ProjectSpec) -> Given:
        """Return what is known of its dialect before the file is inspected."""
        stated = Given.of(self.dialect) if self.dialect else options.given
        return stated.knowing(spec.source_columns)


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Import a source unchanged, as the run `AquisicaoDados`.

    Nothing is replaced until the whole source has been read, validated and recorded. Problems
    and oddities are in the run's table `validation`, also when the run fails.

    Raises
    ------
    InputError
        When the source cannot be read or lacks what the project needs.
    DownloadError
        When a file cannot be downloaded.
    """
    spec = project.of(settings)
    with (
        tracking.step_run(settings, "acquire", options, progress) as run_id,
        tempfile.TemporaryDirectory() as temporary,
    ):
        brought = _collect(settings, spec, options, Path(temporary), progress)
        files, left_out = _unpacked(settings, spec, options, brought, Path(temporary))
        digests = _digests(files)
        if spec.derived:  # from rows in the order in which the snapshot keeps its files
            files.sort(key=lambda file: digests[file.path])
        progress.update(0.4, Message("Reading the rows"))
        raw, notes, columns, dialects = _read(settings, spec, files, options)
        progress.update(0.5, Message("Running the checks"))
        unread = [name for name in columns if name not in raw and name not in spec.left_out]
        inspected = schema.inspect_source(raw, spec, unread)
        notes += derived_columns.findings(raw, spec)
        findings = (*inspected.findings, *notes, *left_out)
        rows_raw, width = len(raw), len(columns)
        del raw  # a million rows should be in memory only once
        tracking.log(
            settings,
            run_id,
            Record(
                metrics={
                    "errors": len(inspected.errors),
                    "warnings": len(findings) - len(inspected.errors),
                },
                tables={"validation": findings_table(findings)},
            ),
        )
        inspected.required()
        snapshot = _snapshot(settings, spec, options, files, rows_raw, width, run_id, dialects)
        progress.update(0.6, Message("Running the checks"))
        record = _record(spec, inspected.frame, snapshot, options)
        progress.update(0.85, Message("Writing the results"))
        tracking.log(settings, run_id, record)
        snapshots.keep(settings, snapshot, [file.path for file in files])
        if options.source == "download":
            storage.forget_downloads(settings)
        progress.update(
            1.0, Message("{rows:,} rows, {columns:,} columns", rows=rows_raw, columns=width)
        )
    warnings = tuple(finding.text for finding in findings if finding.severity == "warning")
    written = tuple(dict.fromkeys(dialect.code for dialect in dialects if dialect is not None))
    return Result(run_id, snapshot.id, rows_raw, width, warnings, written)


def _snapshot(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    files: Sequence[_File],
    rows: int,
    columns: int,
    run_id: str,
    dialects: Sequence[Dialect | None],
) -> snapshots.Snapshot:
    if options.source == "snapshot":
        stands = snapshots.find(settings, str(options.snapshot))
        return stands.again(run_id, spec.digest)
    listed = [(file.name, file.path, file.origin) for file in files]
    return snapshots.describe(
        settings, options.source, listed, rows, columns, run_id, spec.digest, dialects
    )


def _record(
    spec: ProjectSpec, frame: pd.DataFrame, snapshot: snapshots.Snapshot, options: Options
) -> Record:
    kinds = frame[spec.rows.column]
    is_labelled = frame[spec.target].notna().to_numpy()
    others = {
        name: frame[name] for name in frame.columns if name not in (spec.target, *spec.derived)
    }
    masks = profile.kinds(frame, spec)
    labelled = {kind: mask & is_labelled for kind, mask in masks.items()}
    alone = leakage.alone_in(others, frame[spec.target], labelled)
    described = profile.describe(frame, spec)
    columns = described.columns
    order = pd.MultiIndex.from_frame(columns[["kind", "column"]])
    # what is counted among all rows need not be counted again, if all of them are labelled
    of_all = columns[columns["kind"] == "all"]
    distinct = of_all.set_index("column")["distinct"].to_dict() if is_labelled.all() else None
    pictures = {
        "bins": described.bins,
        "columns": columns.assign(auc_alone=pd.concat(alone).reindex(order).to_numpy()),
        "values": profile.values(frame, (spec.rows.column, *spec.slices)),
        "correlation": profile.correlation(frame, spec),
        "leakage": leakage.inspect(others, alone["all"], spec, is_labelled, distinct),
    }
    if spec.time is not None:
        pictures["over_time"] = over_time.counts(frame, spec)
    if spec.place is not None:
        pictures["places"] = places.cells(
            frame[spec.place.x].astype("float64"),
            frame[spec.place.y].astype("float64"),
            frame[spec.target].astype("float64"),
            {"reference": masks["development"], "current": masks["production"]},
        )
    court = part(spec.name, "court")
    if spec.court is not None and court is not None:
        # aggregated here, so that a page draws hundreds of bins instead of thousands of rows
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
        tags=AcquiredRun(
            source=snapshot.source,
            snapshot=snapshot.id,
            csv_dialect=csv_dialect.listed(file.dialect for file in snapshot.files),
        ).write(),
        is_sample=snapshot.is_sample,
        tables={
            "files": pd.DataFrame(
                [
                    (file.name, file.sha256, file.size, file.origin, file.dialect)
                    for file in snapshot.files
                ],
                columns=["name", "sha256", "bytes", "origin", "dialect"],
            ),
            **pictures,
        },
        datasets=(
            Dataset(
                "raw",
                frame,
                f"data/{storage.RAW}/{snapshot.id}",
                "raw",
                spec.target,
                snapshot.digest,
            ),
        ),
    )


def _collect(
    settings: Settings, spec: ProjectSpec, options: Options, temporary: Path, progress: Progress
) -> list[_File]:
    """Return the files of the source; zip files are not unpacked yet."""
    if options.source == "sample":
        progress.update(0.1, Message("Reading the rows"))
        tables = project.sample_tables(settings.project)
        sample = part(spec.name, "sample")
        if sample is None:
            raise InputError(
                Message(
                    "The project '{name}' has no {source}. Choose another source.",
                    name=spec.name,
                    source=snapshots.SOURCE_LABELS["sample"],
                )
            )
        frame = sample.generate(tables, seed=options.seed)
        path = temporary / "sample.parquet"
        frame.to_parquet(path, index=False)
        return [_File(f"sample-{options.seed}.parquet", path)]
    if options.source == "snapshot":
        stands = snapshots.find(settings, options.snapshot or "")
        paths = snapshots.Archive.of(settings).paths(stands)
        return [
            _File(file.name, path, file.origin, file.dialect)
            for path, file in zip(paths, stands.files, strict=True)
        ]
    if options.source == "download":
        return _downloaded(settings, spec, progress)
    progress.update(0.1, Message("Reading the rows"))
    if options.source == "upload":
        if not options.uploads:
            raise InputError(_needed("source = upload", "uploads"))
        return [
            _File(upload.name, storage.uploaded(settings, upload)) for upload in options.uploads
        ]
    # a copy of our own: the original may change, or be replaced by a pipe
    limit = storage.upload_limit(settings)
    return [
        _File(
            file.name,
            bounds.copy(file.path, temporary / f"source-{i}{file.path.suffix}", file.name, limit),
        )
        for i, file in enumerate(_in_the_folder(settings, options))
    ]


def _needed(option: str, needed: str) -> Message:
    return Message("{reason!c}.", reason=words_of(needs(option, needed)))


def _in_the_folder(settings: Settings, options: Options) -> list[_File]:
    path = options.path or settings.raw_dir
    if path is None:
        raise NotReadyError(_needed("source = folder", "COURTSIDE_RAW_DIR"))
    if options.source == "file":
        return [_File(path.name, path)]
    by_name = {source.name: source for source in tables.list_sources(path)}
    missing = [name for name in options.files if name not in by_name]
    if missing:
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.",
                name=missing[0],
                names=list(by_name),
            )
        )
    return [_File(name, by_name[name]) for name in options.files or by_name]


def _downloaded(settings: Settings, spec: ProjectSpec, progress: Progress) -> list[_File]:
    if not spec.downloads:
        raise InputError(
            Message(
                "The project '{name}' has no {source}. Choose another source.",
                name=spec.name,
                source=snapshots.SOURCE_LABELS["download"],
            )
        )
    total = sum(item.size for item in spec.downloads)
    before = 0
    files = []
    for item in spec.downloads:
        bounds.check_bytes(item.name, item.size, storage.upload_limit(settings))

        def report(have: int, before: int = before, name: str = item.name) -> None:
            progress.update(
                0.05 + 0.35 * (before + have) / total,
                counted(f"{name} (MB)", round((before + have) / 1e6), round(total / 1e6)),
            )

        report(0)
        path = download.fetch(
            item, storage.downloads(settings), mirror=settings.download_mirror, on_progress=report
        )
        before += item.size
        files.append(_File(item.name, path, item.url))
    return files


def _unpacked(
    settings: Settings, spec: ProjectSpec, options: Options, files: Sequence[_File], temporary: Path
) -> tuple[list[_File], list[Finding]]:
    """Return the files with zip files replaced by their contents, and findings on skipped files.

    A zip can hold more than the data (Kaggle's has a sample submission): only the files with the
    most columns of the project are kept, or all files if none has any.
    """
    limit = UNPACKED * settings.upload_limit_mb * 1_000_000
    taken: list[_File] = []
    left_out: list[Finding] = []
    for i, file in enumerate(files):
        if file.path.suffix.lower() != ".zip":
            taken.append(file)
            continue
        folder = temporary / f"zip-{i}"
        folder.mkdir()
        members = [
            _File(name, path, file.name)
            for name, path in archives.unpack(file.path, file.name, folder, limit=limit)
        ]
        fitting = [member for member in members if _fits(member, spec, options)] or members
        taken += fitting
        for member in members:
            if member not in fitting:
                text = Message(
                    "'{name}' in '{archive}' was skipped: it has other columns.",
                    name=member.name,
                    archive=file.name,
                )
                left_out.append(Finding("warning", "file", "", None, "", "", text))
    return taken, left_out


def _fits(file: _File, spec: ProjectSpec, options: Options) -> bool:
    try:
        names = tables.read_head(file.path, file.name, options.given).columns
    except InputError:
        return True  # so that reading it reports what is wrong
    taken = schema.taken_aliases(names, spec.columns)
    named = {taken.get(name, name) for name in names}
    return len(named & set(spec.columns)) > len(spec.columns) / 2


def _digests(files: Sequence[_File]) -> dict[Path, str]:
    """Return the SHA-256 of each file; the same file twice is refused."""
    seen: dict[str, _File] = {}
    for file in files:
        digest = storage.sha256(file.path)
        if digest in seen:
            raise InputError(
                Message(
                    "'{name}' is the same file as '{other}'. Provide it only once.",
                    name=file.name,
                    other=seen[digest].name,
                )
            )
        seen[digest] = file
    return {file.path: digest for digest, file in seen.items()}


def _read(
    settings: Settings, spec: ProjectSpec, files: Sequence[_File], options: Options
) -> tuple[pd.DataFrame, list[Finding], list[str], list[Dialect | None]]:
    """Return the rows of all files, the findings, all column names, and each file's dialect.

    Raises
    ------
    InputError
        With the problems of every file, not only of the first.
    """
    heads, faults = [], []
    for file in files:
        try:
            heads.append(tables.read_head(file.path, file.name, file.given(options, spec)))
        except InputError as error:
            faults.append(error.message)
    if faults:
        raise InputError(sentences(*faults))
    # the size of unpacked files has not been checked yet
    size = sum(file.path.stat().st_size for file in files)
    bounds.check_bytes(", ".join(file.name for file in files), size, storage.upload_limit(settings))
    bounds.check_together(sum(head.rows * len(head.columns) for head in heads))
    notes, shapes = [], []
    for file, head in zip(files, heads, strict=True):
        taken = schema.taken_aliases(head.columns, spec.columns)
        shapes.append({taken.get(name, name) for name in head.columns})
        if shapes[-1] != shapes[0]:
            raise InputError(
                Message(
                    "The columns of '{name}' differ from those of '{other}' ({columns}). Choose "
                    "files with the same columns.",
                    name=file.name,
                    other=files[0].name,
                    columns=sorted(shapes[-1] ^ shapes[0])[:5],
                )
            )
        for alias, name in taken.items():
            text = Message("Column '{alias}' is read as '{column}'.", alias=alias, column=name)
            notes.append(Finding("warning", "alias", name, None, "", "", text))
        notes += [Finding("warning", "file", "", None, "", "", text) for text in head.notes]
    frames = [
        tables.read(file.path, file.name, spec.source_columns, head=head)
        for file, head in zip(files, heads, strict=True)
    ]
    rows = derived_columns.derive(frames, [file.name for file in files], spec)
    taken = schema.taken_aliases(heads[0].columns, spec.columns)
    names = [taken.get(name, name) for name in heads[0].columns]
    return rows, notes, names, [head.dialect for head in heads]
