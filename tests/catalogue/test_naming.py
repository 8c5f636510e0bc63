"""What the ledger knows a catalogue by: one place, one name; two places, two; no secret in it."""

from __future__ import annotations

import pytest

from topview_pipeline.catalogue import CatalogueFile, name_of, parse_catalogue, read_catalogue
from topview_pipeline.settings import CatalogueDefaults

EXPORT = "https://docs.example/export?format=csv"
BUCKET = "https://bucket.example/c.csv"


def name(location: str) -> str:
    return name_of(CatalogueFile(location))


@pytest.mark.parametrize("location", ["/srv/c.csv", "s3://shop/c.csv", BUCKET, "/srv/c.csv?v=1#2"])
def test_a_plain_location_is_its_own_name(location: str) -> None:
    assert name(location) == location


def test_two_sheets_of_one_export_are_two_catalogues() -> None:
    names = {name(EXPORT), name(f"{EXPORT}&gid=1"), name(f"{EXPORT}&gid=2"), name(f"{EXPORT}#gid")}
    assert len(names) == 4
    assert all(one.startswith("https://docs.example/export?") for one in names)
    assert name(f"{EXPORT}&gid=1") == name(f"{EXPORT}&gid=1")


def test_no_secret_of_a_location_is_in_its_name() -> None:
    named = name("https://ann:s3cret@docs.example/c.csv?token=s3cret#s3cret")
    assert "s3cret" not in named
    assert "ann" not in named


@pytest.mark.parametrize(
    "signature",
    [
        "X-Amz-Signature={day}&X-Amz-Date={day}&X-Amz-Expires=60",
        "X-Goog-Signature={day}&X-Goog-Date={day}",
        "AWSAccessKeyId=k&Signature={day}&Expires={day}",
        "sv=2024&se={day}&sr=b&sp=r&sig={day}",
    ],
)
def test_an_address_that_is_signed_anew_each_day_is_the_same_place(signature: str) -> None:
    days = [f"{BUCKET}?{signature.format(day=day)}" for day in (1, 2)]
    assert name(days[0]) == name(days[1]) == BUCKET
    versions = {name(f"{day}&versionId={number}") for day in days for number in (1, 2)}
    assert len(versions) == 2


def test_a_name_that_was_given_is_the_name_and_its_place_is_known_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("release") / "c.csv"
    text = "product_id,image,avatar_id,script,voice_id\nmug,/mug.png,a,Hi,v\n"
    path.write_text(text)
    catalogue = read_catalogue(str(path), CatalogueDefaults(), name="spring")
    assert (catalogue.source, catalogue.location_name) == ("spring", str(path))
    plain = parse_catalogue(text.encode(), str(path), CatalogueDefaults())
    assert (plain.source, plain.location_name) == (str(path), str(path))
