"""Checklist."""

from pages import _parts

settings, spec = _parts.open_app()
_parts.header("Checklist", "Comes with the next commit.")
