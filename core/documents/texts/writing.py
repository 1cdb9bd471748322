"""A document from its template, `core/documents/templates/<name>.md.j2`, and from facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from markupsafe import Markup

from core.documents.dossier import Document, Facts, Figure, RunFacts
from core.documents.texts import reading
from core.documents.texts.requirement import run_steps
from core.platform import markdown_templates, messages, project
from core.platform.messages import Words, _
from core.platform.steps import RUN_NAMES, STEPS, named

FOLDER = "documents/templates"
NO_NAMES: Mapping[str, Words] = {}


def written(
    name: str,
    facts: Facts,
    *,
    figures: Iterable[Figure] = (),
    template: str = "",
    called: str = "",
    names: Mapping[str, Words] = NO_NAMES,
    **values: object,
) -> Document:
    """Return a document in the current language.

    Parameters
    ----------
    name : str
        The template's name, and the document's.
    facts : Facts
        The template has them as `facts`, `spec`, `runs` (None for a step that has not run), and
        the names of the project file in every message: `{title}`, `{question}`, `{positive}`,
        `{negative}`, `{development}`, `{production}`.
    figures : iterable of Figure
        What the template can show by `figure(name, caption)`; it shows nothing without it.
    template : str
        Path of another template below core.
    called : str
        Another name of the document.
    names : mapping
        Other names than those of the project file.
    **values
        The template's own variables.
    """
    spec = facts.spec
    drawn = {figure.name: figure for figure in figures}

    def figure(name: str, caption: str) -> Markup:
        return Markup(f"![{caption}](figure:{name})" if name in drawn else "")

    text = markdown_templates.render(
        template or f"{FOLDER}/{name}.md.j2",
        {
            "title": project.words(spec.title),
            "question": project.words(spec.question),
            "positive": project.words(spec.positive),
            "negative": project.words(spec.negative),
            "development": spec.rows.reference_rows,
            "production": spec.rows.current_rows,
            **names,
        },
        facts=facts,
        spec=spec,
        steps=STEPS,
        runs={step: facts.runs.get(step) for step in RUN_NAMES},
        sample=[run.name for run in facts.runs.values() if run.is_sample],
        figure=figure,
        missing=missing,
        from_run=from_run,
        shape=shape,
        project_words=project.words,
        **_READING,
        **values,
    )
    return Document(called or name, text, drawn)


def missing(step: str, text: Words = "") -> Markup:
    """Return a missing fact as Markdown: that its step has not run, or another text with it."""
    title = named(step).title
    if not text:
        return Markup(
            "> **" + _("The step {step} has not run yet.", step=title) + f"** [](step:{step})"
        )
    return Markup(f"> **{text} {run_steps(step)}** [](step:{step})")


def shape(run: RunFacts) -> dict[str, str]:
    """Return the dimension of the prepared rows, as pandas writes it."""
    sizes = {name: reading.metric(run, f"{name}_filtered") for name in ("rows", "columns")}
    return {name: "–" if size is None else f"{size:.0f}" for name, size in sizes.items()}


def from_run(run: RunFacts) -> Markup:
    """Return the line below a table of a run's figures."""
    return Markup("*" + _("From {run}.", run=reading.link(run)) + "*")


def _marked(function: Callable[..., str]) -> Callable[..., Markup]:
    def marked(*arguments: Any) -> Markup:
        return Markup(function(*arguments))

    return marked


_READING: dict[str, Callable[..., Any]] = {
    # words of the code, which may have Markdown
    "own": _marked(str),
    "code": _marked(reading.code),
    "codes": _marked(reading.listed),
    "listed": lambda names: Markup(messages.listed([reading.code(name) for name in names])),
    "interval": _marked(reading.interval),
    "link": _marked(reading.link),
    "verdict": _marked(reading.verdict),
    "metric": reading.metric,
    "moment": reading.moment,
    "moved_by_the_base_rate": reading.moved_by_the_base_rate,
    "number": reading.number,
    "percent": reading.percent,
    "share": reading.share,
    "value": reading.value,
    "words": reading.words,
}
