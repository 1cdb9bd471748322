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
    Figure,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    check_table,
    code,
    link,
    listed,
    metric,
    number,
    percent,
    plain,
    plain_tags,
    share,
)


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
    blocks: list[Block] = [Heading("General summary of the data")]
    if acquired is None:
        blocks.append(Missing("No data were brought in yet.", "acquire"))
    else:
        blocks += _source(facts, acquired)
        blocks += _quality(acquired)
        blocks += _target(facts, acquired)
        blocks += _variables(acquired)
    blocks.append(Heading("Preparation"))
    if prepared is None:
        blocks.append(Missing("The rows were not prepared yet.", "prepare"))
    else:
        blocks += _kept(facts, prepared)
        blocks += _split(facts, prepared)
    return Document(
        "data_report",
        "Data Report",
        "Where the data come from, how good they are, which rows are kept and how they are split.",
        tuple(blocks),
    )


def _source(facts: Facts, run: RunFacts) -> list[Block]:
    spec = facts.spec
    source = plain_tags(AcquiredRun, run).source
    blocks: list[Block] = [
        Paragraph(
            f"{number(metric(run, 'rows_raw'))} rows of {number(metric(run, 'columns_raw'))} "
            f"columns, brought in by {link(run)} from the source `{source}`. They are kept "
            f"unchanged under their SHA-256, `{run.params.get('sha256', '')[:16]}`."
        )
    ]
    files = run.tables.get("files", pd.DataFrame())
    if not files.empty:
        blocks.append(
            Table(
                ("File", "Size, kB", "SHA-256"),
                tuple(
                    (code(row["name"]), f"{row['bytes'] / 1000:,.0f}", f"`{row['sha256'][:16]}…`")
                    for row in files.to_dict("records")
                ),
                f"Files of {link(run)}.",
            )
        )
    blocks.append(
        Table(
            ("Rows", "Number"),
            (
                (
                    f"Development: {spec.rows.development_name}",
                    number(metric(run, "rows_development")),
                ),
                (
                    f"Production: {spec.rows.production_name}",
                    number(metric(run, "rows_production")),
                ),
                ("Without a label", number(metric(run, "labels_missing"))),
            ),
            f"By the column `{spec.rows.column}`, from {link(run)}.",
        )
    )
    return blocks


def _quality(run: RunFacts) -> list[Block]:
    blocks: list[Block] = [Heading("Data quality summary")]
    errors, warnings = metric(run, "errors"), metric(run, "warnings")
    blocks.append(
        Paragraph(
            f"Every column was checked against its type, its range and its known values: "
            f"{number(errors, 0)} errors and {number(warnings, 0)} warnings in {link(run)}."
        )
    )
    findings = run.tables.get("validation", pd.DataFrame())
    if not findings.empty:
        blocks.append(
            Table(
                ("Finding", "Rows", "What it means"),
                tuple(
                    (str(row["severity"]), number(row["rows"], 0), plain(row["text"]))
                    for row in findings.to_dict("records")
                ),
                f"Findings of {link(run)}.",
            )
        )
    columns = _columns(run)
    gaps = columns[columns["missing"] > 0]
    if columns.empty:
        blocks.append(Missing("How many values are missing was not kept.", "acquire"))
    elif gaps.empty:
        blocks.append(Paragraph("No column lacks a value in any row."))
    else:
        parts = gaps["missing"] / gaps["rows"]
        blocks.append(
            Table(
                ("Column", "Rows without a value", "Share"),
                tuple(
                    (code(name), f"{missing:,.0f}", percent(part))
                    for name, missing, part in zip(
                        gaps["column"], gaps["missing"], parts, strict=True
                    )
                ),
                f"Missing values, from {link(run)}.",
            )
        )
    return blocks


def _target(facts: Facts, run: RunFacts) -> list[Block]:
    spec = facts.spec
    rate = metric(run, "base_rate_raw")
    blocks: list[Block] = [
        Heading("Target variable"),
        Paragraph(
            f"`{spec.target}`: 1 is {spec.positive}, 0 is {spec.negative}. Of the labelled rows "
            f"{share(rate)} are {spec.positive}, from {link(run)}."
        ),
    ]
    prepared = facts.runs.get("prepare")
    balance = prepared.tables.get("class_balance", pd.DataFrame()) if prepared else pd.DataFrame()
    if prepared and not balance.empty:
        blocks.append(
            Figure(
                "class_balance",
                f"Rows of each label in the sets that {link(prepared)} made.",
                data_charts.class_balance(
                    balance, positive=spec.positive, negative=spec.negative
                ).to_dict(),
            )
        )
    return blocks


def _variables(run: RunFacts) -> list[Block]:
    columns = _columns(run)
    ranked = columns[columns["auc_alone"].notna()].sort_values(
        "auc_alone", ascending=False, kind="stable"
    )
    blocks: list[Block] = [
        Heading("Individual variables, and how they stand to the target"),
        Paragraph(
            "How well each column alone tells the two labels apart, on the labelled rows: 0.5 is "
            "nothing, 1 is all. A column that is noted only after what is predicted cannot "
            "forecast it, however good it looks."
        ),
    ]
    if ranked.empty:
        blocks.append(Missing("How each column stands to the target was not kept.", "acquire"))
    else:
        blocks.append(
            Table(
                ("Column", "AUC alone", "Known", "Mean or most frequent"),
                tuple(
                    (
                        code(row["column"]),
                        number(row["auc_alone"], 3),
                        str(row["recorded"]),
                        number(row["mean"], 2)
                        if row["mean"] == row["mean"]
                        else code(row["usual"]),
                    )
                    for row in ranked.head(12).to_dict("records")
                ),
                f"From {link(run)}; all columns stand in the data dictionary.",
            )
        )
    odd = run.tables.get("leakage", pd.DataFrame())
    if not odd.empty:
        blocks += [
            Paragraph(f"What {link(run)} warns of, where a model would use the column:"),
            Bullets(tuple(plain(text) for text in odd["text"])),
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
    rows, columns = (
        number(metric(run, name)).replace(",", "") for name in ("rows_filtered", "columns_filtered")
    )
    return [
        Paragraph(
            f"{link(run)} keeps the rows with {kept}, "
            f"the features {listed(features)} and the target `{facts.spec.target}`: the "
            f"dimension is **({rows}, {columns})**."
        ),
        Table(
            ("Step", "Rows"),
            (
                ("Raw rows", number(metric(run, "rows_raw"))),
                ("Not of the wanted kind", number(metric(run, "rows_other"))),
                ("Without a label", number(metric(run, "rows_unlabelled"))),
                ("With a missing value, dropped", number(metric(run, "rows_missing"), 0)),
                ("Kept", number(metric(run, "rows_filtered"))),
            ),
            f"From {link(run)}.",
        ),
    ]


def _split(facts: Facts, run: RunFacts) -> list[Block]:
    train, test = metric(run, "rows_train"), metric(run, "rows_test")
    rate_train, rate_test = metric(run, "base_rate_train"), metric(run, "base_rate_test")
    spec = facts.spec
    blocks: list[Block] = [
        Heading("Training and test set"),
        Table(
            ("Set", "Rows", f"Share {spec.positive}"),
            (
                ("Training set", number(train), share(rate_train)),
                ("Test set", number(test), share(rate_test)),
            ),
            f"Split `{run.params.get('split')}`, test share {run.params.get('test_share')}, seed "
            f"{run.params.get('seed')}, from {link(run)}.",
        ),
    ]
    checks = run.tables.get("split_checks", pd.DataFrame())
    if not checks.empty:
        blocks.append(check_table(checks, f"Checks of the split, from {link(run)}."))
        blocks.append(Paragraph(f"What each check of {link(run)} found:"))
        blocks.append(Bullets(tuple(plain(text) for text in checks["text"] if text)))
    return blocks
