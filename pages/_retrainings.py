"""Decisions so far, and challenger against champion."""

from __future__ import annotations

import pandas as pd

from core.adapters import tracking
from core.config import Settings
from core.errors import NotReadyError
from core.steps import promote, retrain
from pages import _parts
from pages._bilingual import st

BADGES = {
    "retrain": ":blue-badge[retrain]",
    "wait": ":gray-badge[wait]",
    "investigate": ":orange-badge[investigate]",
    "none": ":green-badge[nothing to do]",
}
GATES = {
    "promote": ":green-badge[lets it pass]",
    "hold": ":orange-badge[holds it back]",
    "refuse": ":red-badge[refuses it]",
}
SHOWN = 50


def runs(settings: Settings) -> list[tracking.RunInfo]:
    """Return the decisions, newest first; failed ones too."""
    found = tracking.runs(settings, step="retrain", limit=SHOWN)
    return [run for run in found if run.status != "RUNNING"]


def challenger(
    settings: Settings, found: list[tracking.RunInfo], state: retrain.State, *, going: bool
) -> None:
    """Show what the newest retraining made, what the gate says of it, and promote it."""
    made = [run for run in found if retrain.GATE in run.tags]
    if not made:
        return
    run = made[0]
    tags = run.tags
    number, old = tags[retrain.NEW], tags[retrain.CHAMPION]
    st.subheader("Challenger and champion", anchor=False)
    st.markdown(
        f"Version **{number}**, retrained from version {old}, {_parts.ago(run.started)}. The gate "
        f"{GATES.get(tags[retrain.GATE], '')}"
        + (" It is the champion now." if state.champion.version == number else "")
    )
    said = tags.get(retrain.GATE_TEXT, "")
    # the gate was only asked: nothing was promoted yet
    said = said.removeprefix("Only tried, nothing was moved. ").removeprefix("Promoted")
    said = said.lstrip(".: ")
    st.markdown(_parts.plain(said[:1].upper() + said[1:]))
    try:
        kinds = _parts.table(settings, settings.mlflow_uri, run.run_id, "by_kind")
    except NotReadyError:
        kinds = pd.DataFrame()
    if len(kinds):
        st.markdown("**Log loss by kind of row**, on test rows that are new to both")
        st.table(
            pd.DataFrame(
                {
                    "Rows": kinds["value"].map(_parts.plain),
                    "Count": kinds["rows"].map("{:,}".format),
                    f"Version {old}": kinds["log_loss_champion"].map("{:.4f}".format),
                    f"Version {number}": kinds["log_loss_challenger"].map("{:.4f}".format),
                    "Difference": [
                        f"{row.difference:+.4f}  \n:small[:gray[{row.low:+.4f} to {row.high:+.4f}]]"
                        for row in kinds.itertuples()
                    ],
                    "Harmed": ["yes" if one else "no" for one in kinds["harmed"]],
                }
            ),
            hide_index=True,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.waiting_run == run.run_id and st.button(
            f"Promote version {number}", type="primary", icon=":material/upgrade:", disabled=going,
            key="promote",
        ):  # fmt: skip
            _parts.submit(
                settings, "promote", promote.Options, action="gate", challenger=number,
                reason=f"Retrained in the run {run.run_id[:8]}.",
            )  # fmt: skip
        st.page_link("pages/registry.py", label="Registry", icon=":material/inventory_2:")
        for name, key in (
            ("Preparation", retrain.PREPARED),
            ("Training", retrain.TRAINED),
            ("Gate", retrain.JUDGED),
        ):
            if key in tags:
                _parts.run_link(tags[key], name)


def decisions(found: list[tracking.RunInfo]) -> None:
    """Show the decisions so far, with reasons, evidence and cost."""
    st.subheader("Decisions so far", anchor=False)
    if not found:
        st.info("Nothing was decided yet.")
        return
    for run in found[:10]:
        code = run.tags.get("courtside.decision", "")
        title = _parts.plain(run.tags.get("courtside.decision_title", "Not decided"))
        badge = ":red-badge[failed]" if run.status != "FINISHED" else BADGES.get(code, "")
        with st.expander(f"{badge} {title} · {_parts.ago(run.started)}"):
            _one(run)
    if len(found) > 10:
        st.caption("Older decisions stand on the page Runs.")


def _one(run: tracking.RunInfo) -> None:
    tags, of = run.tags, run.metrics
    if run.error:
        st.error(_parts.plain(run.error), icon=":material/error:")
    st.markdown(_parts.plain(tags.get("courtside.reason", "")))
    if todo := tags.get("courtside.todo"):
        st.markdown(f"**To do:** {_parts.plain(todo)}")
    if told := tags.get(retrain.BY_KIND):
        st.markdown(_parts.plain(told))
    cost = f"{of.get('seconds', 0):.1f} s"
    if "rows_fit" in of:
        cost += (
            f", {of['rows_fit']:,.0f} rows fitted, {of['labels_used']:,.0f} labels used, "
            f"{of['labels_new']:,.0f} of them new"
        )
    trigger, strategy, who = (
        _parts.plain(tags.get(f"courtside.{name}", "unknown"))
        for name in ("trigger", "strategy", "decided_by")
    )
    st.caption(f"Asked by {trigger} ({who}), strategy {strategy}. Cost: {cost}.")
    with st.container(horizontal=True):
        _parts.run_link(run.run_id, "Retreinamento")
        for report in [one for one in tags.get("courtside.evidence", "").split(",") if one][:5]:
            _parts.run_link(report, "Report")
