"""Sources of one's own: the example of the documentation, and sources that misbehave."""

from __future__ import annotations

import os
import re
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from topview_pipeline.catalogue import (
    CatalogueError,
    CatalogueFile,
    CatalogueSource,
    open_source,
    read_catalogue,
)
from topview_pipeline.settings import CatalogueDefaults, Settings

NO_DEFAULTS = CatalogueDefaults()
GUIDE = Path(__file__).parents[2] / "docs" / "catalogue_sources.md"
GOOD = {
    "product_id": "mug",
    "image": "https://shop/mug.png",
    "avatar_id": "a1",
    "script": "Hi",
    "voice_id": "v1",
}


class Rows:
    """A source over a list, whose version may change between two looks."""

    where = "shop list"

    def __init__(self, *rows: object, versions: tuple[str | None, ...] = ("1",)) -> None:
        self._rows = rows
        self._versions = list(versions)
        self.read = 0

    def version(self) -> str | None:
        return self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]

    def rows(self) -> Iterator[Mapping[str, object]]:
        self.read += 1
        for row in self._rows:
            if isinstance(row, Exception):
                raise row
            yield row  # type: ignore[misc]  # what a user's source gives is not checked


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The shop's database, and the guide's module to read it."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    monkeypatch.setenv("SHOP_DATABASE_URL", url)
    monkeypatch.syspath_prepend(str(tmp_path))
    example = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "shop_catalogue.py").write_text(example)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, sku, photo_url, template_url, pitch,"
            " voice, for_sale, updated_at)"
        )
    yield engine
    engine.dispose()
    sys.modules.pop("shop_catalogue", None)


def sell(engine: sa.Engine, sku: str, *, at: int, pitch: str = "Hi") -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO products VALUES (NULL, ?, ?, 'https://shop/t.png', ?, 'v1', 1, ?)",
            (sku, f"https://shop/{sku}.png", pitch, at),
        )


def test_the_guides_database_is_a_catalogue(database: sa.Engine) -> None:
    settings = Settings.from_environment(
        {"TOPVIEW_CATALOGUE": "python:shop_catalogue:ShopDatabase"}
    )
    assert settings.catalogue == "python:shop_catalogue:ShopDatabase", "no path is made of it"
    source = open_source(settings.catalogue)
    assert isinstance(source, CatalogueSource)
    sell(database, "mug", at=1)
    sell(database, "shoe", at=2, pitch="")

    catalogue = read_catalogue(source, NO_DEFAULTS)
    before = source.version()
    sell(database, "bag", at=3)

    assert list(catalogue.products) == ["mug"]
    assert catalogue.products["mug"].image == "https://shop/mug.png"
    assert [str(problem) for problem in catalogue.problems] == [
        "row 2, column script (product 'shoe'): missing; give script or audio or audio_file_id"
    ]
    assert catalogue.source == "shop database"
    assert catalogue.version == before != source.version()
    assert list(read_catalogue(source, NO_DEFAULTS).products) == ["mug", "bag"]


def test_a_database_that_is_down_is_one_sentence(database: sa.Engine) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE products")
    with pytest.raises(CatalogueError, match="OperationalError") as caught:
        read_catalogue(open_source("python:shop_catalogue:ShopDatabase"), NO_DEFAULTS)
    assert caught.value.where == "shop database"
    assert "\n" not in str(caught.value)


def test_a_source_that_breaks_off_in_the_middle_is_no_catalogue() -> None:
    with pytest.raises(CatalogueError, match="connection lost"):
        read_catalogue(Rows(GOOD, OSError("connection lost")), NO_DEFAULTS)


def test_what_changes_while_it_is_read_is_read_again_and_then_refused() -> None:
    once = Rows(GOOD, versions=("1", "2", "2"))
    assert read_catalogue(once, NO_DEFAULTS).version == "2"
    assert once.read == 2

    always = Rows(GOOD, versions=("1", "2", "3", "4"))
    with pytest.raises(CatalogueError, match="changes while it is read"):
        read_catalogue(always, NO_DEFAULTS)


def test_a_source_without_versions_is_read_once() -> None:
    source = Rows(GOOD, versions=(None,))
    assert read_catalogue(source, NO_DEFAULTS).version is None
    assert source.read == 1


def test_a_file_that_grows_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.csv"
    path.write_text("product_id,image,avatar_id,script,voice_id\nmug,/m.png,a1,Hi,v1\n")
    first = CatalogueFile.placed_rows
    grown: list[bool] = []

    def growing(self: CatalogueFile) -> Iterator[object]:
        yield from first(self)
        if not grown:
            grown.append(True)
            with path.open("a") as file:
                file.write("shoe,/s.png,a1,Hi,v1\n")

    monkeypatch.setattr(CatalogueFile, "placed_rows", growing)
    assert list(read_catalogue(str(path), NO_DEFAULTS).products) == ["mug", "shoe"]


@pytest.mark.parametrize("row", [None, 7, "mug", [("product_id", "mug")]])
def test_a_row_that_is_no_mapping_is_named_and_the_others_go_on(row: object) -> None:
    catalogue = read_catalogue(Rows(row, GOOD), NO_DEFAULTS)
    assert list(catalogue.products) == ["mug"]
    assert str(catalogue.problems[0]).startswith("row 1: ")


def test_a_relative_path_has_no_folder_to_be_seen_from() -> None:
    catalogue = read_catalogue(Rows({**GOOD, "image": "mug.png"}), NO_DEFAULTS)
    (problem,) = catalogue.problems
    assert str(problem).startswith("row 1, column image (product 'mug'): 'mug.png' is relative")


def test_columns_are_columns_in_any_case() -> None:
    catalogue = read_catalogue(
        Rows({key.upper(): value for key, value in GOOD.items()}), NO_DEFAULTS
    )
    assert list(catalogue.products) == ["mug"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("python:", "no import path"),
        ("python:shop", "no import path"),
        ("python:no_such_module:x", "ModuleNotFoundError"),
        ("python:own_sources:missing", "AttributeError"),
        ("python:own_sources:broken", "KeyError"),
        ("python:own_sources:number", "TypeError"),
        ("python:own_sources:nothing", "NoneType is no catalogue source"),
    ],
)
def test_an_import_path_that_leads_to_no_source_is_named(
    monkeypatch: pytest.MonkeyPatch, setting: str, words: str
) -> None:
    module = types.ModuleType("own_sources")
    module.__dict__.update(broken=lambda: os.environ["NO_SUCH_URL"], number=7, nothing=lambda: None)
    monkeypatch.setitem(sys.modules, "own_sources", module)
    with pytest.raises(CatalogueError, match=words) as caught:
        open_source(setting)
    assert caught.value.where == setting


def test_a_source_a_class_and_a_function_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("own_sources")
    module.__dict__.update(made=Rows(GOOD), Class=Rows, function=lambda: Rows(GOOD))
    monkeypatch.setitem(sys.modules, "own_sources", module)
    for name in ("made", "Class", "function"):
        assert isinstance(open_source(f"python:own_sources:{name}"), Rows)
