"""The result of scoring many rows: figures, distribution, and the rows themselves."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import model_store, project, tracking
from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, current, listed, n_, number, sentences
from core.platform.own_columns import LABEL, PREDICTED, PREDICTION_ID, PROBABILITY, ROW_KEY
from core.platform.project import ProjectSpec
from core.platform.run_tags import Condition
from core.scoring import score
from core.scoring.records import ScoringRun
from core.stats import curves, metrics
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.stats.charts import style
from core.stats.check import one_sentence, threshold_fact, trained_on
from pages.score import scorings
from pages.shared import elements, navigation, report_view, step_jobs, table_texts

PAGE_ROWS = 100
TABLE_HEIGHT = 285
# rows left out that are shown
LISTED = 1000
# most columns with new values to name
MOST_NAMED = 3
ORDERS = {
    "sent": Message("Original order"),
    "highest": Message("Highest"),
    "lowest": Message("Lowest"),
}
KNOWN = {
    "known": Message("With label"),
    "unknown": Message("Without label"),
    "wrong": Message("Wrong predictions"),
}


def show(settings: Settings, spec: ProjectSpec, last: tracking.RunInfo) -> None:
    """Show the result of the newest scoring of many rows, or of an earlier one by choice."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_("Result"), anchor=False, width="content")
        run = scorings.chosen(settings, spec, last, one_row=False)
        if run.is_sample:
            elements.sample_badge()
        verdict(settings, run)
        details(spec, run)
    figures(settings, spec, run)
    new_levels(settings, run)
    left_out(settings, run)
    name = score.output_name(run.params["source"], run.run_id, is_sample=run.is_sample)
    try:
        path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    except NotReadyError:
        st.info(_("The result has more rows than a page shows; it is kept here:"))
        st.code(run.params.get("output") or _("unknown"), language=None)
        return
    rows = read(str(path))
    charts(settings, spec, run, rows, str(path))
    answers(spec, run, rows, name)


def details(spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Draw the runs of a scoring and its speed, on request."""
    with st.popover(_("Details"), type="tertiary"):
        st.markdown(
            f"{scorings.source_words(spec, run.params['source'])}, "
            f"{_('version {version}', version=run.params['version'])}"
        )
        navigation.run_link(run.run_id, "PipelineAplicacao")
        if model_run := ScoringRun.of(run).model_run:
            navigation.run_link(model_run, _("Model"))


@st.cache_resource(show_spinner=False, max_entries=4)
def read(path: str) -> pd.DataFrame:
    """Return the rows of a scoring; do not modify them: all sessions share them."""
    return pd.read_parquet(Path(path))


@st.cache_resource(show_spinner=False, max_entries=16)
def density(path: str, threshold: float, base_rate: float | None, language: str) -> Any:
    """Return the chart of a scoring's probabilities in a language; its file is immutable."""
    rows = read(path)[[PROBABILITY]]
    return drift_charts.probability_density(
        rows.assign(set="current"), threshold=threshold, base_rate=base_rate
    )


def verdict(settings: Settings, run: tracking.RunInfo) -> None:
    """Link to Monitor's verdict on these rows, or to the page that makes one."""
    scoring = ScoringRun.of(run).scoring or run.run_id
    reports = tracking.runs(
        settings,
        step="monitor",
        status="FINISHED",
        limit=1,
        matching=[Condition("params", "scored_by", scoring)],
    )
    if reports:
        report = ReportRun.of(reports[0])
        navigation.step_link(
            "monitor",
            elements.named(_("Monitor"), elements.fact(report.verdict_title)),
            icon=report_view.LOOKS.get(report.verdict, report_view.LOOKS["unknown"])[1],
            report=reports[0].run_id,
        )
        of = reports[0].metrics
        if known := trained_on(of.get("rows_trained_on", 0) / of["rows_current"]):
            st.caption(str(known))
    elif run.metrics["rows_scored"] < monitor.MIN_ROWS:
        st.caption(_("Monitor needs {rows:,} rows or more.", rows=monitor.MIN_ROWS))
    else:
        navigation.step_link("monitor", icon=":material/monitor_heart:", scoring=scoring)


def figures(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show the metrics of a scoring next to those of the test set."""
    of, source = run.metrics, run.params["source"]
    version = model_store.require_version(settings, run.params["model"], run.params["version"])
    trained = tracking.run(settings, ScoringRun.of(run).model_run)
    test = trained.metrics if trained else {}
    out = of.get("rows_skipped", 0) + of.get("rows_rejected", 0)
    base_rate = of.get(f"base_rate_{source}")
    rows, reached = of["rows_scored"], of["predicted_positive"]
    mean = f"mean_probability_{source}"
    usual = ("log_loss", "roc_auc", "f1", "skill")
    names = usual if spec.metric == "log_loss" else (spec.metric, "log_loss", "f1", "skill")
    positive = project.words(spec.positive)
    shown: list[tuple[Words, Words, Words]] = [
        (
            _("Rows scored"),
            number(rows, ",.0f"),
            f"{elements.named(_('With label'), number(of['rows_labelled'], ',.0f'))} · "
            + elements.named(_("Excluded"), number(out, ",.0f")),
        ),
        (
            _("Mean predicted probability"),
            # by weight, as what was observed
            number(of[mean if ScoringRun.of(run).weights else "probability_mean"], ".1%"),
            "" if base_rate is None else elements.named(_("Observed"), number(base_rate, ".1%")),
        ),
        (
            _("Predicted {label}", label=positive),
            number(reached, ",.0f"),
            listed(
                [
                    number(reached / rows if rows else 0.0, ".1%"),
                    elements.named(_("Threshold"), number(version.threshold, ".3g")),
                ],
                "unit",
            ),
        ),
    ]
    if of.get("rows_per_second"):
        speed = _("{rows:,.0f} rows/s", rows=of["rows_per_second"])
        shown.append((_("Speed"), speed, ""))
    if base_rate is not None:
        shown += [
            (
                str(metrics.TITLES[name]),
                elements.metric_text(of, f"{name}_{source}", digits),
                _beside(
                    of,
                    f"{name}_{source}",
                    digits,
                    elements.metric_text(test, f"{name}_test", digits),
                ),
            )
            for name in names
            for digits in (4 if name in ("log_loss", "skill") else 3,)
        ]
    elements.figures(shown)
    if base_rate is not None and spec.weights:
        st.caption(_by_weight(spec.weights, run))
    if base_rate is not None:
        caution(spec, run, base_rate, test)


def _by_weight(column: str, run: tracking.RunInfo) -> str:
    """Return whether the metrics are by sampling weight."""
    if ScoringRun.of(run).weights:
        text = _("The metrics count rows by the sampling weight '{column}'.", column=column)
    else:
        text = _(
            "Each row counts once: the sampling weight '{column}' is not known for all labelled "
            "rows.",
            column=column,
        )
    return elements.plain(text)


def _beside(of: dict[str, float], name: str, digits: int, test: str) -> str:
    """Return the interval of a metric, if it has one, and its value on the test set."""
    low, high = of.get(f"{name}_low"), of.get(f"{name}_high")
    if low is None or high is None:
        return f"{style.SET_LABELS['test']} {test}"
    interval = f"{number(low, f'.{digits}f')}–{number(high, f'.{digits}f')}"
    return f"{interval}; {style.SET_LABELS['test']} {test}"


def caution(
    spec: ProjectSpec, run: tracking.RunInfo, base_rate: float, test: dict[str, float]
) -> None:
    """State what F1 alone would hide; what log loss would hide is in its tooltip."""
    of, source = run.metrics, run.params["source"]
    positive = project.words(spec.positive)
    state, reached = "", of.get("predicted_positive", 0)
    if reached in (0, of["rows_scored"]):
        state = "all_positive" if reached else "none_positive"
    elif of.get(f"f1_{source}") == 0:
        state = "no_true_positive"
    # what to do about it is on Monitor
    facts: list[Words] = [one_sentence(threshold_fact(state, positive))] if state else []
    of_loss: list[Words] = []
    loss, known = of[f"log_loss_{source}"], test.get("log_loss_test")
    base = metrics.base_rate_log_loss(base_rate)
    if base == base:
        of_loss.append(Message("Always predicting the base rate gives {alone:.4f}.", alone=base))
    if known is not None and loss < known and base_rate < test.get("base_rate_test", 0.0):
        of_loss.append(
            Message(
                "{metric} is lower, but that is not an improvement: the base rate changed from "
                "{before:.1%} to {rate:.1%}.",
                metric=metrics.TITLES["log_loss"],
                before=test["base_rate_test"],
                rate=base_rate,
            )
        )
    if not facts:
        facts, of_loss = of_loss[-1:], of_loss[:-1]
    if facts:
        st.caption(str(sentences(*facts)), help=str(sentences(*of_loss)) if of_loss else None)


def new_levels(settings: Settings, run: tracking.RunInfo) -> None:
    """State how many rows have values that the training rows did not have, and which columns."""
    count = int(run.metrics.get("rows_new_levels", 0))
    if not count:
        return
    with suppress(NotReadyError):
        table = elements.table(settings, run.run_id, "new_levels")
        columns = [
            _("{column} ({rows:,}, such as {value})", column=name, rows=rows, value=repr(value))
            for name, rows, value in table.head(MOST_NAMED).itertuples(index=False)
        ]
        st.caption(
            n_(
                "{count:,} row has a value that the training rows did not have: {columns}.",
                "{count:,} rows have values that the training rows did not have: {columns}.",
                count,
                columns=elements.plain(listed(columns)),
            )
        )


def left_out(settings: Settings, run: tracking.RunInfo) -> None:
    """List the rows that could not be scored, by row, column, value and reason."""
    count = int(run.metrics.get("rows_rejected", 0))
    if not count:
        return
    st.warning(elements.named(_("Excluded"), n_("{count:,} row", "{count:,} rows", count)))
    with st.expander(_("Details")):
        with suppress(NotReadyError):
            stored = elements.table(settings, run.run_id, "rejected")
            rejected = stored.assign(reason=stored["reason"].map(elements.words))
            st.dataframe(
                table_texts.localized(rejected.head(LISTED)),
                hide_index=True,
                height=240,
                column_config={
                    "row": st.column_config.NumberColumn(
                        _("Row"), help=_("Counted from 0, below the header.")
                    ),
                    "column": _("Column"),
                    "value": _("Value"),
                    "reason": _("Why"),
                },
            )
            if len(rejected) > LISTED:
                text = _("{shown:,} of {rows:,} rows", shown=LISTED, rows=len(rejected))
                st.caption(text)
            elements.download(
                f"{_('Excluded')} (CSV)",
                lambda: export.csv(rejected),
                f"left_out_{run.run_id[:12]}.csv",
            )

        step_jobs.validation(settings, run.run_id)


def charts(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, rows: pd.DataFrame, path: str
) -> None:
    """Draw the probabilities and, with labels, the confusion matrix."""
    version = model_store.require_version(settings, run.params["model"], run.params["version"])
    base_rate = run.metrics.get(f"base_rate_{run.params['source']}")
    left, right = elements.side_by_side()
    with left:
        st.markdown(_("**How are the predicted probabilities distributed?**"))
        elements.chart(density(path, version.threshold, base_rate, current()))
    known = rows[LABEL].notna().to_numpy()
    if known.any():
        with right:
            st.markdown(f"**{_('Is the predicted class right?')}**")
            table = curves.confusion(
                rows[LABEL].to_numpy()[known].astype(int),
                rows[PROBABILITY].to_numpy()[known],
                version.threshold,
            )
            elements.chart(
                model_charts.confusion(
                    table,
                    positive=str(project.words(spec.positive)),
                    negative=str(project.words(spec.negative)),
                )
            )


def answers(spec: ProjectSpec, run: tracking.RunInfo, rows: pd.DataFrame, name: str) -> None:
    """Show the filtered rows page by page, and offer them as files."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_('Predictions')}**", width="content")
        with st.popover(_("Filter"), icon=":material/filter_alt:"):
            chosen = rows_chosen(spec, rows, run.run_id)
        is_whole = st.toggle(_("All columns"), key=f"columns-{run.run_id}")
        st.caption(
            _("{shown:,} of {rows:,} rows", shown=len(chosen), rows=len(rows)), width="content"
        )
    pages = max(1, -(-len(chosen) // PAGE_ROWS))
    # keyed by the filter: another selection starts on its first page
    key = f"page-{run.run_id}-{hashlib.sha256(chosen.tobytes()).hexdigest()[:12]}"
    page = min(max(int(st.session_state.get(key) or 1), 1), pages)
    part = rows.iloc[chosen[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]]
    words = scorings.classes(spec)
    inputs = [column for column in rows.columns if column in spec.columns]
    outcome = [ROW_KEY, PROBABILITY, PREDICTED, LABEL]
    st.dataframe(
        table_texts.localized(
            part.assign(**{name: part[name].map(words) for name in (PREDICTED, LABEL)})
        ),
        hide_index=True,
        height=TABLE_HEIGHT,
        placeholder="–",
        column_order=[*outcome, *inputs, PREDICTION_ID] if is_whole else [*outcome, *inputs[:2]],
        column_config={
            ROW_KEY: spec.id,
            PROBABILITY: st.column_config.ProgressColumn(
                _("Probability of {positive}", positive=words[1]),
                min_value=0,
                max_value=1,
                format="percent",
            ),
            PREDICTED: _("Predicted class"),
            LABEL: _("Actual"),
            PREDICTION_ID: _("Prediction id"),
        },
    )
    every = len(chosen) == len(rows)
    kept = rows if every else rows.iloc[chosen]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.number_input(_("Page"), 1, pages, 1, key=key, width=140, label_visibility="collapsed")
        st.caption(f"/ {number(pages)}", width="content")
        help_text = None if every else f"{number(len(kept))} / {number(len(rows))}"
        elements.download("CSV", lambda: export.csv(kept), f"{name}.csv", help=help_text)
        elements.download(
            "Parquet", lambda: kept.to_parquet(index=False), f"{name}.parquet", help=help_text
        )


def rows_chosen(spec: ProjectSpec, rows: pd.DataFrame, run_id: str) -> np.ndarray:
    """Draw the filters, and return the positions of the matching rows, in the selected order."""
    low, high = st.slider(
        _("Probability"), 0, 100, (0, 100), format="%d%%", key=f"between-{run_id}"
    )
    called = st.pills(
        _("Predicted"),
        [1, 0],
        format_func=scorings.classes(spec).__getitem__,
        key=f"called-{run_id}",
    )
    known = st.pills(
        _("Label"), list(KNOWN), format_func=lambda code: str(KNOWN[code]), key=f"known-{run_id}"
    )
    order = st.selectbox(
        _("Order"), list(ORDERS), format_func=lambda code: str(ORDERS[code]), key=f"order-{run_id}"
    )
    sought = st.text_input(f"{spec.id}, {_('Prediction id')}", key=f"sought-{run_id}").strip()
    probability = rows[PROBABILITY].to_numpy(dtype=float)
    predicted, label = rows[PREDICTED].to_numpy(), rows[LABEL].to_numpy(dtype=float)
    keep = (probability >= low / 100) & (probability <= high / 100)
    if called is not None:
        keep &= predicted == called
    if known:
        is_labelled = ~np.isnan(label)
        wrong = is_labelled & (label != predicted)
        keep &= {"known": is_labelled, "unknown": ~is_labelled, "wrong": wrong}[known]
    if sought:
        holds = np.zeros(len(rows), dtype=bool)
        for name in (ROW_KEY, PREDICTION_ID):
            if name in rows:
                holds |= (
                    rows[name].astype("object").str.contains(sought, regex=False, na=False)
                ).to_numpy(dtype=bool)
        keep &= holds
    places = np.flatnonzero(keep)
    if order != "sent":
        sign = -1 if order == "highest" else 1
        places = places[np.argsort(sign * probability[places], kind="stable")]
    return places
