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
from core.platform.project import Column, ProjectSpec

TYPES = {
    "text": "Text",
    "integer": "Whole number",
    "number": "Number",
    "label": "Label",
    "date": "Date",
}


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
            TYPES[column.type],
            _range(column),
            _role(spec, name),
            _known(spec, name),
            percent(gaps[name]) if name in gaps else "–",
            column.about,
        )
        for name, column in spec.columns.items()
    )
    blocks: list[Block] = [
        Heading("Raw columns"),
        Paragraph(
            "Type and what it may hold are what a source is checked against. Known says whether "
            "the value is there before what is predicted, or noted only after it."
        ),
        Table(
            ("Column", "Type", "May hold", "Role", "Known", "Missing", "Meaning"),
            rows,
            f"Missing values from {link(run)}." if run else "",
        ),
    ]
    blocks.append(Heading("What the source holds"))
    if run is None or columns.empty:
        blocks.append(Missing("What the columns really hold is not known yet.", "acquire"))
    else:
        blocks.append(_held(spec, run, columns))
    if spec.engineered:
        blocks += [
            Heading("Computed features"),
            Paragraph("The model's own pipeline computes them, so they are the same when served."),
            Table(
                ("Feature", "Type", "Computed as", "Meaning"),
                tuple(
                    (code(name), TYPES[feature.type], code(feature.formula), feature.about)
                    for name, feature in spec.engineered.items()
                ),
            ),
        ]
    return Document(
        "data_dictionary",
        "Data Dictionary",
        "Every column: its type, what it may hold, what it means and what it is used for.",
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
        ("Column", "Different values", "Lowest", "Highest", "Mean", "Most frequent"),
        tuple(
            (
                code(row["column"]),
                f"{row['distinct']:,.0f}",
                code(row["low"]),
                code(row["high"]),
                "–" if row["column"] in names or row["distinct"] < 2 else number(row["mean"], 2),
                f"{code(row['usual'])} ({percent(row['usual_share'])})",
            )
            for row in columns[columns["kind"] == "all"].to_dict("records")
        ),
        f"Of all rows, from {link(run)}.",
    )


def _range(column: Column) -> str:
    if column.categories:
        some = listed(column.categories[:4])
        return f"{some}, … ({len(column.categories)})" if column.categories[4:] else some
    if column.pattern:
        return code(column.pattern)
    if column.type == "label":
        return "0, 1"
    if column.type == "date":
        return "A day, as year-month-day"
    if column.min is not None and column.max is not None:
        return f"{column.min:g} to {column.max:g}"
    if column.min is not None:
        return f"from {column.min:g}"
    if column.max is not None:
        return f"up to {column.max:g}"
    return "Anything"


def _known(spec: ProjectSpec, name: str) -> str:
    if name == spec.target:
        return "–"
    return "**after**" if spec.columns[name].recorded == "after" else "before"


def _role(spec: ProjectSpec, name: str) -> str:
    roles = {
        spec.target: "Target",
        spec.id: "Id",
        spec.time: "Time of the row",
        spec.rows.column: "Rows",
    }
    if name in roles:
        return roles[name]
    if name == spec.group:
        return "Group"
    return "Feature" if name in spec.features else "–"
