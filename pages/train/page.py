"""Train: fit candidates, compare them, and register the best."""

import pandas as pd

from core.data import prepare, snapshots, split_checks
from core.jobs import chains, jobs
from core.platform import model_store, storage, tracking
from core.stats import metrics, performance
from core.stats.check import THRESHOLD_TEXTS, THRESHOLD_TODO
from core.training import candidates as kinds
from core.training import train
from pages.shared import code_snippets, drafts, elements
from pages.shared.bilingual import st
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
AIMS = {
    "project": ("the project", f"the project's own, {spec.threshold:g}."),
    "f1": ("F1", "the highest F1, the harmonic mean of precision and recall."),
    "balanced": (
        "balance",
        "the highest sum of the shares that are labelled rightly in each class.",
    ),
    "cost": ("cost", "the lowest cost of mistakes, by the two costs below."),
}


def training_set(prepared: storage.Prepared) -> None:
    """Describe the training data and its source."""
    count = len(prepared.features)
    missing = "" if prepared.is_complete else " Missing values are imputed in the model."
    how = split_checks.SPLITS[prepared.options["split"]]
    st.caption(
        f"Training set: {prepared.rows_train:,} rows, divided from the test set {how}. "
        f"Features, {count}: {', '.join(prepared.features)}.{missing}"
    )
    if after := [name for name in prepared.features if spec.recorded_after(name)]:
        st.warning(
            f"{', '.join(after)}: noted only after what is predicted. A model that uses it "
            "describes; it does not foresee."
        )
    if settings.dask:
        st.caption(f"Candidates are fitted side by side on the Dask cluster at {settings.dask}.")
    elements.run_link(prepared.run_id, "PreparacaoDados")


def presets() -> None:
    """Offer the project's preset of preparation and training as one button."""
    if not spec.presets:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        listed = {preset.title: preset for preset in spec.presets}
        chosen = listed[
            st.selectbox(
                "Preset",
                list(listed),
                key="preset",
                help="Prepares the sets and trains on them, both as the project says.",
            )
        ]
        pressed = st.button("Prepare and train", icon=":material/bolt:")
    st.caption(chosen.about)
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
            "Candidates",
            list(kinds.KINDS),
            selection_mode="multi",
            default=list(kinds.DEFAULT),
            format_func=kinds.title,
            key="candidates",
        )
        with st.expander("What each of them is"):
            described = [(kind.title, kind.about) for kind in kinds.KINDS.values()]
            st.table(
                pd.DataFrame(described, columns=["Candidate", "What it does"]), hide_index=True
            )
            everything = st.checkbox(
                f"Compare all {len(kinds.KINDS)}",
                key="everything",
                help="Set 'Seconds for all' beside it: on many rows some of them take minutes.",
            )
        with st.expander("Cross-validation and rows"):
            left, middle, right = st.columns(3)
            folds = left.number_input(
                "Folds", min_value=2, max_value=20, value=10, step=1, key="folds"
            )
            seed = middle.number_input(
                "Seed", min_value=0, max_value=2**31 - 1, value=42, step=1, key="train-seed"
            )
            share = right.number_input(
                "Share of the training rows to fit on",
                min_value=0.1,
                max_value=1.0,
                value=1.0,
                step=0.1,
                format="%.2f",
                key="fit-share",
                help="PyCaret by itself fits on 0.70 and keeps the rest as a hold-out. We have a "
                "test set of our own, so all training rows are used unless you say otherwise.",
            )
            st.caption(
                f"There are {prepared.rows_train:,} training rows; the result says how many of "
                "them each model saw. The folds are drawn at random from them, whichever way the "
                "test set was divided."
            )
        with st.expander("Tune, combine, calibrate"):
            left, middle, right = st.columns(3)
            trials = left.number_input(
                "Trials of a search",
                min_value=0,
                max_value=500,
                value=0,
                step=5,
                key="trials",
                help="Optuna looks for better parameters of the best candidate; 0 does not.",
            )
            seconds = middle.number_input(
                "Seconds for the search",
                min_value=1,
                max_value=86_400,
                value=60,
                step=30,
                help="No trial is begun after so long.",
                key="tune-seconds",
            )
            budget = right.number_input(
                "Seconds for all",
                min_value=1,
                max_value=86_400,
                value=None,
                step=60,
                placeholder="no limit",
                key="budget",
                help="The fold that ends after so long is the last; what is done is compared.",
            )
            with st.container(horizontal=True):
                blend = st.checkbox(
                    "Blend the best three", key="blend", help="The mean of their probabilities."
                )
                stack = st.checkbox(
                    "Stack the best three",
                    key="stack",
                    help="A logistic regression on their forecasts.",
                )
                balanced = st.checkbox(
                    "Weigh the classes alike",
                    key="balanced",
                    help="Only in candidates that can. The probabilities are not the shares then.",
                )
            calibrate = st.segmented_control(
                "Calibrate the best",
                ["none", "sigmoid", "isotonic"],
                default="none",
                required=True,
                key="calibrate",
                help="Adds the best candidate with its probabilities calibrated on inner folds.",
            )
        with st.expander("Threshold and more"):
            aim = st.segmented_control(
                "Choose the threshold by",
                list(AIMS),
                default="project",
                required=True,
                format_func=lambda name: AIMS[name][0],
                key="aim",
                help="It is chosen on the forecasts of the validation folds, never on the test "
                "set, for each candidate by itself; the served model labels by it.",
            )
            st.caption(" ".join(f"**{title}**: {about}" for title, about in AIMS.values()))
            left, middle, right = st.columns(3)
            false_positive = left.number_input(
                f"Cost of a wrong '{spec.positive}'",
                min_value=0.0,
                value=1.0,
                key="cost-fp",
                help="In any unit; only for the lowest cost.",
            )
            false_negative = middle.number_input(
                f"Cost of a wrong '{spec.negative}'",
                min_value=0.0,
                value=1.0,
                key="cost-fn",
                help="In the same unit.",
            )
            learning = right.number_input(
                "Seconds for the learning curve",
                min_value=0,
                max_value=3600,
                value=20,
                step=10,
                key="learning",
                help="Of the best candidate; 0 draws none.",
            )
            refit = st.checkbox(
                "Serve the best fitted again on all labelled rows",
                key="refit",
                help="The test rows too. The figures stay those of the model that was fitted on "
                "the training rows; both models are kept and never confused.",
            )
        sent = st.button("Train", type="primary", icon=":material/model_training:", key="train")
    if sent:
        chosen = list(kinds.KINDS) if everything else chosen
        if not chosen:
            st.error("No candidate is chosen. Tick at least one.")
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
            "The training that ended early is not compared and registers nothing. What it had "
            "done is kept:"
        )
        with st.container(horizontal=True):
            for candidate in reversed(done):
                loss = candidate.metrics.get("log_loss_cv", float("nan"))
                elements.run_link(candidate.run_id, f"{candidate.name}, CV log loss {loss:.4f},")


def comparison(run: tracking.RunInfo) -> None:
    table = elements.table(settings, STORE, run.run_id, "comparison")
    best = table[table["model"] == run.params["best"]].iloc[0]
    base = best["log_loss_test"] / (1 - best["skill_test"])
    threshold = float(run.params["threshold"])
    elements.figures(
        [
            ("Best candidate", best["name"], "lowest log loss in cross-validation"),
            (
                "Log loss, test set",
                f"{best['log_loss_test']:.4f}",
                f"{_interval(best, 'log_loss')}base rate {base:.4f}",
            ),
            (
                "ROC AUC, test set",
                f"{best['roc_auc_test']:.3f}",
                f"{_interval(best, 'roc_auc')}0.5 is chance",
            ),
            (
                "F1, test set",
                f"{best['f1_test']:.3f}",
                f"{_interval(best, 'f1')}threshold {threshold:.3g}",
            ),
            ("Rows fitted on", f"{best['rows_fit']:,}", f"of {run.metrics['rows_train']:,.0f}"),
        ]
    )
    if state := performance.threshold_state(
        {"positive_rate": best.get("positive_rate_test", 0.5), "f1": best["f1_test"]}
    ):
        st.warning(f"{THRESHOLD_TEXTS[state]} {THRESHOLD_TODO}", icon=":material/tune:")
    for model, reason in _left_out(run):
        st.warning(f"{kinds.title(model)} was left out: {elements.plain(reason)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.run_link(run.run_id, "Treinamento")
        if run.is_sample:
            elements.sample_badge()
    number = st.column_config.NumberColumn
    shown = table.assign(
        best=["★" if model == run.params["best"] else "" for model in table["model"]],
        view=[_view(model) for model in table["model"]],
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
            "name": "Candidate",
            "view": st.column_config.TextColumn(
                "Approach",
                help="Regression fits the probability itself by a weighted sum; classification "
                "sorts rows into groups and takes the share in each.",
            ),
            "log_loss_cv": number("Log loss, CV", format="%.4f"),
            "log_loss_cv_std": number("± SD", format="%.4f"),
            **{
                f"{name}_test": number(title, format="%.4f")
                for name, title in metrics.TITLES.items()
            },
            "threshold": number("Threshold", format="%.3f"),
            "rows_fit": number("Rows fitted on", format="localized"),
            "seconds_fit": number("Seconds", format="%.1f"),
            "run": st.column_config.LinkColumn("Run", display_text="open"),
        },
    )
    st.caption(
        "CV is the cross-validation on the training set, by which the best is chosen. The other "
        "figures are on the test set, which no choice has looked at. Log loss in nats, of "
        "probabilities; lower is better, and so for the Brier score."
    )


def _interval(row: pd.Series, name: str) -> str:
    low, high = (row.get(f"{name}_test_{end}") for end in ("low", "high"))
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.3f} to {high:.3f}; "


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
    st.subheader("4. Registered", anchor=False)
    served = version.about.rows_served
    again = (
        f" The served one was fitted again on all {served:,} labelled rows; the figures above "
        "are of the one that was fitted on the training rows."
        if version.about.evaluated_model and served
        else ""
    )
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    st.markdown(
        f"The best is **version {version.version}**{aliases} of {spec.model}.{again} Registry has "
        "its card, and decides whether it takes the champion's place."
    )
    st.page_link("pages/registry/page.py", label="Go to Registry", icon=":material/arrow_forward:")


def is_awaited() -> bool:
    """Return whether a running chain has yet to reach this step."""
    chain = chains.current(settings)
    links = chain.links if chain is not None and chain.state == "running" else ()
    return any(link.step == "train" and link.job is None for link in links)


with elements.show_errors():
    prepared = storage.current_prepared(settings)
    elements.header(
        "Train",
        "Fit candidates on the training set, compare them on the test set, register the best.",
        is_sample=bool(prepared and prepared.is_sample),
    )
    if prepared is None:
        st.info("There is no training set yet. Prepare the data first.")
        st.page_link(
            "pages/prepare/page.py", label="Go to Prepare", icon=":material/arrow_forward:"
        )
        if snapshots.current(settings) is not None and spec.presets:
            st.markdown("Or let a preset do both:")
            presets()
            elements.job_panel(settings, "prepare")
            elements.job_panel(settings, "train")
        code_snippets.panel(settings, "train")
        st.stop()
    st.subheader("1. Choices", anchor=False)
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
        st.info("Nothing trained yet. Choose candidates and press Train.")
        code_snippets.panel(settings, "train")
        st.stop()
    if prepared.rules != spec.digest:
        st.warning("The project file changed since these sets were made. Prepare again.")
    elif last.params.get("prepared_by") != prepared.run_id:
        coming = running or preparing or is_awaited()
        if coming:
            st.info("Below is the training before; that on the new sets comes next.")
        else:
            st.warning("The prepared sets changed since this training. Train again.")
    st.subheader("2. Comparison", anchor=False)
    comparison(last)
    evaluation_view.paired(settings, last)
    evaluation_view.curves(settings, spec, last)
    st.subheader("3. One candidate in depth", anchor=False)
    evaluation_view.in_depth(settings, spec, last)
    registered(last)
code_snippets.panel(settings, "train")
