"""Remove leftovers of tools: caches and results of tests. Never data, runs or models."""

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
    """Remove them, and print how many."""
    paths = [ROOT / name for name in CACHES]
    paths += [path for folder in CODE for path in (ROOT / folder).rglob("__pycache__")]
    existing = [path for path in paths if path.exists()]
    for path in existing:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"{len(existing):,} caches removed.")


if __name__ == "__main__":
    main()
