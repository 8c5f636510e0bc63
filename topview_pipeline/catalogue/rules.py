"""What a row must be to become a product: the rules that keep a bad row from costing money.

Not here: the file formats (`tables`), duplicates (`read`), whether a picture is one (`inputs`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields

from topview_pipeline.catalogue.location import parse_location
from topview_pipeline.catalogue.product import Location, Product, RowProblem, excerpt
from topview_pipeline.catalogue.tables import Row
from topview_pipeline.settings import MODES, CatalogueDefaults
from topview_pipeline.sources import is_url, resolved

COLUMNS = tuple(field.name for field in fields(Product))
"""Every column that a catalogue may have; only product_id must be there."""

_LONGEST_ID = 255
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # neither UTF-8 nor a database column takes these
_NO_PARTITION_KEY = re.compile(r"\.\.\.|[\x00-\x1f\x7f]")  # Dagster's rule, and what breaks a line
_FROM_ONE = re.compile(r"0*([1-9][0-9]{0,5})(?:\.0+)?")  # spreadsheets write 1 as 1.0


def product_of(
    row: Row, beside: str | None, defaults: CatalogueDefaults
) -> Product | tuple[RowProblem, ...]:
    """The product that a row describes, or every problem it has.

    Args:
        beside: the file that relative paths are seen from; None where there is none.
    """
    rules = _Rules(row.cells, beside)
    product = rules.product(defaults)
    if product is not None and not rules.problems:
        return product
    known_id = rules.cells.get("product_id")
    return tuple(
        RowProblem(row.line, column, known_id, reason) for column, reason in rules.problems
    )


class _Rules:
    """One row under examination. `problems` collects (column, reason)."""

    def __init__(self, cells: Mapping[str, object], beside: str | None) -> None:
        self._raw = cells
        self._beside = beside
        self.problems: list[tuple[str, str]] = []
        self.cells: dict[str, str] = {}
        for column in COLUMNS:
            if column != "location" and (text := self._text(column)):
                self.cells[column] = text

    def product(self, defaults: CatalogueDefaults) -> Product | None:
        self._check_id()
        self._at_most_one("image", "product_image_file_id")
        self._require("image", "product_image_file_id")
        template = self._group(defaults, "template_image", "template_image_file_id", "avatar_id")
        self._at_most_one("template_image", "template_image_file_id")
        if not template:
            self._missing("template_image", "template_image_file_id", "avatar_id")
        face = self._group(defaults, "user_face_image", "user_face_image_file_id")
        self._at_most_one("user_face_image", "user_face_image_file_id")
        location = self._location()
        self._at_most_one("script", "audio", "audio_file_id")
        self._require("script", "audio", "audio_file_id")
        mode = self._mode(defaults)
        chosen_image = self._chosen_image()
        voice_id = self.cells.get("voice_id")
        if "script" in self.cells:
            voice_id = voice_id or defaults.voice_id
            if not voice_id:
                self._problem("voice_id", "a script needs a voice; give voice_id")
        if "product_id" not in self.cells:
            return None
        return Product(
            product_id=self.cells["product_id"],
            image=self._media("image"),
            product_image_file_id=self.cells.get("product_image_file_id"),
            template_image=self._media("template_image") or template.get("template_image"),
            template_image_file_id=template.get("template_image_file_id"),
            avatar_id=template.get("avatar_id"),
            location=location,
            image_edit_prompt=self._prompt(location, defaults),
            user_face_image=self._media("user_face_image") or face.get("user_face_image"),
            user_face_image_file_id=face.get("user_face_image_file_id"),
            script=self.cells.get("script"),
            audio=self._media("audio"),
            audio_file_id=self.cells.get("audio_file_id"),
            voice_id=voice_id,
            caption_id=self.cells.get("caption_id") or defaults.caption_id,
            mode=mode,
            chosen_image=chosen_image,
        )

    def _problem(self, column: str, reason: str) -> None:
        self.problems.append((column, reason))

    def _text(self, column: str) -> str:
        """The cell as text without the blanks around it; '' when it is empty or no text."""
        value = self._raw.get(column)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._problem(column, f"{excerpt(value)} is no text")
            return ""
        text = str(value).strip()  # an id 1234 is often a number in JSON
        if _NO_TEXT.search(text):
            self._problem(column, f"{excerpt(text)} is not UTF-8 text; save the file as UTF-8")
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

    def _given(self, *columns: str) -> list[str]:
        return [column for column in columns if column in self.cells]

    def _at_most_one(self, *columns: str) -> None:
        given = self._given(*columns)
        if len(given) > 1:
            self._problem(given[1], f"{' and '.join(given)} are both given; use one")

    def _require(self, *columns: str) -> None:
        if not self._given(*columns):
            self._missing(*columns)

    def _missing(self, *columns: str) -> None:
        if not any(column in columns for column, _ in self.problems):
            self._problem(columns[0], f"missing; give {' or '.join(columns)}")

    def _group(self, defaults: CatalogueDefaults, *columns: str) -> dict[str, str]:
        """The row's own values of the group, else the defaults': a row never gets half of each."""
        own = {column: self.cells[column] for column in self._given(*columns)}
        given = ((column, getattr(defaults, column, None)) for column in columns)
        return own or {column: value for column, value in given if value}

    def _media(self, column: str) -> str | None:
        ref = self.cells.get(column)
        if ref is None:
            return None
        if self._beside is None and not is_url(ref) and not os.path.isabs(ref):
            self._problem(column, f"{excerpt(ref)} is relative; write all of the path, or a URL")
            return None
        try:
            return resolved(ref, self._beside or "")
        except ValueError as error:
            self._problem(column, f"{excerpt(ref)} is no path or URL ({error})")
            return None

    def _location(self) -> Location | None:
        value = self._raw.get("location")
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if "image_edit_prompt" in self.cells:
            reason = "location places by hand, image_edit_prompt automatically; use one"
            self._problem("location", reason)
        try:
            return parse_location(value)
        except ValueError as error:
            self._problem("location", str(error))
            return None

    def _prompt(self, location: Location | None, defaults: CatalogueDefaults) -> str | None:
        if location is not None:
            return None
        return self.cells.get("image_edit_prompt") or defaults.image_edit_prompt

    def _mode(self, defaults: CatalogueDefaults) -> str:
        mode = self.cells.get("mode") or defaults.mode
        if mode not in MODES:
            self._problem("mode", f"{excerpt(mode)} is none of {', '.join(MODES)}")
        return mode

    def _chosen_image(self) -> int | None:
        text = self.cells.get("chosen_image")
        if text is None:
            return None
        number = _FROM_ONE.fullmatch(text)
        if number is None:
            self._problem("chosen_image", f"{excerpt(text)} is no whole number from 1")
            return None
        return int(number.group(1))
