"""The component `topview_pipeline.TopviewCatalogue`: a pipeline as some lines of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, cast, get_type_hints

import dagster as dg
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    create_model,
    model_validator,
)
from typing_extensions import Self

from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.pipeline import Claim, check_apart, definitions_of
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.setting_types import SettingsError, explained
from topview_pipeline.settings import CatalogueDefaults, Deadlines, Gate, PipelineConfig, spelled

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
_GROUPS: Final = {
    "account": "The Topview account, with what all its pipelines together may use.",
    "nightly": "When `nightly_catch_up` runs, and its limit.",
    "defaults": "Values for empty cells of the catalogue.",
    "deadline_seconds": "Seconds until a task is overdue, by its kind.",
}
"""Keys that are mappings."""
_REQUIRED: Final = ("name", "catalogue", "uid")
_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("api_key", "ledger_url", "alert_url"), SecretStr),
    **dict.fromkeys(("home", "contract", "trust_photos_for"), str),
    **dict.fromkeys(("key_prefix", "owners"), list[str]),
    "gate": Gate | Literal[False],
    "prices": dict[str, float | str],
}
"""By field: its type in YAML, where that is another."""
_DESCRIPTIONS: Final = {
    "key_prefix": "Parts of the prefix of its asset keys. Unset: the name.",
    "owners": "Owners: addresses or team:NAME.",
    "nightly_credit_limit": "Most credits of a day, however often it runs. Unset: "
    "`account.credits_a_day` alone, and with neither it does nothing.",
    "prices": "Credits of a task by kind or kind/mode, such as image2video/lite: 0.5, or 0.4/s by "
    "the second of speech: added to the default, as the estimate until such a task was paid.",
}
"""By field: its description in YAML, where that is another."""
_REFERENCE: Final = re.compile(r"""\{\{\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*\))\s*\}\}""")
"""A variable that is given no default: `{{ env.NAME }}` or `{{ env('NAME') }}`."""
_REQUIRED_WHEN_USED: Final = ("uid", "api_key", "catalogue")
"""Fields without which a configuration can be made, and refuses what needs them."""


class _Mapping(dg.Model):
    """A YAML mapping whose errors hold no value: under a misspelt key it may be a secret."""

    model_config = ConfigDict(
        hide_input_in_errors=True, coerce_numbers_to_str=True, validate_default=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _hide(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Leave values out of errors: Dagster makes new ones of them, which would show them."""
        try:
            return validate(value)
        except ValidationError as error:
            lines: list[Any] = [one | {"input": "(not shown)"} for one in error.errors()]
            raise ValidationError.from_exception_data(error.title, lines) from None


def _keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the YAML keys of a model's fields, as create_model takes them."""
    hints, keys = get_type_hints(model), {}
    for name, field in model.model_fields.items():
        default = str(field.default) if isinstance(field.default, Path) else field.default
        if name in _REQUIRED:
            default = ...
        elif not isinstance(default, (str, int, float)):
            default = None
        description = _DESCRIPTIONS.get(name) or spelled(field.description or "", _KEYS)
        given = Field(default, description=description)
        kind = _TYPES.get(name, hints[name])
        kind = kind if kind is SecretStr else kind | str  # a template, until it is resolved
        keys[_KEYS.get(name, name)] = kind | None, given
    return keys


def _attributes() -> type[BaseModel]:
    """Make the model of a component's YAML, from the fields of PipelineConfig."""
    keys = _keys_of(PipelineConfig)
    inside = {"defaults": _keys_of(CatalogueDefaults), "deadline_seconds": _keys_of(Deadlines)}
    for key in _FIELDS:
        group, _, name = key.rpartition(".")
        if group:
            inside.setdefault(group, {})[name] = keys.pop(key)
    for group, description in _GROUPS.items():
        mapping = create_model(group, __base__=_Mapping, **inside[group])
        default: Any = ... if group == "account" else {}
        keys[group] = (mapping | str, Field(default, description=description))
    return create_model("TopviewCatalogueAttributes", __base__=_Mapping, **keys)


_Attributes: Any = _attributes()


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
class TopviewCatalogue(dg.Component, _Attributes, dg.Resolvable):  # type: ignore[misc]
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

    _unset: dict[str, str] = PrivateAttr(default_factory=dict)
    """By key: the variable it refers to, which is not set."""
    _file: str = PrivateAttr("")
    """The YAML file, as seen from the project's root; empty for a component made in Python."""

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Return the model of the YAML: a key for each field of PipelineConfig."""
        return cast(type[BaseModel], _Attributes)

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Make the component from its YAML; keep which variables are not set, and load without."""
        unset: dict[str, str] = {}
        given = _resolved(context, model.model_dump(exclude_unset=True), "", unset)
        file = _file(context)
        for key in ("name", *_GROUPS):
            if key in unset:
                raise _unset_variable(key, unset[key], file)
        for key in _GROUPS:
            if isinstance(given.get(key), str):
                fix = "Write its keys below it, each with a value."
                raise SettingsError("it is a text and must be a mapping", _where(key, file), fix)
        try:
            component = cls.model_validate(given)
        except ValidationError as error:  # it holds the values
            explanation = explained(error, lambda *place: _where(_path(place), file))
        else:
            component._unset, component._file = unset, file
            return cast(Self, component)
        raise explanation

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        root = context.project_root
        # The ledger's URL is checked when it is used: SQLAlchemy takes longer to load than all.
        claim = self._claim(root)
        outline = Outline.of_config(claim.config)
        topview = TopviewResource(lambda: self._whole_config(root), outline)
        topview.claim = claim
        for other in context.component_tree.get_all_components(of_type=TopviewCatalogue):
            if other is not self:
                theirs = None
                with suppress(SettingsError):  # it is raised when that component is built
                    theirs = other._claim(root)
                check_apart([claim, theirs])
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
            unset = SettingsError("it is not set", _where(key, self._file), "Give it there.")
            config.explain_unset({field: errors.get(key, unset)})
        return config

    def _config(self, root: Path, without: str = "") -> PipelineConfig:
        values = _by_field(self.model_dump(exclude_unset=True))
        values.pop(without, None)
        try:
            config = PipelineConfig.model_validate(values, context=root).written_as(_KEYS)
            Outline.of_config(config)
        except SettingsError as error:
            what, fix = (spelled(text, _KEYS) for text in (error.what, error.fix))
            where = spelled(error.where, _KEYS, plain=True)
            raise SettingsError(what, _where(where, self._file), fix) from None
        return config

    def _claim(self, root: Path) -> Claim:
        """Return its part in what others share with it, without opening what is not set yet."""
        config = self._config(root, without="ledger_url")
        unknown = frozenset(_FIELDS.get(key, key) for key in self._unset)

        def find_ledger() -> str | None:
            with suppress(SettingsError):  # it is raised when it is used
                return self._config(root).ledger_url
            return None

        ledger = self.ledger.get_secret_value() if self.ledger else config.ledger_url
        return Claim(config, ledger, find_ledger, unknown, self._file)


def _by_field(given: dict[str, Any]) -> dict[str, Any]:
    """Arrange the values of YAML keys as fields of PipelineConfig; null is as if left out."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, dict):
            value = {name: inner for name, inner in value.items() if inner is not None}
        if key in ("account", "nightly") and isinstance(value, dict):
            values |= {_FIELDS[f"{key}.{name}"]: inner for name, inner in value.items()}
        elif value is not None or key == "name":
            values[_FIELDS.get(key, key)] = value
    if "ledger_url" in values:
        values["ledger_url"] = values["ledger_url"].get_secret_value()
    if values.get("gate") is False:  # to YAML a plain off
        values["gate"] = "off"
    if isinstance(prices := values.get("prices"), dict):
        values["prices"] = ", ".join(f"{name}={price}" for name, price in prices.items())
    return values


def _file(context: dg.ResolutionContext) -> str:
    """Return the YAML file as seen from the project's root."""
    tree, loading = context.source_position_tree, context.scope.get("context")
    if tree is None:
        return ""
    path = Path(tree.position.filename)
    root = path.parent if loading is None else Path(loading.project_root)
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _path(place: tuple[str, ...]) -> str:
    """Return a YAML path without pydantic's names of what it tried there."""
    return ".".join(part for part in place if "[" not in part and part != "str")


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
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(value, (dict, list)):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        found = {
            name: _resolved(
                context.at_path(name), inner, f"{key}.{name}" if key else str(name), unset
            )
            for name, inner in inside
        }
        if isinstance(value, dict):
            return found
        return [inner for inner in found.values() if inner is not None]
    if not isinstance(value, str) or "{" not in value:
        return value
    names = [match[1] or match[2] for match in _REFERENCE.finditer(value)]
    texts = {name: (getattr(context.scope["env"], name) or "").strip() for name in names}
    for name, text in texts.items():
        if not text:
            unset[key] = name
            return None
    if re.search(r"\{[{%#]", _REFERENCE.sub("", value)):
        return context.resolve_value(value)
    return _REFERENCE.sub(lambda match: texts[match[1] or match[2]], value)
