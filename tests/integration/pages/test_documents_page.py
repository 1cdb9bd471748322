"""The documents on their page: their text, links to runs, missing parts, and downloads."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.data import prepare
from core.documents import export
from core.documents import gather as documents
from core.documents.dossier import Missing
from core.platform.config import Settings
from pages.documents import preview
from tests.conftest import copy_home


def test_an_empty_home_has_documents_that_say_what_is_missing(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    built = documents.build(settings)
    app = open_page(settings, "documents", document="monitoring_report", chapter="whole")
    assert not app.exception
    titles = app.radio(key="document").options
    others = ["Life-cycle diagram", "Checklist"]
    assert [title for title in titles if title not in others] == [each.title for each in built]
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
    app = open_page(settings, "documents")
    for document in documents.of(facts):
        app = app.radio(key="document").set_value(document.name).run()
        app = app.selectbox(key=f"chapter-{document.name}").set_value("whole").run()
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
    app = open_page(settings, "documents")

    def offered() -> list[str]:
        return [button.proto.label for button in app.get("download_button")]

    assert offered() == ["Markdown"]
    assert set(rendered) == {"md"}
    app = app.button(key="make-pdf").click().run()
    assert not app.exception
    assert "pdf" in rendered
    assert offered() == ["Markdown", "PDF"]
    count = len(rendered)
    app.run()
    assert len(rendered) == count
    # another document is another file
    app = app.radio(key="document").set_value("data_report").run()
    assert "PDF" not in offered()


def test_a_document_is_read_a_chapter_at_a_time(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "documents", document="data_report")
    (document,) = (each for each in documents.build(settings) if each.name == "data_report")
    titles = [title for title, _ in preview.chapters(document)[1]]

    def shown() -> list[str]:
        heads = [element.value for element in app.markdown if element.value.startswith("### ")]
        return [head.removeprefix("### ") for head in heads]

    assert shown() == titles[:1]
    app = app.button(key="next-chapter").click().run()
    assert shown() == titles[1:2]
    app = app.selectbox(key="chapter-data_report").set_value("whole").run()
    assert shown() == titles
    # every block is in exactly one chapter, or before the first
    first, named = preview.chapters(document)
    assert (*first, *(block for _, blocks in named for block in blocks)) == document.blocks


def test_the_documents_are_gathered_once_until_something_is_run(
    acquired_few: Settings,
    tmp_path,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = copy_home(acquired_few, tmp_path / "home")
    gathered: list[str] = []
    gather = documents.gather

    def counting(asked: Settings):
        gathered.append("once")
        return gather(asked)

    monkeypatch.setattr(documents, "gather", counting)
    app = open_page(settings, "documents")
    before = documents.stamp(settings)
    app.radio(key="document").set_value("data_report").run()
    assert (gathered, documents.stamp(settings)) == (["once"], before)
    prepare.run(settings, prepare.Options())
    assert documents.stamp(settings) != before
    app.run()
    assert len(gathered) == 2


def test_the_life_cycle_is_drawn_and_can_be_taken_as_text(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "documents", document="life_cycle")
    assert not app.exception
    assert app.get("vega_lite_chart")
    assert [block.language for block in app.code] == ["mermaid", "dot"]
