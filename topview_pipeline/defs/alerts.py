"""Alerts: what changed of the health checks, posted as JSON to a URL. Slack reads its `text`.

A check is posted once per change, and at most once in the quiet time; what came in between is in
the post after it. What could not be posted stays due.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.defs.sensors import digest

if TYPE_CHECKING:
    from topview_pipeline.ledger.health import Answer

QUIET_SECONDS: Final = 3600.0
_POST_SECONDS: Final = 10.0
"""Dagster ends a tick after 60 s."""
_IN_TEXT: Final = 5
_WELL: Final = ""

Posted = dict[str, tuple[str, float]]
"""By check: the digest of the answer that was posted last, and when."""


def due(answers: Mapping[str, Answer], posted: Posted, now: float) -> list[str]:
    """The checks whose answer is another one than that posted, and whose quiet time is over."""
    found = []
    for name, answer in answers.items():
        before, at = posted.get(name, (_WELL, -QUIET_SECONDS))
        # A post of the future was made before the clock was set back.
        if digest_of(answer) != before and not 0.0 <= now - at < QUIET_SECONDS:
            found.append(name)
    return found


def digest_of(answer: Answer) -> str:
    """A text that changes with the number of cases and with which they are; empty without one."""
    if not answer.count:
        return _WELL
    cases = [(case.product, case.stage, case.task_id) for case in answer.sample]
    return digest((answer.count, cases))


def payload(pipeline: str, answers: Mapping[str, Answer], meanings: Mapping[str, str]) -> Any:
    """The JSON of a post about these answers; `meanings` are sentences by check."""
    lines = []
    for name, answer in answers.items():
        if not answer.count:
            lines.append(f"{pipeline}: {name} passes again.")
            continue
        lines.append(
            f"{pipeline}: {answer.count} {name}. {meanings.get(name, '')} What to do: {answer.fix}."
        )
        lines += [
            "• " + " ".join(filter(None, (case.product, case.stage, case.what)))
            for case in answer.sample[:_IN_TEXT]
        ]
        if answer.count > _IN_TEXT:
            lines.append(f"• and {answer.count - _IN_TEXT} more")
    return {
        "text": "\n".join(lines),
        "pipeline": pipeline,
        "checks": [
            {
                "name": name,
                "count": answer.count,
                "what_to_do": answer.fix if answer.count else "",
                "sample": [asdict(case) for case in answer.sample],
            }
            for name, answer in answers.items()
        ],
    }


def post(url: str, document: Any) -> str | None:
    """Post a document; why it could not be posted, without the URL, which is a secret."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"Content-Type": "application/json"}
    request = Request(url, json.dumps(document).encode(), headers)  # noqa: S310 - http or https
    try:
        with urlopen(request, timeout=_POST_SECONDS):  # noqa: S310 - likewise
            return None
    except HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__
