"""Debian's Chromium, driven by Playwright. `tests/browser/install_chromium.sh` installs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright


def chromium() -> str:
    """Where the browser is; without one the tests of this folder cannot run."""
    named = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if named is None:
        pytest.fail("there is no Chromium: run tests/browser/install_chromium.sh, or set CHROMIUM")
    return named


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module: Playwright keeps an event loop running in the thread as long as it
    is open, and no later test of the same worker could call `asyncio.run`."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that root in a container does not have.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that reports its errors as the test's failures."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if _is_error(said) else None)
    yield page
    context.close()
    assert errors == []


def _is_error(said: ConsoleMessage) -> bool:
    """Chromium reports an answer 409 too; the gallery shows it to the person."""
    return said.type == "error" and "status of 409" not in said.text
