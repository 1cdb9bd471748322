"""Keep data, secrets and large files out of the repository.

    python .ci/files.py <file> ...    those files; without any, all that git knows

The real rows belong to those who publish them: no copy, subset or other form of them is committed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = {
    ".parquet",
    ".csv",
    ".tsv",
    ".feather",
    ".arrow",
    ".orc",
    ".avro",
    ".xls",
    ".xlsx",
    ".ods",
    ".zip",
    ".gz",
    ".7z",
    ".tar",
    ".db",
    ".sqlite",
    ".npy",
    ".npz",
    ".h5",
    ".hdf5",
    ".pkl",
    ".pickle",
    ".joblib",
    ".skops",
}
KEPT_IN_DATA = {"README.md", ".gitkeep"}
LARGEST_KB = 1000
# columns of the shipped project's source: a file that begins with them holds its rows
SOURCE_COLUMNS = (b"combined_shot_type", b"game_event_id", b"minutes_remaining", b"shot_made_flag")


def fault(path: Path) -> str:
    """Return why a file must not be committed, or an empty text."""
    name = path.relative_to(ROOT) if path.is_absolute() else path
    if name.parts[0] == "data" and name.name not in KEPT_IN_DATA:
        return "data/ holds what the app writes"
    if name.parts[0] in ("mlruns", "state", "logs"):
        return f"{name.parts[0]}/ holds what the app writes"
    if name.name == "secrets.toml":
        return "secrets belong to the machine"
    if name.suffix.lower() in DATA:
        return f"a {name.suffix} file is data or a model, not source"
    full_path = ROOT / name
    if not full_path.is_file():
        return ""
    if full_path.stat().st_size > LARGEST_KB * 1024:
        return f"it has more than {LARGEST_KB} kB"
    with full_path.open("rb") as file:
        first = file.read(2000).split(b"\n", 1)[0]
    if all(column in first for column in SOURCE_COLUMNS):
        return "it begins with the columns of the real rows"
    return ""


def main(names: list[str]) -> int:
    """Print each file that must not be committed; return 1 if there is one."""
    if not names:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        names = [name for name in listed.stdout.split("\0") if name]
    faults = [(name, reason) for name in names if (reason := fault(Path(name)))]
    for name, reason in faults:
        print(f"{name} must not be committed: {reason}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
