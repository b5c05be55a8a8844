"""The page of cost, agility and knowledge: sentences, the frontier, and every day with its reasons."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from starlette.testclient import TestClient

from driftline.embedded import tokens
from driftline.web import plots
from driftline.web.pages.updates import LISTED
from tests.web.test_pages import text


def test_what_is_on_record_is_said_first_then_shown(owner: TestClient) -> None:
    page = owner.get("/updates").text
    order = [
        "A fine-tune cost",
        "Replayed on 2024-03-01 to 2024-03-11, the hit rate of the LLM with RAG was 30.00 %",
        "The cadence acted on 2 of 20 days.",
        "Cost, agility, knowledge",
        "Cost against hit rate",
        "Cadences replayed",
        "The cadence as it was kept",
        "LLM with RAG every 2 days 4 92 s 31.00 % 30.00 to 32.00 % unbeaten",
        "counting model every 2 days 4 no LLM 40.00 % 39.00 to 41.00 % beaten",
        "counts as decided 2 no LLM",
        "Which days an update started by itself, and why",
        "nothing, said ana: “&lt;b&gt;a sale”",
        "Because of 19 &lt;b&gt;. The rest of the budget",
        "Because of 18",
    ]
    shown = text(page)
    places = [shown.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert page.count('class="marked"') == page.count("RAG refresh</title>") == 2
    listed, folded = page.split("<details>")
    assert listed.count("Because of") == LISTED
    assert folded.count("Because of") == 20 - LISTED


def test_with_nothing_on_record_it_says_how_to_get_there(
    site: Callable[..., AbstractContextManager[TestClient]], postgres_url: str, tmp_path: Path
) -> None:
    with site(postgres_url=postgres_url) as client:
        client.get("/login", params={"token": tokens.issue(tmp_path)})
        shown = text(client.get("/updates").text)
    assert "No update is on record yet: driftline run fine-tune" in shown
    assert "Not replayed: run driftline evaluate refresh" in shown
    assert "No days kept: set cadence.policy" in shown


def test_points_stand_where_their_cost_and_hit_rate_are_and_the_beaten_are_hollow() -> None:
    points = (
        plots.Point("never", 0, 0.2, None, None, filled=True),
        plots.Point("every 2 days", 4, 0.1, None, None, filled=False),
        plots.Point("every day", 8, 0.3, 0.25, 0.35, filled=True),
    )
    drawn = plots.trails("hit rate", "updates", [plots.Trail("<counts>", points, "a")])
    found = re.findall(r'class="dot a( hollow)?" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    (_, first, never), (_, middle, beaten), (_, last, best) = found
    assert [one for one, *_ in found] == ["", " hollow", ""]
    assert float(middle) - float(first) == float(last) - float(middle) > 0
    assert float(best) < float(never) < float(beaten)
    assert "10.00 % to 35.00 %" in drawn
    assert "&lt;counts&gt;, every 2 days: 10.00 %" in drawn
