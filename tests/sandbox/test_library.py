"""The lists that a catalogue's ids are checked against."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from topview_pipeline.sandbox.api.library import SAMPLE_AVATAR_ID, load_avatars
from topview_pipeline.sandbox.kinds import Kind

from .conftest import CAPTION, VOICE, Rig

AVATARS = "/v1/product_avatar/public_avatar/query"


def data(rig: Rig, path: str, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.get(path, **params)["result"]["data"]
    return found


def test_the_documents_voice_and_caption_and_the_sample_catalogues_avatar_are_listed(
    rig: Rig,
) -> None:
    assert VOICE in {voice["voiceId"] for voice in data(rig, "/v1/voice/query")}
    assert SAMPLE_AVATAR_ID in {avatar["avatarId"] for avatar in data(rig, AVATARS)}
    captions = rig.get("/v1/caption/list")["result"]
    assert CAPTION in {caption["captionId"] for caption in captions}
    assert all(len(caption["captionId"]) == 32 for caption in captions)


def test_voices_are_found_by_their_traits_in_pages(rig: Rig) -> None:
    everyone = data(rig, "/v1/voice/query", gender="", language="", isCustom="")
    women = data(rig, "/v1/voice/query", gender="Female")
    assert 0 < len(women) < len(everyone)
    assert {voice["gender"] for voice in women} == {"Female"}
    page = rig.get("/v1/voice/query", pageNo="2", pageSize="3")["result"]
    assert page["data"][0]["voiceId"] == everyone[3]["voiceId"]
    assert page["total"] == len(everyone)
    (own,) = data(rig, "/v1/voice/query", isCustom="true")
    assert own["voiceId"] not in {voice["voiceId"] for voice in everyone}
    assert data(rig, "/v1/voice/query", voiceName="aVa")[0]["voiceId"] == VOICE


def test_pictures_thumbnails_and_samples_can_be_downloaded(rig: Rig) -> None:
    voice = data(rig, "/v1/voice/query")[0]
    assert rig.request("GET", voice["demoAudioUrl"]).content[:4] == b"RIFF"
    caption = rig.get("/v1/caption/list")["result"][0]
    assert rig.request("GET", caption["thumbnail"]).content[:4] == b"\x89PNG"
    for avatar in data(rig, AVATARS, gender="", categoryIds="", sortingType=""):
        picture_bytes = rig.request("GET", avatar["avatarImagePath"]).content
        assert Image.open(io.BytesIO(picture_bytes)).size[0] > 100
        place = json.loads(avatar["objectMaskImageInfo"])
        assert set(place) == {"x", "y", "w", "h"}
        assert place["x"] + place["w"] <= 1


def test_avatars_are_found_by_category_and_ethnicity(rig: Rig) -> None:
    first = data(rig, AVATARS)[0]
    (category,), (ethnicity,) = first["avatarCategoryList"], first["avatarEthnicityList"]
    assert category in rig.get("/v1/product_avatar/category/list")["result"]
    assert ethnicity in rig.get("/v1/ethnicity/list")["result"]
    categories = f"f00,{category['categoryId']}"
    found = data(rig, AVATARS, categoryIds=categories, ethnicityIds=ethnicity["ethnicityId"])
    assert first["avatarId"] in {avatar["avatarId"] for avatar in found}
    assert data(rig, AVATARS, categoryIds="f00") == []


def test_avatars_follow_from_their_pictures_and_the_places_beside_them(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    quad = [[0.25, 0.5], [0.75, 0.5], [0.75, 0.75], [0.25, 0.75]]
    (tmp_path / "placement.json").write_text(json.dumps({"a.jpg": {"square": quad}}))
    both = load_avatars(tmp_path)
    assert [content for _, content in both] == [b"a", b"b"]
    assert both[0][0].mask == {"x": 0.25, "y": 0.5, "w": 0.5, "h": 0.25}
    (tmp_path / "a.jpg").unlink()
    assert [one.avatar_id for one, _ in load_avatars(tmp_path)] == [both[1][0].avatar_id]


def test_a_finished_video_leaves_a_custom_avatar(rig: Rig) -> None:
    assert data(rig, "/v1/aiavatar/query", isCustom="true") == []
    task = rig.submit(Kind.IMAGE2VIDEO, rig.video_body())
    avatar = rig.finish(Kind.IMAGE2VIDEO, task)["aiAvatar"]
    listed = data(rig, "/v1/aiavatar/query", isCustom="true")[0]
    assert listed["aiavatarId"] == avatar["aiavatarId"]
    assert rig.request("GET", listed["coverUrl"]).status_code == 200
    assert len(data(rig, "/v1/aiavatar/query")) == len(data(rig, AVATARS))
