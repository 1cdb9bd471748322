"""What a person decides on Registry: the gate's form, a promotion against it, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import NOTHING, Message, _, n_, number, sentences
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.registry import promote, registry
from core.stats import metrics, thresholds
from core.stats.charts import models as model_charts
from core.training import evaluation, evaluation_charts
from pages.registry import version_list
from pages.registry.standing import Standing
from pages.shared import elements, login

# whether the form of the champion's threshold is open, and whether a link opened it
OPEN, LINKED = "champion-threshold", "champion-threshold-linked"
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
            now.names,
            elements.capital(model_store.ALIAS_LABELS[model_store.CHALLENGER]),
            "challenger",
            numbers,
            usual.version,
            width=330,
        )
        requested = st.button(
            _("Promote"),
            type="primary" if is_next else "secondary",
            icon=":material/gavel:",
            disabled=now.going,
        )
        tried = st.button(_("Dry run"), icon=":material/science:", disabled=now.going)
    rule = Message(
        "**Promote** makes version {version} the champion if it passes every rule of the gate.",
        version=chosen,
    )
    st.caption(str(sentences(rule, _follows(now))))
    with st.expander(_("More")):
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
        "The live endpoint changes to it without a failed request; if it does not start, "
        "nothing is moved."
    )


def _options(now: Standing, chosen: str) -> dict[str, object]:
    """Draw what is seldom changed, and return it."""
    aim = st.segmented_control(
        _("It must be"),
        list(AIMS),
        format_func=lambda code: str(AIMS[code]),
        required=True,
        key="gate-aim",
    )
    margin = 0.0
    if aim == "not_worse":
        margin = st.number_input(
            _("Margin (log loss)"),
            min_value=0.0,
            max_value=0.1,
            step=0.001,
            format="%.3f",
            key="margin",
        )
    changes = st.toggle(
        _("Promote with another threshold"),
        key=f"changes-{chosen}",
        help=_("Promotes a copy of the version with that threshold."),
    )
    version = next(version for version in now.offered if version.version == chosen)
    threshold = _threshold(now.settings, now.spec, version) if changes else None
    by = st.text_input(
        _("Decided by"), max_chars=80, key="decided-by", disabled=bool(login.logged_in())
    )
    return {"aim": aim, "margin": margin, "threshold": threshold, "decided_by": by}


def _override(now: Standing, options: dict[str, object]) -> None:
    chosen = options["challenger"]
    with st.expander(_("Promote anyway")):
        st.caption(
            _("Makes version {version} the champion whatever the gate says.", version=chosen)
        )
        reason = st.text_area(
            _("Reason, at least {count} characters", count=promote.MIN_REASON),
            max_chars=2000,
            key=f"reason-{chosen}",
        )
        sent = st.button(
            _("Promote version {version}", version=chosen),
            icon=":material/warning:",
            disabled=now.going,
        )
        if sent and len(reason.strip()) < promote.MIN_REASON:
            st.error(_("Nothing was started: write a reason first."))
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
    back = Message(
        "Version **{version}** ({candidate}) becomes the champion again, without the gate's rules.",
        version=previous.version,
        candidate=version_list.candidate(previous),
    )
    moves_live = live is not None and live.version != previous.version
    st.markdown(str(sentences(back, _follows(now) if moves_live else "")))
    note = st.text_input(_("Note"), max_chars=2000, key="rollback-note")
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
        return Message("There is nothing to roll back to: no other version was the champion.")
    if before in of_sample:
        return Message(
            "There is nothing to roll back to: version {before} was trained on the built-in "
            "sample.",
            before=before,
        )
    return Message(
        "There is nothing to roll back to: version {before} no longer has the alias `previous`.",
        before=before,
    )


def asks_for_threshold() -> bool:
    """Open the form of the champion's threshold if the address asks so; return whether it did."""
    if st.query_params.get("open") == "threshold":
        del st.query_params["open"]
        st.session_state[OPEN] = st.session_state[LINKED] = True
    return bool(st.session_state.get(LINKED)) and bool(st.session_state.get(OPEN))


def champion_threshold(now: Standing, *, is_linked: bool) -> None:
    """Draw another threshold for the champion, which becomes the champion again with it.

    Parameters
    ----------
    is_linked : bool
        Whether a link led here, so that this is what the page asks for.
    """
    champion = now.champion
    if champion is None or champion.about.threshold is None:
        return
    form = st.expander(_("Another threshold for the champion"), key=OPEN, on_change="rerun")
    if not form.open:
        return

    def press(value: float) -> None:
        if not st.button(
            _("Use this threshold"),
            type="primary" if is_linked else "secondary",
            icon=":material/tune:",
            key="use-threshold",
            disabled=now.going,
        ):
            return
        if value == champion.about.threshold:
            st.error(str(registry.already_champion(champion)))
            return
        if elements.submit(
            now.settings,
            "promote",
            promote.Options,
            challenger=champion.version,
            threshold=value,
            decided_by=st.session_state.get("decided-by") or login.who(),
        ):
            st.session_state.pop(LINKED, None)
            st.rerun()

    with form:
        if is_linked:
            st.markdown(
                _("The predicted classes fail at the threshold; the probabilities may not.")
            )
        st.caption(
            str(
                sentences(
                    Message("Promotes a copy of the version with that threshold."), _follows(now)
                )
            )
        )
        _threshold(now.settings, now.spec, champion, press)


def _threshold(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    press: Callable[[float], None] | None = None,
) -> float:
    """Draw the choice of another threshold with its consequences, and return it.

    Parameters
    ----------
    press : callable, optional
        Draws the button that uses it, below the choice.
    """
    key = f"threshold-{version.version}"
    own = version.about.threshold
    if key not in st.session_state:
        st.session_state[key] = round(0.5 if own is None else own, 2)
    # only this fragment reruns while the slider moves
    st.fragment(_consequences)(settings, spec, version, key, press)
    return float(st.session_state[key])


@elements.show_errors()
def _consequences(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    key: str,
    press: Callable[[float], None] | None,
) -> None:
    value = st.slider(_("Threshold"), 0.0, 1.0, step=0.01, key=key)
    if press is not None:
        press(value)
    table, is_of_folds = _trade_off(
        settings, settings.mlflow_uri, version.run_id, by_weight=spec.weights is not None
    )
    at = table.iloc[(table["threshold"] - value).abs().argmin()]
    own = version.about.threshold
    positive, negative = str(project.words(spec.positive)), str(project.words(spec.negative))
    titles = {
        **{name: str(metrics.TITLES[name]) for name in ("f1", "precision", "recall", "accuracy")},
        "share_positive": _("Predicted {label}", label=positive),
    }
    shown = {
        _("Metric"): list(titles.values()),
        f"{_('Threshold')} {number(value, '.2f')}": [_share(at[figure]) for figure in titles],
    }
    if own is not None:
        kept = table.iloc[(table["threshold"] - own).abs().argmin()]
        shown[elements.capital(_("at its own threshold, {threshold:.2f}", threshold=own))] = [
            _share(kept[figure]) for figure in titles
        ]
        shown[_("Difference")] = [
            "–"
            if pd.isna(at[figure] - kept[figure])
            else _("{value} points", value=number(100 * (at[figure] - kept[figure]), "+.1f"))
            for figure in titles
        ]
    st.table(pd.DataFrame(shown), hide_index=True)
    counts = pd.DataFrame(
        [(0, 0, at["tn"]), (0, 1, at["fp"]), (1, 0, at["fn"]), (1, 1, at["tp"])],
        columns=["actual", "predicted", "rows"],
    )
    counts["rows"] = counts["rows"].round()
    counts = counts.astype("int64")
    elements.chart(model_charts.confusion(counts, positive=positive, negative=negative))
    elements.chart(evaluation_charts.threshold_trade_off(table, value))
    total = n_("{count:,} row", "{count:,} rows", int(counts["rows"].sum()))
    kind = elements.words(version.about.rows_name)
    st.caption(
        f"{_('Validation folds')}: {total}{f' ({kind})' if kind else ''}"
        if is_of_folds
        else _("A threshold that is chosen on the test set looks better there than it is.")
    )


def _share(value: float) -> str:
    return "–" if pd.isna(value) else number(value, ".1%")


@st.cache_data(show_spinner=False, max_entries=16)
def _trade_off(
    _settings: Settings, store: str, run_id: str, *, by_weight: bool
) -> tuple[pd.DataFrame, bool]:
    """Return the consequences of each threshold, and whether on the validation folds.

    Without rows of those they are on the test set.
    """
    if by_weight:
        # the weights are not beside the forecasts
        table = tracking.table(_settings, run_id, "thresholds")
        of_folds = table["set"] == evaluation.VALIDATION
        return table[of_folds].drop(columns="set").reset_index(drop=True), True
    try:
        table, is_of_folds = tracking.table(_settings, run_id, "validation"), True
    except NotReadyError:
        table, is_of_folds = tracking.table(_settings, run_id, "test_predictions"), False
    labels = table[LABEL].to_numpy(dtype="int64")
    probabilities = table[PROBABILITY].to_numpy(dtype="float64")
    return thresholds.trade_off(labels, probabilities), is_of_folds
