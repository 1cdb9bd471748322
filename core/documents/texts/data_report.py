"""The Data Report (TDSP's DataSummaryReport): source, quality and preparation of the data."""

from __future__ import annotations

import pandas as pd

from core.data import data_charts
from core.data.records import AcquiredRun
from core.documents.dossier import (
    Block,
    Bullets,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    check_table,
    code,
    figure,
    link,
    listed,
    metric,
    number,
    percent,
    plain,
    plain_tags,
    share,
    words,
)
from core.platform import messages, project
from core.platform.messages import Message, _

SEVERITIES = {"error": Message("error"), "warning": Message("warning")}
RECORDED = {"before": Message("before"), "after": Message("after")}


def build(facts: Facts) -> Document:
    """Return the summary of the data: source, quality, filtered rows, split.

    Examples
    --------
    >>> from core.platform import project
    >>> blocks = build(Facts(project.load("kobe"))).blocks
    >>> [block.step for block in blocks if hasattr(block, "step")]
    ['acquire', 'prepare']
    """
    acquired, prepared = facts.runs.get("acquire"), facts.runs.get("prepare")
    blocks: list[Block] = [Heading(_("General summary of the data"))]
    if acquired is None:
        blocks.append(Missing(_("No data were imported yet."), "acquire"))
    else:
        blocks += _source(facts, acquired)
        blocks += _quality(acquired)
        blocks += _target(facts, acquired)
        blocks += _variables(acquired)
    blocks.append(Heading(_("Preparation")))
    if prepared is None:
        blocks.append(Missing(_("The rows were not prepared yet."), "prepare"))
    else:
        blocks += _kept(facts, prepared)
        blocks += _split(facts, prepared)
    return Document(
        "data_report",
        _("Data Report"),
        _(
            "Where the data come from, how good they are, which rows are kept and how they "
            "are split."
        ),
        tuple(blocks),
    )


def _source(facts: Facts, run: RunFacts) -> list[Block]:
    spec = facts.spec
    source = plain_tags(AcquiredRun, run).source
    blocks: list[Block] = [
        Paragraph(
            _(
                "{rows} rows of {columns} columns, imported by {run} from the source "
                "`{source}`. They are stored unchanged under their SHA-256, `{digest}`.",
                rows=number(metric(run, "rows_raw")),
                columns=number(metric(run, "columns_raw")),
                run=link(run),
                source=source,
                digest=run.params.get("sha256", "")[:16],
            )
        )
    ]
    files = run.tables.get("files", pd.DataFrame())
    if not files.empty:
        blocks.append(
            Table(
                (_("File"), _("Size, kB"), "SHA-256"),
                tuple(
                    (
                        code(row["name"]),
                        messages.number(row["bytes"] / 1000, ",.0f"),
                        f"`{row['sha256'][:16]}…`",
                    )
                    for row in files.to_dict("records")
                ),
                _("Files of {run}.", run=link(run)),
            )
        )
    blocks.append(
        Table(
            (_("Rows"), _("Number")),
            (
                (
                    _(
                        "Development: {development_name}",
                        development_name=project.words(spec.rows.development_name),
                    ),
                    number(metric(run, "rows_development")),
                ),
                (
                    _(
                        "Production: {production_name}",
                        production_name=project.words(spec.rows.production_name),
                    ),
                    number(metric(run, "rows_production")),
                ),
                (_("Without a label"), number(metric(run, "labels_missing"))),
            ),
            _("{how!c}, from {run}.", how=spec.rows.how, run=link(run)),
        )
    )
    return blocks


def _quality(run: RunFacts) -> list[Block]:
    blocks: list[Block] = [Heading(_("Data quality summary"))]
    errors, warnings = metric(run, "errors"), metric(run, "warnings")
    blocks.append(
        Paragraph(
            _(
                "Every column was checked against its type, its range and its known "
                "values in {run}. Errors: {errors}. Warnings: {warnings}.",
                errors=number(errors, 0),
                warnings=number(warnings, 0),
                run=link(run),
            )
        )
    )
    findings = run.tables.get("validation", pd.DataFrame())
    if not findings.empty:
        blocks.append(
            Table(
                (_("Finding"), _("Rows"), _("What it means")),
                tuple(
                    (
                        str(SEVERITIES[row["severity"]]),
                        number(row["rows"], 0),
                        plain(words(row["text"])),
                    )
                    for row in findings.to_dict("records")
                ),
                _("Findings of {run}.", run=link(run)),
            )
        )
    columns = _columns(run)
    gaps = columns[columns["missing"] > 0]
    if columns.empty:
        blocks.append(Missing(_("The number of missing values was not recorded."), "acquire"))
    elif gaps.empty:
        blocks.append(Paragraph(_("No value is missing.")))
    else:
        parts = gaps["missing"] / gaps["rows"]
        blocks.append(
            Table(
                (_("Column"), _("Rows without a value"), _("Share")),
                tuple(
                    (code(name), messages.number(missing, ",.0f"), percent(part))
                    for name, missing, part in zip(
                        gaps["column"], gaps["missing"], parts, strict=True
                    )
                ),
                _("Missing values, from {run}.", run=link(run)),
            )
        )
    return blocks


def _target(facts: Facts, run: RunFacts) -> list[Block]:
    spec = facts.spec
    rate = metric(run, "base_rate_raw")
    blocks: list[Block] = [
        Heading(_("Target variable")),
        Paragraph(
            _(
                "`{target}`: 1 is {positive}, 0 is {negative}. Of the labelled rows, {rate} "
                "are {positive}, from {run}.",
                target=spec.target,
                positive=project.words(spec.positive),
                negative=project.words(spec.negative),
                rate=share(rate),
                run=link(run),
            )
        ),
    ]
    prepared = facts.runs.get("prepare")
    balance = prepared.tables.get("class_balance", pd.DataFrame()) if prepared else pd.DataFrame()
    if prepared and not balance.empty:
        blocks.append(
            figure(
                "class_balance",
                _("Rows of each label in the sets of {run}.", run=link(prepared)),
                data_charts.class_balance(
                    balance,
                    positive=str(project.words(spec.positive)),
                    negative=str(project.words(spec.negative)),
                ),
            )
        )
    return blocks


def _variables(run: RunFacts) -> list[Block]:
    columns = _columns(run)
    ranked = columns[columns["auc_alone"].notna()].sort_values(
        "auc_alone", ascending=False, kind="stable"
    )
    blocks: list[Block] = [
        Heading(_("Variables and their relation to the target")),
        Paragraph(
            _(
                "AUC of each column alone on the labelled rows: 0.5 is chance, 1 is "
                "perfect. A column recorded only after the predicted event cannot "
                "predict it, however high its AUC."
            )
        ),
    ]
    if ranked.empty:
        blocks.append(
            Missing(_("The relation of each column to the target was not recorded."), "acquire")
        )
    else:
        blocks.append(
            Table(
                (_("Column"), _("AUC alone"), _("Known"), _("Mean or most frequent")),
                tuple(
                    (
                        code(row["column"]),
                        number(row["auc_alone"], 3),
                        str(RECORDED[row["recorded"]]),
                        number(row["mean"], 2)
                        if row["mean"] == row["mean"]
                        else code(row["usual"]),
                    )
                    for row in ranked.head(12).to_dict("records")
                ),
                _("From {run}; all columns are in the data dictionary.", run=link(run)),
            )
        )
    odd = run.tables.get("leakage", pd.DataFrame())
    if not odd.empty:
        blocks += [
            Paragraph(
                _("Leakage warnings of {run}, for models that use the column:", run=link(run))
            ),
            Bullets(tuple(plain(words(text)) for text in odd["text"])),
        ]
    return blocks


def _columns(run: RunFacts) -> pd.DataFrame:
    """Return the profile of each column over all rows."""
    columns = run.tables.get("columns", pd.DataFrame())
    if columns.empty:
        return pd.DataFrame(
            columns=["column", "rows", "missing", "auc_alone", "mean", "usual", "recorded"]
        )
    return columns[columns["kind"] == "all"]


def _kept(facts: Facts, run: RunFacts) -> list[Block]:
    features = run.params.get("features", "").split(",")
    kept = code(run.params.get("rows_kept", "all"))
    sizes = [metric(run, name) for name in ("rows_filtered", "columns_filtered")]
    rows, columns = ("–" if size is None else f"{size:.0f}" for size in sizes)
    return [
        Paragraph(
            _(
                "{run} keeps the rows with {kept}, the features {features} and the target "
                "`{target}`: the dimension is **({rows}, {columns})**.",
                run=link(run),
                kept=kept,
                features=listed(features),
                target=facts.spec.target,
                rows=rows,
                columns=columns,
            )
        ),
        Table(
            (_("Step"), _("Rows")),
            (
                (_("Raw rows"), number(metric(run, "rows_raw"))),
                (_("Outside the row filter"), number(metric(run, "rows_other"))),
                (_("Without a label"), number(metric(run, "rows_unlabelled"))),
                (_("With a missing value, dropped"), number(metric(run, "rows_missing"), 0)),
                (_("Kept"), number(metric(run, "rows_filtered"))),
            ),
            _("From {run}.", run=link(run)),
        ),
    ]


def _number(text: str | None) -> str:
    try:
        return messages.number(float(text or ""), "g")
    except ValueError:
        return "–"


def _split(facts: Facts, run: RunFacts) -> list[Block]:
    train, test = metric(run, "rows_train"), metric(run, "rows_test")
    rate_train, rate_test = metric(run, "base_rate_train"), metric(run, "base_rate_test")
    spec = facts.spec
    blocks: list[Block] = [
        Heading(_("Training and test set")),
        Table(
            (_("Set"), _("Rows"), _("Share of {positive}", positive=project.words(spec.positive))),
            (
                (_("Training set"), number(train), share(rate_train)),
                (_("Test set"), number(test), share(rate_test)),
            ),
            _(
                "Split `{split}`, test share {test_share}, seed {seed}, from {run}.",
                split=run.params.get("split"),
                test_share=_number(run.params.get("test_share")),
                seed=run.params.get("seed"),
                run=link(run),
            ),
        ),
    ]
    checks = run.tables.get("split_checks", pd.DataFrame())
    if not checks.empty:
        blocks.append(check_table(checks, _("Checks of the split, from {run}.", run=link(run))))
        blocks.append(Paragraph(_("Results of the checks of {run}:", run=link(run))))
        blocks.append(Bullets(tuple(plain(words(text)) for text in checks["text"] if text)))
    return blocks
