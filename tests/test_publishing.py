"""Publishing a manifest: whole or not at all, nothing lost, nothing written twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.portfolios import shown
from topview_pipeline.artifacts import ArtifactStore, StoreError
from topview_pipeline.portfolio import ProductShown
from topview_pipeline.publishing import CSV, HEAD, JSONL, Published, Publisher


class Shelf:
    """A store with the files of a portfolio, all of one size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ArtifactStore(str(folder))
        self.day = 0

    def publish(self, *portfolio: ProductShown) -> Published:
        self.day += 1
        for one in portfolio:
            for stage in one.stages.values():
                for file in (stage.row.artifacts or ()) if stage.row else ():
                    path = self.folder / file["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"x" * 1000)
        publisher = Publisher(self.store, "account")
        return publisher.publish(list(portfolio), now=self.day * 86_400.0)

    @property
    def manifest(self) -> Path:
        return self.folder / "account" / "manifest"

    def products(self, name: str = JSONL) -> list[str]:
        lines = (self.manifest / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["product_id"] for line in lines]

    def head(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.manifest / HEAD).read_text(encoding="utf-8"))
        return found


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


def test_every_version_is_kept_and_the_plain_names_are_the_newest(shelf: Shelf) -> None:
    first = shelf.publish(shown("mug"), shown("shoe"))
    second = shelf.publish(shown("mug", content="new"), shown("hat"))

    assert shelf.products() == ["mug", "hat"]
    assert shelf.products(f"{first.version}/{JSONL}") == ["mug", "shoe"]
    assert shelf.products(f"{second.version}/{JSONL}") == ["mug", "hat"]
    assert second.changes.added == ("hat",)
    assert second.changes.removed == ("shoe",)
    assert list(second.changes.changed) == ["mug"]
    assert shelf.products("changes.jsonl") == ["hat", "mug", "shoe"]
    assert shelf.head()["version"] == second.version


def test_nothing_is_written_when_nothing_changed(shelf: Shelf) -> None:
    first = shelf.publish(shown("mug"))
    files = shelf.store.files("account")
    again = shelf.publish(shown("mug"))
    assert not again.changes
    assert again.version == first.version
    assert shelf.store.files("account") == files


def test_an_empty_catalogue_of_videos_is_a_manifest_too(shelf: Shelf) -> None:
    shelf.publish(shown("mug", outcomes=("done", "new", "new")))
    assert shelf.products() == []
    assert shelf.head()["left_out"] == 1


@pytest.mark.parametrize("writes", range(7))
def test_whoever_is_killed_in_between_leaves_whole_files_and_the_next_one_mends_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    shelf.publish(shown("mug"))
    publish, left = shelf.store.publish, writes

    def dying(path: str, data: bytes) -> None:
        nonlocal left
        if left == 0:
            raise StoreError("the disk is full", path, "Free space.")
        left -= 1
        publish(path, data)

    monkeypatch.setattr(shelf.store, "publish", dying)
    portfolio = [shown("mug"), shown("shoe")]
    with pytest.raises(StoreError):
        shelf.publish(*portfolio)
    assert shelf.products() in (["mug"], ["mug", "shoe"])
    monkeypatch.undo()

    shelf.publish(*portfolio)

    assert shelf.products() == ["mug", "shoe"]
    assert (shelf.manifest / CSV).read_text(encoding="utf-8").count("\n") == 3
    assert shelf.products(f"{shelf.head()['version']}/{JSONL}") == ["mug", "shoe"]


def test_a_damaged_manifest_is_written_anew(shelf: Shelf) -> None:
    shelf.publish(shown("mug"))
    (shelf.manifest / JSONL).write_text("{", encoding="utf-8")
    shelf.publish(shown("mug"))
    assert shelf.products() == ["mug"]
