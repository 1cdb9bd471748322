"""What the runs that bring in raw data, and prepare it, are tagged with."""

from __future__ import annotations

from core.platform.run_tags import RunTags


class AcquiredRun(RunTags):
    """Where raw data came from, the snapshot that it is, and how its CSV files were read."""

    source: str = ""
    snapshot: str = ""
    csv_dialect: str | None = None


class PreparedRun(RunTags):
    """The raw data of two sets, with the digest of each file; the training that they continue."""

    source: str = ""
    snapshot: str = ""
    sha256: dict[str, str] | None = None
    continues: str = ""
