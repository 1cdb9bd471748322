"""Registered versions: their table, the card of one, and comparisons of two."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from core.platform import model_store, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, _
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.registry import model_card, model_facts, registry
from core.registry.records import PromotionRun
from core.stats import metrics, thresholds
from core.stats.charts import models as model_charts
from core.training import candidates as kinds
from core.training import evaluation_charts
from pages.shared import elements
from pages.shared.bilingual import st

VERDICTS = {
    "pass": Message(":green-badge[pass]"),
    "hold": Message(":orange-badge[hold]"),
    "refuse": Message(":red-badge[refuse]"),
    "not_applicable": Message(":gray-badge[not asked]"),
}
DECISIONS = {
    "promote": ("promoted", "green"),
    "hold": (Message("held back"), "orange"),
    "refuse": ("refused", "red"),
    "override": (Message("promoted against the rules"), "violet"),
    "unchanged": ("unchanged", "gray"),
}
# units of the value and the limit of a rule
UNITS = {
    "same_rows": "rows",
    "better": "nats",
    "slices": "slices",
    "calibration": "",
    "latency": Message("ms a row"),
    "size": "MB",
    "schema": "columns",
}
LIMITS = {"same_rows": Message("at least"), "better": Message("interval at most")}
Figures = Mapping[str, Mapping[str, float]]


def candidate(version: ModelVersion) -> str:
    """Return the display name of a version's candidate."""
    kind = version.about.candidate
    return kinds.title(kind) if kind else _("unknown kind")


def name(version: ModelVersion) -> str:
    """Return a version's label in a selection."""
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    made_up = " · sample" if version.is_sample else ""
    return f"{version.version}{aliases} · {candidate(version)}{made_up}"


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

    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame([_row(version, measured.get(version.version, {})) for version in listed]),
        hide_index=True,
        height="auto" if len(listed) <= 8 else 318,
        on_select=take,
        selection_mode="single-row",
        key="versions",
        column_config={
            "version": number(_("Version"), format="%d", width=70),
            "aliases": _("Aliases"),
            "candidate": _("Candidate"),
            "log_loss": number(_("Log loss, test"), format="%.4f"),
            "interval": "95% interval",
            "roc_auc": number(_("ROC AUC, test"), format="%.3f"),
            "threshold": number(_("Threshold"), format="%.3f"),
            "features": number(_("Features"), format="%d"),
            "data": _("Trained on"),
            "copied_from": _("Copy of"),
            "made": st.column_config.DatetimeColumn(_("Registered"), format="YYYY-MM-DD HH:mm"),
            "run": st.column_config.LinkColumn(_("Run"), display_text="open"),
        },
    )
    st.caption(
        _(
            "Click the box before a version to read its card; click a heading to sort. Log "
            "loss in nats on the version's own test set: two versions that were tested on "
            "other rows are compared on the same ones under Compare."
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
        "aliases": ", ".join(version.aliases),
        "candidate": candidate(version),
        "log_loss": measured.get("log_loss_test"),
        "interval": _interval(measured),
        "roc_auc": measured.get("roc_auc_test"),
        "threshold": version.about.threshold,
        "features": len(version.about.features) or None,
        "data": elements.data_word(version.is_sample),
        "copied_from": _("version {copied}", copied=copied) if copied else "",
        "made": datetime.fromtimestamp(version.created).replace(microsecond=0),
        "run": f"/runs?run={version.run_id}",
    }


def _interval(measured: Mapping[str, float]) -> str:
    ends = [measured.get(f"log_loss_test_{end}") for end in ("low", "high")]
    return "" if None in ends else _("{value:.4f} to {value_2:.4f}", value=ends[0], value_2=ends[1])


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
        elements.run_link(version.run_id, _("Run of its figures"))
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
        st.caption(_("Compared {started}.", started=elements.ago(run.started)), width="content")
        elements.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    try:
        table = elements.table(settings, settings.mlflow_uri, run.run_id, "comparison")
    except NotReadyError:
        st.warning(elements.plain(_why_not(rules)))
        return
    st.markdown(elements.plain(rules.loc["same_rows", "text"]))
    names = _("version {first}", first=first), _("version {other}", other=other)
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
            "one": _("{value} is better", value=names[0]),
            "other": _("{value} is better", value=names[1]),
        }
        st.table(
            pd.DataFrame(
                {
                    "Figure": table["metric"].map(metrics.TITLES),
                    names[0].capitalize(): table["challenger"].map("{:.4f}".format),
                    names[1].capitalize(): table["champion"].map("{:.4f}".format),
                    "Difference": [
                        _(
                            "{value:+.4f}  \n:small[:gray[{low:+.4f} to {high:+.4f}]]",
                            value=value,
                            low=low,
                            high=high,
                        )
                        for value, low, high in table[["difference", "low", "high"]].itertuples(
                            index=False
                        )
                    ],
                    "Meaning": [better.get(who, _("may be chance")) for who in table["better"]],
                }
            ),
            hide_index=True,
        )
        st.caption(
            _(
                "{capitalize} minus {value}, with 95% intervals of a paired bootstrap of 500 "
                "draws. Log loss in nats; lower is better, and so for the Brier score.",
                capitalize=names[0].capitalize(),
                value=names[1],
            )
        )
    _slices(settings, run, names)
    with st.expander(_("What the gate would say of it")):
        rule_table(rules.reset_index())


def _why_not(rules: pd.DataFrame) -> str:
    """Return why two versions could not be compared."""
    against = rules[rules["verdict"].isin(("hold", "refuse"))]
    return " ".join(against["text"]) or _("They could not be compared.")


def _slices(settings: Settings, run: tracking.RunInfo, names: tuple[str, str]) -> None:
    slices = elements.table(settings, settings.mlflow_uri, run.run_id, "slices")
    if slices.empty:
        return
    st.markdown(_("**Slice by slice**"))
    harmed = slices[slices["harmed"]]
    judged = int(slices["low"].notna().sum())
    if len(harmed):
        worst = [f"{row['column']} = {row['value']}" for row in harmed.head(3).to_dict("records")]
        st.warning(
            _(
                "{capitalize} is worse than {value} on {harmed} of {judged} slices: "
                "{worst}{value_2}.",
                capitalize=names[0].capitalize(),
                value=names[1],
                harmed=len(harmed),
                judged=judged,
                worst=elements.plain(", ".join(worst)),
                value_2=", ..." if len(harmed) > 3 else "",
            )
        )
    else:
        st.success(
            _(
                "On none of {judged} slices is {value} shown to be worse than {value_2}.",
                judged=judged,
                value=names[0],
                value_2=names[1],
            )
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        slices.assign(
            finding=[
                "worse" if harm else _("too few rows") if pd.isna(low) else _("no harm shown")
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
            "rows": number(_("Rows"), format="localized"),
            "log_loss_challenger": number(_("Log loss, {value}", value=names[0]), format="%.4f"),
            "log_loss_champion": number(_("Log loss, {value}", value=names[1]), format="%.4f"),
            "difference": number(_("Difference"), format="%+.4f"),
            "low": number(_("From"), format="%+.4f"),
            "high": number(_("To"), format="%+.4f"),
        },
    )
    st.caption(
        _(
            "Worst first, log loss in nats. The intervals allow for the number of slices "
            "that are judged. A slice of fewer than 50 rows is not judged."
        )
    )


def last_answer(settings: Settings) -> None:
    """Show the last gate decision, rule by rule."""
    runs = model_facts.decisions(settings, of_gate=True)
    if not runs:
        st.info(_("The gate was not asked yet."))
        return
    run = runs[0]
    decided = PromotionRun.of(run)
    word, colour = DECISIONS.get(decided.decision, ("unknown", "gray"))
    with st.container(horizontal=True, vertical_alignment="center"):
        beside = (
            (" " + _("against version {against}", against=decided.against))
            if decided.against
            else ""
        )
        if (other := run.params.get("threshold", _("None"))) != "None":
            beside += _(", with the threshold {other}", other=other)
        st.markdown(
            _("**Version {version}**{beside}", version=decided.version, beside=beside),
            width="content",
        )
        st.badge(_("would be {word}", word=word) if decided.dry_run else word, color=colour)
        if decided.dry_run:
            st.badge(_("only tried, nothing was moved"), icon=":material/science:", color="gray")
        if run.is_sample:
            elements.sample_badge()
        by = decided.decided_by or registry.UNKNOWN
        st.caption(
            _("{started}, asked by {by}", started=elements.ago(run.started), by=elements.plain(by)),
            width="content",
        )
        elements.run_link(run.run_id, "Promocao")
    text = decided.reason.removeprefix("Only tried, nothing was moved. ")
    st.markdown(elements.plain(text))
    rule_table(elements.table(settings, settings.mlflow_uri, run.run_id, "rules"))


def rule_table(rules: pd.DataFrame) -> None:
    """Show the results of the gate's rules, each with its limit and meaning."""

    def number(code: str, value: float) -> str:
        if pd.isna(value):
            return "–"
        shown = {
            "better": f"{value:+.4f}" if value else "0",
            "calibration": f"{value:.4f}",
            "latency": f"{value:.3g}",
            "size": f"{value / 1e6:.3g}",
        }.get(code, f"{value:,.0f}")
        return f"{shown} {UNITS.get(code, '')}".strip()

    st.table(
        pd.DataFrame(
            {
                "Rule": rules["title"],
                "Verdict": [VERDICTS[verdict] for verdict in rules["verdict"]],
                "Found": [number(*of) for of in zip(rules["code"], rules["value"], strict=True)],
                "Limit": [
                    "–"
                    if pd.isna(most)
                    else f"{LIMITS.get(code, _('at most'))} {number(code, most)}"
                    for code, most in zip(rules["code"], rules["limit"], strict=True)
                ],
                "What it means": rules["text"].map(elements.plain),
            }
        ),
        hide_index=True,
    )


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
    table, rows = _trade_off(settings, settings.mlflow_uri, version.run_id)
    at = table.iloc[(table["threshold"] - value).abs().argmin()]
    own = version.about.threshold
    titles = {
        "f1": "F1",
        "precision": _("Precision"),
        "recall": _("Recall"),
        "accuracy": _("Accuracy"),
        "share_positive": _("Labelled '{positive}'", positive=spec.positive),
    }
    shown = {
        "Figure": list(titles.values()),
        f"At {value:.2f}": [_share(at[figure]) for figure in titles],
    }
    if own is not None:
        kept = table.iloc[(table["threshold"] - own).abs().argmin()]
        shown[f"At its own, {own:.3g}"] = [_share(kept[figure]) for figure in titles]
        shown["Change"] = [
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
    elements.chart(model_charts.confusion(counts, positive=spec.positive, negative=spec.negative))
    elements.chart(evaluation_charts.threshold_trade_off(table, value))
    total = int(counts["rows"].sum())
    st.caption(_("On {total:,} rows of {rows}.", total=total, rows=rows))


def _share(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1%}"


@st.cache_data(show_spinner=False, max_entries=16)
def _trade_off(_settings: Settings, store: str, run_id: str) -> tuple[pd.DataFrame, str]:
    """Return the consequences of each threshold, and their rows: validation, or else test."""
    try:
        table = tracking.table(_settings, run_id, "validation")
        rows = _("the validation folds: the test set has not been looked at to choose")
    except NotReadyError:
        table = tracking.table(_settings, run_id, "test_predictions")
        rows = _(
            "the test set, since its run kept no others: a threshold that is chosen on it "
            "looks better there than it is"
        )
    labels = table[LABEL].to_numpy(dtype="int64")
    return thresholds.trade_off(labels, table[PROBABILITY].to_numpy(dtype="float64")), rows
