"""What tests of pages share: a way to open one without a browser, and a finished life cycle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button
from streamlit.util import calc_hash

from core.jobs import supervision
from core.platform import messages, mlflow_client, tracking
from core.platform.config import CODE_ROOT, Settings
from core.serving import serve, server_process
from tests.conftest import PROCESS, copy_home

LIVED_PORT = 5231 + 10 * PROCESS
TEXTS = (
    "title",
    "subheader",
    "markdown",
    "caption",
    "info",
    "success",
    "warning",
    "error",
    "code",
    "page_link",
)


@dataclass(frozen=True)
class Lived:
    """A home in which every step was run, the runs they left, and a server that answers."""

    settings: Settings
    port: int

    def run(self, step: str) -> tracking.RunInfo:
        run = tracking.last_run(self.settings, step)
        assert run is not None
        return run


def said(run: tracking.RunInfo, name: str) -> str:
    """Return a fact that a run keeps as a tag, in words."""
    return str(messages.loads(run.tags[f"courtside.{name}"]))


@pytest.fixture(autouse=True)
def _as_after_a_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what Streamlit cached for other tests, and start no worker."""
    monkeypatch.setattr(supervision, "keep_supervisor", lambda settings: None)
    # at each visit Streamlit's test would read the metadata of all packages, to list components
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", lambda *_, **__: [])
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """A function that opens a page as the browser's first visit to the app would."""

    def visit(settings: Settings, page: str, *, warm: bool = True, **query: str) -> AppTest:
        if warm:  # so that no thread of this visit opens the store during the next one
            mlflow_client.warm(settings)
        for name in list(os.environ):
            if name.startswith("COURTSIDE_") or name == "MLFLOW_TRACKING_URI":
                monkeypatch.delenv(name)
        for name, value in settings.environment().items():
            monkeypatch.setenv(name, value)
        st.cache_resource.clear()  # the app reads its settings once
        app = AppTest.from_file(str(CODE_ROOT / "app.py"), default_timeout=60)
        # "data?view=prepare" is the view of a page
        page, _mark, asked = page.partition("?")
        if page != "overview":
            # as a link to the page does: AppTest learns the addresses of pages by a first run
            app._page_hash = calc_hash(page)
        app.query_params.update(dict(parse_qsl(asked)) | query)
        return app.run()

    return visit


@pytest.fixture(scope="session")
def text_of() -> Callable[[AppTest], str]:
    """A function that returns all text of a page, one line per element."""

    def read(app: AppTest) -> str:
        lines = [str(element.value) for kind in TEXTS for element in getattr(app, kind)]
        lines += [f"{metric.label}: {metric.value} ({metric.delta})" for metric in app.metric]
        lines += [bar.text for bar in app.progress]
        return "\n".join(lines)

    return read


@pytest.fixture(scope="session")
def press() -> Callable[[AppTest, str], AppTest]:
    """A function that presses the button of that label and runs the page again."""

    def push(app: AppTest, label: str) -> AppTest:
        buttons: list[Button] = [button for button in app.button if button.label == label]
        assert len(buttons) == 1, f"{len(buttons)} buttons are called '{label}'"
        return buttons[0].click().run()

    return push


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, operated_sample: Settings) -> Iterator[Lived]:
    """The whole life cycle of the built-in sample, with a server; tests only read it."""
    home = tmp_path_factory.mktemp("lived") / "home"
    settings = copy_home(operated_sample, home, serve_port=LIVED_PORT)
    served = serve.run(settings, serve.Options())
    try:
        yield Lived(settings, served.port)
    finally:
        server_process.stop(settings, served.port)


@pytest.fixture
def copied(lived: Lived, tmp_path: Path) -> Lived:
    """The same life cycle in a home of the test's own, to change; the server is shared."""
    return Lived(copy_home(lived.settings, tmp_path / "copied"), lived.port)
