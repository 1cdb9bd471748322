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
from core.adapters import storage, tracking
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import InputError, NotReadyError
from core.logic import court, sample
from core.record import SILENT, Dataset, Progress, Record


class Options(config.Options):
    """What to bring in.

    Parameters
    ----------
    source : {"sample", "folder", "file", "upload"}
        The built-in sample; all CSV and parquet files of a folder; one file; uploaded files.
    path : Path, optional
        The folder or file; without it the operator's folder (`COURTSIDE_RAW_DIR`).
    uploads : tuple of Upload
        What `storage.stage_upload` returned.
    seed : int
        Of the sample, 0 or more.
    """

    source: Literal["sample", "folder", "file", "upload"] = "sample"
    path: Path | None = None
    uploads: tuple[Upload, ...] = ()
    seed: int = Field(24, ge=0, le=2**32 - 1)


@dataclass(frozen=True)
class Result:
    """The raw data that now stands."""

    run_id: str
    snapshot: str
    rows: int
    columns: int
    warnings: tuple[str, ...]


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Bring a source in unchanged, as the run `AquisicaoDados`.

    Nothing is replaced before the whole source was read and found valid.

    Raises
    ------
    InputError
        When the source cannot be read or lacks what the project needs.
    """
    spec = project.load(settings.project)
    with (
        tracking.step_run(settings, "acquire", options, progress) as run_id,
        tempfile.TemporaryDirectory() as temporary,
    ):
        progress.update(0.1, "Reading the source")
        files = _collect(settings, options, Path(temporary))
        frames = [storage.read_table(path, name) for name, path in files]
        for frame, (name, _) in zip(frames, files, strict=True):
            if set(frame.columns) != set(frames[0].columns):
                raise InputError(
                    f"'{name}' has other columns than '{files[0][0]}'. Bring files of one shape."
                )
        raw = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        progress.update(0.5, f"Checking {len(raw):,} rows")
        found = schema.validate_source(raw, spec)
        progress.update(0.8, "Keeping the files and their digests")
        snapshot = storage.save_raw(
            settings, options.source, files, len(raw), len(raw.columns), run_id
        )
        missing = found.frame.isna().sum().rename_axis("column").reset_index(name="missing")
        kinds = found.frame[spec.rows.column]
        tables = {}
        if spec.court is not None:
            # gathered here, so that a page draws hundreds of bins and not thousands of rows
            tables["court_bins"] = court.bin_shots(
                found.frame, spec.court.x, spec.court.y, spec.target
            )
        tags = {tracking.TAG + "source": options.source, tracking.TAG + "snapshot": snapshot.id}
        record = Record(
            params={"sha256": snapshot.digest, "files": len(files)},
            metrics={
                "rows_raw": len(raw),
                "columns_raw": len(raw.columns),
                "rows_development": int((kinds == spec.rows.development).sum()),
                "rows_production": int((kinds == spec.rows.production).sum()),
                "base_rate_raw": float(found.frame[spec.target].mean()),
                "labels_missing": int(found.frame[spec.target].isna().sum()),
                "warnings": len(found.warnings),
            },
            tags=tags,
            is_sample=snapshot.is_sample,
            tables={
                "files": pd.DataFrame(
                    [(file.name, file.sha256, file.size) for file in snapshot.files],
                    columns=["name", "sha256", "bytes"],
                ),
                **tables,
                "missing": missing,
                "warnings": pd.DataFrame({"warning": list(found.warnings)}, dtype="object"),
            },
            datasets=(
                Dataset("raw", found.frame, f"data/01_raw/{snapshot.id}", "raw", spec.target),
            ),
        )
        tracking.log(settings, run_id, record)
        storage.make_current(settings, snapshot)
        progress.update(1.0, f"{len(raw):,} rows, {len(raw.columns)} columns")
    return Result(run_id, snapshot.id, len(raw), len(raw.columns), found.warnings)


def _collect(settings: Settings, options: Options, temporary: Path) -> Sequence[tuple[str, Path]]:
    """Return the files of the source: the name each came with, and where it lies."""
    if options.source == "sample":
        frame = sample.generate(project.sample_tables(settings.project), seed=options.seed)
        path = temporary / "sample.parquet"
        frame.to_parquet(path, index=False)
        return [(f"sample-{options.seed}.parquet", path)]
    if options.source == "upload":
        if not options.uploads:
            raise InputError("No file was uploaded. Choose one or several files.")
        found = [(upload.name, storage.uploaded(settings, upload)) for upload in options.uploads]
        return _without_twins(found)
    path = options.path or settings.raw_dir or Path()
    if options.path is None and settings.raw_dir is None:
        raise NotReadyError(
            "No folder is set. Start the app with COURTSIDE_RAW_DIR=<folder with the files>."
        )
    if options.source == "folder":
        return _without_twins([(file.name, file) for file in storage.list_sources(path)])
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    return [(path.name, path)]


def _without_twins(files: Sequence[tuple[str, Path]]) -> Sequence[tuple[str, Path]]:
    seen: dict[str, str] = {}
    for name, path in files:
        digest = storage.sha256(path)
        if digest in seen:
            raise InputError(f"'{name}' is the same file as '{seen[digest]}'. Bring it once.")
        seen[digest] = name
    return files
