"""What the run of a decision about a version is tagged with."""

from __future__ import annotations

from core.platform.runs import ChampionMove


class PromotionRun(ChampionMove):
    """What the gate or a person decided about a `version`, compared with the version `against`.

    In a dry run nothing was to move.
    """

    version: str = ""
    against: str = ""
    dry_run: bool = False
