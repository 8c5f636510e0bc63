"""Signed URLs: they expire, cannot be changed, and hold for one method and no other credentials."""

from dataclasses import replace

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media.engine import Cutout
from topview_pipeline.sandbox.media.tiny import TinyMedia

from .conftest import MakeRig, Rig, picture


def url_of(rig: Rig, task: str, **params: str) -> str:
    result = rig.query(Kind.REMOVE_BACKGROUND, task, **params)["result"]
    return str(result["bgRemovedImagePath"])


@pytest.mark.parametrize("cloudfront", ["", "true", "True"])
def test_a_url_dies_after_a_day_and_a_new_query_signs_a_new_one(
    rig: Rig, done: str, cloudfront: str
) -> None:
    url = url_of(rig, done, needCloudFrontUrl=cloudfront)
    assert ("Key-Pair-Id=" in url) is bool(cloudfront) is ("X-Amz" not in url)
    rig.advance(86_399)
    assert rig.request("GET", url).status_code == 200
    rig.advance(1)
    expired = rig.request("GET", url)
    assert expired.status_code == 403
    assert expired.headers["content-type"] == "application/xml"
    assert "<Code>AccessDenied</Code>" in expired.text
    again = url_of(rig, done, needCloudFrontUrl=cloudfront)
    assert again != url
    assert rig.request("GET", again).status_code == 200


@pytest.mark.parametrize("cloudfront", ["", "true"])
def test_a_changed_url_is_refused(rig: Rig, done: str, cloudfront: str) -> None:
    url = url_of(rig, done, needCloudFrontUrl=cloudfront)
    for changed in (
        url.replace("cropped_image", "mask"),
        url.replace("X-Amz-Expires=86400", "X-Amz-Expires=99999"),
        url.replace("Policy=ey", "Policy=fy"),
        url.partition("?")[0],
        url + "0",
    ):
        if changed != url:
            assert rig.request("GET", changed).status_code == 403, changed


def test_a_url_is_good_for_its_method_alone_without_our_headers_and_for_an_upload_an_hour(
    rig: Rig, done: str
) -> None:
    assert rig.request("PUT", url_of(rig, done), content=b"mine now").status_code == 403
    upload_url = rig.get("/v1/upload/credential", format="png")["result"]["uploadUrl"]
    assert rig.request("GET", upload_url).status_code == 403
    rig.advance(3600)
    assert rig.request("PUT", upload_url, content=picture()).status_code == 403
    response = rig.request("GET", url_of(rig, done), headers=rig.headers)
    assert response.status_code == 400
    assert "Only one auth mechanism allowed" in response.text


def test_a_range_continues_a_download(rig: Rig, done: str) -> None:
    url = url_of(rig, done)
    whole = rig.request("GET", url).content
    rest = rig.request("GET", url, headers={"Range": "bytes=10-"})
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    assert rest.content == whole[10:]
    for asked, part in (("0-0", whole[:1]), ("-3", whole[-3:]), (f"5-{len(whole)}", whole[5:])):
        assert rig.request("GET", url, headers={"Range": f"bytes={asked}"}).content == part
    beyond = rig.request("GET", url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416


class _Large(TinyMedia):
    def cutout(self, image: bytes) -> Cutout:
        return replace(super().cutout(image), png=bytes(range(256)) * 1000)


def test_a_large_file_is_sent_in_pieces_and_does_not_count_if_its_client_left(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(engine=_Large())
    task = rig.start_cutout()
    rig.finish(Kind.REMOVE_BACKGROUND, task)
    url = url_of(rig, task)
    assert 0 < rig.get_and_leave(url) < 256_000
    assert rig.counters()["downloads"] == {"abandoned": 1}
    assert not any(file.downloaded for file in rig.world.state.files.values())
    assert rig.request("GET", url).content == bytes(range(256)) * 1000
    assert rig.counters()["downloads"] == {"abandoned": 1, "whole": 1}
