"""Text for people: without secrets, safe for a terminal, and once for many similar things.

Pure functions on strings, and the filter that keeps signed URLs out of the logs of httpx.
"""

import base64
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Final, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

T = TypeVar("T")

# Secrets. The query of a signed URL is a password for its file.

_QUERY: Final = re.compile(r"\?[^\s\"'<>\w]{0,9}\w[^\s\"'<>]*")  # a blank ends a question
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least: `C:/x` is a path
_USER: Final = re.compile(r"(?<=://)[^/?#\s\"'<>]+@")
_HTTPCORE: Final = ("connection", "http11", "http2", "proxy", "socks")
_HTTP_LOGGERS: Final = ("httpx", *(f"httpcore.{name}" for name in _HTTPCORE))
"""All that log a URL or the headers of an answer; a filter counts for its own logger alone."""


def without_queries(text: str) -> str:
    """Return `text` with "?…" for the query of every URL in it, and without user and password."""
    return _QUERY.sub("?…", _USER.sub("", text))


def reason_of(error: Exception) -> str:
    """Return the class of a foreign exception and its first line, without secrets of URLs."""
    line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {without_queries(line)[:200]}"


def bare_url(url: object) -> str:
    """Return scheme, host and path of a URL: the part of a signed one that may be shown."""
    return _USER.sub("", re.split(r"[?#]", str(url), maxsplit=1)[0])


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in one spelling."""
    parts = urlsplit(url.strip())
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def is_url(ref: str) -> bool:
    """Tell whether `ref` is a URL; everything else is a path of this machine."""
    return _SCHEME.match(ref) is not None


def forms_of(secret: str) -> frozenset[str]:
    """Return the forms in which a server may repeat a secret: plain, in a URL, in base64."""
    data = secret.encode()
    encoded = {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}
    return frozenset({secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *encoded})


def masked(text: str, secrets: Collection[str]) -> str:
    """Return `text` with asterisks in place of the secrets."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "***")
    return text


def _hide_queries(record: logging.LogRecord) -> bool:
    record.msg, record.args = without_queries(record.getMessage()), None
    return True


def hide_queries_in_http_logs() -> None:
    """Make httpx and httpcore log URLs without their query; may be called any number of times.

    httpx logs every request's whole URL at INFO, httpcore the headers of every answer at DEBUG, and
    with them the target of a redirect. Dagster is often configured to keep such logs with the run.
    """
    for name in _HTTP_LOGGERS:
        logging.getLogger(name).addFilter(_hide_queries)


# Foreign text: an API's messages, a catalogue's ids. It may hold escape sequences, which a terminal
# would carry out, and line ends, after which a log would show a line that nobody wrote.

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


def printable(text: str) -> str:
    """Return `text` with a question mark for each control character; its lines and tabs stay."""
    return _CONTROL.sub("?", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return `text` in one line, with a question mark for each control character.

    A stretch of blanks and line ends, Unicode's among them, becomes one blank.
    """
    return " ".join(printable(part) for part in text.split())


_COMMAND: Final = re.compile(
    r"topview-pipeline ((?:tasks|ledger) [a-z]+"
    r"|run|plan|check|review|choose|export|gallery|probe|voices|captions|avatars|metrics|purge)\b"
    r"(?! --pipeline)"
)
"""A command that works on a pipeline, as messages have it."""


def for_pipeline(text: str, name: str, *, defs: str | None = None) -> str:
    """Return `text` whose commands work on the pipeline `name`, found in the module `defs`."""
    module = "" if defs is None else f"--defs {defs} "
    return _COMMAND.sub(rf"topview-pipeline {module}\1 --pipeline {name}", text)


def counted(count: float, what: str) -> str:
    """Return a number of things in words: "1 task", "2.5 credits"; two decimals at most."""
    number = count if isinstance(count, int) else f"{round(count, 2):g}"
    return f"{number} {what}{'' if str(number) == '1' else 's'}"


# Similar texts: they differ by numbers only, so one trouble of many is reported once.

LISTED_ONE_BY_ONE: Final = 5
"""A larger group of similar texts gets one line."""
_MOST_LINES: Final = 20
_MOST_ADMITTED: Final = 100
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


def alike(items: Iterable[T], text_of: Callable[[T], str]) -> list[list[T]]:
    """Group the items whose texts differ by numbers only, the largest group first."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(_NUMBER.sub("0", text_of(item)), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def in_common(texts: Iterable[str]) -> str:
    """Return what texts say that differ by numbers only, with "…" for each number that differs."""
    first, *others = texts
    numbers = zip(*map(_NUMBER.findall, [first, *others]), strict=True)
    shown = ["…" if len(set(some)) > 1 else some[0] for some in numbers]
    return "".join(chain(*zip(_NUMBER.split(first), [*shown, ""], strict=True)))


def in_few_lines(
    items: Iterable[T],
    text_of: Callable[[T], str],
    *,
    one: Callable[[T], str],
    many: Callable[[Sequence[T]], str],
) -> list[str]:
    """Return a line of `one` item or of `many` similar ones each, and at most 20 lines."""
    lines: list[str] = []
    for group in alike(items, text_of):
        lines += [many(group)] if len(group) > LISTED_ONE_BY_ONE else map(one, group)
    left_out = len(lines) - _MOST_LINES
    if left_out > 0:
        lines[_MOST_LINES:] = [f"... and {left_out} more"]
    return lines


class FirstOfEach:
    """Admits the first 5 texts of each kind in a stream, and at most 100 in all."""

    def __init__(self) -> None:
        self._admitted: Counter[str] = Counter()

    def admit(self, text: str) -> bool:
        """Count `text` and return True while its kind has room."""
        kind = _NUMBER.sub("0", text)
        of_kind, of_all = self._admitted[kind], self._admitted.total()
        has_room = of_kind < LISTED_ONE_BY_ONE and of_all < _MOST_ADMITTED
        self._admitted[kind] += has_room
        return has_room
