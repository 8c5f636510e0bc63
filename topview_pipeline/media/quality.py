"""The checks of what Topview made, and their verdict: a cut-out is a part of its photo, a scene
shows something, a video is whole, large and long enough, heard, and moves.

Not here: whether a scene is a good picture, or shows the product. Topview lights, turns and moves
it; a person has to look. FFmpeg's detectors are in `detectors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.media.detectors import Watched, watch
from topview_pipeline.media.probe import Media, is_stand_in, opened_image
from topview_pipeline.prices import FIXED_SECONDS, LONGEST_SECONDS, too_long
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from PIL import Image

VERSION: Final = 6
"""Raised when a rule changes; results with a verdict of another version are measured again."""
MAKE_AGAIN: Final = "remake it with force; if the result is the same, report it to Topview"


class Outcome(str, Enum):
    """Only what failed is not exported; a person should look at what is doubtful."""

    PASSED = "passed"
    DOUBTFUL = "doubtful"
    FAILED = "failed"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check."""

    outcome: Outcome
    why: str  # one or more sentences: what is wrong, or what was found
    fix: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)  # by a name with its unit
    not_measured: tuple[str, ...] = ()  # what could not be measured, and why
    images: tuple[Verdict, ...] = ()  # of each image of a scene, in Topview's order

    @property
    def is_refused(self) -> bool:
        """True if the result must not be exported."""
        return self.outcome is Outcome.FAILED

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> Verdict | None:
        """The verdict that `to_json` gave; None when there is none of this version."""
        if kept is None or kept.get("version") != VERSION:
            return None
        return cls._of(kept)

    @classmethod
    def _of(cls, kept: Mapping[str, Any]) -> Verdict:
        return cls(
            Outcome(kept["outcome"]),
            kept["why"],
            kept["fix"],
            kept["numbers"],
            tuple(kept["not_measured"]),
            tuple(map(cls._of, kept["images"])),
        )


class Findings:
    """The findings of one check, which make a verdict together.

    An error must not reach customers; a warning may be intended, and a person should look.
    """

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers
        self._errors: list[tuple[str, str]] = []
        self._warnings: list[tuple[str, str]] = []
        self._not_measured: list[str] = []

    def error(self, what: str, fix: str) -> None:
        self._errors.append((what, fix))

    def warn(self, what: str, fix: str) -> None:
        self._warnings.append((what, fix))

    def not_measured(self, what: str) -> None:
        self._not_measured.append(what)

    def verdict(self, good: str) -> Verdict:
        """The verdict; `good` is its sentence when there is neither an error nor a warning."""
        found = self._errors or self._warnings
        outcome = Outcome.FAILED if self._errors else Outcome.DOUBTFUL
        return Verdict(
            outcome if found else Outcome.PASSED,
            " ".join(_sentence(what) for what, _ in found) or good,
            " ".join(dict.fromkeys(_sentence(fix) for _, fix in found)),
            {name: round(value, 4) for name, value in self.numbers.items()},
            tuple(self._not_measured),
        )


def is_refused(kept: Mapping[str, Any] | None) -> bool:
    """True if a kept verdict says that the result must not be exported.

    None, as while checks are off, refuses nothing. A verdict of another version stands until the
    result is measured again.
    """
    return kept is not None and kept.get("outcome") == Outcome.FAILED.value


def refused_images(kept: Mapping[str, Any] | None) -> frozenset[int]:
    """The numbers, from 1, of the images that a kept verdict of a scene refuses."""
    images = (kept or {}).get("images") or ()
    return frozenset(number for number, image in enumerate(images, 1) if is_refused(image))


def is_faceless(kept: Mapping[str, Any] | None) -> bool:
    """True if Topview found no face in any image of a scene, as its kept verdict says."""
    numbers = (kept or {}).get("numbers") or {}
    return bool(numbers.get("images")) and numbers.get("images_without_face") == numbers["images"]


def unmeasured(why: str) -> Verdict:
    return Verdict(Outcome.UNMEASURED, f"Could not measure: {why}.", not_measured=(why,))


STAND_IN: Final = unmeasured("the file says that it is only a stand-in, made to rehearse with")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


# Pictures

LEAST_COVERAGE: Final = 0.02
"""Of the cut-out, which is cropped to the product: even a ring or a chain covers more."""
MOST_COVERAGE: Final = 0.998
"""A box seen from the front fills its crop except for the rounding of its corners."""
FULL_PHOTO: Final = 0.98
"""A cut-out of this share of the photo's area that is opaque all over is the photo itself."""
LEAST_CUTOUT_SIDE: Final = 16  # pixels: nothing can be recognized on less
LEAST_SCENE_SIDE: Final = 240  # pixels: half the size of the smallest video that is made of it
LEAST_CONTRAST: Final = 3.0  # standard deviation of grey values (0 to 255): less is one flat colour
_LEAST_ALPHA: Final = 32  # of 255: below it a pixel belongs to the haze of a soft edge
_SMALL: Final = 96  # pixels of the longer side at which contrast is measured
_ANOTHER_PHOTO: Final = (
    "take another photo, with one product before a plain background, and materialize it again"
)
_ANOTHER_SCENE: Final = "change template, location or prompt, or remake it with force"


def check_cutout(cutout: Media, mask: Media | None) -> Verdict:
    """Check that a cut-out is neither empty nor the whole photo. Raises MediaError.

    Args:
        cutout: As Topview gave it, cropped to the product.
        mask: Has the size of the photo; without it a cut-out that is opaque all over passes.
    """
    with opened_image(cutout) as image:
        if is_stand_in(image.info):
            return STAND_IN
        found, coverage = Findings(), _coverage(image)
        width, height = image.size
    found.numbers |= {"width_pixels": width, "height_pixels": height, "coverage": coverage}
    if min(width, height) < LEAST_CUTOUT_SIDE:
        found.error(f"the cut-out is only {width} x {height} pixels", _ANOTHER_PHOTO)
    if coverage < LEAST_COVERAGE:
        found.error(f"the cut-out is empty: {coverage:.1%} of it is visible", _ANOTHER_PHOTO)
    elif coverage > MOST_COVERAGE:
        _check_opaque(found, width * height, mask)
    return found.verdict(f"The product covers {coverage:.0%} of its cut-out.")


def check_scene(images: Sequence[tuple[Media, bool | None]]) -> Verdict:
    """Check that a scene's images are large enough, and show something and a face.

    The scene fails when every image does; each image has its own verdict in `images`. Raises
    MediaError.

    Args:
        images: Each image in Topview's order, and what Topview's `faceExistence` says of it.
    """
    found = Findings(images=len(images))
    if not images:
        found.error("it has no picture", MAKE_AGAIN)
        return found.verdict("")
    stand_ins, sizes, each = 0, [], []
    for media, has_face in images:
        with opened_image(media) as image:
            stand_ins += is_stand_in(image.info)
            sizes.append(image.size)
            each.append(_check_image(image, has_face))
    faces = [has_face for _, has_face in images]
    if stand_ins == len(images):
        return replace(STAND_IN, numbers={**found.numbers, **_counted(faces)})
    flat = sum(verdict.is_refused for verdict in each)
    width, height = min(sizes, key=min)
    found.numbers |= {"width_pixels": width, "height_pixels": height, "flat_images": flat}
    if flat == len(images):
        found.error("every scene is one flat colour", _ANOTHER_SCENE)
    elif flat:
        found.warn(f"{flat} of {len(images)} scenes are one flat colour", _ANOTHER_SCENE)
    if min(width, height) < LEAST_SCENE_SIDE:
        found.warn(f"a scene is only {width} x {height} pixels", "use a larger template")
    _check_faces(found, faces)
    verdict = found.verdict(
        f"{counted(len(images), 'scene')} of at least {width} x {height} pixels."
    )
    return replace(verdict, images=tuple(each))


def _check_image(image: Image.Image, has_face: bool | None) -> Verdict:
    found, (width, height) = Findings(), image.size
    if _is_flat(image):
        found.error("it is one flat colour", _ANOTHER_SCENE)
    if min(width, height) < LEAST_SCENE_SIDE:
        found.warn(f"it is only {width} x {height} pixels", "use a larger template")
    _check_faces(found, [has_face])
    return found.verdict(f"{width} x {height} pixels.")


def _coverage(picture: Image.Image) -> float:
    if not picture.has_transparency_data:
        return 1.0
    counts = picture.convert("RGBA").getchannel("A").histogram()
    return sum(counts[_LEAST_ALPHA:]) / max(sum(counts), 1)


def _check_opaque(found: Findings, pixels: int, mask: Media | None) -> None:
    """Tell the whole photo from a rectangular product that is cropped to itself."""
    if mask is None:
        found.not_measured("whether it is the whole photo: there is no mask to compare with")
        return
    with opened_image(mask) as photo:
        share = pixels / max(photo.width * photo.height, 1)
    found.numbers["share_of_photo"] = share
    if share >= FULL_PHOTO:
        found.error("nothing was cut out: it is the whole photo", _ANOTHER_PHOTO)


def _counted(faces: Sequence[bool | None]) -> dict[str, float]:
    return {"images_with_face": faces.count(True), "images_without_face": faces.count(False)}


def _check_faces(found: Findings, faces: Sequence[bool | None]) -> None:
    found.numbers |= _counted(faces)
    if any(faces):
        return
    if None in faces:
        found.not_measured("whether there is a face: Topview does not say")
    else:
        found.warn(
            "Topview found no face in any scene",
            "only mode avatar2 animates it; choose a template with a person if one is to speak",
        )


def _is_flat(image: Image.Image) -> bool:
    from PIL import ImageStat

    small = image.convert("L").reduce(max(max(image.size) // _SMALL, 1))
    return max(ImageStat.Stat(small).stddev) < LEAST_CONTRAST


# Videos

SHORT_SIDES: Final[Mapping[str, int]] = {
    "lite": 480,
    "pro": 720,
    "avatar2": 1080,
    "avatar4": 1080,
    "avatar4Fast": 1080,
}
"""Pixels by mode (docs: pa2_image2video_submit_task)."""
SIZE_TOLERANCE: Final = 0.03  # encoders round sides to multiples of 16
LEAST_HEARD: Final = 1 / 3  # of the time of the speech: below it most of the speech is missing
DOUBTFUL_HEARD: Final = 2 / 3  # below it there are longer pauses than speech has
MOST_BLACK: Final = 0.25  # of the time
DOUBTFUL_BLACK: Final = 0.1  # fading in and out takes less
MOST_STILL: Final = 0.5  # of the time: half a video that stands still is a picture with sound
DOUBTFUL_STILL: Final = 0.2  # a closing picture may stand for so long
_LEAST_THERE: Final = 0.95
"""Of the length that the header says; the last pictures' times are often rounded."""
_LEAST_SECONDS_HEARD: Final = 0.1  # less is a click
_LOOK: Final = "check whether that is intended"


@dataclass(frozen=True)
class Speech:
    """The speech of a video: a recording, or a script, which takes as long as its reader."""

    seconds: float  # of the recording, or about how long a slow reader takes
    is_recorded: bool
    usual: float | None = None  # of a script at the usual pace


def check_video(video: Media, *, mode: str | None, speech: Speech | None) -> Verdict:
    """Check whether customers can be shown a video. Raises MediaError.

    Args:
        mode: As it was sent; None leaves the size unmeasured.
        speech: None when its length is unknown.
    """
    seen = watch(video)
    if is_stand_in(seen.texts):
        return STAND_IN
    found = Findings()
    _check_whole(found, seen)
    _check_size(found, seen, mode)
    _check_length(found, seen, mode, speech)
    _check_sound(found, seen, mode, speech)
    _check_picture(found, seen)
    return found.verdict(f"{seen.seconds:.1f} s of {seen.width} x {seen.height}, whole.")


def expected_seconds(mode: str | None, speech: Speech | None) -> tuple[float, float] | None:
    """The shortest and the longest that a video may be; None when neither argument says it.

    A script is read at up to three times the slow pace that its seconds are computed with, and may
    be slower by half, with pauses before and after.
    """
    fixed = None if mode is None else FIXED_SECONDS.get(mode)
    if fixed is not None:
        return fixed * 0.8, fixed * 1.2
    if speech is None:
        return None
    seconds = min(speech.seconds, LONGEST_SECONDS.get(mode or "", float("inf")))
    if speech.is_recorded:
        return max(seconds * 0.9 - 0.5, 0.1), seconds * 1.1 + 2.0
    return max(seconds / 3 - 0.5, 0.3), seconds * 1.5 + 3.0


def _check_whole(found: Findings, seen: Watched) -> None:
    found.numbers |= {
        "video_seconds": seen.seconds,
        "frames": seen.frames,
        "frames_decoded": seen.frames_decoded,
    }
    if not seen.frames_decoded:
        found.error("none of its frames can be decoded", MAKE_AGAIN)
    elif seen.is_cut_off or seen.seconds < seen.header_seconds * _LEAST_THERE:
        there = f"{seen.seconds:.1f} of {seen.header_seconds:.1f} s"
        found.error(f"it breaks off after {there}", MAKE_AGAIN)


def _check_size(found: Findings, seen: Watched, mode: str | None) -> None:
    found.numbers |= {"width_pixels": seen.width, "height_pixels": seen.height}
    wanted = None if mode is None else SHORT_SIDES.get(mode)
    if wanted is None:
        found.not_measured("the size: none is documented for its mode")
    elif min(seen.width, seen.height) < wanted * (1 - SIZE_TOLERANCE):
        size = f"{seen.width} x {seen.height}"
        found.error(f"it is {size}, and mode {mode} gives {wanted}p", MAKE_AGAIN)


def _check_length(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    limits = expected_seconds(mode, speech)
    if limits is None:
        found.not_measured("the length: nothing says how long the speech is")
        return
    shortest, longest = limits
    found.numbers |= {"shortest_seconds": shortest, "longest_seconds": longest}
    if not shortest <= seen.seconds <= longest:
        wanted = f"{shortest:.1f} to {longest:.1f} s"
        found.error(f"it is {seen.seconds:.1f} s long, and should be {wanted} long", MAKE_AGAIN)
    if speech is None:
        return
    usual = speech.seconds if speech.usual is None else speech.usual
    if cut := too_long(usual, mode, is_recorded=speech.is_recorded):
        (found.error if cut.is_refused else found.warn)(
            f"its speech may be cut off: {cut.what}",
            "listen to its end; shorten the speech, or use a mode of longer videos",
        )


def _check_sound(found: Findings, seen: Watched, mode: str | None, speech: Speech | None) -> None:
    if seen.sound_seconds is None:
        found.error("it has no sound", MAKE_AGAIN)
        return
    heard = seen.heard_seconds
    found.numbers |= {"sound_seconds": seen.sound_seconds, "heard_seconds": heard}
    if heard < _LEAST_SECONDS_HEARD:
        found.error("its sound is silence", MAKE_AGAIN)
        return
    seconds, is_known = _seconds_to_hear(seen.seconds, mode, speech)
    share = heard / max(seconds, 0.001)
    what = f"there is sound for {heard:.1f} of {seconds:.1f} s"
    if is_known and share < LEAST_HEARD:
        found.error(what, MAKE_AGAIN)
    elif share < (DOUBTFUL_HEARD if is_known else LEAST_HEARD):
        found.warn(what, "listen and check that all of it is said")


def _seconds_to_hear(seconds: float, mode: str | None, speech: Speech | None) -> tuple[float, bool]:
    """The least time of speech in a video of that length, and whether it is known.

    A mode of fixed length may be silent after a short speech; the others end with it.
    """
    if mode not in FIXED_SECONDS:
        return seconds, mode in SHORT_SIDES
    limits = expected_seconds(None, speech)
    return (seconds, False) if limits is None else (min(limits[0], seconds), True)


def _check_picture(found: Findings, seen: Watched) -> None:
    whole = max(seen.seconds, 0.001)
    black, still = seen.black_seconds / whole, seen.still_seconds / whole
    found.numbers |= {"black_share": black, "still_share": still}
    is_black = f"its picture is black for {seen.black_seconds:.1f} of {whole:.1f} s"
    is_still = f"its picture stands still for {seen.still_seconds:.1f} of {whole:.1f} s"
    if black > MOST_BLACK:
        found.error(is_black, MAKE_AGAIN)
    elif black > DOUBTFUL_BLACK:
        found.warn(is_black, _LOOK)
    if still > MOST_STILL:
        found.error(is_still, MAKE_AGAIN)
    elif still > DOUBTFUL_STILL:
        found.warn(is_still, _LOOK)
