"""Files under data/ and state/: prepared sets, uploads, outputs. Writes appear whole or not at all.

The raw data is kept by `core.data.snapshots`, with what stands here.
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

import pandas as pd
from filelock import FileLock

from core.platform import bounds, store_faults, tables
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError

RAW, PRIMARY, MODEL_INPUT = "01_raw", "03_primary", "05_model_input"
MODEL_OUTPUT, REPORTING = "07_model_output", "08_reporting"
UPLOADS = (*tables.SUFFIXES, ".zip")
FILTERED_FILE, TRAIN_FILE, TEST_FILE = (
    "data_filtered.parquet",
    "train_data.parquet",
    "test_data.parquet",
)
# the same rows in the same order, with all of the project's columns: what a model is looked at by
TRAIN_ROWS_FILE, TEST_ROWS_FILE = "train_rows.parquet", "test_rows.parquet"


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
class Prepared:
    """The train and test set that stand, and what they came from.

    Parameters
    ----------
    snapshot, digest : str
        Folder and whole digest of the raw data.
    source : str
        How that came in.
    run_id, commit : str
        The run that prepared them, and the commit of the code that did.
    options : mapping
        The options of that run, resolved.
    features : tuple of str
        What a model of these sets is built from; columns or engineered.
    inputs : tuple of str
        The raw columns in the sets, which a served model takes.
    is_complete : bool
        Whether rows with a missing value were dropped; else the model's pipeline imputes them.
    is_default_rows : bool
        Whether the rows are the project's development rows.
    digests : mapping of str to str
        SHA-256 of each file.
    project, rules : str
        The project they are of, and the digest of the project file by which they were prepared.
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
        """Whether these are made-up rows."""
        return self.sample or self.source == "sample"


@dataclass(frozen=True)
class Staged:
    """The files of a preparation in a folder of their own, before they are the ones in use.

    Parameters
    ----------
    paths : tuple of Path
        Where they lie now, under their own names.
    digests : dict of str to str
        SHA-256 of each file.
    """

    settings: Settings
    paths: tuple[Path, ...]
    digests: dict[str, str]

    def keep(self, prepared: Prepared) -> None:
        """Make these sets the ones in use.

        A reader sees all of the old or all of the new: `read_prepared` waits for a writer, and
        refuses files that are not those of `prepared.json`.
        """
        targets = prepared_paths(self.settings)
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _prepared_lock(self.settings):
            for path, target in zip(self.paths, targets, strict=True):
                os.replace(path, target)
            write_json(self.settings.data_dir / MODEL_INPUT / "prepared.json", asdict(prepared))


def folder(settings: Settings, name: str) -> Path:
    """Return the numbered folder, made if it is not there.

    Raises
    ------
    StoreError
        When it cannot be made.
    """
    path = settings.data_dir / name
    with store_faults.wrap_store_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    if suffix not in UPLOADS:
        raise InputError(
            f"'{name}' is not a CSV or parquet file, nor a zip of them. Choose a .csv, .parquet "
            "or .zip file."
        )
    bounds.check_bytes(name, len(content), upload_limit(settings))
    place = settings.state_dir / "uploads"
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = place / f"{digest}{suffix}"
    _replace(path, lambda temporary: temporary.write_bytes(content))
    return Upload(name=Path(name).name[:120], stored=path.name)


def stage_file(settings: Settings, path: Path) -> Upload:
    """Keep a file that a person named, as an upload of it would be kept.

    Raises
    ------
    InputError
        As `stage_upload` does; for what is no regular file.
    """
    limit = upload_limit(settings)
    with bounds.opened(path) as file:
        # before a byte is read
        bounds.check_bytes(path.name, os.fstat(file.fileno()).st_size, limit)
        return stage_upload(settings, path.name, file.read(limit + 1))


def upload_limit(settings: Settings) -> int:
    """Return how many bytes a file may have that is brought in whole."""
    return settings.upload_limit_mb * 1_000_000


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


@contextmanager
def staged(settings: Settings, *frames: pd.DataFrame) -> Iterator[Staged]:
    """Write the files of a preparation beside those in use, for `Staged.keep`.

    They go when it is over. The rows' index is not kept. The same rows give the same bytes.

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
            frame.to_parquet(path, index=False)
        yield Staged(settings, paths, {path.name: sha256(path) for path in paths})
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def prepared_put_back(settings: Settings) -> Iterator[None]:
    """Put the prepared sets that stand back when what is done inside fails."""
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
    """Hold back other readers and writers of the prepared sets, in whatever process."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "prepared.lock", timeout=60):
        yield


def prepared_paths(settings: Settings) -> tuple[Path, ...]:
    """Return where the filtered, train and test set lie, and all columns of train and test."""
    model_input = settings.data_dir / MODEL_INPUT
    return (
        settings.data_dir / PRIMARY / FILTERED_FILE,
        model_input / TRAIN_FILE,
        model_input / TEST_FILE,
        model_input / TRAIN_ROWS_FILE,
        model_input / TEST_ROWS_FILE,
    )


def current_prepared(settings: Settings) -> Prepared | None:
    """Return what the train and test set that stand came from, None before the project's first.

    Raises
    ------
    StoreError
        When its record is damaged, or of a version of the app that knew less of it.
    """
    written = read_json(settings.data_dir / MODEL_INPUT / "prepared.json")
    if not written:
        return None
    try:
        lists = {name: tuple(written[name]) for name in ("features", "inputs")}
        prepared = Prepared(**{**written, **lists})
    except (KeyError, TypeError) as error:
        raise StoreError("prepared.json is damaged, or too old. Prepare again.") from error
    return prepared if prepared.project == settings.project else None


def read_prepared(settings: Settings) -> tuple[Prepared, pd.DataFrame, pd.DataFrame]:
    """Return the train and test set that stand.

    Raises
    ------
    NotReadyError
        Before the first preparation, or when the files were changed since.
    """
    prepared, train, test = _read_files(settings, TRAIN_FILE, TEST_FILE)
    return prepared, train, test


def read_rows(settings: Settings, prepared: Prepared) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return all of the project's columns of the train and test set's rows, in their order.

    Raises
    ------
    NotReadyError
        When they are not the rows of these sets, or the files were changed since.
    """
    standing, train, test = _read_files(settings, TRAIN_ROWS_FILE, TEST_ROWS_FILE)
    if standing.run_id != prepared.run_id:
        raise NotReadyError("Another preparation came in between. Train again.")
    return train, test


def _read_files(settings: Settings, *names: str) -> tuple[Any, ...]:
    """Return what stands, and these files of it."""
    place = settings.data_dir / MODEL_INPUT
    with _prepared_lock(settings):
        prepared = current_prepared(settings)
        if prepared is None or not all((place / name).is_file() for name in names):
            raise NotReadyError(
                "No prepared data yet. Run the preparation on the Prepare page first."
            )
        # the bytes that are hashed are the bytes that are used
        contents = {name: (place / name).read_bytes() for name in names}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != prepared.digests.get(name):
            raise NotReadyError(
                f"{name} is not the file that the last preparation wrote. Prepare again."
            )
    return prepared, *(pd.read_parquet(io.BytesIO(content)) for content in contents.values())


def save_output(settings: Settings, name: str, frame: pd.DataFrame) -> Path:
    """Write a table of predictions to data/07_model_output/<name>.parquet."""
    path = folder(settings, MODEL_OUTPUT) / f"{name}.parquet"
    _replace(path, lambda temporary: frame.to_parquet(temporary, index=False))
    return path


def read_output(path: Path) -> pd.DataFrame:
    """Return a table of predictions that `save_output` wrote."""
    return pd.read_parquet(path)


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
    """Return the folder of files that are on their way from the network."""
    return settings.state_dir / "downloads"


def forget_downloads(settings: Settings) -> None:
    """Remove what was downloaded: the raw data has it now."""
    shutil.rmtree(downloads(settings), ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    text = json.dumps(content, indent=2, sort_keys=True, default=str)
    _replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_texts(
    folder: Path, files: Mapping[str, str], *, gone: Sequence[str], kept: Sequence[str] = ()
) -> None:
    """Write texts into a folder, each whole or not at all; then take others of their kind away.

    Parameters
    ----------
    files : mapping of str to str
        By path below the folder.
    gone, kept : sequence of str
        Patterns of files that are taken away where they are not among `files`, and names that stay.
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
    """Return what a JSON file holds, None where there is none.

    Parameters
    ----------
    kind : type
        What it must hold, `dict` or `list`.

    Raises
    ------
    StoreError
        When it cannot be read, or holds something else.
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
    """Return a name beside a path for what is not whole yet; `sweep` removes what is left."""
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
