"""Identity of a home, so that a copied home leaves the original's processes alone.

A home is identified by the path and inode of its state folder. A copy differs in both, a moved home
in its path, a replaced folder in its inode.
"""

from __future__ import annotations

from pathlib import Path


def of_home(state_dir: Path) -> str:
    """Return the identity, on this machine, of the home with this state folder.

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
    """Return whether a record of processes was written in this home.

    A record without a home counts as written here.

    Examples
    --------
    >>> is_ours({"home": "0:0:/elsewhere/state"}, Path("/nowhere/state"))
    False
    """
    if not isinstance(record, dict):
        return False
    home = record.get("home")
    return home is None or home == of_home(state_dir)
