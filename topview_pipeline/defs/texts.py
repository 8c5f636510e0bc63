"""What the assets say of themselves in the Dagster UI."""

from collections.abc import Mapping
from typing import Final

_HISTORY: Final = (
    "\n\n*Its history*: an observation `held` or `parked` says why a run stopped before it and "
    "what to do, `adopted` that another run had submitted it. What exists is told again free."
)

DESCRIPTIONS: Final[Mapping[str, str]] = {
    "productImage": (
        "The product's photo in the catalogue (`image` or `product_image_file_id`). Its data "
        "version is the sha256 of the photo: a renamed file changes nothing. Observing spends "
        "nothing."
    ),
    "productScene": (
        "Where the product is put: template or avatar, face, and `location` (manual) or "
        "`image_edit_prompt` (auto). Changing it makes the scene, and then the video, stale."
    ),
    "productScript": (
        "What is said and how: script or audio, voice, caption, mode, and the chosen image. "
        "Changing it makes only the video stale."
    ),
    "bgRemovedImage": (
        "**The product without its background**: a cut-out (RGBA, cropped to the product) and a "
        "mask of the photo's size.\n\n"
        "Made by Topview's `remove_background`; seconds, free.\n\n"
        "*If it fails*, or its check does: look at the photo. A plain background and one clear "
        "product work best." + _HISTORY
    ),
    "replacedImages": (
        "**The product in a scene with a person**: one or more images; `faceExistence` says "
        "whether Topview found a face.\n\n"
        "Made by Topview's `image_replace` (v2) from the cut-out; one to two minutes, about one "
        "credit for each image.\n\n"
        "*If it fails*: `4004` means that an id in the row is unknown; `6001` that Topview's "
        "content policy refuses the template or prompt. *If its check fails*: the product is not "
        "where `location` says; compare that with the template." + _HISTORY
    ),
    "finishedVideo": (
        "**The finished video**: the person in the scene speaks the script; H.264 with sound.\n\n"
        "Made by Topview's `image2Video` (v2) from the chosen image, else the first with a face; "
        "some minutes, priced by mode and length (`TOPVIEW_PRICES`, until one was paid).\n\n"
        "*If it fails*: without a face only mode `avatar2` works; text needs `script` and "
        "`voice_id`. What was submitted and not yet seen finished is never sent again: the "
        "`pending_task_sensor` brings it home. *If its check fails*: look at it, then have it made "
        "(and paid) anew with `force`; until then it is in no manifest." + _HISTORY
    ),
}
