"""Run tags of acquire and prepare."""

from __future__ import annotations

from core.platform.run_tags import RunTags


class AcquiredRun(RunTags):
    """The source and the snapshot of the raw data, and the dialect of its CSV files."""

    source: str = ""
    snapshot: str = ""
    csv_dialect: str | None = None


class PreparedRun(RunTags):
    """The raw data of the two sets, each file's digest, and the training that they continue."""

    source: str = ""
    snapshot: str = ""
    sha256: dict[str, str] | None = None
    continues: str = ""
