"""The form of a replay: rows, policies, and injected drift."""

from __future__ import annotations

from datetime import date
from typing import Any

import streamlit as st

from core.platform import model_store, project
from core.platform.config import Settings
from core.platform.messages import Message, _, day, number, plural
from core.platform.project import ProjectSpec
from core.retraining import injection, policy_comparison, replay_rows
from core.training import candidates as kinds
from pages.shared import elements, language

STRATEGIES = ("reactive", "predictive", "calendar")
SPEEDS = {
    0.0: Message("As fast as possible"),
    5.0: plural("{count} window a second", "{count} windows a second", 5),
    1.0: plural("{count} window a second", "{count} windows a second", 1),
}
# options besides the titles of the project
CHAMPIONS, DEFAULTS = "champion", "defaults"


@st.cache_data(show_spinner=False, max_entries=8)
def outlook(_settings: Settings, home: str, snapshot: str, rows: str) -> replay_rows.Outlook | None:
    """Return what can be replayed of a snapshot, which is immutable."""
    return replay_rows.outlook(_settings, rows=rows)


def ask(settings: Settings, spec: ProjectSpec, snapshot: str) -> tuple[dict[str, Any], str]:
    """Draw the form; return the options of the step, and which rows would be replayed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rows = st.segmented_control(
            _("Rows"),
            ("development", "all"),
            default="development",
            required=True,
            key="rows",
            format_func={
                "development": elements.capital(spec.rows.reference_rows),
                "all": _("All"),
            }.__getitem__,
        )
        options: dict[str, Any] = {"rows": rows, **_model(spec)}
    with st.spinner(_("Reading the rows")):
        prospect = outlook(settings, str(settings.home), snapshot, rows)
    if prospect is None:
        return {}, ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options |= _windows(prospect)
        chosen = st.multiselect(
            _("Policy"),
            STRATEGIES,
            default=STRATEGIES,
            key="policies",
            format_func=lambda name: str(policy_comparison.titled(name)),
            width=420,
        )
    with st.expander(_("More")):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            options |= _labels()
            options["speed"] = st.selectbox(
                _("Speed"),
                list(SPEEDS),
                format_func=lambda speed: str(SPEEDS[speed]),
                key="speed",
                width=200,
            )
        elements.question(_("Policy"))
        options["policies"] = _policies(chosen)

        options["injection"] = _injection(spec, options["features"], prospect)
    labelled = elements.named(_("With label"), number(prospect.rows))
    days = _("{low} to {high}", low=day(prospect.first), high=day(prospect.last))
    return options, f"{labelled} · {days}"


def _model(spec: ProjectSpec) -> dict[str, Any]:
    sets = {spec.features_title: spec.features, **{s.title: s.features for s in spec.feature_sets}}
    title = st.selectbox(
        _("Features"),
        [CHAMPIONS, *sets],
        key="features",
        width=250,
        format_func=lambda title: (
            elements.capital(model_store.ALIAS_LABELS[CHAMPIONS])
            if title == CHAMPIONS
            else str(project.words(title))
        ),
    )
    kind = st.selectbox(
        _("Candidate"),
        list(kinds.KINDS),
        format_func=lambda kind: str(kinds.title(kind)),
        key="candidate",
        width=220,
    )
    presets = {
        preset.title: preset.params[kind] for preset in spec.presets if kind in preset.params
    }
    chosen = DEFAULTS
    if presets:
        chosen = st.selectbox(
            _("Parameters"),
            [DEFAULTS, *presets],
            key=f"params-{kind}",
            width=250,
            format_func=lambda title: (
                elements.capital(_("none")) if title == DEFAULTS else str(project.words(title))
            ),
        )
    return {"features": sets.get(title), "candidate": kind, "params": presets.get(chosen, {})}


def _windows(prospect: replay_rows.Outlook) -> dict[str, Any]:
    names = {f"column:{name}": name for name in prospect.dividing}
    names |= {"year": _("Year"), "month": _("Month"), "rows": _("Rows")}
    chosen = st.selectbox(
        _("Window"), list(names), format_func=names.__getitem__, key="window", width=180
    )
    by, _unused, column = chosen.partition(":")
    options: dict[str, Any] = {"window": by, "window_column": column or None}
    if by == "rows":
        options["window_rows"] = st.number_input(
            _("Rows"), 50, 100_000, 500, step=50, key="window_rows", width=150
        )
    if by in ("column", "year"):
        options["train_windows"] = st.number_input(
            f"{_('First training')} ({_('Window')})", 1, 100, 5, key="train_windows", width=170
        )
    else:
        share = st.number_input(
            f"{_('First training')} (%)", 1, 95, 20, key="train_share", width=180
        )
        options["train_share"] = share / 100
    return options


def _labels() -> dict[str, Any]:
    delay = st.number_input(
        _("Label delay, days"), 0.0, 3650.0, 0.0, step=10.0, format="%g", key="delay", width=150
    )
    share = st.number_input(_("Labels that arrive, %"), 1, 100, 100, key="share", width=190)
    return {"label_delay_days": delay, "label_share": share / 100}


def _policies(chosen: list[str]) -> list[dict[str, Any]]:
    """Return the policies with their settings; doing nothing is always compared."""
    policies: list[dict[str, Any]] = [{"strategy": "none"}]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        k = st.number_input(_("Windows in alert"), 1, 20, 2, key="k", width=150)
        n = st.number_input(_("of the last windows"), 1, 20, 3, key="n", width=190)
        horizon = st.number_input(
            _("Horizon, days"), 1, 3650, 365, step=30, key="horizon", width=190
        )
        least = st.number_input(_("Windows a trend needs"), 3, 50, 4, key="least", width=180)
        every = st.number_input(
            _("Days between trainings"), 1, 3650, 180, step=30, key="every", width=210
        )
    settings_of = {
        "reactive": {"k": k, "n": n},
        "predictive": {"horizon_days": horizon, "min_windows": least},
        "calendar": {"every_days": every},
    }
    return policies + [{"strategy": name, **settings_of[name]} for name in chosen]


def _injection(
    spec: ProjectSpec, features: tuple[str, ...] | None, prospect: replay_rows.Outlook
) -> dict[str, Any] | None:
    kind = st.selectbox(
        _("Drift"),
        ["none", *injection.KINDS],
        key="drift",
        width=220,
        format_func=lambda drift: str(injection.KINDS.get(drift) or elements.capital(_("none"))),
    )
    if kind == "none":
        return None
    options: dict[str, Any] = {"kind": kind}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if kind != "label_flip":
            inputs = spec.inputs_of(features or spec.features)
            fitting = [
                name for name in inputs if kind == "missing_feature" or not spec.is_text(name)
            ]
            options["column"] = st.selectbox(_("Column"), fitting, key="drift_column", width=220)
        if kind in ("label_flip", "missing_feature"):
            options["size"] = (
                st.number_input(
                    f"{_('Share of rows')} (%)", 1, 100, 100, key="drift_share", width=160
                )
                / 100
            )
        else:
            what = _("Standard deviation") if kind == "shift" else _("Factor")
            options["size"] = st.number_input(
                what,
                -20.0 if kind == "shift" else 0.0,
                20.0,
                2.0,
                step=0.5,
                key=f"drift_size_{kind}",
                width=180,
            )
        days = date.fromisoformat(prospect.first), date.fromisoformat(prospect.last)
        middle = date.fromordinal((days[0].toordinal() + days[1].toordinal()) // 2)
        begin = st.date_input(
            _("From"),
            middle,
            min_value=days[0],
            max_value=days[1],
            key="drift_begin",
            format=language.day_format(),
            width=150,
        )
        options["begin"] = begin.isoformat()
        options["ramp_days"] = st.number_input(
            _("Days until the full effect; 0 is sudden"),
            0,
            3650,
            0,
            step=30,
            key="drift_ramp",
            width=220,
        )
    return options
