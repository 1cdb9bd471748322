"""The raw data under data/01_raw: one immutable snapshot per acquisition."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from core.data import derived_columns
from core.platform import schema, storage, store_faults, tables
from core.platform.config import Settings
from core.platform.csv_dialect import Dialect, Given
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.messages import Message
from core.platform.project import Column, ProjectSpec

# where raw data came from, by the code that a snapshot keeps
SOURCE_LABELS = {
    "sample": Message("built-in sample"),
    "download": Message("download"),
    "folder": Message("folder"),
    "upload": Message("files"),
    "file": Message("files"),
}


@dataclass(frozen=True)
class SourceFile:
    """An acquired file: its original name, its size and its SHA-256.

    `origin` is its source where the name does not show it: an address, a zip file. `dialect` is
    the dialect of a CSV file, as detected or as set by the user.
    """

    name: str
    stored: str
    sha256: str
    size: int
    origin: str = ""
    dialect: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One acquisition, named by the digest of its bytes; it never changes.

    Parameters
    ----------
    digest : str
        SHA-256 over the sorted digests of the files: the same files are always the same snapshot.
    source : str
        sample, download, upload, folder or file.
    acquired_at : float
        Seconds since 1970.
    run_id : str
        The run that acquired it, or that made it current again.
    project, rules : str
        Its project, and the digest of the project file that validated it.
    sample : bool
        Whether it holds any synthetic rows, from whatever source.
    """

    digest: str
    source: str
    files: tuple[SourceFile, ...]
    rows: int
    columns: int
    acquired_at: float
    run_id: str
    project: str = ""
    rules: str = ""
    sample: bool = False

    @property
    def id(self) -> str:
        """Folder name under data/01_raw."""
        return self.digest[:12]

    @property
    def is_sample(self) -> bool:
        """Whether it holds synthetic rows."""
        return self.sample or self.source == "sample"

    def again(self, run_id: str, rules: str) -> Snapshot:
        """Return the snapshot as it is after a run makes it current again."""
        return replace(self, run_id=run_id, rules=rules)


@dataclass(frozen=True)
class Archive:
    """The raw data of one project: the folder of all snapshots, and whose of them are read."""

    place: Path
    project: str

    @classmethod
    def of(cls, settings: Settings) -> Archive:
        """Return the raw data of the project in use."""
        return cls(settings.data_dir / storage.RAW, settings.project)

    def current(self) -> Snapshot | None:
        """Return the current snapshot, None before the project's first acquisition."""
        snapshot = _read(self.place / "current.json")
        return snapshot if snapshot is not None and snapshot.project == self.project else None

    def require_current(self) -> Snapshot:
        """Return the current snapshot.

        Raises
        ------
        NotReadyError
            Before the project's first acquisition.
        """
        snapshot = self.current()
        if snapshot is None:
            raise NotReadyError(Message("No raw data yet. Acquire it first."))
        return snapshot

    def paths(self, snapshot: Snapshot) -> list[Path]:
        """Return the paths of a snapshot's files, in their order, each verified to be unchanged.

        Raises
        ------
        StoreError
            When a file is missing or has changed.
        """
        place = self.place / snapshot.id
        if not _is_whole(place, snapshot):
            names = ", ".join(f"'{file.name}'" for file in snapshot.files[:5])
            raise StoreError(store_faults.damaged_of(f"{snapshot.id} ({names})", "acquire"))
        return [place / file.stored for file in snapshot.files]

    def read(self, snapshot: Snapshot, columns: Mapping[str, Column]) -> pd.DataFrame:
        """Return a snapshot's rows, its files one after the other; raises as `paths` does.

        Parameters
        ----------
        columns : mapping of str to Column
            The project's columns; others are left out where that saves reading them.
        """
        return derived_columns.joined(self._frames(snapshot, columns), columns)

    def rows(
        self, snapshot: Snapshot, spec: ProjectSpec, columns: Collection[str] | None = None
    ) -> pd.DataFrame:
        """Return its rows with the project's columns, unconverted; raises as `paths` does.

        Parameters
        ----------
        columns : collection of str, optional
            Those that are needed; a derived one is derived from all of the source.
        """
        if columns is not None and not {*columns} & {*spec.derived}:
            return self.read(snapshot, {name: spec.columns[name] for name in columns})
        frames = self._frames(snapshot, spec.source_columns)
        return derived_columns.derive(frames, [file.name for file in snapshot.files], spec)

    def _frames(self, snapshot: Snapshot, columns: Mapping[str, Column]) -> list[pd.DataFrame]:
        named = zip(self.paths(snapshot), snapshot.files, strict=True)
        return [
            tables.read(path, file.name, columns, Given.of(file.dialect)) for path, file in named
        ]

    def validated(self, snapshot: Snapshot, spec: ProjectSpec) -> pd.DataFrame:
        """Return a snapshot's validated rows, ordered by id; raises as `paths` does.

        Raises
        ------
        InputError
            With all validation errors.
        """
        return schema.inspect_source(self.rows(snapshot, spec), spec).required().frame


def describe(
    settings: Settings,
    source: str,
    files: Sequence[tuple[str, Path, str]],
    rows: int,
    columns: int,
    run_id: str,
    rules: str,
    dialects: Sequence[Dialect | None] = (),
) -> Snapshot:
    """Return the snapshot of these files without storing anything, see `keep`.

    Parameters
    ----------
    files : sequence of (name, path, origin)
        Original name, path and origin of each file. Bytes first acquired as the sample remain the
        sample, whatever the source.
    dialects : sequence of (Dialect or None), optional
        Dialect of each file; None for parquet.
    """
    written = [dialect.code if dialect is not None else "" for dialect in dialects] or [""] * len(
        files
    )
    ordered = sorted(
        (
            storage.sha256(path),
            Path(name).name,
            path.suffix.lower(),
            path.stat().st_size,
            origin,
            code,
        )
        for (name, path, origin), code in zip(files, written, strict=True)
    )
    kept = tuple(
        SourceFile(name, f"part-{i}{suffix}", digest, size, origin, code)
        for i, (digest, name, suffix, size, origin, code) in enumerate(ordered)
    )
    # the same bytes read with another dialect are other rows
    contents = (f"{file.sha256}{file.dialect}".removesuffix(Dialect().code) for file in kept)
    digest = hashlib.sha256("".join(contents).encode()).hexdigest()
    known = _sample_files(storage.folder(settings, storage.RAW))
    is_sample = source == "sample" or any(file.sha256 in known for file in kept)
    return Snapshot(
        digest, source, kept, rows, columns, time.time(), run_id, settings.project, rules, is_sample
    )


def keep(settings: Settings, snapshot: Snapshot, paths: Sequence[Path]) -> None:
    """Store the files of a snapshot under data/01_raw, and make it the current one.

    The same bytes are stored once, and `listed` keeps reporting their first acquisition; but
    bytes acquired as the sample count as the sample from then on.
    """
    place = storage.folder(settings, storage.RAW) / snapshot.id
    if place.is_dir() and not _is_whole(place, snapshot):
        # changed on disk by someone: replaced by what was acquired again
        os.replace(place, storage.beside(place))
    if not place.is_dir():
        _copy(snapshot, {storage.sha256(path): path for path in paths}, place)
    stands = None
    with suppress(StoreError):  # an unreadable record is rewritten
        stands = _read(place / "snapshot.json")
    first = snapshot
    if stands is not None and (snapshot.source != "sample" or stands.source == "sample"):
        # the newest run and rules, the first time and source
        first = replace(stands, run_id=snapshot.run_id, rules=snapshot.rules)
        first = replace(first, project=snapshot.project, sample=snapshot.sample)
    storage.write_json(place / "snapshot.json", asdict(first))
    make_current(settings, snapshot)


def _is_whole(place: Path, snapshot: Snapshot) -> bool:
    return all(
        (place / file.stored).is_file() and storage.sha256(place / file.stored) == file.sha256
        for file in snapshot.files
    )


def _copy(snapshot: Snapshot, paths: Mapping[str, Path], place: Path) -> None:
    temporary = storage.beside(place)
    try:
        temporary.mkdir()
        for file in snapshot.files:
            shutil.copyfile(paths[file.sha256], temporary / file.stored)
            # raw data is read-only; `paths` notices if it changed anyway
            (temporary / file.stored).chmod(0o444)
        try:
            os.replace(temporary, place)
        except OSError:
            # another process has just stored the same bytes
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sample_files(raw: Path) -> set[str]:
    """Return the SHA-256 of all files acquired as the sample."""
    digests: set[str] = set()
    for path in raw.glob("*/snapshot.json"):
        with suppress(StoreError):
            snapshot = _read(path)
            if snapshot and snapshot.source == "sample":
                digests.update(file.sha256 for file in snapshot.files)
    return digests


def make_current(settings: Settings, snapshot: Snapshot) -> None:
    """Make a snapshot the raw data of the later steps."""
    storage.write_json(storage.folder(settings, storage.RAW) / "current.json", asdict(snapshot))


def current(settings: Settings) -> Snapshot | None:
    """Return the current snapshot, None before the project's first acquisition."""
    return Archive.of(settings).current()


def listed(settings: Settings) -> list[Snapshot]:
    """Return the project's stored snapshots, the newest acquisition first."""
    snapshots = []
    for path in (settings.data_dir / storage.RAW).glob("*/snapshot.json"):
        with suppress(StoreError):  # an unreadable one cannot be made current either
            snapshot = _read(path)
            if snapshot is None or snapshot.id != path.parent.name:
                continue
            if snapshot.project == settings.project:
                snapshots.append(snapshot)
    return sorted(snapshots, key=lambda entry: -entry.acquired_at)


def find(settings: Settings, snapshot_id: str) -> Snapshot:
    """Return a snapshot by its id.

    Raises
    ------
    InputError
        When no snapshot has that id.
    """
    for snapshot in listed(settings):
        if snapshot.id == snapshot_id:
            return snapshot
    raise InputError(Message("{name} does not exist. Reload the page.", name=snapshot_id or "–"))


def _read(path: Path) -> Snapshot | None:
    written = storage.read_json(path)
    if not written:
        return None
    try:
        files = tuple(SourceFile(**file) for file in written.pop("files"))
        return Snapshot(files=files, **written)
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(store_faults.damaged_of(path.name, "acquire")) from error
