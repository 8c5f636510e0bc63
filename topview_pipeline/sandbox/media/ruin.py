"""Pictures as a model gives them on a bad day: what a client has to notice before it pays more."""

import io

from PIL import Image, PngImagePlugin


def emptied(cutout: bytes, mark: str) -> bytes:
    """A cut-out of the same size in which nothing was found.

    `mark` goes into the file, so that every task has its own bytes.
    """
    with Image.open(io.BytesIO(cutout)) as image:
        return _png(Image.new("RGBA", image.size), mark)


def without_product(scene: bytes, template: bytes, mark: str) -> bytes:
    """The template alone, in the scene's size."""
    with Image.open(io.BytesIO(scene)) as image, Image.open(io.BytesIO(template)) as empty:
        return _png(empty.convert("RGB").resize(image.size), mark)


def _png(image: Image.Image, mark: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Mark", mark)
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()
