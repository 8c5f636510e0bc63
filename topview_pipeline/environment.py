"""The environment variables: their names, defaults and meaning, and reading one as a type.

One table is what README and `--help` print and what the code reads: a variable that is not in it
cannot be read. Not here: what the values make together (`settings`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """A variable that cannot be used: its name, what is wrong, and how to mend it."""

    def __init__(self, variable: str, what: str, mend: str) -> None:
        super().__init__(f"{variable}: {what}. {mend}")
        self.variable, self.what, self.mend = variable, what, mend


DEFAULT_IMAGE_EDIT_PROMPT = (
    "Let the person in picture 1 present the product of picture 2 in place of the object shown "
    "there. Leave the person, the pose, the light and the framing as they are, and the product's "
    "shape, colours and lettering too."
)
"""What auto placement is told when neither row nor settings say it."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. Without a default it is optional; `meaning` tells unset's too."""

    name: str
    default: str | None
    meaning: str


VARIABLES = (
    Variable("TOPVIEW_UID", None, "Topview user id. Needed wherever Topview is called."),
    Variable("TOPVIEW_API_KEY", None, "Topview API key. Needed wherever Topview is called."),
    Variable("TOPVIEW_BASE_URL", "https://api.topview.ai", "Where Topview answers."),
    Variable(
        "TOPVIEW_HOME",
        None,
        "Folder of ledger and artifacts. Unset: .topview beside workspace.yaml. "
        "Relative paths, here and below, are seen from the folder of workspace.yaml.",
    ),
    Variable(
        "TOPVIEW_LEDGER_URL",
        None,
        "SQLAlchemy URL of the ledger: SQLite on a local disk, or for several machines "
        "postgresql+psycopg2://user:password@host/name. Unset: ledger.db in TOPVIEW_HOME.",
    ),
    Variable(
        "TOPVIEW_ARTIFACTS",
        None,
        "Folder or fsspec URL for what Topview made. Unset: artifacts in TOPVIEW_HOME.",
    ),
    Variable(
        "TOPVIEW_CATALOGUE",
        None,
        "Path or URL of the catalogue, CSV or JSON Lines; or python:module:attribute, a source of "
        "your own.",
    ),
    Variable(
        "TOPVIEW_CATALOGUE_NAME",
        None,
        "What the ledger knows the catalogue by, so that it may move. Unset: its whole location.",
    ),
    Variable("TOPVIEW_MAX_CONCURRENT_TASKS", "4", "Task slots of the account's plan."),
    Variable(
        "TOPVIEW_CREDIT_LIMIT",
        None,
        "Most credits a UTC day, for all runs of the account together. Unset: no limit.",
    ),
    Variable(
        "TOPVIEW_NIGHTLY_CREDIT_LIMIT",
        None,
        "Most credits that a night's nightly_catch_up may order. Unset: TOPVIEW_CREDIT_LIMIT "
        "alone, and with neither the nights do nothing.",
    ),
    Variable(
        "TOPVIEW_PRICES",
        "image_replace=1, image2video/avatar2=0.4/s, image2video/avatar4=0.1/s, "
        "image2video/avatar4Fast=0.06/s",
        "Credits of a task by kind or kind/mode, with /s by the second of speech: what estimates "
        "go by until such a task was really paid. The default is from Topview's points rules and "
        "photo avatars; lite and pro have no published price.",
    ),
    Variable("TOPVIEW_POLL_SECONDS", "3", "Shortest time between two queries of a task."),
    Variable(
        "TOPVIEW_WAIT_SECONDS",
        "1800",
        "How long a run waits for a product without progress. 0: submit and end.",
    ),
    Variable(
        "TOPVIEW_DEADLINE_REMOVE_BACKGROUND",
        "600",
        "Seconds after which a background removal counts as stalled.",
    ),
    Variable(
        "TOPVIEW_DEADLINE_IMAGE_REPLACE",
        "1200",
        "Seconds after which an image replacement counts as stalled.",
    ),
    Variable(
        "TOPVIEW_DEADLINE_IMAGE2VIDEO", "3600", "Seconds after which a video counts as stalled."
    ),
    Variable(
        "TOPVIEW_ACCOUNT_EXCLUSIVE",
        "false",
        "true: nobody and nothing but this ledger uses the Topview account, web application "
        "included. Then the one charge that fits a lost answer is taken for its task.",
    ),
    Variable(
        "TOPVIEW_UNKNOWN_DEADLINES",
        "2",
        "Deadlines of its kind after which a task whose submit's answer was lost, and that is in "
        "no credit log, is taken for never charged and may be sent again.",
    ),
    Variable(
        "TOPVIEW_WHEN_NO_FACE",
        "fail",
        "A scene without a face can only become a video in mode avatar2. "
        "fail: the product fails. avatar2: that mode is taken.",
    ),
    Variable(
        "TOPVIEW_PREVIEWS", "true", "Small pictures on the materializations in the Dagster UI."
    ),
    Variable(
        "TOPVIEW_CHECKS",
        "true",
        "Each result is measured and shown as an asset check; what fails it is not exported.",
    ),
    Variable(
        "TOPVIEW_MEDIA_URL",
        None,
        "URL below which a web server of yours shows the store to browsers: links of "
        "materializations and manifest, and of the gallery of a remote store, begin with it. "
        "Unset: the store's own addresses; of those a materialization links only http and https.",
    ),
    Variable("TOPVIEW_DEFAULT_TEMPLATE_IMAGE", None, "Template of rows without one."),
    Variable("TOPVIEW_DEFAULT_TEMPLATE_IMAGE_FILE_ID", None, "Topview's file id of that template."),
    Variable("TOPVIEW_DEFAULT_AVATAR_ID", None, "Avatar of rows without template or avatar."),
    Variable(
        "TOPVIEW_DEFAULT_IMAGE_EDIT_PROMPT",
        DEFAULT_IMAGE_EDIT_PROMPT,
        "Prompt of rows with neither location nor prompt.",
    ),
    Variable("TOPVIEW_DEFAULT_USER_FACE_IMAGE", None, "Face of rows without one."),
    Variable("TOPVIEW_DEFAULT_VOICE_ID", None, "Voice of rows with a script and no voice."),
    Variable("TOPVIEW_DEFAULT_CAPTION_ID", None, "Caption style of rows without one."),
    Variable("TOPVIEW_DEFAULT_MODE", "avatar2", "Video mode of rows without one."),
)
"""Every variable that the package reads. An empty value counts as unset."""

_BY_NAME = {variable.name: variable for variable in VARIABLES}
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Environment:
    """Typed reading of variables. Every method raises SettingsError for a value it cannot use."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def optional(self, name: str) -> str | None:
        """The value without the blanks around it, else the default."""
        return self._environ.get(name, "").strip() or _BY_NAME[name].default

    def is_default(self, name: str) -> bool:
        """Whether the variable is not set."""
        return not self._environ.get(name, "").strip()

    def text(self, name: str) -> str:
        """The value of a variable that has a default."""
        value = self.optional(name)
        if value is None:
            raise SettingsError(name, "it is not set", "Set it.")
        return value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """The value, one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise SettingsError(name, f"{value!r} is no choice", f"Use {' or '.join(allowed)}.")
        return value

    def flag(self, name: str) -> bool:
        """true or false, in any of the usual words."""
        value = self.text(name).lower()
        if value not in _WORDS:
            raise SettingsError(name, f"{value!r} is neither true nor false", "Use true or false.")
        return _WORDS[value]

    def count(self, name: str) -> int:
        """A whole number from 1."""
        value = self.text(name)
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0):
            raise SettingsError(name, f"{value!r} is no whole number from 1", "Use 4, for example.")
        return int(value)

    def optional_number(self, name: str) -> float | None:
        """A finite number, not negative; None when it is not set."""
        return None if self.optional(name) is None else self.number(name)

    def number(self, name: str, *, above_zero: bool = False) -> float:
        """A finite number, not negative, and not 0 with `above_zero`."""
        value = self.text(name)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (above_zero and number == 0):
            mend = "Use a number above 0." if above_zero else "Use 0 or a larger number."
            raise SettingsError(name, f"{value!r} is no such number", mend)
        return number
