"""Newer versions of what is installed: chosen, shown, tested, audited; taken only if all is well.

    python .ci/refresh.py            newest versions that requirements.in allows
    python .ci/refresh.py --check    is requirements.txt what requirements.in asks for? upgrades nothing
    python .ci/refresh.py --audit    look for known vulnerabilities in what is pinned now

`requirements.txt` is replaced last, after the quick tests have passed with the new versions. It never
names a host or a path: whoever installs takes their own package index. Needs uv.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASKED, PINNED = "requirements.in", "requirements.txt"
COMPILE = ["uv", "pip", "compile", "--python-version", "3.11", "--universal", "--no-annotate"]
# what stands in the file's first lines, whoever makes it and wherever
TOLD = f"uv pip compile --python-version 3.11 --universal --no-annotate {ASKED} -o {PINNED}"
QUICK = ["pytest", "-q", "tests/unit"]


# lists of known vulnerabilities, as pip-audit names them
SERVICES = ("pypi", "osv")


class RefreshError(Exception):
    """What went wrong, in a sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; 0 when all is well, 1 when something is not, with the reason."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="upgrade nothing, only compare")
    parser.add_argument("--audit", action="store_true", help="only look for vulnerabilities")
    asked = parser.parse_args(arguments)
    try:
        if asked.check:
            return check()
        if asked.audit:
            return audit(ROOT / PINNED)
        return refresh()
    except RefreshError as error:
        print(error)
        return 1


def check() -> int:
    """Tell whether the pins are those that `requirements.in` asks for, with nothing upgraded."""
    before = (ROOT / PINNED).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        after = compiled(Path(folder), upgrade=False)
    if before == after:
        print(f"{PINNED} is what {ASKED} asks for: {len(pins(after)):,} packages.")
        return 0
    print(f"{PINNED} is not what {ASKED} asks for:")
    for line in changes(before, after) or ["  the first lines or the order differ"]:
        print(line)
    print(f"Run: {TOLD}")
    return 1


def refresh() -> int:
    """Choose the newest versions, and keep them if the quick tests pass with them."""
    before = (ROOT / PINNED).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        after = compiled(Path(folder), upgrade=True)
        told = changes(before, after)
        if not told:
            print("Nothing is newer.")
            return audit(ROOT / PINNED)
        print(f"{len(told):,} packages change:")
        for line in told:
            print(line)
        new = Path(folder) / PINNED
        command = ["uv", "run", "--no-project", "--with-requirements", str(new), *QUICK]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise RefreshError(
                f"The quick tests fail with these versions. {PINNED} stays as it was."
            )
        audited = audit(new)
        # beside it first, so that the file is never half written
        waiting = ROOT / f"{PINNED}.new"
        shutil.copyfile(new, waiting)
        os.replace(waiting, ROOT / PINNED)
    print(f"{PINNED} is refreshed. Run the whole suite before you commit it: pytest")
    return audited


def compiled(folder: Path, *, upgrade: bool) -> str:
    """Return a new `requirements.txt`, made in a folder beside a copy of the old one."""
    if shutil.which("uv") is None:
        raise RefreshError("uv is not here. Install it: pip install uv")
    made = folder / PINNED
    shutil.copyfile(ROOT / PINNED, made)
    more = ["--upgrade"] if upgrade else []
    command = [*COMPILE, *more, "--custom-compile-command", TOLD, ASKED, "-o", str(made), "--quiet"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RefreshError(f"uv could not choose versions: {last}")
    text = made.read_text("utf-8")
    if odd := hosts_and_paths(text):
        raise RefreshError(f"Not kept, because it names a host or a path: {odd[0]}")
    return text


def hosts_and_paths(text: str) -> list[str]:
    """Return the lines that would tell others where this machine takes its packages from."""
    return [
        line
        for line in text.splitlines()
        if "://" in line or line.startswith(("-", "/")) or re.search(r"\s@\s|(^|\s)~?/\w", line)
    ]


def pins(text: str) -> dict[str, str]:
    """Return the version of each package, with what it holds for."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.*))?$", text, flags=re.MULTILINE)
    versions: dict[str, str] = {}
    for name, version, marker in found:
        versions[f"{name} ({marker})" if marker else name] = version
    return versions


def changes(before: str, after: str) -> list[str]:
    """Return a line for each package that comes, goes or changes."""
    old, new = pins(before), pins(after)
    return [
        f"  {name}: {old.get(name, 'new')} -> {new.get(name, 'gone')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


@dataclass(frozen=True)
class Audit:
    """What an audit found: packages with a known vulnerability, and those nobody could look up."""

    looked_at: int
    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]


def read(report: str) -> Audit:
    """Return what a report of pip-audit, as JSON, says."""
    looked, vulnerable, unknown = 0, [], []
    for one in json.loads(report)["dependencies"]:
        if "skip_reason" in one:
            unknown.append(one["name"])
            continue
        looked += 1
        for fault in one["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            vulnerable.append(f"{one['name']} {one['version']}: {fault['id']}, fixed in {fixed}")
    return Audit(looked, tuple(vulnerable), tuple(unknown))


def asked(pinned: Path, service: str) -> Audit | None:
    """Return what a list of vulnerabilities says, None where it cannot be reached."""
    command = [
        "uvx",
        "--quiet",
        "pip-audit",
        "--requirement",
        str(pinned),
        "--no-deps",
        "--disable-pip",
        "--vulnerability-service",
        service,
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        return read(ran.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return None


def audit(pinned: Path) -> int:
    """Look for known vulnerabilities; an audit that could not be made is never called clean."""
    reports = [found for service in SERVICES if (found := asked(pinned, service))]
    if not reports:
        print(
            "NOT AUDITED: pip-audit could not be run, or reached no list of vulnerabilities. Run "
            "this again where the network allows it: python .ci/refresh.py --audit"
        )
        return 1
    found = min(reports, key=lambda one: len(one.unknown))
    for line in found.vulnerable:
        print(f"  {line}")
    if found.unknown:
        print(
            f"NOT AUDITED: {len(found.unknown):,} of {len(found.unknown) + found.looked_at:,} "
            f"packages could not be looked up from here, {found.unknown[0]} among them."
        )
    if found.vulnerable:
        print(f"{len(found.vulnerable):,} known vulnerabilities.")
    elif found.looked_at:
        print(f"No known vulnerability in {found.looked_at:,} packages.")
    return 1 if found.vulnerable or found.unknown else 0


if __name__ == "__main__":
    sys.exit(main())
