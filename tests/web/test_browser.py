"""The page in a real browser: from a stopped candidate to the published table by keyboard; light, dark, on a phone; axe."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from driftline.embedded import tokens
from driftline.operations import channels
from tests.operations.test_reviews import Shop, shop
from tests.web.conftest import REVIEW
from tests.web.test_doors import serving

__all__ = ["shop"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

PLACES = (
    *("/", f"/reviews/{REVIEW}", f"/reviews/{REVIEW}?interest=meat", "/channels", "/channels/default/rollback", "/tables"),
    *("/tables/3", "/tables/2/revoke", "/changes?before=1&after=3", "/runs", "/explore?first=meat&second=3", "/nothing"),
    *("/experiments", "/experiments/rag-2026-03", "/updates"),
)
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390), "dark phone": ("dark", 390)}


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield launched
        finally:
            launched.close()


def page_of(launched: Any, **options: Any) -> Any:
    """A page that shares nothing with others of the same browser."""
    page = launched.new_context(**options).new_page()
    page.set_default_timeout(60_000)
    return page


@dataclass(frozen=True)
class Looked:
    """One server and one browser for every look."""

    address: str
    home: Path
    browser: Any


@pytest.fixture(scope="module")
def looked(filled: str, dev_server: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    home = tmp_path_factory.mktemp("home")
    with serving(filled, dev_server.client.service_client.config.target_host, home) as address, chromium() as launched:
        yield Looked(address, home, launched)


def tab_to(page: Any, selector: str) -> None:
    """Tab until this has the focus, which has to be seen."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            ringed = "e => [null, '::after'].some(part => getComputedStyle(e, part).outlineStyle != 'none')"
            seen = f"({ringed})(document.activeElement)"
            assert page.evaluate(seen), f"{selector} has the focus, and nobody sees it"
            return
    raise AssertionError(f"no way by keyboard to {selector} on {page.url}")


def decide_by_keyboard(address: str, home: Path, review: str, scripts: bool) -> None:
    with chromium() as launched:
        page = page_of(launched, java_script_enabled=scripts)
        page.goto(f"{address}/login?token={tokens.issue(home)}")
        tab_to(page, f'a[href="/reviews/{review}"]')
        page.keyboard.press("Enter")
        page.wait_for_selector("#decide")
        tab_to(page, "#reason")
        page.keyboard.type("the misses are synonyms")
        tab_to(page, 'button[value="approve"]')
        page.keyboard.press("Enter")
        page.wait_for_selector("text=is served")
        tab_to(page, 'a[href="/channels"]')
        page.keyboard.press("Enter")
        page.wait_for_selector("text=What serving reads now")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_from_a_stopped_candidate_to_the_published_table_by_keyboard(shop: Shop, scripts: bool) -> None:
    async with shop.worker():
        handle = await shop.refresh()
        review = await shop.opened(handle)
        settings = shop.context.settings
        with serving(settings.postgres_url, settings.temporal_address, shop.folder) as address:
            await asyncio.to_thread(decide_by_keyboard, address, shop.folder, review.review_id, scripts)
        assert (await handle.result()).outcome == "published"
    (served,) = channels.served(shop.context)
    assert served.version == review.candidate
    assert shop.review(review.candidate).known_by == "login"


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_and_axe_finds_nothing(looked: Looked, look: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    scheme, width = LOOKS[look]
    page = page_of(looked.browser, color_scheme=scheme, viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{looked.address}/login")
    problems = {"/login": _problems(axe, page)}
    page.goto(f"{looked.address}/login?token={tokens.issue(looked.home)}")
    for place in PLACES:
        page.goto(f"{looked.address}{place}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{place} is wider than the screen"
        for details in page.query_selector_all("details"):
            details.evaluate("one => { one.open = true }")
        problems[place] = _problems(axe, page)
    page.context.close()
    assert {place: found for place, found in problems.items() if found} == {}
    assert [text for text in said if "404" not in text] == []  # nothing that the policy forbids


def _problems(axe: Any, page: Any) -> list[str]:
    found = axe.run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')[:200]}" for one in found]
