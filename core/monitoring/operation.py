"""Versions in operation: the champion and those that are served. Alerts of others are closed."""

from __future__ import annotations

from contextlib import suppress

from core.monitoring import alerts
from core.platform import model_store, project
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.serving import server


def versions(settings: Settings, model: str) -> frozenset[str]:
    """Return the numbers of a model's versions that are the champion or served, on any port."""
    champion = model_store.find_version(settings, model, model_store.CHAMPION)
    served = {
        endpoint.version
        for endpoint in server.servers(settings)
        if endpoint.model == model and endpoint.state != "stopped"
    }
    return frozenset(served | ({champion.version} if champion else set()))


def close_left_alerts(settings: Settings) -> None:
    """Close the alerts of versions that are out of operation.

    Call it whenever the champion, or a served version, has changed. Store errors are ignored: the
    next report tries again.
    """
    with suppress(StoreError):
        model = project.of(settings).model
        alerts.close_left(settings, model, versions(settings, model))
