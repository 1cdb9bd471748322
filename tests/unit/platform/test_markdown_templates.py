"""Templates of Markdown: messages in the reader's form, and values that cannot become markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError

from core.platform import markdown_templates, messages
from core.platform.messages import Message

CORE = Path(markdown_templates.CORE)


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(markdown_templates, "CORE", tmp_path)
    markdown_templates._environment.cache_clear()

    def rendered(text: str, **values: object) -> str:
        (tmp_path / "given.md.j2").write_text(text, encoding="utf-8")
        markdown_templates._environment.cache_clear()
        return markdown_templates.render("given.md.j2", {"positive": "*wet*"}, **values)

    yield rendered
    markdown_templates._environment.cache_clear()


def test_numbers_take_the_form_of_the_language(render) -> None:
    text = "{% trans n=n, share=share %}\n{n:,} rows,\n  {share:.1%}\n{% endtrans %}\n\n{{ n }}"
    with messages.speaking("pt"):
        assert render(text, n=20285, share=0.4774) == "20.285 rows, 47,7%\n\n20.285\n"
    assert render(text, n=20285, share=0.4774) == "20,285 rows, 47.7%\n\n20,285\n"


def test_a_value_is_no_markup_wherever_it_is_shown(render) -> None:
    typed = "![x](http://y) <b> `c`"
    text = (
        "{{ typed }}\n{{ _('{typed} of {several}', typed=typed, several=[typed, message]) }}\n"
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(typed) }}\n{{ table(['a'], [[typed]]) }}\n"
        "{{ _('{positive}') }}\n"
    )
    shown = render(text, typed=typed, message=Message("{a}", a=typed))
    assert "![" not in shown.replace("\\[", "")
    assert shown.count(r"!\[x\](http\://y) \<b> \`c\`") == 6
    assert r"\*wet\*" in shown


def test_nothing_is_a_dash_and_a_missing_variable_an_error(render) -> None:
    assert render("{{ none }} {{ nan }}", nan=float("nan")) == "– –\n"
    with pytest.raises(Exception, match="'absent' is undefined"):
        render("{{ absent }}")


def test_a_plural_is_chosen_by_its_count(render) -> None:
    text = "{% trans count=n %}{count} row{% pluralize %}{count:,} rows{% endtrans %}"
    assert [render(text, n=n) for n in (1, 2000)] == ["1 row\n", "2,000 rows\n"]


def test_items_are_counted_and_cells_keep_their_columns(render) -> None:
    text = "{% for a in 'xyz' %}\n1. {{ a }}\n{% endfor %}\n\n1. again\n"
    assert render(text) == "1. x\n2. y\n3. z\n\n1. again\n"
    assert render("{{ row('a|b', 'c\nd') }}") == "| a\\|b | c d |\n"


def test_a_tag_within_a_message_is_refused(render) -> None:
    with pytest.raises(TemplateSyntaxError, match="give it parameters"):
        render("{% trans %}{{ n }} rows{% endtrans %}", n=1)


def test_every_template_has_messages_that_are_extracted() -> None:
    templates = sorted(CORE.rglob("*.md.j2"))
    assert len(templates) > 10
    extracted = {
        path.name: [*markdown_templates.messages_of(path.read_text(encoding="utf-8"))]
        for path in templates
    }
    assert all(extracted.values())
    assert ("Allowed values", None) in extracted["data_dictionary.md.j2"]
    assert all(isinstance(text, tuple) for text, _context in extracted["fitted.md.j2"])
    named = markdown_templates.messages_of('{{ p_("known", "after") }}')
    assert list(named) == [("after", "known")]
