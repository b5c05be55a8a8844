"""The page in a real browser: from a stopped candidate to the published table by keyboard, with and without scripts."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from driftline.embedded import tokens
from driftline.operations import channels
from tests.operations.test_reviews import Shop, shop
from tests.web.test_doors import serving

__all__ = ["shop"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@contextmanager
def browser(**options: Any) -> Iterator[Any]:
    """A page of a headless Chromium."""
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            page = launched.new_context(**options).new_page()
            page.set_default_timeout(60_000)
            yield page
        finally:
            launched.close()


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
    with browser(java_script_enabled=scripts) as page:
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
