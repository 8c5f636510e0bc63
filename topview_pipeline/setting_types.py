"""Types of the settings' fields, with the checks that a value must pass.

A check raises ValueError(what is wrong, how to fix it), without a secret.

Relative paths, and the .env that is read, belong to the *project folder*: the nearest folder from
here upwards that has a workspace.yaml or a .env, else the current folder. `topview-pipeline init`
makes one; a clone of the repository is one.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
)

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import is_url

PYTHON_SOURCE: Final = "python:"
"""Beginning of a TOPVIEW_CATALOGUE that names a source of the user's own."""
_PLAIN_WORDS: Final = {
    "Input should be ": "",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
}
"""pydantic's words, and ours."""
COPY: Final = "Copy it from Topview's API page, the key without the word Bearer."


class SettingsError(PipelineError):
    """A setting that is missing or cannot be used; `where` is its variable, or its YAML key."""


def project_root(start: Path | None = None) -> Path:
    """Find the project folder, from `start` or here upwards; without one it is that folder."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if any((folder / name).is_file() for name in ("workspace.yaml", ".env")):
            return folder
    return here


def absolute(ref: str, info: ValidationInfo) -> str:
    """Return a path as seen from the project folder; a URL and an import path as they are."""
    if is_url(ref) or ref.startswith(PYTHON_SOURCE):
        return ref
    root: Path = info.context or project_root()
    return str(root / os.path.expanduser(ref))


def _folder(path: Path, info: ValidationInfo) -> Path:
    if is_url(str(path)):
        fix = "Name a folder; TOPVIEW_STORE and TOPVIEW_LEDGER_URL take URLs."
        raise ValueError("it is a URL", fix)
    return Path(absolute(str(path), info))


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
            raise ValueError(f"{name!r} is not an owner", fix)
    return names


def _cron(cron: str) -> str:
    # The full check is Dagster's, when the outline is made.
    if not re.fullmatch(r"\S+( +\S+){4}|@\w+", cron.strip()):
        fix = "Write minute, hour, day, month and weekday, such as 0 2 * * *."
        raise ValueError(f"{cron!r} is not a cron schedule", fix)
    return cron.strip()


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a time zone", "Use a name such as Europe/Berlin."
        ) from None
    return name


def _duration(text: object) -> object:
    """Seconds of `1d`, `6h`, `30m` or `45s`; anything else stays as it is."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", str(text))
    if found is None:
        return text
    return float(found.group(1)) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found.group(2)]


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
        raise ValueError("it has a blank, a line break or a letter that no header takes", COPY)
    return value


def _alert_url(url: SecretStr) -> SecretStr:
    if not re.match("https?://[^/ ]", url.get_secret_value()):
        raise ValueError("it is not an http or https URL", "Use the webhook's whole URL.")
    return url


def _store(ref: str) -> str:
    if ref.lower().startswith("memory:/"):
        fix = "Name a folder, or a bucket such as s3://bucket/folder."
        raise ValueError("a store in memory is gone with its process, and all that was paid", fix)
    return ref


def _import_path(value: str) -> str:
    if not re.fullmatch(rf"{PYTHON_SOURCE}[\w.]+:\w+", value):
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
    return url.set(database=absolute(url.database, info)).render_as_string(hide_password=False)


def database_of(url_of_ledger: str) -> tuple[object, ...]:
    """Return the database that a ledger's URL leads to, by whichever role."""
    from sqlalchemy.engine import make_url  # 0.2 s

    url = make_url(url_of_ledger)
    if url.get_backend_name() == "sqlite":
        return (os.path.normpath(str(url.database)),)
    host = url.host or url.query.get("host") or "localhost"
    return str(host).lower(), url.port or 5432, url.database


Header = Annotated[str, AfterValidator(_header)]
Key = Annotated[SecretStr, AfterValidator(_header)]
Ref = Annotated[str, AfterValidator(absolute)]
TemplateId = Annotated[str | None, AfterValidator(_only_template)]
PlainUrl = Annotated[str, AfterValidator(_plain_url)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FolderPath = Annotated[Path, AfterValidator(_folder)]
DagsterName = Annotated[str, AfterValidator(_name)]
KeyPrefix = Annotated[tuple[str, ...], BeforeValidator(_key_prefix)]
Owners = Annotated[tuple[str, ...], BeforeValidator(_owners)]
LedgerUrl = Annotated[str, AfterValidator(_ledger_url)]
StoreRef = Annotated[Ref, AfterValidator(_store)]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Duration = Annotated[Amount, BeforeValidator(_duration)]
ImportPath = Annotated[str, AfterValidator(_import_path)]
WebhookUrl = Annotated[SecretStr, AfterValidator(_alert_url)]


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
