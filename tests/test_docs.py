"""What the documents say about the code is so, and they leave nothing out."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from core import alerting, commands, retraining
from core.adapters import gateway_stats, tracking
from core.config import PREFIX, Settings
from core.logic import check, checks, estimation, gate, performance, policy
from core.logic.documents import diagram
from core.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data" / "README.md"],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in PAGES}
SOURCES = [*(ROOT / "core").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCES}
every_page = pytest.mark.parametrize("name", sorted(TEXTS))


def part(heading: str) -> str:
    """Return what stands below a heading of the reference."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def named(heading: str) -> set[str]:
    """Return the names in code signs below a heading of the reference."""
    return set(re.findall(r"`([^`\n]+)`", part(heading)))


def calls(name: str, within: str = "core/") -> Iterator[ast.Call]:
    """Return the calls of a function in files below a folder."""
    for path, tree in TREES.items():
        if path.startswith(within):
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                    yield node


def first_texts(name: str, within: str) -> set[str]:
    """Return the texts that a function is called with first."""
    return {
        call.args[0].value
        for call in calls(name, within)
        if call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and call.args[0].value
    }


# --- README -------------------------------------------------------------------------------------


def test_the_readme_tells_every_setting_and_no_other() -> None:
    told = re.findall(r"^\| `([A-Z_]+)`", README, flags=re.MULTILINE)
    there = {PREFIX + name.upper() for name in Settings.model_fields if name != "tracking_uri"}
    assert set(told) == there | {"MLFLOW_TRACKING_URI"}
    assert sorted(re.findall(r"^\| `([A-Z_]+)`", part("Settings"), re.MULTILINE)) == sorted(told)


def test_the_readme_names_the_run_of_every_step() -> None:
    told = dict(re.findall(r"^\| (\w+) \| `(\w+)`", README, flags=re.MULTILINE))
    assert told == tracking.RUN_NAMES
    runs = re.findall(r"^\| `(\w+)` \| (\w+) \|", part("Runs"), flags=re.MULTILINE)
    assert {step: run for run, step in runs} == tracking.RUN_NAMES


def test_the_readmes_python_runs_as_it_stands(
    tmp_path: Path, store_template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert code is not None
    (tmp_path / "mlflow.db").write_bytes(store_template.read_bytes())
    assert code[1].count("/tmp/courtside") == 1
    exec(code[1].replace("/tmp/courtside", tmp_path.as_posix()), {})
    assert "rows_train=16228, rows_test=4057" in capsys.readouterr().out


def test_the_proof_finds_the_readmes_line() -> None:
    wanted = re.search(r"grep -m 1 -E '([^']+)' README.md", (ROOT / ".ci" / "run").read_text())
    assert wanted is not None
    assert len(re.findall(wanted[1], README, flags=re.MULTILINE)) == 1
    opens = "pip install uv && uv run --no-project --with-requirements requirements.txt streamlit"
    assert f"\n{opens} run app.py\n" in README


def test_the_diagram_is_drawn_from_the_code() -> None:
    found = re.search(
        r"<!-- life cycle: .*? -->\n```mermaid\n(.*?)\n```\n<!-- end of life cycle -->",
        TEXTS["docs/README.md"],
        flags=re.DOTALL,
    )
    assert found is not None
    # to make it anew: just diagram
    assert found[1] == diagram.mermaid().rstrip("\n")


# --- reference ----------------------------------------------------------------------------------


def tags_in_source() -> set[str]:
    """Return the tags of ours that the source names, however it puts them together."""
    found: set[str] = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)):
                    found |= set(re.findall(r"^courtside\.([a-z][a-z0-9_]*)$", text))
                case ast.BinOp(left=left, op=ast.Add(), right=ast.Constant(value=str(text))):
                    if ast.unparse(left) in ("TAG", "tag", "tracking.TAG"):
                        found.add(text)
                # TAG + name for name in (...)
                case ast.GeneratorExp(elt=ast.BinOp(left=left), generators=[one]):
                    if ast.unparse(left).endswith("TAG") and isinstance(one.iter, ast.Tuple):
                        found |= set(ast.literal_eval(one.iter))
                case ast.Call(func=ast.Name(id="note"), keywords=given):
                    found |= {str(one.arg) for one in given if one.arg}
    # of a report: a mapping without the beginning of the names
    for node in ast.walk(TREES["core/steps/monitor.py"]):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "tags":
            assert isinstance(node.value, ast.Dict)
            found |= {ast.literal_eval(key) for key in node.value.keys if key is not None}
    # a name's beginning, and the file of messages
    return found - {"champion_", "mo"}


def test_every_tag_is_documented() -> None:
    found = (re.fullmatch(r"courtside\.(.+)", name) for name in named("Tags"))
    told = {name[1] for name in found if name}
    assert tags_in_source() - told == set()
    assert told - tags_in_source() == {"sha256.<file>"}


def test_every_tag_and_table_of_runs_that_are_there_is_documented(trained_few: Settings) -> None:
    runs = tracking.runs(trained_few, limit=50)
    assert {run.name for run in runs} >= {"AquisicaoDados", "PreparacaoDados", "Treinamento"}
    tags = {
        re.sub(r"sha256\..*", "sha256.<file>", tag)
        for run in runs
        for tag in run.tags
        if tag.startswith(tracking.TAG)
    }
    assert tags <= named("Tags")
    tables = {
        Path(name).stem
        for run in runs
        for name in tracking.artifacts(trained_few, run.run_id)
        if name.startswith("tables/")
    }
    assert tables <= named("Tables")


def metrics_told() -> re.Pattern[str]:
    """Return what a documented metric looks like: a name of the tables, or figure and suffix."""
    plain, figures, suffixes = set(), set(), set()
    for name in named("Metrics"):
        if name.startswith("_"):
            suffixes.add(name)
        elif re.fullmatch(r"[a-z][a-z0-9_<>]*", name):
            plain.add(name)
            figures.add(name)
    ends = "|".join(re.escape(one) for one in suffixes if "<" not in one)
    names = "|".join(re.sub(r"<[a-z]+>", r".+", one) for one in plain)
    return re.compile(rf"({names})|({'|'.join(figures)})({ends})")


def test_every_metric_of_runs_that_are_there_is_documented(trained_few: Settings) -> None:
    told = metrics_told()
    found = {name for run in tracking.runs(trained_few, limit=50) for name in run.metrics}
    assert len(found) > 50
    assert {name for name in found if not told.fullmatch(name)} == set()


@pytest.mark.parametrize("step", sorted(tracking.RUN_NAMES))
def test_every_table_and_metric_that_a_step_names_is_documented(step: str) -> None:
    tables, metrics = set(), set()
    for call in calls("Record", f"core/steps/{step}.py"):
        for given in call.keywords:
            if given.arg in ("tables", "metrics") and isinstance(given.value, ast.Dict):
                names = {key.value for key in given.value.keys if isinstance(key, ast.Constant)}
                (tables if given.arg == "tables" else metrics).update(names)
    stage = next(one for one in STAGES if one.step == step)
    tables |= {Path(left.name).stem for left in stage.leaves if left.name.startswith("tables/")}
    assert tables - named("Tables") == set()
    told = metrics_told()
    assert {name for name in metrics if not told.fullmatch(name)} == set()


def test_every_check_is_documented() -> None:
    told = named("Checks")
    wanted = {*performance.NAMES, *estimation.TITLES, *gate.TITLES}
    wanted |= {f"{kind}.<column>" for kind in checks._OF_COLUMN}
    wanted |= first_texts("Check", "core/logic/")
    wanted |= first_texts("_check", "core/logic/split_checks.py")
    wanted |= first_texts("_Rule", "core/schema.py") | first_texts("_whole", "core/schema.py")
    wanted |= {
        node.elts[0].value
        for node in ast.walk(TREES["core/logic/leakage.py"])
        if isinstance(node, ast.Tuple) and len(node.elts) == 2
        and isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[1], ast.JoinedStr)
        and isinstance(node.elts[0].value, str)
    }  # fmt: skip
    assert len(wanted) > 50
    assert wanted - told - {"text"} == set()


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("Checks", get_args(check.Verdict)),
        ("Checks", get_args(gate.Verdict)),
        ("Verdicts and decisions", get_args(check.Conclusion.__annotations__["code"])),
        ("Verdicts and decisions", get_args(policy.Code)),
        ("Verdicts and decisions", get_args(retraining.Strategy)),
        ("Alerts", get_args(alerting.Kind)),
    ],
    ids=["checks", "gate", "verdicts", "decisions", "strategies", "alerts"],
)
def test_every_verdict_is_documented(heading: str, codes: tuple[Any, ...]) -> None:
    if not codes:  # annotations are texts
        found = re.search(r"code: Literal\[(.*?)\]", Path(check.__file__).read_text("utf-8"))
        assert found is not None
        codes = ast.literal_eval(f"({found[1]})")
    assert set(codes) <= named(heading)


def test_every_endpoint_and_header_is_documented() -> None:
    told = part("The served model") + part("Webhooks")
    paths = set(gateway_stats.PATHS)
    headers = {
        name
        for path in ("core/adapters/gateway.py", "core/adapters/deliver.py")
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in re.findall(r"^X-[A-Za-z-]+$", node.value)
    }
    assert len(headers) >= 8
    assert {one for one in paths | headers if one not in told} == set()


def test_every_figure_for_prometheus_is_documented() -> None:
    counted = gateway_stats.Statistics()
    families = {one.name: one.type for one in counted.registry.collect()}
    names = {f"{name}_total" if kind == "counter" else name for name, kind in families.items()}
    gauges = first_texts("add", "core/adapters/gateway.py")
    names |= {f"courtside_{name}" for name in gauges if re.fullmatch(r"[a-z_]+", name)}
    assert len(names) >= 8
    assert names - named("The served model") == set()


# --- guide --------------------------------------------------------------------------------------


def titles() -> list[str]:
    """Return the titles of the pages in the sidebar."""
    return [
        str(ast.literal_eval(given.value))
        for call in calls("Page", "pages/_parts.py")
        for given in call.keywords
        if given.arg == "title"
    ]


def test_every_page_has_its_part_of_the_guide() -> None:
    heads = [
        head
        for name, text in TEXTS.items()
        if name.startswith("docs/guide/")
        for head in re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    ]
    assert len(titles()) == len(list((ROOT / "pages").glob("[a-z]*.py")))
    for title in titles():
        assert heads.count(title) == 1, title


@every_page
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{name} links to {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found.read_text("utf-8")), f"{name} links to {target}"


def anchors(text: str) -> set[str]:
    """Return the places of a page that can be linked to, as GitHub names them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[`*\[\]]|\([^)]*\)", "", head).strip().lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


def test_pictures_are_few_and_small_and_say_what_they_show() -> None:
    there = {path.name for path in (ROOT / "docs" / "images").glob("*.png")}
    shown = {
        Path(target).name: alt
        for name, text in TEXTS.items()
        if "dossier" not in name
        for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", text)
    }
    assert there == shown.keys()
    assert all(shown.values())
    size = sum((ROOT / "docs" / "images" / name).stat().st_size for name in there)
    assert size < 1_200_000


@every_page
def test_no_document_names_a_machine(name: str) -> None:
    words = r"/work/|/root/|/tmp/venv|/home/\w+/|pypi\.org|pythonhosted|--index-url"
    assert re.findall(words, TEXTS[name]) == []


def test_decisions_are_numbered_without_gaps() -> None:
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:5] for path in found] == [f"{n:04}-" for n in range(1, len(found) + 1)]
    for path in found:
        head = path.read_text("utf-8").splitlines()[0]
        number = re.match(r"# (\d+)\.? \w", head)
        assert number is not None, head
        assert int(number[1]) == int(path.name[:4]), head


@every_page
def test_commands_name_what_exists(name: str) -> None:
    recipes = set(re.findall(r"^([a-z-]+)[^:\n]*:(?!=)", (ROOT / "justfile").read_text(), re.M))
    text = TEXTS[name]
    for found in re.findall(r"(?:bash|python|python3\.11) ([.\w/]+\.py|\.ci/\w+)", text):
        assert (ROOT / found).is_file(), f"{name}: {found}"
    for found in re.findall(r"python -m ((?:core|benchmarks|docs)[.\w]*)", text):
        where = ROOT / Path(*found.split("."))
        assert where.with_suffix(".py").is_file() or (where / "__main__.py").is_file(), found
    # inside code signs only: elsewhere it is a word of a sentence
    code = " ".join(re.findall(r"`([^`]+)`", text))
    for found in re.findall(r"\bjust ([a-z]+)", code):
        assert found in recipes, f"{name}: just {found}"


def test_commands_are_understood_as_they_stand() -> None:
    known = {*commands.STEPS, *commands.OTHERS}
    found = [
        (name, line)
        for name, text in TEXTS.items()
        for line in re.findall(r"python -m core ([a-z][^`|\n]*)", text.replace("\\\n", " "))
    ]
    assert len(found) >= 3
    for name, line in found:
        command, *given = shlex.split(re.split(r" >>? ", line)[0], comments=True)
        assert command in known, f"{name}: python -m core {line}"
        if given != ["--help"]:
            # one that is not understood ends the test with what it says
            commands._parser(command).parse_args(given)


def test_every_exit_code_is_documented() -> None:
    codes = (commands.DONE, commands.REFUSED, commands.USAGE, commands.INTERRUPTED)
    assert {str(code) for code in codes} <= named("Exit codes")


def test_every_direct_dependency_is_pinned() -> None:
    direct = re.findall(
        r"^([a-zA-Z0-9_-]+)", (ROOT / "requirements.in").read_text("utf-8"), flags=re.MULTILINE
    )
    pinned = (ROOT / "requirements.txt").read_text("utf-8")
    for name in direct:
        assert re.search(rf"^{name.lower()}==\S+", pinned, flags=re.MULTILINE), name
    assert "://" not in pinned
    assert "/" not in re.sub(r"^#.*$", "", pinned, flags=re.MULTILINE)


def test_shell_blocks_can_be_read_by_a_shell() -> None:
    for name, text in TEXTS.items():
        for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith(("pip", "uv", "python", "just", "streamlit", "bash")):
                    assert shlex.split(line.split(" # ")[0]), f"{name}: {line}"
