"""The documents on their page: each as it is told, links to runs, what is missing, and files."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.documents import export
from core.documents import gather as documents
from core.documents.dossier import Missing
from core.platform.config import Settings
from tests.conftest import copy_home


def test_an_empty_home_has_documents_that_say_what_is_missing(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    made = documents.build(settings)
    app = open_page(settings, "reports", document="monitoring_report")
    assert not app.exception
    assert app.selectbox(key="document").options == [one.title for one in made]
    chosen = next(one for one in made if one.name == "monitoring_report")
    wanted = [one for one in chosen.blocks if isinstance(one, Missing)]
    assert wanted
    told = [one.value for one in app.markdown if one.value.startswith(":material/pending:")]
    assert told == [f":material/pending: {one.text}" for one in wanted]
    assert len(app.get("page_link")) >= len(wanted)


def test_each_document_of_a_life_cycle_is_drawn_with_links_to_its_runs(
    scored_few: Settings, tmp_path, open_page: Callable[..., AppTest]
) -> None:
    settings = copy_home(scored_few, tmp_path / "home")
    facts = documents.gather(settings)
    known = {run.run_id for run in (*facts.runs.values(), *facts.candidates, *facts.reports)}
    app = open_page(settings, "reports")
    for document in documents.of(facts):
        app = app.selectbox(key="document").set_value(document.name).run()
        assert not app.exception
        assert not app.error
        said = [one.value for one in app.markdown]
        assert f"## {document.title}" in said
        text = "\n".join([*said, *(one.value for one in app.caption)])
        assert document.about in text
        assert "(run:" not in text
        assert set(re.findall(r"/runs\?run=(\w+)", text)) <= known
    assert "monitoring_report" in {one.name for one in documents.of(facts)}


def test_the_zip_holds_every_document_in_each_form_and_is_the_same_each_time(
    scored_few: Settings,
) -> None:
    facts = documents.gather(scored_few)
    made = documents.of(facts)[:2]
    kept = export.bundle(made, facts)
    assert kept == export.bundle(made, facts)
    with zipfile.ZipFile(io.BytesIO(kept)) as archive:
        names = set(archive.namelist())
        page = archive.read("html/data_report.html").decode()
        text = archive.read("markdown/data_report.md").decode()
    for document in made:
        assert {
            f"markdown/{document.name}.md",
            f"html/{document.name}.html",
            f"pdf/{document.name}.pdf",
        } <= names
    pictures = re.findall(r"\]\(\.\./(figures/[\w-]+\.svg)\)", text)
    assert pictures
    assert set(pictures) <= names
    assert {name.replace(".svg", ".png") for name in pictures} <= names
    assert page.count("<svg") == len(pictures)
    assert f"{export.APP}/runs?run={facts.runs['acquire'].run_id}" in page


def test_a_file_is_offered_for_download_once_it_is_there(
    settings: Settings, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def as_file(document: object, facts: object, kind: str, **_: object) -> bytes:
        asked.append(kind)
        return b"file"

    monkeypatch.setattr(export, "as_file", as_file)
    app = open_page(settings, "reports")

    def offered() -> list[str]:
        return [found.proto.label for found in app.get("download_button")]

    assert offered() == ["Download Markdown"]
    assert set(asked) == {"md"}
    app = app.button(key="make-pdf").click().run()
    assert not app.exception
    assert "pdf" in asked
    assert offered() == ["Download Markdown", "Download PDF"]
    count = len(asked)
    app.run()
    assert len(asked) == count
    # another document is another file
    other = app.selectbox(key="document").options[1]
    app = app.selectbox(key="document").select(other).run()
    assert "Download PDF" not in offered()
