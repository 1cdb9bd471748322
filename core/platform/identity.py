"""Which home a record of a process belongs to: a copied home leaves the other's processes alone.

A home is known by the place of its state folder: the path and the file number that the system gave
it. A copy has another of both, a moved home another path, and a folder that took the place of
another one has another number.
"""

from __future__ import annotations

from pathlib import Path


def of_home(state_dir: Path) -> str:
    """Return what names the home whose state lies here, on this machine.

    Parameters
    ----------
    state_dir : Path
        `Settings.state_dir`; it need not exist.

    Examples
    --------
    >>> of_home(Path("/nowhere/state"))
    '0:0:/nowhere/state'
    """
    path = state_dir.resolve()
    try:
        status = path.stat()
    except OSError:
        return f"0:0:{path.as_posix()}"
    return f"{status.st_dev}:{status.st_ino}:{path.as_posix()}"


def is_ours(record: object, state_dir: Path) -> bool:
    """Tell whether a record of processes was written in this home.

    One that says nothing of its home counts as written here.

    Examples
    --------
    >>> is_ours({"home": "0:0:/elsewhere/state"}, Path("/nowhere/state"))
    False
    """
    if not isinstance(record, dict):
        return False
    home = record.get("home")
    return home is None or home == of_home(state_dir)
