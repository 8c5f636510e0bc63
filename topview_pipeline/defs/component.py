"""The component `topview_pipeline.TopviewCatalogue`: a pipeline as some lines of YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import dagster as dg
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_wrap_validator_function
from typing_extensions import Self

from topview_pipeline.defs.apart import Claim, check_apart
from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.pipeline import definitions_of
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.setting_types import SettingsError, explained
from topview_pipeline.settings import (
    CatalogueDefaults,
    Deadlines,
    Gate,
    Mode,
    PipelineConfig,
    spelled,
)

_FIELDS: Final = {
    **{f"account.{name}": name for name in ("uid", "api_key", "base_url", "slots")},
    "account.credits_a_day": "credit_limit",
    "account.exclusive": "account_exclusive",
    "ledger": "ledger_url",
    "nightly.cron": "nightly_cron",
    "nightly.timezone": "nightly_timezone",
    "nightly.credits": "nightly_credit_limit",
}
"""By YAML key: the field of PipelineConfig, where that has another name."""
_KEYS: Final = {field: key for key, field in _FIELDS.items()}
_REFERENCE: Final = re.compile(r"""\{\{\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*\))\s*\}\}""")
"""A variable that is given no default: `{{ env.NAME }}` or `{{ env('NAME') }}`."""
_UNSET: Final = object()
_REQUIRED_WHEN_USED: Final = ("uid", "api_key", "catalogue")
"""Fields without which a configuration can be made, and refuses what needs them."""

Secret = Annotated[SecretStr | None, dg.Resolver.default(model_field_type=str | None)]


def _as(name: str, model: type[BaseModel] = PipelineConfig, **more: Any) -> Any:
    """Describe a key as the field that it becomes; `more` says what is different."""
    field = model.model_fields[name]
    plain = isinstance(field.default, (str, int, float))
    description = spelled(field.description or "", _KEYS)
    given: dict[str, Any] = {"default": field.default if plain else None}
    return Field(**(given | {"description": description} | more))


def _hiding(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return a model's schema whose errors hold no value: under a misspelt key it may be a secret.

    Dagster makes new errors, which show it.
    """

    def validated(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            lines: list[Any] = [one | {"input": "(not shown)"} for one in error.errors()]
            raise ValidationError.from_exception_data(error.title, lines) from None

    return no_info_wrap_validator_function(validated, handler(source))


class _Described(dg.Model, dg.Resolvable):
    """Keys of a YAML mapping, whose schema has their descriptions; an error shows no value."""

    model_config = ConfigDict(hide_input_in_errors=True, coerce_numbers_to_str=True)

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Return the model of the YAML. Dagster's own describes only what has no default."""
        model = super().model()
        if "hide_input_in_errors" not in model.model_config:
            model.model_config |= cls.model_config
            if issubclass(cls, dg.Component):  # an error of what is in it passes through it
                model.__get_pydantic_core_schema__ = _hiding  # type: ignore[method-assign]
            for name, field in cls.model_fields.items():
                model.model_fields[name].description = field.description
            model.model_rebuild(force=True)
        return model


class Account(_Described):
    """The Topview account, with what all its pipelines together may use."""

    uid: str | None = _as("uid", default=...)
    api_key: Secret = _as("api_key")
    base_url: str = _as("base_url")
    slots: int = _as("slots")
    credits_a_day: float | None = _as("credit_limit")
    exclusive: bool = _as("account_exclusive")


class Nightly(_Described):
    """The schedule `nightly_catch_up`."""

    cron: str = _as("nightly_cron")
    timezone: str = _as("nightly_timezone")
    credits: float | None = Field(
        None,
        description="Most credits of a day, however often it runs. Unset: `account.credits_a_day` "
        "alone, and with neither it does nothing.",
    )


class Defaults(_Described):
    """Values for empty cells of the catalogue."""

    template_image: str | None = _as("template_image", CatalogueDefaults)
    template_image_file_id: str | None = _as("template_image_file_id", CatalogueDefaults)
    avatar_id: str | None = _as("avatar_id", CatalogueDefaults)
    image_edit_prompt: str = _as("image_edit_prompt", CatalogueDefaults)
    user_face_image: str | None = _as("user_face_image", CatalogueDefaults)
    voice_id: str | None = _as("voice_id", CatalogueDefaults)
    caption_id: str | None = _as("caption_id", CatalogueDefaults)
    mode: Mode = _as("mode", CatalogueDefaults)


class DeadlineSeconds(_Described):
    """Seconds until a task is overdue, by its kind."""

    remove_background: float | None = _as("remove_background", Deadlines)
    image_replace: float | None = _as("image_replace", Deadlines)
    image2video: float | None = _as("image2video", Deadlines)


class _Scaffolder(dg.Scaffolder[Any]):
    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write a defs.yaml to be filled in, named for its folder."""
        if request.scaffold_format != "yaml":
            dg.scaffold_component(request)
            return
        name = re.sub(r"\W", "_", request.target_path.stem)
        name = f"_{name}" if name[:1].isdigit() else name
        text = _EXAMPLE.format(type=request.type_name, name=name, NAME=name.upper())
        if request.append:
            with request.target_path.open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
        else:
            (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")


_EXAMPLE: Final = """\
type: {type}

attributes:
  # It names the partition set {name}_products, the jobs {name}_catch_up ..., the sensors and the
  # schedule. Use another name for each catalogue, and do not change it later.
  name: {name}
  key_prefix: [{name}]

  # CSV or JSON Lines: a path seen from the project's root, an http or fsspec URL such as
  # s3://bucket/catalogue.csv, or python:module:attribute. docs/catalogue.md lists its columns.
  catalogue: "{{{{ env.{NAME}_CATALOGUE }}}}"

  # Both from Topview's API page. Keep them in the environment; a .env in the project's root is one.
  account:
    uid: "{{{{ env.{NAME}_TOPVIEW_UID }}}}"
    api_key: "{{{{ env.{NAME}_TOPVIEW_API_KEY }}}}"
    slots: 4            # task slots of the account's plan
    credits_a_day: 100  # most credits a UTC day, over all pipelines of the account

  # Pipelines of one account share both. The default is .topview/ in the project's root.
  # ledger: "{{{{ env.LEDGER_URL }}}}"  # SQLite on a local disk, or PostgreSQL
  # store: s3://bucket/topview

  nightly: {{cron: "0 2 * * *", timezone: UTC, credits: 50}}

  # For empty cells of the catalogue.
  # defaults: {{mode: avatar4Fast, voice_id: ...}}

  owners: ["team:content"]
"""


@dg.scaffold_with(_Scaffolder)
class TopviewCatalogue(dg.Component, _Described):
    """A product catalogue that becomes product videos, made by Topview.ai.

    Each row of the catalogue is a partition of the assets `bgRemovedImage`, `replacedImages` and
    `finishedVideo`. With them come the job `catch_up`, which makes what is missing under a credit
    limit, a schedule that runs it at night, sensors that follow the catalogue and collect submitted
    tasks, and health checks. `dg scaffold defs` writes an example.

    The names in Dagster begin with that of the pipeline: `acme_products`, `acme_catch_up`. Several
    pipelines of one account share its slots and its credits, and must share ledger and store.
    Relative paths are seen from the project's root. A variable that is not set stops no other
    pipeline: this one loads, and its runs, sensors and checks name the variable.
    """

    name: str = _as("name", default=...)
    key_prefix: list[str] | None = _as(
        "key_prefix", description="Parts of the prefix of its asset keys. Unset: the name."
    )
    catalogue: str | None = _as("catalogue", default=...)
    account: Account = Field(description="The Topview account.")
    ledger: Secret = _as("ledger_url")
    migrate: bool = _as("migrate")
    store: str | None = _as("store")
    home: str = _as("home", default=".topview")
    nightly: Nightly = Field(Nightly(), description="When `nightly_catch_up` runs, and its limit.")
    defaults: Defaults = Field(Defaults(), description="Values for empty cells of the catalogue.")
    owners: list[str] = Field(["team:content"], description="Owners: addresses or team:NAME.")
    contract: str | None = _as("contract")
    prices: dict[str, float | str] | None = _as(
        "prices",
        description="Credits of a task by kind or kind/mode, such as image2video/lite: 0.5, or "
        "0.4/s by the second of speech: added to the default, as the estimate until such a task "
        "was paid.",
    )
    run_size: int = _as("run_size")
    poll_seconds: float = _as("poll_seconds")
    wait_seconds: float = _as("wait_seconds")
    shutdown_seconds: float = _as("shutdown_seconds")
    trust_photos_for: str = _as("trust_photos_for", default="0")
    deadline_seconds: DeadlineSeconds = Field(
        DeadlineSeconds(), description="Seconds until a task is overdue, by its kind."
    )
    unknown_deadlines: int = _as("unknown_deadlines")
    when_no_face: Literal["fail", "avatar2"] = _as("when_no_face")
    accelerate_uploads: bool = _as("accelerate_uploads")
    unknown_ids: Literal["warn", "fail"] = _as("unknown_ids")
    gate: Gate | Literal[False] = _as("gate")
    canary: int = _as("canary")
    scene_judge: str | None = _as("scene_judge")
    previews: bool = _as("previews")
    checks: bool = _as("checks")
    media_url: str | None = _as("media_url")
    alert_url: Secret = _as("alert_url")
    log_format: Literal["text", "json"] = _as("log_format")
    gallery_url: str | None = _as("gallery_url")
    code_url: str | None = _as("code_url")
    _unset: dict[str, str] = PrivateAttr(default_factory=dict)
    """By key: the variable it refers to, which is not set."""
    _file: str = PrivateAttr("")
    """The YAML file, as seen from the project's root; empty for a component made in Python."""

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Make the component from its YAML; keep which variables are not set, and load without."""
        unset: dict[str, str] = {}
        given = _resolved(context, model.model_dump(exclude_unset=True), "", unset)
        file = _file(context)
        if "name" in unset:
            raise _unset_variable("name", unset["name"], file)
        try:
            component = cls.model_validate(given)
        except ValidationError as error:  # it holds the values
            explanation = explained(error, lambda *place: _where(".".join(place), file))
        else:
            component._unset, component._file = unset, file
            return component
        raise explanation

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the pipeline."""
        root = context.project_root
        # The ledger's URL is checked when it is used: SQLAlchemy takes longer to load than all.
        claim = self._claim(root)
        outline = Outline.of_config(claim.config)
        topview = TopviewResource(lambda: self._whole_config(root), outline)
        topview.claim = claim
        for other in context.component_tree.get_all_components(of_type=TopviewCatalogue):
            if other is not self:
                check_apart([claim, other._claim_or_none(root)])
        return definitions_of(topview)

    def _whole_config(self, root: Path) -> PipelineConfig:
        """Return the configuration, when a run, a sensor or a check needs it."""
        errors = {
            key: _unset_variable(key, variable, self._file) for key, variable in self._unset.items()
        }
        for key, error in errors.items():
            if _FIELDS.get(key, key) not in _REQUIRED_WHEN_USED:
                raise error
        config = self._config(root)
        for field in _REQUIRED_WHEN_USED:
            key = _KEYS.get(field, field)
            config.explain_unset(
                {
                    field: errors.get(key)
                    or SettingsError("it is not set", _where(key, self._file), "Give it there.")
                }
            )
        return config

    def _config(self, root: Path, without: str = "") -> PipelineConfig:
        values = dict[str, Any]()
        for key, value in _flat(self.model_dump(exclude_unset=True), "account", "nightly"):
            if value is not None and key != without:
                values[_FIELDS.get(key, key)] = value
        for name in ("ledger_url", "alert_url"):
            if isinstance(url := values.get(name), SecretStr):
                values[name] = url.get_secret_value()
        if values.get("gate") is False:  # to YAML a plain off
            values["gate"] = "off"
        if prices := values.get("prices"):
            values["prices"] = ", ".join(f"{name}={price}" for name, price in prices.items())
        for group in ("defaults", "deadline_seconds"):
            given = values.get(group, {})
            values[group] = {name: value for name, value in given.items() if value is not None}
        try:
            config = PipelineConfig.model_validate(values, context=root).written_as(_KEYS)
            Outline.of_config(config)
        except SettingsError as error:
            what, fix = (spelled(text, _KEYS) for text in (error.what, error.fix))
            where = spelled(error.where, _KEYS, plain=True)
            raise SettingsError(what, _where(where, self._file), fix) from None
        return config

    def _claim_or_none(self, root: Path) -> Claim | None:
        with suppress(SettingsError):  # it is raised when that component is built
            return self._claim(root)
        return None

    def _claim(self, root: Path) -> Claim:
        """Return its part in what others share with it, without opening what is not set yet."""
        config = self._config(root, without="ledger")
        unknown = frozenset(_FIELDS.get(key, key) for key in self._unset)
        ledger = config.ledger_url if self.ledger is None else self.ledger.get_secret_value()

        def find_ledger() -> str | None:
            with suppress(SettingsError):  # it is raised when it is used
                return self._config(root).ledger_url
            return None

        return Claim(config, ledger, find_ledger, unknown, self._file)


def _file(context: dg.ResolutionContext) -> str:
    """Return the YAML file as seen from the project's root."""
    tree, loading = context.source_position_tree, context.scope.get("context")
    if tree is None:
        return ""
    path = Path(tree.position.filename)
    root = path.parent if loading is None else Path(loading.project_root)
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _flat(values: Mapping[str, Any], *groups: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if key in groups:
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _where(key: str, file: str) -> str:
    return f"{key} in {file}" if file else key


def _unset_variable(key: str, variable: str, file: str) -> SettingsError:
    fix = (
        "Set it where this code location runs, such as in the .env of the project, and reload the "
        "code location."
    )
    return SettingsError(f"the variable {variable} is not set", _where(key, file), fix)


def _resolved(context: dg.ResolutionContext, value: Any, key: str, unset: dict[str, str]) -> Any:
    """Resolve the templates in a value, and note variables without a value by the key.

    A text that only refers to variables is their text: Jinja would make a number of 0123. Dagster
    would take one that is not set for None, also within a text.
    """
    if isinstance(value, (dict, list)):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        found = {
            name: _resolved(
                context.at_path(name), inner, f"{key}.{name}" if key else str(name), unset
            )
            for name, inner in inside
        }
        if isinstance(value, list):
            return [inner for inner in found.values() if inner is not _UNSET]
        kept = ("uid", "catalogue")
        return {
            name: None if inner is _UNSET else inner
            for name, inner in found.items()
            if inner is not _UNSET or name in kept
        }
    if not isinstance(value, str) or "{" not in value:
        return value
    names = [match[1] or match[2] for match in _REFERENCE.finditer(value)]
    texts = {name: (getattr(context.scope["env"], name) or "").strip() for name in names}
    for name, text in texts.items():
        if not text:
            unset[key] = name
            return _UNSET
    if re.search(r"\{[{%#]", _REFERENCE.sub("", value)):
        return context.resolve_value(value)
    return _REFERENCE.sub(lambda match: texts[match[1] or match[2]], value)
