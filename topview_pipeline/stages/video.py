"""finishedVideo: one image of the scene speaks the script or a recording."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from topview_pipeline.media import refused_images
from topview_pipeline.prices import spoken_seconds, too_long
from topview_pipeline.stages.fingerprint import Inputs, work_of
from topview_pipeline.stages.scene import FACELESS_MODE, SceneImage, images_of, needs_face
from topview_pipeline.stages.stage import (
    Download,
    FileNeeded,
    HashOf,
    Json,
    PreconditionError,
    Sleep,
    Stage,
    StageResult,
    StoredFile,
    UnfitResultError,
    Upstream,
    WhenNoFace,
    WorkItem,
    common_fields,
    file_input,
    file_needed,
    present,
    stored_files,
)

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.media.probe import Media
    from topview_pipeline.stages.proof_lists import ProofLists
    from topview_pipeline.store import Store
    from topview_pipeline.topview import models
    from topview_pipeline.topview.client import TopviewClient

VIDEO_FILE: Final = "video.mp4"
COVER_FILE: Final = "cover.jpg"
_QUESTIONS: Final = 5
_DENIALS: Final = 3
"""Times in a row that Topview must deny an image: a live scene taken for dead is paid again."""


@dataclass(frozen=True)
class FinishedVideo(StageResult):
    """The talking video, and the avatar that Topview made of the scene, where it gave them."""

    video: StoredFile
    cover: StoredFile | None
    mode: str | None
    avatar_id: str | None = None
    avatar_name: str | None = None
    preview_url: str | None = None


class Video(Stage):
    """Topview's `image2Video` (v2): some minutes, priced by mode and length of speech."""

    key = "finishedVideo"
    upstream = "replacedImages"
    source = "productScript"
    kind = "image2video"
    endpoint = "image2Video"
    booked_as = frozenset({"pa2_image2video"})
    reads_upstream_result = True
    deadline_seconds = 3600.0
    typical_seconds = 210.0
    main_file = VIDEO_FILE
    preview_files = (COVER_FILE, VIDEO_FILE)
    label = "Video"
    kinds = frozenset({"file", "topview", "video"})
    description = (
        "The finished video: the person in the scene speaks the script; H.264 with sound.\n\n"
        "Made by Topview's `image2Video` (v2) from the scene that you chose, else from the best of "
        "those that passed their check; some minutes, priced by mode and length (`TOPVIEW_PRICES`, "
        "until one was paid).\n\n"
        "**If it fails**: without a face only mode `avatar2` works; text needs `script` and "
        "`voice_id`. A submitted task is never sent twice: `pending_task_sensor` collects it when "
        "it is done. **If its check fails**: watch it. To make it again, run `catch_up` with "
        "`force: true`, which is charged again; until then it is in no manifest."
    )
    source_label = "script"
    source_kind = "text"
    source_description = (
        "What is said and how: script or audio, voice, caption, mode, and the chosen image. "
        "Changing it makes only the video stale."
    )
    check_description = (
        "The video opens and is whole, has its mode's size and a length that fits what is said, is "
        "heard for most of it, and is neither black nor frozen for long."
    )

    def inputs(self, product: Product, hash_of: HashOf) -> Inputs:
        return present(
            {
                "text": product.script,
                "audio": file_input(product.audio, product.audio_file_id, hash_of),
                "voice": product.voice_id,
                "caption": product.caption_id,
                "mode": product.mode,
                "chosen_image": product.chosen_image,
            }
        )

    def effective_inputs(
        self, inputs: Inputs, choice: int | None, result: Json | None, quality: Json | None = None
    ) -> Inputs:
        """A choice overrides the column `chosen_image`, unless it is of what is taken anyway."""
        if choice is None:
            return inputs
        column = inputs.values.get("chosen_image")
        anyway = preferred_image(images_of(result), column, refused_images(quality))
        if anyway is not None and anyway.number == choice:
            return inputs
        return Inputs({**inputs.values, "chosen_image": choice})

    def is_other_choice(self, item: WorkItem, version: str | None) -> bool:
        values = {key: value for key, value in item.inputs.values.items() if key != "chosen_image"}
        images = images_of(self.required(item.upstream).result)
        chosen = ({**values, "chosen_image": image.number} for image in images)
        return version in {Inputs(one).version for one in (values, *chosen)}

    def item(
        self,
        product: Product,
        inputs: Inputs,
        upstream: Upstream | None,
        *,
        account: str,
        choice: int | None = None,
        when_no_face: WhenNoFace = "fail",
    ) -> WorkItem:
        scene = self.required(upstream)
        inputs = self.effective_inputs(inputs, choice, scene.result, scene.quality)
        wanted, refused = inputs.values.get("chosen_image"), refused_images(scene.quality)
        images = images_of(scene.result)
        image, mode = choose_image(images, wanted, product.mode, when_no_face, refused)
        # The image and mode really sent shape the video, whether chosen or found.
        sent = {**inputs.values, "image": image.number, "mode": mode}
        sent.pop("chosen_image", None)
        work = work_of(account, self, Inputs(sent), scene.fingerprint)
        return WorkItem(self, product, inputs, upstream, work, mode, chosen=image)

    def likely_mode(self, product: Product) -> str:
        return product.mode

    def speech_seconds(self, product: Product, *, slowly: bool = True) -> float | None:
        return None if product.script is None else spoken_seconds(product.script, slowly=slowly)

    def recording(self, product: Product) -> str | None:
        return product.audio

    def check_recording(self, seconds: float, mode: str | None) -> None:
        _check_length(seconds, mode)

    def files(self, item: WorkItem) -> tuple[FileNeeded, ...]:
        product = item.product
        return file_needed(item, "audio", product.audio, product.audio_file_id, kind="audio")

    def request(self, item: WorkItem, file_ids: Mapping[str, str]) -> models.Image2VideoRequest:
        from topview_pipeline.topview import models

        product = item.product
        (image_id,) = self.provider_ids(item)
        return models.Image2VideoRequest(
            replace_product_task_image_id=image_id,
            mode=item.mode,
            script_mode="audio" if product.script is None else "text",
            tts_text=product.script,
            audio_file_id=file_ids.get("audio"),
            voice_id=product.voice_id,
            caption_id=product.caption_id,
        )

    def provider_ids(self, item: WorkItem) -> tuple[str, ...]:
        return () if item.chosen is None else (item.chosen.image_id,)

    async def prove(
        self, product: Product, lists: ProofLists, recorded: float | None = None
    ) -> None:
        """Check the length in each mode that may be sent, the voice and the caption."""
        if recorded is not None:
            self.check_recording(recorded, product.mode)
        seconds = self.speech_seconds(product, slowly=False) if recorded is None else recorded
        if seconds is not None and lists.when_no_face == "avatar2":
            fix = (
                "Shorten it: a scene without a face is sent in that mode; or set "
                "TOPVIEW_WHEN_NO_FACE=fail."
            )
            _check_length(seconds, FACELESS_MODE, is_recorded=recorded is not None, fix=fix)
        await lists.check("voice", product.voice_id)
        await lists.check("caption", product.caption_id)

    async def upstream_is_gone(
        self, client: TopviewClient, item: WorkItem, *, sleep: Sleep, wait: float
    ) -> bool:
        """Ask for the scene's task until Topview gives the image, or has denied it three times."""
        from topview_pipeline.topview.errors import QueryError, TaskUnknown, Unavailable
        from topview_pipeline.topview.models import TaskStatus

        task_id = self.required(item.upstream).result["taskId"]
        denials = 0
        for question in range(_QUESTIONS):
            if question:
                await sleep(wait)
                wait *= 2
            trouble: QueryError
            try:
                answer = await client.query("image_replace", task_id)
            except Unavailable as error:
                trouble, wait = error, max(wait, error.retry_after or 0.0)
                continue
            except TaskUnknown as error:
                trouble, denials = error, denials + 1
            else:
                if {image.image_id for image in answer.images} & {*self.provider_ids(item)}:
                    return False
                what = (
                    f"Topview finished it, and now answers {answer.raw_status!r} without this scene"
                )
                trouble = Unavailable(what, doing="looking up a scene")
                denials = denials + 1 if answer.status is TaskStatus.SUCCESS else 0
            if denials == _DENIALS:
                return True
        raise trouble

    def downloads(self, answer: models.Image2VideoResult) -> tuple[Download, ...] | None:
        if not answer.finished_video_url:
            return None
        video = Download(VIDEO_FILE, answer.finished_video_url, "video")
        cover = answer.ai_avatar.cover_url if answer.ai_avatar is not None else None
        return (video, Download(COVER_FILE, cover, "image", required=False)) if cover else (video,)

    def check(self, task: Task, files: Mapping[str, Media]) -> Verdict:
        from topview_pipeline.media.quality import Speech, check_video

        request = task.request or {}
        usual = spoken_seconds(text, slowly=False) if (text := request.get("ttsText")) else None
        is_recorded = request.get("scriptMode") == "audio"
        speech = None if task.seconds is None else Speech(task.seconds, is_recorded, usual)
        return check_video(files[VIDEO_FILE], mode=task.mode, speech=speech)

    def result(self, product_id: str, task: Task, store: Store) -> FinishedVideo:
        files, avatar = stored_files(task, store), self.facts(task.result or {})
        return FinishedVideo(
            *common_fields(product_id, task),
            video=files[VIDEO_FILE],
            cover=files.get(COVER_FILE),
            mode=task.mode,
            avatar_id=avatar.get("avatar_id"),
            avatar_name=avatar.get("avatar_name"),
            preview_url=avatar.get("preview_url"),
        )

    def facts(self, result: Json) -> dict[str, str]:
        avatar = result.get("aiAvatar")
        names = {
            "aiavatarId": "avatar_id",
            "aiavatarName": "avatar_name",
            "previewVideoUrl": "preview_url",
        }
        given = avatar if isinstance(avatar, Mapping) else {}
        return {name: str(given[key]) for key, name in names.items() if given.get(key)}

    def upstream_files(self, request: Json, upstream_result: Json) -> tuple[str, ...]:
        sent = request.get("replaceProductTaskImageId")
        return tuple(one.file_name for one in images_of(upstream_result) if one.image_id == sent)


def preferred_image(
    images: Sequence[SceneImage], wanted: int | None, refused: Collection[int] = ()
) -> SceneImage | None:
    """The wanted image (a number from 1), else the best: not `refused`, with a face, the first."""
    usable = [image for image in images if wanted in (None, image.number)]
    return min(
        usable,
        key=lambda image: (image.number in refused, image.has_face is False, image.number),
        default=None,
    )


def choose_image(
    images: Sequence[SceneImage],
    wanted: int | None,
    mode: str,
    when_no_face: WhenNoFace,
    refused: Collection[int],
) -> tuple[SceneImage, str]:
    """The image, and the mode in which it can be sent; `mode` is the row's.

    Raises PreconditionError when there is no such image, UnfitResultError when it needs a face.
    """
    image = preferred_image(images, wanted, refused)
    if image is None:
        raise PreconditionError(
            f"scene {wanted} was chosen, and there are {len(images)}",
            fix=f"Set chosen_image to a number from 1 to {len(images)}, or leave it empty.",
        )
    if image.has_face is not False:
        return image, mode
    if needs_face(mode) and when_no_face == "fail":
        raise UnfitResultError(
            f"no face was found in the scene, and mode {mode} needs one",
            fix="Set the row's mode to avatar2, set TOPVIEW_WHEN_NO_FACE=avatar2, choose another "
            "scene, or change the scene's template or prompt.",
        )
    return image, FACELESS_MODE


def _check_length(
    seconds: float, mode: str | None, *, is_recorded: bool = True, fix: str = ""
) -> None:
    found = too_long(seconds, mode, is_recorded=is_recorded)
    if found is not None and found.is_refused:
        raise PreconditionError(found.what, fix=fix or found.fix)
