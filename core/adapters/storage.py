"""The only reader and writer under data/. Every write appears whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from core.config import Options, Settings
from core.errors import InputError, NotReadyError, StoreError

RAW, PRIMARY, MODEL_INPUT = "01_raw", "03_primary", "05_model_input"
MODEL_OUTPUT, REPORTING = "07_model_output", "08_reporting"
SUFFIXES = (".parquet", ".csv")
FILTERED_FILE, TRAIN_FILE, TEST_FILE = (
    "data_filtered.parquet",
    "train_data.parquet",
    "test_data.parquet",
)
STALE_SECONDS = 3600
UPLOAD_SECONDS = 24 * 3600


class Upload(Options):
    """An uploaded file that is kept until a job reads it.

    Parameters
    ----------
    name : str
        What the person calls it; for messages only, never a path.
    stored : str
        Its name in our keeping.
    """

    name: str
    stored: str


@dataclass(frozen=True)
class SourceFile:
    """A file that was brought in: the name it came with, its bytes and their SHA-256."""

    name: str
    stored: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Snapshot:
    """One acquisition, named by the digest of its bytes; it is never changed.

    Parameters
    ----------
    digest : str
        SHA-256 over the files' own digests, in order.
    source : str
        sample, folder, file or upload.
    files : tuple of SourceFile
    rows, columns : int
    acquired_at : float
        Seconds since 1970.
    run_id : str
        The run that brought it in.
    sample : bool
        Whether made-up rows are in it, by whatever way they came.
    """

    digest: str
    source: str
    files: tuple[SourceFile, ...]
    rows: int
    columns: int
    acquired_at: float
    run_id: str
    sample: bool = False

    @property
    def id(self) -> str:
        """Folder name under data/01_raw."""
        return self.digest[:12]

    @property
    def is_sample(self) -> bool:
        """Whether these are made-up rows."""
        return self.sample or self.source == "sample"


@dataclass(frozen=True)
class Prepared:
    """The train and test set that stand, and what they came from."""

    snapshot: str
    source: str
    run_id: str
    test_share: float
    seed: int
    rows_filtered: int
    rows_train: int
    rows_test: int
    prepared_at: float
    digests: dict[str, str]
    sample: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether these are made-up rows."""
        return self.sample or self.source == "sample"


def folder(settings: Settings, name: str) -> Path:
    """Return the numbered folder, made if it is not there."""
    path = settings.data_dir / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_table(path: Path, name: str | None = None) -> pd.DataFrame:
    """Read a CSV or parquet file.

    Parameters
    ----------
    path : Path
        Where it lies; its suffix says what it is.
    name : str, optional
        What the person calls it, for messages.

    Raises
    ------
    InputError
        When it is of another kind, empty, or not what its name says.
    """
    name = name or path.name
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"'{name}' is not a CSV or parquet file. Choose a .csv or .parquet file.")
    if path.stat().st_size == 0:
        raise InputError(f"'{name}' is empty.")
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if path.suffix.lower() == ".parquet":
        if not is_parquet:
            raise InputError(f"'{name}' is not a parquet file, whatever its name says.")
        import pyarrow

        try:
            return pd.read_parquet(path).reset_index(drop=True)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise InputError(f"'{name}' is a broken parquet file: {error}") from error
    if is_parquet:
        raise InputError(f"'{name}' is a parquet file. Rename it to .parquet.")
    with path.open("rb") as file:
        header = file.readline(65_536)
    if b";" in header and b"," not in header:
        raise InputError(f"'{name}' is divided by semicolons. Save it with commas.")
    try:
        return _read_csv(path, name)
    except UnicodeDecodeError as error:
        raise InputError(f"'{name}' is not UTF-8 text. Save it as CSV UTF-8.") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"'{name}' is empty.") from error
    except (pd.errors.ParserError, ValueError) as error:
        raise InputError(f"'{name}' cannot be read as CSV: {error}".strip()) from error


def _read_csv(path: Path, name: str) -> pd.DataFrame:
    frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    # rows longer than the header: pandas took their first values for an index, and so moved all
    # values to other columns; only empty ones at the end, from a trailing comma, can be left out
    if frame.iloc[:, -frame.index.nlevels :].notna().any(axis=None):
        raise InputError(f"'{name}' has rows with more values than it has columns.")
    with warnings.catch_warnings():
        # that they are left out is what is wanted
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        return pd.read_csv(path, encoding="utf-8-sig", low_memory=False, index_col=False)


def list_sources(path: Path) -> list[Path]:
    """Return the CSV and parquet files of a folder, by name.

    Raises
    ------
    InputError
        When there is no such folder, or none in it.
    """
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.")
    found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"The folder {path} holds no .csv or .parquet file.")
    return found


def stage_upload(settings: Settings, name: str, content: bytes) -> Upload:
    """Keep an uploaded file's bytes for the job that will read them.

    Parameters
    ----------
    name : str
        What the person calls it; only its suffix is used, and only if it is a known one.

    Raises
    ------
    InputError
        For another kind of file, or one above the size limit.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"'{name}' is not a CSV or parquet file. Choose a .csv or .parquet file.")
    limit = settings.upload_limit_mb * 1_000_000
    if len(content) > limit:
        raise InputError(
            f"'{name}' has {len(content) / 1e6:,.0f} MB; at most {limit / 1e6:,.0f} are taken."
        )
    place = settings.state_dir / "uploads"
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = place / f"{digest}{suffix}"
    _replace(path, lambda temporary: temporary.write_bytes(content))
    return Upload(name=Path(name).name[:120], stored=path.name)


def uploaded(settings: Settings, upload: Upload) -> Path:
    """Return where the bytes of an upload lie.

    Raises
    ------
    InputError
        When it is gone, or the name is not one that `stage_upload` gave.
    """
    path = settings.state_dir / "uploads" / upload.stored
    if Path(upload.stored).name != upload.stored or not path.is_file():
        raise InputError(f"The uploaded file '{upload.name}' is gone. Upload it again.")
    return path


def save_raw(
    settings: Settings,
    source: str,
    files: Sequence[tuple[str, Path]],
    rows: int,
    columns: int,
    run_id: str,
) -> Snapshot:
    """Keep files unchanged as a snapshot under data/01_raw; `make_current` makes it the one in use.

    Parameters
    ----------
    files : sequence of (name, path)
        The names they came with, and where their bytes lie now. The same bytes twice make no
        second copy. Bytes that once came as the sample stay the sample, whatever the source.
    """
    raw = folder(settings, RAW)
    kept = tuple(
        SourceFile(
            Path(name).name, f"part-{i}{path.suffix.lower()}", sha256(path), path.stat().st_size
        )
        for i, (name, path) in enumerate(files)
    )
    digest = hashlib.sha256("".join(file.sha256 for file in kept).encode()).hexdigest()
    known = _sample_files(raw)
    is_sample = source == "sample" or any(file.sha256 in known for file in kept)
    snapshot = Snapshot(digest, source, kept, rows, columns, time.time(), run_id, is_sample)
    place = raw / snapshot.id
    if not place.is_dir():
        _keep(snapshot, [path for _, path in files], place)
    # tells who brought the bytes first, and for good that they are the sample's; what stands is
    # told by current.json alone, so a run that fails from here on changes nothing
    first = place / "snapshot.json"
    if not first.is_file() or (source == "sample" and kept[0].sha256 not in known):
        write_json(first, asdict(snapshot))
    return snapshot


def _keep(snapshot: Snapshot, paths: Sequence[Path], place: Path) -> None:
    temporary = _temporary(place)
    try:
        temporary.mkdir()
        for file, path in zip(snapshot.files, paths, strict=True):
            shutil.copyfile(path, temporary / file.stored)
        try:
            os.replace(temporary, place)
        except OSError:
            # another process has just kept the same bytes
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sample_files(raw: Path) -> set[str]:
    """Return the SHA-256 of all files that came as the sample."""
    found: set[str] = set()
    for path in raw.glob("*/snapshot.json"):
        with suppress(StoreError):
            record = _read_json(path)
            if record and record["source"] == "sample":
                found.update(file["sha256"] for file in record["files"])
    return found


def make_current(settings: Settings, snapshot: Snapshot) -> None:
    """Make a snapshot the raw data that later steps read."""
    write_json(folder(settings, RAW) / "current.json", asdict(snapshot))


def current_raw(settings: Settings) -> Snapshot | None:
    """Return the snapshot that stands, None before the first acquisition."""
    found = _read_json(settings.data_dir / RAW / "current.json")
    if not found:
        return None
    try:
        files = tuple(SourceFile(**file) for file in found.pop("files"))
        return Snapshot(files=files, **found)
    except (KeyError, TypeError) as error:
        raise StoreError("current.json is damaged. Acquire again.") from error


def read_raw(settings: Settings, snapshot: Snapshot) -> pd.DataFrame:
    """Return the rows of a snapshot, its files one after the other."""
    place = settings.data_dir / RAW / snapshot.id
    parts = [read_table(place / file.stored, file.name) for file in snapshot.files]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def save_prepared(
    settings: Settings,
    filtered: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    snapshot: Snapshot,
    run_id: str,
    test_share: float,
    seed: int,
) -> tuple[Path, ...]:
    """Write the filtered, train and test set and return where they lie.

    A reader sees all of the old or all of the new: `read_prepared` waits for a writer, and refuses
    files that are not those of `prepared.json`. The rows' index is not kept.
    """
    paths = prepared_paths(settings)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporaries = [_temporary(path) for path in paths]
    try:
        for frame, temporary in zip((filtered, train, test), temporaries, strict=True):
            frame.to_parquet(temporary, index=False)
        digests = {path.name: sha256(t) for path, t in zip(paths, temporaries, strict=True)}
        prepared = Prepared(
            snapshot.id, snapshot.source, run_id, test_share, seed,
            len(filtered), len(train), len(test), time.time(), digests, snapshot.is_sample,
        )  # fmt: skip
        with _prepared_lock(settings):
            for path, temporary in zip(paths, temporaries, strict=True):
                os.replace(temporary, path)
            write_json(settings.data_dir / MODEL_INPUT / "prepared.json", asdict(prepared))
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
    return paths


@contextmanager
def _prepared_lock(settings: Settings) -> Iterator[None]:
    """Hold back other readers and writers of the prepared sets, in whatever process."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "prepared.lock", timeout=60):
        yield


def prepared_paths(settings: Settings) -> tuple[Path, Path, Path]:
    """Return where the filtered, train and test set lie."""
    model_input = settings.data_dir / MODEL_INPUT
    return (
        settings.data_dir / PRIMARY / FILTERED_FILE,
        model_input / TRAIN_FILE,
        model_input / TEST_FILE,
    )


def current_prepared(settings: Settings) -> Prepared | None:
    """Return what the train and test set that stand came from, None before the first."""
    found = _read_json(settings.data_dir / MODEL_INPUT / "prepared.json")
    return Prepared(**found) if found else None


def read_prepared(settings: Settings) -> tuple[Prepared, pd.DataFrame, pd.DataFrame]:
    """Return the train and test set that stand.

    Raises
    ------
    NotReadyError
        Before the first preparation, or when the files were changed since.
    """
    _, *paths = prepared_paths(settings)
    with _prepared_lock(settings):
        prepared = current_prepared(settings)
        if prepared is None or not all(path.is_file() for path in paths):
            raise NotReadyError(
                "No prepared data yet. Run the preparation on the Prepare page first."
            )
        # the bytes that are hashed are the bytes that are used
        contents = {path.name: path.read_bytes() for path in paths}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != prepared.digests[name]:
            raise NotReadyError(
                f"{name} is not the file that the last preparation wrote. Prepare again."
            )
    train, test = (pd.read_parquet(io.BytesIO(content)) for content in contents.values())
    return prepared, train, test


def save_output(settings: Settings, name: str, frame: pd.DataFrame) -> Path:
    """Write a table of predictions to data/07_model_output/<name>.parquet."""
    path = folder(settings, MODEL_OUTPUT) / f"{name}.parquet"
    _replace(path, lambda temporary: frame.to_parquet(temporary, index=False))
    return path


def save_report(settings: Settings, name: str, report: dict[str, Any]) -> Path:
    """Write a monitoring report to data/08_reporting/<name>.json."""
    path = folder(settings, REPORTING) / f"{name}.json"
    write_json(path, report)
    return path


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(content, indent=2, sort_keys=True, default=str)
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def sweep(settings: Settings) -> None:
    """Remove what nobody will read again: half-written files of dead writers, old uploads."""
    now = time.time()
    for path in settings.data_dir.glob("*/.*.tmp"):
        _remove_older(path, now - STALE_SECONDS)
    for path in (settings.state_dir / "uploads").glob("*"):
        _remove_older(path, now - UPLOAD_SECONDS)


def _remove_older(path: Path, moment: float) -> None:
    # several processes sweep, and writers finish: what is gone by now needs no removing
    with suppress(FileNotFoundError):
        if path.stat().st_mtime < moment:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError(f"{path.name} is damaged. Acquire and prepare again.") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _replace(path: Path, write: Any) -> None:
    temporary = _temporary(path)
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
