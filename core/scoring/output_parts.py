"""Results in parts: each is written atomically, and all are moved to their final name at the end.

An unfinished result is a folder next to its final place, with a note per finished part. An
interrupted scoring resumes from such a folder.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.platform import own_columns, store_faults
from core.platform.config import exists
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message
from core.scoring import addresses

MANIFEST = "_manifest.json"
# values encoded in one step
_AT_ONCE = 8192
# values that hardly repeat, or that another encoding stores faster than a dictionary
_ENCODINGS = {
    own_columns.PREDICTION_ID: "PLAIN",
    own_columns.ROW: "DELTA_BINARY_PACKED",
    own_columns.ROW_KEY: "PLAIN",
    own_columns.PROBABILITY: "PLAIN",
    own_columns.PREDICTED: "DELTA_BINARY_PACKED",
    own_columns.LABEL: "BYTE_STREAM_SPLIT",
}
# values that a compression costs more than it saves
_UNCOMPRESSED = (
    own_columns.ROW,
    own_columns.ROW_KEY,
    own_columns.PROBABILITY,
    own_columns.PREDICTED,
)


@dataclass(frozen=True)
class Place:
    """A local or remote (fsspec) folder of parts; can be sent to a worker.

    Parameters
    ----------
    address : str
        Final place of the result.
    staging : str
        Folder of the unfinished result.
    """

    address: str
    staging: str

    @property
    def is_local(self) -> bool:
        """Whether it is a local folder."""
        return "://" not in self.address

    def notes(self) -> dict[int, Any]:
        """Return the note of each finished part, by its number."""
        noted = {}
        fs, folder = addresses.resolve(self.staging)
        with wrap_write_errors(self.address):
            if not fs.exists(folder):
                return {}
            for path in fs.ls(folder, detail=False):
                name = path.rstrip("/").rpartition("/")[2]
                if name.startswith("_part-") and name.endswith(".json"):
                    noted[int(name[6:-5])] = json.loads(fs.cat_file(path))
        return dict(sorted(noted.items()))

    def manifest(self) -> dict[str, Any] | None:
        """Return what `begin` wrote, None if it was not called."""
        fs, folder = addresses.resolve(self.staging)
        with wrap_write_errors(self.address):
            path = f"{folder}/{MANIFEST}"
            return json.loads(fs.cat_file(path)) if fs.exists(path) else None

    def begin(self, manifest: dict[str, Any]) -> None:
        """Create the folder of the unfinished result.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        fs, folder = addresses.resolve(self.staging)
        with wrap_write_errors(self.address):
            fs.makedirs(folder, exist_ok=True)
            self._write(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))

    @contextmanager
    def part(self, number: int, schema: Any) -> Iterator[Any]:
        """Yield the writer of a part (`write_table`); the part is stored at the end.

        Raises
        ------
        StoreError
            When it cannot be written; nothing of the part is left then.
        """
        import pyarrow
        import pyarrow.parquet as pq

        fs, folder = addresses.resolve(self.staging)
        name = f"part-{number:05d}.parquet"
        # several workers may write the same part, if one was given up too early
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        with wrap_write_errors(self.address):
            try:
                with (
                    # what Arrow opens by itself is written fastest
                    pyarrow.OSFile(temporary, "wb")
                    if self.is_local
                    else fs.open(temporary, "wb") as file,
                    pq.ParquetWriter(
                        file,
                        schema,
                        compression={
                            column: "none" if column in _UNCOMPRESSED else "snappy"
                            for column in schema.names
                        },
                        write_statistics=False,
                        use_dictionary=[
                            column for column in schema.names if column not in _ENCODINGS
                        ],
                        column_encoding={
                            column: encoding
                            for column, encoding in _ENCODINGS.items()
                            if column in schema.names
                        },
                        write_batch_size=_AT_ONCE,
                    ) as writer,
                ):
                    yield writer
                fs.mv(temporary, f"{folder}/{name}")
            except BaseException:
                if fs.exists(temporary):
                    fs.rm_file(temporary)
                raise

    def note(self, number: int, about: dict[str, Any]) -> None:
        """Record that a part is finished, and its contents."""
        with wrap_write_errors(self.address):
            self._write(f"_part-{number:05d}.json", json.dumps(about))

    def read(self, columns: list[str] | None = None, folder: str | None = None) -> Iterator[Any]:
        """Yield the rows of each finished part as Arrow tables."""
        fs, path = addresses.resolve(folder or self.staging)
        import pyarrow.parquet as pq

        with wrap_write_errors(self.address):
            # a killed worker leaves half a part under another name
            for name in sorted(
                file
                for file in fs.ls(path, detail=False)
                if file.rpartition("/")[2].startswith("part-")
            ):
                with fs.open(name, "rb") as file, pq.ParquetFile(file) as opened:
                    for group in range(opened.num_row_groups):
                        yield opened.read_row_group(group, columns=columns)

    def frame(self) -> pd.DataFrame:
        """Return all rows, for a small result."""
        import pyarrow

        frame: pd.DataFrame = pyarrow.concat_tables(self.read()).to_pandas()
        return frame

    def finish(self) -> None:
        """Move the result to its final place."""
        fs, folder = addresses.resolve(self.staging)
        _, target = addresses.resolve(self.address)
        with wrap_write_errors(self.address):
            for path in fs.ls(folder, detail=False):
                if path.rpartition("/")[2].startswith(("_part-", ".part-", "._")):
                    fs.rm_file(path)
            if self.is_local:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                if Path(target).is_dir():
                    Path(target).rmdir()  # fails if something else is there by then
                os.rename(folder, target)
            else:
                fs.mv(folder, target, recursive=True)

    def forget(self) -> None:
        """Remove the unfinished result."""
        fs, folder = addresses.resolve(self.staging)
        if self.is_local:
            shutil.rmtree(folder, ignore_errors=True)
        elif fs.exists(folder):
            fs.rm(folder, recursive=True)

    def _write(self, name: str, text: str) -> None:
        fs, folder = addresses.resolve(self.staging)
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        try:
            with fs.open(temporary, "wb") as file:
                file.write(text.encode())
            fs.mv(temporary, f"{folder}/{name}")
        except BaseException:
            if fs.exists(temporary):
                fs.rm_file(temporary)
            raise


def place(address: str, scoring: str) -> Place:
    """Return the place of a result that a user named: it must not exist, or be empty.

    Parameters
    ----------
    scoring : str
        Id of the scoring, for the name of the unfinished result.

    Raises
    ------
    InputError
        When the place is taken, or cannot be written.
    """
    fs, path = addresses.resolve(address)
    path = path.rstrip("/")
    is_local = type(fs).__name__ == "LocalFileSystem"
    shown = path if is_local else address.rstrip("/")
    with wrap_write_errors(shown):
        if fs.exists(path) and (not fs.isdir(path) or fs.ls(path, detail=False)):
            raise InputError(Message("{reason!c}.", reason=exists(shown)))
    if is_local:
        parent = next(folder for folder in Path(path).parents if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(store_faults.sentence("forbidden", parent))
    return Place(shown, beside(shown, scoring))


def beside(address: str, scoring: str) -> str:
    """Return the folder of an address's unfinished result.

    Examples
    --------
    >>> beside("/data/march", "0123456789abcdef")
    '/data/.march.0123456789ab.parts'
    """
    parent, _, name = address.rpartition("/")
    return f"{parent}/.{name}.{scoring[:12]}.parts"


def stopped(reason: str) -> Message:
    """Return why a scoring of a path stopped, and how to continue it."""
    return Message(
        "This scoring stopped: {reason}. Finished parts are kept. Correct that, then continue it.",
        reason=reason,
    )


@contextmanager
def wrap_write_errors(shown: str) -> Iterator[None]:
    """Turn write errors into readable ones."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:
            raise StoreError(store_faults.sentence("full", shown)) from error
        raise StoreError(
            stopped(f"{shown}: {' '.join(str(error).split())[:200].rstrip('.')}")
        ) from error
