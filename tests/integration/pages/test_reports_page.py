"""The documents on their page: their text, links to runs, missing parts, and downloads."""

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
    built = documents.build(settings)
    app = open_page(settings, "reports", document="monitoring_report")
    assert not app.exception
    assert app.selectbox(key="document").options == [document.title for document in built]
    chosen = next(document for document in built if document.name == "monitoring_report")
    wanted = [block for block in chosen.blocks if isinstance(block, Missing)]
    assert wanted
    pending = [
        element.value for element in app.markdown if element.value.startswith(":material/pending:")
    ]
    assert pending == [f":material/pending: {block.text}" for block in wanted]
    assert len(app.get("page_link")) >= len(wanted)


def test_each_document_of_a_life_cycle_is_drawn_with_links_to_its_runs(
    scored_few: Settings, tmp_path, open_page: Callable[..., AppTest]
) -> None:
    settings = copy_home(scored_few, tmp_path / "home")
    facts = documents.gather(settings)
    run_ids = {run.run_id for run in (*facts.runs.values(), *facts.candidates, *facts.reports)}
    app = open_page(settings, "reports")
    for document in documents.of(facts):
        app = app.selectbox(key="document").set_value(document.name).run()
        assert not app.exception
        assert not app.error
        texts = [element.value for element in app.markdown]
        assert f"## {document.title}" in texts
        text = "\n".join([*texts, *(caption.value for caption in app.caption)])
        assert document.about in text
        assert "(run:" not in text
        assert set(re.findall(r"/runs\?run=(\w+)", text)) <= run_ids
    assert "monitoring_report" in {document.name for document in documents.of(facts)}


@pytest.mark.long
def test_the_zip_holds_every_document_in_each_form_and_is_the_same_each_time(
    scored_few: Settings,
) -> None:
    facts = documents.gather(scored_few)
    built = documents.of(facts)[:2]
    bundle = export.bundle(built, facts)
    assert bundle == export.bundle(built, facts)
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        names = set(archive.namelist())
        page = archive.read("html/data_report.html").decode()
        text = archive.read("markdown/data_report.md").decode()
    for document in built:
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
    rendered: list[str] = []

    def as_file(document: object, facts: object, kind: str, **_: object) -> bytes:
        rendered.append(kind)
        return b"file"

    monkeypatch.setattr(export, "as_file", as_file)
    app = open_page(settings, "reports")

    def offered() -> list[str]:
        return [button.proto.label for button in app.get("download_button")]

    assert offered() == ["Download Markdown"]
    assert set(rendered) == {"md"}
    app = app.button(key="make-pdf").click().run()
    assert not app.exception
    assert "pdf" in rendered
    assert offered() == ["Download Markdown", "Download PDF"]
    count = len(rendered)
    app.run()
    assert len(rendered) == count
    # another document is another file
    other = app.selectbox(key="document").options[1]
    app = app.selectbox(key="document").select(other).run()
    assert "Download PDF" not in offered()
