"""Export of the documents as single files, as one zip, or as the project's shipped snapshot."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from core.documents import gather as documents
from core.documents.dossier import Document, Facts, Figure
from core.documents.texts import as_html, as_markdown, as_pdf
from core.platform import pictures, project, storage
from core.platform.config import BUILT_IN, Settings
from core.platform.errors import InputError
from core.platform.messages import Message, _, day

FORMATS = {"md": "text/markdown", "html": "text/html", "pdf": "application/pdf"}
APP = "http://127.0.0.1:8501"
# a fixed time: the same content gives the same bytes
_MOMENT = (1980, 1, 1, 0, 0, 0)


def as_file(
    document: Document, facts: Facts, kind: str, *, language: str | None = None, app: str = APP
) -> bytes:
    """Return a document as a file.

    Parameters
    ----------
    kind : {"md", "html", "pdf"}
    language : str, optional
        The language that the document was built in, the current one by default.
    app : str
        Address of the app, for links to runs.

    Raises
    ------
    InputError
        For another kind, or a language without a catalogue.
    """
    if kind not in FORMATS:
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.", name=kind, names=list(FORMATS)
            )
        )
    link = partial(_link, app, facts.spec.name)
    with documents.speaking(language):
        if kind == "md":
            return as_markdown.render(document, link=link).encode()
        drawn = {figure.name: pictures.svg(figure.chart) for figure in _of(document)}
        if kind == "html":
            return as_html.render(document, link=link, pictures=drawn).encode()
        return as_pdf.render(
            document, link=link, pictures=drawn, head=_head(facts), created=newest(facts)
        )


def bundle(
    filled: Iterable[Document], facts: Facts, *, language: str | None = None, app: str = APP
) -> bytes:
    """Return all documents in one zip: in each format, and every figure as SVG and PNG.

    The same facts give the same bytes.

    Parameters
    ----------
    filled, facts : iterable of Document, Facts
        As returned by `gather.of` and `gather.gather`.
    language : str, optional
        The language that the documents were built in, the current one by default.

    Raises
    ------
    InputError
        For a language without a catalogue.
    """
    with documents.speaking(language):
        return _bundle(tuple(filled), facts, partial(_link, app, facts.spec.name))


def _bundle(filled: tuple[Document, ...], facts: Facts, link: as_markdown.Link) -> bytes:
    files: dict[str, bytes] = {}
    for figure in _figures(filled):
        files[f"figures/{figure.name}.svg"] = pictures.svg(figure.chart).encode()
        files[f"figures/{figure.name}.png"] = pictures.png(figure.chart)
    places = {figure.name: f"../figures/{figure.name}.svg" for figure in _figures(filled)}
    drawn = {name: files[f"figures/{name}.svg"].decode() for name in places}
    for document in filled:
        files[f"markdown/{document.name}.md"] = as_markdown.render(
            document, link=link, figures=places
        ).encode()
        files[f"html/{document.name}.html"] = as_html.render(
            document, link=link, pictures=drawn
        ).encode()
        files[f"pdf/{document.name}.pdf"] = as_pdf.render(
            document, link=link, pictures=drawn, head=_head(facts), created=newest(facts)
        )
    files["README.md"] = _contents(filled).encode()
    return _zipped(files)


def snapshot(settings: Settings, folder: Path, *, language: str | None = None) -> list[str]:
    """Write the documents as Markdown with their figures into a folder, and return their names.

    Files of an earlier snapshot are removed; others stay. Runs are named, not linked, since readers
    do not have this machine's runs.
    """
    with documents.speaking(language):
        filled = documents.build(settings)
        files = {
            f"figures/{figure.name}.svg": pictures.svg(figure.chart)
            for figure in _figures(filled)
            if not figure.mermaid
        }
        places = {Path(name).stem: name for name in files}
        for document in filled:
            files[f"{document.name}.md"] = as_markdown.render(document, figures=places)
    storage.replace_texts(folder, files, gone=("*.md", "figures/*.svg"), kept=("README.md",))
    return sorted(files)


def newest(facts: Facts) -> datetime | None:
    """Return when the newest of the documented runs ended."""
    runs = (*facts.runs.values(), *facts.reports, *facts.decisions)
    ends = [run.ended or run.started for run in runs]
    return datetime.fromtimestamp(max(ends), UTC) if ends else None


def key(facts: Facts) -> tuple[str, ...]:
    """Return a key of the state of the facts: the project, runs, versions and their aliases."""
    runs = [run.run_id for run in (*facts.runs.values(), *facts.reports, *facts.decisions)]
    versions = [f"{version.version}:{','.join(version.aliases)}" for version in facts.versions]
    return (facts.spec.fingerprint, *sorted(runs), *versions)


def _link(app: str, of_project: str, run_id: str) -> str:
    address = f"{app.rstrip('/')}/runs?run={run_id}"
    return address if of_project == BUILT_IN else f"{address}&project={of_project}"


def _of(document: Document) -> list[Figure]:
    return [block for block in document.blocks if isinstance(block, Figure)]


def _figures(filled: Iterable[Document]) -> list[Figure]:
    """Return each figure once, even if several documents show it."""
    figures: dict[str, Figure] = {}
    for document in filled:
        for figure in _of(document):
            figures.setdefault(figure.name, figure)
    return list(figures.values())


def _head(facts: Facts) -> str:
    parts = [str(project.words(facts.spec.title))]
    if facts.champion:
        parts.append(
            _("{name}, version {version}", name=facts.champion.name, version=facts.champion.version)
        )
    moment = newest(facts)
    if moment:
        parts.append(day(moment.date()))
    return " · ".join(parts)


def _contents(filled: Iterable[Document]) -> str:
    lines = [
        f"- [{document.title}](markdown/{document.name}.md): {document.about}"
        for document in filled
    ]
    return "\n".join(["# " + _("Documents"), "", *lines, ""])


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
