"""Dependencies of `core`: the part of requirements.in above that of the pages."""

from pathlib import Path

from setuptools import setup

ASKED = Path(__file__).with_name("requirements.in").read_text(encoding="utf-8")
LINES = [line.partition("#")[0].strip() for line in ASKED.partition("# Pages only")[0].splitlines()]

setup(install_requires=[line for line in LINES if line])
