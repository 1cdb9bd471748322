"""Registry: versions, their cards, comparisons of two, and the champion."""

from datetime import datetime
from typing import Literal

import pandas as pd
import streamlit as st

from core.jobs import jobs
from core.platform import model_store
from core.platform import table_files as export
from core.platform.messages import NOTHING, Message, _, day, p_, sentences
from core.registry import promote, registry
from core.serving import endpoint
from pages.registry import version_list
from pages.shared import code_snippets, drafts, elements, login

settings, spec = elements.open_app()
drafts.hold(
    "registry", "gate-aim", "margin", "changes-*", "decided-by", "reason-*", "rollback-note"
)
VIEWS = {
    "versions": Message("Versions"),
    "compare": Message("Compare"),
    "promote": Message("Promote"),
    "ledger": Message("Ledger"),
}
AIMS = {
    "better": Message("shown to be better"),
    "not_worse": Message("not worse by more than a margin"),
}
# alias -> its name, the name of its run, and what is missing where there is none
ALIASES = {
    model_store.CHAMPION: (
        Message("Champion"),
        Message("Champion's run"),
        Message("the gate promotes one"),
    ),
    model_store.CHALLENGER: (
        Message("Challenger"),
        Message("Challenger's run"),
        Message("train a new one"),
    ),
    model_store.PREVIOUS: (
        Message("Previous"),
        Message("Previous champion's run"),
        Message("nothing to roll back to"),
    ),
}
# session keys whose selection survives a change of view
CHOSEN = ("version", "one", "other", "challenger")
DEFAULTS = {"gate-aim": "better", "margin": 0.002, "decided-by": login.who()}


def standing() -> None:
    """Show which version has which alias, and which one serves."""
    rows = []
    for alias, (title, _run, missing) in ALIASES.items():
        version = by_alias.get(alias)
        if alias == model_store.CHALLENGER and version == champion:
            # the newest training's version has become the champion: there is no challenger
            version = None
        if version is None:
            rows.append((str(title), _("none"), str(missing)))
        else:
            note = version_list.candidate(version)
            if version.is_sample:
                note = _("{candidate}, built-in sample", candidate=note)
            rows.append((str(title), _("version {version}", version=version.version), note))
    if live is None:
        rows.append((_("Live endpoint"), _("none"), _("start it on the page Serve")))
    else:
        state = {
            "ready": _("answers on port {port}", port=live.port),
            "silent": _("does not answer on port {port}", port=live.port),
            "died": _("ended on port {port}", port=live.port),
            "stopped": _("stopping on port {port}", port=live.port),
        }.get(live.state, _("starting on port {port}", port=live.port))
        rows.append((_("Live endpoint"), _("version {version}", version=live.version), state))
    elements.figures(rows)
    with st.container(horizontal=True):
        for alias, (_title, run, _missing) in ALIASES.items():
            if alias in by_alias and (alias == model_store.CHAMPION or by_alias[alias] != champion):
                elements.run_link(by_alias[alias].run_id, str(run))
    if champion and live and live.version != champion.version:
        st.warning(
            _(
                "The live endpoint serves version {served}, but the champion is version "
                "{champion}. Switch it on the page Serve.",
                served=live.version,
                champion=champion.version,
            )
        )
        st.page_link("pages/serve/page.py", label=_("Go to Serve"), icon=":material/arrow_forward:")


def versions() -> None:
    chosen = version_list.choose(settings, listed, figures)
    version_list.card(settings, chosen)


def compare() -> None:
    if len(listed) < 2:
        st.info(_("There is only one version. Train another to compare it with."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        return
    default = by_alias.get(model_store.CHALLENGER)
    if default is None or default == champion:
        default = next(version for version in listed if version != champion)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = select(_("Version"), "one", list(names), default.version, width=330)
        rest = [number for number in names if number != first]
        usual = champion.version if champion and champion.version != first else rest[0]
        other = select(_("Compared with"), "other", rest, usual, width=330)
        pressed = st.button(_("Compare"), icon=":material/compare_arrows:", disabled=going)
    st.caption(
        _(
            "Both score the test rows of the first version's training that neither was trained "
            "on. This takes a few seconds, moves no alias, and is kept as a run."
        )
    )
    kinds = {version.is_sample for version in listed if version.version in (first, other)}
    if len(kinds) > 1:
        st.warning(
            _(
                "Only one of the two was trained on the built-in sample. They share no test rows, "
                "so their metrics cannot be compared."
            )
        )
    if pressed:
        elements.submit(
            settings, "promote", promote.Options, challenger=first, against=other, dry_run=True
        )
    version_list.compared(settings, first, other)


def select(
    label: str,
    key: str,
    options: list[str],
    usual: str,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """Draw the selection of a version, which persists while possible."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = usual
    return st.selectbox(label, options, format_func=names.__getitem__, key=key, width=width)


def promotion() -> None:
    left, right = elements.side_by_side()
    with left, st.container(border=True):
        st.subheader(_("Promote a challenger"), anchor=False)
        ask()
    with right, st.container(border=True):
        st.subheader(_("Roll back"), anchor=False)
        rollback()
    st.subheader(_("Last decision of the gate"), anchor=False)
    version_list.last_answer(settings)


def ask() -> None:
    beside = [version for version in listed if version != champion]
    # the gate refuses to compare a version trained on the sample with one trained on real rows
    is_sample = champion is not None and champion.is_sample
    others = [version for version in beside if champion is None or version.is_sample == is_sample]
    if not others:
        st.info(_("There is no challenger to promote. Train one first."))
        if beside:
            versions = [Message("version {version}", version=each.version) for each in beside]
            st.caption(
                _(
                    "Not offered: {versions}, trained on real rows. The gate compares models on "
                    "the same test rows, and the champion shares none with them.",
                    versions=versions,
                )
                if is_sample
                else _(
                    "Not offered: {versions}, trained on the built-in sample. The gate compares "
                    "models on the same test rows, and the champion shares none with them.",
                    versions=versions,
                )
            )
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        return
    default = by_alias.get(model_store.CHALLENGER)
    usual = default if default in others else others[0]
    number = select(
        _("Challenger"), "challenger", [version.version for version in others], usual.version
    )
    chosen = next(version for version in others if version.version == number)
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
        key=f"changes-{number}",
        help=_(
            "Registers and promotes a copy of the version with that threshold; a version itself "
            "never changes."
        ),
    )
    threshold = version_list.threshold(settings, spec, chosen) if changes else None
    by = st.text_input(
        _("Decided by"), max_chars=80, key="decided-by", disabled=bool(login.logged_in())
    )
    what = {
        "challenger": number,
        "aim": aim,
        "margin": margin,
        "threshold": threshold,
        "decided_by": by,
    }
    with st.container(horizontal=True):
        requested = st.button(_("Promote"), type="primary", icon=":material/gavel:", disabled=going)
        tried = st.button(_("Dry run"), icon=":material/science:", disabled=going)
    st.caption(
        str(
            sentences(
                Message(
                    "**Promote** makes version {version} the champion if it passes every rule.",
                    version=number,
                ),
                follows(),
                Message("**Dry run** shows the decision and moves nothing."),
            )
        )
    )
    if requested or tried:
        elements.submit(settings, "promote", promote.Options, dry_run=tried, **what)
    with st.expander(_("Promote against the rules")):
        reason = st.text_area(
            _("Reason, at least {characters} characters", characters=promote.MIN_REASON),
            max_chars=2000,
            key=f"reason-{number}",
            help=_("Kept in the run, the ledger and the model card, with your name."),
        )
        sent = st.button(
            _("Promote version {version} anyway", version=number),
            icon=":material/warning:",
            disabled=going,
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
            settings, "promote", promote.Options, action="override", reason=reason, **what
        )


def follows() -> Message:
    """Return what happens to the live endpoint; empty without one."""
    if live is None:
        return NOTHING
    return Message(
        "The live endpoint on port {port} changes to it without a failed request; if it does not "
        "start, nothing is moved.",
        port=live.port,
    )


def last_move() -> None:
    """Show since when the champion is in place, and who decided so."""
    moves = registry.ledger(settings, spec.model)
    if moves.empty or pd.isna(moves["from"].iloc[0]):
        return
    newest = moves.iloc[0]
    st.caption(
        _(
            "Version {version} became the champion {when}, decided by {person} ({decision}).",
            version=newest["version"],
            when=elements.ago(newest["from"].timestamp()),
            person=elements.plain(version_list.person(newest["decided_by"])),
            decision=version_list.move(newest["decision"]),
        )
    )
    elements.run_link(newest["run_id"], _("The run that moved it"))


def rollback() -> None:
    last_move()
    previous = by_alias.get(model_store.PREVIOUS)
    if previous is None or previous == champion:
        nothing_to_roll_back_to()
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
        disabled=going,
    ):
        elements.submit(
            settings,
            "promote",
            promote.Options,
            action="rollback",
            reason=note.strip() or None,
            decided_by=st.session_state.get("decided-by") or login.who(),
        )


def nothing_to_roll_back_to() -> None:
    """Show the reason: the ledger has the previous champion."""
    moves = registry.ledger(settings, spec.model)
    now = champion.version if champion else ""
    before = next((number for number in moves["version"] if number != now), None)
    of_sample = {version.version for version in listed if version.is_sample}
    if before is None:
        st.info(_("There is nothing to roll back to: no other version was the champion before."))
    elif before in of_sample:
        st.info(
            _(
                "There is nothing to roll back to: version {before} was the champion before, "
                "but it was trained on the built-in sample. It does not replace a version that "
                "was trained on real rows.",
                before=before,
            )
        )
    else:
        st.info(
            _(
                "There is nothing to roll back to: version {before} was the champion before, "
                "but no longer has the alias `previous`.",
                before=before,
            )
        )


def ledger() -> None:
    moves = registry.ledger(settings, spec.model)
    if moves.empty:
        st.info(_("No version has been the champion yet."))
        return
    now = pd.Timestamp.now("UTC")

    def local(moment: pd.Timestamp) -> str:
        if pd.isna(moment):
            return _("unknown")
        return day(datetime.fromtimestamp(moment.timestamp()))

    shown = moves.assign(
        version=moves["version"].astype(int),
        hours=[
            (now if place == 0 and pd.isna(end) else end) - begin
            for place, (begin, end) in enumerate(zip(moves["from"], moves["to"], strict=True))
        ],
        decision=moves["decision"].map(version_list.move),
        decided_by=moves["decided_by"].map(version_list.person),
        reason=moves["reason"].map(elements.words),
        run=[f"/runs?run={run_id}" if run_id else None for run_id in moves["run_id"]],
    )
    shown["hours"] = shown["hours"].dt.total_seconds() / 3600
    for name in ("from", "to"):
        shown[name] = moves[name].map(local)
    if pd.isna(moves["to"].iloc[0]):
        shown.loc[shown.index[0], "to"] = _("now")
    st.dataframe(
        shown,
        hide_index=True,
        column_order=["version", "from", "to", "hours", "decision", "decided_by", "run", "reason"],
        column_config={
            "version": st.column_config.NumberColumn(_("Champion"), format=_("version %d")),
            "from": _("From"),
            "to": _("To"),
            "hours": st.column_config.NumberColumn(_("Hours"), format="%.2f"),
            "decision": _("Decision"),
            "decided_by": _("Decided by"),
            "reason": st.column_config.TextColumn(_("Reason"), width="large"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=p_("link", "open")),
        },
    )
    st.caption(
        _(
            "Newest first, in this machine's time. Double-click a reason to read all of it. "
            "Unknown: moved in MLflow's own pages, without a record."
        )
    )
    st.download_button(
        _("Ledger (CSV)"),
        lambda: export.csv(moves),
        file_name=f"ledger_{spec.model}.csv",
        icon=":material/download:",
        on_click="ignore",
    )


with elements.show_errors():
    elements.wait_for_store()
    listed = model_store.versions(settings, spec.model)
    by_alias = {alias: version for version in listed for alias in version.aliases}
    champion = by_alias.get(model_store.CHAMPION)
    elements.header(
        _("Registry"),
        _("Registered versions, their model cards, and the decisions that made one the champion."),
        is_sample=bool(champion and champion.is_sample),
    )
    if not listed:
        st.info(_("There is no model yet. Train one first."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        code_snippets.panel(settings, "promote")
        st.stop()
    for key in (*CHOSEN, *DEFAULTS):
        if key in st.session_state or key in DEFAULTS:
            st.session_state[key] = st.session_state.get(key, DEFAULTS.get(key))
    names = {version.version: version_list.name(version) for version in listed}
    figures = version_list.figures(settings, listed)
    live = endpoint.live(settings)
    if live is not None and live.model != spec.model:
        live = None  # of another project
    going = any(job.step == "promote" for job in jobs.active(settings))
    standing()
    view = st.segmented_control(
        _("View"),
        list(VIEWS),
        format_func=lambda code: str(VIEWS[code]),
        default="versions",
        required=True,
        key="registry-view",
        label_visibility="collapsed",
    )
    # the job that a button below starts is shown above it
    place = st.container()
    with elements.show_errors():
        {"versions": versions, "compare": compare, "promote": promotion, "ledger": ledger}[view]()
    with place:
        elements.job_panel(settings, "promote")
code_snippets.panel(settings, "promote")
