"""Two versions compared on the same rows, as the newest run that did so keeps it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import model_store, permissions, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, _, n_, number, sentences, span
from core.platform.project import ProjectSpec
from core.registry import model_facts, promote
from core.stats import metrics
from core.training import evaluation_charts
from pages.registry import decisions, version_list
from pages.registry.standing import Standing
from pages.shared import elements, navigation, step_jobs, table_texts

# columns of the table of slices
MAIN = ("finding", "column", "value", "rows", "difference", "interval")
ALL = (*MAIN[:4], "log_loss_challenger", "log_loss_champion", "difference", "low", "high")
FORMATS = {
    "rows": ",",
    **dict.fromkeys(("log_loss_challenger", "log_loss_champion"), ".4f"),
    **dict.fromkeys(("difference", "low", "high"), "+.4f"),
}


def draw(now: Standing) -> None:
    """Draw the choice of two versions, and what their newest comparison says."""
    listed = now.listed
    if len(listed) < 2:
        st.info(_("There is only one version. Train another."))
        navigation.go_to("train")
        return
    champion = now.champion
    default = now.by_alias.get(model_store.CHALLENGER)
    if default is None or default == champion:
        default = next(version for version in listed if version != champion)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = version_list.select(
            now.names, _("Version"), "one", list(now.names), default.version, width=330
        )
        rest = [number for number in now.names if number != first]
        usual = champion.version if champion and champion.version != first else rest[0]
        other = version_list.select(now.names, _("Compared with"), "other", rest, usual, width=330)
        pressed = st.button(
            _("Compare"),
            icon=":material/compare_arrows:",
            disabled=not permissions.may("promote") or now.going,
            type="primary",
            help=_(
                "On the test rows of the first version that neither was trained on. No alias "
                "changes."
            ),
        )
    kinds = {version.is_sample for version in listed if version.version in (first, other)}
    if len(kinds) > 1:
        st.warning(_("Only one side was trained on the built-in sample: they share no test rows."))
    if pressed:
        step_jobs.submit(
            now.settings, "promote", promote.Options, challenger=first, against=other, dry_run=True
        )
    compared(now.settings, first, other, now.spec)


def compared(settings: Settings, first: str, other: str, spec: ProjectSpec) -> None:
    """Show the newest comparison of two versions, if any; the project's metric comes first."""
    runs = model_facts.decisions(settings, version=first, against=other)
    if not runs:
        st.info(str(_none_yet()))
        return
    run = runs[0]
    rules = elements.table(settings, run.run_id, "rules").set_index("code")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(elements.ago(run.started), width="content")
        navigation.run_link(run.run_id, "Promocao")
        if run.is_sample:
            elements.sample_badge()
    try:
        table = elements.table(settings, run.run_id, "comparison")
    except NotReadyError:
        st.warning(elements.plain(_why_not(rules)))
        return
    table = table.sort_values(
        "metric", key=lambda names: names != spec.metric, kind="stable", ignore_index=True
    )
    st.markdown(elements.fact(rules.loc["same_rows", "text"]))
    names = _("version {version}", version=first), _("version {version}", version=other)
    titles = elements.capital(names[0]), elements.capital(names[1])
    left, right = elements.side_by_side()
    with left:
        st.markdown(_("**Is the difference more than chance?**"))
        elements.chart(
            evaluation_charts.paired_differences(
                table, by="metric", first=names[0], second=names[1]
            )
        )
    with right:
        better = {
            "one": _("{name} is better", name=names[0]),
            "other": _("{name} is better", name=names[1]),
        }
        elements.fixed_table(
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
        )
        st.caption(
            _(
                "Differences on the same test rows, with 95% intervals of a paired bootstrap. "
                "Log loss in nats; lower log loss and Brier score are better."
            )
        )
    if run.metrics.get("rows_by_weight"):
        text = _("The metrics count rows by the sampling weight '{column}'.", column=spec.weights)
        st.caption(elements.plain(text))
    _slices(settings, run, (first, other))
    with st.expander(_("Rules of the gate")):
        decisions.rule_table(rules.reset_index())


def _between(low: float, high: float) -> str:
    return span(low, high, "+.4f")


def _why_not(rules: pd.DataFrame) -> str:
    """Return why two versions could not be compared."""
    against = rules[rules["verdict"].isin(("hold", "refuse"))]
    reasons = sentences(*(elements.words(text) for text in against["text"]))
    return str(reasons or _none_yet())


def _none_yet() -> Message:
    return Message("Nothing here yet. Press {button}.", button=Message("Compare"))


def _slices(settings: Settings, run: tracking.RunInfo, versions: tuple[str, str]) -> None:
    slices = elements.table(settings, run.run_id, "slices")
    if slices.empty:
        return
    elements.question(_("Which slices stand out?"))
    harmed = slices[slices["harmed"]]
    judged = int(slices["low"].notna().sum())
    if len(harmed):
        worst = [
            elements.plain(f"{row['column']} = {row['value']}")
            for row in harmed.head(3).to_dict("records")
        ]
        st.warning(
            n_(
                "{count} of {slices} slices is flagged. The worst: {worst}.",
                "{count} of {slices} slices are flagged. The worst: {worst}.",
                len(harmed),
                slices=judged,
                worst=worst,
            )
        )
    else:
        st.success(_("None of {slices} slices stands out.", slices=judged))
    everything = st.toggle(_("All columns"), key="slices-all-columns")
    losses = [
        f"{metrics.TITLES['log_loss']}, {_('version {version}', version=version)}"
        for version in versions
    ]
    st.dataframe(
        # the finding says what these two columns do
        table_texts.localized(
            slices.drop(columns=["text", "harmed"], errors="ignore").assign(
                finding=[
                    _("worse") if harm else _("too few rows") if pd.isna(low) else _("ok")
                    for harm, low in zip(slices["harmed"], slices["low"], strict=True)
                ],
                interval=[
                    "–" if pd.isna(low) else _between(low, high)
                    for low, high in zip(slices["low"], slices["high"], strict=True)
                ],
            ),
            FORMATS,
        ),
        hide_index=True,
        height="auto" if len(slices) <= 8 else 318,
        column_order=ALL if everything else MAIN,
        column_config={
            "finding": _("Finding"),
            "column": _("Column"),
            "value": _("Value"),
            "rows": _("Rows"),
            "log_loss_challenger": losses[0],
            "log_loss_champion": losses[1],
            "difference": _("Difference"),
            "interval": _("95% interval"),
            "low": _("From"),
            "high": _("To"),
        },
    )
    st.caption(_("The intervals allow for the number of slices (Bonferroni)."))
