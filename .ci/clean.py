"""Remove what tools left behind: caches and results of tests. Never data, runs or models."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHES = (
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    "test-results",
    "logs.log",
    "build",
    "courtside.egg-info",
)
CODE = ("core", "pages", "tests", "benchmarks", "docs", ".ci")


def main() -> None:
    """Remove them, and say how many."""
    found = [ROOT / name for name in CACHES]
    found += [path for room in CODE for path in (ROOT / room).rglob("__pycache__")]
    there = [path for path in found if path.exists()]
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"{len(there):,} caches removed.")


if __name__ == "__main__":
    main()
