"""Makes the pictures of the gallery in `docs/images` from the demo: `make pictures`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import chromium

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = {"gallery": "", "review": "#product=aqua-bottle"}
_COLOURS: Final = 256  # a documentation's picture is under 200 KB


def main() -> None:
    """Take each picture of the gallery that `make demo` wrote."""
    page_file = ROOT / ".demo" / "topview" / "gallery" / "index.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for name, address in PICTURES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 760})
            page.goto(page_file.as_uri() + address)
            page.wait_for_timeout(3000)
            taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            small = taken.resize((1024, 608), Image.Resampling.LANCZOS).quantize(_COLOURS)
            small.save(ROOT / "docs" / "images" / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
