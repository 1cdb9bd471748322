"""All measurements, one after the other, and their results in docs/benchmarks.md.

    python -m benchmarks.all [NAME ...] [--tables FOLDER]

Each runs in a process of its own with the arguments below, which keep the whole under an hour on
two cores; a single script takes larger ones. Named ones replace their own section and leave the
others. A measurement that fails is shown as failed, and this ends with 1. `any_table` needs a
folder with tables (`--tables`); without it, it is left out. `kedro` needs an environment of its
own and runs by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "lifecycle": (),
    "presets": (),
    "page_times": ("few", "runs", "million"),
    "monitor": (),
    "replay": (),
    "endpoint": (),
    "scoring": ("in_process", "memory", "--rows", "1000000", "--repeats", "2"),
    "predictions_log": ("--rows", "200000"),
    "side_by_side": (),
    "guess": (),
    "wide_table": (),
    "memory": ("million.csv", "million.parquet", "bare"),
    "coverage": ("--quick",),
    "false_alarms": ("--quick",),
}
INTRODUCTION = """# Benchmarks

Written by `just bench all`: each section is what a script of [benchmarks](../benchmarks/README.md)
printed, with its date and machine. Compare ratios within one section; seconds vary with the machine
and with what else it does.
"""


def machine() -> str:
    """Return processor, cores, memory, system and Python in one line."""
    model = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists() and (named := re.search(r"model name\s*:\s*(.+)", about.read_text())):
        model = named[1]
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def title_of(name: str) -> str:
    """Return the title of a section."""
    return "Life cycle" if name == "lifecycle" else name.replace("_", " ").capitalize()


def run(name: str, arguments: tuple[str, ...]) -> tuple[str, bool]:
    """Run one measurement; return its section and whether it succeeded."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    shown = " ".join(["python", *command[1:]])
    load, begun = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    text = done.stdout.strip() or "(no output)"
    if done.returncode:
        # the last line of the traceback: the others name folders of this machine
        text += f"\n\nended with {done.returncode}\n{done.stderr.strip().splitlines()[-1:]}"
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = title_of(name)
    about = f"`{shown}`, {at}, {took:.0f} s, load {load:.1f} before it began."
    section = f"## {title}\n\n{about}\n\n```text\n{machine()}\n\n{text}\n```\n"
    return section, not done.returncode


def sections(text: str) -> dict[str, str]:
    """Return the sections of the page by title."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def main() -> int:
    """Run what is asked for and rewrite the page after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *ARGUMENTS, "any_table"], metavar="NAME")
    parser.add_argument("--tables", help="folder of tables for any_table")
    asked = parser.parse_args()
    arguments = dict(ARGUMENTS)
    if asked.tables:
        arguments["any_table"] = (asked.tables,)
    failed = []
    for name in asked.names or arguments:
        if name not in arguments:
            parser.error(f"{name} needs --tables")
        print(f"{name} ...", flush=True)
        section, is_done = run(name, arguments[name])
        failed += [] if is_done else [name]
        kept = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
        kept[section.splitlines()[0].removeprefix("## ")] = section
        order = [title_of(name) for name in [*ARGUMENTS, "any_table"]]
        texts = [kept[title] for title in order if title in kept]
        PAGE.write_text("\n".join([INTRODUCTION, *texts]), encoding="utf-8")
    print("failed: " + ", ".join(failed) if failed else "done", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
