"""Prepare: select features and rows, and split them into a training and a test set."""

import json
from contextlib import suppress
from dataclasses import asdict

import pandas as pd
from pydantic import ValidationError

from core.data import data_charts, prepare, snapshots, split, split_checks
from core.platform import storage, tracking
from core.stats.charts import drift as drift_charts
from pages.shared import code_snippets, drafts, elements
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold(
    "prepare",
    "feature-set",
    "features",
    "rows-*",
    "missing",
    "split",
    "test-from",
    "test-share",
    "split-seed",
)
STORE = settings.mlflow_uri
OWN = "My own"
SPLITS = {"random": "At random", "time": "By time", "group": "By group"}
MISSING = {
    "drop": "Drop the row",
    "drop_inputs": "Drop it if a feature needs the value",
    "impute": "Impute in the model",
}


def form(snapshot: snapshots.Snapshot, before: prepare.Options) -> None:
    """Draw the options, as last used, and the button that prepares."""
    features = choose_features(before)
    rows = choose_rows(snapshot, before)
    with st.container(horizontal=True):
        missing = st.segmented_control(
            "A row with a missing value",
            list(MISSING),
            format_func=MISSING.__getitem__,
            default=before.missing,
            required=True,
            key="missing",
            help=f"Drop every row that misses a value in any of the {len(spec.columns)} columns, "
            "or only those that miss one that the features come from. Or keep them: the model's "
            "own pipeline then fills in the median or the most frequent name, in training and "
            "when it is served. A row without label is always dropped.",
        )
        offered = [name for name in SPLITS if name != "group" or spec.group]
        how = st.segmented_control(
            "Split",
            offered,
            format_func=SPLITS.__getitem__,
            default=before.split,
            required=True,
            key="split",
            help="At random: the same share of each class in both sets. By time: the "
            f"earlier rows train. By group: no {spec.group or 'group'} has rows on both sides.",
        )
    test_from = None
    if how == "time":
        test_from = (
            st.text_input(
                f"First {spec.time} of the test set",
                value=before.test_from or "",
                placeholder="by the test share",
                key="test-from",
                help="Leave it empty to cut where the test share is met.",
            ).strip()
            or None
        )
    left, right = st.columns(2)
    share = left.number_input(
        "Test share",
        min_value=0.0,
        max_value=1.0,
        value=before.test_share,
        step=0.05,
        format="%.2f",
        disabled=test_from is not None,
        key="test-share",
        help="Share of the rows that only judges the model.",
    )
    seed = right.number_input(
        "Seed",
        min_value=0,
        max_value=2**32 - 1,
        value=before.seed,
        step=1,
        key="split-seed",
        help="The same seed draws the same rows.",
    )
    if st.button("Prepare", type="primary", icon=":material/filter_alt:"):
        if features is not None and not features:
            st.error("No feature is chosen. Choose at least one.")
        else:
            elements.submit(
                settings,
                "prepare",
                prepare.Options,
                features=features,
                rows=rows,
                missing=missing,
                split=how,
                test_share=share,
                test_from=test_from,
                seed=int(seed),
            )
    elements.job_panel(settings, "prepare")


def last_choices(prepared: storage.Prepared | None) -> prepare.Options:
    """Return the options of the current sets; the defaults without any."""
    if prepared is None or prepared.project != settings.project:
        return prepare.Options()
    with suppress(ValidationError):  # from another version of the app
        return prepare.Options(**prepared.options)
    return prepare.Options()


def choose_features(before: prepare.Options) -> tuple[str, ...] | None:
    """Return the selected features; None for the project's own."""
    sets = {feature_set.title: feature_set for feature_set in spec.feature_sets}
    last = before.features or spec.features
    titles = {spec.features: spec.features_title, **{sets[name].features: name for name in sets}}
    title = st.segmented_control(
        "Features",
        [spec.features_title, *sets, OWN],
        default=titles.get(last, OWN),
        required=True,
        key="feature-set",
    )
    if title == spec.features_title:
        st.caption(", ".join(spec.features))
        return None
    if title in sets:
        st.caption(f"{sets[title].about}  \n{', '.join(sets[title].features)}")
        return sets[title].features
    kept = (spec.target, spec.id)
    offered = [*(name for name in spec.columns if name not in kept), *spec.engineered]
    chosen = st.multiselect(
        "Columns and computed features",
        offered,
        key="features",
        default=[name for name in last if name in offered],
        format_func=lambda name: f"{name} — {spec.about(name)}",
    )
    after = [name for name in chosen if spec.recorded_after(name)]
    if after:
        st.warning(
            f"{', '.join(after)}: noted only after what is predicted. A model that uses it "
            "describes; it does not foresee."
        )
    if spec.group in chosen:
        st.warning(f"{spec.group} names rows. A model can learn them by heart.")
    return tuple(chosen)


def choose_rows(
    snapshot: snapshots.Snapshot, before: prepare.Options
) -> dict[str, tuple[str, ...]] | None:
    """Return the selected filter; None for the project's development rows."""
    column = spec.rows.column
    last = split.default_rows(spec) if before.rows is None else before.rows
    counts = values_of(snapshot)
    if column not in counts:
        return None
    # offered even if there are none: all rows are kept only on an explicit choice
    counts[column].setdefault(spec.rows.development, 0)
    if not counts[column][spec.rows.development]:
        st.warning(
            f"The raw data holds no {spec.rows.development_name}. Acquire some, or choose others."
        )
    with st.expander(f"Rows: {spec.rows.development_name}, unless you choose others"):
        remaining = {
            name: [value for value in values if value in counts.get(name, {})]
            for name, values in last.items()
        }
        if last.get(column) and not remaining[column]:
            remaining[column] = [spec.rows.development]
        chosen = {
            name: st.multiselect(
                name,
                list(counts[name]),
                key=f"rows-{name}",
                help=spec.columns[name].about,
                default=remaining.get(name, []),
                format_func=lambda value, name=name: f"{value} ({counts[name][value]:,})",
                placeholder="All rows" if name == column else "All",
            )
            for name in dict.fromkeys((column, *spec.slices))
            if name in counts
        }
    wanted = {name: tuple(values) for name, values in chosen.items() if values}
    if wanted == split.default_rows(spec):
        return None
    st.caption(f"Rows chosen: {elements.plain(split.filter_text(wanted))}")
    return wanted


def values_of(snapshot: snapshots.Snapshot) -> dict[str, dict[str, int]]:
    """Return the values of the filter columns, and how many rows have each."""
    run = tracking.finished_run(settings, snapshot.run_id)
    if run is None:
        return {}
    table = elements.table(settings, STORE, run.run_id, "values")
    return {
        str(name): dict(zip(part["value"], part["rows"], strict=True))
        for name, part in table.groupby("column", sort=False)
    }


def prepared_state(prepared: storage.Prepared) -> None:
    run = tracking.finished_run(settings, prepared.run_id)
    if run is None:
        st.info(
            "The run that prepared these sets has not ended yet, or is not in this MLflow store. "
            "If nothing is running, prepare again."
        )
        return
    of, word = run.metrics, spec.positive
    elements.figures(
        [
            (
                "Filtered",
                f"({of['rows_filtered']:.0f}, {of['columns_filtered']:.0f})",
                f"rows, columns; of {of['rows_raw']:,.0f} rows",
            ),
            ("Train", f"{of['rows_train']:,.0f} rows", f"{of['base_rate_train']:.1%} {word}"),
            ("Test", f"{of['rows_test']:,.0f} rows", f"{of['base_rate_test']:.1%} {word}"),
            (
                "Left out",
                f"{of['rows_raw'] - of['rows_filtered']:,.0f} rows",
                f"{of['rows_other']:,.0f} not wanted, {of.get('rows_unlabelled', 0):,.0f} without "
                f"label, {of['rows_missing']:,.0f} miss a value",
            ),
        ]
    )
    if not prepared.is_complete:
        st.caption(
            f"{of.get('values_imputed', 0):,.0f} missing values stand in the kept rows. The model "
            "imputes them."
        )
    elements.run_link(prepared.run_id, "PreparacaoDados")
    st.subheader("3. Is the split to be trusted?", anchor=False)
    split_state(run)
    st.subheader("4. Lineage", anchor=False)
    lineage(prepared)


def split_state(run: tracking.RunInfo) -> None:
    checks = elements.table(settings, STORE, run.run_id, "split_checks")
    elements.check_table(checks, columns=("Found", "Wanted"), limits=True)
    leaks = elements.table(settings, STORE, run.run_id, "leakage")
    for text in leaks["text"]:
        st.warning(elements.plain(text))
    left, right = elements.side_by_side()
    with left:
        st.markdown("**Classes in each set**")
        balance = elements.table(settings, STORE, run.run_id, "class_balance")
        elements.chart(
            data_charts.class_balance(balance, positive=spec.positive, negative=spec.negative)
        )
        st.markdown("**Missing values in the raw rows**")
        missing = elements.table(settings, STORE, run.run_id, "missing")
        if missing["missing"].any():
            elements.chart(
                data_charts.missing_bars(
                    missing[missing["missing"] > 0], rows=int(run.metrics["rows_raw"])
                )
            )
        else:
            st.caption("None.")
    with right:
        st.markdown("**How far test lies from train (PSI)**")
        moved = elements.table(settings, STORE, run.run_id, "split_drift")
        elements.chart(drift_charts.psi_bars(moved, sets=("train", "test")))


def lineage(prepared: storage.Prepared) -> None:
    options = prepared.options
    cut = (
        f"from {options['test_from']} on"
        if options.get("test_from")
        else (f"share {options['test_share']:g}, seed {options['seed']}")
    )
    rows = split.filter_text(options["rows"])
    missing = {
        "drop": "dropped, whichever column misses it",
        "drop_inputs": "dropped where a feature needs the value",
        "impute": "kept, imputed in the model's pipeline",
    }[options["missing"]]
    facts = [
        ("Raw snapshot", f"{prepared.snapshot}, came as {prepared.source}"),
        ("Its SHA-256", f"{prepared.digest[:16]}…"),
        ("Rows", rows),
        ("Features", ", ".join(prepared.features)),
        ("Columns in the sets", ", ".join([*prepared.inputs, spec.target])),
        ("Rows with missing values", missing),
        ("Split", f"{split_checks.SPLITS[options['split']]}, {cut}"),
        ("Run", prepared.run_id),
        ("Commit of the code", prepared.commit),
        *((f"SHA-256 of {name}", f"{digest[:16]}…") for name, digest in prepared.digests.items()),
    ]
    table = pd.DataFrame(facts, columns=["What", "Which"])
    st.table(table.assign(Which=table["Which"].map(elements.plain)), hide_index=True)
    st.caption(
        "The same snapshot and the same choices give the same bytes. The run keeps the sets and "
        "this record, and names the data sets by these digests; the file has them in full length."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Lineage (JSON)",
            json.dumps(asdict(prepared), indent=2),
            file_name=f"lineage_{prepared.run_id[:12]}.json",
            icon=":material/download:",
            on_click="ignore",
        )
        raw = snapshots.current(settings)
        if raw is not None and raw.id == prepared.snapshot:
            elements.run_link(raw.run_id, "AquisicaoDados")
        elements.run_link(prepared.run_id, "PreparacaoDados")


elements.header(
    "Prepare",
    f"Choose features and rows (the complete {spec.rows.development_name}, unless you choose "
    "others), and set some aside to test the model on.",
    is_sample=elements.current_is_sample(settings),
)
with elements.show_errors():
    snapshot = snapshots.current(settings)
    if snapshot is None:
        st.info("No raw data yet. Acquire it first.")
        st.page_link(
            "pages/acquire/page.py", label="Go to Acquire", icon=":material/arrow_forward:"
        )
        code_snippets.panel(settings, "prepare")
        st.stop()
    elements.wait_for_store()
    st.subheader("1. Choices", anchor=False)
    prepared = storage.current_prepared(settings)
    form(snapshot, last_choices(prepared))
    st.subheader("2. Train and test set", anchor=False)
    if prepared is None:
        st.info("Nothing prepared yet. By default 20% of the rows are set aside as test set.")
    else:
        if prepared.digest != snapshot.digest:
            st.warning("The raw data changed since these sets were made. Prepare again.")
        elif prepared.rules != spec.digest:
            st.warning("The project file changed since these sets were made. Prepare again.")
        prepared_state(prepared)
code_snippets.panel(settings, "prepare")
