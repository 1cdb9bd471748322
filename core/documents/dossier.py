"""Dossier: the facts that documents are filled from, and the blocks that they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion, RunInfo


@dataclass(frozen=True)
class RunFacts(RunInfo):
    """A run with the tables that documents read, by name; what it did not keep is lacking."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class FileFacts:
    """A file that a step left, by its path below the home."""

    path: str
    rows: int | None
    columns: int | None
    size: int
    sha256: str


@dataclass(frozen=True)
class Facts:
    """All that documents are filled from; what does not exist yet is not there.

    Parameters
    ----------
    spec : ProjectSpec
    runs : mapping of str to RunFacts
        By step, the run that counts: of `train` the champion's, of `score` the newest of the
        production rows, of `monitor` the newest report on that scoring, else the newest.
    candidates : tuple of RunFacts
        Of the champion's training, the best in cross-validation first.
    versions : tuple of ModelVersion
        Of the registered model, the newest first.
    champion : ModelVersion or None
    files : mapping of str to FileFacts
        By path below the home.
    reports, decisions : tuple of RunFacts
        All reports of monitoring, and all decisions about retraining, the newest first; their
        tables are not read.
    cards : mapping of str to mapping
        What is known of each version, as `core.registry.model_card.card` takes it.
    shipped : frozenset of str
        Paths below the code's own folder: what stands beside README.md, and below docs and pages.
    """

    spec: ProjectSpec
    runs: Mapping[str, RunFacts] = field(default_factory=dict)
    candidates: tuple[RunFacts, ...] = ()
    versions: tuple[ModelVersion, ...] = ()
    champion: ModelVersion | None = None
    files: Mapping[str, FileFacts] = field(default_factory=dict)
    reports: tuple[RunFacts, ...] = ()
    decisions: tuple[RunFacts, ...] = ()
    cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shipped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Heading:
    """A heading below the document's title; level 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph in inline Markdown; `[text](run:<run id>)` links to a run."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list, each item in inline Markdown."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """A table: headings, and rows of cells in inline Markdown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart (a Vega-Lite specification) under a name that can be a file's, with its caption.

    `mermaid` is the same picture as a Mermaid text, for what can draw it from that.
    """

    name: str
    caption: str
    chart: Mapping[str, Any]
    mermaid: str = ""


@dataclass(frozen=True)
class Code:
    """Code that runs as it stands; `language` as Markdown names it."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Missing:
    """A fact that is not there yet, and the step that would supply it."""

    text: str
    step: str


Block = Heading | Paragraph | Bullets | Table | Figure | Code | Missing


@dataclass(frozen=True)
class Document:
    """A document: the name of its file, its title, what it is for, and its blocks."""

    name: str
    title: str
    about: str
    blocks: tuple[Block, ...]
