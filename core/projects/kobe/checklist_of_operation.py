"""Checklist lines about operation: the API, its results, monitoring and retraining."""

from __future__ import annotations

from core.documents.dossier import Facts, RunFacts
from core.documents.texts.reading import listed, metric, number, percent, plain_tags
from core.documents.texts.requirement import Found, Line, answered, needs, of_values
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.projects.kobe import answers_of_operation as written
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun
from core.scoring.records import ScoringRun

# labelled rows that a control sample should have
CONTROL_ROWS = 100
# codes of checks that need an alarm
ALARMS = ("recall", "specificity", "precision")


def lines(facts: Facts) -> list[Line]:
    """Return the lines about operation, the dashboard, and further topics of the course."""
    rows = facts.spec.rows
    serve = "Start a server on the page Serve."
    score = f"Start a server on the page Serve, then score the {rows.production_name}."
    monitor = "Score rows, then monitor on the page Monitor."
    return [
        Line(
            "8.1",
            "The model registered in MLflow.",
            _registered,
            "registry",
            "Train on the page Train: the best candidate is registered.",
        ),
        Line("8.2", "The model offered by MLflow as an API.", _served, "serve", serve, (3,)),
        Line(
            "8.3",
            f"The {rows.production_name} scored through `requests`, as the run PipelineAplicacao.",
            _scored,
            "score",
            score,
        ),
        Line("8.4", "A table of results, as parquet.", _results, "score", score),
        Line(
            "8.5", f"Log loss and F1 on the {rows.production_name}.", _new_figures, "score", score
        ),
        Line(
            "8.6",
            "In writing: how the development and the production base differ.",
            lambda project_facts: answered(project_facts, written.bases),
            "reports",
            monitor,
            (20,),
        ),
        Line(
            "8.7",
            "Stated: is the model adherent to this new base, and why?",
            _adherence,
            "monitor",
            monitor,
            (4,),
        ),
        Line(
            "8.8",
            "Monitored with the response variable, and without it.",
            _both_ways,
            "monitor",
            "Monitor rows of which some have a label.",
            (21,),
        ),
        Line(
            "8.9",
            "In writing: the reactive and the predictive strategy of retraining.",
            lambda project_facts: answered(project_facts, written.retraining),
            "reports",
            "Run a replay on the page Replay: it compares both on the rows of the past.",
            (23,),
        ),
        Line(
            "8.10",
            "A decision about retraining that was asked for.",
            _decided,
            "retrain",
            "Ask for a decision on the page Retrain.",
        ),
        Line(
            "9.1",
            "A dashboard in Streamlit that monitors the operation.",
            _dashboard,
            "monitor",
            monitor,
            (22,),
        ),
        Line(
            "10.1",
            "A run for the approval of a model.",
            _approved,
            "registry",
            "Train a challenger, then ask the gate on the page Registry.",
        ),
        Line(
            "10.2",
            "Revalidation in operation, by control samples that people label.",
            _revalidated,
            "predictions",
            f"Bring {CONTROL_ROWS} labels or more as a file, on the page Predictions.",
        ),
        Line("10.3", "Monitoring of operation, and of novelty.", _novelty, "monitor", monitor),
        Line(
            "10.4",
            "An alarm when sensitivity (recall), specificity or precision deviate.",
            _alarm,
            "monitor",
            "Monitor rows with labels. Specificity has no alarm of its own: it is read from the "
            "table of both kinds of mistakes.",
        ),
        Line(
            "10.5",
            "Densities of development, test and operation over each other.",
            _densities,
            "monitor",
            "Monitor the scored rows, and the test set too, on the page Monitor.",
        ),
    ]


def _registered(facts: Facts) -> Found:
    champion = facts.champion
    if champion is None:
        return Found("missing", f"No version of `{facts.spec.model}` is the champion yet.")
    run = next(
        (candidate for candidate in facts.candidates if candidate.run_id == champion.run_id), None
    )
    aliases = listed(f"@{alias}" for alias in champion.aliases)
    return Found(
        "met",
        f"`{champion.name}` has {len(facts.versions)} versions; version {champion.version} is "
        f"{aliases}.",
        run,
    )


@needs("serve")
def _served(facts: Facts, run: RunFacts) -> Found:
    command = run.params.get("served_command", "")
    return of_values(
        command.startswith("mlflow models serve"),
        f"`{command}`, answering after {number(metric(run, 'seconds_to_answer'), 1)} s.",
        "The run does not tell how the model was served.",
        run,
    )


def _production(facts: Facts) -> RunFacts | None:
    run = facts.runs.get("score")
    return run if run is not None and ScoringRun.of(run).source == "production" else None


def _scored(facts: Facts) -> Found:
    run = _production(facts)
    name = facts.spec.rows.production_name
    if run is None:
        return Found("missing", f"There is no run `PipelineAplicacao` of the {name} yet.")
    rows = number(metric(run, "rows_scored"))
    port = run.params.get("served_port", "")
    return of_values(
        run.params.get("way") == "endpoint" and bool(port),
        f"{rows} {name} sent to the endpoint on port {port}.",
        f"{rows} {name} were scored, but not through the endpoint.",
        run,
    )


@needs("score", _production)
def _results(facts: Facts, run: RunFacts) -> Found:
    name = run.params.get("output", "").replace("\\", "/").rpartition("/")[2]
    file = facts.files.get(f"data/07_model_output/{name}")
    if file is None:
        return Found("partly", "The run is there, and its table of results is gone.", run)
    if file.rows != metric(run, "rows_scored"):
        return Found("partly", f"The table has {number(file.rows)} rows.", run, file.path)
    return Found("met", f"{number(file.rows)} rows of {file.columns} columns.", run, file.path)


@needs("score", _production)
def _new_figures(facts: Facts, run: RunFacts) -> Found:
    loss, f1 = metric(run, "log_loss_production"), metric(run, "f1_production")
    if loss is None or f1 is None:
        return Found("partly", "The rows have no labels yet: both need them.", run)
    rows = number(metric(run, "rows_labelled"))
    return Found("met", f"Log loss {loss:.4f} and F1 {f1:.4f} on {rows} rows with a label.", run)


def _of_operation(facts: Facts) -> RunFacts | None:
    """Return the report on production rows; None if there is none."""
    run = facts.runs.get("monitor")
    return None if run is None or run.params.get("window") == "test" else run


@needs("monitor", _of_operation)
def _adherence(facts: Facts, run: RunFacts) -> Found:
    report = plain_tags(ReportRun, run)
    return of_values(
        report.verdict in ("fits", "watch", "does_not_fit", "no_skill"),
        f"{report.verdict_title}. {report.verdict_text}",
        f"{report.verdict_title}: labels have to say it.",
        run,
    )


@needs("monitor", _of_operation)
def _both_ways(facts: Facts, run: RunFacts) -> Found:
    checks = report_tables.complete(run.tables["checks"]) if "checks" in run.tables else None
    if checks is None:
        return Found("partly", "The run kept no checks.", run)
    applicable = checks[checks["verdict"] != "not_applicable"]
    own = int((applicable["group"] == "performance").sum())
    others = len(applicable) - own
    return of_values(
        own > 0 and others > 0,
        f"{own} checks with labels and {others} without were made.",
        f"{own} checks with labels and {others} without could be made.",
        run,
    )


@needs("retrain")
def _decided(facts: Facts, run: RunFacts) -> Found:
    last = plain_tags(DecisionRun, run)
    return Found("met", f"{last.decision_title}. {last.reason}", run)


def _dashboard(facts: Facts) -> Found:
    page, run = "pages/monitor/page.py", facts.runs.get("monitor")
    if page not in facts.shipped:
        return Found("missing", f"There is no page `{page}`.")
    if run is None:
        return Found("partly", "The page is there, and has no report to show yet.", path=page)
    count = len(facts.reports) or 1
    return Found("met", f"The page Monitor shows {count} reports.", run, page)


@needs("promote")
def _approved(facts: Facts, run: RunFacts) -> Found:
    rules = run.tables.get("rules")
    count = 0 if rules is None else len(rules)
    decision = plain_tags(PromotionRun, run).decision
    return of_values(
        bool(count), f"{count} rules, decision: {decision}.", f"No rules: {decision}.", run
    )


@needs("label")
def _revalidated(facts: Facts, run: RunFacts) -> Found:
    rows = metric(run, "rows") or 0.0
    used = rows - (metric(run, "labels_rejected") or 0.0)
    return of_values(
        used >= CONTROL_ROWS,
        f"{used:,.0f} labels came in by a file.",
        f"{used:,.0f} labels came in; {CONTROL_ROWS} or more say something.",
        run,
    )


@needs("monitor", _of_operation)
def _novelty(facts: Facts, run: RunFacts) -> Found:
    outside, told_apart = metric(run, "outside_support"), metric(run, "domain_auc")
    if outside is None or told_apart is None:
        return Found("partly", "The run does not tell which rows are new.", run)
    return Found(
        "met",
        f"{percent(outside)} of the rows lie outside the reference's support; they are told from "
        f"it with ROC AUC {told_apart:.4f}.",
        run,
    )


@needs("monitor", _of_operation)
def _alarm(facts: Facts, run: RunFacts) -> Found:
    checks = report_tables.complete(run.tables["checks"]) if "checks" in run.tables else None
    if checks is None:
        return Found("partly", "The run kept no checks.", run)
    own = checks[checks["code"].isin(ALARMS) & checks["alert_low"].notna()]
    low = own.set_index("code")["alert_low"]
    alarms = ", ".join(f"{code} {low[code]:.3f}" for code in ALARMS if code in low)
    lacking = [code for code in ALARMS if code not in low]
    return of_values(
        not lacking,
        f"Alert below {alarms}; limits that were learned from the reference.",
        f"Alert below {alarms or 'nothing'}; no limit for {listed(lacking)}.",
        run,
    )


@needs("monitor", _of_operation)
def _densities(facts: Facts, run: RunFacts) -> Found:
    if "densities" not in run.tables and not run.metrics:
        return Found("partly", "The run kept no densities.", run)
    tested = any(report.params.get("window") == "test" for report in facts.reports)
    return of_values(
        tested,
        "One report lays operation over the test set, another the test set over the training set.",
        "Operation lies over the test set; the test set was not laid over the training set yet.",
        run,
    )
