"""A product, and the rules by which a row becomes one: they keep a bad row from costing money.

Not here: file formats (`rows`), rows that contradict each other (`catalogue`), the files that a
product names (`files`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import Field, TypeAdapter, ValidationError

from topview_pipeline.catalogue.references import VERSION, is_http, is_local, resolved, shown
from topview_pipeline.catalogue.rows import Row, RowProblem, excerpt
from topview_pipeline.prices import spoken_seconds, too_long
from topview_pipeline.settings import GATES, MODES, CatalogueDefaults, Gate
from topview_pipeline.text import is_url

_Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
_Point = tuple[_Fraction, _Fraction]
Location = tuple[_Point, _Point, _Point, _Point]
"""Four points (x, y), fractions of the template from its top left, in the order top left, top
right, bottom right, bottom left. The quad may be rotated."""
_LOCATION: Final[TypeAdapter[Location]] = TypeAdapter(Location)

_LONGEST_ID: Final = 255
_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")  # neither UTF-8 nor a database takes these
_NO_PARTITION_KEY: Final = re.compile(r"\.\.\.|[\x00-\x1f\x7f]")  # Dagster's rule; line breaks
_SCENES_OF_A_LOCATION: Final = 2  # a prompt makes one (docs: getting started with product avatar)
_FROM_ONE: Final = re.compile(r"0*([1-9][0-9]{0,5})(?:\.0+)?")  # spreadsheets write 1 as 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product, with the settings' defaults applied. None means: not given.

    Files are absolute paths or URLs; fields that end in `_id` hold ids of Topview's. Exactly one is
    given of `image` and `product_image_file_id`, and of `script` (with its `voice_id`), `audio` and
    `audio_file_id`. A template or an avatar is always given. With a `location` it is placed by
    hand, with a prompt as well if the row has one of its own; else by `image_edit_prompt` alone.
    """

    product_id: str
    image: str | None
    product_image_file_id: str | None
    product_image_mask_file_id: str | None = None  # corrects a bad cut-out
    template_image: str | None
    template_image_file_id: str | None
    avatar_id: str | None
    location: Location | None
    image_edit_prompt: str | None
    user_face_image: str | None
    user_face_image_file_id: str | None
    script: str | None
    audio: str | None
    audio_file_id: str | None
    voice_id: str | None
    caption_id: str | None
    mode: str
    chosen_image: int | None  # the replaced image that becomes the video, counted from 1
    gate: Gate | None  # overrides the pipeline's
    image_version: str | None = None  # of the bytes behind the image's URL: it is not asked

    @property
    def files(self) -> tuple[str, ...]:
        """Every path and URL that it is made from."""
        named = (getattr(self, column) for column in _FILES)
        return tuple(ref for ref in named if ref is not None)


_FILES: Final = ("image", "template_image", "user_face_image", "audio")
COLUMNS: Final = tuple(field.name for field in fields(Product))
"""Every column that a catalogue may have; only product_id must be there."""
_TEXTS: Final = tuple(column for column in COLUMNS if column != "location")
_ONE_TEXT: Final = (str, int, float)


def product_of(
    row: Row, beside: str | None, defaults: CatalogueDefaults
) -> tuple[Product | None, tuple[RowProblem, ...]]:
    """The product that a row describes, and what is doubtful in it; or None, and all that is wrong.

    Args:
        beside: The file that relative paths are seen from; None where there is none.
    """
    rules = _Rules(row.cells, beside)
    values = rules.values(defaults)
    found = tuple(
        RowProblem(row.line, column, rules.cells.get("product_id"), reason)
        for column, reason in rules.problems or rules.doubts
    )
    return None if rules.problems else Product(**values), found


class _Rules:
    """One row under examination. `problems` and `doubts` collect (column, reason)."""

    def __init__(self, cells: Mapping[str, object], beside: str | None) -> None:
        self._raw = cells
        self._beside = beside
        self.problems: list[tuple[str, str]] = []
        self.doubts: list[tuple[str, str]] = []
        self.cells: dict[str, str] = {}
        for column in _TEXTS:
            value = cells.get(column)
            if value is not None and (text := self._text(column, value)):
                self.cells[column] = self._file(column, text) if column in _FILES else text

    def values(self, defaults: CatalogueDefaults) -> dict[str, Any]:
        """The fields of the product, which are good as long as there is no problem."""
        self._check_id()
        self._check_one_of("image", "product_image_file_id")
        template = self._group(defaults, "template_image", "template_image_file_id", "avatar_id")
        self._check_one_of(
            "template_image", "template_image_file_id", "avatar_id", required=not template
        )
        face = self._group(defaults, "user_face_image", "user_face_image_file_id")
        self._check_one_of("user_face_image", "user_face_image_file_id", required=False)
        location = self._location()
        self._check_one_of("script", "audio", "audio_file_id")
        mode = self.cells.get("mode", defaults.mode)
        self._check_mode(mode)
        self._check_script(mode)
        chosen_image = self._chosen_image()
        gate = self.cells.get("gate")
        if gate is not None and gate not in GATES:
            reason = f"there is no gate {excerpt(gate)}; write {', '.join(GATES)}"
            self._problem("gate", reason)
        voice_id = self.cells.get("voice_id")
        if "script" in self.cells:
            voice_id = voice_id or defaults.voice_id
            if not voice_id:
                self._problem("voice_id", "a script needs a voice; give voice_id")
        image, version = self.cells.get("image"), self.cells.get("image_version")
        if image is not None and version is not None and not is_local(image):
            plain = image.partition("#")[0] if is_http(image) else image  # else part of a key
            self.cells["image"] = f"{plain}{VERSION}{quote(version, safe='')}"
        return {
            **dict.fromkeys(COLUMNS),
            **self.cells,
            **template,
            **face,
            "location": location,
            "image_edit_prompt": self.cells.get(
                "image_edit_prompt", None if self._is_placed else defaults.image_edit_prompt
            ),
            "voice_id": voice_id,
            "caption_id": self.cells.get("caption_id", defaults.caption_id),
            "mode": mode,
            "chosen_image": chosen_image,
        }

    def _problem(self, column: str, reason: str) -> None:
        self.problems.append((column, reason))

    def _text(self, column: str, value: object) -> str:
        """The cell as text without the blanks around it; empty when it is empty or no text."""
        if isinstance(value, bool) or not isinstance(value, _ONE_TEXT):
            self._problem(column, f"{excerpt(value)} is not text; give one text")
            return ""
        text = str(value).strip()  # an id 1234 is often a number in JSON
        if _NO_TEXT.search(text):
            self._problem(
                column, f"{excerpt(shown(text))} is not UTF-8 text; save the file as UTF-8"
            )
            return ""
        return text

    def _check_id(self) -> None:
        text = self.cells.get("product_id")
        if text is None:
            if not any(column == "product_id" for column, _ in self.problems):
                self._problem("product_id", "empty; every product needs an id of its own")
        elif len(text) > _LONGEST_ID:
            self._problem("product_id", f"{len(text)} characters; at most {_LONGEST_ID}")
        elif found := _NO_PARTITION_KEY.search(text):
            reason = f"holds {found.group()!r}, which Dagster allows in no partition key"
            self._problem("product_id", reason)

    def _check_one_of(self, *columns: str, required: bool = True) -> None:
        given = [column for column in columns if column in self.cells]
        if len(given) > 1:
            both = "both " if len(given) == 2 else ""
            self._problem(given[1], f"{' and '.join(given)} are {both}given; use one")
        elif required and not given and not any(column in columns for column, _ in self.problems):
            self._problem(columns[0], f"missing; give {' or '.join(columns)}")

    def _group(self, defaults: CatalogueDefaults, *columns: str) -> dict[str, str]:
        """The row's own values of the group, else the defaults': never some of each."""
        own = {column: self.cells[column] for column in columns if column in self.cells}
        if own:
            return own
        given = vars(defaults)
        return {column: given[column] for column in columns if given.get(column)}

    def _file(self, column: str, ref: str) -> str:
        if self._beside is None and not is_url(ref) and not os.path.isabs(ref):
            self._problem(column, f"{excerpt(ref)} is relative; write all of the path, or a URL")
            return ref
        try:
            return resolved(ref, self._beside or "")
        except ValueError:  # its words may hold a password
            self._problem(column, f"{excerpt(shown(ref))} is not a path or URL")
            return ref

    def _location(self) -> Location | None:
        value = self._raw.get("location")
        if not self._is_placed:
            return None
        try:
            return _parsed_location(value)
        except ValueError as error:
            self._problem("location", str(error))
            return None

    def _chosen_image(self) -> int | None:
        text = self.cells.get("chosen_image")
        if text is None:
            return None
        found = _FROM_ONE.fullmatch(text)
        if found is None:
            self._problem("chosen_image", f"{excerpt(text)} is not a whole number from 1")
            return None
        number = int(found.group(1))
        if number > 1 and not self._is_placed:
            reason = f"{number}, and a prompt makes one scene; leave it empty, or give a location"
            self._problem("chosen_image", reason)
        elif number > _SCENES_OF_A_LOCATION:
            self._problem("chosen_image", f"{number}, and a location makes two scenes; use 1 or 2")
        return number

    def _check_mode(self, mode: str) -> None:
        if mode in MODES:
            return
        plain = re.sub(r"[\W_]", "", mode).lower()
        meant = next((f"; is {one} meant?" for one in MODES if one.lower() == plain), "")
        known = f" The modes are {', '.join(MODES)}" if meant else f"; write {', '.join(MODES)}"
        self._problem("mode", f"there is no mode {excerpt(mode)}{meant}{known}")

    def _check_script(self, mode: str) -> None:
        """A script that is longer than the mode's video would be paid and refused, or cut off."""
        script = self.cells.get("script")
        if script is None:
            return
        found = too_long(spoken_seconds(script, slowly=False), mode, is_recorded=False)
        if found is not None:
            reason = f"{found.what}; {found.fix[0].lower()}{found.fix[1:].rstrip('.')}"
            (self.problems if found.is_refused else self.doubts).append(("script", reason))

    @property
    def _is_placed(self) -> bool:
        value = self._raw.get("location")
        return value is not None and not (isinstance(value, str) and not value.strip())


def _parsed_location(value: object) -> Location:
    """Four points from JSON text or a JSON value. Raises ValueError with the reason."""
    try:
        points = (
            _LOCATION.validate_json(value)
            if isinstance(value, str)
            else _LOCATION.validate_python(value)
        )
    except ValidationError as error:
        raise ValueError(
            f"{excerpt(value)} is not four points, each a fraction of the template from 0 to 1; "
            "write [[x,y],[x,y],[x,y],[x,y]]"
        ) from error
    # The corners of a convex shape, clockwise on the screen: other orders mirror the product.
    if min(_turn(points[i - 2], points[i - 1], points[i]) for i in range(4)) <= 0:
        raise ValueError(
            "the points are not the corners of a quad in the order top left, top right, "
            "bottom right, bottom left"
        )
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
    if bx - ax + cx - dx <= 0 or dy - ay + cy - by <= 0:
        raise ValueError(
            "the product would lie on its side or stand on its head: begin with the point at its "
            "top left, then top right, bottom right, bottom left"
        )
    return points


def _turn(a: _Point, b: _Point, c: _Point) -> float:
    """Positive when a, b, c turn clockwise on the screen, where y grows downwards."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
