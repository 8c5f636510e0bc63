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
        "SQLAlchemy URL of the ledger, SQLite on a local disk. Unset: ledger.db in TOPVIEW_HOME.",
    ),
    Variable(
        "TOPVIEW_ARTIFACTS",
        None,
        "Folder or fsspec URL for what Topview made. Unset: artifacts in TOPVIEW_HOME.",
    ),
    Variable("TOPVIEW_CATALOGUE", None, "Path or URL of the catalogue, CSV or JSON Lines."),
    Variable("TOPVIEW_MAX_CONCURRENT_TASKS", "4", "Task slots of the account's plan."),
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
        "TOPVIEW_WHEN_NO_FACE",
        "fail",
        "A scene without a face can only become a video in mode avatar2. "
        "fail: the product fails. avatar2: that mode is taken.",
    ),
    Variable(
        "TOPVIEW_PREVIEWS", "true", "Small pictures on the materializations in the Dagster UI."
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
