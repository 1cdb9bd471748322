"""Score: one row on the court, many rows, the log of predictions, and their labels."""

from core.platform.messages import Message, _
from pages.score import label_view, log_view, row_view, rows_view
from pages.shared import code_snippets, drafts, elements, navigation, visit

settings, spec = visit.open_app()
drafts.hold(
    "score",
    *("port", "one-*"),
    *("rows", "path", "destination", "way-*", "keep-*", "column-*"),
    *("search", "when", "days", "source", "version", "who", "known", "data", "range"),
    "whose-keys",
)
VIEWS = {
    "row": (
        elements.capital(_("one row")) if spec.court is None else Message("On the court"),
        row_view,
    ),
    "rows": (Message("Many rows"), rows_view),
    "log": (Message("Predictions log"), log_view),
    "labels": (Message("Labels"), label_view),
}

elements.header(
    _("Score"),
    _("Predict with the served model. Scored rows are logged."),
    menu=lambda: code_snippets.button(settings, "score", "explain", "label"),
)
view = navigation.views("score", {code: label for code, (label, _module) in VIEWS.items()})
with elements.show_errors():
    VIEWS[view][1].draw(settings, spec)
