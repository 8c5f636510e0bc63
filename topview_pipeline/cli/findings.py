"""The findings of a probe: its verdict on each open point of Topview's contract. Pure.

The points are the lines of docs/sandbox.md's table, and C1 to C20, where later evidence adds to the
documents or contradicts them.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from topview_pipeline.cli.contract import FIELDS, QUERIES, RUNGS, Exchange, Seen, shapes
from topview_pipeline.media.quality import SHORT_SIDES
from topview_pipeline.prices import FIXED_SECONDS
from topview_pipeline.sandbox.kinds import FACTS, Kind
from topview_pipeline.settings import DEFAULT_PRICES
from topview_pipeline.stages import BY_KEY, CUT_OUT, SCENE, VIDEO

CONFIRMED: Final = "confirmed"
DIFFERENT: Final = "different"
NOT_SEEN: Final = "not seen"
_WORDS: Final = {"init", "running", "success", "fail"}
"""The documented status words of a task."""
_CODES: Final = "200 401 4000 4001 4002 4003 4004 4005 4006 4007 4100 5000 5001 5003 5004 5005 6001"
"""The documented codes."""
_OUTPUTS: Final = ("bgRemovedImagePath", "replaceProductResult", "finishedVideoUrl")
_TYPICAL: Final = {key: stage.typical_seconds for key, stage in BY_KEY.items()}
_SANDBOX: Final = {key: FACTS[Kind(stage.endpoint)].median_seconds for key, stage in BY_KEY.items()}
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
    "C20": "look at the video for a watermark: no program can tell",
}
"""Points that a probe does not ask about, and why."""


@dataclass(frozen=True)
class Finding:
    """One point of the contract: its verdict, and what was seen."""

    verdict: str
    seen: str


class Findings:
    """The verdict on each line of docs/sandbox.md's table, and on C1 to C20.

    Attributes:
        found: the findings by point.
        switches: of a sandbox that answers like that.
        prices: credits of each paid kind, as TOPVIEW_PRICES writes them.
    """

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.found = {name: Finding(NOT_SEEN, why) for name, why in _UNSEEN.items()}
        self.switches: dict[str, Any] = {}
        self.prices: dict[str, str] = {}
        self._calls()
        self._tasks()
        self._urls()
        self._prices()
        self._log()
        self._shapes()
        self._files()

    def _say(self, point: str, believed: bool | None, seen: str) -> None:
        """`believed`: it is as was believed; None: it was not seen."""
        verdict = NOT_SEEN if believed is None else CONFIRMED if believed else DIFFERENT
        self.found[point] = Finding(verdict, seen)

    def _results(self, *calls: str) -> list[dict[str, Any]]:
        found = [one for call in calls for one in self.seen.results(call)]
        return [one for one in found if isinstance(one, dict)]

    def _calls(self) -> None:
        asked, exchanges = self.seen.asked, self.seen.exchanges
        good = [one for one in exchanges if one.code is not None]
        odd = {
            f"{one.call} answered HTTP {one.status}, code {one.code!r}"
            for one in exchanges
            if not isinstance(one.code, str) or (one.status != 200 and one.code != "401")
        }
        words = "; ".join(sorted(odd)) or "HTTP 200, code a string"
        self._say("envelope", not odd if good else None, words)
        alone, wrong = asked.get("key alone"), asked.get("wrong key")
        is_alone = alone is not None and alone.code == "200"
        answers = f"a wrong key HTTP {wrong.status}, code {wrong.code}" if wrong else ""
        words = f"the key alone is {'taken' if is_alone else 'refused'}; {answers}"
        is_401 = wrong is not None and (wrong.status, wrong.code) == (401, "401")
        self._say("credentials", is_alone and is_401 if wrong else None, words)
        if wrong is not None:
            self.switches["auth_errors"] = "http" if wrong.status == 401 else "code"
        if alone is not None:
            self.switches["bearer_alone"] = is_alone
        if (early := asked.get("check before PUT")) is None:
            self._say("upload check", None, "")
        else:
            said = early.result if isinstance(early.result, bool) else "no boolean"
            is_false = (early.code, early.result) == ("200", False)
            self._say("upload check", is_false, f"code {early.code}, result {said}")
            self.switches["check_before_put"] = "false" if early.code == "200" else "4004"
        ids = [asked[name] for name in ("unknown task", "other path") if name in asked]
        codes = sorted({str(one.code) for one in ids})
        self._say("unknown ids", codes == ["4004"] if ids else None, f"code {', '.join(codes)}")
        wanting = asked.get("no photo")
        codes = sorted({str(one.code) for one in good})
        is_known = {*codes} <= {*_CODES.split()} and wanting is not None and wanting.code == "4003"
        said = f"; a missing field is {wanting.code}" if wanting else ""
        self._say("C17", is_known if codes else None, f"codes {', '.join(codes)}{said}")
        self.switches["codes"] = {
            believed: one.code
            for believed, one in (("4004", asked.get("unknown task")), ("4003", wanting))
            if one is not None and isinstance(one.code, str) and one.code not in ("200", believed)
        }
        hosts = [
            urlsplit(str(one.fields.get("uploadUrl", ""))).hostname
            for one in (asked.get("upload"), asked.get("accelerated upload"))
            if one and one.code == "200"
        ]
        is_other = len({*hosts}) == 2
        words = "another host" if is_other else "the same host as without it"
        is_seen = len(hosts) == 2
        self._say("C19", is_other if is_seen else None, f"needAccelerateUrl=true gives {words}")

    def _tasks(self) -> None:
        seen = self.seen
        submits = self._results(*(call for call in FIELDS if call.endswith("/submit")))
        words = sorted({str(one.get("status")) for one in submits})
        is_plain = words == ["success"] and {one.get("noticeUuid") for one in submits} <= {None}
        self._say("submit", is_plain if submits else None, f"status {', '.join(words)}")
        if submits:
            self.switches["submit_status"] = str(submits[-1].get("status"))
        queries = self._results(*(f"GET {path}" for path in QUERIES.values()))
        words = sorted({str(one.get("status")) for one in queries})
        unfinished = [one for one in queries if one.get("status") != "success"]
        early = any(one.get(name) for one in unfinished for name in _OUTPUTS)
        note = "; there are results before success" if early else ""
        is_plain = {*words} <= _WORDS and not early
        self._say("status", is_plain if unfinished else None, f"{', '.join(words)}{note}")
        states = (str(one.get("status")) for one in queries)
        if odd := [state for state in states if state not in _WORDS]:
            self.switches["status_words"] = {"running": odd[0]}
        times = {key: took for key in QUERIES if (took := seen.took(key)) is not None}
        said = ", ".join(f"{BY_KEY[key].kind} {took:.0f} s" for key, took in times.items())
        for name, typical in (("durations", _SANDBOX), ("C14", _TYPICAL)):
            near = all(typical[key] / 3 <= took <= typical[key] * 3 for key, took in times.items())
            self._say(name, near if times else None, said)
        count = (seen.image_count or None) if seen.is_manual else None
        said = f"a location gives {count} images" if count else ""
        self._say("v2 image_replace", None if count is None else count == 2, said)
        if count and seen.cost(SCENE.key) is not None:
            self.switches["images"] = {"manual": count, "auto": 1}
        row = seen.rows.get(VIDEO.key)
        self._say("image2Video", True if row else None, f"mode {row.mode}" if row else "")
        tries = [f"{rung}: refused with {row.error_code}" for rung, row in seen.refused.items()]
        said = "; ".join([*tries, f"{seen.rung}: taken"] if seen.rung else tries)
        sent = None if seen.rung is None else RUNGS[seen.rung]
        self._say("captionId", None if sent is None else "captionId" not in sent, said)
        self._say("C5", None if sent is None else len(sent) == 2, said)
        if sent is not None:
            self.switches["required"] = list(sent)

    def _urls(self) -> None:
        asked = self.seen.asked
        one, two = (_url(asked.get(name)) for name in ("query", "query again"))
        if one is None or two is None:
            self._say("URLs", None, "")
            return
        lives = parse_qs(urlsplit(one).query).get("X-Amz-Expires", ["?"])[0]
        fresh = "signed again at each query" if one != two else "the same at each query"
        other = "Key-Pair-Id" in (_url(asked.get("query cloudfront")) or "")
        forged = asked.get("changed signature")
        status = None if forged is None else forged.status
        words = f"lives {lives} s, {fresh}; CloudFront {'on' if other else 'not on'} request; "
        believed = lives == "86400" and other and status == 403
        self._say("URLs", believed, f"{words}a changed signature is HTTP {status}")

    def _prices(self) -> None:
        seen, found = self.seen, self.prices
        amounts: dict[str, float] = {}
        if cut_out := seen.cost(CUT_OUT.key):
            amounts[CUT_OUT.endpoint] = cut_out
        scene, count = seen.cost(SCENE.key), seen.image_count
        if scene is not None:
            found[f"{SCENE.kind}/{seen.rows[SCENE.key].mode}"] = f"{scene:g}"
            if count:
                amounts[SCENE.endpoint] = round(scene / count, 4)
        video, row = seen.cost(VIDEO.key), seen.rows.get(VIDEO.key)
        if row is not None and video is not None and seen.seconds_of_video:
            mode = str(row.mode)
            a_second = video / max(1, math.ceil(seen.seconds_of_video - 0.01))
            is_fixed = mode in FIXED_SECONDS
            found[f"{VIDEO.kind}/{mode}"] = f"{video:g}" if is_fixed else f"{a_second:g}/s"
            a_second = video / FIXED_SECONDS[mode] if is_fixed else a_second
            amounts[f"{VIDEO.endpoint}/{mode}"] = round(a_second, 4)
        if amounts:
            self.switches["prices"] = amounts
        believed = dict(part.split("=") for part in str(DEFAULT_PRICES).split(", "))
        is_believed = all(believed.get(name, text) == text for name, text in found.items())
        words = ", ".join(f"{name}={text}" for name, text in found.items())
        words = f"{CUT_OUT.kind}={cut_out:g}, {words}" if cut_out else words
        self._say("prices", is_believed and not cut_out if found or cut_out else None, words)
        words = f"{count} images cost {scene:g}" if scene is not None else ""
        self._say("C1", scene == count if scene is not None and seen.is_manual else None, words)
        pairs = [(row.cost_credits, seen.charge(key)) for key, row in seen.rows.items()]
        both = [(cost, charge.cost_credit) for cost, charge in pairs if charge is not None]
        words = "; ".join(f"query {cost}, log {booked}" for cost, booked in both)
        self._say("charging", all(cost == booked for cost, booked in both) if both else None, words)

    def _log(self) -> None:
        seen = self.seen
        dates = [one.date for one in seen.log if one.date is not None]
        newest_first = dates == sorted(dates, reverse=True) if len({*dates}) > 1 else None
        if newest_first is not None:
            self.switches["log_newest_first"] = dates[0] > dates[-1]
        order = "newest first" if newest_first else "not newest first"
        if newest_first is None:
            order = "too few entries for an order"
        within = seen.asked.get("log at a date")
        believed = newest_first
        if within is not None:
            rows = within.fields.get("data")
            order += f"; both ends {'in' if rows else 'not in'} a search"
            believed = newest_first is not False and bool(rows)
        self._say("credit log", believed, order)
        pages = [one.get("data") for one in self._results("GET /user/credit/logs")]
        rows = [row for page in pages if isinstance(page, list) for row in page]
        texts = [row.get("date") for row in rows if isinstance(row, dict)]
        is_iso = any(isinstance(text, str) and "T" in text for text in texts)
        form = "ISO 8601" if is_iso else "yyyy-MM-dd HH:mm:ss"
        meaning = self._log_date()
        said = "too quick, or not in the log: nothing to tell by"
        said = f"dated by {meaning}" if meaning else said
        self._say("C4", None if meaning is None else meaning == "creation", f"{said}; {form}")
        if meaning is not None:
            self.switches["log_date"] = meaning
        booked = {BY_KEY[key]: one.task_type for key in seen.rows if (one := seen.charge(key))}
        known = all(word in stage.booked_as for stage, word in booked.items())
        words = ", ".join(f"{stage.kind} as {word}" for stage, word in booked.items())
        self._say("C8", known if booked else None, words)
        if booked:
            named = {stage.endpoint: word for stage, word in booked.items() if word}
            self.switches |= {"booked_as": named, "log_iso": is_iso}

    def _log_date(self) -> str | None:
        """The moment that dates a charge: creation or success; None when nothing shows it."""
        skews = [one.skew for one in self.seen.exchanges if one.skew is not None]
        skew = statistics.median(skews) if skews else 0.0
        found = set()
        for key, row in self.seen.rows.items():
            charge, took = self.seen.charge(key), self.seen.took(key) or 0.0
            if charge is None or charge.date is None or row.pending_at is None or took < 2.0:
                continue
            lag = charge.date.timestamp() - skew - row.pending_at
            found.add("creation" if lag < took / 2 else "success")
        return found.pop() if len(found) == 1 else None

    def _shapes(self) -> None:
        found = shapes(self.seen)
        odd = {}
        added: dict[str, dict[str, None]] = {}
        dropped: dict[str, list[str]] = {}
        for call, parts in found.items():
            kinds = [(kind, parts[kind]) for kind in ("unknown", "missing")]
            odd[call] = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds if names)
            path = call.partition(" ")[2]
            # Those within others stay as they are.
            unknown, missing = ([name for name in names if "." not in name] for _, names in kinds)
            if unknown:
                added[path] = dict.fromkeys(unknown)
            if missing:
                dropped[path] = missing
        self.switches |= {"added": added, "dropped": dropped}
        space = odd.get("GET /user/space")
        for name in ("disk space", "C9"):
            self._say(name, None if space is None else not space, space or "")
        words = "; ".join(f"{call}: {text}" for call, text in odd.items() if text)
        self._say("C12", not words if found else None, words)
        left = [one.get("remainCredit") for one in self._results("GET /user/credit/detail")]
        is_number = all(isinstance(one, (int, float)) for one in left)
        words = "remainCredit is a number; compare it with the web account's"
        words = words if left and is_number else "remainCredit is none"
        self._say("C16", is_number if left else None, words)
        fields = found.get(f"GET {QUERIES[CUT_OUT.key]}", {}).get("fields", {})
        mask = fields.get("maskImageFileId")
        words = f"maskImageFileId is {mask}; it is not sent back here"
        self._say("C15", None if mask is None else "string" in mask, words)

    def _files(self) -> None:
        files, row = self.seen.files, self.seen.rows.get(VIDEO.key)
        marks = sorted({f"{one.name}: {mark}" for one in files for mark in one.marks})
        videos = [one for one in files if one.seconds]
        side = SHORT_SIDES.get(row.mode or "") if row else None
        fits = all(one.codec == "h264" and min(one.width, one.height) == side for one in videos)
        words = ", ".join(
            f"{one.name} {one.codec} {one.width}x{one.height} {one.sound}".rstrip() for one in files
        )
        words = "; ".join(filter(None, (words, *marks)))
        self._say("files", fits and not marks if videos else None, words)


def _url(exchange: Exchange | None) -> str | None:
    url = exchange.fields.get("bgRemovedImagePath") if exchange else None
    return url if isinstance(url, str) else None


def document(
    seen: Seen, *, base_url: str, at: datetime, spent: float, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The contract for contract.json.

    What was not seen this time stays as it was `before`, and so do the words of a verdict that
    stays: who probes again sees less on the way of what is made already.
    """
    verdicts = Findings(seen)
    earlier: Mapping[str, Any] = before.get("findings", {})
    found = {name: vars(one) for name, one in verdicts.found.items()}
    kept = {
        name: earlier[name]
        if name in earlier and one["verdict"] in (NOT_SEEN, earlier[name]["verdict"])
        else one
        for name, one in found.items()
    }
    old = before.get("sandbox", {})
    sandbox = {**old, "contract": {**old.get("contract", {}), **verdicts.switches}}
    times = {BY_KEY[key]: took for key in seen.rows if (took := seen.took(key))}
    if times:
        medians = {stage.endpoint: max(round(took, 2), 0.01) for stage, took in times.items()}
        sandbox["medians"] = medians
    url = _url(seen.asked.get("query")) or ""
    lives = parse_qs(urlsplit(url).query).get("X-Amz-Expires", [""])[0]
    if lives.isdigit():
        sandbox["url_seconds"] = int(lives)
    seconds = {stage.kind: round(took, 1) for stage, took in times.items()}
    return {
        "base_url": base_url,
        "at": at.isoformat(timespec="seconds"),
        "spent": spent,
        "findings": dict(sorted(kept.items(), key=lambda item: _order(item[0]))),
        "shapes": {**before.get("shapes", {}), **shapes(seen)},
        "prices": {**before.get("prices", {}), **verdicts.prices},
        "seconds": {**before.get("seconds", {}), **seconds},
        "files": [vars(one) for one in seen.files] or before.get("files", []),
        "sandbox": sandbox,
    }


def _order(name: str) -> tuple[bool, int, str]:
    number = re.fullmatch(r"C(\d+)", name)
    return number is not None, int(number[1]) if number else 0, name
