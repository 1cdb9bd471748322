"""The Data Report (TDSP's DataSummaryReport): source, quality and preparation of the data."""

from __future__ import annotations

import pandas as pd

from core.data import data_charts
from core.data.records import AcquiredRun
from core.data.snapshots import SOURCE_LABELS
from core.documents.dossier import Document, Facts, Figure, RunFacts
from core.documents.texts.reading import figure, records, settings, table_of
from core.documents.texts.writing import written
from core.platform import project

MOST_COLUMNS = 12
SPLIT_SETTINGS = ("split", "test_share", "seed")


def build(facts: Facts) -> Document:
    """Return the summary of the data: source, quality, filtered rows, split.

    Examples
    --------
    >>> from core.documents.dossier import Missing
    >>> from core.platform import project
    >>> blocks = build(Facts(project.load("kobe"))).blocks
    >>> [block.step for block in blocks if isinstance(block, Missing)]
    ['acquire', 'prepare']
    """
    acquired, prepared = facts.runs.get("acquire"), facts.runs.get("prepare")
    source = AcquiredRun.of(acquired).source if acquired else ""
    columns = [entry for entry in records(acquired, "columns") if entry.get("kind") == "all"]
    ranked = [entry for entry in columns if entry["auc_alone"] == entry["auc_alone"]]
    ranked.sort(key=lambda entry: -entry["auc_alone"])
    return written(
        "data_report",
        facts,
        figures=_balance(facts, prepared),
        source=SOURCE_LABELS.get(source, source),
        files=records(acquired, "files"),
        findings=records(acquired, "validation"),
        leaks=records(acquired, "leakage"),
        columns=columns,
        gaps=[entry for entry in columns if entry["missing"] > 0],
        ranked=ranked[:MOST_COLUMNS],
        split_settings=settings(prepared, SPLIT_SETTINGS),
        split_checks=split_checks(prepared),
    )


def split_checks(prepared: RunFacts | None) -> pd.DataFrame | None:
    """Return the checks of a split; None if there are none."""
    checks = table_of(prepared, "split_checks")
    return None if checks.empty else checks


def _balance(facts: Facts, run: RunFacts | None) -> list[Figure]:
    balance = table_of(run, "class_balance")
    if balance.empty:
        return []
    drawn = data_charts.class_balance(
        balance.assign(label=[str(project.words(label)) for label in balance["label"]]),
        positive=str(project.words(facts.spec.positive)),
        negative=str(project.words(facts.spec.negative)),
    )
    return [figure("class_balance", drawn)]
