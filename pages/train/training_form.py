"""The choices of a training: presets that fill the form, the form, and its button."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from core.data import prepare, snapshots, split_checks
from core.platform import permissions, project, storage
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, n_, number
from core.platform.project import Preset, ProjectSpec
from core.stats import thresholds
from core.training import candidates as kinds
from core.training import train
from pages.shared import elements, step_jobs

# widget -> the option of Train that it sets
OPTIONS = {
    "candidates": "candidates",
    "folds": "folds",
    "train-seed": "seed",
    "fit-share": "fit_share",
    "trials": "tune_trials",
    "tune-seconds": "tune_seconds",
    "budget": "budget_seconds",
    "blend": "blend",
    "stack": "stack",
    "balanced": "balanced",
    "calibrate": "calibrate",
    "aim": "aim",
    "cost-fp": "cost_false_positive",
    "cost-fn": "cost_false_negative",
    "learning": "learning_seconds",
    "refit": "refit",
}
KEYS = ("preset", "everything", *OPTIONS)
AIMS: dict[str, Words] = {"project": Message("Project"), **thresholds.AIM_LABELS}
CALIBRATIONS: dict[str, Words] = {
    "none": Message("none"),
    "sigmoid": "sigmoid",
    "isotonic": Message("isotonic"),
}


def draw(
    settings: Settings, spec: ProjectSpec, prepared: storage.Prepared | None, *, locked: bool
) -> None:
    """Draw the presets, the form and its button.

    Parameters
    ----------
    prepared : Prepared, optional
        The current sets; without them only a preset can be trained, as it prepares its own.
    locked : bool
        Whether a training waits or runs, so that nothing can be changed.
    """
    preset = chosen(spec)
    if spec.presets:
        _presets(spec, preset, locked=locked)
    is_ready = prepared is not None and (preset is None or fits(settings, spec, prepared, preset))
    if preset is None and prepared is not None:
        _training_set(settings, spec, prepared)
    elif preset is not None:
        _preset(spec, preset, is_ready=is_ready, locked=locked)
    options = _form(spec, locked=locked)
    pressed = st.button(
        _("Train") if is_ready or preset is None else _("Prepare and train"),
        type="primary",
        icon=":material/model_training:",
        key="train",
        disabled=not permissions.may("train") or locked or (prepared is None and preset is None),
    )
    if pressed:
        _submit(settings, spec, preset, options, is_ready=is_ready)


def chosen(spec: ProjectSpec) -> Preset | None:
    """Return the preset that filled the form."""
    title = st.session_state.get("preset")
    return next((preset for preset in spec.presets if preset.title == title), None)


def fits(settings: Settings, spec: ProjectSpec, prepared: storage.Prepared, preset: Preset) -> bool:
    """Return whether the current sets are those of a preset, of the current raw data."""
    raw = snapshots.current(settings)
    wanted = (spec.features_called(preset.features), preset.split, preset.test_from)
    prepared_as = (prepared.features, prepared.options["split"], prepared.options.get("test_from"))
    return (
        wanted == prepared_as
        and prepared.is_default_rows
        and prepared.rules == spec.digest
        and (raw is None or raw.digest == prepared.digest)
    )


def _fill(preset: Preset | None, *, balanced: bool) -> None:
    """Set the whole form to a preset's options, or to the defaults."""
    options = train.Options(balanced=balanced)
    if preset is not None:
        options = train.Options(candidates=preset.candidates, blend=preset.blend, balanced=balanced)
    for key, name in OPTIONS.items():
        st.session_state[key] = getattr(options, name)
    st.session_state["candidates"] = list(options.candidates)
    st.session_state["everything"] = False
    st.session_state["preset"] = preset.title if preset else None


def _presets(spec: ProjectSpec, filled: Preset | None, *, locked: bool) -> None:
    elements.question(_("Start from a preset"))
    with st.container(horizontal=True, gap="small", key="presets"):
        for place, preset in enumerate(spec.presets):
            names = [str(kinds.title(name)) for name in preset.candidates]
            if preset.blend:
                names.append(_("Blend of the best"))
            count = len(spec.features_called(preset.features))
            card = st.container(
                border=True, height="stretch", gap="xsmall", vertical_alignment="distribute"
            )
            with card:
                st.markdown(f"**{project.words(preset.title)}**")
                facts = (
                    elements.named(_("Features"), number(count)),
                    elements.named(_("Split"), split_checks.SPLITS[preset.split]),
                    ", ".join(names),
                )
                st.caption("  \n".join(facts))
                is_filled = filled is not None and filled.title == preset.title
                st.button(
                    _("Use"),
                    icon=":material/check:" if is_filled else None,
                    key=f"preset-{place}",
                    help=str(project.words(preset.about)),
                    disabled=locked or is_filled,
                    on_click=_fill,
                    args=(preset,),
                    kwargs={"balanced": spec.balanced},
                )


def _preset(spec: ProjectSpec, preset: Preset, *, is_ready: bool, locked: bool) -> None:
    """Show the current form: the preset, its data, and its fixed parameters."""
    lines = [f"**{project.words(preset.title)}.** {project.words(preset.about)}"]

    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(" ".join(lines), width="stretch")
        if preset.params:
            with st.popover(_("Parameters"), type="tertiary", width="content"):
                _parameters(preset.params)
        st.button(
            _("Remove"),
            icon=":material/close:",
            key="preset-clear",
            type="tertiary",
            disabled=locked,
            on_click=_fill,
            args=(None,),
            kwargs={"balanced": spec.balanced},
        )
    _warn_of_late(spec, spec.features_called(preset.features))


def _parameters(params: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        (str(kinds.title(model)), name, str(value))
        for model, values in params.items()
        for name, value in values.items()
    ]
    st.table(
        pd.DataFrame(rows, columns=[_("Candidate"), _("Parameters"), _("Value")]), hide_index=True
    )


def _training_set(settings: Settings, spec: ProjectSpec, prepared: storage.Prepared) -> None:
    """Describe the training data and its source."""
    rows = n_("{count:,} row", "{count:,} rows", prepared.rows_train)
    how = split_checks.SPLITS[prepared.options["split"]]
    facts = [
        elements.named(_("Training set"), f"{rows}, {how}"),
        elements.named(_("Features"), ", ".join(prepared.features)),
    ]
    if settings.dask:
        facts.append(elements.named(_("Dask cluster"), settings.dask))
    st.caption(" · ".join(facts))
    _warn_of_late(spec, prepared.features)


def _warn_of_late(spec: ProjectSpec, features: tuple[str, ...]) -> None:
    if late := [name for name in features if spec.recorded_after(name)]:
        st.warning(elements.known_too_late(late))


def _form(spec: ProjectSpec, *, locked: bool) -> dict[str, Any] | None:
    """Draw the form, and return the options; None without a candidate."""
    # not a Streamlit form: its unsent values would be lost by a visit to another page
    picked = st.pills(
        _("Candidates"),
        list(kinds.KINDS),
        selection_mode="multi",
        default=list(kinds.DEFAULT),
        format_func=lambda name: str(kinds.title(name)),
        key="candidates",
        disabled=locked,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        everything = st.checkbox(
            elements.counted(_("All"), len(kinds.KINDS)),
            key="everything",
            help=_("With many rows, some take minutes: set a time limit."),
            disabled=locked,
        )
        with st.popover(_("Details"), type="tertiary", width="content"):
            described = [(str(kind.title), str(kind.about)) for kind in kinds.KINDS.values()]
            st.table(
                pd.DataFrame(described, columns=[_("Candidate"), _("What it does")]),
                hide_index=True,
            )
    options = {
        **_validation(locked=locked),
        **_tuning(spec, locked=locked),
        **_threshold(spec, locked=locked),
    }
    names = list(kinds.KINDS) if everything else picked
    return {**options, "candidates": tuple(names)} if names else None


def _validation(*, locked: bool) -> dict[str, Any]:
    with st.expander(_("Validation folds")):
        left, middle, right = st.columns(3)
        folds = left.number_input(_("Folds"), 2, 20, 10, 1, key="folds", disabled=locked)
        seed = middle.number_input(
            _("Seed"), 0, 2**31 - 1, 42, 1, key="train-seed", disabled=locked
        )
        share = right.number_input(
            _("Share of rows"),
            min_value=0.1,
            max_value=1.0,
            value=1.0,
            step=0.1,
            format="%.2f",
            key="fit-share",
            disabled=locked,
        )

    return {"folds": int(folds), "seed": int(seed), "fit_share": share}


def _tuning(spec: ProjectSpec, *, locked: bool) -> dict[str, Any]:
    st.session_state.setdefault("balanced", spec.balanced)
    with st.expander(_("Tune, combine, calibrate")):
        left, middle, right = st.columns(3)
        trials = left.number_input(
            _("Tuning trials (Optuna)"),
            0,
            500,
            0,
            5,
            key="trials",
            help=_("0 for none"),
            disabled=locked,
        )
        seconds = middle.number_input(
            _("Time limit for tuning (s)"),
            min_value=1,
            max_value=86_400,
            value=60,
            step=30,
            key="tune-seconds",
            disabled=locked,
        )
        budget = right.number_input(
            _("Time limit (s)"),
            1,
            86_400,
            None,
            60,
            placeholder=_("none"),
            key="budget",
            help=_("Training stops after a fold; finished candidates are compared."),
            disabled=locked,
        )
        with st.container(horizontal=True):
            blend = st.checkbox(_("Blend of the best"), key="blend", disabled=locked)
            stack = st.checkbox(_("Stack of the best"), key="stack", disabled=locked)
            balanced = st.checkbox(
                _("Balance the class weights"),
                key="balanced",
                help=_("Where supported; the probabilities are then no longer calibrated."),
                disabled=locked,
            )
        calibrate = st.segmented_control(
            _("Calibration"),
            list(CALIBRATIONS),
            default="none",
            required=True,
            format_func=lambda name: str(CALIBRATIONS[name]),
            key="calibrate",
            disabled=locked,
        )
    return {
        "balanced": balanced,
        "tune_trials": int(trials),
        "tune_seconds": int(seconds),
        "blend": blend,
        "stack": stack,
        "calibrate": calibrate,
        "budget_seconds": None if budget is None else int(budget),
    }


def _threshold(spec: ProjectSpec, *, locked: bool) -> dict[str, Any]:
    with st.expander(_("More")):
        aim = st.segmented_control(
            _("Threshold"),
            list(AIMS),
            default="project",
            required=True,
            format_func=lambda name: (
                f"{AIMS[name]} ({number(spec.threshold, 'g')})"
                if name == "project"
                else str(AIMS[name])
            ),
            key="aim",
            help=_("Chosen on the validation folds, for each candidate."),
            disabled=locked,
        )

        left, middle, right = st.columns(3)
        false_positive = left.number_input(
            _("Cost of a false positive"), min_value=0.0, value=1.0, key="cost-fp", disabled=locked
        )
        false_negative = middle.number_input(
            _("Cost of a false negative"), min_value=0.0, value=1.0, key="cost-fn", disabled=locked
        )
        learning = right.number_input(
            _("Time limit for the learning curve (s)"),
            0,
            3600,
            20,
            10,
            key="learning",
            help=_("0 for none"),
            disabled=locked,
        )
        refit = st.checkbox(
            _("Refit the best candidate on all labelled rows for serving"),
            key="refit",
            help=_(
                "Including the test rows; the metrics remain those of the fit on the training rows."
            ),
            disabled=locked,
        )
    return {
        "aim": aim,
        "cost_false_positive": false_positive,
        "cost_false_negative": false_negative,
        "refit": refit,
        "learning_seconds": int(learning),
    }


def _submit(
    settings: Settings,
    spec: ProjectSpec,
    preset: Preset | None,
    options: dict[str, Any] | None,
    *,
    is_ready: bool,
) -> None:
    if options is None:
        st.error(_("Required: {field}.", field=_("Candidates")))
        return
    if preset is not None:
        names = options["candidates"]
        options["params"] = {name: of for name, of in preset.params.items() if name in names}
        # it waits for the preparation, and refuses sets other than those of the preset
        options["preset"] = preset.title
        if not is_ready and _is_valid(options):
            step_jobs.submit(
                settings,
                "prepare",
                prepare.Options,
                features=spec.features_called(preset.features),
                split=preset.split,
                test_from=preset.test_from,
            )
    step_jobs.submit(settings, "train", train.Options, **options)
    # the panel is above the form, and the form is locked
    if step_jobs.is_going(settings, "train"):
        st.rerun()


def _is_valid(options: Mapping[str, Any]) -> bool:
    try:
        train.Options(**options)
    except ValidationError:
        return False
    return True
