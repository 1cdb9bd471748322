"""Newer versions of what is installed: chosen, shown, tested, audited; kept only if all passes.

    python .ci/refresh.py            newest versions that requirements.in allows
    python .ci/refresh.py --check    does requirements.txt match requirements.in? upgrades nothing
    python .ci/refresh.py --audit    check the current pins for known vulnerabilities

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
# the command in the file's first lines, whoever compiles it and wherever
SHOWN_COMMAND = (
    f"uv pip compile --python-version 3.11 --universal --no-annotate {ASKED} -o {PINNED}"
)
QUICK = ["pytest", "-q", "tests/unit"]


# lists of known vulnerabilities, as pip-audit names them
SERVICES = ("pypi", "osv")


class RefreshError(Exception):
    """What went wrong, in a sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen task; return 0 on success, 1 otherwise, and print the reason."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="upgrade nothing, only compare")
    parser.add_argument("--audit", action="store_true", help="only look for vulnerabilities")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return check()
        if options.audit:
            return audit(ROOT / PINNED)
        return refresh()
    except RefreshError as error:
        print(error)
        return 1


def check() -> int:
    """Check that the pins match `requirements.in`, with nothing upgraded."""
    before = (ROOT / PINNED).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        after = compiled(Path(folder), upgrade=False)
    if before == after:
        print(f"{PINNED} is what {ASKED} asks for: {len(pins(after)):,} packages.")
        return 0
    print(f"{PINNED} is not what {ASKED} asks for:")
    for line in changes(before, after) or ["  the first lines or the order differ"]:
        print(line)
    print(f"Run: {SHOWN_COMMAND}")
    return 1


def refresh() -> int:
    """Choose the newest versions, and keep them if the quick tests pass with them."""
    before = (ROOT / PINNED).read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        after = compiled(Path(folder), upgrade=True)
        lines = changes(before, after)
        if not lines:
            print("Nothing is newer.")
            return audit(ROOT / PINNED)
        print(f"{len(lines):,} packages change:")
        for line in lines:
            print(line)
        new_pins = Path(folder) / PINNED
        command = ["uv", "run", "--no-project", "--with-requirements", str(new_pins), *QUICK]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise RefreshError(
                f"The quick tests fail with these versions. {PINNED} stays as it was."
            )
        audited = audit(new_pins)
        # to a temporary file first, so that the file is never half written
        waiting = ROOT / f"{PINNED}.new"
        shutil.copyfile(new_pins, waiting)
        os.replace(waiting, ROOT / PINNED)
    print(f"{PINNED} is refreshed. Run the whole suite before you commit it: pytest")
    return audited


def compiled(folder: Path, *, upgrade: bool) -> str:
    """Return a new `requirements.txt`, compiled in a folder with a copy of the old one."""
    if shutil.which("uv") is None:
        raise RefreshError("uv is not here. Install it: pip install uv")
    target = folder / PINNED
    shutil.copyfile(ROOT / PINNED, target)
    more = ["--upgrade"] if upgrade else []
    command = [
        *COMPILE,
        *more,
        "--custom-compile-command",
        SHOWN_COMMAND,
        ASKED,
        "-o",
        str(target),
        "--quiet",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RefreshError(f"uv could not choose versions: {last}")
    text = target.read_text("utf-8")
    if odd := hosts_and_paths(text):
        raise RefreshError(f"Not kept, because it names a host or a path: {odd[0]}")
    return text


def hosts_and_paths(text: str) -> list[str]:
    """Return the lines that would reveal where this machine gets its packages from."""
    return [
        line
        for line in text.splitlines()
        if "://" in line or line.startswith(("-", "/")) or re.search(r"\s@\s|(^|\s)~?/\w", line)
    ]


def pins(text: str) -> dict[str, str]:
    """Return the version of each package, with its conditions."""
    entries = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.*))?$", text, flags=re.MULTILINE)
    versions: dict[str, str] = {}
    for name, version, marker in entries:
        versions[f"{name} ({marker})" if marker else name] = version
    return versions


def changes(before: str, after: str) -> list[str]:
    """Return a line for each package that is added, removed or changed."""
    old_pins, new_pins = pins(before), pins(after)
    return [
        f"  {name}: {old_pins.get(name, 'new')} -> {new_pins.get(name, 'gone')}"
        for name in sorted({*old_pins, *new_pins})
        if old_pins.get(name) != new_pins.get(name)
    ]


@dataclass(frozen=True)
class Audit:
    """Result of an audit: packages with a known vulnerability, and those not checked."""

    checked: int
    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]


def read(report: str) -> Audit:
    """Return the audit in a JSON report of pip-audit."""
    checked, vulnerable, unknown = 0, [], []
    for dependency in json.loads(report)["dependencies"]:
        if "skip_reason" in dependency:
            unknown.append(dependency["name"])
            continue
        checked += 1
        for fault in dependency["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            vulnerable.append(
                f"{dependency['name']} {dependency['version']}: {fault['id']}, fixed in {fixed}"
            )
    return Audit(checked, tuple(vulnerable), tuple(unknown))


def query(pinned: Path, service: str) -> Audit | None:
    """Return an audit by one list of vulnerabilities, None where it cannot be reached."""
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
    """Check for known vulnerabilities; an audit that could not run is never called clean."""
    reports = [result for service in SERVICES if (result := query(pinned, service))]
    if not reports:
        print(
            "NOT AUDITED: pip-audit could not be run, or reached no list of vulnerabilities. Run "
            "this again where the network allows it: python .ci/refresh.py --audit"
        )
        return 1
    result = min(reports, key=lambda report: len(report.unknown))
    for line in result.vulnerable:
        print(f"  {line}")
    if result.unknown:
        print(
            f"NOT AUDITED: {len(result.unknown):,} of {len(result.unknown) + result.checked:,} "
            f"packages could not be looked up from here, {result.unknown[0]} among them."
        )
    if result.vulnerable:
        print(f"{len(result.vulnerable):,} known vulnerabilities.")
    elif result.checked:
        print(f"No known vulnerability in {result.checked:,} packages.")
    return 1 if result.vulnerable or result.unknown else 0


if __name__ == "__main__":
    sys.exit(main())
