"""Reads project files: what is predicted, from which columns, on which rows.

The file of a user's project is `<home>/projects/<name>/project.toml`; a built-in one's is in
core/projects, `<name>.toml`, or `<name>/project.toml` next to the project's own code.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.platform import toml_lines
from core.platform.config import PROJECT_FILE, PROJECTS, Settings, sentence
from core.platform.errors import InputError, words_of
from core.platform.messages import Message, Words, in_context
from core.platform.project_parts import Column as Column
from core.platform.project_parts import Download as Download
from core.platform.project_parts import Identity as Identity
from core.platform.project_parts import Place as Place
from core.platform.project_parts import Preset as Preset
from core.platform.project_parts import Rows as Rows
from core.platform.project_spec import ProjectSpec as ProjectSpec

FOLDER = Path(__file__).resolve().parents[1] / "projects"


def words(text: Words) -> Message:
    """Return a text of a project file as a message: the shipped project's have a translation.

    A message stays as it is.

    Examples
    --------
    >>> str(words("Kobe Bryant's shots"))
    "Kobe Bryant's shots"
    """
    return text if isinstance(text, Message) else in_context("project", text)


def of(settings: Settings) -> ProjectSpec:
    """Return the project of these settings, from its nested home or from core/projects.

    Raises
    ------
    InputError
        If there is no such project, or its file is invalid.

    Examples
    --------
    >>> of(Settings(home="/srv/courtside")).name
    'kobe'
    """
    if not settings.is_nested:
        return load(settings.project)
    path = settings.home / PROJECT_FILE
    status = path.stat()
    # it can be edited while the app runs
    return _kept(path, settings.project, status.st_mtime_ns, status.st_size)


def load(name: str, folder: Path | None = None) -> ProjectSpec:
    """Load a project by name, from core/projects by default.

    Raises
    ------
    InputError
        If there is no such file, or the project in it is invalid.

    Examples
    --------
    >>> load("curry")
    Traceback (most recent call last):
    core.platform.errors.InputError: 'curry' does not exist. Choose from: flights and kobe.
    """
    return _read(name, folder or FOLDER)


def _file(name: str, folder: Path) -> Path:
    """Return the file of a project; `<name>.toml` takes precedence."""
    for path in (folder / f"{name}.toml", folder / name / PROJECT_FILE):
        if path.is_file():
            return path
    names = list(built_in(folder))
    raise InputError(
        Message("'{name}' does not exist. Choose from: {names}.", name=name, names=names)
    )


def built_in(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of the projects that come with the code.

    Examples
    --------
    >>> "kobe" in built_in()
    True
    """
    folder = folder or FOLDER
    names = {path.stem for path in folder.glob("*.toml")}
    return tuple(sorted(names | {path.parent.name for path in folder.glob(f"*/{PROJECT_FILE}")}))


def text_of(name: str) -> str:
    """Return the file of a built-in project.

    Raises
    ------
    InputError
        If there is none.
    """
    return _file(name, FOLDER).read_text(encoding="utf-8")


@lru_cache
def _read(project: str, folder: Path) -> ProjectSpec:
    path = _file(project, folder)
    return parse(path.read_bytes(), path.relative_to(folder).as_posix())


@lru_cache(maxsize=64)
def _kept(path: Path, project: str, changed: int, size: int) -> ProjectSpec:
    name = f"{PROJECTS}/{project}/{PROJECT_FILE}"
    spec = parse(path.read_bytes(), name)
    if spec.name != project:
        fault = Message("the name must remain {name}; a new name is a new project", name=project)
        raise InputError(unusable(name, Message("{where}: {reason}.", where="name", reason=fault)))
    return spec


def parse(content: str | bytes, name: str = PROJECT_FILE) -> ProjectSpec:
    """Return the project that a file describes.

    Parameters
    ----------
    content : str or bytes
        The file, UTF-8.
    name : str
        Its name in errors.

    Raises
    ------
    InputError
        If it is not TOML, or a rule is violated; with the line, where one is to blame.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return ProjectSpec(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        # before Python 3.14 the line is in the text alone
        at = re.search(r"\(at line (\d+)", str(error))
        raise InputError(unusable(name, f"{error}.", int(at[1]) if at else None)) from error
    except UnicodeDecodeError as error:
        raise InputError(unusable(name, f"{error}.")) from error
    except ValidationError as error:
        fault, key = _fault(error)
        line = toml_lines.line_of(toml_lines.lines(text), key)
        raise InputError(unusable(name, fault, line)) from error


def unusable(name: str, fault: Words, line: int | None = None) -> Message:
    """Return the sentence on a project file with a fault, which is a sentence itself."""
    if line is None:
        return Message("{name} cannot be used: {reason}", name=name, reason=fault)
    return Message(
        "The project file {name} cannot be used in line {line}: {fault}",
        name=name,
        line=line,
        fault=fault,
    )


def _fault(error: ValidationError) -> tuple[Message, tuple[str | int, ...]]:
    """Return the fault in a sentence, and the key of the file that it concerns."""
    first = error.errors()[0]
    if first["type"] != "value_error":
        return sentence(error), first["loc"]
    # one of our own rules; pydantic would append the whole file
    fault = first["ctx"]["error"]
    key = (*first["loc"], *getattr(fault, "key", ()))
    where = ".".join(str(part) for part in key)
    return Message("{where}: {reason}.", where=where, reason=words_of(fault)), key


def sample_tables(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the calibration tables of the project's built-in sample.

    Raises
    ------
    InputError
        If the project has no sample.
    """
    folder = folder or FOLDER
    spec = load(name, folder) if name in built_in(folder) else None
    if spec is None or spec.sample is None:
        raise InputError(
            Message(
                "The project '{name}' has no {source}. Choose another source.",
                name=name,
                source=Message("built-in sample"),
            )
        )
    return _tables(_file(name, folder).with_name(spec.sample.tables))


@lru_cache
def _tables(path: Path) -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tables
