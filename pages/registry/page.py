"""Registry: versions, their cards, comparisons of two, and the champion."""

from datetime import datetime
from typing import Literal

import pandas as pd

from core.jobs import jobs
from core.platform import model_store
from core.platform import table_files as export
from core.platform.messages import Message, _
from core.registry import promote, registry
from core.serving import endpoint
from pages.registry import version_list
from pages.shared import code_snippets, drafts, elements, login
from pages.shared.bilingual import st

settings, spec = elements.open_app()
drafts.hold(
    "registry", "gate-aim", "margin", "changes-*", "decided-by", "reason-*", "rollback-note"
)
VIEWS = (Message("Versions"), Message("Compare"), Message("Promote"), Message("Ledger"))
AIMS = {
    "better": Message("shown to be better"),
    "not_worse": Message("not worse by more than a margin"),
}
# session keys whose selection survives a change of view
CHOSEN = ("version", "one", "other", "challenger")
DEFAULTS = {"gate-aim": "better", "margin": 0.002, "decided-by": login.who()}


def standing() -> None:
    """Show which version has which alias, and which one serves."""
    rows = []
    for alias in (model_store.CHAMPION, model_store.CHALLENGER, model_store.PREVIOUS):
        version = by_alias.get(alias)
        if alias == model_store.CHALLENGER and version == champion:
            # the newest training's version has become the champion: there is no challenger
            version = None
        if version is None:
            nobody = {
                model_store.PREVIOUS: _("nothing to roll back to"),
                model_store.CHALLENGER: _("train a new one"),
            }
            rows.append((alias.capitalize(), "none", nobody.get(alias, _("the gate promotes one"))))
        else:
            note = version_list.candidate(version)
            if version.is_sample:
                note = _("{note}, built-in sample", note=note)
            rows.append((alias.capitalize(), _("version {version}", version=version.version), note))
    if live is None:
        rows.append((_("Live endpoint"), "none", _("start it on the page Serve")))
    else:
        state = {"ready": "answers", "silent": _("does not answer")}.get(live.state, live.state)
        rows.append(
            (
                _("Live endpoint"),
                _("version {version}", version=live.version),
                _("{state} on port {port}", state=state, port=live.port),
            )
        )
    elements.figures(rows)
    with st.container(horizontal=True):
        for alias in (model_store.CHAMPION, model_store.CHALLENGER, model_store.PREVIOUS):
            if alias in by_alias and (alias == model_store.CHAMPION or by_alias[alias] != champion):
                elements.run_link(
                    by_alias[alias].run_id, _("{capitalize}'s run", capitalize=alias.capitalize())
                )
    if champion and live and live.version != champion.version:
        st.warning(
            _(
                "The live endpoint answers by version {version}, but the champion is version "
                "{version_2}. Let it follow on the page Serve.",
                version=live.version,
                version_2=champion.version,
            )
        )
        st.page_link("pages/serve/page.py", label=_("Go to Serve"), icon=":material/arrow_forward:")


def versions() -> None:
    chosen = version_list.choose(settings, listed, figures)
    version_list.card(settings, chosen)


def compare() -> None:
    if len(listed) < 2:
        st.info(_("There is one version only. Train another to compare it with."))
        st.page_link("pages/train/page.py", label=_("Go to Train"), icon=":material/arrow_forward:")
        return
    default = by_alias.get(model_store.CHALLENGER)
    if default is None or default == champion:
        default = next(version for version in listed if version != champion)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = select(_("Version"), "one", list(names), default.version, width=330)
        rest = [number for number in names if number != first]
        usual = champion.version if champion and champion.version != first else rest[0]
        other = select(_("Beside"), "other", rest, usual, width=330)
        pressed = st.button(_("Compare"), icon=":material/compare_arrows:", disabled=going)
    st.caption(
        _(
            "Both are asked about the test rows of the first one's training that neither "
            "was trained on. It takes some seconds, moves nothing, and is kept."
        )
    )
    kinds = {version.is_sample for version in listed if version.version in (first, other)}
    if len(kinds) > 1:
        st.warning(
            _(
                "Only one of the two learned from the built-in sample. They have no test rows "
                "in common, so no figure of one can be held against the other's."
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
        st.subheader(_("Ask the gate"), anchor=False)
        ask()
    with right, st.container(border=True):
        st.subheader(_("Roll back"), anchor=False)
        rollback()
    st.subheader(_("Last answer of the gate"), anchor=False)
    version_list.last_answer(settings)


def ask() -> None:
    beside = [version for version in listed if version != champion]
    # the gate refuses to compare a version trained on the sample with one trained on real rows
    is_sample = champion is not None and champion.is_sample
    others = [version for version in beside if champion is None or version.is_sample == is_sample]
    if not others:
        st.info(_("There is no version beside the champion. Train a challenger first."))
        if beside:
            numbers = ", ".join(version.version for version in beside)
            kind = _("real rows") if is_sample else _("the built-in sample")
            st.caption(
                _(
                    "Not offered: version {numbers}, which learned from {kind}. The gate compares "
                    "models on the same test rows, and these have none in common with the "
                    "champion's.",
                    numbers=numbers,
                    kind=kind,
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
        format_func=AIMS.__getitem__,
        required=True,
        key="gate-aim",
        help=_(
            "Judged by its log loss on the same rows, with a 95% interval of a paired bootstrap."
        ),
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
        _("Promote it with another threshold"),
        key=f"changes-{number}",
        help=_(
            "A copy of the version with that threshold is registered and promoted; a "
            "version itself never changes."
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
        requested = st.button(
            _("Ask the gate"), type="primary", icon=":material/gavel:", disabled=going
        )
        tried = st.button(_("Only try"), icon=":material/science:", disabled=going)
    st.caption(
        _(
            "**Ask the gate** makes version {number} the champion if no rule is against "
            "it{number_2}. **Only try** tells what the gate would say, and moves nothing.",
            number=number,
            number_2=follows(number),
        )
    )
    if requested or tried:
        elements.submit(settings, "promote", promote.Options, dry_run=tried, **what)
    with st.expander(_("Promote against the rules")):
        reason = st.text_area(
            _("Reason, at least {min_reason} characters", min_reason=promote.MIN_REASON),
            max_chars=2000,
            key=f"reason-{number}",
            help=_(
                "It is kept in the run, in the ledger and in the version's card, with your name."
            ),
        )
        sent = st.button(
            _("Promote version {number} anyway", number=number),
            icon=":material/warning:",
            disabled=going,
        )
    if sent and len(reason.strip()) < promote.MIN_REASON:
        st.error(
            _(
                "Nothing was promoted. Against the rules it needs a written reason of "
                "{min_reason} characters or more, for whoever asks later.",
                min_reason=promote.MIN_REASON,
            )
        )
    elif sent:
        elements.submit(
            settings, "promote", promote.Options, action="override", reason=reason, **what
        )


def follows(number: str) -> str:
    """Return what happens to the live endpoint, as the end of a sentence."""
    if live is None:
        return ""
    return _(
        ", and the live endpoint on port {port} changes to it without a failed "
        "request; if it does not start, nothing is moved",
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
            "Version {version} is the champion since {timestamp}, by {decided_by} ({decision}).",
            version=newest["version"],
            timestamp=elements.ago(newest["from"].timestamp()),
            decided_by=elements.plain(newest["decided_by"]),
            decision=newest["decision"],
        )
    )
    elements.run_link(newest["run_id"], _("The run that moved it"))


def rollback() -> None:
    last_move()
    previous = by_alias.get(model_store.PREVIOUS)
    if previous is None or previous == champion:
        nothing_to_roll_back_to()
        return
    left = (
        _(", and version {version} becomes the previous one", version=champion.version)
        if champion
        else ""
    )
    st.markdown(
        _(
            "Version **{version}** ({previous}) becomes the champion again{left}. No rule "
            "is asked: it was the champion before.",
            version=previous.version,
            previous=version_list.candidate(previous),
            left=left,
        )
    )
    if live is None:
        st.markdown(_("There is no live endpoint: the aliases alone move."))
    elif live.version == previous.version:
        st.markdown(_("The live endpoint on port {port} answers by it already.", port=live.port))
    else:
        st.markdown(
            _(
                "The live endpoint on port {port} changes from version {version} to "
                "{version_2} without a failed request, in a few seconds. If version "
                "{version_2} does not start, nothing is moved.",
                port=live.port,
                version=live.version,
                version_2=previous.version,
            )
        )
    note = st.text_input(_("Note, if you like"), max_chars=2000, key="rollback-note")
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
                "and it learned from the built-in sample. It does not come back in place of "
                "one that learned from real rows.",
                before=before,
            )
        )
    else:
        st.info(
            _(
                "There is nothing to roll back to: version {before} was the champion before, "
                "but does not have the alias of the previous one any more.",
                before=before,
            )
        )


def ledger() -> None:
    moves = registry.ledger(settings, spec.model)
    if moves.empty:
        st.info(_("No version was the champion yet."))
        return
    now = pd.Timestamp.now("UTC")

    def local(moment: pd.Timestamp) -> str:
        if pd.isna(moment):
            return "unknown"
        return datetime.fromtimestamp(moment.timestamp()).strftime("%Y-%m-%d %H:%M:%S")

    shown = moves.assign(
        version=moves["version"].astype(int),
        hours=[
            (now if place == 0 and pd.isna(end) else end) - begin
            for place, (begin, end) in enumerate(zip(moves["from"], moves["to"], strict=True))
        ],
        run=[f"/runs?run={run_id}" if run_id else None for run_id in moves["run_id"]],
    )
    shown["hours"] = shown["hours"].dt.total_seconds() / 3600
    for name in ("from", "to"):
        shown[name] = moves[name].map(local)
    if pd.isna(moves["to"].iloc[0]):
        shown.loc[shown.index[0], "to"] = "now"
    st.dataframe(
        shown,
        hide_index=True,
        column_order=["version", "from", "to", "hours", "decision", "decided_by", "run", "reason"],
        column_config={
            "version": st.column_config.NumberColumn(_("Champion"), format="version %d"),
            "from": _("From"),
            "to": _("To"),
            "hours": st.column_config.NumberColumn(_("Hours"), format="%.2f"),
            "decision": _("Decision"),
            "decided_by": _("Decided by"),
            "reason": st.column_config.TextColumn(_("Reason"), width="large"),
            "run": st.column_config.LinkColumn(_("Run"), display_text="open"),
        },
    )
    st.caption(
        _(
            "Which version was the champion from when to when, newest first, in this "
            "machine's time. Double-click a reason to read it whole. 'unknown' is what "
            "nobody recorded: a move in MLflow's own pages."
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
        Message("Registry"),
        Message(
            "The registered versions, what is known of each, and the decisions which one "
            "is the champion."
        ),
        is_sample=bool(champion and champion.is_sample),
    )
    if not listed:
        st.info(Message("There is no model yet. Train one first."))
        st.page_link(
            "pages/train/page.py", label=Message("Go to Train"), icon=":material/arrow_forward:"
        )
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
        Message("View"),
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="registry-view",
        label_visibility="collapsed",
    )
    # the job that a button below starts is shown above it
    place = st.container()
    with elements.show_errors():
        {"Versions": versions, "Compare": compare, "Promote": promotion, "Ledger": ledger}[view]()
    with place:
        elements.job_panel(settings, "promote")
code_snippets.panel(settings, "promote")
