"""Facts of a life cycle that meets the brief, written by hand; tests remove one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from core.documents.dossier import Facts, FileFacts, RunFacts
from core.platform import project
from core.platform.runs import ModelVersion
from core.stats import checks
from core.stats.check import Check

SPEC = project.load("kobe")
TAG = "courtside."


def run(
    step: str,
    name: str,
    *,
    params: Mapping[str, object] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
    run_id: str = "",
) -> RunFacts:
    return RunFacts(
        run_id or f"{step:0<32}",
        "1",
        name,
        "FINISHED",
        0.0,
        1.0,
        {key: str(value) for key, value in (params or {}).items()},
        metrics or {},
        {TAG + key: value for key, value in {"step": step, **(tags or {})}.items()},
        tables or {},
    )


def candidate(model: str, name: str, log_loss: float, f1: float) -> RunFacts:
    return run(
        "train",
        name,
        run_id=f"{model:a<32}",
        params={"model": model},
        metrics={
            "log_loss_cv": log_loss,
            "log_loss_cv_std": 0.01,
            "log_loss_test": log_loss,
            "log_loss_test_low": log_loss - 0.01,
            "log_loss_test_high": log_loss + 0.01,
            "f1_test": f1,
            "roc_auc_test": 0.6,
            "rows_fit": 800.0,
            "base_rate_test": 0.48,
            "skill_test": 0.02,
            "skill_test_low": 0.01,
            "skill_test_high": 0.03,
        },
    )


def report(window: str = "scoring", *, labels: bool = True) -> RunFacts:
    results = [
        Check("psi.lat", "PSI: lat", "input", 2.4, None, "alert above 0.2", "alert", "Moved far."),
        Check("range.lat", "Out of range: lat", "input", 0.3, None, "", "alert", "Beyond."),
        Check(
            "psi.courtside_probability",
            "PSI: predicted probability",
            "output",
            7.5,
            None,
            "",
            "alert",
            "Moved.",
        ),
        Check(
            "estimated_log_loss",
            "Log loss, estimated",
            "output",
            None,
            0.6768,
            "",
            "not_applicable",
            "Not available: 60.0% of the rows lie elsewhere.",
        ),
        Check("domain_auc", "AUC", "support", 0.99, 0.5, "", "alert", "Other rows."),
        Check("outside_support", "Outside", "support", 0.6, 0.01, "", "alert", "Elsewhere."),
    ]
    if labels:
        results += [
            Check(
                "roc_auc",
                "ROC AUC",
                "performance",
                0.54,
                0.59,
                "alert below 0.55",
                "alert",
                "Lost.",
                0.52,
                0.55,
                "Look at the features.",
            ),
            *(
                Check(
                    code, code.title(), "performance", 0.4, 0.5, "", "ok", "Holds.", alert_low=0.25
                )
                for code in ("recall", "precision", "specificity")
            ),
        ]
    verdict = ("does_not_fit", "The model does not fit the 3-point shots")
    return run(
        "monitor",
        "Monitoramento",
        run_id=f"{window:b<32}",
        params={"window": window},
        metrics={
            "rows_current": 500.0,
            "rows_reference": 200.0,
            "rows_labelled": 400.0 if labels else 0.0,
            "checks_alert": 6.0,
            "checks_warning": 0.0,
            "false_alarms": 0.0013,
            "false_alarms_target": 0.01,
            "outside_support": 0.6,
            "domain_auc": 0.99,
            **(
                {
                    "log_loss_current": 0.6289,
                    "log_loss_reference": 0.6785,
                    "base_rate_current": 0.329,
                    "base_rate_reference": 0.477,
                    "skill_current": 0.0075,
                    "skill_reference": 0.0197,
                    "roc_auc_current": 0.54,
                    "roc_auc_reference": 0.59,
                    "f1_current": 0.0,
                    "f1_reference": 0.51,
                }
                if labels
                else {}
            ),
        },
        tags={
            "verdict": verdict[0] if labels else "investigate",
            "verdict_title": verdict[1] if labels else "The input has changed",
            "verdict_text": "In alert: ROC AUC.",
            "verdict_todo": "Do not act on its labels.",
            "source": "production",
            "version": "1",
            "model": "kobe-shots",
            "model_run": f"{'lr':a<32}",
            "window": "500 rows that were scored together",
        },
        tables={
            "checks": checks.as_table(results),
            "densities": pd.DataFrame({"feature": ["lat"]}),
        },
    )


def complete_facts() -> Facts:
    """Return facts of a life cycle in which every line of the brief is met."""
    raw = "data/01_raw/abc"
    files = [
        FileFacts(f"{raw}/part-0.parquet", 30_000, 25, 1000, "ab"),
        FileFacts(f"{raw}/snapshot.json", None, None, 100, "cd"),
        FileFacts("data/01_raw/current.json", None, None, 100, "cd"),
        FileFacts("data/03_primary/data_filtered.parquet", 20_285, 7, 1000, "ef"),
        FileFacts("data/05_model_input/train_data.parquet", 16_228, 7, 1000, "01"),
        FileFacts("data/05_model_input/test_data.parquet", 4_057, 7, 1000, "02"),
        FileFacts("data/05_model_input/train_rows.parquet", 16_228, 25, 1000, "03"),
        FileFacts("data/05_model_input/test_rows.parquet", 4_057, 25, 1000, "04"),
        FileFacts("data/05_model_input/prepared.json", None, None, 100, "05"),
        FileFacts("data/07_model_output/production_0123.parquet", 500, 12, 1000, "06"),
        FileFacts("data/08_reporting/monitoring_0123.json", None, None, 1000, "07"),
    ]
    candidates = (
        candidate("lr", "Logistic regression", 0.6771, 0.5129),
        candidate("knn", "K nearest neighbours", 2.0, 0.5062),
        candidate("dt", "Decision tree", 13.86, 0.5618),
    )
    tags = {TAG + "threshold": "0.5", TAG + "features": ",".join(SPEC.features)}
    champion = ModelVersion("kobe-shots", "1", candidates[0].run_id, ("champion",), tags, 0.0)
    runs = {
        "acquire": run(
            "acquire",
            "AquisicaoDados",
            tags={"snapshot": "abc", "source": "folder"},
            metrics={
                "rows_raw": 30_697.0,
                "rows_development": 24_271.0,
                "rows_production": 6_426.0,
                "labels_missing": 5_000.0,
                "base_rate_raw": 0.446,
                "columns_raw": 25.0,
            },
            tables={"columns": pd.DataFrame({"column": list(SPEC.columns)})},
        ),
        "prepare": run(
            "prepare",
            "PreparacaoDados",
            tags={"snapshot": "abc"},
            params={
                "features": ",".join(SPEC.features),
                "missing": "drop",
                "split": "random",
                "test_share": 0.2,
                "seed": 42,
                "rows_kept": "shot_type = 2PT Field Goal",
            },
            metrics={
                "rows_raw": 30_697.0,
                "rows_other": 6_426.0,
                "rows_unlabelled": 3_986.0,
                "rows_missing": 0.0,
                "rows_filtered": 20_285.0,
                "columns_filtered": 7.0,
                "rows_train": 16_228.0,
                "rows_test": 4_057.0,
                "base_rate_train": 0.4773,
                "base_rate_test": 0.4774,
                "psi_max_split": 0.0042,
                "groups_shared": 1_373.0,
            },
        ),
        "train": run(
            "train",
            "Treinamento",
            params={"best": "lr", "folds": 10},
            metrics={"log_loss_cv": 0.6771, "rows_train": 16_228.0},
            tags={"decided_by": "the app", "decision": "first", "reason": "No champion yet."},
        ),
        "promote": run(
            "promote",
            "Promocao",
            tags={"decision": "hold", "reason": "Held back."},
            tables={
                "rules": pd.DataFrame(
                    {"title": ["Log loss"], "verdict": ["hold"], "text": ["Not better."]}
                )
            },
        ),
        "explain": run("explain", "Explicacao"),
        "serve": run(
            "serve",
            "Disponibilizacao",
            metrics={"seconds_to_answer": 5.7},
            params={"version": 1, "served_command": "mlflow models serve --port 5001"},
        ),
        "score": run(
            "score",
            "PipelineAplicacao",
            tags={"source": "production"},
            params={
                "way": "endpoint",
                "served_port": 5001,
                "version": 1,
                "output": "/home/data/07_model_output/production_0123.parquet",
            },
            metrics={
                "rows_scored": 500.0,
                "rows_labelled": 400.0,
                "rows_per_second": 6_573.0,
                "requests": 1.0,
                "log_loss_production": 0.6289,
                "f1_production": 0.0,
            },
        ),
        "label": run("label", "RecepcaoRotulos", metrics={"rows": 150.0, "labels_rejected": 0.0}),
        "monitor": report(),
        "retrain": run(
            "retrain",
            "Retreinamento",
            tags={
                "decision": "none",
                "decision_title": "No policy",
                "strategy": "none",
                "reason": "The strategy is set to none.",
                "todo": "Choose a strategy.",
            },
        ),
        "replay": run(
            "replay",
            "Simulacao",
            params={"from": "2001-10-30", "until": "2016-04-13"},
            tags={"answer": "No policy beat doing nothing.", "drift_begin": ""},
            metrics={
                "rows_replayed": 16_243.0,
                "windows": 15.0,
                "input_alerts_none": 7.0,
                "alarms_none": 0.0,
            },
        ),
    }
    shipped = {
        "README.md",
        "requirements.txt",
        "docs/README.md",
        "docs/decisions/0001-first.md",
        "docs/dossier/exit_report.md",
        "pages/monitor/page.py",
    }
    return Facts(
        SPEC,
        runs,
        candidates,
        (champion,),
        champion,
        {file.path: file for file in files},
        reports=(report(), report("test")),
        decisions=(runs["retrain"],),
        shipped=frozenset(shipped),
    )


def without(facts: Facts, *steps: str) -> Facts:
    """Return the facts as they are before these steps were taken."""
    return replace(facts, runs={step: run for step, run in facts.runs.items() if step not in steps})


def changed(facts: Facts, step: str, **fields: dict[str, Any]) -> Facts:
    """Return the facts with some params, metrics or tags of a step's run replaced."""
    run = facts.runs[step]
    changed_fields = {name: {**getattr(run, name), **value} for name, value in fields.items()}
    return replace(facts, runs={**facts.runs, step: replace(run, **changed_fields)})
