"""Every setting once, read from the environment when asked for and never at import.

Shared by the Dagster resources and the command line. Not here: the variables themselves, their
defaults and their meaning (`environment`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from topview_pipeline.environment import (
    DEFAULT_IMAGE_EDIT_PROMPT,
    VARIABLES,
    Environment,
    SettingsError,
    Variable,
)
from topview_pipeline.prices import PriceList
from topview_pipeline.sources import is_url

__all__ = [
    "DEFAULT_IMAGE_EDIT_PROMPT",
    "MODES",
    "PYTHON_SOURCE",
    "VARIABLES",
    "CatalogueDefaults",
    "Settings",
    "SettingsError",
    "Variable",
    "project_root",
]

PYTHON_SOURCE = "python:"
"""What TOPVIEW_CATALOGUE begins with when it names a source of the user's own."""

MODES = ("lite", "pro", "avatar2", "avatar4", "avatar4Fast")
"""Topview's video modes, smallest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueDefaults:
    """What a row gets where its cells are empty.

    There is no default location: a location belongs to one template, and a row may bring its own.
    """

    template_image: str | None = None
    template_image_file_id: str | None = None
    avatar_id: str | None = None
    image_edit_prompt: str = DEFAULT_IMAGE_EDIT_PROMPT
    user_face_image: str | None = None
    voice_id: str | None = None
    caption_id: str | None = None
    mode: str = "avatar2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a process. Neither its repr nor its errors show a secret."""

    base_url: str
    """http or https, without a slash at the end."""
    uid: str | None
    api_key: SecretStr | None
    home: Path
    ledger_url: str = field(repr=False)
    """SQLAlchemy URL; it may hold a password."""
    artifacts: str = field(repr=False)
    """Absolute path or fsspec URL; that may hold one too."""
    catalogue: str | None = field(repr=False)
    catalogue_name: str | None
    """What the ledger knows the catalogue by; None: its location."""
    max_concurrent_tasks: int
    credit_limit: float | None
    """Credits a UTC day, for all runs of the account."""
    nightly_credit_limit: float | None
    """Credits of what one nightly_catch_up orders."""
    prices: PriceList
    """What estimates go by until such a task was really paid."""
    poll_seconds: float
    wait_seconds: float
    deadline_seconds: Mapping[str, float]
    """By kind of task: remove_background, image_replace, image2video."""
    account_exclusive: bool
    """Nobody else uses the account."""
    unknown_deadlines: int
    """Deadlines after which a lost answer that is in no credit log was never charged."""
    when_no_face: Literal["fail", "avatar2"]
    previews: bool
    """Whether materializations show a small picture."""
    checks: bool
    """Whether what was made is measured."""
    media_url: str | None
    """Below which browsers find the store's files; without a slash at the end."""
    defaults: CatalogueDefaults

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, start: Path | None = None
    ) -> "Settings":
        """Read all variables now. Raises SettingsError for the first that cannot be used.

        `start` is where the search for the project begins, see `project_root`.
        """
        env = Environment(os.environ if environ is None else environ)
        root = project_root(start)
        home = _home(env, root)
        artifacts = env.optional("TOPVIEW_ARTIFACTS")
        when_no_face = env.one_of("TOPVIEW_WHEN_NO_FACE", ("fail", "avatar2"))
        return cls(
            base_url=_base_url(env),
            uid=_uid(env),
            api_key=_api_key(env),
            home=home,
            ledger_url=_ledger_url(env, root, home),
            artifacts=_path(artifacts, root) if artifacts else str(home / "artifacts"),
            catalogue=_catalogue(env, root),
            catalogue_name=env.optional("TOPVIEW_CATALOGUE_NAME"),
            max_concurrent_tasks=env.count("TOPVIEW_MAX_CONCURRENT_TASKS"),
            credit_limit=env.optional_number("TOPVIEW_CREDIT_LIMIT"),
            nightly_credit_limit=env.optional_number("TOPVIEW_NIGHTLY_CREDIT_LIMIT"),
            prices=_prices(env),
            poll_seconds=env.number("TOPVIEW_POLL_SECONDS", above_zero=True),
            wait_seconds=env.number("TOPVIEW_WAIT_SECONDS"),
            deadline_seconds={
                kind: env.number(f"TOPVIEW_DEADLINE_{kind.upper()}", above_zero=True)
                for kind in ("remove_background", "image_replace", "image2video")
            },
            account_exclusive=env.flag("TOPVIEW_ACCOUNT_EXCLUSIVE"),
            unknown_deadlines=env.count("TOPVIEW_UNKNOWN_DEADLINES"),
            when_no_face=cast(Literal["fail", "avatar2"], when_no_face),
            previews=env.flag("TOPVIEW_PREVIEWS"),
            checks=env.flag("TOPVIEW_CHECKS"),
            media_url=_media_url(env),
            defaults=_defaults(env, root),
        )


def project_root(start: Path | None = None) -> Path:
    """The folder of workspace.yaml: from `start` (default: here) upwards, else beside the package.

    Where there is none, as in an installed package, it is the current folder.
    """
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents, Path(__file__).absolute().parent.parent):
        if (folder / "workspace.yaml").is_file():
            return folder
    return Path.cwd()


def _path(value: str, root: Path) -> str:
    """A URL as it is, a path absolute: the same setting means the same file wherever it is read."""
    return value if is_url(value) else str(root / os.path.expanduser(value))


def _optional_path(env: Environment, name: str, root: Path) -> str | None:
    value = env.optional(name)
    return None if value is None else _path(value, root)


def _catalogue(env: Environment, root: Path) -> str | None:
    value = env.optional("TOPVIEW_CATALOGUE")
    if value is not None and value.startswith(PYTHON_SOURCE):
        return value
    return _optional_path(env, "TOPVIEW_CATALOGUE", root)


def _home(env: Environment, root: Path) -> Path:
    value = env.optional("TOPVIEW_HOME") or ".topview"
    if is_url(value):
        mend = "Name a folder; TOPVIEW_ARTIFACTS and TOPVIEW_LEDGER_URL take URLs."
        raise SettingsError("TOPVIEW_HOME", "it is a URL", mend)
    return Path(_path(value, root))


def _base_url(env: Environment) -> str:
    mend = "Leave these out; credentials go into TOPVIEW_UID and TOPVIEW_API_KEY."
    return _plain_url(
        "TOPVIEW_BASE_URL", env.text("TOPVIEW_BASE_URL"), "https://api.topview.ai", mend
    )


def _media_url(env: Environment) -> str | None:
    value = env.optional("TOPVIEW_MEDIA_URL")
    if value is None:
        return None
    mend = "Leave these out: the links are shown to whoever sees the Dagster UI."
    return _plain_url("TOPVIEW_MEDIA_URL", value, "https://host/folder", mend)


def _plain_url(name: str, value: str, example: str, without: str) -> str:
    """An http or https URL in one spelling, without a slash at the end.

    Args:
        without: how to mend one with a user, a query or a fragment.
    """
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(name, f"not a URL ({error})", f"Use {example}.") from error
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not host or any(map(str.isspace, value)):
        raise SettingsError(name, "not an http or https URL", f"Use {example}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(name, "it has a user, a query or a fragment", without)
    host = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[scheme]
    origin = host if port in (None, standard) else f"{host}:{port}"
    return f"{scheme}://{origin}{parts.path.rstrip('/')}"


def _uid(env: Environment) -> str | None:
    value = env.optional("TOPVIEW_UID")
    if value is not None:
        _check_header("TOPVIEW_UID", value)
    return value


def _api_key(env: Environment) -> SecretStr | None:
    value = env.optional("TOPVIEW_API_KEY")
    if value is None:
        return None
    if value.lower().startswith("bearer "):
        mend = "Give the key alone; the word is added when it is sent."
        raise SettingsError("TOPVIEW_API_KEY", "it begins with 'Bearer'", mend)
    _check_header("TOPVIEW_API_KEY", value)
    return SecretStr(value)


def _check_header(name: str, value: str) -> None:
    if not (value.isascii() and value.isprintable() and " " not in value):
        what = "it holds a blank, a line break or a letter that no HTTP header takes"
        raise SettingsError(name, what, "Copy it again from Topview's API page.")


def _ledger_url(env: Environment, root: Path, home: Path) -> str:
    # 0.15 s, spared to what only imports the definitions.
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    name = "TOPVIEW_LEDGER_URL"
    value = env.optional(name)
    if value is None:
        return URL.create("sqlite", database=str(home / "ledger.db")).render_as_string()
    mend = (
        "Use sqlite:////folder/ledger.db, on a local disk, or "
        "postgresql+psycopg2://user:password@host/name."
    )
    try:
        url = make_url(value)
    except (ArgumentError, ValueError) as error:
        # The cause quotes of the value, which may hold a password.
        raise SettingsError(name, f"not a SQLAlchemy URL ({type(error).__name__})", mend) from None
    if url.drivername in ("postgresql", "postgresql+psycopg2"):
        if not url.database:
            raise SettingsError(name, "it names no database", mend)
        return value
    if url.get_backend_name() != "sqlite":
        raise SettingsError(name, f"{url.drivername} is not supported", mend)
    if not url.database or ":memory:" in url.database or "mode=memory" in value:
        raise SettingsError(name, "a ledger in memory forgets what was paid for", mend)
    if url.database.startswith("file:"):
        return value
    absolute = url.set(database=_path(url.database, root))
    return absolute.render_as_string(hide_password=False)


def _prices(env: Environment) -> PriceList:
    name = "TOPVIEW_PRICES"
    is_ours = env.is_default(name)
    source = "the default price list" if is_ours else f"the price list in {name}"
    try:
        return PriceList.parse(env.text(name), source)
    except ValueError as error:
        mend = "Use image_replace=1, image2video/avatar2=0.4/s, for example."
        raise SettingsError(name, f"{str(error)!r} is no price", mend) from error


def _defaults(env: Environment, root: Path) -> CatalogueDefaults:
    return CatalogueDefaults(
        template_image=_optional_path(env, "TOPVIEW_DEFAULT_TEMPLATE_IMAGE", root),
        template_image_file_id=env.optional("TOPVIEW_DEFAULT_TEMPLATE_IMAGE_FILE_ID"),
        avatar_id=env.optional("TOPVIEW_DEFAULT_AVATAR_ID"),
        image_edit_prompt=env.text("TOPVIEW_DEFAULT_IMAGE_EDIT_PROMPT"),
        user_face_image=_optional_path(env, "TOPVIEW_DEFAULT_USER_FACE_IMAGE", root),
        voice_id=env.optional("TOPVIEW_DEFAULT_VOICE_ID"),
        caption_id=env.optional("TOPVIEW_DEFAULT_CAPTION_ID"),
        mode=env.one_of("TOPVIEW_DEFAULT_MODE", MODES),
    )
