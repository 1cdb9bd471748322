"""Checklist lines about operation: the API, its results, monitoring and retraining."""

from __future__ import annotations

from core.documents.dossier import Facts, RunFacts
from core.documents.texts.reading import code, listed, plain_tags
from core.documents.texts.requirement import Found, Line, absent, needs, run_steps
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages
from core.platform.messages import _
from core.projects.kobe.answers import GROUPS, Answers, answered
from core.projects.kobe.course import QUESTIONS
from core.projects.kobe.evidence import differs, metrics, missing, present, proved, shape
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun
from core.scoring.records import ScoringRun

# labelled rows that a control sample should have
CONTROL_ROWS = 100
# codes of checks that need an alarm
ALARMS = ("recall", "specificity", "precision")


def lines(facts: Facts, answers: Answers) -> list[Line]:
    """Return the lines about operation, the dashboard, and further topics of the course."""
    production = facts.spec.rows.current_rows
    score, monitor = run_steps("serve", "score"), run_steps("score", "monitor")
    labels = run_steps("label", "monitor")
    return [
        Line(
            "8.1", _("The model registered in MLflow."), _registered, "registry", run_steps("train")
        ),
        Line(
            "8.2",
            _("The model offered by MLflow as an API."),
            _served,
            "serve",
            run_steps("serve"),
            (3,),
        ),
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
            _new_metrics,
            "score",
            score,
        ),
        answered("8.6", "bases", answers, (20,)),
        Line("8.7", str(QUESTIONS["adherence"]), _adherence, "monitor", monitor, (4,)),
        Line("8.8", str(QUESTIONS["health"]), _both_ways, "monitor", labels, (21,)),
        answered("8.9", "retraining", answers, (23,)),
        Line("8.10", _("A decision about retraining."), _decided, "retrain", run_steps("retrain")),
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
            run_steps("train", "promote"),
        ),
        Line(
            "10.2",
            _("Revalidation in operation, by control samples that people label."),
            _revalidated,
            "score",
            run_steps("label"),
        ),
        Line(
            "10.3",
            _("Monitoring of operation, and novelty detection."),
            _novelty,
            "monitor",
            monitor,
        ),
        Line(
            "10.4",
            _("An alarm when sensitivity (recall), specificity or precision deviate."),
            _alarm,
            "monitor",
            labels,
        ),
        Line(
            "10.5",
            _("Densities of development, test and operation, compared."),
            _densities,
            "monitor",
            run_steps("monitor"),
        ),
    ]


def _registered(facts: Facts) -> Found:
    champion = facts.champion
    if champion is None:
        return missing([code("@champion")])
    run = next(
        (candidate for candidate in facts.candidates if candidate.run_id == champion.run_id), None
    )
    version = f"{champion.name} {champion.version}"
    aliases = (f"@{alias}" for alias in champion.aliases)
    return Found("met", f"{code(version)}: {listed(aliases)}.", run)


@needs("serve")
def _served(facts: Facts, run: RunFacts) -> Found:
    command = {"served_command": run.params.get("served_command")}
    return proved(run, {**command, **metrics(run, "seconds_to_answer")})


def _production(facts: Facts) -> RunFacts | None:
    run = facts.runs.get("score")
    return run if run is not None and ScoringRun.of(run).source == "production" else None


@needs("score", _production)
def _scored(facts: Facts, run: RunFacts) -> Found:
    way = run.params.get("way", "")
    if way != "endpoint":
        return differs(run, "way", way, "endpoint")
    port = {"served_port": run.params.get("served_port")}
    return proved(run, {**metrics(run, "rows_scored"), **port})


@needs("score", _production)
def _results(facts: Facts, run: RunFacts) -> Found:
    name = run.params.get("output", "").replace("\\", "/").rpartition("/")[2]
    path = f"data/07_model_output/{name}"
    file, rows = facts.files.get(path), metrics(run, "rows_scored")["rows_scored"]
    if file is None:
        return missing([code(path)], run)
    if file.rows != rows:
        return differs(run, path, file.rows, rows, path=path)
    return proved(run, {path: shape(file)}, path=path)


@needs("score", _production)
def _new_metrics(facts: Facts, run: RunFacts) -> Found:
    return proved(run, metrics(run, "log_loss_production", "f1_production", "rows_labelled"))


def _of_operation(facts: Facts) -> RunFacts | None:
    """Return the report on production rows; None if there is none."""
    run = facts.runs.get("monitor")
    return None if run is None or run.params.get("window") == "test" else run


@needs("monitor", _of_operation)
def _adherence(facts: Facts, run: RunFacts) -> Found:
    report = plain_tags(ReportRun, run)
    is_decided = report.verdict in ("fits", "watch", "does_not_fit", "no_skill")
    words = f"{report.verdict_title}. {report.verdict_text}"
    return Found("met" if is_decided else "partly", words, run)


@needs("monitor", _of_operation)
def _both_ways(facts: Facts, run: RunFacts) -> Found:
    if "checks" not in run.tables:
        return missing([code("checks")], run)
    checks = report_tables.complete(run.tables["checks"])
    applicable = checks[checks["verdict"] != "not_applicable"]
    counts = {group: int((applicable["group"] == group).sum()) for group in GROUPS}
    lacking = [code(group) for group in ("performance", "output") if not counts[group]]
    return missing(lacking, run) if lacking else proved(run, counts)


@needs("retrain")
def _decided(facts: Facts, run: RunFacts) -> Found:
    last = plain_tags(DecisionRun, run)
    return Found("met", f"{last.decision_title}. {last.reason}", run)


def _dashboard(facts: Facts) -> Found:
    page, run = "pages/monitor/page.py", facts.runs.get("monitor")
    if page not in facts.shipped:
        return missing([code(page)])
    if run is None:
        return absent("monitor")
    return present([code(page)], run, path=page)


@needs("promote")
def _approved(facts: Facts, run: RunFacts) -> Found:
    rules = run.tables.get("rules")
    decision = plain_tags(PromotionRun, run).decision
    return proved(run, {"rules": None if rules is None else len(rules), "decision": decision})


@needs("label")
def _revalidated(facts: Facts, run: RunFacts) -> Found:
    counts = metrics(run, "rows", "labels_rejected")
    used = (counts["rows"] or 0.0) - (counts["labels_rejected"] or 0.0)
    if used < CONTROL_ROWS:
        return differs(run, "labels", used, CONTROL_ROWS)
    return proved(run, {"labels": used})


@needs("monitor", _of_operation)
def _novelty(facts: Facts, run: RunFacts) -> Found:
    return proved(run, metrics(run, "outside_support", "domain_auc"))


@needs("monitor", _of_operation)
def _alarm(facts: Facts, run: RunFacts) -> Found:
    if "checks" not in run.tables:
        return missing([code("checks")], run)
    checks = report_tables.complete(run.tables["checks"])
    own = checks[checks["code"].isin(ALARMS) & checks["alert_low"].notna()]
    low = own.set_index("code")["alert_low"]
    if lacking := [code(name) for name in ALARMS if name not in low]:
        return missing(lacking, run)
    alarms = [code(f"{name} < {messages.number(low[name], '.3f')}") for name in ALARMS]
    return Found("met", f"{messages.listed(alarms)}.", run)


@needs("monitor", _of_operation)
def _densities(facts: Facts, run: RunFacts) -> Found:
    if "densities" not in run.tables and not run.metrics:
        return missing([code("densities")], run)
    windows = sorted({report.params.get("window", "") for report in facts.reports} - {""})
    if "test" not in windows:
        return missing([code("window = test")], run)
    return proved(run, {"window": ", ".join(windows)})
