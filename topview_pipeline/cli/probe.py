"""`topview-pipeline probe`: asks the configured Topview how it really answers.

What it pays for goes through the ledger and the engine, as all work does. `findings` judges what
was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import urlsplit

import click
from rich.console import Console

from topview_pipeline.cli.console import (
    SOME_FAILED,
    SOME_PENDING,
    CannotStart,
    in_credits,
    say,
    say_rows,
)
from topview_pipeline.cli.contract import QUERIES, RUNGS, Exchange, Seen, file_facts
from topview_pipeline.cli.demo import sample_catalogue
from topview_pipeline.cli.environment import call_topview, open_instance, pipeline
from topview_pipeline.cli.findings import DIFFERENT, NOT_SEEN, document
from topview_pipeline.cli.options import Credits
from topview_pipeline.defs.run import check_ready
from topview_pipeline.engine import Context, Engine, Failed, Held, Made, ProductWork, RunInfo
from topview_pipeline.ledger import LIVE, Ledger, TaskState
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import BY_KEY, CUT_OUT, SCENE, STAGES, VIDEO
from topview_pipeline.stop import stop
from topview_pipeline.store import whole
from topview_pipeline.topview.errors import QueryError

if TYPE_CHECKING:
    import httpx

    from topview_pipeline.catalogue import Product
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.topview.client import TopviewClient

PRODUCT: Final = "topview-probe"
"""The product id of the probe's work in ledger and store."""
_SAMPLE: Final = "aqua-bottle"
_SCRIPT: Final = "Hello there."
_MODE: Final = "avatar4Fast"
"""The cheapest mode with a published price."""
_REFUSALS: Final = frozenset({"4000", "4001", "4003"})
"""Codes of a submit that lacks a field: nothing was created."""
_MANUAL_FROM: Final = 10.0
"""From this limit on the scene has a location, and two images: until it is booked, nobody knows
what an image costs."""
_LOG_SECONDS: Final = 30.0
"""Longest time that a charge takes to come into the credit log."""


@click.command()
@click.option(
    "--spend",
    type=Credits(),
    metavar="CREDITS",
    help="Also make one scene and one short video, for at most that many. Default: nothing.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="contract.json",
    show_default=True,
    help="The file to write. It keeps earlier findings that this probe does not repeat.",
)
@click.pass_context
def probe(context: click.Context, spend: float | None, out: Path) -> None:
    """Find out how Topview really answers where its documents leave it open.

    Without --spend it only reads, uploads a sample photo and cuts it out, which is free. What it
    makes is kept in the store and never paid twice: probe again for what is still missing.
    """
    topview = pipeline()
    before = _earlier(out, topview.config.base_url)
    call_topview(topview, lambda client: client.check_account())
    with open_instance() as instance, topview.ledger() as ledger:
        check_ready(instance, ledger, topview)
        probing = _Probe(topview, ledger, spend or 0.0)
        asyncio.run(probing.run())
    now = datetime.now(timezone.utc)
    found = document(
        probing.seen, base_url=topview.config.base_url, at=now, spent=probing.spent, before=before
    )
    try:
        with whole(out) as part:
            part.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        fix = "Name another file with --out, and probe again: nothing is paid twice."
        raise CannotStart(f"it cannot be written ({error.strerror})", str(out), fix) from error
    _say(found, out, probing.spent, spend or 0.0)
    context.exit(stop.code or probing.code)


def _earlier(out: Path, base_url: str) -> Mapping[str, Any]:
    """The file's earlier findings, of the same Topview."""
    try:
        found = json.loads(out.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {}
    except (OSError, ValueError) as error:
        fix = "Name another file with --out."
        raise CannotStart("it is there, and it is no contract", str(out), fix) from error
    if not _is_contract(found) or found.get("base_url", base_url) != base_url:
        fix = "Name another file with --out."
        raise CannotStart("it is there, and it is no contract of this Topview", str(out), fix)
    if not out.absolute().parent.is_dir():
        raise CannotStart("there is no such folder", str(out.parent), "Make it first.")
    return found


def _is_contract(found: Any) -> TypeGuard[Mapping[str, Any]]:
    """True if `document` can go on from it: an odd one must not cost what was paid to see more."""
    if not isinstance(found, dict):
        return False
    parts = [found.get(name, {}) for name in ("findings", "shapes", "prices", "seconds", "sandbox")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    return isinstance(parts[-1].get("contract", {}), dict) and all(
        isinstance(one, dict) and {"verdict", "seen"} <= one.keys() for one in parts[0].values()
    )


def _say(found: Mapping[str, Any], out: Path, spent: float, limit: float) -> None:
    console = Console()
    findings = found["findings"]
    rows = [
        (name, one["verdict"], one["seen"])
        for name, one in findings.items()
        if one["verdict"] != NOT_SEEN
    ]
    say_rows(console, ("point", "verdict", "what was seen"), rows)
    unseen = [name for name, one in findings.items() if one["verdict"] == NOT_SEEN]
    say(f"Not seen: {', '.join(unseen) or 'nothing'}.", console)
    different = sum(one["verdict"] == DIFFERENT for one in findings.values())
    say(
        f"{different} of {len(findings)} points are different. Spent: {in_credits(spent)}.", console
    )
    if spent > limit:
        over = f"the limit was {in_credits(limit)}; nothing more was sent"
        say(f"A price was higher than expected: {over}.", console, style="red")
    say(f"Estimate by its prices and times: TOPVIEW_CONTRACT={out}", console)
    say(f"A sandbox that answers like this: topview-pipeline sandbox --contract {out}", console)


class _Probe:
    """One probe. Use it once.

    Attributes:
        code: the exit code, as far as products decide it.
        spent: credits that were booked for this probe.
    """

    def __init__(self, topview: TopviewResource, ledger: Ledger, spend: float) -> None:
        self._topview, self._ledger, self._spend = topview, ledger, spend
        self._run_id = str(uuid.uuid4())
        self._url = topview.config.base_url
        self._is_local = urlsplit(self._url).hostname in ("127.0.0.1", "localhost", "::1")
        self.seen = Seen()
        self.code = 0

    @property
    def spent(self) -> float:
        """Credits of the rows that this probe paid for."""
        mine = (row for row in self.seen.rows.values() if row.root_run_id == self._run_id)
        return round(sum(row.cost_credits or 0.0 for row in mine), 4)

    async def run(self) -> None:
        """Ask everything, the free calls first."""
        async with self._topview.client(self._note) as client, self._http() as http:
            say("Asking what is free ...")
            voice, caption = await self._lists(client)
            await self._questions(http)
            product = self._product()
            await self._make(client, product, CUT_OUT.key)
            await self._about_cut_out(http)
            if self._spend and CUT_OUT.key in self.seen.rows:
                await self._make(client, product, SCENE.key)
                if SCENE.key in self.seen.rows:
                    await self._climb(client, product, voice, caption)
            for key in (SCENE.key, VIDEO.key):
                if key in self.seen.rows:
                    task_id = self.seen.rows[key].topview_task_id or ""
                    await self._ask(http, f"query {key}", QUERIES[key], taskId=task_id)
            await self._read_log(client, http)
            with contextlib.suppress(QueryError):
                await client.check_account()
            self._look_at_files()

    # Free questions

    def _http(self, *, uid: bool = True, key: str | None = None) -> httpx.AsyncClient:
        """Asks what the pipeline itself never asks; its answers are noted, too."""
        import httpx

        own_uid, own_key = self._topview.config.require_account()
        headers = {"Authorization": f"Bearer {key or own_key.get_secret_value()}"}
        return httpx.AsyncClient(
            base_url=self._url,
            headers=headers | ({"Topview-Uid": own_uid} if uid else {}),
            timeout=60.0,
            trust_env=not self._is_local,
            event_hooks={"response": [self._note]},
        )

    async def _note(self, response: httpx.Response) -> None:
        """Note an answer of the API; a submit must not get lost by it."""
        await response.aread()
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        skew = None
        with contextlib.suppress(ValueError, TypeError):
            skew = parsedate_to_datetime(response.headers.get("date", "")).timestamp() - time.time()
        path = response.request.url.path.removeprefix(urlsplit(self._url).path.rstrip("/"))
        call, status = f"{response.request.method} {path}", response.status_code
        envelope = answer if isinstance(answer, dict) else {}
        code, result = envelope.get("code"), envelope.get("result")
        self.seen.exchanges.append(Exchange(call, status, code, result, skew))

    async def _ask(
        self, http: httpx.AsyncClient, name: str, path: str, method: str = "GET", **given: str
    ) -> Exchange | None:
        """Ask one question, and remember the answer by its name; None when there is none."""
        import httpx

        sent: dict[str, Any] = {"params" if method == "GET" else "json": given}
        try:
            await http.request(method, path, **sent)
        except httpx.HTTPError as error:
            say(f"{path} gave no answer ({type(error).__name__})")
            return None
        self.seen.asked[name] = self.seen.exchanges[-1]
        return self.seen.exchanges[-1]

    async def _lists(self, client: TopviewClient) -> tuple[str | None, str | None]:
        """Read the lists; a voice and a caption style of them, the same each time."""
        voices, captions = [], []
        with contextlib.suppress(QueryError):
            voices = await client.voices()
        with contextlib.suppress(QueryError):
            captions = await client.captions()
        with contextlib.suppress(QueryError):
            await client.avatars()
        english = [one for one in voices if (one.language or "").lower().startswith("en")]
        voice = min((one.voice_id for one in english or voices), default=None)
        return voice, min((one.caption_id for one in captions), default=None)

    async def _questions(self, http: httpx.AsyncClient) -> None:
        detail, upload = "/user/credit/detail", "/v1/upload/credential"
        async with self._http(uid=False) as alone:
            await self._ask(alone, "key alone", detail)
        async with self._http(key=secrets.token_hex(16)) as wrong:
            await self._ask(wrong, "wrong key", detail)
        await self._ask(http, "space", "/user/space")
        await self._ask(http, "unknown task", QUERIES[CUT_OUT.key], taskId="0" * 32)
        submit = QUERIES[CUT_OUT.key].replace("/query", "/submit")
        await self._ask(http, "no photo", submit, "POST", productImageFileId="")
        given = await self._ask(http, "upload", upload, format="png")
        await self._ask(http, "accelerated upload", upload, format="png", needAccelerateUrl="true")
        if given is not None and given.fields.get("fileId"):
            file_id = str(given.fields["fileId"])
            await self._ask(http, "check before PUT", "/v1/upload/check", fileId=file_id)

    async def _about_cut_out(self, http: httpx.AsyncClient) -> None:
        """Questions about a finished task, which a free one answers as well."""
        import httpx

        row = self.seen.rows.get(CUT_OUT.key)
        if row is None or row.topview_task_id is None:
            return
        path, task_id = QUERIES[CUT_OUT.key], row.topview_task_id
        await self._ask(http, "other path", QUERIES[SCENE.key], taskId=task_id)
        first = await self._ask(http, "query", path, taskId=task_id)
        await asyncio.sleep(1.1)  # a signature is of its second
        await self._ask(http, "query again", path, taskId=task_id)
        await self._ask(http, "query cloudfront", path, taskId=task_id, needCloudFrontUrl="true")
        url = first.fields.get("bgRemovedImagePath") if first is not None else None
        if not isinstance(url, str) or "Signature" not in url:
            return
        head, _, signature = url.partition("Signature=")
        forged = f"{head}Signature={'0' if signature[:1] != '0' else '1'}{signature[1:]}"
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=not self._is_local, timeout=60.0) as storage:
                answer = await storage.get(forged, headers={"Range": "bytes=0-0"})
            self.seen.asked["changed signature"] = Exchange("GET", answer.status_code)

    # Work

    async def _make(
        self, client: TopviewClient, product: Product, key: str
    ) -> Made | Failed | Held:
        """Have the engine make the product up to this stage; what was made before is taken."""
        made, mode = self._ledger.tasks.last_made(PRODUCT, key), BY_KEY[key].likely_mode(product)
        is_other = made is not None and key == SCENE.key and made.mode != mode
        if made is not None and made.state is TaskState.STORED and not is_other:
            self.seen.rows[key] = made
            return Made(PRODUCT, key, made, {})
        last: Made | Failed | Held = Failed(PRODUCT, key, "stopped", "probe again")
        if stop.code is not None:
            return last
        say(f"Making the {BY_KEY[key].noun} ...")
        keys = [stage.key for stage in STAGES]
        work = ProductWork(product, tuple(keys[: keys.index(key) + 1]))
        worker, ahead = secrets.token_hex(16), self._ledger.now() - time.time()
        self._ledger.workers.start(worker, run_id=self._run_id)
        context = Context(
            client=client,
            ledger=self._ledger,
            store=self._topview.store,
            files=self._topview.files(self._ledger),
            # The user's own gate is for the user's products: held here, a paid scene shows nothing.
            run=RunInfo(self._run_id, self._run_id, credit_limit=self._spend, gate="off", canary=0),
            config=self._topview.config.model_copy(update={"when_no_face": "avatar2"}),
            worker=worker,
            submit_seconds=client.timeouts.submit.whole,
            clock=lambda: time.time() + ahead,
        )
        try:
            engine, loop = Engine(context), asyncio.get_running_loop()

            def end() -> None:
                loop.call_soon_threadsafe(engine.stop)

            with stop.calling(end):
                async for event in engine.run(_only(work)):
                    if isinstance(event, (Made, Failed, Held)) and event.product_id == PRODUCT:
                        last = event
                    if isinstance(event, Made) and event.product_id == PRODUCT:
                        self.seen.rows[event.stage] = event.task
                        self._ledger.tasks.reported(event.task.id, PRODUCT, who="probe")
        finally:
            self._ledger.workers.end(worker)
        if not isinstance(last, Made) and not _is_refusal(last):
            self.code = max(self.code, SOME_PENDING if isinstance(last, Held) else SOME_FAILED)
            say(f"{last.stage}: {last.what}. {last.fix[:1].upper()}{last.fix[1:]}.")
        return last

    def _product(self) -> Product:
        """The sample's product with the shortest script, as far as the limit goes.

        A scene that was sent is gone on with: another one would be paid as well.
        """
        from topview_pipeline.catalogue import open_source, read_catalogue

        found = read_catalogue(open_source(str(sample_catalogue())), CatalogueDefaults())
        product = replace(
            found.products[_SAMPLE],
            product_id=PRODUCT,
            script=_SCRIPT,
            mode=_MODE,
            voice_id=None,
            caption_id=None,
        )
        sent, _ = self._ledger.history.page(
            states=LIVE, product_id=PRODUCT, stage=SCENE.key, limit=1
        )
        is_manual = any(row.mode == "manual" for row in sent) or self._spend >= _MANUAL_FROM
        return product if is_manual else replace(product, location=None)

    async def _climb(
        self, client: TopviewClient, product: Product, voice: str | None, caption: str | None
    ) -> None:
        """Send the video with as few fields as Topview takes.

        Only a plain refusal, by which nothing was created, leads to the next rung.
        """
        ids = {"voiceId": voice, "captionId": caption}
        for rung, fields in RUNGS.items():
            given = {name: ids[name] if name in fields else None for name in ids}
            if any(given[name] is None for name in fields):
                continue  # its list is empty
            one = replace(product, voice_id=given["voiceId"], caption_id=given["captionId"])
            end = await self._make(client, one, VIDEO.key)
            if isinstance(end, Made):
                sent = end.task.request or {}
                taken = tuple(name for name in ids if sent.get(name))
                self.seen.rung = next(name for name, names in RUNGS.items() if names == taken)
                return
            if not _is_refusal(end) or end.task is None:
                return
            self.seen.refused[rung] = end.task
        self.code = max(self.code, SOME_FAILED)
        say("Topview took no video, neither with voice and caption nor without: see the contract.")

    # What remains of it

    async def _read_log(self, client: TopviewClient, http: httpx.AsyncClient) -> None:
        """Read the log until it has the paid tasks, which may take a while."""
        rows = [row for key, row in self.seen.rows.items() if not BY_KEY[key].free]
        now = datetime.now(timezone.utc)
        oldest = min((row.reserved_at for row in rows), default=now.timestamp())
        since = datetime.fromtimestamp(oldest, timezone.utc) - timedelta(days=1)
        give_up = time.monotonic() + _LOG_SECONDS
        while True:
            try:
                self.seen.log = [one async for one in client.credit_log(start=since)]
            except QueryError as error:
                say(str(error))
                return
            if all(self.seen.charge(row.stage) for row in rows) or time.monotonic() > give_up:
                break
            await asyncio.sleep(3.0)
        for row in rows:
            charge = self.seen.charge(row.stage)
            if charge is not None and charge.date is not None:
                date = charge.date.strftime("%Y-%m-%d %H:%M:%S")
                ends = {"startTime": date, "endTime": date, "taskType": charge.task_type or ""}
                await self._ask(http, "log at a date", "/user/credit/logs", **ends)
                return

    def _look_at_files(self) -> None:
        from topview_pipeline.store import Artifact, StoreError

        for key, row in self.seen.rows.items():
            for one in map(Artifact.from_json, row.artifacts or ()):
                try:
                    facts = file_facts(one.name, self._topview.store.read_bytes(one))
                except StoreError as error:
                    say(str(error))
                    continue
                self.seen.files.append(facts)
                if key == VIDEO.key and facts.seconds:
                    self.seen.seconds_of_video = facts.seconds


def _is_refusal(event: Failed | Held) -> bool:
    """True if Topview refused the request itself, for what it lacks: nothing was created."""
    if isinstance(event, Held) or event.task is None or event.stage != VIDEO.key:
        return False
    return event.task.topview_task_id is None and event.task.error_code in _REFUSALS


async def _only(work: ProductWork) -> AsyncIterator[ProductWork]:
    yield work
