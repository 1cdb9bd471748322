"""Train: fit candidates, compare them, and register the best."""

import pandas as pd
import streamlit as st

from core.data import prepare, snapshots, split_checks
from core.jobs import chains, jobs
from core.platform import model_store, project, storage, tracking
from core.platform.messages import Message, Words, _, listed, number, sentences
from core.stats import metrics, performance
from core.stats.check import THRESHOLD_TEXTS, THRESHOLD_TODO
from core.training import candidates as kinds
from core.training import train
from pages.shared import code_snippets, drafts, elements
from pages.train import evaluation_view

settings, spec = elements.open_app()
drafts.hold(
    "train",
    "preset",
    "candidates",
    "everything",
    "folds",
    "train-seed",
    "fit-share",
    "trials",
    "tune-seconds",
    "budget",
    "blend",
    "stack",
    "balanced",
    "calibrate",
    "aim",
    "cost-fp",
    "cost-fn",
    "learning",
    "refit",
)
STORE = settings.mlflow_uri
AIMS: dict[str, tuple[Words, Words]] = {
    "project": (
        Message("the project"),
        Message("the project's own threshold, {threshold:g}.", threshold=spec.threshold),
    ),
    "f1": ("F1", Message("the highest F1, the harmonic mean of precision and recall.")),
    "balanced": (
        Message("balance"),
        Message("the highest sum of the shares predicted correctly in each class."),
    ),
    "cost": (Message("cost"), Message("the lowest cost of errors, by the two costs below.")),
}
CALIBRATIONS: dict[str, Words] = {
    "none": Message("none"),
    "sigmoid": "sigmoid",
    "isotonic": Message("isotonic"),
}
APPROACHES = {
    "regression": Message("regression"),
    "classification": Message("classification"),
    "both": Message("both"),
}


def training_set(prepared: storage.Prepared) -> None:
    """Describe the training data and its source."""
    text = _(
        "Training set: {rows:,} rows, split from the test set {how}. "
        "Features, {number}: {features}.",
        rows=prepared.rows_train,
        how=split_checks.SPLITS[prepared.options["split"]],
        number=len(prepared.features),
        features=list(prepared.features),
    )
    if not prepared.is_complete:
        text += " " + _("Missing values are imputed in the model.")
    st.caption(text)
    if after := [name for name in prepared.features if spec.recorded_after(name)]:
        st.warning(
            _(
                "Recorded only after the outcome: {features}. A model that uses such features "
                "cannot predict.",
                features=after,
            )
        )
    if settings.dask:
        st.caption(
            _(
                "Candidates are fitted in parallel on the Dask cluster at {address}.",
                address=settings.dask,
            )
        )
    elements.run_link(prepared.run_id, "PreparacaoDados")


def presets() -> None:
    """Offer the project's preset of preparation and training as one button."""
    if not spec.presets:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        offered = {preset.title: preset for preset in spec.presets}
        chosen = offered[
            st.selectbox(
                _("Preset"),
                list(offered),
                format_func=lambda title: str(project.words(title)),
                key="preset",
                help=_("Prepares the sets and trains on them, with the project's settings."),
            )
        ]
        pressed = st.button(_("Prepare and train"), icon=":material/bolt:")
    st.caption(str(project.words(chosen.about)))
    if pressed:
        elements.submit(
            settings,
            "prepare",
            prepare.Options,
            features=spec.features_called(chosen.features),
            split=chosen.split,
            test_from=chosen.test_from,
        )
        # it waits for the preparation, and refuses sets other than those of the preset
        elements.submit(
            settings,
            "train",
            train.Options,
            candidates=chosen.candidates,
            params=chosen.params,
            blend=chosen.blend,
            preset=chosen.title,
        )


def form(prepared: storage.Prepared) -> None:
    # not a Streamlit form: its unsent values would be lost by a visit to another page
    with st.container():
        chosen = st.pills(
            _("Candidates"),
            list(kinds.KINDS),
            selection_mode="multi",
            default=list(kinds.DEFAULT),
            format_func=lambda name: str(kinds.title(name)),
            key="candidates",
        )
        with st.expander(_("About the candidates")):
            described = [(str(kind.title), str(kind.about)) for kind in kinds.KINDS.values()]
            st.table(
                pd.DataFrame(described, columns=[_("Candidate"), _("What it does")]),
                hide_index=True,
            )
            everything = st.checkbox(
                _("Compare all {number}", number=len(kinds.KINDS)),
                key="everything",
                help=_("Set 'Time limit (s)' too: on many rows some of them take minutes."),
            )
        with st.expander(_("Cross-validation and rows")):
            left, middle, right = st.columns(3)
            folds = left.number_input(
                _("Folds"), min_value=2, max_value=20, value=10, step=1, key="folds"
            )
            seed = middle.number_input(
                _("Seed"), min_value=0, max_value=2**31 - 1, value=42, step=1, key="train-seed"
            )
            share = right.number_input(
                _("Share of the training rows to fit on"),
                min_value=0.1,
                max_value=1.0,
                value=1.0,
                step=0.1,
                format="%.2f",
                key="fit-share",
                help=_(
                    "PyCaret's default is 0.70, with the rest as a hold-out. There is a separate "
                    "test set here, so the default is all training rows."
                ),
            )
            st.caption(
                _(
                    "There are {rows:,} training rows; the result shows how many of them each "
                    "model was fitted on. The folds are drawn from them at random, however the "
                    "test set was split.",
                    rows=prepared.rows_train,
                )
            )
        with st.expander(_("Tune, combine, calibrate")):
            left, middle, right = st.columns(3)
            trials = left.number_input(
                _("Tuning trials"),
                min_value=0,
                max_value=500,
                value=0,
                step=5,
                key="trials",
                help=_("Optuna tunes the best candidate; 0 means no tuning."),
            )
            seconds = middle.number_input(
                _("Time limit for tuning (s)"),
                min_value=1,
                max_value=86_400,
                value=60,
                step=30,
                help=_("No trial starts after this time."),
                key="tune-seconds",
            )
            budget = right.number_input(
                _("Time limit (s)"),
                min_value=1,
                max_value=86_400,
                value=None,
                step=60,
                placeholder=_("no limit"),
                key="budget",
                help=_("Training stops at the end of a fold; finished candidates are compared."),
            )
            with st.container(horizontal=True):
                blend = st.checkbox(
                    _("Blend the best three"),
                    key="blend",
                    help=_("The mean of their probabilities."),
                )
                stack = st.checkbox(
                    _("Stack the best three"),
                    key="stack",
                    help=_("A logistic regression on their probabilities."),
                )
                balanced = st.checkbox(
                    _("Balance the class weights"),
                    key="balanced",
                    help=_(
                        "Only for candidates that support it; the probabilities are then no "
                        "longer calibrated."
                    ),
                )
            calibrate = st.segmented_control(
                _("Calibrate the best"),
                list(CALIBRATIONS),
                default="none",
                required=True,
                format_func=lambda name: str(CALIBRATIONS[name]),
                key="calibrate",
                help=_("Adds the best candidate with its probabilities calibrated on inner folds."),
            )
        with st.expander(_("Threshold and more")):
            aim = st.segmented_control(
                _("Choose the threshold by"),
                list(AIMS),
                default="project",
                required=True,
                format_func=lambda name: str(AIMS[name][0]),
                key="aim",
                help=_(
                    "Chosen on the validation folds, never on the test set, separately for each "
                    "candidate; the served model uses it."
                ),
            )
            st.caption(" ".join(f"**{title}**: {about}" for title, about in AIMS.values()))
            left, middle, right = st.columns(3)
            false_positive = left.number_input(
                _("Cost of a false '{positive}'", positive=project.words(spec.positive)),
                min_value=0.0,
                value=1.0,
                key="cost-fp",
                help=_("In any unit; used only by the aim cost."),
            )
            false_negative = middle.number_input(
                _("Cost of a false '{negative}'", negative=project.words(spec.negative)),
                min_value=0.0,
                value=1.0,
                key="cost-fn",
                help=_("In the same unit."),
            )
            learning = right.number_input(
                _("Time limit for the learning curve (s)"),
                min_value=0,
                max_value=3600,
                value=20,
                step=10,
                key="learning",
                help=_("For the best candidate; 0 for none."),
            )
            refit = st.checkbox(
                _("Refit the best on all labelled rows for serving"),
                key="refit",
                help=_(
                    "Including the test rows. The metrics remain those of the model that was "
                    "fitted on the training rows; both models are kept."
                ),
            )
        sent = st.button(_("Train"), type="primary", icon=":material/model_training:", key="train")
    if sent:
        chosen = list(kinds.KINDS) if everything else chosen
        if not chosen:
            st.error(_("No candidate is selected. Select at least one."))
        else:
            elements.submit(
                settings,
                "train",
                train.Options,
                candidates=tuple(chosen),
                folds=int(folds),
                seed=int(seed),
                fit_share=share,
                balanced=balanced,
                tune_trials=int(trials),
                tune_seconds=int(seconds),
                blend=blend,
                stack=stack,
                calibrate=calibrate,
                budget_seconds=None if budget is None else int(budget),
                aim=aim,
                cost_false_positive=false_positive,
                cost_false_negative=false_negative,
                refit=refit,
                learning_seconds=int(learning),
            )


def kept_of_cancelled() -> None:
    """Show the finished part of a cancelled or failed training."""
    last = tracking.last_run(settings, "train", status=None)
    if last is None or last.status not in ("KILLED", "FAILED"):
        return
    done = tracking.runs(settings, parent=last.run_id, status="FINISHED")
    if done:
        st.info(
            _(
                "The training ended early: nothing was compared or registered. Its finished "
                "candidates:"
            )
        )
        with st.container(horizontal=True):
            for candidate in reversed(done):
                loss = candidate.metrics.get("log_loss_cv", float("nan"))
                elements.run_link(
                    candidate.run_id,
                    _(
                        "{candidate}, CV log loss {loss:.4f},",
                        candidate=elements.words(candidate.name),
                        loss=loss,
                    ),
                )


def comparison(run: tracking.RunInfo) -> None:
    table = elements.table(settings, STORE, run.run_id, "comparison")
    best = table[table["model"] == run.params["best"]].iloc[0]
    base = best["log_loss_test"] / (1 - best["skill_test"])
    threshold = float(run.params["threshold"])
    elements.figures(
        [
            (
                _("Best candidate"),
                str(kinds.title(best["model"])),
                _("lowest log loss in cross-validation"),
            ),
            (
                _("Log loss, test set"),
                number(best["log_loss_test"], ".4f"),
                _noted(best, "log_loss", _("base rate {base:.4f}", base=base)),
            ),
            (
                _("ROC AUC, test set"),
                number(best["roc_auc_test"], ".3f"),
                _noted(best, "roc_auc", _("0.5 is chance")),
            ),
            (
                _("F1, test set"),
                number(best["f1_test"], ".3f"),
                _noted(best, "f1", _("threshold {threshold:.3g}", threshold=threshold)),
            ),
            (
                _("Rows fitted on"),
                number(best["rows_fit"]),
                _("of {rows:,.0f}", rows=run.metrics["rows_train"]),
            ),
        ]
    )
    if state := performance.threshold_state(
        {"positive_rate": best.get("positive_rate_test", 0.5), "f1": best["f1_test"]}
    ):
        text = str(sentences(THRESHOLD_TEXTS[state], THRESHOLD_TODO))
        st.warning(text, icon=":material/tune:")
    for model, reason in _left_out(run):
        st.warning(
            _(
                "{model} was left out: {reason}",
                model=kinds.title(model),
                reason=elements.plain(elements.words(reason)),
            )
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.run_link(run.run_id, "Treinamento")
        if run.is_sample:
            elements.sample_badge()
    column = st.column_config.NumberColumn
    shown = table.assign(
        name=[str(kinds.title(model)) for model in table["model"]],
        best=["★" if model == run.params["best"] else "" for model in table["model"]],
        view=[str(APPROACHES[_view(model)]) for model in table["model"]],
        run=[f"/runs?run={run_id}" for run_id in table["run_id"]],
    )
    st.dataframe(
        shown,
        hide_index=True,
        column_order=[
            "best",
            "name",
            "view",
            "log_loss_cv",
            "log_loss_cv_std",
            *(f"{name}_test" for name in metrics.TITLES),
            "threshold",
            "rows_fit",
            "seconds_fit",
            "run",
        ],
        column_config={
            "best": st.column_config.TextColumn("", width=30),
            "name": _("Candidate"),
            "view": st.column_config.TextColumn(
                _("Approach"),
                help=_(
                    "Regression fits the probability itself by a weighted sum; classification "
                    "sorts rows into groups and takes the share in each."
                ),
            ),
            "log_loss_cv": column(_("Log loss, CV"), format="%.4f"),
            "log_loss_cv_std": column(_("± SD"), format="%.4f"),
            **{
                f"{name}_test": column(str(title), format="%.4f")
                for name, title in metrics.TITLES.items()
            },
            "threshold": column(_("Threshold"), format="%.3f"),
            "rows_fit": column(_("Rows fitted on"), format="localized"),
            "seconds_fit": column(_("Seconds"), format="%.1f"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=_("open")),
        },
    )
    st.caption(
        _(
            "CV is the cross-validation on the training set, by which the best is chosen. "
            "The other metrics are on the test set, which no choice was based on. Log loss in "
            "nats; lower log loss and Brier score are better."
        )
    )


def _noted(row: pd.Series, name: str, note: str) -> str:
    """Return the interval of a metric, if it is known, and a note."""
    low, high = (row.get(f"{name}_test_{end}") for end in ("low", "high"))
    if pd.isna(low) or pd.isna(high):
        return note
    return _("{low:.3f} to {high:.3f}; {note}", low=low, high=high, note=note)


def _view(model: str) -> str:
    """Return which of the two approaches a candidate takes."""
    base = model.partition(".")[0]
    return kinds.KINDS[base].approach if base in kinds.KINDS else "both"


def _left_out(run: tracking.RunInfo) -> list[tuple[str, str]]:
    if not run.params.get("left_out"):
        return []
    table = elements.table(settings, STORE, run.run_id, "left_out")
    return list(table.itertuples(index=False, name=None))


def registered(run: tracking.RunInfo) -> None:
    """Show the registered version, and where to go on."""
    versions = [
        version
        for version in model_store.versions(settings, spec.model)
        if version.about.train_run == run.run_id
    ]
    if not versions:
        return
    version = versions[-1]
    st.subheader(_("4. Registered"), anchor=False)
    served = version.about.rows_served
    aliases = f" ({listed(version.aliases, 'unit')})" if version.aliases else ""
    text = _(
        "The best is **version {version}**{aliases} of {model}.",
        version=version.version,
        aliases=aliases,
        model=spec.model,
    )
    if version.about.evaluated_model and served:
        text += " " + _(
            "It was refitted on all {rows:,} labelled rows for serving; the metrics above are of "
            "the model that was fitted on the training rows.",
            rows=served,
        )
    st.markdown(text + " " + _("Its model card and its promotion are on Registry."))
    st.page_link(
        "pages/registry/page.py", label=_("Go to Registry"), icon=":material/arrow_forward:"
    )


def is_awaited() -> bool:
    """Return whether a running chain has yet to reach this step."""
    chain = chains.current(settings)
    links = chain.links if chain is not None and chain.state == "running" else ()
    return any(link.step == "train" and link.job is None for link in links)


with elements.show_errors():
    prepared = storage.current_prepared(settings)
    elements.header(
        _("Train"),
        _("Fit candidates on the training set, compare them on the test set, register the best."),
        is_sample=bool(prepared and prepared.is_sample),
    )
    if prepared is None:
        st.info(_("There is no training set yet. Prepare the data first."))
        elements.step_link("prepare", _("Go to Prepare"))
        if snapshots.current(settings) is not None and spec.presets:
            st.markdown(_("Or do both with a preset:"))
            presets()
            elements.job_panel(settings, "prepare")
            elements.job_panel(settings, "train")
        code_snippets.panel(settings, "train")
        st.stop()
    st.subheader(_("1. Choices"), anchor=False)
    presets()
    training_set(prepared)
    form(prepared)
    elements.job_panel(settings, "prepare")
    preparing = any(job.step == "prepare" for job in jobs.active(settings))
    running = elements.job_panel(settings, "train")
    elements.wait_for_store()
    if not running:
        kept_of_cancelled()
    last = tracking.last_run(settings, "train")
    if last is None:
        st.info(_("Nothing is trained yet. Choose candidates and press Train."))
        code_snippets.panel(settings, "train")
        st.stop()
    if prepared.rules != spec.digest:
        st.warning(_("The project file changed since these sets were made. Prepare again."))
    elif last.params.get("prepared_by") != prepared.run_id:
        coming = running or preparing or is_awaited()
        if coming:
            st.info(_("This is the previous training; the training on the new sets comes next."))
        else:
            st.warning(_("The prepared sets changed since this training. Train again."))
    st.subheader(_("2. Comparison"), anchor=False)
    comparison(last)
    evaluation_view.paired(settings, last)
    evaluation_view.curves(settings, spec, last)
    st.subheader(_("3. One candidate in detail"), anchor=False)
    evaluation_view.in_depth(settings, spec, last)
    registered(last)
code_snippets.panel(settings, "train")
