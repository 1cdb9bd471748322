"""Run tags of promote."""

from __future__ import annotations

from core.platform.runs import ChampionMove


class PromotionRun(ChampionMove):
    """A decision about `version`, compared with the version `against`.

    A dry run moves nothing.
    """

    version: str = ""
    against: str = ""
    dry_run: bool = False
