"""Names of Courtside's own columns in tables with a project's columns.

All begin with `PREFIX`, which a project file may not use, so a feature may be called `probability`,
`label` or `row` without a clash.
"""

from __future__ import annotations

from typing import Final

from core.platform.messages import Message, Words

PREFIX: Final = "courtside_"

PREDICTION_ID: Final = "courtside_prediction_id"
ROW: Final = "courtside_row"
ROW_KEY: Final = "courtside_row_key"
PROBABILITY: Final = "courtside_probability"
PREDICTED: Final = "courtside_predicted"
LABEL: Final = "courtside_label"
WEIGHT: Final = "courtside_weight"
LABELLED_AT: Final = "courtside_labelled_at"
LATENCY: Final = "courtside_latency_ms"
SCORED_AT: Final = "courtside_scored_at"
SOURCE: Final = "courtside_source"
MODEL: Final = "courtside_model"
VERSION: Final = "courtside_version"
ALIAS: Final = "courtside_alias"
IS_SHADOW: Final = "courtside_is_shadow"
IS_SAMPLE: Final = "courtside_is_sample"
RUN_ID: Final = "courtside_run_id"
REQUEST: Final = "courtside_request"
POSITION: Final = "courtside_position"
# of a project whose file names no id, and of one that does not choose its rows by a text column
ID: Final = "courtside_id"
PART: Final = "courtside_part"
# fields of a label in a file or a request, besides the project's id, which has another name
LABEL_FIELDS: Final = ("prediction_id", "label", "labelled_at")


def is_own(name: str) -> bool:
    """Return whether a column name is reserved for Courtside; case is ignored.

    Examples
    --------
    >>> is_own("courtside_row"), is_own("Courtside_Row"), is_own("row")
    (True, True, False)
    """
    return name.casefold().startswith(PREFIX)


def shown(name: str) -> Words:
    """Return a column's name for people: Courtside's own columns in words.

    Examples
    --------
    >>> str(shown(PROBABILITY)), shown("probability")
    ('predicted probability', 'probability')
    """
    return Message("predicted probability") if name == PROBABILITY else name
