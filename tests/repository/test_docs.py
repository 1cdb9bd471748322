"""What the documents say about the code is true and complete."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from babel.messages.pofile import read_po

from core.documents.texts import diagram
from core.monitoring import alerting
from core.platform import runs, steps, tracking
from core.platform.config import CODE_ROOT, PREFIX, Settings
from core.platform.run_tags import TAG, RunTags
from core.platform.steps import STEPS
from core.registry import gate
from core.retraining import policy
from core.retraining import policy_settings as retraining
from core.runtime import commands
from core.serving import metrics
from core.stats import check, checks, estimation, performance
from pages.shared import navigation
from tests import code_trees

README = (CODE_ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (CODE_ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PAGES = sorted(
    [*CODE_ROOT.glob("*.md"), *CODE_ROOT.glob("docs/**/*.md"), CODE_ROOT / "data" / "README.md"],
    key=lambda path: path.relative_to(CODE_ROOT).as_posix(),
)
TEXTS = {path.relative_to(CODE_ROOT).as_posix(): path.read_text("utf-8") for path in PAGES}
every_page = pytest.mark.parametrize("name", sorted(TEXTS))
TRANSLATIONS = sorted(name for name in TEXTS if name.endswith(".pt-BR.md"))
every_translation = pytest.mark.parametrize("name", TRANSLATIONS)


def part(heading: str) -> str:
    """Return the text below a heading of the reference."""
    match = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert match is not None, heading
    return match[1]


def named(heading: str) -> set[str]:
    """Return the names in code signs below a heading of the reference."""
    return set(re.findall(r"`([^`\n]+)`", part(heading)))


@cache
def every_call() -> dict[str, list[tuple[str, ast.Call]]]:
    """Return the calls in core and the pages by the function's last name, each with its file."""
    by_name = defaultdict(list)
    for path in code_trees.modules().values():
        for node in code_trees.nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                by_name[name].append((path.relative_to(CODE_ROOT).as_posix(), node))
    return by_name


def calls(name: str, within: str = "core/") -> list[ast.Call]:
    """Return the calls of a function in files below a folder."""
    return [call for path, call in every_call().get(name, ()) if path.startswith(within)]


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


def test_the_readme_lists_every_setting_and_no_other() -> None:
    documented = re.findall(r"^\| `([A-Z_]+)`", README, flags=re.MULTILINE)
    fields = {PREFIX + name.upper() for name in Settings.model_fields if name != "tracking_uri"}
    assert set(documented) == fields | {"MLFLOW_TRACKING_URI"}
    assert sorted(re.findall(r"^\| `([A-Z_]+)`", part("Settings"), re.MULTILINE)) == sorted(
        documented
    )


def test_the_readme_names_the_run_of_every_step() -> None:
    documented = dict(re.findall(r"^\| (\w+) \| `(\w+)`", README, flags=re.MULTILINE))
    assert documented == steps.RUN_NAMES
    runs = re.findall(r"^\| `(\w+)` \| (\w+) \|", part("Runs"), flags=re.MULTILINE)
    assert {step: run for run, step in runs} == steps.RUN_NAMES


def test_the_proof_finds_the_readmes_line() -> None:
    wanted = re.search(r"grep -m 1 -E '([^']+)' README.md", (CODE_ROOT / ".ci" / "run").read_text())
    assert wanted is not None
    assert len(re.findall(wanted[1], README, flags=re.MULTILINE)) == 1
    opens = "pip install uv && uv run --no-project --with-requirements requirements.txt streamlit"
    assert f"\n{opens} run app.py\n" in README


def test_the_diagram_is_drawn_from_the_code() -> None:
    match = re.search(
        r"<!-- life cycle: .*? -->\n```mermaid\n(.*?)\n```\n<!-- end of life cycle -->",
        TEXTS["docs/README.md"],
        flags=re.DOTALL,
    )
    assert match is not None
    # to update it: just diagram
    assert match[1] == diagram.mermaid().rstrip("\n")


# --- reference ----------------------------------------------------------------------------------


def tags_in_source() -> set[str]:
    """Return the tags of ours: the fields of every record of them."""
    folders = [path.parent.name for path in (CODE_ROOT / "core").glob("*/records.py")]
    homes = [importlib.import_module(f"core.{name}.records") for name in folders]
    kinds = [kind for home in (runs, *homes) for kind in vars(home).values()]
    records = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, RunTags)]
    return {name for record in records for name in record.model_fields}


def test_every_tag_is_documented() -> None:
    matches = (re.fullmatch(r"courtside\.(.+)", name) for name in named("Tags"))
    documented = {name[1].removesuffix(".<file>") for name in matches if name}
    assert tags_in_source() - documented == set()
    assert documented - tags_in_source() == set()


def test_every_tag_and_table_of_recorded_runs_is_documented(trained_few: Settings) -> None:
    runs = tracking.runs(trained_few, limit=50)
    assert {run.name for run in runs} >= {"AquisicaoDados", "PreparacaoDados", "Treinamento"}
    tags = {
        re.sub(r"sha256\..*", "sha256.<file>", tag)
        for run in runs
        for tag in run.tags
        if tag.startswith(TAG)
    }
    assert tags <= named("Tags")
    tables = {
        Path(name).stem
        for run in runs
        for name in tracking.artifacts(trained_few, run.run_id)
        if name.startswith("tables/")
    }
    assert tables <= named("Tables")


def documented_metrics() -> re.Pattern[str]:
    """Return what a documented metric looks like: a name of the tables, or figure and suffix."""
    plain, figures, suffixes = set(), set(), set()
    for name in named("Metrics"):
        if name.startswith("_"):
            suffixes.add(name)
        elif re.fullmatch(r"[a-z][a-z0-9_<>]*", name):
            plain.add(name)
            figures.add(name)
    ends = "|".join(re.escape(pattern) for pattern in suffixes if "<" not in pattern)
    names = "|".join(re.sub(r"<[a-z]+>", r".+", pattern) for pattern in plain)
    return re.compile(rf"({names})|({'|'.join(figures)})({ends})")


def test_every_metric_of_recorded_runs_is_documented(trained_few: Settings) -> None:
    documented = documented_metrics()
    metrics = {name for run in tracking.runs(trained_few, limit=50) for name in run.metrics}
    assert len(metrics) > 50
    assert {name for name in metrics if not documented.fullmatch(name)} == set()


@pytest.mark.parametrize("step", sorted(steps.RUN_NAMES))
def test_every_table_and_metric_that_a_step_names_is_documented(step: str) -> None:
    tables, metrics = set(), set()
    # a step may record in another module of its package
    for call in calls("Record", f"core/{steps.named(step).package}/"):
        for keyword in call.keywords:
            if keyword.arg in ("tables", "metrics") and isinstance(keyword.value, ast.Dict):
                names = {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
                (tables if keyword.arg == "tables" else metrics).update(names)
    stage = next(candidate for candidate in STEPS if candidate.name == step)
    tables |= {Path(left.name).stem for left in stage.outputs if left.name.startswith("tables/")}
    assert tables - named("Tables") == set()
    documented = documented_metrics()
    assert {name for name in metrics if not documented.fullmatch(name)} == set()


def test_every_check_is_documented() -> None:
    documented = named("Checks")
    wanted = {*performance.NAMES, *estimation.TITLES, *gate.TITLES}
    wanted |= {f"{kind}.<column>" for kind in checks._OF_COLUMN}
    wanted |= first_texts("Check", "core/stats/")
    wanted |= first_texts("_check", "core/data/split_checks.py")
    wanted |= first_texts("frame_finding", "core/platform/schema.py")
    faults_source = (CODE_ROOT / "core" / "platform" / "rows" / "faults.py").read_text(
        encoding="utf-8"
    )
    wanted |= set(re.findall(r'fault\.code == "(\w+)"', faults_source))
    wanted |= {
        node.elts[0].value
        for node in code_trees.nodes(CODE_ROOT / "core/data/leakage.py")
        if isinstance(node, ast.Tuple)
        and len(node.elts) == 2
        and isinstance(node.elts[0], ast.Constant)
        and isinstance(node.elts[1], ast.Call | ast.IfExp)
        and isinstance(node.elts[0].value, str)
    }
    assert len(wanted) > 50
    assert wanted - documented - {"text"} == set()


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("Checks", get_args(check.Verdict)),
        ("Checks", get_args(gate.Verdict)),
        ("Verdicts and decisions", get_args(check.VerdictCode)),
        ("Verdicts and decisions", get_args(policy.Code)),
        ("Verdicts and decisions", get_args(retraining.Strategy)),
        ("Alerts", get_args(alerting.Kind)),
    ],
    ids=["checks", "gate", "verdicts", "decisions", "strategies", "alerts"],
)
def test_every_verdict_is_documented(heading: str, codes: tuple[Any, ...]) -> None:
    assert codes
    assert set(codes) <= named(heading)


def test_every_endpoint_and_header_is_documented() -> None:
    documentation = part("The served model") + part("Webhooks")
    paths = set(metrics.PATHS)
    headers = {
        name
        for path in ("core/serving/protocol.py", "core/monitoring/deliver.py")
        for node in code_trees.nodes(CODE_ROOT / path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in re.findall(r"^X-[A-Za-z-]+$", node.value)
    }
    assert len(headers) >= 8
    assert {item for item in paths | headers if item not in documentation} == set()


def test_every_figure_for_prometheus_is_documented() -> None:
    counted = metrics.Statistics()
    families = {family.name: family.type for family in counted.registry.collect()}
    names = {f"{name}_total" if kind == "counter" else name for name, kind in families.items()}
    gauges = first_texts("add", "core/serving/app.py")
    names |= {f"courtside_{name}" for name in gauges if re.fullmatch(r"[a-z_]+", name)}
    assert len(names) >= 8
    assert names - named("The served model") == set()


# --- guide --------------------------------------------------------------------------------------


def titles() -> list[str]:
    """Return the titles of the pages, those in the sidebar first."""
    return [str(title) for title, _ in (navigation.PAGES | navigation.LINKED_PAGES).values()]


def test_every_page_has_its_section_of_the_guide() -> None:
    heads = [
        head
        for name, text in TEXTS.items()
        if name.startswith("docs/guide/")
        for head in re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    ]
    assert len(titles()) == len(list((CODE_ROOT / "pages").glob("*/page.py")))
    for title in titles():
        assert heads.count(title) == 1, title


@every_page
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    path = CODE_ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{name} links to {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked.read_text("utf-8")), f"{name} links to {target}"


def anchors(text: str) -> set[str]:
    """Return the places of a page that can be linked to, as GitHub names them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[`*\[\]]|\([^)]*\)", "", head).strip().lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


def test_pictures_are_few_and_small_and_say_what_they_show() -> None:
    files = {path.name for path in (CODE_ROOT / "docs" / "images").glob("*.png")}
    shown = {
        Path(target).name: alt
        for name, text in TEXTS.items()
        if "dossier" not in name
        for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", text)
    }
    assert files == shown.keys()
    assert all(shown.values())
    size = sum((CODE_ROOT / "docs" / "images" / name).stat().st_size for name in files)
    assert size < 1_200_000


@every_page
def test_no_document_names_a_machine(name: str) -> None:
    words = r"/work/|/root/|/tmp/venv|/home/\w+/|pypi\.org|pythonhosted|--index-url"
    assert re.findall(words, TEXTS[name]) == []


def test_decisions_are_numbered_without_gaps() -> None:
    records = sorted((CODE_ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:5] for path in records] == [f"{n:04}-" for n in range(1, len(records) + 1)]
    for path in records:
        head = path.read_text("utf-8").splitlines()[0]
        number = re.match(r"# (\d+)\.? \w", head)
        assert number is not None, head
        assert int(number[1]) == int(path.name[:4]), head


@every_page
def test_commands_name_what_exists(name: str) -> None:
    recipes = set(
        re.findall(r"^([a-z-]+)[^:\n]*:(?!=)", (CODE_ROOT / "justfile").read_text(), re.M)
    )
    text = TEXTS[name]
    for mentioned in re.findall(r"(?:bash|python|python3\.11) ([.\w/]+\.py|\.ci/\w+)", text):
        assert (CODE_ROOT / mentioned).is_file(), f"{name}: {mentioned}"
    for mentioned in re.findall(r"python -m ((?:core|benchmarks|docs)[.\w]*)", text):
        module_path = CODE_ROOT / Path(*mentioned.split("."))
        assert (
            module_path.with_suffix(".py").is_file() or (module_path / "__main__.py").is_file()
        ), mentioned
    # inside code signs only: elsewhere it is a word of a sentence
    code = " ".join(re.findall(r"`([^`]+)`", text))
    for mentioned in re.findall(r"\bjust ([a-z]+)", code):
        assert mentioned in recipes, f"{name}: just {mentioned}"


def test_documented_commands_are_valid() -> None:
    all_commands = {*commands.STEPS, *commands.OTHERS}
    examples = [
        (name, line)
        for name, text in TEXTS.items()
        for line in re.findall(r"python -m core ([a-z][^`|\n]*)", text.replace("\\\n", " "))
    ]
    assert len(examples) >= 3
    for name, line in examples:
        command, *arguments = shlex.split(re.split(r" >>? ", line)[0], comments=True)
        assert command in all_commands, f"{name}: python -m core {line}"
        if arguments != ["--help"]:
            # an invalid command ends the test with its error message
            commands._parser(command).parse_args(arguments)


def test_every_exit_code_is_documented() -> None:
    codes = (commands.DONE, commands.REFUSED, commands.USAGE, commands.INTERRUPTED)
    assert {str(code) for code in codes} <= named("Exit codes")


def test_every_direct_dependency_is_pinned() -> None:
    direct = re.findall(
        r"^([a-zA-Z0-9_-]+)", (CODE_ROOT / "requirements.in").read_text("utf-8"), flags=re.MULTILINE
    )
    pinned = (CODE_ROOT / "requirements.txt").read_text("utf-8")
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


# --- documents in Portuguese --------------------------------------------------------------------


def structure(text: str) -> dict[str, Any]:
    """Return what a document and its translation have in common."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = [target.replace(".pt-BR", "") for target in re.findall(r"\]\(([^)\s]+)\)", prose)]
    return {
        "commands": [block for kind, block in blocks if kind != "mermaid"],
        "diagrams": [len(block.splitlines()) for kind, block in blocks if kind == "mermaid"],
        "headings": re.findall(r"^#+(?= )", prose, re.MULTILINE),
        # headings of the documents above are named in their language
        "links": [re.sub(r"((?:README|tour)\.md)#.+", r"\1", target) for target in links],
        "code": set(re.findall(r"`([^`\n]+)`", prose)),
        "numbers": {re.sub(r"[.,]", "", number) for number in re.findall(r"\d[\d.,]*", prose)},
        "table rows": len(re.findall(r"^\|", prose, re.MULTILINE)),
    }


@every_translation
def test_a_translation_has_the_structure_of_its_original(name: str) -> None:
    original = name.replace(".pt-BR", "")
    assert structure(TEXTS[name]) == structure(TEXTS[original])
    assert f"]({Path(name).name})" in TEXTS[original].split("\n\n")[1]
    assert f"]({Path(original).name})" in TEXTS[name].split("\n\n")[1]


def catalogue() -> dict[str, str]:
    """Return the texts of the app with their translations."""
    path = CODE_ROOT / "core" / "locale" / "pt" / "LC_MESSAGES" / "courtside.po"
    with path.open("rb") as file:
        return {
            entry.id: entry.string
            for entry in read_po(file, locale="pt")
            if isinstance(entry.id, str)
        }


@every_translation
def test_a_translation_quotes_the_texts_of_the_app(name: str) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", TEXTS[name], flags=re.DOTALL).replace("**", "")
    quotes = {" ".join(quote.split()) for quote in re.findall(r"\*([^*]+)\*", prose)}
    assert quotes
    texts = catalogue()
    verdict = texts["The model does not fit the {rows}"].format(rows=texts["3-point shots"])
    # the sidebar shows the name of the language as it is
    assert quotes - {*texts.values(), verdict} == {"Português"}


def test_the_portuguese_readme_names_the_pages_as_the_app_does() -> None:
    rows = re.compile(r"^\| (\w+) \| `\w+`.*? \| ([^|`]+) \|$", re.MULTILINE)
    translated = dict(rows.findall(TEXTS["README.pt-BR.md"]))
    pages = {step: page.split(", ") for step, page in rows.findall(README)}
    assert set(pages) == set(steps.RUN_NAMES)
    texts = catalogue()
    assert translated == {
        step: ", ".join(texts[title] for title in titles) for step, titles in pages.items()
    }


# --- where code is ------------------------------------------------------------------------------

# what a record says of the past, and what a reader of the guide writes
GONE = {
    "docs/decisions/0044-packages-by-subject.md": {"tests/test_layers.py"},
    "docs/decisions/0029-translation-at-display-time.md": {
        "core/platform/language.py",
        "pages/shared/bilingual.py",
        ".ci/messages.py",
    },
}
# a path or a dotted name, without those that have a part to be filled in
PLACE = re.compile(r"(?<![\w./<-])((?:core|pages|tests|benchmarks|\.ci)[./][\w./]*\w)(?![\w*<]|/<)")


@cache
def defined(path: Path) -> set[str]:
    """Return the names that a module defines, imports or offers."""
    names: set[str] = set()
    for node in code_trees.nodes(path)[0].body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                names |= {alias.asname or alias.name for alias in imported}
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names |= set(ast.literal_eval(value))
            case ast.Assign(targets=targets):
                names |= {ast.unparse(target) for target in targets}
            case ast.AnnAssign(target=target):
                names.add(ast.unparse(target))
    return names


def exists(name: str) -> bool:
    """Return whether a file, a folder, a module or a name in a module has this name."""
    if (CODE_ROOT / name).exists():
        return True
    parts = re.split(r"[./]", name.removesuffix(".py"))
    for count in range(len(parts), 0, -1):
        path = CODE_ROOT / Path(*parts[:count])
        for module in (path.with_suffix(".py"), path / "__init__.py"):
            if module.is_file():
                return count == len(parts) or parts[count] in defined(module)
    return False


@every_page
def test_modules_that_are_named_exist(name: str) -> None:
    text = re.sub(r"^ *python -m \S+", "", TEXTS[name], flags=re.MULTILINE)
    assert {place for place in PLACE.findall(text) if not exists(place)} == GONE.get(name, set())


@cache
def written(path: str) -> set[str]:
    """Return the expressions of a module as they are written."""
    expressions = (
        node for node in code_trees.nodes(CODE_ROOT / path) if isinstance(node, ast.expr)
    )
    return {ast.unparse(node).replace("'", '"') for node in expressions}


def test_each_call_in_the_architecture_document_exists() -> None:
    lines = re.findall(
        r"^\| (\d+) \| \[(\S+)\]\(\.\./(\S+)\) \| (.+?) \| .+ \|$",
        TEXTS["docs/architecture.md"],
        flags=re.MULTILINE,
    )
    assert [int(number) for number, *_ in lines] == [*range(1, 11)] * 3
    for _, shown, path, names in lines:
        assert shown == path
        expressions = written(path)
        for name in re.findall(r"`([^`]+)`", names):
            assert name in expressions, f"{path} does not call {name}"
