"""Reports."""

from pages import _parts

settings, spec = _parts.open_app()
_parts.header("Reports", "Comes with the next commit.")
