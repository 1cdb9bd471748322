"""The Data Dictionary: every column of the project, with its type, its range and its meaning."""

from __future__ import annotations

from core.documents.dossier import Document, Facts
from core.documents.texts.reading import bound, records
from core.documents.texts.writing import written
from core.platform.project_parts import TYPE_LABELS


def build(facts: Facts) -> Document:
    """Return the dictionary of the raw columns and of the engineered features.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> document.blocks[0].text
    'Columns'
    """
    columns = records(facts.runs.get("acquire"), "columns")
    contents = [column for column in columns if column.get("kind") == "all"]
    return written(
        "data_dictionary",
        facts,
        types=TYPE_LABELS,
        bound=bound,
        contents=contents,
        gaps={column["column"]: column["missing"] / column["rows"] for column in contents},
    )
