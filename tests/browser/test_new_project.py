"""A table of one's own, in Chromium: dropped, confirmed, and led to a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.browser.driving import OVERFLOW, PATIENCE_MS, figure, keep, press, settle, view, visit

pytestmark = [pytest.mark.browser, pytest.mark.long]


def mushrooms(path: Path) -> None:
    """Three classes, holes, a constant, and no id, time or column that parts the rows."""
    rng = np.random.default_rng(11)
    kind = rng.choice(["edible", "poisonous", "unknown"], 900, p=[0.5, 0.3, 0.2])
    shift = pd.Series(kind).map({"edible": 0.0, "poisonous": 1.2, "unknown": 0.5}).to_numpy()
    width = (rng.normal(5, 1, 900) + shift).round(2)
    width[::9] = np.nan
    frame = pd.DataFrame(
        {
            "cap width (cm)": width,
            "odour": rng.choice(["none", "almond", "foul"], 900),
            "country": "BR",
            "class": kind,
        }
    )
    frame.to_csv(path, index=False)


def test_a_dropped_table_leads_to_a_verdict(page, tmp_path: Path) -> None:
    mushrooms(tmp_path / "mushrooms.csv")
    page.get_by_role("link", name="New project").click()
    page.get_by_role("heading", name="Projects", exact=True, level=1).wait_for()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(
        tmp_path / "mushrooms.csv"
    )
    run = page.get_by_role("button", name="Create and run")
    run.wait_for()
    settle(page)
    positive = page.get_by_role("combobox", name="Positive class")
    positive.click()
    page.get_by_role("option", name="poisonous", exact=True).click()
    settle(page)
    assert page.get_by_label("Question").input_value() == "Is class poisonous?"
    keep(page, "new-project-1-confirmation")
    assert page.evaluate(OVERFLOW) <= 1
    press(page, "Create and run")
    page.get_by_role("heading", name="Overview", exact=True, level=1).wait_for()
    page.get_by_role("heading", name="The life cycle is running").wait_for()
    page.get_by_role("link", name="Report").or_(
        page.get_by_role("button", name="Go to Monitor")
    ).first.wait_for(timeout=3 * PATIENCE_MS)
    assert page.locator(".st-key-verdict-card").get_by_role("heading").inner_text()
    keep(page, "new-project-2-verdict")
    visit(page, "Data")
    view(page, "Source")
    assert figure(page, "Rows") == "900"
    # the sidebar folds in a narrow window, and stays so
    page.get_by_role("link", name="New project").click()
    # the page before has an upload of its own
    page.get_by_role("heading", name="Projects", exact=True, level=1).wait_for()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(
        tmp_path / "mushrooms.csv"
    )
    run.wait_for()
    page.set_viewport_size({"width": 800, "height": 1000})
    settle(page)
    assert page.evaluate(OVERFLOW) <= 1
