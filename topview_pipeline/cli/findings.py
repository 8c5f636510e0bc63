"""The findings of a probe: its verdict on each open point of Topview's contract. Pure.

The points are the lines of docs/sandbox.md's table, and C1 to C20, where later evidence adds to the
documents or contradicts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from topview_pipeline.cli.contract import (
    QUERIES,
    RUNGS,
    WORDS,
    Seen,
    first_url,
    is_iso,
    log_date,
    prices,
    query_results,
    sandbox_settings,
    shapes,
    submit_results,
)
from topview_pipeline.media.quality import SHORT_SIDES
from topview_pipeline.settings import DEFAULT_PRICES
from topview_pipeline.stages import BY_KEY, CUT_OUT, SCENE, VIDEO

CONFIRMED: Final = "confirmed"
DIFFERENT: Final = "different"
NOT_SEEN: Final = "not seen"
_OUTPUTS: Final = ("bgRemovedImagePath", "replaceProductResult", "finishedVideoUrl")
_TYPICAL: Final = {CUT_OUT.key: 20.0, SCENE.key: 90.0, VIDEO.key: 210.0}
_SANDBOX: Final = {CUT_OUT.key: 3.0, SCENE.key: 20.0, VIDEO.key: 45.0}
"""Seconds that a task takes: by the vendor's words, and in the sandbox."""
_UNSEEN: Final = {
    "v3 image_replace": "the pipeline uses v2",
    "slots": "only many paid tasks at once would show it",
    "retention": "only a week would show it",
    "forget_after": "only days would show it",
    "notices": "the pipeline uses none",
    "C2": "a script that is too long is refused before it is sent",
    "C3": "v3 is not used",
    "C6": "a prompt beside a location is not sent here",
    "C7": "v3 is not used",
    "C10": "notices are not used",
    "C11": "boards are not used",
    "C13": "a pause in a script is not sent here",
    "C18": "no error of the server's was provoked",
}
"""Points that a probe does not ask about, and why."""


@dataclass(frozen=True)
class Finding:
    """One point of the contract: its verdict, and what was seen."""

    verdict: str
    seen: str


def findings(seen: Seen) -> dict[str, Finding]:
    """The verdict on each line of docs/sandbox.md's table, and on C1 to C20."""
    found = {name: Finding(NOT_SEEN, why) for name, why in _UNSEEN.items()}
    for part in (_of_calls, _of_tasks, _of_prices, _of_the_log, _of_shapes, _of_files):
        found |= {name: Finding(verdict, words) for name, verdict, words in part(seen)}
    return found


_Verdicts = Iterator[tuple[str, str, str]]


def _is(believed: bool | None) -> str:
    return NOT_SEEN if believed is None else CONFIRMED if believed else DIFFERENT


def _of_calls(seen: Seen) -> _Verdicts:
    good = [one for one in seen.exchanges if one.code is not None]
    odd = sorted(
        {
            f"{one.call} answered HTTP {one.status}, code {one.code!r}"
            for one in seen.exchanges
            if not isinstance(one.code, str) or (one.status != 200 and one.code != "401")
        }
    )
    yield "envelope", _is(not odd if good else None), "; ".join(odd) or "HTTP 200, code a string"
    alone, wrong = seen.asked.get("key alone"), seen.asked.get("wrong key")
    is_alone = alone and alone.code == "200"
    answers = f"a wrong key HTTP {wrong.status}, code {wrong.code}" if wrong else ""
    words = f"the key alone is {'taken' if is_alone else 'refused'}; {answers}"
    as_believed = bool(is_alone and wrong and (wrong.status, wrong.code) == (401, "401"))
    yield "credentials", _is(as_believed if wrong else None), words
    early = seen.asked.get("check before PUT")
    said = early.result if early and isinstance(early.result, bool) else "no boolean"
    words = f"code {early.code}, result {said}" if early else ""
    is_false = early and (early.code, early.result) == ("200", False)
    yield "upload check", _is(bool(is_false) if early else None), words
    ids = [seen.asked[name] for name in ("unknown task", "other path") if name in seen.asked]
    codes = sorted({str(one.code) for one in ids})
    yield "unknown ids", _is(codes == ["4004"] if ids else None), f"code {', '.join(codes)}"
    listed = {"200", "401", "4000", "4001", "4002", "4003", "4004", "4005", "4006", "4007", "4100"}
    listed |= {"5000", "5001", "5003", "5004", "5005", "6001"}
    codes = sorted({str(one.code) for one in good})
    wanting = seen.asked.get("no photo")
    is_known = {*codes} <= listed and wanting is not None and wanting.code == "4003"
    said = "" if wanting is None else f"; a missing field is {wanting.code}"
    yield "C17", _is(is_known if codes else None), f"codes {', '.join(codes)}{said}"
    plain, quick = seen.asked.get("upload"), seen.asked.get("accelerated upload")
    hosts = [
        urlsplit(str(one.fields.get("uploadUrl", ""))).hostname
        for one in (plain, quick)
        if one and one.code == "200"
    ]
    is_other = len(hosts) == 2 and hosts[0] != hosts[1]
    words = "another host" if is_other else "the same host as without it"
    yield (
        "C19",
        _is(None if len(hosts) < 2 else is_other),
        f"needAccelerateUrl=true gives {words}",
    )


def _of_tasks(seen: Seen) -> _Verdicts:
    submits = submit_results(seen)
    words = sorted({str(one.get("status")) for one in submits})
    uuids = {one.get("noticeUuid") for one in submits}
    believed = words == ["success"] and uuids <= {None} if submits else None
    yield "submit", _is(believed), f"status {', '.join(words)}"
    queries = query_results(seen)
    words = sorted({str(one.get("status")) for one in queries})
    unfinished = [one for one in queries if one.get("status") != "success"]
    early = any(one.get(name) for one in unfinished for name in _OUTPUTS)
    believed = {*words} <= {*WORDS} and not early if unfinished else None
    note = "; there are results before success" if early else ""
    yield "status", _is(believed), f"{', '.join(words)}{note}"
    times = {key: took for key in QUERIES if (took := seen.took(key)) is not None}
    said = ", ".join(f"{BY_KEY[key].kind} {took:.0f} s" for key, took in times.items())
    for name, typical in (("durations", _SANDBOX), ("C14", _TYPICAL)):
        near = all(typical[key] / 3 <= took <= typical[key] * 3 for key, took in times.items())
        yield name, _is(near if times else None), said
    count = (seen.image_count or None) if seen.is_manual else None
    said = f"a location gives {count} images" if count else ""
    yield "v2 image_replace", _is(None if count is None else count == 2), said
    row = seen.rows.get(VIDEO.key)
    yield "image2Video", _is(None if row is None else True), f"mode {row.mode}" if row else ""
    refusals = "; ".join(
        f"{rung}: refused with {row.error_code}" for rung, row in seen.refused.items()
    )
    said = "; ".join(filter(None, (refusals, f"{seen.rung}: taken" if seen.rung else "")))
    sent = None if seen.rung is None else RUNGS[seen.rung]
    yield "captionId", _is(None if sent is None else "captionId" not in sent), said
    yield "C5", _is(None if sent is None else len(sent) == 2), said
    yield from _of_urls(seen)


def _of_urls(seen: Seen) -> _Verdicts:
    one, two = (first_url(seen.asked.get(name)) for name in ("query", "query again"))
    cloud = first_url(seen.asked.get("query cloudfront"))
    if one is None or two is None:
        yield "URLs", NOT_SEEN, ""
        return
    lives = parse_qs(urlsplit(one).query).get("X-Amz-Expires", ["?"])[0]
    fresh = "signed again at each query" if one != two else "the same at each query"
    other = cloud is not None and "Key-Pair-Id" in cloud
    forged = seen.asked.get("changed signature")
    status = None if forged is None else forged.status
    words = f"lives {lives} s, {fresh}; CloudFront {'on' if other else 'not on'} request; "
    believed = lives == "86400" and other and status == 403
    yield "URLs", _is(believed), f"{words}a changed signature is HTTP {status}"


def _of_prices(seen: Seen) -> _Verdicts:
    found = prices(seen)
    cut_out = seen.cost(CUT_OUT.key)
    believed = dict(part.split("=") for part in str(DEFAULT_PRICES).split(", "))
    as_believed = all(believed.get(name, text) == text for name, text in found.items())
    words = ", ".join(f"{name}={text}" for name, text in found.items())
    if cut_out:
        words = f"remove_background={cut_out:g}, {words}"
    known = bool(found) or bool(cut_out)
    yield "prices", _is(as_believed and not cut_out if known else None), words
    cost, count = seen.cost(SCENE.key), seen.image_count
    words = f"{count} images cost {cost:g}" if cost is not None else ""
    yield "C1", _is(cost == count if cost is not None and seen.is_manual else None), words
    pairs = [(seen.rows[key].cost_credits, seen.charge(key)) for key in seen.rows]
    both = [(cost, charge.cost_credit) for cost, charge in pairs if charge is not None]
    words = "; ".join(f"query {cost}, log {booked}" for cost, booked in both)
    yield "charging", _is(all(cost == booked for cost, booked in both) if both else None), words


def _of_the_log(seen: Seen) -> _Verdicts:
    dates = [one.date for one in seen.log if one.date is not None]
    newest_first = dates == sorted(dates, reverse=True) if len(set(dates)) > 1 else None
    within = seen.asked.get("log at a date")
    rows = within.fields.get("data") if within is not None else None
    words = {True: "newest first", False: "not newest first", None: "too few entries for an order"}
    ends = "" if within is None else f"; both ends {'in' if rows else 'not in'} a search"
    verdict = _is(newest_first is not False and bool(rows) if within is not None else newest_first)
    yield "credit log", verdict, f"{words[newest_first]}{ends}"
    meaning = log_date(seen)
    form = "ISO 8601" if is_iso(seen) else "yyyy-MM-dd HH:mm:ss"
    said = f"dated by {meaning}" if meaning else "too quick, or not in the log: nothing to tell by"
    yield "C4", _is(None if meaning is None else meaning == "creation"), f"{said}; {form}"
    booked = {key: charge.task_type for key in seen.rows if (charge := seen.charge(key))}
    known = all(word in BY_KEY[key].booked_as for key, word in booked.items())
    words_ = ", ".join(f"{BY_KEY[key].kind} as {word}" for key, word in booked.items())
    yield "C8", _is(known if booked else None), words_


def _of_shapes(seen: Seen) -> _Verdicts:
    found = shapes(seen)

    def unlike(call: str) -> str:
        parts = [("unknown", found[call]["unknown"]), ("missing", found[call]["missing"])]
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)

    space = "GET /user/space"
    odd = unlike(space) if space in found else None
    for name in ("disk space", "C9"):
        yield name, _is(None if odd is None else not odd), odd or ""
    odd = "; ".join(f"{call}: {unlike(call)}" for call in found if unlike(call))
    yield "C12", _is(not odd if found else None), odd
    left = [
        one.get("remainCredit")
        for one in seen.results("GET /user/credit/detail")
        if isinstance(one, dict)
    ]
    is_number = bool(left) and all(isinstance(one, (int, float)) for one in left)
    words = "remainCredit is a number; compare it with the web account's"
    yield "C16", _is(is_number if left else None), words if is_number else "remainCredit is none"
    mask = found.get(f"GET {QUERIES[CUT_OUT.key]}", {}).get("fields", {}).get("maskImageFileId")
    words = f"maskImageFileId is {mask}; it is not sent back here"
    yield "C15", _is(None if mask is None else "string" in mask), words


def _of_files(seen: Seen) -> _Verdicts:
    marks = sorted({f"{one.name}: {mark}" for one in seen.files for mark in one.marks})
    videos = [one for one in seen.files if one.seconds]
    row = seen.rows.get(VIDEO.key)
    side = SHORT_SIDES.get(row.mode or "") if row else None
    fits = all(one.codec == "h264" and min(one.width, one.height) == side for one in videos)
    words = ", ".join(
        f"{one.name} {one.codec} {one.width}x{one.height}" + (f" {one.sound}" if one.sound else "")
        for one in seen.files
    )
    yield (
        "files",
        _is(fits and not marks if videos else None),
        "; ".join(filter(None, (words, *marks))),
    )
    yield "C20", NOT_SEEN, "look at the video for a watermark: no program can tell"


def document(
    seen: Seen, *, base_url: str, at: datetime, spent: float, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The contract for contract.json.

    What was not seen this time stays as it was `before`, and so do the words of a verdict that
    stays: who probes again sees less on the way of what is made already.
    """
    earlier: Mapping[str, Any] = before.get("findings", {})
    found = {name: vars(one) for name, one in findings(seen).items()}
    kept = {
        name: earlier[name]
        if name in earlier and one["verdict"] in (NOT_SEEN, earlier[name]["verdict"])
        else one
        for name, one in found.items()
    }
    old, new = before.get("sandbox", {}), sandbox_settings(seen)
    sandbox = {**old, **new, "contract": {**old.get("contract", {}), **new["contract"]}}
    times = {BY_KEY[key].kind: round(took, 1) for key in seen.rows if (took := seen.took(key))}
    return {
        "base_url": base_url,
        "at": at.isoformat(timespec="seconds"),
        "spent": spent,
        "findings": dict(sorted(kept.items(), key=lambda item: _order(item[0]))),
        "shapes": {**before.get("shapes", {}), **shapes(seen)},
        "prices": {**before.get("prices", {}), **prices(seen)},
        "seconds": {**before.get("seconds", {}), **times},
        "files": [vars(one) for one in seen.files] or before.get("files", []),
        "sandbox": sandbox,
    }


def _order(name: str) -> tuple[bool, int, str]:
    number = re.fullmatch(r"C(\d+)", name)
    return number is not None, int(number[1]) if number else 0, name
