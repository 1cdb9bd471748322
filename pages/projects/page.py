"""Projects: those of the home with their state, and a new one."""

from core.platform.messages import Message, _
from pages.projects import new_view, project_list
from pages.shared import code_snippets, elements, navigation, visit

VIEWS = {"list": Message("Projects"), "new": Message("New project")}

settings = visit.open_projects()
elements.header(
    _("Projects"),
    _("Each has its own data, models, predictions and alerts; they share the MLflow store."),
    menu=lambda: code_snippets.button(settings, "projects"),
)
view = navigation.views("projects", VIEWS)
with elements.show_errors():
    visit.wait_for_store()
    if view == "new":
        new_view.draw(settings)
    else:
        project_list.draw(settings)
