"""The git commit of the running code."""

from __future__ import annotations

import subprocess
from functools import lru_cache

from core.platform.config import CODE_ROOT, IN_CHECKOUT


@lru_cache
def git_commit() -> str:
    """Return the commit of the running code, with `+` for local changes; or `unknown`.

    It is unknown if core is an installed library: an enclosing repository is not ours.
    """
    if not IN_CHECKOUT:
        return "unknown"
    git = ["git", "-C", str(CODE_ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")
