"""The view Prepare: choose features, rows and split; the resulting sets at the right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from core.data import data_charts, prepare, snapshots, split, split_checks
from core.platform import messages, permissions, project, storage, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, n_, number
from core.platform.project import ProjectSpec
from core.stats.charts import drift as drift_charts
from pages.data import chips
from pages.shared import elements, navigation, step_jobs

# of the form's widgets
KEYS = (
    "feature-set",
    "features",
    "rows-*",
    "missing",
    "split",
    "test-from",
    "test-share",
    "split-seed",
)
OWN = "own"
# values of the row filter from a link, and whether the filter is open
ASKED, OPEN = "asked-rows", "filter-open"

MISSING = {
    "drop": Message("Drop the row"),
    "drop_inputs": Message("Drop it if a feature needs the value"),
    "impute": Message("Impute in the model"),
}


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the form, and the current training and test set at its right."""
    snapshot = snapshots.current(settings)
    if snapshot is None and step_jobs.job_panel(settings, "acquire"):
        return
    if snapshot is None:
        st.info(_("No raw data yet. Acquire it first."))
        navigation.go_to("acquire")
        return
    running = step_jobs.chain_panel(settings, "prepare")
    running = step_jobs.job_panel(settings, "prepare") or running
    prepared = None
    with elements.show_errors():
        prepared = storage.current_prepared(settings)
    changed = {
        _("Data"): prepared is not None and prepared.digest != snapshot.digest,
        _("Project file"): prepared is not None and prepared.rules != spec.digest,
    }
    if any(changed.values()):
        st.warning(navigation.changed("prepare", *(what for what in changed if changed[what])))
    left, right = elements.side_by_side()
    with left:
        st.subheader(_("Prepare"), anchor=False)
        before = last_choices(settings, prepared)
        is_linked = form(settings, spec, snapshot, before, disabled=running)
    run = None
    with right:
        st.subheader(_("Training and test set"), anchor=False)
        if prepared is None:
            st.info(_("Nothing here yet."))
            return
        run = tracking.finished_run(settings, prepared.run_id)
        if run is None:
            st.info(navigation.run_again("prepare"))
            return
        if is_linked:
            st.warning(_("Prepared before this selection."))
        sizes(spec, prepared, run)
        st.subheader(_("Split quality"), anchor=False)
        checks = elements.table(settings, run.run_id, "split_checks")
        quality(settings, run, checks)
        navigation.step_link(
            "train", Message("Go to {page}", page=navigation.STEPS["train"][1]), view="candidates"
        )
    charts(settings, spec, run)
    with st.expander(_("All checks")):
        elements.check_table(checks, columns=(_("Actual"), _("Expected")), limits=True)
    with st.expander(_("Lineage")):
        lineage(prepared, spec)


def form(
    settings: Settings,
    spec: ProjectSpec,
    snapshot: snapshots.Snapshot,
    before: prepare.Options,
    *,
    disabled: bool,
) -> bool:
    """Draw the options, as last used, and the button that prepares.

    Returns whether a link has selected the rows.
    """
    # rows selected by a link are ready to be prepared: the button is above the form
    top = st.container()
    features = choose_features(spec, before, disabled=disabled)
    rows, linked = choose_rows(settings, spec, snapshot, before, disabled=disabled)
    missing = elements.choose(
        _("Rows with missing values"),
        MISSING,
        "missing",
        default=before.missing or spec.missing,
        disabled=disabled,
        help=_(
            "Imputed: the model's pipeline fills in the median or the most frequent value. Rows "
            "without a label are always dropped."
        ),
    )
    needs = {"time": spec.time, "group": spec.group}
    offered = {
        name: elements.capital(title)
        for name, title in split_checks.SPLITS.items()
        if needs.get(name, "random")
    }
    how = elements.choose(
        _("Split"),
        offered,
        "split",
        default=before.split if before.split in offered else "random",
        disabled=disabled,
        help=_(
            "At random, each class has the same share in both sets; by time, the earlier rows "
            "train; by group, no group is in both sets."
        ),
    )
    test_from = None
    if how == "time":
        test_from = (
            st.text_input(
                _("First {column} of the test set", column=spec.time),
                value=before.test_from or "",
                placeholder=_("Test share"),
                key="test-from",
                disabled=disabled,
            ).strip()
            or None
        )
    left, right = st.columns(2)
    share = left.number_input(
        _("Test share"),
        0.0,
        1.0,
        before.test_share,
        0.05,
        format="%.2f",
        disabled=disabled or test_from is not None,
        key="test-share",
    )
    seed = right.number_input(
        _("Seed"), 0, 2**32 - 1, before.seed, 1, key="split-seed", disabled=disabled
    )
    place = top if linked else st.container()
    if linked:
        top.info(
            _("Rows from the report: {rows}. Prepare these rows, then train.", rows=linked),
            icon=":material/filter_alt:",
        )
    if place.button(
        _("Prepare"),
        type="primary",
        icon=":material/filter_alt:",
        key="prepare",
        disabled=not permissions.may("prepare") or disabled,
    ):
        if features is not None and not features:
            st.error(_("Required: {field}.", field=_("Features")))
            return bool(linked)
        step_jobs.submit(
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
        if step_jobs.is_going(settings, "prepare"):
            st.rerun()
    return bool(linked)


def last_choices(settings: Settings, prepared: storage.Prepared | None) -> prepare.Options:
    """Return the options of the current sets; the defaults without any."""
    if prepared is None or prepared.project != settings.project:
        return prepare.Options()
    with suppress(ValidationError):  # from another version of the app
        return prepare.Options(**prepared.options)
    return prepare.Options()


def choose_features(
    spec: ProjectSpec, before: prepare.Options, *, disabled: bool
) -> tuple[str, ...] | None:
    """Return the selected features; None for the project's own."""
    sets = {feature_set.title: feature_set for feature_set in spec.feature_sets}
    last = before.features or spec.features
    titles = {spec.features: spec.features_title, **{sets[name].features: name for name in sets}}
    named = {name: project.words(name) for name in (spec.features_title, *sets)}
    title = elements.choose(
        _("Features"),
        {**named, OWN: _("Custom selection")},
        "feature-set",
        default=titles.get(last, OWN),
        disabled=disabled,
    )
    if title == spec.features_title:
        st.caption(", ".join(spec.features))
        return None
    if title in sets:
        names = ", ".join(sets[title].features)
        st.caption(f"{project.words(sets[title].about)}  \n{names}")
        return sets[title].features
    kept = (spec.target, spec.id, spec.weights, *spec.derived)
    offered = [*(name for name in spec.columns if name not in kept), *spec.engineered]
    chosen = st.multiselect(
        _("Columns"),
        offered,
        key="features",
        disabled=disabled,
        default=[name for name in last if name in offered],
        format_func=lambda name: (
            name if spec.about(name) == name else f"{name} — {project.words(spec.about(name))}"
        ),
    )
    if after := [name for name in chosen if spec.recorded_after(name)]:
        st.warning(elements.known_too_late(after))
    if spec.group in chosen:
        st.warning(_("{column} identifies rows: a model can memorise them.", column=spec.group))
    return tuple(chosen)


def choose_rows(
    settings: Settings,
    spec: ProjectSpec,
    snapshot: snapshots.Snapshot,
    before: prepare.Options,
    *,
    disabled: bool,
) -> tuple[dict[str, tuple[str, ...]] | None, str]:
    """Return the selected filter, and what its rows are called if a link selected them.

    The filter is None for the project's development rows.
    """
    column = spec.rows.column
    last = split.default_rows(spec) if before.rows is None else before.rows
    counts = values_of(settings, snapshot)
    if column not in counts:
        return None, ""
    name_of_rows = spec.rows.reference_rows
    # offered even if there are none: all rows are kept only on an explicit choice
    counts[column].setdefault(spec.rows.development, 0)
    if not counts[column][spec.rows.development]:
        st.warning(
            _("The raw data contains no {rows}. Acquire some, or choose others.", rows=name_of_rows)
        )
    names = [name for name in dict.fromkeys((column, *spec.slices)) if name in counts]
    remaining = {
        name: [value for value in last.get(name, ()) if value in counts[name]] for name in names
    }
    if last.get(column) and not remaining[column]:
        remaining[column] = [spec.rows.development]
    for name in names:
        st.session_state.setdefault(f"rows-{name}", remaining[name])
    select_asked(column, counts, names)
    wanted = {name: tuple(st.session_state[f"rows-{name}"]) for name in names}
    wanted = {name: values for name, values in wanted.items() if values}
    text = elements.plain(str(split.rows_name(spec, wanted) or split.filter_text(wanted)))
    asked = st.session_state.get(ASKED)
    is_linked = asked == wanted.get(column) and asked != tuple(last.get(column, ()))
    # a column that Courtside derives is not a column of the table
    called = {value: str(split.rows_name(spec, {column: [value]})) for value in counts[column]}
    is_own = spec.rows.is_derived

    def option(name: str, value: str) -> str:
        shown = called[value] if is_own and name == column else value
        return f"{shown or value} ({number(counts[name][value])})"

    with st.expander(f"{_('Rows')}: {text}", key=OPEN, on_change="rerun"):
        for name in names:
            st.multiselect(
                _("Rows") if is_own and name == column else name,
                list(counts[name]),
                key=f"rows-{name}",
                disabled=disabled,
                help=str(project.words(spec.columns[name].about)),
                format_func=lambda value, name=name: option(name, value),
                placeholder=_("All"),
            )
    is_default = wanted == split.default_rows(spec)
    return None if is_default else wanted, text if is_linked else ""


def select_asked(
    column: str, counts: Mapping[str, Mapping[str, int]], names: Sequence[str]
) -> None:
    """Select the rows that the address names, once, and open the filter."""
    asked = tuple(value for value in st.query_params.get_all("rows") if value in counts[column])
    if "rows" in st.query_params:
        del st.query_params["rows"]
    if not asked:
        return
    for name in names:
        st.session_state[f"rows-{name}"] = list(asked) if name == column else []
    st.session_state[ASKED], st.session_state[OPEN] = asked, True


def values_of(settings: Settings, snapshot: snapshots.Snapshot) -> dict[str, dict[str, int]]:
    """Return the values of the filter columns, and how many rows have each."""
    run = tracking.finished_run(settings, snapshot.run_id)
    if run is None:
        return {}
    table = elements.table(settings, run.run_id, "values")
    return {
        str(name): dict(zip(part["value"], part["rows"], strict=True))
        for name, part in table.groupby("column", sort=False)
    }


def sizes(spec: ProjectSpec, prepared: storage.Prepared, run: tracking.RunInfo) -> None:
    """Draw the number of rows in each set, and the reasons for excluded rows."""
    of, positive = run.metrics, project.words(spec.positive)

    def rows(count: float) -> str:
        return n_("{count:,} row", "{count:,} rows", int(count))

    def share(name: str) -> str:
        return f"{number(of[f'base_rate_{name}'], '.1%')} {positive}"

    elements.figures(
        [
            (_("Training set"), rows(of["rows_train"]), share("train")),
            (_("Test set"), rows(of["rows_test"]), share("test")),
            (
                _("Filtered"),
                rows(of["rows_filtered"]),
                n_("{count:,} column", "{count:,} columns", int(of["columns_filtered"])),
            ),
            (
                _("Excluded"),
                rows(of["rows_raw"] - of["rows_filtered"]),
                _("of {count:,} rows", count=int(of["rows_raw"])),
            ),
        ]
    )
    other, unlabelled = int(of["rows_other"]), int(of.get("rows_unlabelled", 0))
    missing = int(of["rows_missing"])
    incomplete = (
        _("With a missing value, dropped")
        if spec.weights is None
        else _("With a missing value or sampling weight 0, dropped")
    )
    reasons = [
        elements.named(name, number(count))
        for count, name in (
            (other, _("Outside the row filter")),
            (unlabelled, _("Without label")),
            (missing, incomplete),
        )
        if count
    ]
    if reasons:
        st.caption(messages.listed(reasons, "unit"))
    if not prepared.is_complete:
        imputed = number(of.get("values_imputed", 0), ",.0f")
        st.caption(elements.named(MISSING["impute"], imputed))


def quality(settings: Settings, run: tracking.RunInfo, checks: pd.DataFrame) -> None:
    """Draw a chip for each check of the split, and the texts of those that are not ok."""
    judged = [
        (elements.words(title), str(verdict), elements.words(text))
        for title, verdict, text in zip(
            checks["title"], checks["verdict"], checks["text"], strict=True
        )
    ]
    chips.draw(judged)
    for title, verdict, text in judged:
        if verdict in ("warning", "alert"):
            (st.error if verdict == "alert" else st.warning)(
                f"**{elements.plain(title)}.** {elements.plain(text)}"
            )
    leaks = elements.table(settings, run.run_id, "leakage")
    if not leaks.empty:
        st.warning("\n".join(f"- {elements.fact(text)}" for text in leaks["text"]))


def charts(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Draw the classes and the drift of the two sets, and the missing values of the raw rows."""
    left, right = elements.side_by_side()
    positive, negative = elements.classes(spec)
    words = {spec.positive: positive, spec.negative: negative}

    def table(name: str) -> pd.DataFrame:
        return elements.table(settings, run.run_id, name)

    with left:
        elements.question(_("Are the classes alike in both sets?"))
        balance = table("class_balance")
        balance = balance.assign(label=balance["label"].replace(words))
        elements.chart(data_charts.class_balance(balance, positive=positive, negative=negative))
        elements.question(_("Which raw columns have missing values?"))
        missing = table("missing")
        if missing["missing"].any():
            elements.chart(
                data_charts.missing_bars(
                    missing[missing["missing"] > 0], rows=int(run.metrics["rows_raw"])
                )
            )
        else:
            st.caption("–")
    with right:
        elements.question(_("Are the columns alike in both sets?"))
        elements.chart(drift_charts.psi_bars(table("split_drift"), sets=("train", "test")))


def lineage(prepared: storage.Prepared, spec: ProjectSpec) -> None:
    """Draw the origin of the sets."""
    options = prepared.options
    cut = (
        f"≥ {options['test_from']}"
        if options.get("test_from")
        else f"{_('Test share')} {number(options['test_share'], 'g')}, "
        f"{_('Seed')} {options['seed']}"
    )
    source = snapshots.SOURCE_LABELS.get(prepared.source, prepared.source)
    facts = [
        (_("Snapshot"), f"{prepared.snapshot} ({source})"),
        ("SHA-256", f"{prepared.digest[:16]}…"),
        (_("Rows"), str(split.filter_text(options["rows"]))),
        (_("Features"), ", ".join(prepared.features)),
        (_("Columns"), ", ".join([*prepared.inputs, spec.target])),
        (_("Rows with missing values"), str(MISSING[options["missing"]])),
        (_("Split"), f"{split_checks.SPLITS[options['split']]}, {cut}"),
        (_("Run"), prepared.run_id),
        (_("Commit"), prepared.commit),
        *((f"SHA-256 {name}", f"{digest[:16]}…") for name, digest in prepared.digests.items()),
    ]
    elements.fact_table(facts)


def lineage_file(prepared: storage.Prepared) -> None:
    """Draw the download of the sets' origin."""
    elements.download(
        f"{_('Lineage')} (JSON)",
        json.dumps(asdict(prepared), indent=2),
        f"lineage_{prepared.run_id[:12]}.json",
        type="tertiary",
    )
