"""The Model Report: the baseline, each candidate, and the chosen one with its limits."""

from __future__ import annotations

import pandas as pd

from core.documents.dossier import (
    Block,
    Bullets,
    Document,
    Facts,
    Figure,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    code,
    interval,
    link,
    listed,
    metric,
    number,
    percent,
    plain,
    plain_tags,
)
from core.training import candidates as kinds
from core.training import evaluation_charts
from core.training.records import CandidateRun, TrainingRun

MOST_SLICES = 10
SETTINGS = (
    ("candidates", "Candidates asked for"),
    ("folds", "Folds of the cross-validation"),
    ("seed", "Seed"),
    ("fit_share", "Share of the training rows fitted on"),
    ("balanced", "Classes weighed alike"),
    ("tune_trials", "Trials to find better parameters"),
    ("blend", "Mean of the best as one more candidate"),
    ("stack", "Regression on the best as one more candidate"),
    ("calibrate", "Probabilities calibrated by"),
    ("chosen_by", "Chosen by"),
    ("refit", "Chosen one fitted again on all labelled rows"),
)
SPLITS = {
    "random": "A random split tells how it does on rows of the same time, not on those to come.",
    "time": "The split by time tells how it does on the rows right after those it learned from, "
    "not on those much later.",
    "group": "The split by group tells how it does on new groups of the same time, not on those to "
    "come.",
}
FIGURES = (
    ("log_loss", "Log loss, nats"),
    ("skill", "Skill over the base rate"),
    ("roc_auc", "ROC AUC"),
    ("brier_score", "Brier score"),
    ("calibration_error", "Calibration error"),
    ("f1", "F1 at the threshold"),
    ("precision", "Precision at the threshold"),
    ("recall", "Recall at the threshold"),
    ("accuracy", "Accuracy at the threshold"),
)


def build(facts: Facts) -> Document:
    """Return the report on the training of the champion.

    Examples
    --------
    >>> from core.platform import project
    >>> blocks = build(Facts(project.load("kobe"))).blocks
    >>> [block.step for block in blocks if hasattr(block, "step")]
    ['train', 'train', 'train']
    """
    run = facts.runs.get("train")
    blocks: list[Block] = [Heading("Baseline")]
    if run is None:
        blocks.append(Missing("The baseline needs a base rate, which no set gives yet.", "train"))
        blocks += [Heading("Candidates"), Missing("No candidate was trained yet.", "train")]
        blocks += [Heading("Final model"), Missing("No model was chosen yet.", "train")]
    else:
        best = chosen(facts)
        blocks += _baseline(facts, run)
        blocks += _approaches(facts, run)
        blocks += _candidates(facts, run)
        blocks.append(Heading("Final model"))
        if best is None:
            blocks.append(Missing("The run of the best candidate is gone.", "train"))
        else:
            blocks += _final(run, best, facts)
            blocks += _threshold(facts, best)
            blocks += _errors(best)
        blocks += _limits(facts, run)
    return Document(
        "model_report",
        "Model Report",
        "The baseline, each candidate of both approaches, the one that was chosen and why.",
        tuple(blocks),
    )


def chosen(facts: Facts) -> RunFacts | None:
    """Return the candidate that is the champion; without a champion, the training's best."""
    run = facts.runs.get("train")
    if run is None:
        return None
    wanted = facts.champion.run_id if facts.champion else TrainingRun.of(run).best_run
    winner = next((candidate for candidate in facts.candidates if candidate.run_id == wanted), None)
    best = run.params.get("best")
    return winner or next(
        (candidate for candidate in facts.candidates if candidate.params.get("model") == best), None
    )


def base_log_loss(run: RunFacts) -> float | None:
    """Return the log loss of always predicting the base rate, on the test set of a training.

    From skill = 1 - log loss / log loss of the base rate.
    """
    loss, skill = metric(run, "log_loss_test"), metric(run, "skill_test")
    if loss is None or skill is None or skill >= 1:
        return None
    return loss / (1 - skill)


def _baseline(facts: Facts, run: RunFacts) -> list[Block]:
    return [
        Paragraph(
            "The simplest model forecasts the same probability for every row: the share of "
            f"{facts.spec.positive} among the rows it learned from. It labels every row alike. "
            f"On the test set its log loss is {number(base_log_loss(run))} nats, computed from "
            f"{link(run)}. Any other model has to beat that, and by more than chance."
        )
    ]


def _approaches(facts: Facts, run: RunFacts) -> list[Block]:
    return [
        Heading("Approaches"),
        Paragraph(
            "Both answer the same question. The **regression** fits the probability itself, by a "
            f"formula of the features. The **classification** takes the share of "
            f"{facts.spec.positive} in groups of rows that are alike, and labels each row by it. "
            "Both are judged by the log loss of their probabilities; F1 judges their labels alone, "
            "at one threshold."
        ),
        Table(
            ("Setting", "Value"),
            tuple(
                (title, code(run.params[name])) for name, title in SETTINGS if run.params.get(name)
            )
            or (("Settings of the training", "–"),),
            f"PyCaret fitted the candidates with these settings in {link(run)}.",
        ),
    ]


def _candidates(facts: Facts, run: RunFacts) -> list[Block]:
    comparison = run.tables.get("comparison", pd.DataFrame())
    blocks: list[Block] = [
        Heading("Candidates"),
        Paragraph(
            f"Fitted on {number(metric(run, 'rows_fit'))} rows, judged in "
            f"{run.params.get('folds')} folds of the training set and on "
            f"{number(metric(run, 'rows_test'))} test rows that no choice has looked at."
        ),
    ]
    if comparison.empty:
        blocks.append(Missing("The comparison of the candidates is gone.", "train"))
        return blocks
    comparison = comparison.sort_values("log_loss_cv", kind="stable")
    links = {candidate.run_id: link(candidate, candidate.name) for candidate in facts.candidates}
    blocks.append(
        Table(
            (
                "Candidate",
                "Approach",
                "Log loss, folds",
                "Log loss, test",
                "95% interval",
                "ROC AUC",
                "F1",
            ),
            tuple(
                (
                    links.get(row["run_id"], str(row["name"])),
                    _approach(str(row["model"])),
                    number(row["log_loss_cv"]),
                    number(row["log_loss_test"]),
                    interval(row["log_loss_test_low"], row["log_loss_test_high"]),
                    number(row["roc_auc_test"], 3),
                    number(row["f1_test"], 3),
                )
                for row in comparison.to_dict("records")
            ),
            f"From {link(run)}, the best in the folds first.",
        )
    )
    names = {row["model"].partition(".")[0]: row["name"] for row in comparison.to_dict("records")}
    known = {kind: name for kind, name in names.items() if kind in kinds.KINDS}
    blocks.append(
        Bullets(tuple(f"**{name}.** {kinds.KINDS[kind].about}" for kind, name in known.items()))
    )
    paired = run.tables.get("paired", pd.DataFrame())
    if not paired.empty:
        blocks += [
            Heading("Whether the differences are more than chance", 3),
            Paragraph(f"Each against the best, on the same test rows of {link(run)}:"),
            Bullets(
                tuple(f"**{row['model']}.** {row['text']}" for row in paired.to_dict("records"))
            ),
            Figure(
                "paired_differences",
                f"Differences of log loss from the best on the same test rows, of {link(run)}.",
                evaluation_charts.paired_differences(
                    paired, by="model", first="candidate", second="the best"
                ).to_dict(),
            ),
        ]
    left_out = run.tables.get("left_out", pd.DataFrame())
    if not left_out.empty:
        blocks.append(
            Bullets(
                tuple(
                    f"Left out: {row['model']}. {plain(row['reason'])}"
                    for row in left_out.to_dict("records")
                )
            )
        )
    return blocks


def _approach(model: str) -> str:
    """Return the approach of a candidate: regression or classification."""
    kind = kinds.KINDS.get(model.partition(".")[0])
    return kind.approach if kind else "classification"


def _final(run: RunFacts, best: RunFacts, facts: Facts) -> list[Block]:
    rows = []
    for name, title in FIGURES:
        value = metric(best, f"{name}_test")
        if value is None:
            continue
        low, high = metric(best, f"{name}_test_low"), metric(best, f"{name}_test_high")
        rows.append(
            (title, number(value), "–" if low is None or high is None else interval(low, high))
        )
    champion = facts.champion
    features = best.params.get("features", ",".join(facts.spec.features)).split(",")
    blocks: list[Block] = [
        Paragraph(
            f"**{best.name}** was chosen: it has the lowest log loss in the folds of the training "
            f"set ({number(metric(best, 'log_loss_cv'))} nats), of probabilities and not of "
            f"labels, from {link(best)}. The test set had no part in the choice."
        ),
        Paragraph(f"It is version {champion.version} of `{champion.name}`, the champion.")
        if champion and champion.run_id == best.run_id
        else Missing("It is not the champion: no decision has made it so.", "promote"),
        Table(
            ("Figure on the test set", "Value", "95% interval"),
            tuple(rows),
            f"From {link(best)}; intervals are bootstrap intervals of the test rows.",
        ),
        Paragraph(f"It takes the features {listed(features)}."),
    ]
    floor, error = (metric(best, "calibration_floor_test"), metric(best, "calibration_error_test"))
    if floor is not None and error is not None:
        blocks.append(
            Paragraph(
                f"Its calibration error, {number(error)}, is within what chance alone stays below "
                f"in 95% of cases, {number(floor)}, from {link(best)}."
                if error <= floor
                else f"Its calibration error, {number(error)}, is above what chance alone stays "
                f"below in 95% of cases, {number(floor)}, from {link(best)}."
            )
        )
    settings = [
        f"{name.removeprefix('model.')}={value}"
        for name, value in sorted(best.params.items())
        if name.startswith("model.") and value not in ("None", "")
    ]
    if settings:
        blocks.append(Paragraph(f"Its parameters in {link(best)}: {listed(settings)}."))
    curve = run.tables.get("learning", pd.DataFrame())
    if not curve.empty:
        blocks.append(
            Figure(
                "learning_curve",
                f"Log loss over the rows trained on, of {link(run)}: would more rows help?",
                evaluation_charts.learning_curve(curve, "Log loss (nats)").to_dict(),
            )
        )
    return blocks


def _threshold(facts: Facts, best: RunFacts) -> list[Block]:
    threshold = float(best.params.get("threshold", facts.spec.threshold))
    choice = plain_tags(CandidateRun, best).threshold_choice
    champion = facts.champion
    own = champion.threshold if champion and champion.run_id == best.run_id else threshold
    blocks: list[Block] = [
        Heading("Threshold", 3),
        Paragraph(
            f"From a probability of {threshold:g} on, a row is labelled {facts.spec.positive}. "
            f"{choice} At it, precision is {number(metric(best, 'precision_test'), 3)} and recall "
            f"{number(metric(best, 'recall_test'), 3)} on the test set, from {link(best)}."
        ),
    ]
    if own != threshold:
        blocks.append(
            Paragraph(
                f"The champion is this classifier with another threshold, {own:g}, which a person "
                "set. Figures that need a threshold stand here at the first one."
            )
        )
    return blocks


def _errors(best: RunFacts) -> list[Block]:
    slices = best.tables.get("slices", pd.DataFrame())
    blocks: list[Block] = [Heading("Where it errs", 3)]
    if slices.empty:
        blocks.append(Missing("No slice of the rows was judged.", "train"))
        return blocks
    flagged = slices[slices["finding"].isin(("biased", "no_skill"))]
    sentence = (
        f"{len(flagged)} of {len(slices)} slices are flagged in {link(best)}."
        if len(flagged)
        else f"None of {len(slices)} slices is flagged in {link(best)}."
    )
    worst = slices.assign(size=slices["gap"].abs()).sort_values(
        "size", ascending=False, kind="stable"
    )
    worst = worst[worst["rows"] >= 50].head(MOST_SLICES)
    blocks += [
        Paragraph(sentence),
        Table(
            ("Slice", "Rows", "Observed", "Mean forecast", "What it means"),
            tuple(
                (
                    code(f"{row['column']} = {row['value']}"),
                    f"{row['rows']:,.0f}",
                    percent(row["base_rate"]),
                    percent(row["mean_probability"]),
                    plain(row["text"]),
                )
                for row in worst.to_dict("records")
            ),
            f"The largest gaps between forecast and observed, from {link(best)}.",
        ),
    ]
    return blocks


def _limits(facts: Facts, run: RunFacts) -> list[Block]:
    spec, prepared = facts.spec, facts.runs.get("prepare")
    limits = [
        f"It has seen {plain_tags(TrainingRun, run).rows_name or spec.rows.development_name} "
        "only. On other rows its probabilities are a guess, see the Monitoring Report.",
        "What changes after the training it does not know: watch it by the monitoring.",
    ]
    if prepared and (split := SPLITS.get(prepared.params.get("split", ""))):
        limits.insert(1, split)
    known = {*spec.columns, *spec.engineered}
    features = [name for name in TrainingRun.of(run).features if name in known]
    if late := [name for name in features if spec.recorded_after(name)]:
        limits.append(
            f"It needs {listed(late)}, noted only after what is predicted: it cannot forecast."
        )
    return [Heading("Limits", 3), Bullets(tuple(limits))]
