"""All settings of a pipeline as one value, `PipelineConfig`, and the variables it is read from.

Only `definitions.py` and the command line read the environment; all code below is given a config.

Relative paths, and the .env that is read, belong to the *project folder*: the nearest folder from
here upwards that has a workspace.yaml or a .env, else the current folder. `topview-pipeline init`
makes one; a clone of the repository is one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from typing_extensions import Self

from topview_pipeline.errors import PipelineError
from topview_pipeline.prices import PriceList, Probed
from topview_pipeline.text import is_url

Mode = Literal["lite", "pro", "avatar2", "avatar4", "avatar4Fast"]
MODES: Final[tuple[str, ...]] = get_args(Mode)
"""Topview's video modes, smallest first."""
Gate = Literal["off", "quality", "approve"]
GATES: Final[tuple[str, ...]] = get_args(Gate)
"""Why a product waits for a person: never, after a failed check, at every scene."""
DEFAULT_NAME: Final = "topview"
"""Name of a pipeline that is alone: nothing is put before its names in Dagster."""
PYTHON_SOURCE: Final = "python:"
"""Beginning of a TOPVIEW_CATALOGUE that names a source of the user's own."""
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
_PLAIN_WORDS: Final = {
    "Input should be ": "",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
}
"""pydantic's words, and ours."""
_COPY: Final = "Copy it from Topview's API page, the key without the word Bearer."
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class SettingsError(PipelineError):
    """A setting that is missing or cannot be used; `where` is its variable, or its YAML key."""


def project_root(start: Path | None = None) -> Path:
    """Find the project folder, from `start` or here upwards; without one it is that folder."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if any((folder / name).is_file() for name in ("workspace.yaml", ".env")):
            return folder
    return here


# Types of fields. A validator raises ValueError(what is wrong, how to fix it), without a secret.


def _absolute(ref: str, info: ValidationInfo) -> str:
    """Return a path as seen from the project folder; a URL and an import path as they are."""
    if is_url(ref) or ref.startswith(PYTHON_SOURCE):
        return ref
    root: Path = info.context or project_root()
    return str(root / os.path.expanduser(ref))


def _folder(path: Path, info: ValidationInfo) -> Path:
    if is_url(str(path)):
        fix = "Name a folder; TOPVIEW_STORE and TOPVIEW_LEDGER_URL take URLs."
        raise ValueError("it is a URL", fix)
    return Path(_absolute(str(path), info))


def _name(name: str) -> str:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        raise ValueError(f"{name!r} is no name for Dagster", "Use letters, digits and _.")
    return name


def _key_prefix(prefix: object) -> object:
    parts = prefix.split("/") if isinstance(prefix, str) else prefix
    if isinstance(parts, (list, tuple)):
        for part in parts:
            if not re.fullmatch("[A-Za-z0-9_-]+", str(part)):
                fix = "Give a list of parts, each of letters, digits, _ and -."
                raise ValueError(f"{part!r} is no part of an asset key", fix)
    return parts


def _owners(owners: object) -> object:
    names = owners.split(",") if isinstance(owners, str) else owners
    if not isinstance(names, (list, tuple)):
        return names
    names = [str(name).strip() for name in names]
    for name in names:
        if not re.fullmatch(r"team:\S+|[^@\s]+@[^@\s]+\.[^@\s]+", name):
            fix = "Use an e-mail address, or team:content for a team of that name."
            raise ValueError(f"{name!r} is no owner", fix)
    return names


def _cron(cron: str) -> str:
    # The full check is Dagster's, when the outline is made.
    if not re.fullmatch(r"\S+( +\S+){4}|@\w+", cron.strip()):
        fix = "Write minute, hour, day, month and weekday, such as 0 2 * * *."
        raise ValueError(f"{cron!r} is no cron schedule", fix)
    return cron.strip()


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone", "Use a name such as Europe/Berlin.") from None
    return name


def _duration(text: object) -> object:
    """Seconds of `6h`, `30m` or `45s`; anything else stays as it is."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", str(text))
    if found is None:
        return text
    return float(found.group(1)) * {"s": 1, "m": 60, "h": 3600}[found.group(2)]


def _plain_url(text: str) -> str:
    """Return an http or https URL in its one spelling, without a slash at the end."""
    try:
        url = HttpUrl(text)
    except ValidationError:
        fix = "Use https://host or https://host/folder."
        raise ValueError("it is not an http or https URL", fix) from None
    if any(part is not None for part in (url.username, url.password, url.query, url.fragment)):
        fix = "Leave these out: the URL is shown to everyone who sees a log or the Dagster UI."
        raise ValueError("it has a user, a query or a fragment", fix)
    return str(url).rstrip("/")


def _header(value: str | SecretStr) -> str | SecretStr:
    text = value if isinstance(value, str) else value.get_secret_value()
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("it has a blank, a line break or a letter that no header takes", _COPY)
    return value


def _alert_url(url: SecretStr) -> SecretStr:
    if not re.match("https?://[^/ ]", url.get_secret_value()):
        raise ValueError("it is not an http or https URL", "Use the webhook's whole URL.")
    return url


def _probed(value: object, info: ValidationInfo) -> object:
    return Probed.read(_absolute(value, info)) if isinstance(value, str) else value


def _price_list(value: object, info: ValidationInfo) -> object:
    """The list over what a probe saw, and that over the default."""
    contract: Probed | None = info.data.get("contract")
    over = {**DEFAULT_PRICES.prices, **(contract.prices if contract is not None else {})}
    if isinstance(value, str):
        return PriceList.parse(value, "TOPVIEW_PRICES", over=over)
    return PriceList(over) if value == DEFAULT_PRICES else value


def _store(ref: str) -> str:
    if ref.lower().startswith("memory:/"):
        fix = "Name a folder, or a bucket such as s3://bucket/folder."
        raise ValueError("a store in memory is gone with its process, and all that was paid", fix)
    return ref


def _import_path(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(rf"{PYTHON_SOURCE}[\w.]+:\w+", value):
        raise ValueError("it is no import path", "Write python:package.module:attribute.")
    return value


def _only_template(value: str | None, info: ValidationInfo) -> str | None:
    """Refuse a second default for the template: one of the two would be left out of requests."""
    names = ("template_image", "template_image_file_id")
    other = next((name for name in names if info.data.get(name)), None)
    if value and other:
        other = f"TOPVIEW_DEFAULT_{other.upper()}"
        raise ValueError(f"it cannot go with {other}", "Set one of the two.")
    return value


def _ledger_url(text: str, info: ValidationInfo) -> str:
    from sqlalchemy.engine import make_url  # 0.2 s
    from sqlalchemy.exc import ArgumentError

    fix = (
        "Use sqlite:////folder/ledger.db, on a local disk, or postgresql+psycopg2://user:password@"
        "host/name, with %40 and %2F for @ and / in a password."
    )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # its words may quote the password
        raise ValueError(f"not a SQLAlchemy URL ({type(error).__name__})", fix) from None
    if url.drivername in ("postgresql", "postgresql+psycopg2"):
        if not url.database:
            raise ValueError("it names no database", fix)
        return text.replace("postgresql:", "postgresql+psycopg2:", 1)
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f"{url.drivername} is not supported", fix)
    if not url.database or url.database.startswith((":memory:", "file:")):
        what = "it is not a plain file, and a ledger in memory forgets what was paid for"
        raise ValueError(what, fix)
    return url.set(database=_absolute(url.database, info)).render_as_string(hide_password=False)


def database_of(ledger_url: str) -> tuple[object, ...]:
    """Return the database that a ledger's URL leads to, by whichever role."""
    from sqlalchemy.engine import make_url  # 0.2 s

    url = make_url(ledger_url)
    if url.get_backend_name() == "sqlite":
        return (os.path.normpath(str(url.database)),)
    host = url.host or url.query.get("host") or "localhost"
    return str(host).lower(), url.port or 5432, url.database


def _ledger_in_home(given: dict[str, Any]) -> str:
    path = str(given["home"] / "ledger.db")
    return f"sqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


Header = Annotated[str, AfterValidator(_header)]
Key = Annotated[SecretStr, AfterValidator(_header)]
Ref = Annotated[str, AfterValidator(_absolute)]
TemplateId = Annotated[str | None, AfterValidator(_only_template)]
PlainUrl = Annotated[str, AfterValidator(_plain_url)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_PLAIN_DATA: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CatalogueDefaults(BaseModel):
    """Values for empty cells. A location has no default, for it belongs to one template."""

    model_config = _PLAIN_DATA

    template_image: Ref | None = Field(
        None, repr=False, description="Template of rows without one."
    )
    template_image_file_id: TemplateId = Field(
        None, description="Topview's file id of a template, in place of a file."
    )
    avatar_id: TemplateId = Field(
        None, description="Avatar of rows without one, in place of a template."
    )
    image_edit_prompt: str = Field(
        DEFAULT_IMAGE_EDIT_PROMPT, description="Prompt of rows with neither location nor prompt."
    )
    user_face_image: Ref | None = Field(None, repr=False, description="Face of rows without one.")
    voice_id: str | None = Field(None, description="Voice of rows with a script and no voice.")
    caption_id: str | None = Field(None, description="Caption style of rows without one.")
    mode: Mode = Field("avatar2", description="Video mode of rows without one.")


class Deadlines(BaseModel):
    """Variables of `deadline_seconds`."""

    remove_background: float | None = Field(
        None, description="Seconds until a background removal is overdue. Unset: 600."
    )
    image_replace: float | None = Field(
        None, description="Seconds until an image replacement is overdue. Unset: 1200."
    )
    image2video: float | None = Field(
        None, description="Seconds until a video is overdue. Unset: 3600."
    )


class PipelineConfig(BaseModel):
    """Everything that a run of a pipeline needs to know; its repr shows no secret.

    Relative paths are seen from the project folder and become absolute. A value that cannot be used
    raises SettingsError.
    """

    model_config = _PLAIN_DATA

    uid: Header | None = Field(None, description="Topview user id, for Topview and the ledger.")
    api_key: Key | None = Field(None, description="Topview API key, for whatever calls Topview.")
    base_url: PlainUrl = Field("https://api.topview.ai", description="URL of the Topview API.")
    name: Annotated[str, AfterValidator(_name)] = Field(
        DEFAULT_NAME,
        description="Name of the pipeline, another for each catalogue. A name of your own stands "
        "before the names of its partitions, jobs, sensors and schedule in Dagster.",
    )
    key_prefix: Annotated[tuple[str, ...], BeforeValidator(_key_prefix)] = Field(
        default_factory=lambda given: () if given["name"] == DEFAULT_NAME else (given["name"],),
        description="Prefix of its asset keys, with / between its parts. Unset: the name, where "
        "that is one of your own.",
    )
    owners: Annotated[tuple[str, ...], BeforeValidator(_owners)] = Field(
        ("team:content",),
        description="Owners of its assets: addresses or team:NAME, with commas between them.",
    )
    home: Annotated[Path, AfterValidator(_folder)] = Field(
        Path(".topview"),
        validate_default=True,
        description="Folder of ledger and store. Relative paths, here and below, are seen from "
        "the project folder.",
    )
    ledger_url: Annotated[str, AfterValidator(_ledger_url)] = Field(
        default_factory=_ledger_in_home,
        repr=False,
        description="SQLAlchemy URL of the ledger: SQLite on a local disk, or for several machines "
        "postgresql+psycopg2://user:password@host/name. Unset: ledger.db in TOPVIEW_HOME.",
    )
    migrate: bool = Field(
        True,
        description="false: a run makes no tables in the ledger's database, as its role may not; "
        "`topview-pipeline ledger upgrade` does.",
    )
    store: Annotated[Ref, AfterValidator(_store)] = Field(
        default_factory=lambda given: str(given["home"] / "store"),
        repr=False,
        description="Folder or fsspec URL of the results. Unset: store in TOPVIEW_HOME.",
    )
    catalogue: Ref | None = Field(
        None,
        repr=False,
        description="Path or URL of the catalogue, CSV or JSON Lines; or python:module:attribute, "
        "a source of your own.",
    )
    slots: Count = Field(4, description="Task slots of the account's plan.")
    credit_limit: Amount | None = Field(
        None, description="Most credits a UTC day, for all runs of the account. Unset: no limit."
    )
    nightly_credit_limit: Amount | None = Field(
        None,
        description="Most credits of nightly_catch_up in one day of its time zone, however often "
        "it runs. Unset: TOPVIEW_CREDIT_LIMIT alone, and with neither it does nothing.",
    )
    nightly_cron: Annotated[str, AfterValidator(_cron)] = Field(
        "0 2 * * *", description="When nightly_catch_up runs, as cron writes it."
    )
    nightly_timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC", description="Time zone of that, such as Europe/Berlin."
    )
    run_size: Count = Field(
        500,
        description="Most products of one catch_up run that names no limit; the next run takes the "
        "rest.",
    )
    contract: Annotated[Probed | None, BeforeValidator(_probed)] = Field(
        None,
        description="A contract.json that `topview-pipeline probe` wrote: its prices and times "
        "are the estimates until such a task was paid; TOPVIEW_PRICES goes over it.",
    )
    prices: Annotated[PriceList, BeforeValidator(_price_list)] = Field(
        DEFAULT_PRICES,
        validate_default=True,
        description="Credits of a task by kind or kind/mode, such as image2video/lite=0.5, with /s "
        "by the second of speech: added to the default, as the estimate until such a task was "
        "paid. The default is from Topview's points rules and photo avatars; lite and pro have no "
        "published price.",
    )
    poll_seconds: Seconds = Field(3, description="Shortest time between two queries of a task.")
    wait_seconds: Amount = Field(
        1800, description="Longest wait for a product without progress. 0: submit and end."
    )
    shutdown_seconds: Seconds = Field(
        25,
        description="Seconds that a stopped run waits for the answer to what it just sent. After "
        "them the row says unknown; give the process a little longer before it is killed.",
    )
    trust_photos_for: Annotated[Amount, BeforeValidator(_duration)] = Field(
        0, description="So long a plan does not ask for a photo's URL again, such as 6h or 30m."
    )
    deadline_seconds: Mapping[str, Seconds] = {}
    """By kind of task; a kind that is not named has its stage's own."""
    account_exclusive: bool = Field(
        False,
        description="true: nothing but this ledger uses the Topview account, the web application "
        "included. Then the one charge that fits a lost answer is taken for its task.",
    )
    unknown_deadlines: Count = Field(
        2,
        description="Deadlines of its kind after which a task whose submit's answer was lost, and "
        "that is in no credit log, counts as never charged and may be sent again.",
    )
    when_no_face: Literal["fail", "avatar2"] = Field(
        "fail", description="For a scene without a face: fail the product, or take mode avatar2."
    )
    unknown_ids: Literal["warn", "fail"] = Field(
        "warn",
        description="For a voice, caption style or avatar that Topview's lists lack: warn, as they "
        "may be incomplete, or fail the product before anything is paid.",
    )
    previews: bool = Field(True, description="Small pictures on materializations in Dagster's UI.")
    checks: bool = Field(
        True, description="Results are measured as asset checks; one that fails is not exported."
    )
    accelerate_uploads: bool = Field(
        False,
        description="Ask Topview for upload addresses near this machine (needAccelerateUrl): worth "
        "a try far from the USA.",
    )
    gate: Gate = Field(
        "quality",
        description="Before a stage is paid that is made from another. quality: what failed its "
        "check holds the product until a person approves it, and without TOPVIEW_CHECKS nothing "
        "does. approve: every scene waits for a person. off: only what a person rejected waits. "
        "The column gate of a row, and --gate of a run, go over it.",
    )
    canary: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Of the products that share template or avatar, location or prompt, and mode, "
        "so many go first; the others wait until these passed their check, with gate approve until "
        "they are approved. 0: nobody waits.",
    )
    scene_judge: Annotated[str | None, AfterValidator(_import_path)] = Field(
        None,
        description="A judge of your own, as python:module:attribute: called with photo, cut-out, "
        "images and product before a scene's video is paid; what it refuses is as if its check had "
        "failed.",
    )
    media_url: PlainUrl | None = Field(
        None,
        description="URL at which a web server of yours shows the store to browsers, for the links "
        "in Dagster, in the manifest and in the gallery of a remote store. Unset: the store's own "
        "addresses, in Dagster only http and https.",
    )
    alert_url: Annotated[SecretStr, AfterValidator(_alert_url)] | None = Field(
        None,
        description="URL to which changes of the health checks are posted as JSON: a Slack "
        "webhook, or one of your own. It is kept secret.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="json: each result and trouble of a run is also a JSON line on standard error, "
        "with product, stage, task id and run id.",
    )
    gallery_url: PlainUrl | None = Field(
        None, description="URL of a gallery that you serve: results in Dagster link to it."
    )
    code_url: PlainUrl | None = Field(
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
        return None if self.contract is None else self.contract.seconds.get(kind)

    def require_uid(self) -> str:
        """Return the uid, by which the ledger is kept. Raises SettingsError when it is unset."""
        return self._required(self.uid, "uid", _COPY)

    def require_account(self) -> tuple[str, SecretStr]:
        """Return uid and key. Raises SettingsError when one is unset."""
        return self.require_uid(), self._required(self.api_key, "api_key", _COPY)

    def require_catalogue(self) -> str:
        """Return where the catalogue is. Raises SettingsError when that is unset."""
        fix = (
            "Set it to the path or URL of your catalogue (CSV or JSON Lines), or begin with one "
            "that `topview-pipeline init` makes."
        )
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
            found = explained(error, _field if in_code else _variable)
        if in_code:
            found = SettingsError(spelled(found.what, {}), found.where, spelled(found.fix, {}))
        raise found


def explained(error: ValidationError, place: Callable[..., str]) -> SettingsError:
    """Return the first of pydantic's errors in plain words, at the place of a value."""
    first = error.errors(include_url=False)[0]
    what, fix, value = first["msg"], "", first["input"]
    if first["type"] == "value_error":
        what, fix = first["ctx"]["error"].args
    elif what.startswith("Input should be ") and first["type"] != "string_type":
        for theirs, plain in _PLAIN_WORDS.items():
            what = what.replace(theirs, plain)
        what, fix = f"{value!r} cannot be used", f"It must be {what.split(', unable')[0]}."
    return SettingsError(what, place(*map(str, first["loc"])), fix)


def _variable(*place: str) -> str:
    """Return the variable of a field, or of a value in a field of several."""
    name = f"{_PREFIX}{'_'.join(place)}".upper()
    return name.replace("DEFAULTS_", "DEFAULT_").replace("DEADLINE_SECONDS_", "DEADLINE_")


def _field(*place: str) -> str:
    """Return a field, or a value in a field of several, as Python has it."""
    return ".".join(place)


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
_FIELDS: Final = {_variable(*place): _field(*place) for place, _ in _places()}
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


_warned_of: Final[set[str]] = set()


def warn_of_unknown_variables() -> None:
    """Log a warning, once, for each of the process's TOPVIEW_ variables that is not read.

    A command calls it when its .env is loaded, the code location when it is imported.
    """
    for name, near in unknown_variables(os.environ):
        if name in _warned_of:
            continue
        _warned_of.add(name)
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
