"""Registered versions: their table, the card of one, and comparisons of two."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, _, in_context, n_, number, p_, sentences
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.registry import model_card, model_facts, registry
from core.registry.records import PromotionRun
from core.stats import metrics, thresholds
from core.stats.charts import models as model_charts
from core.training import candidates as kinds
from core.training import evaluation_charts
from pages.shared import aliases, elements

VERDICTS = {
    "pass": Message(":green-badge[pass]"),
    "hold": Message(":orange-badge[hold]"),
    "refuse": Message(":red-badge[refuse]"),
    "not_applicable": Message(":gray-badge[not applicable]"),
}
# decision -> what it is called, also in a dry run, and its colour
DECISIONS = {
    "promote": (Message("promoted"), Message("would be promoted"), "green"),
    "hold": (Message("held back"), Message("would be held back"), "orange"),
    "refuse": (in_context("gate", "refused"), Message("would be refused"), "red"),
    "override": (
        Message("promoted against the rules"),
        Message("would be promoted against the rules"),
        "violet",
    ),
    "unchanged": (Message("unchanged"), Message("would be unchanged"), "gray"),
}
# what moved the champion
MOVES = {
    "first": Message("first champion"),
    "promote": Message("promotion"),
    "override": Message("promotion against the rules"),
    "rollback": Message("rollback"),
}
Figures = Mapping[str, Mapping[str, float]]


def candidate(version: ModelVersion) -> str:
    """Return the display name of a version's candidate."""
    kind = version.about.candidate
    return str(kinds.title(kind)) if kind else _("unknown kind")


def person(name: Words) -> str:
    """Return who decided, in words."""
    return _("unknown") if name == registry.UNKNOWN else elements.words(name)


def move(decision: str) -> str:
    """Return what moved the champion, in words."""
    return str(MOVES.get(decision, Message("unknown")))


def name(version: ModelVersion) -> str:
    """Return a version's label in a selection."""
    held = f" ({aliases.listed(version.aliases)})" if version.aliases else ""
    made_up = f" · {elements.data_word(is_sample=True)}" if version.is_sample else ""
    return f"{version.version}{held} · {candidate(version)}{made_up}"


def figures(settings: Settings, listed: Sequence[ModelVersion]) -> Figures:
    """Return the metrics of the versions' runs; runs are immutable, so they are cached."""
    ids = tuple((version.version, version.run_id) for version in listed)
    return _figures(settings, listed, settings.mlflow_uri, ids)


@st.cache_data(show_spinner=False, max_entries=8)
def _figures(
    _settings: Settings,
    _listed: Sequence[ModelVersion],
    store: str,
    ids: tuple[tuple[str, str], ...],
) -> Figures:
    return model_facts.figures_of(_settings, _listed)


def choose(settings: Settings, listed: Sequence[ModelVersion], measured: Figures) -> ModelVersion:
    """Show all versions as a table, and return the one selected in it or by its number."""
    numbers = [version.version for version in listed]
    if st.session_state.get("version") not in numbers:
        linked = st.query_params.get("version", "")
        champion = next(
            (version.version for version in listed if model_store.CHAMPION in version.aliases), ""
        )
        wanted = [choice for choice in (linked, champion) if choice in numbers]
        st.session_state["version"] = (wanted or numbers)[0]

    def take() -> None:
        if rows := st.session_state["versions"]["selection"]["rows"]:
            st.session_state["version"] = numbers[rows[0]]

    column = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame([_row(version, measured.get(version.version, {})) for version in listed]),
        hide_index=True,
        height="auto" if len(listed) <= 8 else 318,
        on_select=take,
        selection_mode="single-row",
        key="versions",
        column_config={
            "version": column(_("Version"), format="%d", width=70),
            "aliases": _("Aliases"),
            "candidate": _("Candidate"),
            "log_loss": column(_("Log loss, test"), format="%.4f"),
            "interval": _("95% interval"),
            "roc_auc": column(_("ROC AUC, test"), format="%.3f"),
            "threshold": column(_("Threshold"), format="%.3f"),
            "features": column(_("Features"), format="%d"),
            "data": _("Trained on"),
            "copied_from": _("Copy of"),
            "made": st.column_config.DatetimeColumn(_("Registered"), format="YYYY-MM-DD HH:mm"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=p_("link", "open")),
        },
    )
    st.caption(
        _(
            "Tick a version to read its model card; click a heading to sort. Log loss in nats on "
            "the version's own test set; Compare uses the same rows for two versions."
        )
    )
    chosen = st.selectbox(
        _("Version"),
        numbers,
        key="version",
        format_func=dict(zip(numbers, map(name, listed), strict=True)).__getitem__,
    )
    return listed[numbers.index(chosen)]


def _row(version: ModelVersion, measured: Mapping[str, float]) -> dict[str, object]:
    copied = version.about.copied_from
    return {
        "version": int(version.version),
        "aliases": aliases.listed(version.aliases),
        "candidate": candidate(version),
        "log_loss": measured.get("log_loss_test"),
        "interval": _interval(measured),
        "roc_auc": measured.get("roc_auc_test"),
        "threshold": version.about.threshold,
        "features": len(version.about.features) or None,
        "data": elements.data_word(version.is_sample),
        "copied_from": _("version {version}", version=copied) if copied else "",
        "made": datetime.fromtimestamp(version.created).replace(microsecond=0),
        "run": f"/runs?run={version.run_id}",
    }


def _interval(measured: Mapping[str, float]) -> str:
    ends = [measured.get(f"log_loss_test_{end}") for end in ("low", "high")]
    return "" if None in ends else _("{low:.4f} to {high:.4f}", low=ends[0], high=ends[1])


def card(settings: Settings, version: ModelVersion) -> None:
    """Show the card of a version, and offer it as a file."""
    text = model_card.card(model_facts.card_facts(settings, version))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(
            _("Model card of version {version}", version=version.version),
            anchor=False,
            width="content",
        )
        if version.is_sample:
            elements.sample_badge()
        st.download_button(
            _("Model card (Markdown)"),
            text,
            file_name=f"{version.name}-version-{version.version}.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        elements.run_link(version.run_id, _("Run of its metrics"))
    with st.container(border=True):
        # below the page's own headings; its first line is on the page already
        st.markdown(re.sub(r"(?m)^(#+) ", r"##\1 ", text.partition("\n\n")[2]))


def compared(settings: Settings, first: str, other: str) -> None:
    """Show the newest comparison of two versions, if there is any."""
    runs = model_facts.decisions(settings, version=first, against=other)
    if not runs:
        st.info(
            _(
                "Version {first} was not compared with version {other} yet. Press Compare.",
                first=first,
                other=other,
            )
        )
        return
    run = runs[0]
    rules = elements.table(settings, settings.mlflow_uri, run.run_id, "rules").set_index("code")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("Compared {when}.", when=elements.ago(run.started)), width="content")
        elements.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    try:
        table = elements.table(settings, settings.mlflow_uri, run.run_id, "comparison")
    except NotReadyError:
        st.warning(elements.plain(_why_not(rules)))
        return
    st.markdown(elements.plain(elements.words(rules.loc["same_rows", "text"])))
    names = _("version {version}", version=first), _("version {version}", version=other)
    titles = _("Version {version}", version=first), _("Version {version}", version=other)
    left, right = elements.side_by_side()
    with left:
        st.markdown(_("**Differences on the same rows**"))
        elements.chart(
            evaluation_charts.paired_differences(
                table, by="metric", first=names[0], second=names[1]
            )
        )
    with right:
        better = {
            "one": _("version {version} is better", version=first),
            "other": _("version {version} is better", version=other),
        }
        st.table(
            pd.DataFrame(
                {
                    _("Metric"): [str(metrics.TITLES.get(name, name)) for name in table["metric"]],
                    titles[0]: [number(value, ".4f") for value in table["challenger"]],
                    titles[1]: [number(value, ".4f") for value in table["champion"]],
                    _("Difference"): [
                        f"{number(value, '+.4f')}  \n:small[:gray[{_between(low, high)}]]"
                        for value, low, high in table[["difference", "low", "high"]].itertuples(
                            index=False
                        )
                    ],
                    _("Meaning"): [better.get(who, _("may be chance")) for who in table["better"]],
                }
            ),
            hide_index=True,
        )
        st.caption(
            _(
                "Version {first} minus version {second}, with 95% intervals of a paired bootstrap "
                "(500 draws). Log loss (nats) and Brier score: lower is better.",
                first=first,
                second=other,
            )
        )
    _slices(settings, run, (first, other))
    with st.expander(_("What the gate would decide")):
        rule_table(rules.reset_index())


def _between(low: float, high: float) -> str:
    return _("{low:+.4f} to {high:+.4f}", low=low, high=high)


def _why_not(rules: pd.DataFrame) -> str:
    """Return why two versions could not be compared."""
    against = rules[rules["verdict"].isin(("hold", "refuse"))]
    reasons = sentences(*(elements.words(text) for text in against["text"]))
    return str(reasons or Message("They could not be compared."))


def _slices(settings: Settings, run: tracking.RunInfo, versions: tuple[str, str]) -> None:
    slices = elements.table(settings, settings.mlflow_uri, run.run_id, "slices")
    if slices.empty:
        return
    st.markdown(_("**Slices**"))
    first, second = versions
    harmed = slices[slices["harmed"]]
    judged = int(slices["low"].notna().sum())
    if len(harmed):
        worst = [
            elements.plain(f"{row['column']} = {row['value']}")
            for row in harmed.head(3).to_dict("records")
        ]
        st.warning(
            _(
                "Version {first} is worse than version {second} on {harmed} of {judged} slices: "
                "{worst}.",
                first=first,
                second=second,
                harmed=len(harmed),
                judged=judged,
                worst=worst,
            )
            if len(harmed) <= len(worst)
            else _(
                "Version {first} is worse than version {second} on {harmed} of {judged} slices, "
                "most of all on {worst}.",
                first=first,
                second=second,
                harmed=len(harmed),
                judged=judged,
                worst=worst,
            )
        )
    else:
        st.success(
            _(
                "On none of {judged} slices is version {first} shown to be worse than version "
                "{second}.",
                judged=judged,
                first=first,
                second=second,
            )
        )
    column = st.column_config.NumberColumn
    st.dataframe(
        # the finding says what these two columns do
        slices.drop(columns=["text", "harmed"], errors="ignore").assign(
            finding=[
                _("worse") if harm else _("too few rows") if pd.isna(low) else _("no harm shown")
                for harm, low in zip(slices["harmed"], slices["low"], strict=True)
            ]
        ),
        hide_index=True,
        height="auto" if len(slices) <= 8 else 318,
        column_order=[
            "finding",
            "column",
            "value",
            "rows",
            "log_loss_challenger",
            "log_loss_champion",
            "difference",
            "low",
            "high",
        ],
        column_config={
            "finding": _("Finding"),
            "column": _("Column"),
            "value": _("Value"),
            "rows": column(_("Rows"), format="localized"),
            "log_loss_challenger": column(
                _("Log loss, version {version}", version=first), format="%.4f"
            ),
            "log_loss_champion": column(
                _("Log loss, version {version}", version=second), format="%.4f"
            ),
            "difference": column(_("Difference"), format="%+.4f"),
            "low": column(_("From"), format="%+.4f"),
            "high": column(_("To"), format="%+.4f"),
        },
    )
    st.caption(
        _(
            "Worst first; log loss in nats. The intervals allow for the number of slices. Slices "
            "of fewer than 50 rows are not judged."
        )
    )


def last_answer(settings: Settings) -> None:
    """Show the last gate decision, rule by rule."""
    runs = model_facts.decisions(settings, of_gate=True)
    if not runs:
        st.info(_("The gate has not decided yet."))
        return
    run = runs[0]
    decided = PromotionRun.of(run)
    unknown = Message("unknown")
    word, dry_word, colour = DECISIONS.get(decided.decision, (unknown, unknown, "gray"))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_about(decided, run.params.get("threshold", "None")), width="content")
        st.badge(str(dry_word if decided.dry_run else word), color=colour)
        if decided.dry_run:
            st.badge(_("dry run"), icon=":material/science:", color="gray")
        if run.is_sample:
            elements.sample_badge()
        st.caption(
            _(
                "{when}, requested by {person}",
                when=elements.ago(run.started),
                person=elements.plain(person(decided.decided_by or registry.UNKNOWN)),
            ),
            width="content",
        )
        elements.run_link(run.run_id, "Promocao")
    st.markdown(elements.plain(elements.words(decided.reason)))
    rule_table(elements.table(settings, settings.mlflow_uri, run.run_id, "rules"))


def _about(decided: PromotionRun, threshold: str) -> str:
    """Return what was decided about; the threshold is the parameter of the run."""
    version, against = decided.version, decided.against
    if threshold == "None":
        if not against:
            return _("**Version {version}**", version=version)
        return _(
            "**Version {version}** against version {against}", version=version, against=against
        )
    if not against:
        return _(
            "**Version {version}** with the threshold {threshold:g}",
            version=version,
            threshold=float(threshold),
        )
    return _(
        "**Version {version}** against version {against}, with the threshold {threshold:g}",
        version=version,
        against=against,
        threshold=float(threshold),
    )


def rule_table(rules: pd.DataFrame) -> None:
    """Show the results of the gate's rules, each with its limit and meaning."""
    st.table(
        pd.DataFrame(
            {
                _("Rule"): [elements.words(title) for title in rules["title"]],
                _("Verdict"): [str(VERDICTS[verdict]) for verdict in rules["verdict"]],
                _("Measured"): [
                    _measured(*of) for of in zip(rules["code"], rules["value"], strict=True)
                ],
                _("Limit"): [
                    _limited(*of) for of in zip(rules["code"], rules["limit"], strict=True)
                ],
                _("What it means"): [
                    elements.plain(elements.words(text)) for text in rules["text"]
                ],
            }
        ),
        hide_index=True,
    )


def _measured(code: str, value: float) -> str:
    """Return the value of a rule with its unit."""
    if pd.isna(value):
        return "–"
    count = round(value)
    return {
        "same_rows": n_("{count:,} row", "{count:,} rows", count),
        "better": _("{value:+.4f} nats", value=value) if value else _("0 nats"),
        "slices": n_("{count:,} slice", "{count:,} slices", count),
        "latency": _("{value:.3g} ms per row", value=value),
        "size": _("{value:.3g} MB", value=value / 1e6),
        "schema": n_("{count:,} column", "{count:,} columns", count),
    }.get(code, number(value, ".4f"))


def _limited(code: str, value: float) -> str:
    """Return the limit of a rule."""
    if pd.isna(value):
        return "–"
    shown = _measured(code, value)
    return {
        "same_rows": _("at least {limit}", limit=shown),
        "better": _("interval at most {limit}", limit=shown),
    }.get(code, _("at most {limit}", limit=shown))


def threshold(settings: Settings, spec: ProjectSpec, version: ModelVersion) -> float:
    """Draw the choice of another threshold with its consequences, and return it."""
    key = f"threshold-{version.version}"
    own = version.about.threshold
    if key not in st.session_state:
        st.session_state[key] = round(0.5 if own is None else own, 2)
    # only this fragment reruns while the slider moves
    st.fragment(_consequences)(settings, spec, version, key)
    return float(st.session_state[key])


@elements.show_errors()
def _consequences(settings: Settings, spec: ProjectSpec, version: ModelVersion, key: str) -> None:
    value = st.slider(_("Threshold"), 0.0, 1.0, step=0.01, key=key)
    table, is_of_folds = _trade_off(settings, settings.mlflow_uri, version.run_id)
    at = table.iloc[(table["threshold"] - value).abs().argmin()]
    own = version.about.threshold
    positive, negative = str(project.words(spec.positive)), str(project.words(spec.negative))
    titles = {
        **{name: str(metrics.TITLES[name]) for name in ("f1", "precision", "recall", "accuracy")},
        "share_positive": _("Predicted {positive}", positive=positive),
    }
    shown = {
        _("Metric"): list(titles.values()),
        _("At {threshold:.2f}", threshold=value): [_share(at[figure]) for figure in titles],
    }
    if own is not None:
        kept = table.iloc[(table["threshold"] - own).abs().argmin()]
        shown[_("At its own, {threshold:.3g}", threshold=own)] = [
            _share(kept[figure]) for figure in titles
        ]
        shown[_("Change")] = [
            "–"
            if pd.isna(at[figure] - kept[figure])
            else _("{value:+.1f} points", value=100 * (at[figure] - kept[figure]))
            for figure in titles
        ]
    st.table(pd.DataFrame(shown), hide_index=True)
    counts = pd.DataFrame(
        [(0, 0, at["tn"]), (0, 1, at["fp"]), (1, 0, at["fn"]), (1, 1, at["tp"])],
        columns=["actual", "predicted", "rows"],
    ).astype("int64")
    elements.chart(model_charts.confusion(counts, positive=positive, negative=negative))
    elements.chart(evaluation_charts.threshold_trade_off(table, value))
    total = int(counts["rows"].sum())
    st.caption(
        _(
            "On {total:,} rows of the validation folds; the test set was not used to choose.",
            total=total,
        )
        if is_of_folds
        else _(
            "On {total:,} rows of the test set, since its run kept no others: a threshold chosen "
            "on it looks better there than it is.",
            total=total,
        )
    )


def _share(value: float) -> str:
    return "–" if pd.isna(value) else number(value, ".1%")


@st.cache_data(show_spinner=False, max_entries=16)
def _trade_off(_settings: Settings, store: str, run_id: str) -> tuple[pd.DataFrame, bool]:
    """Return the consequences of each threshold, and whether on the validation folds.

    Without rows of those they are on the test set.
    """
    try:
        table, is_of_folds = tracking.table(_settings, run_id, "validation"), True
    except NotReadyError:
        table, is_of_folds = tracking.table(_settings, run_id, "test_predictions"), False
    labels = table[LABEL].to_numpy(dtype="int64")
    probabilities = table[PROBABILITY].to_numpy(dtype="float64")
    return thresholds.trade_off(labels, probabilities), is_of_folds
