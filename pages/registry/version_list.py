"""Registered versions: their table, the card of one, and comparisons of two."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from core.platform import model_store, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
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
    "pass": ":green-badge[pass]",
    "hold": ":orange-badge[hold]",
    "refuse": ":red-badge[refuse]",
    "not_applicable": ":gray-badge[not asked]",
}
DECISIONS = {
    "promote": ("promoted", "green"),
    "hold": ("held back", "orange"),
    "refuse": ("refused", "red"),
    "override": ("promoted against the rules", "violet"),
    "unchanged": ("unchanged", "gray"),
}
# units of the value and the limit of a rule
UNITS = {
    "same_rows": "rows",
    "better": "nats",
    "slices": "slices",
    "calibration": "",
    "latency": "ms a row",
    "size": "MB",
    "schema": "columns",
}
LIMITS = {"same_rows": "at least", "better": "interval at most"}
Figures = Mapping[str, Mapping[str, float]]


def candidate(version: ModelVersion) -> str:
    """Return the display name of a version's candidate."""
    kind = version.about.candidate
    return kinds.title(kind) if kind else "unknown kind"


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
            "version": number("Version", format="%d", width=70),
            "aliases": "Aliases",
            "candidate": "Candidate",
            "log_loss": number("Log loss, test", format="%.4f"),
            "interval": "95% interval",
            "roc_auc": number("ROC AUC, test", format="%.3f"),
            "threshold": number("Threshold", format="%.3f"),
            "features": number("Features", format="%d"),
            "data": "Trained on",
            "copied_from": "Copy of",
            "made": st.column_config.DatetimeColumn("Registered", format="YYYY-MM-DD HH:mm"),
            "run": st.column_config.LinkColumn("Run", display_text="open"),
        },
    )
    st.caption(
        "Click the box before a version to read its card; click a heading to sort. Log loss in "
        "nats on the version's own test set: two versions that were tested on other rows are "
        "compared on the same ones under Compare."
    )
    chosen = st.selectbox(
        "Version",
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
        "copied_from": f"version {copied}" if copied else "",
        "made": datetime.fromtimestamp(version.created).replace(microsecond=0),
        "run": f"/runs?run={version.run_id}",
    }


def _interval(measured: Mapping[str, float]) -> str:
    ends = [measured.get(f"log_loss_test_{end}") for end in ("low", "high")]
    return "" if None in ends else f"{ends[0]:.4f} to {ends[1]:.4f}"


def card(settings: Settings, version: ModelVersion) -> None:
    """Show the card of a version, and offer it as a file."""
    text = model_card.card(model_facts.card_facts(settings, version))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"Model card of version {version.version}", anchor=False, width="content")
        if version.is_sample:
            elements.sample_badge()
        st.download_button(
            "Model card (Markdown)",
            text,
            file_name=f"{version.name}-version-{version.version}.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        elements.run_link(version.run_id, "Run of its figures")
    with st.container(border=True):
        # below the page's own headings; its first line is on the page already
        st.markdown(re.sub(r"(?m)^(#+) ", r"##\1 ", text.partition("\n\n")[2]))


def compared(settings: Settings, first: str, other: str) -> None:
    """Show the newest comparison of two versions, if there is any."""
    runs = model_facts.decisions(settings, version=first, against=other)
    if not runs:
        st.info(f"Version {first} was not compared with version {other} yet. Press Compare.")
        return
    run = runs[0]
    rules = elements.table(settings, settings.mlflow_uri, run.run_id, "rules").set_index("code")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Compared {elements.ago(run.started)}.", width="content")
        elements.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    try:
        table = elements.table(settings, settings.mlflow_uri, run.run_id, "comparison")
    except NotReadyError:
        st.warning(elements.plain(_why_not(rules)))
        return
    st.markdown(elements.plain(rules.loc["same_rows", "text"]))
    names = f"version {first}", f"version {other}"
    left, right = elements.side_by_side()
    with left:
        st.markdown("**Differences on the same rows**")
        elements.chart(
            evaluation_charts.paired_differences(
                table, by="metric", first=names[0], second=names[1]
            )
        )
    with right:
        better = {"one": f"{names[0]} is better", "other": f"{names[1]} is better"}
        st.table(
            pd.DataFrame(
                {
                    "Figure": table["metric"].map(metrics.TITLES),
                    names[0].capitalize(): table["challenger"].map("{:.4f}".format),
                    names[1].capitalize(): table["champion"].map("{:.4f}".format),
                    "Difference": [
                        f"{value:+.4f}  \n:small[:gray[{low:+.4f} to {high:+.4f}]]"
                        for value, low, high in table[["difference", "low", "high"]].itertuples(
                            index=False
                        )
                    ],
                    "Meaning": [better.get(who, "may be chance") for who in table["better"]],
                }
            ),
            hide_index=True,
        )
        st.caption(
            f"{names[0].capitalize()} minus {names[1]}, with 95% intervals of a paired bootstrap "
            "of 500 draws. Log loss in nats; lower is better, and so for the Brier score."
        )
    _slices(settings, run, names)
    with st.expander("What the gate would say of it"):
        rule_table(rules.reset_index())


def _why_not(rules: pd.DataFrame) -> str:
    """Return why two versions could not be compared."""
    against = rules[rules["verdict"].isin(("hold", "refuse"))]
    return " ".join(against["text"]) or "They could not be compared."


def _slices(settings: Settings, run: tracking.RunInfo, names: tuple[str, str]) -> None:
    slices = elements.table(settings, settings.mlflow_uri, run.run_id, "slices")
    if slices.empty:
        return
    st.markdown("**Slice by slice**")
    harmed = slices[slices["harmed"]]
    judged = int(slices["low"].notna().sum())
    if len(harmed):
        worst = [f"{row['column']} = {row['value']}" for row in harmed.head(3).to_dict("records")]
        st.warning(
            f"{names[0].capitalize()} is worse than {names[1]} on {len(harmed)} of {judged} "
            f"slices: {elements.plain(', '.join(worst))}{', ...' if len(harmed) > 3 else ''}."
        )
    else:
        st.success(f"On none of {judged} slices is {names[0]} shown to be worse than {names[1]}.")
    number = st.column_config.NumberColumn
    st.dataframe(
        slices.assign(
            finding=[
                "worse" if harm else "too few rows" if pd.isna(low) else "no harm shown"
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
            "finding": "Finding",
            "column": "Column",
            "value": "Value",
            "rows": number("Rows", format="localized"),
            "log_loss_challenger": number(f"Log loss, {names[0]}", format="%.4f"),
            "log_loss_champion": number(f"Log loss, {names[1]}", format="%.4f"),
            "difference": number("Difference", format="%+.4f"),
            "low": number("From", format="%+.4f"),
            "high": number("To", format="%+.4f"),
        },
    )
    st.caption(
        "Worst first, log loss in nats. The intervals allow for the number of slices that are "
        "judged. A slice of fewer than 50 rows is not judged."
    )


def last_answer(settings: Settings) -> None:
    """Show the last gate decision, rule by rule."""
    runs = model_facts.decisions(settings, of_gate=True)
    if not runs:
        st.info("The gate was not asked yet.")
        return
    run = runs[0]
    decided = PromotionRun.of(run)
    word, colour = DECISIONS.get(decided.decision, ("unknown", "gray"))
    with st.container(horizontal=True, vertical_alignment="center"):
        beside = f" against version {decided.against}" if decided.against else ""
        if (other := run.params.get("threshold", "None")) != "None":
            beside += f", with the threshold {other}"
        st.markdown(f"**Version {decided.version}**{beside}", width="content")
        st.badge(f"would be {word}" if decided.dry_run else word, color=colour)
        if decided.dry_run:
            st.badge("only tried, nothing was moved", icon=":material/science:", color="gray")
        if run.is_sample:
            elements.sample_badge()
        by = decided.decided_by or registry.UNKNOWN
        st.caption(f"{elements.ago(run.started)}, asked by {elements.plain(by)}", width="content")
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
                    "–" if pd.isna(most) else f"{LIMITS.get(code, 'at most')} {number(code, most)}"
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
    value = st.slider("Threshold", 0.0, 1.0, step=0.01, key=key)
    table, rows = _trade_off(settings, settings.mlflow_uri, version.run_id)
    at = table.iloc[(table["threshold"] - value).abs().argmin()]
    own = version.about.threshold
    titles = {
        "f1": "F1",
        "precision": "Precision",
        "recall": "Recall",
        "accuracy": "Accuracy",
        "share_positive": f"Labelled '{spec.positive}'",
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
            else f"{100 * (at[figure] - kept[figure]):+.1f} points"
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
    st.caption(f"On {total:,} rows of {rows}.")


def _share(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1%}"


@st.cache_data(show_spinner=False, max_entries=16)
def _trade_off(_settings: Settings, store: str, run_id: str) -> tuple[pd.DataFrame, str]:
    """Return the consequences of each threshold, and their rows: validation, or else test."""
    try:
        table = tracking.table(_settings, run_id, "validation")
        rows = "the validation folds: the test set has not been looked at to choose"
    except NotReadyError:
        table = tracking.table(_settings, run_id, "test_predictions")
        rows = (
            "the test set, since its run kept no others: a threshold that is chosen on it looks "
            "better there than it is"
        )
    labels = table[LABEL].to_numpy(dtype="int64")
    return thresholds.trade_off(labels, table[PROBABILITY].to_numpy(dtype="float64")), rows
