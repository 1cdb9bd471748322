"""Replay: not there yet."""

from pages import _parts

settings, spec = _parts.open_app()
with _parts.told():
    _parts.header("Replay", "Not there yet.")
