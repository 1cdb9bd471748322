"""Registry: the versions and their cards, two beside each other, and which is the champion."""

from datetime import datetime
from typing import Literal

import pandas as pd

from core.adapters import endpoint, jobs, registry, tracking
from core.logic import export
from core.steps import promote
from pages import _glass, _login, _parts, _versions
from pages._bilingual import st

settings, spec = _parts.open_app()
VIEWS = ("Versions", "Compare", "Promote", "Ledger")
AIMS = {"better": "shown to be better", "not_worse": "not worse by more than a margin"}
# what is chosen stays while another view is open
CHOSEN = ("version", "one", "other", "challenger")
DEFAULTS = {"gate-aim": "better", "margin": 0.002, "decided-by": _login.who()}


def standing() -> None:
    """Say which version has which alias, and which one answers."""
    rows = []
    for alias in (tracking.CHAMPION, tracking.CHALLENGER, registry.PREVIOUS):
        found = by_alias.get(alias)
        if found is None:
            nobody = {
                registry.PREVIOUS: "nothing to roll back to",
                tracking.CHALLENGER: "train a new one",
            }
            rows.append((alias.capitalize(), "none", nobody.get(alias, "the gate promotes one")))
        else:
            told = _versions.candidate(found)
            rows.append((alias.capitalize(), f"version {found.version}", told))
    if live is None:
        rows.append(("Live endpoint", "none", "start it on the page Serve"))
    else:
        told = "answers" if live.state == "ready" else live.state
        rows.append(("Live endpoint", f"version {live.version}", f"{told} on port {live.port}"))
    _parts.figures(rows)
    with st.container(horizontal=True):
        for alias in (tracking.CHAMPION, tracking.CHALLENGER, registry.PREVIOUS):
            if alias in by_alias:
                _parts.run_link(by_alias[alias].run_id, f"{alias.capitalize()}'s run")
    if champion and live and live.version != champion.version:
        st.warning(
            f"The live endpoint answers by version {live.version}, but the champion is version "
            f"{champion.version}. Let it follow on the page Serve."
        )
        st.page_link("pages/serve.py", label="Go to Serve", icon=":material/arrow_forward:")


def versions() -> None:
    chosen = _versions.choose(settings, listed, figures)
    _versions.card(settings, chosen)


def compare() -> None:
    if len(listed) < 2:
        st.info("There is one version only. Train another to compare it with.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
        return
    default = by_alias.get(tracking.CHALLENGER)
    if default is None or default == champion:
        default = next(one for one in listed if one != champion)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = select("Version", "one", list(names), default.version, width=330)
        rest = [number for number in names if number != one]
        usual = champion.version if champion and champion.version != one else rest[0]
        other = select("Beside", "other", rest, usual, width=330)
        pressed = st.button("Compare", icon=":material/compare_arrows:", disabled=going)
    st.caption(
        "Both are asked about the test rows of the first one's training that neither was trained "
        "on. It takes some seconds, moves nothing, and is kept."
    )
    if pressed:
        _parts.submit(
            settings, "promote", promote.Options, challenger=one, against=other, dry_run=True
        )
    _versions.compared(settings, one, other)


def select(
    label: str,
    key: str,
    options: list[str],
    usual: str,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """Let a version be chosen; what was chosen stays while it can be."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = usual
    return st.selectbox(label, options, format_func=names.__getitem__, key=key, width=width)


def promotion() -> None:
    left, right = _parts.side_by_side()
    with left, st.container(border=True):
        st.subheader("Ask the gate", anchor=False)
        ask()
    with right, st.container(border=True):
        st.subheader("Roll back", anchor=False)
        rollback()
    st.subheader("Last answer of the gate", anchor=False)
    _versions.last_answer(settings)


def ask() -> None:
    others = [one for one in listed if one != champion]
    if not others:
        st.info("There is no version beside the champion. Train a challenger first.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
        return
    default = by_alias.get(tracking.CHALLENGER)
    usual = default if default in others else others[0]
    number = select("Challenger", "challenger", [one.version for one in others], usual.version)
    chosen = next(one for one in others if one.version == number)
    aim = st.segmented_control(
        "It must be", list(AIMS), format_func=AIMS.__getitem__, required=True, key="gate-aim",
        help="Judged by its log loss on the same rows, with a 95% interval of a paired bootstrap.",
    )  # fmt: skip
    margin = 0.0
    if aim == "not_worse":
        margin = st.number_input(
            "Margin (nats of log loss)", min_value=0.0, max_value=0.1, step=0.001, format="%.3f",
            key="margin",
        )  # fmt: skip
    changes = st.toggle(
        "Promote it with another threshold", key=f"changes-{number}",
        help="A copy of the version with that threshold is registered and promoted; a version "
        "itself never changes.",
    )  # fmt: skip
    threshold = _versions.threshold(settings, spec, chosen) if changes else None
    by = st.text_input(
        "Decided by", max_chars=80, key="decided-by", disabled=bool(_login.logged_in())
    )
    what = {
        "challenger": number, "aim": aim, "margin": margin, "threshold": threshold, "decided_by": by
    }  # fmt: skip
    with st.container(horizontal=True):
        asked = st.button("Ask the gate", type="primary", icon=":material/gavel:", disabled=going)
        tried = st.button("Only try", icon=":material/science:", disabled=going)
    st.caption(
        f"**Ask the gate** makes version {number} the champion if no rule is against it"
        f"{follows(number)}. **Only try** tells what the gate would say, and moves nothing."
    )
    if asked or tried:
        _parts.submit(settings, "promote", promote.Options, dry_run=tried, **what)
    with st.expander("Promote against the rules"), st.form("override", border=False):
        reason = st.text_area(
            f"Reason, at least {promote.MIN_REASON} characters", max_chars=2000,
            key=f"reason-{number}",
            help="It is kept in the run, in the ledger and in the version's card, with your name.",
        )  # fmt: skip
        sent = st.form_submit_button(
            f"Promote version {number} anyway", icon=":material/warning:", disabled=going
        )
    if sent and len(reason.strip()) < promote.MIN_REASON:
        st.error(
            f"Nothing was promoted. Against the rules it needs a written reason of "
            f"{promote.MIN_REASON} characters or more, for whoever asks later."
        )
    elif sent:
        _parts.submit(
            settings, "promote", promote.Options, action="override", reason=reason, **what
        )


def follows(number: str) -> str:
    """Say what becomes of the live endpoint, as the end of a sentence."""
    if live is None:
        return ""
    return (
        f", and the live endpoint on port {live.port} changes to it without a failed request; if "
        "it does not start, nothing is moved"
    )


def last_move() -> None:
    """Say since when, and by whose decision, the champion is the champion."""
    found = registry.ledger(settings, spec.model)
    if found.empty or pd.isna(found["from"].iloc[0]):
        return
    newest = found.iloc[0]
    st.caption(
        f"Version {newest['version']} is the champion since "
        f"{_parts.ago(newest['from'].timestamp())}, by {_parts.plain(newest['decided_by'])} "
        f"({newest['decision']})."
    )
    _parts.run_link(newest["run_id"], "The run that moved it")


def rollback() -> None:
    last_move()
    previous = by_alias.get(registry.PREVIOUS)
    if previous is None or previous == champion:
        st.info("There is nothing to roll back to: no other version was the champion before.")
        return
    left = f", and version {champion.version} becomes the previous one" if champion else ""
    st.markdown(
        f"Version **{previous.version}** ({_versions.candidate(previous)}) becomes the champion "
        f"again{left}. No rule is asked: it was the champion before."
    )
    if live is None:
        st.markdown("There is no live endpoint: the aliases alone move.")
    elif live.version == previous.version:
        st.markdown(f"The live endpoint on port {live.port} answers by it already.")
    else:
        st.markdown(
            f"The live endpoint on port {live.port} changes from version {live.version} to "
            f"{previous.version} without a failed request, in a few seconds. If version "
            f"{previous.version} does not start, nothing is moved."
        )
    note = st.text_input("Note, if you like", max_chars=2000, key="rollback-note")
    if st.button(
        f"Roll back to version {previous.version}", icon=":material/undo:", disabled=going
    ):
        _parts.submit(
            settings, "promote", promote.Options, action="rollback", reason=note.strip() or None,
            decided_by=st.session_state.get("decided-by") or _login.who(),
        )  # fmt: skip


def ledger() -> None:
    found = registry.ledger(settings, spec.model)
    if found.empty:
        st.info("No version was the champion yet.")
        return
    now = pd.Timestamp.now("UTC")

    def local(moment: pd.Timestamp) -> str:
        if pd.isna(moment):
            return "unknown"
        return datetime.fromtimestamp(moment.timestamp()).strftime("%Y-%m-%d %H:%M:%S")

    shown = found.assign(
        version=found["version"].astype(int),
        hours=[
            (now if place == 0 and pd.isna(end) else end) - begin
            for place, (begin, end) in enumerate(zip(found["from"], found["to"], strict=True))
        ],
        run=[f"/runs?run={run_id}" if run_id else None for run_id in found["run_id"]],
    )
    shown["hours"] = shown["hours"].dt.total_seconds() / 3600
    for name in ("from", "to"):
        shown[name] = found[name].map(local)
    if pd.isna(found["to"].iloc[0]):
        shown.loc[shown.index[0], "to"] = "now"
    st.dataframe(
        shown,
        hide_index=True,
        column_order=[
            "version", "from", "to", "hours", "decision", "decided_by", "run", "reason",
        ],
        column_config={
            "version": st.column_config.NumberColumn("Champion", format="version %d"),
            "from": "From",
            "to": "To",
            "hours": st.column_config.NumberColumn("Hours", format="%.2f"),
            "decision": "Decision",
            "decided_by": "Decided by",
            "reason": st.column_config.TextColumn("Reason", width="large"),
            "run": st.column_config.LinkColumn("Run", display_text="open"),
        },
    )  # fmt: skip
    st.caption(
        "Which version was the champion from when to when, newest first, in this machine's time. "
        "Double-click a reason to read it whole. 'unknown' is what nobody recorded: a move in "
        "MLflow's own pages."
    )
    st.download_button(
        "Ledger (CSV)", lambda: export.csv(found), file_name=f"ledger_{spec.model}.csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


with _parts.told():
    _parts.wait_for_store()
    listed = tracking.versions(settings, spec.model)
    by_alias = {alias: one for one in listed for alias in one.aliases}
    champion = by_alias.get(tracking.CHAMPION)
    _parts.header(
        "Registry",
        "The registered versions, what is known of each, and the decisions which one is the "
        "champion.",
        is_sample=bool(champion and champion.is_sample),
    )
    if not listed:
        st.info("There is no model yet. Train one first.")
        st.page_link("pages/train.py", label="Go to Train", icon=":material/arrow_forward:")
        _glass.panel(settings, "promote")
        st.stop()
    for key in (*CHOSEN, *DEFAULTS):
        if key in st.session_state or key in DEFAULTS:
            st.session_state[key] = st.session_state.get(key, DEFAULTS.get(key))
    names = {one.version: _versions.name(one) for one in listed}
    figures = _versions.figures(settings, listed)
    live = endpoint.live(settings)
    if live is not None and live.model != spec.model:
        live = None  # that of another project
    going = any(job.step == "promote" for job in jobs.active(settings))
    standing()
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="registry-view",
        label_visibility="collapsed",
    )  # fmt: skip
    # the job that a button below starts is shown above it
    place = st.container()
    with _parts.told():
        {"Versions": versions, "Compare": compare, "Promote": promotion, "Ledger": ledger}[view]()
    with place:
        _parts.job_panel(settings, "promote")
_glass.panel(settings, "promote")
