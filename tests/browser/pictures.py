"""Makes the pictures of `docs/images` from the demo and its Dagster UI: `make pictures`."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import chromium

ROOT: Final = Path(__file__).parents[2]
_ADDRESS: Final = r"(http://127\.0\.0\.1:\d+\S*)"
_PATIENCE: Final = 400_000.0  # milliseconds: Dagster loads its code location first
_REST: Final = 8_000.0  # pictures and Dagster's status of each asset come late
_COLOURS: Final = 256  # a documentation's picture is under 200 KB


def main() -> None:
    """Take each picture of what `make demo` made."""
    with served() as (gallery, dagster), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.set_default_timeout(_PATIENCE)
        for name, product in {"gallery": "", "review": "&product=aqua-bottle"}.items():
            page.goto("about:blank")
            page.goto(gallery + product)
            take(page, name)

        page.goto(f"{dagster}/assets/finishedVideo?view=partitions&partition=gift-box")
        page.get_by_text("topview/preview", exact=True).wait_for()
        take(page, "materialization")
        # Large enough that each asset of the graph shows its partitions and checks.
        page.set_viewport_size({"width": 2600, "height": 1150})
        graph = "view=lineage&lineageScope=upstream&lineageDepth=5"
        page.goto(f"{dagster}/assets/videoManifest?{graph}")
        page.get_by_text("productScript", exact=True).first.wait_for()
        page.get_by_text("Hide navigation").click()
        take(page, "lineage", top=165, edge=72, width=1600)
        browser.close()


@contextmanager
def served() -> Iterator[tuple[str, str]]:
    """The addresses of gallery and Dagster UI, as `make ui` prints them."""
    command = [sys.executable, "-m", "topview_pipeline", "ui"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found: list[str] = []
            while len(found) < 2:
                line = process.stdout.readline()
                assert line, "the UI ended; is there a demo? make demo"
                found += re.findall(rf"^(?:Gallery|Dagster UI): +{_ADDRESS}", line)
            answers(found[1])
            yield found[0], found[1]
        finally:
            process.terminate()


def answers(url: str) -> None:
    """Wait until the web server is up, a while after its address is printed."""
    deadline = time.monotonic() + _PATIENCE / 1000
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{url} never answered"
            time.sleep(1)
        else:
            return


def take(page: Page, name: str, *, top: int = 0, edge: int = 0, width: int = 1024) -> None:
    """Save what the page shows below `top` and between its edges, once it is at rest."""
    page.wait_for_timeout(_REST)
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    taken = taken.crop((edge, top, taken.width - edge, taken.height))
    height = round(width * taken.height / taken.width)
    small = taken.resize((width, height), Image.Resampling.LANCZOS).quantize(_COLOURS)
    small.save(ROOT / "docs" / "images" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
