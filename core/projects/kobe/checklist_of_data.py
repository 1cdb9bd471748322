"""Checklist lines about data: the raw folder, the run PreparacaoDados and its sets."""

from __future__ import annotations

from core.data.records import AcquiredRun, PreparedRun
from core.documents.dossier import Facts, RunFacts
from core.documents.texts.reading import listed, metric, number, plain_tags
from core.documents.texts.requirement import Found, Line, absent, answered, needs, of_values
from core.platform import messages, project
from core.platform.artifacts import FILTERED, TEST_SET, TRAIN_SET
from core.platform.messages import _, n_
from core.projects.kobe import answers
from core.projects.kobe.course import EXPECTED

# the base rates of a stratified split differ only by rounding
STRATIFIED = 0.001


def lines(facts: Facts) -> list[Line]:
    """Return the lines about acquisition and preparation."""
    spec, todo = facts.spec, _("Prepare with the defaults of the page.")
    return [
        Line(
            "6.1",
            _("Data acquired into the raw folder, data/01_raw."),
            _raw,
            "data",
            _("Acquire the real source on the Data page."),
        ),
        Line(
            "6.2",
            _("Columns categorised: each with its type, values and meaning."),
            _categorised,
            "data",
            _("Acquire a source on the Data page."),
            (1,),
        ),
        Line(
            "6.3",
            _("Reading is integrated: the acquired data is the prepared data."),
            _integrated,
            "data",
            _("Prepare again from the current raw data."),
            (2,),
        ),
        Line(
            "6.4",
            _("Data processing as the run PreparacaoDados, with parameters and metrics."),
            _prepared,
            "data",
            todo,
            (13,),
        ),
        Line(
            "6.5",
            _("Rows with missing values dropped."),
            _missing_dropped,
            "data",
            _("Prepare with missing values dropped."),
            (14,),
        ),
        Line(
            "6.6",
            _("The columns {columns}.", columns=listed((*spec.features, spec.target))),
            _columns,
            "data",
            _(
                "Prepare with the features '{features}'.",
                features=project.words(spec.features_title),
            ),
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
            _(
                "Prepare only with {development}.",
                development=project.words(spec.rows.development_name),
            ),
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
            _(
                "Acquire the real source on the Data page, then prepare with the defaults of "
                "the page."
            ),
            (16,),
        ),
        Line(
            "6.9",
            _("Train and test set, split at random and stratified."),
            _stratified,
            "data",
            _("Prepare with a random split."),
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
            todo,
        ),
        Line(
            "6.11",
            _("Train and test set as files in data/05_model_input."),
            _set_files,
            "data",
            _("Prepare again: the files are not those of the run."),
        ),
        Line(
            "6.12",
            _("In writing: how the choice of split affects the result, and how bias is reduced."),
            lambda project_facts: answered(project_facts, answers.split),
            "documents",
            todo,
        ),
    ]


@needs("acquire")
def _raw(facts: Facts, run: RunFacts) -> Found:
    snapshot = plain_tags(AcquiredRun, run).snapshot
    files = [path for path in facts.files if path.startswith(f"data/01_raw/{snapshot}/part-")]
    if not snapshot or not files:
        return Found("partly", _("The run exists, but its files are missing."), run)
    rows = number(metric(run, "rows_raw"))
    if run.is_sample:
        return Found("partly", _("{rows} rows of the built-in sample.", rows=rows), run, files[0])
    return Found(
        "met",
        n_(
            "{rows} rows in {count:,} file, unchanged.",
            "{rows} rows in {count:,} files, unchanged.",
            len(files),
            rows=rows,
        ),
        run,
        files[0],
    )


@needs("acquire")
def _categorised(facts: Facts, run: RunFacts) -> Found:
    columns = facts.spec.columns
    known = run.tables.get("columns")
    described = set(known["column"]) if known is not None else set()
    lacking = [name for name in columns if name not in described]
    if lacking:
        return Found("partly", _("Not profiled: {columns}.", columns=listed(lacking)), run)
    kinds_of: dict[str, int] = {}
    for column in columns.values():
        kinds_of[column.type] = kinds_of.get(column.type, 0) + 1
    counts = [f"{count} `{name}`" for name, count in sorted(kinds_of.items())]
    return Found(
        "met",
        _(
            "{columns} columns, each with its meaning: {counts}.",
            columns=len(columns),
            counts=counts,
        ),
        run,
    )


def _integrated(facts: Facts) -> Found:
    acquired, run = facts.runs.get("acquire"), facts.runs.get("prepare")
    if acquired is None:
        return absent("AquisicaoDados")
    if run is None:
        return absent("PreparacaoDados")
    mine = plain_tags(PreparedRun, run).snapshot
    theirs = plain_tags(AcquiredRun, acquired).snapshot
    return of_values(
        bool(mine) and mine == theirs,
        _(
            "One reader imports and checks sources; both runs name the snapshot {snapshot}.",
            snapshot=mine,
        ),
        _(
            "The sets come from the snapshot {prepared}; the current raw data is {acquired}.",
            prepared=mine,
            acquired=theirs,
        ),
        run,
    )


@needs("prepare")
def _prepared(facts: Facts, run: RunFacts) -> Found:
    wanted = ("rows_filtered", "rows_train", "rows_test")
    lacking = [name for name in wanted if metric(run, name) is None]
    return of_values(
        run.name == "PreparacaoDados" and not lacking and "test_share" in run.params,
        _(
            "{params} parameters and {metrics} metrics.",
            params=len(run.params),
            metrics=len(run.metrics),
        ),
        _("The run is named {name} and lacks {lacking}.", name=run.name, lacking=listed(lacking)),
        run,
    )


@needs("prepare")
def _missing_dropped(facts: Facts, run: RunFacts) -> Found:
    unlabelled, other = metric(run, "rows_unlabelled"), metric(run, "rows_missing")
    return of_values(
        run.params.get("missing") == "drop",
        _(
            "Dropped: {unlabelled} rows without a label, {other} with another missing value.",
            unlabelled=number(unlabelled, 0),
            other=number(other, 0),
        ),
        _(
            "Missing values were handled in another way: `{how}`.",
            how=run.params.get("missing", "?"),
        ),
        run,
    )


@needs("prepare")
def _columns(facts: Facts, run: RunFacts) -> Found:
    taken = run.params.get("features", "").split(",")
    return of_values(
        sorted(taken) == sorted(facts.spec.features),
        _("{features} features and the target.", features=len(taken)),
        _("Other features were used: {features}.", features=listed(taken)),
        run,
    )


@needs("prepare")
def _only_development(facts: Facts, run: RunFacts) -> Found:
    rows = facts.spec.rows
    kept = run.params.get("rows_kept", "")
    other = number(metric(run, "rows_other"), 0)
    return of_values(
        kept == f"{rows.column} = {rows.development}",
        _("{rows} other rows were excluded.", rows=other),
        _("Other rows were used: {rows}.", rows=kept) if kept else _("All rows were used."),
        run,
    )


@needs("prepare")
def _dimension(facts: Facts, run: RunFacts) -> Found:
    file = facts.files.get(FILTERED)
    stated = metric(run, "rows_filtered"), metric(run, "columns_filtered")
    shown = f"({stated[0] or 0:.0f}, {stated[1] or 0:.0f})"
    if file is None:
        return Found(
            "partly",
            _("The run states {shown}, but there is no file {file}.", shown=shown, file=FILTERED),
            run,
        )
    if (file.rows, file.columns) != stated:
        actual = f"({file.rows}, {file.columns})"
        return Found(
            "partly",
            _("The run states {shown}, but the file has {actual}.", shown=shown, actual=actual),
            run,
            FILTERED,
        )
    if stated != (EXPECTED.rows, EXPECTED.columns):
        asked = f"({EXPECTED.rows}, {EXPECTED.columns})"
        return Found(
            "partly", _("{shown} instead of {asked}.", shown=shown, asked=asked), run, FILTERED
        )
    if run.is_sample:
        evidence = _(
            "{shown}, in the run and in the file, but of the built-in sample.", shown=shown
        )
        return Found("partly", evidence, run, FILTERED)
    return Found("met", _("{shown}, in the run and in the file.", shown=shown), run, FILTERED)


@needs("prepare")
def _stratified(facts: Facts, run: RunFacts) -> Found:
    train, test = metric(run, "base_rate_train"), metric(run, "base_rate_test")
    if train is None or test is None:
        return Found("partly", _("The run lacks the base rates of both sets."), run)
    both = {"positive": project.words(facts.spec.positive), "train": train, "test": test}
    return of_values(
        run.params.get("split") == "random" and abs(train - test) <= STRATIFIED,
        _(
            "At random with seed {seed}; '{positive}' {train:.2%} in train, {test:.2%} in test.",
            seed=run.params.get("seed", "?"),
            **both,
        ),
        _(
            "Split by `{split}`; '{positive}' {train:.2%} in train, {test:.2%} in test.",
            split=run.params.get("split", "?"),
            **both,
        ),
        run,
    )


@needs("prepare")
def _shares(facts: Facts, run: RunFacts) -> Found:
    share = run.params.get("test_share", "")
    train, test = metric(run, "rows_train"), metric(run, "rows_test")
    if not share or train is None or test is None:
        return Found("partly", _("The run lacks the test share or the size of a set."), run)
    return of_values(
        abs(float(share) - EXPECTED.test_share) < 1e-9,
        f"`test_share` {messages.number(float(share), 'g')}, `rows_train` {number(train)}, "
        f"`rows_test` {number(test)}.",
        _("`test_share` is {share:g}.", share=float(share)),
        run,
    )


@needs("prepare")
def _set_files(facts: Facts, run: RunFacts) -> Found:
    train, test = facts.files.get(TRAIN_SET), facts.files.get(TEST_SET)
    if train is None or test is None:
        return Found(
            "missing",
            _("`{train_set}` or `{test_set}` is missing.", train_set=TRAIN_SET, test_set=TEST_SET),
            run,
        )
    sizes = metric(run, "rows_train"), metric(run, "rows_test")
    return Found(
        "met" if (train.rows, test.rows) == sizes else "partly",
        _(
            "`{train_set}` and `{test_set}`: {train} and {test} rows.",
            train_set=TRAIN_SET,
            test_set=TEST_SET,
            train=number(train.rows),
            test=number(test.rows),
        ),
        run,
        TRAIN_SET,
    )
