"""Results in parts: each appears whole or not at all, and all of them under their name at the end.

While a result grows it is a folder beside its place: a part, then a note of what it holds, which
says that it is finished. Such a folder is what an interrupted scoring goes on from.
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

from core.platform import own_columns
from core.platform.errors import InputError, StoreError
from core.scoring import batches

MANIFEST = "_manifest.json"
_NEVER_TWICE = (
    own_columns.PREDICTION_ID,
    own_columns.ROW,
    own_columns.ROW_KEY,
    own_columns.PROBABILITY,
)


@dataclass(frozen=True)
class Place:
    """A folder of parts on this machine or at an address of fsspec; can be sent to a worker.

    Parameters
    ----------
    address : str
        Where the result will be.
    staging : str
        Where it grows.
    """

    address: str
    staging: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "://" not in self.address

    def notes(self) -> dict[int, Any]:
        """Return what was noted of each finished part, by its number."""
        noted = {}
        fs, folder = batches.resolve(self.staging)
        with wrap_write_errors(self.address):
            if not fs.exists(folder):
                return {}
            for path in fs.ls(folder, detail=False):
                name = path.rstrip("/").rpartition("/")[2]
                if name.startswith("_part-") and name.endswith(".json"):
                    noted[int(name[6:-5])] = json.loads(fs.cat_file(path))
        return dict(sorted(noted.items()))

    def manifest(self) -> dict[str, Any] | None:
        """Return what was written by `begin`, None where nothing was begun."""
        fs, folder = batches.resolve(self.staging)
        with wrap_write_errors(self.address):
            path = f"{folder}/{MANIFEST}"
            return json.loads(fs.cat_file(path)) if fs.exists(path) else None

    def begin(self, manifest: dict[str, Any]) -> None:
        """Make the folder where the result grows.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        fs, folder = batches.resolve(self.staging)
        with wrap_write_errors(self.address):
            fs.makedirs(folder, exist_ok=True)
            self._write(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))

    @contextmanager
    def part(self, number: int, schema: Any) -> Iterator[Any]:
        """Give the writer of a part (`write_table`); what is there at the end is kept as one.

        Raises
        ------
        StoreError
            When it cannot be written; nothing of the part is left then.
        """
        import pyarrow.parquet as pq

        fs, folder = batches.resolve(self.staging)
        name = f"part-{number:05d}.parquet"
        # several may write the same part, where a worker was given up too early
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        with wrap_write_errors(self.address):
            try:
                # statistics and dictionaries cost more than they save where no value repeats
                with (
                    fs.open(temporary, "wb") as file,
                    pq.ParquetWriter(
                        file,
                        schema,
                        compression="snappy",
                        write_statistics=False,
                        use_dictionary=[
                            column for column in schema.names if column not in _NEVER_TWICE
                        ],
                    ) as writer,
                ):
                    yield writer
                fs.mv(temporary, f"{folder}/{name}")
            except BaseException:
                if fs.exists(temporary):
                    fs.rm_file(temporary)
                raise

    def note(self, number: int, about: dict[str, Any]) -> None:
        """Say that a part is finished, and what it holds."""
        with wrap_write_errors(self.address):
            self._write(f"_part-{number:05d}.json", json.dumps(about))

    def read(self, columns: list[str] | None = None, folder: str | None = None) -> Iterator[Any]:
        """Yield the rows of each finished part, an Arrow table at a time."""
        fs, path = batches.resolve(folder or self.staging)
        import pyarrow.parquet as pq

        with wrap_write_errors(self.address):
            # a worker that was killed leaves half a part under another name
            for name in sorted(
                file
                for file in fs.ls(path, detail=False)
                if file.rpartition("/")[2].startswith("part-")
            ):
                with fs.open(name, "rb") as file, pq.ParquetFile(file) as opened:
                    for group in range(opened.num_row_groups):
                        yield opened.read_row_group(group, columns=columns)

    def frame(self) -> pd.DataFrame:
        """Return all rows, for a result that is small."""
        import pyarrow

        frame: pd.DataFrame = pyarrow.concat_tables(self.read()).to_pandas()
        return frame

    def finish(self) -> None:
        """Put the result in its place, under its name."""
        fs, folder = batches.resolve(self.staging)
        _, target = batches.resolve(self.address)
        with wrap_write_errors(self.address):
            for path in fs.ls(folder, detail=False):
                if path.rpartition("/")[2].startswith(("_part-", ".part-", "._")):
                    fs.rm_file(path)
            if self.is_local:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                if Path(target).is_dir():
                    Path(target).rmdir()  # fails where somebody has put something there meanwhile
                os.rename(folder, target)
            else:
                fs.mv(folder, target, recursive=True)

    def forget(self) -> None:
        """Remove what has grown."""
        fs, folder = batches.resolve(self.staging)
        if self.is_local:
            shutil.rmtree(folder, ignore_errors=True)
        elif fs.exists(folder):
            fs.rm(folder, recursive=True)

    def _write(self, name: str, text: str) -> None:
        fs, folder = batches.resolve(self.staging)
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
    """Return the place of a result that a person named: it must not exist, or be empty.

    Parameters
    ----------
    scoring : str
        Id of the scoring, for the name of where it grows.

    Raises
    ------
    InputError
        When something is there, or nothing can be written there.
    """
    fs, path = batches.resolve(address)
    path = path.rstrip("/")
    is_local = type(fs).__name__ == "LocalFileSystem"
    shown = path if is_local else address.rstrip("/")
    with wrap_write_errors(shown):
        if fs.exists(path) and (not fs.isdir(path) or fs.ls(path, detail=False)):
            raise InputError(
                f"'{shown}' is there already, and nothing is written over. Name a folder that does "
                "not exist or is empty."
            )
    if is_local:
        parent = next(folder for folder in Path(path).parents if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(f"This user cannot write into '{parent}'. Name another folder.")
    return Place(shown, beside(shown, scoring))


def beside(address: str, scoring: str) -> str:
    """Return where the result for an address grows.

    Examples
    --------
    >>> beside("/data/march", "0123456789abcdef")
    '/data/.march.0123456789ab.parts'
    """
    parent, _, name = address.rpartition("/")
    return f"{parent}/.{name}.{scoring[:12]}.parts"


@contextmanager
def wrap_write_errors(shown: str) -> Iterator[None]:
    """Tell a place that cannot be written in a sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        reason = (
            "there is no space left on the disk" if full else " ".join(str(error).split())[:200]
        )
        todo = "Make room" if full else "Set that right"
        raise StoreError(
            f"The result cannot be written to '{shown}': {reason.rstrip('.')}. The parts that are "
            f"finished are kept. {todo}, then go on with this scoring."
        ) from error
