"""All settings of a pipeline as one value, `PipelineConfig`, and the variables it is read from.

Only `definitions.py` and the command line read the environment; all code below is given a config.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from typing_extensions import Self

from topview_pipeline import setting_types as types
from topview_pipeline.prices import PriceList, Probed
from topview_pipeline.setting_types import COPY, SettingsError, absolute, explained, project_root

Mode = Literal["lite", "pro", "avatar2", "avatar4", "avatar4Fast"]
MODES: Final[tuple[str, ...]] = get_args(Mode)
"""Topview's video modes, smallest first."""
Gate = Literal["off", "quality", "approve"]
GATES: Final[tuple[str, ...]] = get_args(Gate)
"""Why a product waits for a person: never, after a failed check, at every scene."""
DEFAULT_NAME: Final = "topview"
"""Name of a pipeline that is alone: nothing is put before its names in Dagster."""
DEFAULT_IMAGE_EDIT_PROMPT: Final = (
    "Let the person in picture 1 present the product of picture 2 in place of the object shown "
    "there. Leave the person, the pose, the light and the framing as they are, and the product's "
    "shape, colours and lettering too."
)
DEFAULT_PRICES: Final = PriceList.parse(
    "image_replace/auto=1, image_replace/manual=2, image2video/avatar2=0.4/s, "
    "image2video/avatar4=0.1/s, image2video/avatar4Fast=0.06/s",
    "the default price list",
)
_PREFIX: Final = "TOPVIEW_"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


_PLAIN_DATA: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _probed(value: object, info: ValidationInfo) -> object:
    return Probed.read(absolute(value, info)) if isinstance(value, str) else value


def _price_list(value: object, info: ValidationInfo) -> object:
    """The list over what a probe saw, and that over the default."""
    contract: Probed | None = info.data.get("contract")
    over = {**DEFAULT_PRICES.prices, **(contract.prices if contract is not None else {})}
    if isinstance(value, str):
        return PriceList.parse(value, "TOPVIEW_PRICES", over=over)
    return PriceList(over) if value == DEFAULT_PRICES else value


def _ledger_in_home(given: dict[str, Any]) -> str:
    path = str(given["home"] / "ledger.db")
    return f"sqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


class CatalogueDefaults(BaseModel):
    """Values for empty cells. A location has no default, for it belongs to one template."""

    model_config = _PLAIN_DATA

    template_image: types.Ref | None = Field(
        None, repr=False, description="Template of rows without one."
    )
    template_image_file_id: types.TemplateId = Field(
        None, description="Topview's file id of a template, in place of a file."
    )
    avatar_id: types.TemplateId = Field(
        None, description="Avatar of rows without one, in place of a template."
    )
    image_edit_prompt: str = Field(
        DEFAULT_IMAGE_EDIT_PROMPT, description="Prompt of rows with neither location nor prompt."
    )
    user_face_image: types.Ref | None = Field(
        None, repr=False, description="Face of rows without one."
    )
    voice_id: str | None = Field(None, description="Voice of rows with a script and no voice.")
    caption_id: str | None = Field(None, description="Caption style of rows without one.")
    mode: Mode = Field("avatar2", description="Video mode of rows without one.")


class Deadlines(BaseModel):
    """Variables of `deadline_seconds`."""

    remove_background: float | None = Field(None, description="Seconds until overdue. Unset: 600.")
    image_replace: float | None = Field(None, description="Seconds until overdue. Unset: 1200.")
    image2video: float | None = Field(None, description="Seconds until overdue. Unset: 3600.")


class PipelineConfig(BaseModel):
    """Everything that a run of a pipeline needs to know; its repr shows no secret.

    Relative paths are seen from the project folder and become absolute. A value that cannot be used
    raises SettingsError.
    """

    model_config = _PLAIN_DATA

    uid: types.Header | None = Field(None, description="Topview user id.")
    api_key: types.Key | None = Field(None, description="Topview API key.")
    base_url: types.PlainUrl = Field("https://api.topview.ai", description="URL of its API.")
    name: types.DagsterName = Field(
        DEFAULT_NAME,
        description="Name of the pipeline. One of your own precedes the names of its jobs in "
        "Dagster.",
    )
    key_prefix: types.KeyPrefix = Field(
        default_factory=lambda given: () if given["name"] == DEFAULT_NAME else (given["name"],),
        description="Prefix of its asset keys, with / between the parts. Unset: your own name, "
        "if any.",
    )
    owners: types.Owners = Field(
        ("team:content",),
        description="Owners of its assets, with commas between them: addresses or team:NAME.",
    )
    home: types.FolderPath = Field(
        Path(".topview"),
        validate_default=True,
        description="Folder of ledger and store. Relative paths start at the project folder.",
    )
    ledger_url: types.LedgerUrl = Field(
        default_factory=_ledger_in_home,
        repr=False,
        description="SQLAlchemy URL of the ledger: SQLite on a local disk; for several machines "
        "postgresql+psycopg2://user:password@host/name. Unset: ledger.db in TOPVIEW_HOME.",
    )
    migrate: bool = Field(
        True,
        description="false: runs make no tables in the ledger's database; `topview-pipeline "
        "ledger upgrade` does.",
    )
    store: types.StoreRef = Field(
        default_factory=lambda given: str(given["home"] / "store"),
        repr=False,
        description="Folder or fsspec URL of the results. Unset: store in TOPVIEW_HOME.",
    )
    catalogue: types.Ref | None = Field(
        None,
        repr=False,
        description="Path or URL of the catalogue, CSV or JSON Lines; or a source of your own, "
        "python:module:attribute.",
    )
    slots: types.Count = Field(4, description="Task slots of the account's plan.")
    credit_limit: types.Amount | None = Field(
        None, description="Most credits a UTC day, for all runs of the account. Unset: no limit."
    )
    nightly_credit_limit: types.Amount | None = Field(
        None,
        description="Most credits a day of its time zone for nightly_catch_up. Unset: only "
        "TOPVIEW_CREDIT_LIMIT counts; with neither it does nothing.",
    )
    nightly_cron: types.Cron = Field(
        "0 2 * * *", description="When nightly_catch_up runs, as in a crontab."
    )
    nightly_timezone: types.TimeZone = Field(
        "UTC", description="Time zone of nightly_cron, such as Europe/Berlin."
    )
    run_size: types.Count = Field(
        500,
        description="Most products of a catch_up run without a limit; the next run takes the rest.",
    )
    contract: Annotated[Probed | None, BeforeValidator(_probed)] = Field(
        None,
        description="The contract.json of `topview-pipeline probe`: estimates prices and times "
        "until a task of that kind was paid. TOPVIEW_PRICES overrides it.",
    )
    prices: Annotated[PriceList, BeforeValidator(_price_list)] = Field(
        DEFAULT_PRICES,
        validate_default=True,
        description="Credits of a task, by kind or kind/mode, such as image2video/lite=0.5; /s: "
        "by the second of speech. They override the default prices, and estimate until such a "
        "task was paid. lite and pro have no published price.",
    )
    poll_seconds: types.Seconds = Field(3, description="Shortest time between queries of a task.")
    wait_seconds: types.Amount = Field(
        1800, description="Longest wait for a product without progress. 0: submit and end."
    )
    shutdown_seconds: types.Seconds = Field(
        25,
        description="Seconds that a stopped run waits for the answers to what it sent. Later "
        "answers count as lost: kill the process only after this time.",
    )
    trust_photos_for: types.Duration = Field(
        0, description="How long a plan trusts what it knows of a photo's URL, such as 1d or 6h."
    )
    deadline_seconds: Mapping[str, types.Seconds] = {}
    """By kind of task; a kind that is not named has its stage's own."""
    account_exclusive: bool = Field(
        False,
        description="true: only this ledger uses the Topview account, the web application "
        "included. Then the only charge that fits a lost answer belongs to its task.",
    )
    unknown_deadlines: types.Count = Field(
        2,
        description="A lost answer without a charge counts as not charged after this many "
        "deadlines of its kind, and may be sent again.",
    )
    when_no_face: Literal["fail", "avatar2"] = Field(
        "fail", description="For a scene without a face: fail the product, or take mode avatar2."
    )
    unknown_ids: Literal["warn", "fail"] = Field(
        "warn",
        description="For a voice, caption style or avatar that Topview does not list: warn, or "
        "fail the product before anything is paid.",
    )
    previews: bool = Field(True, description="Small pictures on materializations in Dagster's UI.")
    checks: bool = Field(
        True, description="Measure results as asset checks; what fails one is not exported."
    )
    accelerate_uploads: bool = Field(
        False,
        description="Ask Topview for upload addresses near this machine (needAccelerateUrl).",
    )
    gate: Gate = Field(
        "quality",
        description="What waits for a person before it is paid for further. quality: what "
        "failed its check (with TOPVIEW_CHECKS). approve: every scene. off: only what a person "
        "rejected. A row's gate, and --gate, override it.",
    )
    canary: Annotated[int, Field(ge=0)] = Field(
        0,
        description="This many products of each look (template or avatar, location or prompt, "
        "mode) go first; the others wait until these passed their gate. 0: nobody waits.",
    )
    scene_judge: types.ImportPath | None = Field(
        None,
        description="A judge of your own, python:module:attribute: it sees photo, cut-out, "
        "scenes and product before a video is paid. What it refuses has failed its check.",
    )
    media_url: types.PlainUrl | None = Field(
        None,
        description="URL at which your web server shows the store, for links in Dagster, the "
        "manifest and the gallery. Unset: the store's own addresses, in Dagster only http and "
        "https.",
    )
    alert_url: types.WebhookUrl | None = Field(
        None,
        description="URL for changes of the health checks, as JSON: a Slack webhook, or your "
        "own. It is a secret.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="json: each result and trouble of a run is a JSON line on standard error too.",
    )
    gallery_url: types.PlainUrl | None = Field(
        None, description="URL of a gallery that you serve: results in Dagster link to it."
    )
    code_url: types.PlainUrl | None = Field(
        None,
        description="Web page of the folder that has topview_pipeline/, such as "
        "https://github.com/acme/videos/tree/main: assets in Dagster link to their code there.",
    )
    defaults: CatalogueDefaults = CatalogueDefaults()
    _unset: dict[str, SettingsError] = PrivateAttr(default_factory=dict)
    _keys: Mapping[str, str] | None = PrivateAttr(default_factory=dict)
    """Names of fields where they were written, if others; None: it is a variable each."""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, start: Path | None = None
    ) -> PipelineConfig:
        """Read all variables now, as the process has them or as `environ` says.

        An empty or blank one counts as unset. The project folder is looked for from `start`.
        """
        given = os.environ if environ is None else environ
        found = {name: text for name in VARIABLES if (text := given.get(name, "").strip())}
        config = cls.model_validate(_by_field(found), context=project_root(start))
        return config.written_as(None)

    def written_as(self, keys: Mapping[str, str] | None) -> Self:
        """Keep how its fields are named where it was written; None: as variables."""
        self._keys = keys
        return self

    @property
    def keys(self) -> Mapping[str, str] | None:
        """The names of fields where they were written, as `spelled` takes them."""
        return self._keys

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """Return a copy with other values, which are checked as those of any configuration.

        What follows from others, such as `key_prefix` from `name`, follows from the new ones.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        copy = type(self)(**(given | dict(update or {})))
        copy._unset, copy._keys = self._unset, self._keys
        return copy

    def wrong(self, field: str, what: str, fix: str) -> SettingsError:
        """Return the error of a field, which names it as it was written."""
        return SettingsError(what, spelled(_variable(field), self._keys, plain=True), fix)

    def typical_seconds(self, kind: str) -> float | None:
        """Seconds of a kind's task as a probe saw it; None when it did not."""
        return self.contract.seconds.get(kind) if self.contract else None

    def require_uid(self) -> str:
        """Return the uid, by which the ledger is kept. Raises SettingsError when it is unset."""
        return self._required(self.uid, "uid", COPY)

    def require_account(self) -> tuple[str, SecretStr]:
        """Return uid and key. Raises SettingsError when one is unset."""
        return self.require_uid(), self._required(self.api_key, "api_key", COPY)

    def require_catalogue(self) -> str:
        """Return where the catalogue is. Raises SettingsError when that is unset."""
        fix = "Set it to the path or URL of your catalogue; `topview-pipeline init` makes one."
        return self._required(self.catalogue, "catalogue", fix)

    def unset(self, field: str, fix: str = "") -> SettingsError:
        """Return the error of a field that is needed and not set."""
        return self._unset.get(field) or self.wrong(field, "it is not set", fix)

    def explain_unset(self, errors: Mapping[str, SettingsError]) -> None:
        """Let these be the errors of fields that are not set, in place of their variables."""
        self._unset.update(errors)

    def _required(self, value: _T | None, field: str, fix: str) -> _T:
        if not value:
            raise self.unset(field, fix)
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _explain(
        cls,
        values: Any,
        handler: ModelWrapValidatorHandler[PipelineConfig],
        info: ValidationInfo,
    ) -> PipelineConfig:
        """Raise SettingsError, outside of pydantic's error: that one holds the values."""
        try:
            return handler(values)
        except ValidationError as error:
            in_code = info.context is None
            found = explained(error, (lambda *place: ".".join(place)) if in_code else _variable)
        if in_code:
            found = SettingsError(spelled(found.what, {}), found.where, spelled(found.fix, {}))
        raise found


def _variable(*place: str) -> str:
    """Return the variable of a field, or of a value in a field of several."""
    name = f"{_PREFIX}{'_'.join(place)}".upper()
    return name.replace("DEFAULTS_", "DEFAULT_").replace("DEADLINE_SECONDS_", "DEADLINE_")


def _places() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield the place in PipelineConfig of every value that has a variable, and its field."""
    groups: dict[str, type[BaseModel]]
    groups = {"deadline_seconds": Deadlines, "defaults": CatalogueDefaults}
    for name, field in PipelineConfig.model_fields.items():
        if name not in groups:
            yield (name,), field
    for group, model in groups.items():
        yield from (((group, name), field) for name, field in model.model_fields.items())


VARIABLES: Final[Mapping[str, FieldInfo]] = {_variable(*place): field for place, field in _places()}
"""Every variable that is read; default and description are those of the field."""
_FIELDS: Final = {_variable(*place): ".".join(place) for place, _ in _places()}
_MENTIONED: Final = re.compile(rf"(?<!the variable ){_PREFIX}\w+")
"""After "the variable" it is one that the person's own YAML refers to, whatever it is called."""


def spelled(text: str, keys: Mapping[str, str] | None, *, plain: bool = False) -> str:
    """Return a message that names settings as the person wrote them. The one place that does.

    Args:
        keys: by field, its name where that is another; None: settings are variables.
        plain: without the quotes around a name.
    """
    if keys is None:
        return text

    def key(mentioned: re.Match[str]) -> str:
        field = _FIELDS.get(mentioned[0])
        if field is None:
            return mentioned[0]
        return keys.get(field, field) if plain else f"`{keys.get(field, field)}`"

    return _MENTIONED.sub(key, text)


def unknown_variables(environ: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """List the TOPVIEW_ variables that are not read, each with the nearest one that is."""
    known = {name.removeprefix(_PREFIX): name for name in VARIABLES}
    unknown = []
    for name in sorted(environ.keys() - VARIABLES.keys()):
        if name.upper().startswith(_PREFIX):
            near = get_close_matches(name[len(_PREFIX) :].upper(), known, n=1)
            unknown.append((name, known[near[0]] if near else None))
    return unknown


@cache
def warn_of_unknown_variables() -> None:
    """Log a warning, once, for each of the process's TOPVIEW_ variables that is not read.

    A command calls it when its .env is loaded, the code location when it is imported.
    """
    for name, near in unknown_variables(os.environ):
        meant = "" if near is None else f" Is {near} meant?"
        _log.warning(f"topview-pipeline: there is no setting {name}, it is ignored.{meant}")


def _by_field(variables: Mapping[str, str]) -> dict[str, Any]:
    """Arrange the texts of variables as fields of PipelineConfig."""
    # It takes 20 ms after dagster and 80 ms alone, which code that is given a config is spared.
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

    class Environment(PipelineConfig, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=_PREFIX,
            env_nested_delimiter="_",
            env_nested_max_split=1,
            enable_decoding=False,
            defer_build=True,
        )
        default: CatalogueDefaults
        deadline: Deadlines

    source = EnvSettingsSource(Environment)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    values = source()
    values["defaults"] = values.pop("default", {})
    values["deadline_seconds"] = values.pop("deadline", {})
    return values
