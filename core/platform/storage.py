"""Files under data/ and state/: prepared sets, uploads, outputs; all writes are atomic.

`core.data.snapshots` stores the raw data with these functions.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock

from core.platform import bounds, permissions, store_faults, tables
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.messages import Message

RAW, PRIMARY, MODEL_INPUT = "01_raw", "03_primary", "05_model_input"
MODEL_OUTPUT, REPORTING = "07_model_output", "08_reporting"
UPLOADS = (*tables.SUFFIXES, ".zip")
# of a set, by which its columns are written
_FIRST_ROWS = 200
FILTERED_FILE, TRAIN_FILE, TEST_FILE = (
    "data_filtered.parquet",
    "train_data.parquet",
    "test_data.parquet",
)
# the same rows in the same order, with all of the project's columns, for analysing a model
TRAIN_ROWS_FILE, TEST_ROWS_FILE = "train_rows.parquet", "test_rows.parquet"


class Upload(Options):
    """An uploaded file, stored until a job reads it.

    Parameters
    ----------
    name : str
        The person's name for it; only for messages, never a path.
    stored : str
        Its name in our storage.
    """

    name: str
    stored: str


@dataclass(frozen=True)
class Prepared:
    """The origin of the current train and test set.

    Parameters
    ----------
    snapshot, digest : str
        Folder and full digest of the raw data.
    source : str
        Where the raw data came from.
    run_id, commit : str
        The preparation run, and the commit of its code.
    options : mapping
        The resolved options of that run.
    features : tuple of str
        Features for training, columns or engineered.
    inputs : tuple of str
        Raw columns in the sets, which a served model takes.
    is_complete : bool
        Whether rows with a missing value were dropped; otherwise the model's pipeline imputes.
    is_default_rows : bool
        Whether the rows are the project's development rows.
    digests : mapping of str to str
        SHA-256 of each file.
    project, rules : str
        The project, and the digest of its file at preparation.
    """

    snapshot: str
    digest: str
    source: str
    run_id: str
    commit: str
    options: Mapping[str, Any]
    features: tuple[str, ...]
    inputs: tuple[str, ...]
    is_complete: bool
    is_default_rows: bool
    rows_filtered: int
    rows_train: int
    rows_test: int
    digests: Mapping[str, str]
    project: str
    rules: str
    sample: bool = False

    @property
    def is_sample(self) -> bool:
        """Whether these are generated rows."""
        return self.sample or self.source == "sample"


@dataclass(frozen=True)
class Staged:
    """The files of a preparation in a separate folder, before they replace the current ones.

    Parameters
    ----------
    paths : tuple of Path
        Their current paths, under their final names.
    digests : dict of str to str
        SHA-256 of each file.
    """

    settings: Settings
    paths: tuple[Path, ...]
    digests: dict[str, str]

    def keep(self, prepared: Prepared) -> None:
        """Make these sets the current ones.

        Readers see either the old or the new sets: `read_prepared` waits for a writer, and refuses
        files that do not match `prepared.json`.
        """
        targets = prepared_paths(self.settings)
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _prepared_lock(self.settings):
            for path, target in zip(self.paths, targets, strict=True):
                os.replace(path, target)
            write_json(self.settings.data_dir / MODEL_INPUT / "prepared.json", asdict(prepared))


def folder(settings: Settings, name: str) -> Path:
    """Return the numbered folder; create it if missing.

    Raises
    ------
    StoreError
        If it cannot be created.
    """
    path = settings.data_dir / name
    with store_faults.wrap_store_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@permissions.needs("acquire")
def stage_upload(settings: Settings, name: str, content: bytes) -> Upload:
    """Store an uploaded file for the job that will read it.

    Parameters
    ----------
    name : str
        The person's name for it; only a known suffix is used.

    Raises
    ------
    InputError
        For another kind of file, or one above the size limit.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in UPLOADS:
        raise InputError(
            Message(
                "'{name}' is not a CSV or parquet file. Choose a .csv, .parquet or .zip file.",
                name=name,
            )
        )
    bounds.check_bytes(name, len(content), upload_limit(settings))
    place = settings.state_dir / "uploads"
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = place / f"{digest}{suffix}"
    _replace(path, lambda temporary: temporary.write_bytes(content))
    return Upload(name=Path(name).name[:120], stored=path.name)


def stage_file(settings: Settings, path: Path) -> Upload:
    """Store a file that a person named, like an upload.

    Raises
    ------
    InputError
        As `stage_upload` does; also if it is not a regular file.
    """
    limit = upload_limit(settings)
    with bounds.opened(path) as file:
        # before a byte is read
        bounds.check_bytes(path.name, os.fstat(file.fileno()).st_size, limit)
        return stage_upload(settings, path.name, file.read(limit + 1))


def upload_limit(settings: Settings) -> int:
    """Return the largest size in bytes of a file that is read into memory."""
    return settings.upload_limit_mb * 1_000_000


def uploaded(settings: Settings, upload: Upload) -> Path:
    """Return the path of an upload.

    Raises
    ------
    InputError
        If it no longer exists, or its name does not come from `stage_upload`.
    """
    path = settings.state_dir / "uploads" / upload.stored
    if Path(upload.stored).name != upload.stored or not path.is_file():
        raise InputError(
            Message(
                "The uploaded file '{name}' no longer exists. Upload it again.", name=upload.name
            )
        )
    return path


@contextmanager
def staged(settings: Settings, *frames: pd.DataFrame) -> Iterator[Staged]:
    """Write the files of a preparation next to the current ones, for `Staged.keep`.

    They are removed at the end of the block. The index is not stored. The same rows give the same
    bytes.

    Parameters
    ----------
    frames : DataFrame
        In the order of `prepared_paths`.
    """
    place = beside(folder(settings, MODEL_INPUT) / "prepared")
    try:
        place.mkdir()
        paths = tuple(place / path.name for path in prepared_paths(settings))
        for frame, path in zip(frames, paths, strict=True):
            _write_parquet(frame, path)
        yield Staged(settings, paths, {path.name: sha256(path) for path in paths})
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write rows; columns of different floats plainly, which halves the time for wide tables.

    A dictionary would be as long as such a column, and compression hardly makes it shorter.
    """
    varied = {
        str(name)
        for name, kind in frame.dtypes.items()
        if kind == "float64" and _is_varied(frame[name].to_numpy()[:_FIRST_ROWS])
    }
    how: dict[str, Any] = {
        "use_dictionary": [name for name in map(str, frame) if name not in varied],
        "compression": {name: "none" if name in varied else "snappy" for name in map(str, frame)},
    }
    frame.to_parquet(path, index=False, **how)


def _is_varied(values: npt.NDArray[Any]) -> bool:
    return 2 * len(np.unique(values)) > len(values)


@contextmanager
def prepared_put_back(settings: Settings) -> Iterator[None]:
    """Restore the current prepared sets if the block fails."""
    record = settings.data_dir / MODEL_INPUT / "prepared.json"
    paths = (*prepared_paths(settings), record)
    place = beside(folder(settings, MODEL_INPUT) / "before")
    place.mkdir()
    try:
        with _prepared_lock(settings):
            stood = [path for path in paths if path.is_file()]
            for path in stood:
                shutil.copyfile(path, place / path.name)
        try:
            yield
        except BaseException:
            with _prepared_lock(settings):
                for path in paths:
                    if path in stood:
                        os.replace(place / path.name, path)
                    else:
                        path.unlink(missing_ok=True)
            raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _prepared_lock(settings: Settings) -> Iterator[None]:
    """Exclude other readers and writers of the prepared sets, in any process."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "prepared.lock", timeout=60):
        yield


def prepared_paths(settings: Settings) -> tuple[Path, ...]:
    """Return the paths of the filtered, train and test set, and of all train and test columns."""
    model_input = settings.data_dir / MODEL_INPUT
    return (
        settings.data_dir / PRIMARY / FILTERED_FILE,
        model_input / TRAIN_FILE,
        model_input / TEST_FILE,
        model_input / TRAIN_ROWS_FILE,
        model_input / TEST_ROWS_FILE,
    )


def current_prepared(settings: Settings) -> Prepared | None:
    """Return the origin of the current train and test set; None before the first preparation.

    Raises
    ------
    StoreError
        If its record is damaged, or from an older version of the app.
    """
    written = read_json(settings.data_dir / MODEL_INPUT / "prepared.json")
    if not written:
        return None
    try:
        lists = {name: tuple(written[name]) for name in ("features", "inputs")}
        prepared = Prepared(**{**written, **lists})
    except (KeyError, TypeError) as error:
        raise StoreError(store_faults.damaged_of("prepared.json", "prepare")) from error
    return prepared if prepared.project == settings.project else None


def read_prepared(settings: Settings) -> tuple[Prepared, pd.DataFrame, pd.DataFrame]:
    """Return the current train and test set with their origin.

    Raises
    ------
    NotReadyError
        Before the first preparation, or if the files were changed since.
    """
    prepared, train, test = _read_files(settings, TRAIN_FILE, TEST_FILE)
    return prepared, train, test


def read_rows(settings: Settings, prepared: Prepared) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the train and test rows with all of the project's columns, in the same order.

    Raises
    ------
    NotReadyError
        If they do not belong to these sets, or the files were changed since.
    """
    standing, train, test = _read_files(settings, TRAIN_ROWS_FILE, TEST_ROWS_FILE)
    if standing.run_id != prepared.run_id:
        raise NotReadyError(
            Message(
                "{what} changed. Run {step} again.",
                what=Message("Training and test set"),
                step=Message("Train"),
            )
        )
    return train, test


def _read_files(settings: Settings, *names: str) -> tuple[Any, ...]:
    """Return the current record, and these files."""
    place = settings.data_dir / MODEL_INPUT
    with _prepared_lock(settings):
        prepared = current_prepared(settings)
        if prepared is None or not all((place / name).is_file() for name in names):
            raise NotReadyError(Message("No prepared data yet. Prepare the data first."))
        # hash the same bytes that are used
        contents = {name: (place / name).read_bytes() for name in names}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != prepared.digests.get(name):
            raise NotReadyError(store_faults.damaged_of(name, "prepare"))
    return prepared, *(pd.read_parquet(io.BytesIO(content)) for content in contents.values())


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


def save_page(settings: Settings, report: str, name: str, text: str) -> Path:
    """Write an HTML page of a report to data/08_reporting/<report>/<name>.html."""
    path = folder(settings, REPORTING) / report / f"{name}.html"
    path.parent.mkdir(exist_ok=True)
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def downloads(settings: Settings) -> Path:
    """Return the folder of downloads in progress."""
    return settings.state_dir / "downloads"


def forget_downloads(settings: Settings) -> None:
    """Remove the downloads, once they are part of the raw data."""
    shutil.rmtree(downloads(settings), ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(content, indent=2, sort_keys=True, default=str)
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_texts(
    folder: Path, files: Mapping[str, str], *, gone: Sequence[str], kept: Sequence[str] = ()
) -> None:
    """Write texts into a folder, each atomically; then remove others of their kind.

    Parameters
    ----------
    files : mapping of str to str
        By path below the folder.
    gone, kept : sequence of str
        Glob patterns of files to remove unless in `files`, and names to keep.
    """
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
    for pattern in gone:
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in {*files, *kept}:
                path.unlink()


def read_json(path: Path, kind: type = dict) -> Any:
    """Return the content of a JSON file; None if there is no file.

    Parameters
    ----------
    kind : type
        Required type, `dict` or `list`.

    Raises
    ------
    StoreError
        If it cannot be read, or holds another type.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise store_faults.DamagedError(store_faults.damage(path)) from error
    except OSError as error:
        raise store_faults.of_file(path, error) from error
    if not isinstance(content, kind):
        raise store_faults.DamagedError(store_faults.damage(path))
    return content


def beside(path: Path) -> Path:
    """Return a temporary name next to a path; `sweep` removes leftovers."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _replace(path: Path, write: Any) -> None:
    temporary = beside(path)
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if store_faults.of_disk(error) is None:
            raise
        raise store_faults.of_file(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
