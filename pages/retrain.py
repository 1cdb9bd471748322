"""Retrain: not there yet."""

from pages import _parts

settings, spec = _parts.open_app()
with _parts.told():
    _parts.header("Retrain", "Not there yet.")
