"""Data types of the dossier: facts about a project, a document and its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion, RunInfo


@dataclass(frozen=True)
class RunFacts(RunInfo):
    """A run with the tables that documents use, by name; without those that it does not have."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class FileFacts:
    """A file written by a step, with its path below the home."""

    path: str
    rows: int | None
    columns: int | None
    size: int
    sha256: str


@dataclass(frozen=True)
class Facts:
    """All facts for the documents; without anything that does not exist yet.

    Parameters
    ----------
    spec : ProjectSpec
    runs : mapping of str to RunFacts
        The relevant run of each step: of `train` the champion's, of `score` the newest of the
        production rows, of `monitor` the newest report on that scoring, else the newest.
    candidates : tuple of RunFacts
        Of the champion's training, the best in cross-validation first.
    versions : tuple of ModelVersion
        Of the registered model, the newest first.
    files : mapping of str to FileFacts
        By path below the home.
    reports, decisions : tuple of RunFacts
        All monitoring reports, and all retraining decisions, the newest first; without tables.
    cards : mapping of str to mapping
        Facts about each version, for `core.registry.model_card.card`.
    shipped : frozenset of str
        Paths below the code folder: files next to README.md, and below docs and pages.
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
    """A table: headings, and rows of cells in inline Markdown; the emphasised line below it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart (a Vega-Lite specification) with a caption and a name usable as a file name.

    In Markdown an image alone: `![caption](figure:<name>)`. `mermaid` is the same picture as
    Mermaid text, for renderers that support it.
    """

    name: str
    caption: str
    chart: Mapping[str, Any]
    mermaid: str = ""


@dataclass(frozen=True)
class Code:
    """Runnable code; `language` is its name in Markdown."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Missing:
    """A fact that does not exist yet, and the step that would supply it.

    In Markdown a quotation: `> **No model yet.** [](step:train)`.
    """

    text: str
    step: str


Block = Heading | Paragraph | Bullets | Table | Figure | Code | Missing


@dataclass(frozen=True)
class Document:
    r"""A document in Markdown: its title, what it is about in emphasis, then its sections.

    Parameters
    ----------
    name : str
        Its file's name without an ending.
    text : str
        Markdown with links to runs (`run:<run id>`), figures (`figure:<name>`), and missing facts,
        as blocks say.
    figures : mapping of str to Figure
        By name; those of the text at least.

    Examples
    --------
    >>> document = Document("d", "# Title\n\n*What for.*\n\nA *word*.\n")
    >>> document.title, document.about, document.blocks
    ('Title', 'What for.', (Paragraph(text='A *word*.'),))
    """

    name: str
    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @cached_property
    def title(self) -> str:
        """Its title in words."""
        # which needs the blocks above
        from core.documents.parsing import opening

        return opening(self.text)[0]

    @cached_property
    def about(self) -> str:
        """What it is about, a sentence."""
        from core.documents.parsing import opening

        return opening(self.text)[1]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Its parts below the title."""
        from core.documents.parsing import parsed

        return parsed(self.text, self.figures)
