"""One request and one result model for every Topview endpoint that the pipeline uses.

Names on the wire are camelCase, here snake_case; both are accepted. Results ignore fields that they
do not know and need none but the ids, because Topview's pages differ in what they list. Requests
refuse unknown fields and hold the documented rules, so that a wrong request fails unsent. Types of
single fields are in fields.py.
"""

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic.alias_generators import to_camel

from topview_pipeline.topview.fields import (
    Credits,
    Given,
    Id,
    Lenient,
    OptionalId,
    Text,
    Url,
    UtcTime,
)

VideoMode = Literal["lite", "pro", "avatar2", "avatar4", "avatar4Fast"]
"""lite: 480p, 5 s; pro: 720p, 10 s; avatar2, avatar4, avatar4Fast: 1080p."""

_Fraction = Annotated[float, Field(ge=0, le=1)]
Point = tuple[_Fraction, _Fraction]
Quad = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left; fractions of the template from its top left."""


class _Request(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    notice_url: Given = None

    def wire(self) -> dict[str, Any]:
        """Return the JSON body, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RemoveBackgroundRequest(_Request):
    """Cut the product out of its photo. Free."""

    product_image_file_id: Id


class ImageReplaceRequest(_Request):
    """Put a cut-out product into a scene: a template picture or a public avatar.

    manual puts it at `location`; auto follows `image_edit_prompt`.
    """

    generate_image_mode: Literal["manual", "auto"]
    product_image_without_background_file_id: Id
    avatar_id: Given = None
    template_image_file_id: Given = None
    user_face_image_file_id: Given = None
    image_edit_prompt: Given = None
    location: Quad | None = None

    @model_validator(mode="after")
    def _as_documented(self) -> "ImageReplaceRequest":
        if self.avatar_id is None and self.template_image_file_id is None:
            raise ValueError("needs avatar_id or template_image_file_id")
        if (self.generate_image_mode == "manual") != (self.location is not None):
            raise ValueError("location belongs to manual mode, and manual mode needs it")
        return self


class Image2VideoRequest(_Request):
    """Animate one image of image_replace; it speaks a script (text) or a given recording (audio).

    An image without a face can only be animated with mode avatar2.
    """

    replace_product_task_image_id: Id
    mode: VideoMode = "avatar2"
    script_mode: Literal["text", "audio"] = "text"
    tts_text: Given = None
    voice_id: Given = None
    audio_file_id: Given = None
    caption_id: Given = None

    @model_validator(mode="after")
    def _as_documented(self) -> "Image2VideoRequest":
        if self.script_mode == "text" and (self.tts_text is None or self.voice_id is None):
            raise ValueError("script_mode text needs tts_text and voice_id")
        if self.script_mode == "audio" and self.audio_file_id is None:
            raise ValueError("script_mode audio needs audio_file_id")
        return self


class TaskStatus(str, Enum):
    """How far a task is."""

    INIT = "init"
    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"

    @classmethod
    def parse(cls, word: str | None) -> "TaskStatus":
        """Read Topview's word. An unknown one is still running: only known words end a task."""
        known = (word or "").strip().lower()
        if known == "failed":
            return cls.FAIL
        return cls(known) if known in cls._value2member_map_ else cls.RUNNING


class _Result(BaseModel):
    # Inputs stay out of validation errors: they hold signed URLs.
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )


class Submitted(_Result):
    """A task that Topview accepted. It has only begun, although `status` may say "success"."""

    task_id: Id
    status: Text = None
    error_msg: Text = None
    notice_uuid: Text = None


class _TaskResult(_Result):
    """What every query of a task tells."""

    task_id: Id
    raw_status: Text = Field(default=None, alias="status")
    error_msg: Text = None
    cost_credit: Credits = None

    @property
    def status(self) -> TaskStatus:
        """The task's status; `raw_status` keeps Topview's own word."""
        return TaskStatus.parse(self.raw_status)


class RemoveBackgroundResult(_TaskResult):
    """The cut-out, cropped to the product, and a mask of the photo's size. Paths are signed."""

    bg_removed_image_file_id: OptionalId = None
    bg_removed_image_path: Url = None
    bg_removed_image_width: Lenient[int] = None
    bg_removed_image_height: Lenient[int] = None
    mask_image_file_id: OptionalId = None
    mask_image_path: Url = None
    mask_image_width: Lenient[int] = None
    mask_image_height: Lenient[int] = None


class ReplacedImage(_Result):
    """One scene. `face_existence` is None when Topview does not say."""

    image_id: Id
    face_existence: Lenient[bool] = None
    url: Url = None


def _null_as_empty(value: Any) -> Any:
    return [] if value is None else value


class ImageReplaceResult(_TaskResult):
    """The scenes, in Topview's order; empty before success."""

    images: Annotated[list[ReplacedImage], BeforeValidator(_null_as_empty)] = Field(
        default_factory=list, alias="replaceProductResult"
    )


class AiAvatar(_Result):
    """The avatar that Topview made of the scene. The last three are lists or objects elsewhere."""

    aiavatar_id: OptionalId = None
    aiavatar_name: Text = None
    gender: Text = None
    cover_url: Url = None
    preview_video_url: Url = None
    ethnicities: Any = None
    voiceover_id_default: OptionalId = None
    face_square_config: Any = None


class Image2VideoResult(_TaskResult):
    """The finished video, as a signed URL."""

    finished_video_url: Url = None
    ai_avatar: Lenient[AiAvatar] = None


class CreditDetail(_Result):
    """Whose account it is and what is left. Topview's map of API keys is not read."""

    uid: OptionalId = None
    remain_credit: Credits = None
    expired_time: UtcTime = None


class CreditLogEntry(_Result):
    """One charge. `date` is when the task succeeded; `api_key` is never shown."""

    task_id: OptionalId = None
    task_type: Text = None
    cost_credit: Credits = None
    date: UtcTime = None
    uid: OptionalId = None
    api_key: Lenient[SecretStr] = None


class Voice(_Result):
    """A voice for text mode."""

    voice_id: Id
    voice_name: Text = None
    language: Text = None
    best_support_language: Text = None
    gender: Text = None
    age: Text = None
    style: Text = None
    accent: Text = None
    demo_audio_url: Text = None


class Caption(_Result):
    """A caption style; `thumbnail` is a URL."""

    caption_id: Id
    thumbnail: Text = None


class Category(_Result):
    """A category of public avatars."""

    category_id: Id
    category_name: Text = None


class Avatar(_Result):
    """A public avatar: a scene to put a product into."""

    avatar_id: Id
    avatar_image_path: Text = None
    voiceover_id: OptionalId = None
    gender: Text = None
    avatar_category_list: Lenient[list[Category]] = None
    object_mask_image_info: Text = None
    min_subs_type: Text = None


class UploadCredential(_Result):
    """Where to PUT a file, and the id that it will have."""

    file_id: Id
    upload_url: Annotated[str, Field(min_length=1, repr=False)]
    file_name: Text = None
    format: Text = None
