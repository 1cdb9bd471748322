# The recipes of this repository. `just` lists them. Install it with: uv tool install rust-just
# Each recipe runs in the pinned environment, which uv makes on first use and keeps.

run := "uv run --no-project --with-requirements requirements.txt"

# list the recipes
default:
    @just --list --unsorted

# set up the environment
setup:
    {{run}} python -c "import streamlit, mlflow, pycaret; print('Ready. Now: just app')"

# open the app
app *options:
    {{run}} streamlit run app.py {{options}}

# all tests, or those named
test *options:
    {{run}} pytest {{options}}

# the tests that need no browser and no server: three minutes on two cores
quick:
    {{run}} pytest -q tests/unit tests/repository/test_docs.py

# lint: what ruff would change
lint:
    {{run}} ruff check .
    {{run}} ruff format --check .

# let ruff apply its changes
format:
    {{run}} ruff check --fix .
    {{run}} ruff format .

# mypy, strict on core
types:
    {{run}} mypy

# all checks before a commit
check: lint types quick

# the screenshots of README and guide, from a separate app
screenshots *options:
    {{run}} python docs/images/make.py {{options}}

# the whole life cycle without a browser: --data sample, folder or download
lifecycle *options:
    {{run}} python -m core lifecycle {{options}}

# regenerate docs/dossier from a new life cycle; needs COURTSIDE_RAW_DIR, or --data download
dossier *options:
    {{run}} python .ci/dossier.py {{options}}

# the diagram of the life cycle in docs/README.md, from the step table
diagram:
    {{run}} python .ci/diagram.py

# extract the messages of the source, and compile the Portuguese catalogue
messages *options:
    {{run}} python .ci/catalogue.py {{options}}

# newer versions of what is installed; --check compares only
refresh *options:
    {{run}} python .ci/refresh.py {{options}}

# known vulnerabilities in what is pinned
audit:
    {{run}} python .ci/refresh.py --audit

# measure: a script of benchmarks, or `all` of them into docs/benchmarks.md
bench name="lifecycle" *options:
    {{run}} python -m benchmarks.{{name}} {{options}}

# remove caches and results of tests; never data, runs or models
clean:
    {{run}} python .ci/clean.py
