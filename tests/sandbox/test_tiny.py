"""Tiny media are small, but valid files of the sizes that they name."""

import io
from typing import Any

import av
import pytest
from PIL import Image

from topview_pipeline.sandbox.kinds import MODES
from topview_pipeline.sandbox.media.engine import Scene, SceneInputs, Video, VideoInputs
from topview_pipeline.sandbox.media.tiny import TinyMedia

from .conftest import picture

TINY = TinyMedia()


def scenes(seed: int) -> list[Scene]:
    cutout, template = TINY.cutout(picture()).png, picture(1, "JPEG")
    given: Any = {"location": None, "prompt": "", "face": None, "count": 2, "seed": seed}
    return TINY.scenes(SceneInputs(cutout=cutout, template=template, **given))


def video(mode: str, seed: int) -> Video:
    scene = picture()
    given: Any = {"scene": scene, "mode": mode, "text": "x", "audio": None, "seed": seed}
    return TINY.video(VideoInputs(caption_id="", **given))


def test_every_task_has_bytes_of_its_own_and_the_same_task_the_same() -> None:
    assert len({scene.png for seed in range(20) for scene in scenes(seed)}) == 40
    assert scenes(3) == scenes(3)
    assert video("pro", 1).mp4 != video("pro", 2).mp4
    assert TINY.cutout(picture(1)).png != TINY.cutout(picture(2)).png


def test_the_last_of_several_scenes_sometimes_has_no_face() -> None:
    assert {scenes(seed)[1].face_existence for seed in range(40)} == {True, False}
    assert all(scenes(seed)[0].face_existence for seed in range(40))


@pytest.mark.parametrize("mode", MODES)
def test_videos_play(mode: str) -> None:
    clip = video(mode, 1)
    with av.open(io.BytesIO(clip.mp4), "r") as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.duration == clip.seconds * av.time_base
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert Image.open(io.BytesIO(clip.cover_jpg)).format == "JPEG"
