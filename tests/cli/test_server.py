"""The server of a store's files: they play and seek, and nothing else can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.server import GalleryFolder, serving
from topview_pipeline.export import SERVED_FILE, THUMBS

NO_MEDIA = [".env", ".topview-store.json", ".incoming/1.png", "index/mug.json", "ledger.db", "png"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[httpx.Client]:
    store = tmp_path / "store"
    store.mkdir()
    (store / "video.mp4").write_bytes(bytes(range(256)))
    (tmp_path / "secret").write_text("not in the store", encoding="utf-8")
    for name in NO_MEDIA:
        path = store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no media", encoding="utf-8")
    (store / "link.png").symlink_to(store / ".env")
    with serving(store) as url, httpx.Client(base_url=url) as client:
        yield client


def test_a_video_is_given_in_the_ranges_of_a_player_and_under_our_name(
    served: httpx.Client,
) -> None:
    answer = served.get("/media/video.mp4", headers={"Range": "bytes=100-103"})
    assert answer.status_code == 206
    assert answer.content == bytes([100, 101, 102, 103])
    assert answer.headers["Content-Type"] == "video/mp4"
    # A page of somebody else's could rebind its own name to loopback.
    answer = served.get("/media/video.mp4", headers={"Host": "evil.example"})
    assert answer.status_code == 400


def test_nothing_can_be_written_and_nothing_but_media_is_given(served: httpx.Client) -> None:
    """A setting may name any folder for the store, one with a .env in it, too."""
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert served.request(method, "/media/video.mp4", content=b"x").status_code == 405
    for path in ("../secret", "%2e%2e/secret", "", *NO_MEDIA, "link.png"):
        assert served.get(f"/media/{path}").status_code == 404, path


def gallery(folder: Path, refresh: Callable[[], object] = lambda: None) -> GalleryFolder:
    """One that takes every list but an empty one."""

    def take(text: str) -> str:
        if not text:
            raise CannotStart("this decides nothing")
        return f"taken: {text}"

    return GalleryFolder(folder, refresh, take)


def test_nothing_of_the_gallerys_folder_but_its_page_and_thumbnails_is_given(
    tmp_path: Path,
) -> None:
    """`gallery --serve --output .` gave the API key out of the project's .env."""
    files = [".env", "catalogue.csv", "index.html", "other.png", "thumbs/.env", "thumbs/note.txt"]
    (tmp_path / THUMBS).mkdir()
    for name in [*files, SERVED_FILE, "thumbs/1.webp"]:
        (tmp_path / name).write_text(name, encoding="utf-8")
    served = serving(tmp_path / "store", gallery=gallery(tmp_path))
    with served as url, httpx.Client(base_url=url) as client:
        assert client.get("/").text == SERVED_FILE
        assert client.get("/thumbs/1.webp").text == "thumbs/1.webp"
        given = [name for name in [*files, SERVED_FILE] if client.get(f"/{name}").is_success]
    assert given == []


def test_the_gallery_is_written_again_at_each_load(tmp_path: Path) -> None:
    """Else a choice that was just made could not be seen."""
    loads: list[int] = []

    def refresh() -> None:
        if len(loads) == 2:
            raise CannotStart("the catalogue cannot be read")
        loads.append(len(loads))
        (tmp_path / SERVED_FILE).write_text(f"page {len(loads)}", encoding="utf-8")

    with (
        serving(tmp_path, gallery=gallery(tmp_path, refresh)) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        assert [client.get("/").text for _ in range(2)] == ["page 1", "page 2"]
        refused = client.get("/")
        assert (refused.status_code, refused.text) == (503, "the catalogue cannot be read")


def test_decisions_are_taken_with_the_token_and_refused_in_one_sentence(tmp_path: Path) -> None:
    """Another user of the machine, or a page of somebody else's, must not decide."""
    page = gallery(tmp_path)
    with serving(tmp_path, gallery=page) as url, httpx.Client(base_url=url) as client:
        for token in (b"", b"wrong", "ü".encode()):
            headers = [(b"X-Gallery-Token", token)]
            answer = client.post("/decide", content=b"approve\tmug", headers=headers)
            assert answer.status_code == 403
        mine = {"X-Gallery-Token": page.token}
        taken = client.post("/decide", content=b"approve\tmug", headers=mine)
        assert (taken.status_code, taken.text) == (200, "taken: approve\tmug")
        for content in (b"", b"\xff"):
            assert client.post("/decide", content=content, headers=mine).status_code == 409
        assert client.get("/decide").status_code == 405
        elsewhere = {**mine, "Host": "evil.example"}
        assert client.post("/decide", content=b"x", headers=elsewhere).status_code == 400
