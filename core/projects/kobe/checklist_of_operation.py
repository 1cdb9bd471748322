"""Checklist lines about operation: the API, its results, monitoring and retraining."""

from __future__ import annotations

from core.documents.dossier import Facts, RunFacts
from core.documents.texts.reading import listed, metric, number, plain_tags
from core.documents.texts.requirement import Found, Line, answered, needs, of_values
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages, project
from core.platform.messages import _, n_, plural
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
    production = project.words(facts.spec.rows.production_name)
    serve = _("Start a server on the Serve page.")
    score = _(
        "Start a server on the Serve page, then score the {production}.", production=production
    )
    monitor = _("Score rows, then monitor on the Monitor page.")
    return [
        Line(
            "8.1",
            _("The model registered in MLflow."),
            _registered,
            "registry",
            _("Train on the Train page: the best candidate is registered."),
        ),
        Line("8.2", _("The model offered by MLflow as an API."), _served, "serve", serve, (3,)),
        Line(
            "8.3",
            _(
                "The {production} scored through `requests`, as the run PipelineAplicacao.",
                production=production,
            ),
            _scored,
            "score",
            score,
        ),
        Line("8.4", _("A table of results, as parquet."), _results, "score", score),
        Line(
            "8.5",
            _("Log loss and F1 on the {production}.", production=production),
            _new_figures,
            "score",
            score,
        ),
        Line(
            "8.6",
            _("In writing: how the development and the production data differ."),
            lambda project_facts: answered(project_facts, written.bases),
            "documents",
            monitor,
            (20,),
        ),
        Line(
            "8.7",
            _("Stated: does the model fit this new data, and why?"),
            _adherence,
            "monitor",
            monitor,
            (4,),
        ),
        Line(
            "8.8",
            _("Monitored with the response variable, and without it."),
            _both_ways,
            "monitor",
            _("Monitor rows of which some have a label."),
            (21,),
        ),
        Line(
            "8.9",
            _("In writing: the reactive and the predictive strategy of retraining."),
            lambda project_facts: answered(project_facts, written.retraining),
            "documents",
            _("Run a replay on the Retrain page: it compares both on past rows."),
            (23,),
        ),
        Line(
            "8.10",
            _("A requested decision about retraining."),
            _decided,
            "retrain",
            _("Request a decision on the Retrain page."),
        ),
        Line(
            "9.1",
            _("A dashboard in Streamlit that monitors the operation."),
            _dashboard,
            "monitor",
            monitor,
            (22,),
        ),
        Line(
            "10.1",
            _("A run for the approval of a model."),
            _approved,
            "registry",
            _("Train a challenger, then run the gate on the Registry page."),
        ),
        Line(
            "10.2",
            _("Revalidation in operation, by control samples that people label."),
            _revalidated,
            "score",
            _(
                "Import a file with at least {labels} labels on the Score page.",
                labels=CONTROL_ROWS,
            ),
        ),
        Line("10.3", _("Monitoring of operation, and of novelty."), _novelty, "monitor", monitor),
        Line(
            "10.4",
            _("An alarm when sensitivity (recall), specificity or precision deviate."),
            _alarm,
            "monitor",
            _(
                "Monitor rows with labels. If specificity has no alarm, read it from the "
                "confusion matrix."
            ),
        ),
        Line(
            "10.5",
            _("Densities of development, test and operation, compared."),
            _densities,
            "monitor",
            _("Monitor the scored rows, and the test set too, on the Monitor page."),
        ),
    ]


def _registered(facts: Facts) -> Found:
    champion = facts.champion
    if champion is None:
        return Found(
            "missing", _("No version of `{model}` is the champion yet.", model=facts.spec.model)
        )
    run = next(
        (candidate for candidate in facts.candidates if candidate.run_id == champion.run_id), None
    )
    aliases = listed(f"@{alias}" for alias in champion.aliases)
    return Found(
        "met",
        n_(
            "`{name}` has {count:,} version; version {version} is {aliases}.",
            "`{name}` has {count:,} versions; version {version} is {aliases}.",
            len(facts.versions),
            name=champion.name,
            version=champion.version,
            aliases=aliases,
        ),
        run,
    )


@needs("serve")
def _served(facts: Facts, run: RunFacts) -> Found:
    command = run.params.get("served_command", "")
    return of_values(
        command.startswith("mlflow models serve"),
        _(
            "`{command}`, ready after {seconds} s.",
            command=command,
            seconds=number(metric(run, "seconds_to_answer"), 1),
        ),
        _("The run does not record how the model was served."),
        run,
    )


def _production(facts: Facts) -> RunFacts | None:
    run = facts.runs.get("score")
    return run if run is not None and ScoringRun.of(run).source == "production" else None


def _scored(facts: Facts) -> Found:
    run = _production(facts)
    production = project.words(facts.spec.rows.production_name)
    if run is None:
        return Found(
            "missing",
            _(
                "There is no run `PipelineAplicacao` of the {production} yet.",
                production=production,
            ),
        )
    rows = number(metric(run, "rows_scored"))
    port = run.params.get("served_port", "")
    return of_values(
        run.params.get("way") == "endpoint" and bool(port),
        _(
            "{rows} {production} sent to the endpoint on port {port}.",
            rows=rows,
            production=production,
            port=port,
        ),
        _(
            "{rows} {production} were scored, but not through the endpoint.",
            rows=rows,
            production=production,
        ),
        run,
    )


@needs("score", _production)
def _results(facts: Facts, run: RunFacts) -> Found:
    name = run.params.get("output", "").replace("\\", "/").rpartition("/")[2]
    file = facts.files.get(f"data/07_model_output/{name}")
    if file is None:
        return Found("partly", _("The run exists, but its table of results is missing."), run)
    if file.rows != metric(run, "rows_scored"):
        return Found(
            "partly", _("The table has {rows} rows.", rows=number(file.rows)), run, file.path
        )
    return Found(
        "met",
        _("{rows} rows of {columns} columns.", rows=number(file.rows), columns=file.columns),
        run,
        file.path,
    )


@needs("score", _production)
def _new_figures(facts: Facts, run: RunFacts) -> Found:
    loss, f1 = metric(run, "log_loss_production"), metric(run, "f1_production")
    if loss is None or f1 is None:
        return Found("partly", _("The rows have no labels yet; both metrics need them."), run)
    rows = number(metric(run, "rows_labelled"))
    return Found(
        "met",
        _(
            "Log loss {loss:.4f} and F1 {f1:.4f} on {rows} labelled rows.",
            loss=loss,
            f1=f1,
            rows=rows,
        ),
        run,
    )


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
        _("{verdict}. Labels are needed.", verdict=report.verdict_title),
        run,
    )


@needs("monitor", _of_operation)
def _both_ways(facts: Facts, run: RunFacts) -> Found:
    checks = report_tables.complete(run.tables["checks"]) if "checks" in run.tables else None
    if checks is None:
        return Found("partly", _("The run has no checks."), run)
    applicable = checks[checks["verdict"] != "not_applicable"]
    own = int((applicable["group"] == "performance").sum())
    others = len(applicable) - own
    counted = plural("{count:,} check", "{count:,} checks", own)
    return of_values(
        own > 0 and others > 0,
        _("{own} with labels and {others} without.", own=counted, others=others),
        _("Only {own} with labels and {others} without.", own=counted, others=others),
        run,
    )


@needs("retrain")
def _decided(facts: Facts, run: RunFacts) -> Found:
    last = plain_tags(DecisionRun, run)
    return Found("met", f"{last.decision_title}. {last.reason}", run)


def _dashboard(facts: Facts) -> Found:
    page, run = "pages/monitor/page.py", facts.runs.get("monitor")
    if page not in facts.shipped:
        return Found("missing", _("There is no page `{page}`.", page=page))
    if run is None:
        return Found("partly", _("The page exists, but has no report yet."), path=page)
    count = len(facts.reports) or 1
    return Found(
        "met",
        n_(
            "The page Monitor shows {count:,} report.",
            "The page Monitor shows {count:,} reports.",
            count,
        ),
        run,
        page,
    )


@needs("promote")
def _approved(facts: Facts, run: RunFacts) -> Found:
    rules = run.tables.get("rules")
    count = 0 if rules is None else len(rules)
    decision = plain_tags(PromotionRun, run).decision
    return of_values(
        bool(count),
        n_(
            "{count:,} rule, decision: `{decision}`.",
            "{count:,} rules, decision: `{decision}`.",
            count,
            decision=decision,
        ),
        _("No rules; decision: `{decision}`.", decision=decision),
        run,
    )


@needs("label")
def _revalidated(facts: Facts, run: RunFacts) -> Found:
    rows = metric(run, "rows") or 0.0
    used = rows - (metric(run, "labels_rejected") or 0.0)
    return of_values(
        used >= CONTROL_ROWS,
        _("{labels:,.0f} labels were imported from a file.", labels=used),
        _(
            "{labels:,.0f} labels were imported; at least {wanted} are needed.",
            labels=used,
            wanted=CONTROL_ROWS,
        ),
        run,
    )


@needs("monitor", _of_operation)
def _novelty(facts: Facts, run: RunFacts) -> Found:
    outside, told_apart = metric(run, "outside_support"), metric(run, "domain_auc")
    if outside is None or told_apart is None:
        return Found("partly", _("The run lacks the metrics of novelty."), run)
    return Found(
        "met",
        _(
            "{outside:.1%} of the rows lie outside the reference's support; a classifier "
            "separates them from the reference with ROC AUC {auc:.4f}.",
            outside=outside,
            auc=told_apart,
        ),
        run,
    )


@needs("monitor", _of_operation)
def _alarm(facts: Facts, run: RunFacts) -> Found:
    checks = report_tables.complete(run.tables["checks"]) if "checks" in run.tables else None
    if checks is None:
        return Found("partly", _("The run has no checks."), run)
    own = checks[checks["code"].isin(ALARMS) & checks["alert_low"].notna()]
    low = own.set_index("code")["alert_low"]
    alarms = [f"`{code}` {messages.number(low[code], '.3f')}" for code in ALARMS if code in low]
    lacking = [code for code in ALARMS if code not in low]
    return of_values(
        not lacking,
        _("Alert below {limits}; limits learned from the reference.", limits=alarms),
        _("Alert below {limits}; no limit for {lacking}.", limits=alarms, lacking=listed(lacking))
        if alarms
        else _("No limit for {lacking}.", lacking=listed(lacking)),
        run,
    )


@needs("monitor", _of_operation)
def _densities(facts: Facts, run: RunFacts) -> Found:
    if "densities" not in run.tables and not run.metrics:
        return Found("partly", _("The run has no densities."), run)
    tested = any(report.params.get("window") == "test" for report in facts.reports)
    return of_values(
        tested,
        _(
            "One report compares operation with the test set, another the test set with the "
            "training set."
        ),
        _(
            "Operation is compared with the test set; the test set is not yet compared with the "
            "training set."
        ),
        run,
    )
