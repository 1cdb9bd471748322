"""What a person decides on Registry: the gate's form, a promotion against it, and the way back."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import NOTHING, Message, _, number, sentences
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.registry import promote
from core.stats import metrics, thresholds
from core.stats.charts import models as model_charts
from core.training import evaluation_charts
from pages.registry import version_list
from pages.registry.standing import Standing
from pages.shared import elements, login

AIMS = {
    "better": Message("shown to be better"),
    "not_worse": Message("not worse by more than a margin"),
}


def draw(now: Standing, usual: ModelVersion, *, is_next: bool) -> None:
    """Draw the gate's form.

    Parameters
    ----------
    usual : ModelVersion
        The challenger where none was chosen.
    is_next : bool
        Whether promoting is what the page asks for.
    """
    numbers = [version.version for version in now.offered]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = version_list.select(
            now.names, _("Challenger"), "challenger", numbers, usual.version, width=330
        )
        requested = st.button(
            _("Promote"),
            type="primary" if is_next else "secondary",
            icon=":material/gavel:",
            disabled=now.going,
        )
        tried = st.button(
            _("Dry run"),
            icon=":material/science:",
            disabled=now.going,
            help=_("Shows the decision and moves nothing."),
        )
    rule = Message(
        "**Promote** makes version {version} the champion if it passes every rule.", version=chosen
    )
    st.caption(str(sentences(rule, _follows(now))))
    with st.expander(_("Options of the decision")):
        options = _options(now, chosen)
    options["challenger"] = chosen
    if requested or tried:
        elements.submit(now.settings, "promote", promote.Options, dry_run=tried, **options)
    _override(now, options)


def _follows(now: Standing) -> Message:
    """Return what happens to the live endpoint; empty without one."""
    if now.live is None:
        return NOTHING
    return Message(
        "The live endpoint on port {port} changes to it without a failed request; if it does not "
        "start, nothing is moved.",
        port=now.live.port,
    )


def _options(now: Standing, chosen: str) -> dict[str, object]:
    """Draw what is seldom changed, and return it."""
    aim = st.segmented_control(
        _("It must be"),
        list(AIMS),
        format_func=lambda code: str(AIMS[code]),
        required=True,
        key="gate-aim",
        help=_("Judged by log loss on the same rows, with a 95% interval of a paired bootstrap."),
    )
    margin = 0.0
    if aim == "not_worse":
        margin = st.number_input(
            _("Margin (nats of log loss)"),
            min_value=0.0,
            max_value=0.1,
            step=0.001,
            format="%.3f",
            key="margin",
        )
    changes = st.toggle(
        _("Promote with another threshold"),
        key=f"changes-{chosen}",
        help=_(
            "Registers and promotes a copy of the version with that threshold; a version itself "
            "never changes."
        ),
    )
    version = next(version for version in now.offered if version.version == chosen)
    threshold = _threshold(now.settings, now.spec, version) if changes else None
    by = st.text_input(
        _("Decided by"), max_chars=80, key="decided-by", disabled=bool(login.logged_in())
    )
    return {"aim": aim, "margin": margin, "threshold": threshold, "decided_by": by}


def _override(now: Standing, options: dict[str, object]) -> None:
    chosen = options["challenger"]
    with st.expander(_("Promote against the rules")):
        reason = st.text_area(
            _("Reason, at least {characters} characters", characters=promote.MIN_REASON),
            max_chars=2000,
            key=f"reason-{chosen}",
            help=_("Kept in the run, the ledger and the model card, with your name."),
        )
        sent = st.button(
            _("Promote version {version} anyway", version=chosen),
            icon=":material/warning:",
            disabled=now.going,
        )
        if sent and len(reason.strip()) < promote.MIN_REASON:
            st.error(
                _(
                    "Nothing was promoted. Promoting against the rules needs a written reason of "
                    "{characters} characters or more.",
                    characters=promote.MIN_REASON,
                )
            )
        elif sent:
            elements.submit(
                now.settings,
                "promote",
                promote.Options,
                action="override",
                reason=reason,
                **options,
            )


def rollback(now: Standing, moves: pd.DataFrame) -> None:
    """Draw the way back to the previous champion, or why there is none.

    Parameters
    ----------
    moves : DataFrame
        The ledger.
    """
    champion, live = now.champion, now.live
    previous = now.by_alias.get(model_store.PREVIOUS)
    if previous is None or previous == champion:
        st.caption(str(_no_way_back(now, moves)))
        return
    back = (
        Message(
            "Version **{version}** ({candidate}) becomes the champion again, and version "
            "{champion} becomes the previous one.",
            version=previous.version,
            candidate=version_list.candidate(previous),
            champion=champion.version,
        )
        if champion
        else Message(
            "Version **{version}** ({candidate}) becomes the champion again.",
            version=previous.version,
            candidate=version_list.candidate(previous),
        )
    )
    unruled = Message("The gate's rules are not applied: it was the champion before.")
    st.markdown(str(sentences(back, unruled)))
    if live is None:
        st.markdown(_("There is no live endpoint: only the aliases move."))
    elif live.version == previous.version:
        st.markdown(_("The live endpoint on port {port} already serves it.", port=live.port))
    else:
        st.markdown(
            _(
                "The live endpoint on port {port} changes from version {served} to {previous} "
                "without a failed request, in a few seconds. If version {previous} does not "
                "start, nothing is moved.",
                port=live.port,
                served=live.version,
                previous=previous.version,
            )
        )
    note = st.text_input(_("Note (optional)"), max_chars=2000, key="rollback-note")
    if st.button(
        _("Roll back to version {version}", version=previous.version),
        icon=":material/undo:",
        disabled=now.going,
    ):
        elements.submit(
            now.settings,
            "promote",
            promote.Options,
            action="rollback",
            reason=note.strip() or None,
            decided_by=st.session_state.get("decided-by") or login.who(),
        )


def _no_way_back(now: Standing, moves: pd.DataFrame) -> Message:
    """Return the reason: the ledger has the previous champion."""
    current = now.champion.version if now.champion else ""
    before = next((number for number in moves["version"] if number != current), None)
    of_sample = {version.version for version in now.listed if version.is_sample}
    if before is None:
        return Message(
            "There is nothing to roll back to: no other version was the champion before."
        )
    if before in of_sample:
        return Message(
            "There is nothing to roll back to: version {before} was the champion before, but it "
            "was trained on the built-in sample. It does not replace a version that was trained "
            "on real rows.",
            before=before,
        )
    return Message(
        "There is nothing to roll back to: version {before} was the champion before, but no "
        "longer has the alias `previous`.",
        before=before,
    )


def _threshold(settings: Settings, spec: ProjectSpec, version: ModelVersion) -> float:
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
        shown[_("At its own threshold, {threshold:.3g}", threshold=own)] = [
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
