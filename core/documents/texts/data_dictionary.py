"""The Data Dictionary: every column of the project, with its type, its range and its meaning."""

from __future__ import annotations

import pandas as pd

from core.documents.dossier import (
    Block,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import code, link, listed, number, percent
from core.platform import messages, project
from core.platform.messages import Message, _
from core.platform.project import Column, ProjectSpec

TYPES = {
    "text": Message("Text"),
    "integer": Message("Whole number"),
    "number": Message("Number"),
    "boolean": Message("Yes or no"),
    "label": Message("Label"),
    "date": Message("Date"),
}
KNOWN = {"before": Message("before"), "after": Message("**after**")}


def build(facts: Facts) -> Document:
    """Return the dictionary of the raw columns and of the engineered features.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> document.blocks[0].text
    'Raw columns'
    """
    spec, run = facts.spec, facts.runs.get("acquire")
    columns = run.tables.get("columns", pd.DataFrame()) if run else pd.DataFrame()
    gaps = _gaps(columns)
    rows = tuple(
        (
            f"`{name}`",
            str(TYPES[column.type]),
            _range(column),
            _role(spec, name),
            _known(spec, name),
            percent(gaps[name]) if name in gaps else "–",
            str(project.words(column.about)),
        )
        for name, column in spec.columns.items()
    )
    blocks: list[Block] = [
        Heading(_("Raw columns")),
        Paragraph(
            _(
                "A source is checked for its types and allowed values. The column 'Known' says "
                "whether a value exists before the predicted event or is recorded only after "
                "it."
            )
        ),
        Table(
            (
                _("Column"),
                _("Type"),
                _("Allowed values"),
                _("Role"),
                _("Known"),
                _("Missing"),
                _("Meaning"),
            ),
            rows,
            _("Missing values from {run}.", run=link(run)) if run else "",
        ),
    ]
    blocks.append(Heading(_("Contents of the source")))
    if run is None or columns.empty:
        blocks.append(Missing(_("The contents of the columns are not known yet."), "acquire"))
    else:
        blocks.append(_held(spec, run, columns))
    if spec.engineered:
        blocks += [
            Heading(_("Computed features")),
            Paragraph(
                _(
                    "The model's own pipeline computes them, so training and serving use "
                    "the same values."
                )
            ),
            Table(
                (_("Feature"), _("Type"), _("Computed as"), _("Meaning")),
                tuple(
                    (
                        code(name),
                        str(TYPES[feature.type]),
                        code(feature.formula),
                        str(project.words(feature.about)),
                    )
                    for name, feature in spec.engineered.items()
                ),
            ),
        ]
    return Document(
        "data_dictionary",
        _("Data Dictionary"),
        _("Every column: its type, allowed values, meaning and use."),
        tuple(blocks),
    )


def _gaps(columns: pd.DataFrame) -> dict[str, float]:
    if columns.empty:
        return {}
    over_all = columns[columns["kind"] == "all"]
    share = over_all["missing"] / over_all["rows"]
    return dict(zip(over_all["column"], share.astype(float), strict=True))


def _held(spec: ProjectSpec, run: RunFacts, columns: pd.DataFrame) -> Table:
    # identifiers and constants have no meaningful mean
    names = {spec.id, spec.group}
    return Table(
        (
            _("Column"),
            _("Distinct values"),
            _("Lowest"),
            _("Highest"),
            _("Mean"),
            _("Most frequent"),
        ),
        tuple(
            (
                code(row["column"]),
                messages.number(row["distinct"], ",.0f"),
                code(row["low"]),
                code(row["high"]),
                "–" if row["column"] in names or row["distinct"] < 2 else number(row["mean"], 2),
                f"{code(row['usual'])} ({percent(row['usual_share'])})",
            )
            for row in columns[columns["kind"] == "all"].to_dict("records")
        ),
        _("Of all rows, from {run}.", run=link(run)),
    )


def _range(column: Column) -> str:
    if column.categories:
        some = listed(column.categories[:4])
        return f"{some}, … ({len(column.categories)})" if column.categories[4:] else some
    if column.pattern:
        return code(column.pattern)
    if column.type in ("label", "boolean"):
        return "0, 1"
    if column.type == "date":
        return _("A day, as year-month-day")
    if column.min is not None and column.max is not None:
        return _("{min:g} to {max:g}", min=column.min, max=column.max)
    if column.min is not None:
        return _("from {min:g}", min=column.min)
    if column.max is not None:
        return _("up to {max:g}", max=column.max)
    return _("Any value")


def _known(spec: ProjectSpec, name: str) -> str:
    if name == spec.target:
        return "–"
    return str(KNOWN[spec.columns[name].recorded])


def _role(spec: ProjectSpec, name: str) -> str:
    roles = {
        spec.target: _("Target"),
        spec.id: _("Id"),
        **({spec.time: _("Time of the row")} if spec.time else {}),
        **({spec.weights: _("Sampling weight")} if spec.weights else {}),
        spec.rows.column: _("Rows"),
    }
    if name in roles:
        return roles[name]
    if name == spec.group:
        return _("Group")
    return _("Feature") if name in spec.features else "–"
