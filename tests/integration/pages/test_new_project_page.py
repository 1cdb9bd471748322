"""New project: the confirmation of a table's guesses, and what the buttons create."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, guess, guess_sample
from core.data.guess_roles import Cut
from core.jobs import chains, jobs
from core.platform import lifecycle, projects, storage
from core.platform.config import Settings
from pages.projects import columns_table
from pages.projects.draft import Draft

OpenPage = Callable[..., AppTest]


def customers(rows: int = 600) -> pd.DataFrame:
    """A table with an id, two possible targets, three classes and a column that gives one away."""
    rng = np.random.default_rng(5)
    age = rng.integers(18, 80, rows)
    left = rng.random(rows) < 1 / (1 + np.exp((age - 50) / 8))
    return pd.DataFrame(
        {
            "customer_id": np.arange(1000, 1000 + rows),
            "age": age,
            "plan": rng.choice(["basic", "plus", "pro"], rows),
            "city": rng.choice(["Recife", "Natal", "Belém"], rows),
            "exit_code": np.where(left, rng.integers(1, 9, rows), np.nan),
            "newsletter": rng.choice(["no", "yes"], rows),
            "churn": np.where(left, "yes", "no"),
        }
    )


def content(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def opened(home: Settings, open_page: OpenPage) -> AppTest:
    """The page with the table of customers dropped."""
    return drop(open_page(home, "projects", view="new"), "customers.csv", content(customers()))


def drop(app: AppTest, name: str, given: bytes, key: str = "new-table") -> AppTest:
    app.file_uploader(key=key).upload(name, given)
    app = app.run()
    assert not app.exception
    return app


def choose(app: AppTest, name: str, value: object) -> AppTest:
    app = app.selectbox(key=f"new-{name}").select(value).run()
    assert not app.exception
    return app


def chosen(app: AppTest, *names: str) -> list[object]:
    return [app.selectbox(key=f"new-{name}").value for name in names]


def press(app: AppTest, key: str) -> AppTest:
    app = app.button(key=key).click().run()
    assert not app.exception
    return app


def expected(tmp_path: Path, **choices: object) -> guess.Guesses:
    path = tmp_path / "customers.csv"
    path.write_bytes(content(customers()))
    return guess.guess(guess_sample.read_some(path), **choices)


def test_the_guesses_are_shown_with_their_reasons(
    opened: AppTest, tmp_path: Path, text_of: Callable[[AppTest], str]
) -> None:
    guesses = expected(tmp_path)
    lines = ("target", "positive", "id", "time", "group", "weights")
    assert chosen(opened, *lines) == [getattr(guesses, name).value for name in lines]
    assert guesses.target.value == "churn"
    text = text_of(opened)
    for name in (*lines, "current", "threshold_by"):
        assert str(getattr(guesses, name).reason) in text.replace("\\", "")
    # what may give the target away is listed once, with its button
    assert text.replace("\\", "").count(str(guesses.left_out["exit_code"].reason)) == 1
    assert "exit_code" not in set(columns_table.rows(guesses)["column"])
    assert opened.text_input(key="new-name").value == "customers"
    assert opened.text_input(key="new-question").value == guesses.question


def test_a_table_without_a_target_says_so_once(
    home: Settings, open_page: OpenPage, text_of: Callable[[AppTest], str]
) -> None:
    lines = "\n".join(["notes", *(f"sentence {number}" for number in range(40))])
    app = drop(open_page(home, "projects", view="new"), "notes.csv", lines.encode())
    assert text_of(app).count("Only one column was read") == 1


def test_another_target_brings_other_guesses(opened: AppTest) -> None:
    app = choose(opened, "target", "plan")
    assert chosen(app, "target") == ["plan"]
    classes = app.selectbox(key="new-positive").options
    assert set(classes) == {"basic", "plus", "pro"}
    # what gave the other target away is a feature like others
    assert "new-allow-exit_code" not in {button.key for button in app.button}
    app = choose(app, "positive", "pro")
    assert app.text_input(key="new-question").value == "Is plan pro?"
    assert chosen(choose(app, "target", "churn"), "positive") == ["yes"]


def test_a_leak_is_allowed_with_one_click_and_left_out_again(
    opened: AppTest, home: Settings
) -> None:
    app = press(opened, "new-allow-exit_code")
    assert app.button(key="new-allow-exit_code").label == "Remove"
    app = press(app, "new-allow-exit_code")
    assert app.button(key="new-allow-exit_code").label == "Use"
    press(press(app, "new-allow-exit_code"), "create-only")
    spec = projects.listed(home)[1].spec
    assert spec is not None
    assert spec.allowed == ("exit_code",)
    assert "exit_code" in spec.features


def test_create_and_run_writes_the_file_keeps_the_table_and_starts_the_life_cycle(
    opened: AppTest, home: Settings, tmp_path: Path
) -> None:
    app = choose(opened, "threshold_by", "f1")
    app = app.text_input(key="new-title").set_value("Clientes").run()
    app = press(app, "create-and-run")
    assert app.title[0].value == "Overview"
    assert app.query_params["project"] == "customers"
    own = home.of_project("customers")
    guesses = expected(tmp_path, threshold_by="f1")
    assert projects.text_of(own) == guesses.project_file("customers", "Clientes")
    chain = chains.current(own)
    assert chain is not None
    assert [link.step for link in chain.links] == [step for step, _ in lifecycle.whole()]
    options = acquire.Options(**chain.links[0].options)
    (upload,) = options.uploads
    assert storage.uploaded(own, upload).read_bytes() == content(customers())
    assert acquire.run(own, options).rows == len(customers())
    # the draft is deleted with its project
    app.switch_page("pages/projects/page.py")
    app.query_params["view"] = "new"
    app = app.run()
    assert not app.exception
    assert not [box for box in app.main.selectbox if box.key == "new-target"]


def test_create_only_acquires_and_trains_nothing(opened: AppTest, home: Settings) -> None:
    press(opened, "create-only")
    own = home.of_project("customers")
    assert chains.current(own) is None
    assert [job.step for job in jobs.active(own)] == ["acquire"]


def test_without_current_rows_the_chain_ends_with_the_server(
    opened: AppTest, home: Settings
) -> None:
    press(choose(opened, "rows", '{"by": "none"}'), "create-and-run")
    chain = chains.current(home.of_project("customers"))
    assert chain is not None
    assert [link.step for link in chain.links] == ["acquire", "prepare", "train", "serve"]


def test_current_rows_by_a_value_of_a_column(opened: AppTest, home: Settings) -> None:
    app = choose(choose(opened, "rows", "value"), "cut-column", "city")
    press(choose(app, "cut-value", "Natal"), "create-only")
    spec = projects.listed(home)[1].spec
    assert spec is not None
    assert (spec.rows.by, spec.rows.of, spec.rows.production_values) == (
        "value",
        "city",
        ("Natal",),
    )
    assert "city" not in spec.features


def test_a_second_file_of_current_rows_must_fit(opened: AppTest, home: Settings) -> None:
    app = choose(opened, "rows", "file")
    assert "create-and-run" not in {button.key for button in app.button}
    later = customers(300).assign(customer_id=lambda rows: rows["customer_id"] + 5000)
    app = drop(app, "later.csv", content(later.drop(columns=["age"])), "new-second")
    assert "'later.csv' lacks columns of the table: age." in app.error[0].value
    app = drop(app, "later.csv", content(later), "new-second")
    assert not app.error
    press(app, "create-and-run")
    own = home.of_project("customers")
    spec = projects.listed(home)[1].spec
    assert spec is not None
    assert (spec.rows.by, spec.rows.file) == ("file", "later.csv")
    chain = chains.current(own)
    assert chain is not None
    options = acquire.Options(**chain.links[0].options)
    assert acquire.run(own, options).rows == 900


def test_a_choice_that_cannot_be_is_reported_and_dropped(opened: AppTest) -> None:
    app = choose(opened, "time", "age")
    assert not app.error
    app = choose(app, "target", "age")
    assert "A target needs two or a few distinct values" in app.error[0].value
    assert chosen(app, "target") == ["churn"]


def test_choices_survive_a_visit_to_another_page(opened: AppTest) -> None:
    app = choose(opened, "target", "newsletter")
    app = app.text_input(key="new-title").set_value("Letters").run()
    for page, view in (("runs", ""), ("projects", "new")):
        app.switch_page(f"pages/{page}/page.py")
        if view:
            app.query_params["view"] = view
        app = app.run()
        assert not app.exception
    assert chosen(app, "target") == ["newsletter"]
    assert app.text_input(key="new-title").value == "Letters"


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("empty.csv", b"", "empty"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "is not a CSV or parquet file"),
        ("broken.parquet", b"PAR1 nothing", "broken.parquet"),
        ("header.csv", b"a,b\n", "The data has no rows"),
    ],
)
def test_a_bad_file_has_its_own_error(
    home: Settings, open_page: OpenPage, name: str, given: bytes, said: str
) -> None:
    app = drop(open_page(home, "projects", view="new"), name, given)
    assert said in "\n".join(error.value for error in app.error).replace("\\", "")
    assert "create-and-run" not in {button.key for button in app.button}


def test_a_zip_of_several_tables_is_refused_and_one_of_one_is_read(
    home: Settings, open_page: OpenPage
) -> None:
    def packed(*names: str) -> bytes:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for name in names:
                archive.writestr(name, content(customers()))
        return written.getvalue()

    app = open_page(home, "projects", view="new")
    app = drop(app, "two.zip", packed("a.csv", "b.csv"))
    assert "contains 2 tables" in app.error[0].value
    app = drop(app, "one.zip", packed("a.csv"))
    assert chosen(app, "target") == ["churn"]
    press(app, "create-and-run")
    chain = chains.current(home.of_project("one"))
    assert chain is not None
    own = home.of_project("one")
    assert acquire.run(own, acquire.Options(**chain.links[0].options)).rows == len(customers())


def test_a_table_of_the_allowed_folder_is_read_where_it_is(
    tmp_path: Path, open_page: OpenPage
) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "customers.csv").write_bytes(content(customers()))
    home = Settings(home=tmp_path / "home", raw_dir=folder)
    app = open_page(home, "projects", view="new")
    app.button_group(key="new-source").set_value("folder")
    app = choose(app.run(), "folder-table", "customers.csv")
    press(app, "create-and-run")
    own = home.of_project("customers")
    chain = chains.current(own)
    assert chain is not None
    options = acquire.Options(**chain.links[0].options)
    assert (options.source, options.files) == ("folder", ("customers.csv",))
    assert acquire.run(own, options).rows == len(customers())


def test_the_table_of_columns_leaves_out_allows_and_sets_types(tmp_path: Path) -> None:
    guesses = expected(tmp_path)
    frame = columns_table.rows(guesses)
    assert "exit_code" not in set(frame["column"])
    assert frame["use"].all()
    draft = Draft("customers")
    edits = {"exit_code": {"use": True}, "city": {"use": False}, "age": {"type": "number"}}
    columns_table.apply(draft, guesses, edits)
    changed = guesses.with_(**draft.choices)
    assert changed.allowed == ("exit_code",)
    assert {name: out.code for name, out in changed.left_out.items()} == {"city": "chosen"}
    assert changed.types["age"].value == "number"
    # a type that the values do not have is not taken
    columns_table.apply(draft, changed, {"plan": {"type": "number"}, "city": {"use": True}})
    again = guesses.with_(**draft.choices)
    assert again.types["plan"].value == "text"
    assert "'plan' cannot be read as type number" in str(draft.refused)
    assert not again.left_out


def test_every_column_is_counted_once(tmp_path: Path) -> None:
    guesses = expected(tmp_path)
    counts = [int(count) for count in re.findall(r"\d+", columns_table.counts(guesses))]
    assert counts[:2] == [len(guesses.features), len(guesses.left_out)]
    assert sum(counts) == len(guesses.columns)


def test_a_date_cut_can_be_moved(home: Settings, open_page: OpenPage) -> None:
    days = pd.date_range("2024-01-01", periods=600, freq="D").strftime("%Y-%m-%d")
    frame = customers().assign(day=days)
    app = drop(open_page(home, "projects", view="new"), "days.csv", content(frame))
    start = app.date_input(key="new-start")
    app = start.set_value(pd.Timestamp("2025-03-01").date()).run()
    # how many rows that leaves is said of a day of one's own too
    assert any("Rows from 2025-03-01 on (" in caption.value for caption in app.caption)
    assert not app.exception
    press(app, "create-only")
    spec = projects.listed(home)[1].spec
    assert spec is not None
    assert (spec.rows.by, str(spec.rows.start)) == ("date", "2025-03-01")


def test_a_cut_by_file_is_part_of_the_project_file(tmp_path: Path) -> None:
    guesses = expected(tmp_path, rows=Cut("file", file="later.csv"))
    assert '[rows]\nby = "file"\nfile = "later.csv"' in guesses.project_file("a", "A")


def test_costs_are_written_where_they_decide(tmp_path: Path) -> None:
    by_cost = expected(tmp_path, threshold_by="cost")
    assert "cost_false_negative = 5.0" in by_cost.project_file("a", "A", costs=(1.0, 5.0))
    assert "cost_" not in expected(tmp_path).project_file("a", "A", costs=(1.0, 5.0))
