"""Renders the drawings of the sample catalogue to the JPEGs that the package ships.

Here: the SVG files beside this script -> ``topview_pipeline/sample``, by headless Chromium and
Pillow. Not here: the catalogue and the product places on the templates; both are edited by hand.

    python docs/sample_art/render.py [NAME ...]      # e.g. aqua-bottle kitchen; no name: all
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

ART = Path(__file__).resolve().parent
SAMPLE = ART.parents[1] / "topview_pipeline" / "sample"
FOLDERS = {"products": SAMPLE / "images", "templates": SAMPLE / "templates"}
JPEG_QUALITY = 88
SPARE_HEIGHT = 200  # Headless Chromium's viewport is lower than its window; the rest is cropped.


def drawn_size(svg: Path) -> tuple[int, int]:
    """Width and height in pixels, from the root element."""
    # The drawings are our own files, so the parser needs no hardening.
    root = ElementTree.parse(svg).getroot()  # noqa: S314
    return int(root.attrib["width"]), int(root.attrib["height"])


def render(chromium: str, svg: Path, jpeg: Path) -> int:
    """Write ``svg`` as ``jpeg`` and return its size in bytes."""
    width, height = drawn_size(svg)
    with tempfile.TemporaryDirectory(prefix="sample-art-") as scratch:
        shot = Path(scratch) / "shot.png"
        subprocess.run(  # noqa: S603
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--force-device-scale-factor=1",
                f"--user-data-dir={scratch}/profile",
                f"--window-size={width},{height + SPARE_HEIGHT}",
                f"--screenshot={shot}",
                svg.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(shot) as screen:
            picture = screen.convert("RGB").crop((0, 0, width, height))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    jpeg.parent.mkdir(parents=True, exist_ok=True)
    return jpeg.write_bytes(encoded.getvalue())


def main() -> int:
    """Render the named drawings, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="drawings without .svg; default: all")
    names = set(parser.parse_args().names)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.stderr.write("No chromium on PATH. Install it (Debian: apt-get install chromium).\n")
        return 2
    drawings = sorted(svg for folder in FOLDERS for svg in (ART / folder).glob("*.svg"))
    unknown = names - {svg.stem for svg in drawings}
    if unknown:
        sys.stderr.write(f"No drawing named {', '.join(sorted(unknown))} under {ART}.\n")
        return 2
    for svg in drawings:
        if not names or svg.stem in names:
            jpeg = FOLDERS[svg.parent.name] / f"{svg.stem}.jpg"
            size = render(chromium, svg, jpeg)
            sys.stdout.write(f"{jpeg.relative_to(SAMPLE)}  {size / 1000:.0f} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
