"""Alerts: what stands, when reports are made, what raises an alert and where it is told."""

from pages import _alert_channels, _alert_list, _alert_rules, _alert_schedule, _glass, _parts
from pages._bilingual import st

settings, spec = _parts.open_app()

with _parts.told():
    _parts.header(
        "Alerts",
        "Reports of the Monitor page open an alert when a check is bad for long enough, and clear "
        "it when it is well again. A person acknowledges one, with a note.",
    )
    _alert_list.standing(settings)
    _alert_schedule.section(settings)
    _alert_rules.section(settings)
    _alert_channels.section(settings)
    with st.container(key="alert-history"):
        _alert_list.history(settings)
_glass.panel(settings, "alerts")
