"""A catalogue read whole: contradictions, sources of one's own, changes that were not meant."""

import os
import re
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue.samples import GOOD, HEADER, NO_DEFAULTS, jsonl, only, row
from topview_pipeline.catalogue import (
    CatalogueError,
    CatalogueSource,
    ChangeNotAccepted,
    check_gone,
    check_made_again,
    open_source,
    parse_catalogue,
    read_catalogue,
    version_of,
    within,
)
from topview_pipeline.catalogue.catalogue import CatalogueFile

GUIDE = Path(__file__).parents[2] / "docs" / "catalogue.md"


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
        for cells in self._rows:
            if isinstance(cells, Exception):
                raise cells
            yield cells  # type: ignore[misc]  # what a user's source gives is not checked


def test_a_file_is_read_with_its_version(tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text(f"{HEADER}mug,img/mug.png,a1,Hi,v1\n")
    catalogue = read_catalogue(str(file), NO_DEFAULTS)
    assert only(catalogue).image == str(tmp_path / "img" / "mug.png")
    assert (catalogue.source, catalogue.warnings) == (str(file), ())
    assert catalogue.version == version_of(CatalogueFile(str(file)))


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no such file") as caught:
        read_catalogue(str(tmp_path / "products.csv"), NO_DEFAULTS)
    assert caught.value.where == str(tmp_path / "products.csv")
    with pytest.raises(CatalogueError, match="folder"):
        read_catalogue(str(tmp_path), NO_DEFAULTS)


def test_no_secret_of_an_address_is_in_what_is_said_of_it() -> None:
    address = "https://ann:s3cret@docs.example/c.csv?token=s3cret#s3cret"
    catalogue = parse_catalogue(f"{HEADER}mug,,a1,Hi,v1\n".encode(), address, NO_DEFAULTS)
    assert catalogue.source == "https://docs.example/c.csv"
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(b"", address, NO_DEFAULTS)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(CatalogueError, match="did not answer") as caught:
        within(0.01, address, lambda: threading.Event().wait(0.2))
    assert "s3cret" not in str(caught.value)


def test_an_id_given_twice_alike_is_one_product_and_a_note() -> None:
    catalogue = jsonl(GOOD, GOOD)
    assert only(catalogue).product_id == "mug"
    assert catalogue.warnings == ("line 2 repeats line 1 and is ignored",)


@pytest.mark.parametrize("other", [{"script": "Another."}, {"image": ""}])
def test_of_rows_that_contradict_each_other_none_is_paid(other: dict[str, object]) -> None:
    catalogue = jsonl(GOOD, row(**other), row(product_id="box"))
    assert list(catalogue.products) == ["box"]
    refused = [problem for problem in catalogue.problems if problem.column == "product_id"]
    assert [problem.line for problem in refused] == [1, 2]
    assert refused[0].reason.startswith("line 2 has the same id")
    assert refused[1].reason.startswith("line 1 has the same id")


def test_a_product_whose_row_went_bad_is_not_gone() -> None:
    catalogue = jsonl(GOOD, row(product_id="box", image=""))
    assert catalogue.product_ids == {"mug", "box"}
    assert catalogue.names_all_products
    assert not jsonl(GOOD, [1]).names_all_products, "line 2 may be the row of any product"


def test_a_misspelt_column_is_noted() -> None:
    catalogue = jsonl(row(scirpt="Hi", colour_of_the_lid="red"))
    assert len(catalogue.products) == 1
    assert catalogue.warnings == (
        "column 'scirpt' is unknown and ignored; is script meant?",
        "column 'colour_of_the_lid' is unknown and ignored",
    )

    many = jsonl(row(**{f"column {n}": 1 for n in range(1000)})).warnings
    assert (len(many), many[-1][:8]) == (21, "980 more")


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
    source = open_source("python:shop_catalogue:ShopDatabase")
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
    lost = OSError("connection lost: sql://u:s3cret@db/a?key=s3cret\nSELECT 1")
    with pytest.raises(CatalogueError, match=r"connection lost: sql://db/a\?…\)") as caught:
        read_catalogue(Rows(GOOD, lost), NO_DEFAULTS)
    assert "s3cret" not in str(caught.value)


def test_a_source_without_rows_is_no_catalogue() -> None:
    """A database that is being loaded, or the wrong one: nobody has left the shop."""
    with pytest.raises(CatalogueError, match="it has no products"):
        read_catalogue(Rows(), NO_DEFAULTS)


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


@pytest.mark.parametrize("cells", [None, 7, "mug", [("product_id", "mug")]])
def test_a_row_that_is_no_mapping_is_named_and_the_others_go_on(cells: object) -> None:
    catalogue = read_catalogue(Rows(cells, GOOD), NO_DEFAULTS)
    assert list(catalogue.products) == ["mug"]
    assert str(catalogue.problems[0]).startswith("row 1: ")


def test_without_a_file_a_relative_path_has_no_folder_to_be_seen_from() -> None:
    (problem,) = read_catalogue(Rows({**GOOD, "image": "mug.png"}), NO_DEFAULTS).problems
    assert str(problem).startswith("row 1, column image (product 'mug'): 'mug.png' is relative")


@pytest.fixture
def own_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """An importable module of the user's own."""
    module = types.ModuleType("own_sources")
    module.__dict__.update(made=Rows(GOOD), Class=Rows, function=lambda: Rows(GOOD))
    module.__dict__.update(broken=lambda: os.environ["NO_SUCH_URL"], number=7, nothing=lambda: None)
    module.__dict__.update(leaky=lambda: int("sql://u:s3cret@db/a"))
    monkeypatch.setitem(sys.modules, "own_sources", module)


@pytest.mark.parametrize("name", ["made", "Class", "function"])
@pytest.mark.usefixtures("own_sources")
def test_a_source_a_class_and_a_function_are_all_taken(name: str) -> None:
    assert isinstance(open_source(f"python:own_sources:{name}"), Rows)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("python:", "ValueError"),
        ("python:no_such_module:x", "ModuleNotFoundError"),
        ("python:own_sources:missing", "AttributeError"),
        ("python:own_sources:broken", "KeyError"),
        ("python:own_sources:number", "TypeError"),
        ("python:own_sources:leaky", "10: 'sql://db/a'"),
        ("python:own_sources:nothing", "NoneType is not a catalogue source"),
    ],
)
@pytest.mark.usefixtures("own_sources")
def test_an_import_path_that_leads_to_no_source_is_named(setting: str, words: str) -> None:
    with pytest.raises(CatalogueError, match=words) as caught:
        open_source(setting)
    assert caught.value.where == setting


def test_what_answers_in_time_is_handed_on() -> None:
    assert within(30.0, "quick", lambda: 7) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        within(30.0, "quick", lambda: int("x"))


def test_a_source_that_hangs_is_left_and_not_asked_again_until_it_ended() -> None:
    asked: list[str] = []
    released = threading.Event()

    def hang() -> None:
        asked.append("hang")
        released.wait(60)

    with pytest.raises(CatalogueError, match=r"did not answer within 0\.01 s"):
        within(0.01, "slow", hang)
    with pytest.raises(CatalogueError, match="earlier attempt to read it still hangs"):
        within(30.0, "slow", hang)
    assert within(30.0, "another", lambda: 7) == 7
    assert asked == ["hang"]

    released.set()
    for thread in threading.enumerate():
        if thread.name == "topview-catalogue":
            thread.join(30)
    assert within(30.0, "slow", lambda: 7) == 7


# Guards: half a file, and a slip in the settings that would make everything again.

IDS = [f"p{number:02}" for number in range(40)]


@given(known=st.integers(0, 40), changed=st.integers(0, 40))
def test_a_change_of_five_or_more_products_and_over_a_fifth_needs_a_person(
    known: int, changed: int
) -> None:
    changed = min(changed, known)
    now, is_large = [*IDS[changed:known], "new"], changed >= 5 and changed * 5 > known
    check_gone(IDS[:known], now, accept_change=True, where="/c.csv")
    with pytest.raises(ChangeNotAccepted) if is_large else nullcontext():
        check_gone(IDS[:known], now, accept_change=False, where="/c.csv")
    with pytest.raises(ChangeNotAccepted) if is_large else nullcontext():
        check_made_again(known, IDS[:changed], where="/c.csv")


def test_the_refusal_says_how_many_which_and_how_to_go_on() -> None:
    with pytest.raises(CatalogueError) as caught:
        check_gone(IDS, IDS[10:], accept_change=False, where="/c.csv")
    assert str(caught.value) == (
        "catalogue /c.csv: 10 of its 40 products are gone, such as p00, p01, p02. Restore them, or "
        "if the change is intended, run once with accept_change "
        "(`topview-pipeline run --accept-change`)."
    )
    with pytest.raises(CatalogueError) as caught:
        check_made_again(20, IDS[:10], where="/c.csv")
    assert str(caught.value).startswith(
        "catalogue /c.csv: 10 of its 20 products with results would be remade, such as p00, "
        "p01, p02. Undo the change"
    )
    assert caught.value.fix.endswith("(`topview-pipeline run --accept-change`).")
