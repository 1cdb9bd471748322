"""The Model Report: the baseline, each candidate, and the chosen one with its limits."""

from __future__ import annotations

import pandas as pd

from core.documents.dossier import (
    Block,
    Bullets,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    code,
    figure,
    interval,
    link,
    listed,
    metric,
    number,
    percent,
    plain,
    plain_tags,
    words,
)
from core.platform import messages, project
from core.platform.messages import Message, _, sentences
from core.training import candidates as kinds
from core.training import evaluation_charts
from core.training.records import CandidateRun, TrainingRun

MOST_SLICES = 10
SETTINGS = (
    ("candidates", Message("Candidates requested")),
    ("folds", Message("Folds of the cross-validation")),
    ("seed", Message("Seed")),
    ("fit_share", Message("Share of the training rows fitted on")),
    ("balanced", Message("Balanced classes")),
    ("tune_trials", Message("Tuning trials")),
    ("blend", Message("Blend of the best as a candidate")),
    ("stack", Message("Stack of the best as a candidate")),
    ("calibrate", Message("Probabilities calibrated by")),
    ("chosen_by", Message("Chosen by")),
    ("refit", Message("Chosen model refitted on all labelled rows")),
)
SPLITS = {
    "random": Message(
        "A random split measures performance on rows of the same time, not on future rows."
    ),
    "time": Message(
        "A split by time measures performance on rows right after the training "
        "rows, not on much later ones."
    ),
    "group": Message(
        "A split by group measures performance on new groups of the same time, not on future ones."
    ),
}
FIGURES = (
    ("log_loss", Message("Log loss, nats")),
    ("skill", Message("Skill over the base rate")),
    ("roc_auc", Message("ROC AUC")),
    ("brier_score", Message("Brier score")),
    ("calibration_error", Message("Calibration error")),
    ("f1", Message("F1 at the threshold")),
    ("precision", Message("Precision at the threshold")),
    ("recall", Message("Recall at the threshold")),
    ("accuracy", Message("Accuracy at the threshold")),
)


def build(facts: Facts) -> Document:
    """Return the report on the training of the champion.

    Examples
    --------
    >>> from core.platform import messages, project
    >>> blocks = build(Facts(project.load("kobe"))).blocks
    >>> [block.step for block in blocks if hasattr(block, "step")]
    ['train', 'train', 'train']
    """
    run = facts.runs.get("train")
    blocks: list[Block] = [Heading(_("Baseline"))]
    if run is None:
        blocks.append(Missing(_("The base rate is not known yet."), "train"))
        blocks += [Heading(_("Candidates")), Missing(_("No candidate was trained yet."), "train")]
        blocks += [Heading(_("Final model")), Missing(_("No model was chosen yet."), "train")]
    else:
        best = chosen(facts)
        blocks += _baseline(facts, run)
        blocks += _approaches(facts, run)
        blocks += _candidates(facts, run)
        blocks.append(Heading(_("Final model")))
        if best is None:
            blocks.append(Missing(_("The run of the best candidate is gone."), "train"))
        else:
            blocks += _final(run, best, facts)
            blocks += _threshold(facts, best)
            blocks += _errors(best)
        blocks += _limits(facts, run)
    return Document(
        "model_report",
        _("Model Report"),
        _("The baseline, each candidate of both approaches, the chosen one and why."),
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


def name_of(candidate: RunFacts) -> str:
    """Return the display name of a candidate in words; of an unknown kind, its run's name."""
    return _title(candidate.params.get("model", ""), candidate.name)


def _title(model: str, otherwise: str) -> str:
    try:
        return str(kinds.title(model))
    except KeyError:
        return otherwise


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
            _(
                "The simplest model predicts the same probability for every row: the "
                "share of {positive} among its training rows. On the test set its log "
                "loss is {log_loss} nats, computed from {run}. Any other model has to "
                "beat that by more than chance.",
                positive=project.words(facts.spec.positive),
                log_loss=number(base_log_loss(run)),
                run=link(run),
            )
        )
    ]


def _approaches(facts: Facts, run: RunFacts) -> list[Block]:
    return [
        Heading(_("Approaches")),
        Paragraph(
            _(
                "Both predict a probability. The **regression** models it with a formula of "
                "the features. The **classification** predicts the share of {positive} in "
                "groups of similar rows. Both are compared by the log loss of their "
                "probabilities; F1 rates only the predicted classes, at one threshold.",
                positive=project.words(facts.spec.positive),
            )
        ),
        Table(
            (_("Setting"), _("Value")),
            tuple(
                (str(title), code(run.params[name]))
                for name, title in SETTINGS
                if run.params.get(name)
            )
            or ((_("Settings of the training"), "–"),),
            _("PyCaret fitted the candidates with these settings in {run}.", run=link(run)),
        ),
    ]


def _candidates(facts: Facts, run: RunFacts) -> list[Block]:
    comparison = run.tables.get("comparison", pd.DataFrame())
    blocks: list[Block] = [
        Heading(_("Candidates")),
        Paragraph(
            _(
                "Fitted on {rows} rows, evaluated in {folds} folds of the training set and on "
                "{test} test rows not used for any choice.",
                rows=number(metric(run, "rows_fit")),
                folds=run.params.get("folds"),
                test=number(metric(run, "rows_test")),
            )
        ),
    ]
    if comparison.empty:
        blocks.append(Missing(_("The comparison of the candidates is gone."), "train"))
        return blocks
    comparison = comparison.sort_values("log_loss_cv", kind="stable")
    links = {
        candidate.run_id: link(candidate, name_of(candidate)) for candidate in facts.candidates
    }
    blocks.append(
        Table(
            (
                _("Candidate"),
                _("Approach"),
                _("Log loss, folds"),
                _("Log loss, test"),
                _("95% interval"),
                _("ROC AUC"),
                "F1",
            ),
            tuple(
                (
                    links.get(row["run_id"], _title(str(row["model"]), words(row["name"]))),
                    str(kinds.APPROACH_LABELS[kinds.approach(str(row["model"]))]),
                    number(row["log_loss_cv"]),
                    number(row["log_loss_test"]),
                    interval(row["log_loss_test_low"], row["log_loss_test_high"]),
                    number(row["roc_auc_test"], 3),
                    number(row["f1_test"], 3),
                )
                for row in comparison.to_dict("records")
            ),
            _("From {run}, the best in the folds first.", run=link(run)),
        )
    )
    models = dict.fromkeys(str(model).partition(".")[0] for model in comparison["model"])
    known = [kinds.KINDS[model] for model in models if model in kinds.KINDS]
    blocks.append(Bullets(tuple(f"**{kind.title}.** {kind.about}" for kind in known)))
    paired = run.tables.get("paired", pd.DataFrame())
    if not paired.empty:
        blocks += [
            Heading(_("Significance of the differences"), 3),
            Paragraph(_("Each against the best, on the same test rows of {run}:", run=link(run))),
            Bullets(
                tuple(
                    f"**{words(row['model'])}.** {words(row['text'])}"
                    for row in paired.to_dict("records")
                )
            ),
            figure(
                "paired_differences",
                _(
                    "Differences of log loss from the best on the same test rows, of {run}.",
                    run=link(run),
                ),
                evaluation_charts.paired_differences(
                    paired, by="model", first=_("candidate"), second=_("the best")
                ),
            ),
        ]
    left_out = run.tables.get("left_out", pd.DataFrame())
    if not left_out.empty:
        blocks.append(
            Bullets(
                tuple(
                    _(
                        "Left out: {model}. {reason}",
                        model=words(row["model"]),
                        reason=plain(words(row["reason"])),
                    )
                    for row in left_out.to_dict("records")
                )
            )
        )
    return blocks


def _final(run: RunFacts, best: RunFacts, facts: Facts) -> list[Block]:
    rows = []
    for name, title in FIGURES:
        value = metric(best, f"{name}_test")
        if value is None:
            continue
        low, high = metric(best, f"{name}_test_low"), metric(best, f"{name}_test_high")
        rows.append(
            (str(title), number(value), "–" if low is None or high is None else interval(low, high))
        )
    champion = facts.champion
    features = best.params.get("features", ",".join(facts.spec.features)).split(",")
    blocks: list[Block] = [
        Paragraph(
            _(
                "**{name}** was chosen: it has the lowest log loss in cross-validation "
                "({log_loss} nats), from {run}. The test set had no part in the choice.",
                name=name_of(best),
                log_loss=number(metric(best, "log_loss_cv")),
                run=link(best),
            )
        ),
        Paragraph(
            _(
                "It is version {version} of `{name}`, the champion.",
                version=champion.version,
                name=champion.name,
            )
        )
        if champion and champion.run_id == best.run_id
        else Missing(_("It is not the champion: it was not promoted."), "promote"),
        Table(
            (_("Metric on the test set"), _("Value"), _("95% interval")),
            tuple(rows),
            _("From {run}; intervals are bootstrap intervals of the test rows.", run=link(best)),
        ),
        Paragraph(_("Its features are {features}.", features=listed(features))),
    ]
    floor, error = (metric(best, "calibration_floor_test"), metric(best, "calibration_error_test"))
    if floor is not None and error is not None:
        blocks.append(
            Paragraph(
                _(
                    "Its calibration error, {error}, is not above {floor}, its 95% limit by chance "
                    "alone, from {run}.",
                    error=number(error),
                    floor=number(floor),
                    run=link(best),
                )
                if error <= floor
                else _(
                    "Its calibration error, {error}, is above {floor}, its 95% limit by chance "
                    "alone, from {run}.",
                    error=number(error),
                    floor=number(floor),
                    run=link(best),
                )
            )
        )
    settings = [
        f"{name.removeprefix('model.')}={value}"
        for name, value in sorted(best.params.items())
        if name.startswith("model.") and value not in ("None", "")
    ]
    if settings:
        blocks.append(
            Paragraph(
                _("Its parameters in {run}: {settings}.", run=link(best), settings=listed(settings))
            )
        )
    curve = run.tables.get("learning", pd.DataFrame())
    if not curve.empty:
        blocks.append(
            figure(
                "learning_curve",
                _("Log loss by number of training rows, from {run}.", run=link(run)),
                evaluation_charts.learning_curve(curve, _("Log loss (nats)")),
            )
        )
    return blocks


def _threshold(facts: Facts, best: RunFacts) -> list[Block]:
    threshold = float(best.params.get("threshold", facts.spec.threshold))
    choice = plain_tags(CandidateRun, best).threshold_choice
    champion = facts.champion
    own = champion.threshold if champion and champion.run_id == best.run_id else threshold
    blocks: list[Block] = [
        Heading(_("Threshold"), 3),
        Paragraph(
            str(
                sentences(
                    Message(
                        "From a probability of {threshold:g} on, the predicted class is "
                        "{positive}.",
                        threshold=threshold,
                        positive=project.words(facts.spec.positive),
                    ),
                    choice,
                    Message(
                        "At this threshold, precision is {precision} and recall {recall} on the "
                        "test set, from {run}.",
                        precision=number(metric(best, "precision_test"), 3),
                        recall=number(metric(best, "recall_test"), 3),
                        run=link(best),
                    ),
                )
            )
        ),
    ]
    if own != threshold:
        blocks.append(
            Paragraph(
                _(
                    "The champion is this classifier with another threshold, {own:g}, set by a "
                    "person. The metrics here are those at the original threshold.",
                    own=own,
                )
            )
        )
    return blocks


def _errors(best: RunFacts) -> list[Block]:
    slices = best.tables.get("slices", pd.DataFrame())
    blocks: list[Block] = [Heading(_("Where it errs"), 3)]
    if slices.empty:
        blocks.append(Missing(_("No slice was evaluated."), "train"))
        return blocks
    flagged = slices[slices["finding"].isin(("biased", "no_skill"))]
    sentence = _(
        "Flagged slices: {flagged:,} of {slices:,}, in {run}.",
        flagged=len(flagged),
        slices=len(slices),
        run=link(best),
    )
    worst = slices.assign(size=slices["gap"].abs()).sort_values(
        "size", ascending=False, kind="stable"
    )
    worst = worst[worst["rows"] >= 50].head(MOST_SLICES)
    blocks += [
        Paragraph(sentence),
        Table(
            (
                _("Slice"),
                _("Rows"),
                _("Observed"),
                _("Mean predicted probability"),
                _("What it means"),
            ),
            tuple(
                (
                    code(f"{row['column']} = {row['value']}"),
                    messages.number(row["rows"], ",.0f"),
                    percent(row["base_rate"]),
                    percent(row["mean_probability"]),
                    plain(words(row["text"])),
                )
                for row in worst.to_dict("records")
            ),
            _("The largest gaps between predicted and observed, from {run}.", run=link(best)),
        ),
    ]
    return blocks


def _limits(facts: Facts, run: RunFacts) -> list[Block]:
    spec, prepared = facts.spec, facts.runs.get("prepare")
    limits = [
        _(
            "It was trained on {rows} only. On other rows its probabilities are "
            "unreliable; see the Monitoring Report.",
            rows=plain(project.words(TrainingRun.of(run).rows_name or spec.rows.development_name)),
        ),
        _("It does not know what changes after the training. Monitor it."),
    ]
    if prepared and (split := SPLITS.get(prepared.params.get("split", ""))):
        limits.insert(1, str(split))
    known = {*spec.columns, *spec.engineered}
    features = [name for name in TrainingRun.of(run).features if name in known]
    if late := [name for name in features if spec.recorded_after(name)]:
        limits.append(
            _(
                "It needs {late}, recorded only after the predicted event: it cannot predict.",
                late=listed(late),
            )
        )
    return [Heading(_("Limits"), 3), Bullets(tuple(limits))]
