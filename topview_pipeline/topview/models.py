"""Wire models: a request and a result for every Topview endpoint that the pipeline uses.

Names on the wire are camelCase, here snake_case; both are accepted. Results need nothing but their
ids, because Topview's pages differ in what they list: documented fields come as null, "", a number
for a string or the reverse. A field that only decorates must not make a paid result unreadable, so
it becomes None. Not here: rules about what a request may combine (`catalogue.product`).
"""

from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    RootModel,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from topview_pipeline.settings import Mode

_T = TypeVar("_T")

# Fields


def _none_if_unreadable(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


Lenient = Annotated[_T | None, WrapValidator(_none_if_unreadable)]
"""A decorative field: None instead of a value that does not fit."""


def _blank_as_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Id = Annotated[str, Field(pattern=r"^\P{C}+$", coerce_numbers_to_str=True)]
"""An id at Topview: opaque, not empty, no control characters. Some endpoints send numbers."""

OptionalId = Annotated[Id | None, BeforeValidator(_blank_as_none)]
"""An id that may be missing, null or ""."""

Text = Annotated[Lenient[str], BeforeValidator(_blank_as_none)]
"""Free text; None when it is missing, null, "" or no text."""

Url = Annotated[Text, Field(repr=False)]
"""A URL, else as `Text`. The query of a signed one opens its file, so no repr shows it."""

Credits = Lenient[FiniteFloat]
"""Credits; a number, or a string on a few old endpoints. None when unknown."""


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:  # Topview writes UTC as `yyyy-MM-dd HH:mm:ss`.
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


UtcTime = Lenient[Annotated[datetime, AfterValidator(_utc)]]
"""An aware UTC time; text without a zone is UTC."""


# Requests


class TaskRequest(BaseModel):
    """The base of the requests that start a task."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    def wire(self) -> dict[str, Any]:
        """Return the JSON body, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class RemoveBackgroundRequest(TaskRequest):
    """Cut the product out of its photo. Free."""

    product_image_file_id: Id
    product_image_mask_file_id: str | None = None


class ImageReplaceRequest(TaskRequest):
    """Put a cut-out product into a scene: a template picture or a public avatar.

    Mode manual puts it at `location` (top left, top right, bottom right, bottom left, in fractions
    of the template from its top left), auto follows `image_edit_prompt`.
    """

    generate_image_mode: Literal["manual", "auto"]
    product_image_without_background_file_id: Id
    avatar_id: str | None = None
    template_image_file_id: str | None = None
    user_face_image_file_id: str | None = None
    image_edit_prompt: str | None = None
    location: list[tuple[float, float]] | None = None


class Image2VideoRequest(TaskRequest):
    """Animate one image of image_replace; it speaks a script (text) or a given recording (audio).

    An image without a face can only be animated with mode avatar2.
    """

    replace_product_task_image_id: Id
    mode: Mode = "avatar2"
    script_mode: Literal["text", "audio"] = "text"
    tts_text: str | None = None
    voice_id: str | None = None
    audio_file_id: str | None = None
    caption_id: str | None = None


# Results of tasks


class TaskStatus(str, Enum):
    """The progress of a task."""

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
        frozen=True,
        hide_input_in_errors=True,
    )


class _KeptResult(_Result):
    """Keeps the fields that no model names, too; no repr shows them, as they may be signed URLs."""

    model_config = ConfigDict(extra="allow")

    def __repr_args__(self) -> Any:
        unknown = self.model_extra or {}
        return [(name, value) for name, value in super().__repr_args__() if name not in unknown]


class Submitted(_KeptResult):
    """A task that Topview accepted. It has only begun, although Topview may say "success"."""

    task_id: Id


class TaskResult(_KeptResult):
    """The fields that every query of a task gives."""

    task_id: Id
    raw_status: Text = Field(default=None, alias="status")
    error_msg: Text = None
    cost_credit: Credits = None

    @property
    def status(self) -> TaskStatus:
        """The task's status; `raw_status` keeps Topview's own word."""
        return TaskStatus.parse(self.raw_status)


class RemoveBackgroundResult(TaskResult):
    """The cut-out, cropped to the product, and a mask of the photo's size. Paths are signed."""

    bg_removed_image_file_id: OptionalId = None
    bg_removed_image_path: Url = None
    mask_image_path: Url = None


class ReplacedImage(_KeptResult):
    """One scene. `face_existence` is None when Topview does not say."""

    image_id: Id
    face_existence: Lenient[bool] = None
    url: Url = None


def _null_as_empty(value: Any) -> Any:
    return [] if value is None else value


class ImageReplaceResult(TaskResult):
    """The scenes, in Topview's order; empty before success."""

    images: Annotated[list[ReplacedImage], BeforeValidator(_null_as_empty)] = Field(
        default_factory=list, alias="replaceProductResult"
    )


class AiAvatar(_KeptResult):
    """The avatar that Topview made of the scene."""

    cover_url: Url = None


class Image2VideoResult(TaskResult):
    """The finished video, as a signed URL."""

    finished_video_url: Url = None
    ai_avatar: Lenient[AiAvatar] = None


# The account, lists and uploads


class CreditDetail(_Result):
    """The account's owner and what is left. Topview's map of API keys is not read."""

    uid: OptionalId = None
    remain_credit: Credits = None


class CreditLogEntry(_Result):
    """One charge. `date` is when the task was created or succeeded; `api_key` is never shown.

    One whose task id cannot be read may be anybody's: no lost answer is void beside it.
    """

    task_id: Lenient[Id] = None
    task_type: Text = None
    cost_credit: Credits = None
    date: UtcTime = None
    api_key: Lenient[SecretStr] = None


class Page(_Result):
    """One page of a list, `{total, pageNo, pageSize, data[]}`, its entries not read yet."""

    total: Lenient[int] = None
    data: list[Any] | None


class Voice(_Result):
    """A voice for text mode."""

    voice_id: Id
    voice_name: Text = None
    language: Text = Field(
        default=None, validation_alias=AliasChoices("language", "bestSupportLanguage")
    )
    gender: Text = None
    age: Text = None
    style: Text = None
    accent: Text = None


class Caption(_Result):
    """A caption style, and a picture of it."""

    caption_id: Id
    thumbnail: Url = None


class _Named(_Result):
    name: Text = Field(default=None, validation_alias=AliasChoices("categoryName", "ethnicityName"))


class Avatar(_Result):
    """A public avatar: a person in front of a place for a product."""

    avatar_id: Id
    picture: Url = Field(default=None, alias="avatarImagePath")
    voice_id: OptionalId = Field(default=None, alias="voiceoverId")
    gender: Text = None
    category_list: Lenient[list[_Named]] = Field(default=None, alias="avatarCategoryList")
    ethnicity_list: Lenient[list[_Named]] = Field(default=None, alias="avatarEthnicityList")

    @property
    def categories(self) -> list[str]:
        """Names of its categories."""
        return [one.name for one in self.category_list or () if one.name]

    @property
    def ethnicities(self) -> list[str]:
        """Names of its ethnicities."""
        return [one.name for one in self.ethnicity_list or () if one.name]


class Captions(RootModel[list[Any]]):
    """All caption styles, not read yet; this list has no pages."""

    model_config = ConfigDict(hide_input_in_errors=True)


class UploadCredential(_Result):
    """The URL to PUT a file to, and the id that it will have."""

    file_id: Id
    upload_url: Annotated[str, Field(min_length=1, repr=False)]
