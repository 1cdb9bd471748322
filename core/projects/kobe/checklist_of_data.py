"""Checklist lines about data: the raw folder, the run PreparacaoDados and its sets."""

from __future__ import annotations

from core.data.records import AcquiredRun, PreparedRun
from core.documents.dossier import Facts, RunFacts
from core.documents.texts.reading import code, listed, metric, plain_tags
from core.documents.texts.requirement import Found, Line, absent, needs, run_steps
from core.platform.artifacts import FILTERED, TEST_SET, TRAIN_SET
from core.platform.messages import _
from core.projects.kobe.answers import Answers, answered
from core.projects.kobe.course import EXPECTED
from core.projects.kobe.evidence import (
    differs,
    metrics,
    missing,
    of_sample,
    proved,
    recorded,
    shape,
)

# the base rates of a stratified split differ only by rounding
STRATIFIED = 0.001


def lines(facts: Facts, answers: Answers) -> list[Line]:
    """Return the lines about acquisition and preparation."""
    spec, prepare = facts.spec, run_steps("prepare")
    both = run_steps("acquire", "prepare")
    return [
        Line("6.1", _("Data acquired into the raw folder, data/01_raw."), _raw, "data", both),
        Line(
            "6.2",
            _("Columns categorised: each with its type, values and meaning."),
            _categorised,
            "data",
            both,
            (1,),
        ),
        Line(
            "6.3",
            _("Reading is integrated: the acquired data is the prepared data."),
            _integrated,
            "data",
            prepare,
            (2,),
        ),
        Line(
            "6.4",
            _("Data processing as the run PreparacaoDados, with parameters and metrics."),
            _prepared,
            "data",
            prepare,
            (13,),
        ),
        Line(
            "6.5", _("Rows with missing values dropped."), _missing_dropped, "data", prepare, (14,)
        ),
        Line(
            "6.6",
            _("The columns {columns}.", columns=listed((*spec.features, spec.target))),
            _columns,
            "data",
            prepare,
            (15,),
        ),
        Line(
            "6.7",
            _(
                "Only rows with `{column}` = '{development}'.",
                column=spec.rows.column,
                development=spec.rows.development,
            ),
            _only_development,
            "data",
            prepare,
        ),
        Line(
            "6.8",
            _(
                "The shape ({rows}, {columns}) stated, and the file data_filtered.parquet.",
                rows=EXPECTED.rows,
                columns=EXPECTED.columns,
            ),
            _dimension,
            "data",
            both,
            (16,),
        ),
        Line(
            "6.9",
            _("Train and test set, split at random and stratified."),
            _stratified,
            "data",
            prepare,
            (18,),
        ),
        Line(
            "6.10",
            _(
                "The test share of {share:.0%} as a parameter, and the size of each set as "
                "metrics.",
                share=EXPECTED.test_share,
            ),
            _shares,
            "data",
            prepare,
        ),
        Line(
            "6.11",
            _("Train and test set as files in data/05_model_input."),
            _set_files,
            "data",
            prepare,
        ),
        answered("6.12", "split", answers),
    ]


@needs("acquire")
def _raw(facts: Facts, run: RunFacts) -> Found:
    snapshot = plain_tags(AcquiredRun, run).snapshot
    files = [path for path in facts.files if path.startswith(f"data/01_raw/{snapshot}/part-")]
    if not snapshot or not files:
        return missing([code(f"data/01_raw/{snapshot}/part-*")], run)
    values = {"snapshot": snapshot, **metrics(run, "rows_raw")}
    if run.is_sample:
        return of_sample(run, values, path=files[0])
    return proved(run, values, path=files[0])


@needs("acquire")
def _categorised(facts: Facts, run: RunFacts) -> Found:
    columns = facts.spec.columns
    known = run.tables.get("columns")
    described = set(known["column"]) if known is not None else set()
    if lacking := [name for name in columns if name not in described]:
        return missing(map(code, lacking), run)
    kinds_of: dict[str, int] = {}
    for column in columns.values():
        kinds_of[column.type] = kinds_of.get(column.type, 0) + 1
    return proved(run, {"columns": len(columns), **dict(sorted(kinds_of.items()))})


def _integrated(facts: Facts) -> Found:
    acquired, run = facts.runs.get("acquire"), facts.runs.get("prepare")
    if acquired is None:
        return absent("acquire")
    if run is None:
        return absent("prepare")
    mine = plain_tags(PreparedRun, run).snapshot
    theirs = plain_tags(AcquiredRun, acquired).snapshot
    if mine != theirs:
        return differs(run, "snapshot", mine, theirs)
    return proved(run, {"snapshot": mine})


@needs("prepare")
def _prepared(facts: Facts, run: RunFacts) -> Found:
    share = {"test_share": run.params.get("test_share")}
    return proved(run, {**share, **metrics(run, "rows_filtered", "rows_train", "rows_test")})


@needs("prepare")
def _missing_dropped(facts: Facts, run: RunFacts) -> Found:
    how = run.params.get("missing", "")
    if how != "drop":
        return differs(run, "missing", how, "drop")
    return proved(run, {"missing": how, **metrics(run, "rows_unlabelled", "rows_missing")})


@needs("prepare")
def _columns(facts: Facts, run: RunFacts) -> Found:
    taken = run.params.get("features", "")
    if sorted(taken.split(",")) != sorted(facts.spec.features):
        return differs(run, "features", taken, ",".join(facts.spec.features))
    return proved(run, {"features": taken})


@needs("prepare")
def _only_development(facts: Facts, run: RunFacts) -> Found:
    rows, kept = facts.spec.rows, run.params.get("rows_kept", "")
    if kept != (wanted := f"{rows.column} = {rows.development}"):
        return differs(run, "rows_kept", kept, wanted)
    return proved(run, {"rows_kept": kept, **metrics(run, "rows_other")})


@needs("prepare")
def _dimension(facts: Facts, run: RunFacts) -> Found:
    file = facts.files.get(FILTERED)
    if file is None:
        return missing([code(FILTERED)], run)
    stated = metrics(run, "rows_filtered", "columns_filtered")
    values = {**stated, FILTERED: shape(file)}
    if (file.rows, file.columns) != tuple(stated.values()):
        shown = tuple(int(value or 0) for value in stated.values())
        return differs(run, FILTERED, shape(file), shown, path=FILTERED)
    if (file.rows, file.columns) != (asked := (EXPECTED.rows, EXPECTED.columns)):
        return differs(run, FILTERED, shape(file), asked, path=FILTERED)
    if run.is_sample:
        return of_sample(run, values, path=FILTERED)
    return proved(run, values, path=FILTERED)


@needs("prepare")
def _stratified(facts: Facts, run: RunFacts) -> Found:
    split, rates = run.params.get("split", ""), metrics(run, "base_rate_train", "base_rate_test")
    train, test = rates.values()
    if split != "random":
        return differs(run, "split", split, "random")
    if train is not None and test is not None and abs(train - test) > STRATIFIED:
        return differs(run, "base_rate_test", test, train)
    return proved(run, {"split": split, "seed": run.params.get("seed"), **rates})


@needs("prepare")
def _shares(facts: Facts, run: RunFacts) -> Found:
    share = run.params.get("test_share", "")
    if share and abs(float(share) - EXPECTED.test_share) > 1e-9:
        return differs(run, "test_share", float(share), EXPECTED.test_share)
    return proved(run, {"test_share": share, **metrics(run, "rows_train", "rows_test")})


@needs("prepare")
def _set_files(facts: Facts, run: RunFacts) -> Found:
    sets = {TRAIN_SET: metric(run, "rows_train"), TEST_SET: metric(run, "rows_test")}
    if lacking := [code(path) for path in sets if path not in facts.files]:
        return missing(lacking)
    for path, rows in sets.items():
        if facts.files[path].rows != rows:
            return differs(run, path, facts.files[path].rows, rows, path=path)
    written = recorded({path: shape(facts.files[path]) for path in sets})
    return Found("met", written, run, TRAIN_SET)
