"""`plan` says what `run` does: each situation is planned, then run, and both say the same."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from tests.catalogue.test_files import bomb, cut, image, wav
from tests.cli.conftest import QUAD, Invoke, Project, ProjectOf
from topview_pipeline.definitions import topview
from topview_pipeline.defs.events import Planned
from topview_pipeline.engine import Failed, Held, Made
from topview_pipeline.ledger import Review, ReviewDecision
from topview_pipeline.ledger.ledger import account_id
from topview_pipeline.stages import SCENE, VIDEO

pytestmark = pytest.mark.timeout(120)

Fates = dict[tuple[str, str], str]
SLOW = pytest.mark.slow
FREE = ("--stage", "bgRemovedImage")


def write(project: Project, rows: list[dict[str, str]]) -> None:
    """A catalogue of good rows with these changes, each with a photo of its own."""
    named = []
    for number, row in enumerate(rows):
        name = row["product_id"]
        photo = project.folder / f"{name}.png"
        if not photo.exists():
            Image.new("RGB", (16, 16), (number * 9 % 256, 90, 120)).save(photo)
        named.append({"image": photo.name, "script": f"This is {name}.", **row})
    project.write_catalogue(named)


def one_of_each(project: Project, **changes: str) -> None:
    """A product with these changes, and one that is good."""
    write(project, [{"product_id": "bad", **changes}, {"product_id": "good"}])


def with_columns(**columns: str) -> Callable[[Project, Invoke], None]:
    return lambda project, _: one_of_each(project, **columns)


def each_in_its_own_way(project: Project, _: Invoke) -> None:
    """Products of which each has another trouble, by their names."""
    for name, data in FILES.items():
        (project.folder / name).write_bytes(data())
    rows = [{"product_id": name, **columns} for name, columns in TROUBLES.items()]
    write(project, [*rows, {"product_id": "good"}])


def bad_rows(project: Project, _: Invoke) -> None:
    bad = [{"product_id": f"bad-{number}", "mode": "cinema"} for number in range(5)]
    write(project, [*bad, {"product_id": "good"}])


def lost_ledger(project: Project, invoke: Invoke) -> None:
    project.products(1)
    assert invoke("run", *FREE).exit_code == 0
    for file in project.home.glob("ledger.db*"):
        file.unlink()


def fewer(project: Project, invoke: Invoke) -> None:
    project.products(10)
    assert invoke("run", *FREE).exit_code == 0
    project.products(4)


def other_photos(project: Project, invoke: Invoke) -> None:
    project.products(6)
    assert invoke("run", *FREE).exit_code == 0
    for number in range(6):
        Image.new("RGB", (20, 20), (number, 1, 2)).save(project.folder / f"product-{number}.png")


def refused_before(project: Project, invoke: Invoke) -> None:
    one_of_each(project, avatar_id="no-such-avatar", template_image="")
    assert invoke("run").exit_code == 1


def store_without_room(project: Project, _: Invoke) -> None:
    """As root nothing is unwritable, so a file stands in the way instead."""
    project.products(1)
    store = project.home / "store"
    store.mkdir(parents=True)
    (store / account_id(project.sandbox.base_url, project.sandbox.uid)).touch()


def two_good(project: Project, _: Invoke) -> None:
    project.products(2)


def bad_photo_first(project: Project, _: Invoke) -> None:
    project.products(3)
    (project.folder / "product-0.png").write_bytes(b"a photo")


def scenes_made(project: Project, invoke: Invoke) -> None:
    project.products(2)
    assert invoke("run", "--gate", "approve").exit_code == 3


def decided(project: Project, invoke: Invoke, decision: ReviewDecision) -> None:
    """Of the first product's scene."""
    scenes_made(project, invoke)
    with topview.ledger() as ledger:
        scene = ledger.tasks.last_made("product-0", SCENE.key)
        assert scene is not None
        key = "product-0", scene.fingerprint
        ledger.reviews.decide({key: Review(None, decision)}, who="ann", why="")


def rejected(project: Project, invoke: Invoke) -> None:
    decided(project, invoke, "rejected")


def faceless(project: Project, invoke: Invoke) -> None:
    one_of_each(project, mode="avatar4")
    project.sandbox.set_faults(no_face=1.0)
    assert invoke("run").exit_code == 1
    waits = json.loads(invoke("review", "--json").stdout)["waiting"]
    assert ["no face was found" in one["what"] for one in waits] == [True]
    assert [one["stage"] for one in waits] == [SCENE.key]
    (refused,) = json.loads(invoke("plan", "--json").stdout)["refused"]
    assert (refused["scenes"], refused["credits"]) == (1, 1.0)
    faceless_is_fine = {"TOPVIEW_WHEN_NO_FACE": "avatar2"}
    assert json.loads(invoke("plan", "--json", **faceless_is_fine).stdout)["refused"] == []


def wanted_again(project: Project, invoke: Invoke) -> None:
    decided(project, invoke, "again")


def huge(side: int) -> bytes:
    """Real pixels, well compressed."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG")
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "text.png": lambda: b"a photo",
    "page.png": lambda: b"<html></html>",
    "cut.png": lambda: cut(image("PNG"), 0.5),
    "bomb.png": lambda: bomb(15_500),
    "huge.png": lambda: bytes(40_000_000),
    "long.wav": lambda: wav(200.0),
    "page.wav": lambda: b"<html></html>",
}
TROUBLES: dict[str, dict[str, str]] = {
    "the photo is a text file": {"image": "text.png"},
    "the photo is a web page": {"image": "page.png"},
    "the photo is cut off": {"image": "cut.png"},
    "the photo has 240 megapixels": {"image": "bomb.png"},
    "the photo has 40 MB": {"image": "huge.png"},
    "the photo is missing": {"image": "nowhere.png"},
    "the template is a text file": {"template_image": "text.png"},
    "the recording is too long": {"audio": "long.wav", "script": ""},
    "the recording is a web page": {"audio": "page.wav", "script": ""},
    "the voice is unknown": {"voice_id": "nobody"},
    "the caption is unknown": {"caption_id": "nothing"},
    "the avatar is unknown": {"avatar_id": "nobody", "template_image": ""},
    "the script is too long": {"script": "so many words " * 30},
    "the script is cut off": {"script": "so many words " * 9, "mode": "lite"},
    "the row's own prompt goes beside its location": {
        "location": QUAD, "image_edit_prompt": "Hold it.",
    },
}  # fmt: skip
REFUSED_IDS = {"TOPVIEW_UNKNOWN_IDS": "fail"}
SITUATIONS: dict[str, tuple[Callable[[Project, Invoke], None], tuple[str, ...], dict[str, str]]] = {
    "a bad row that is named": (bad_rows, ("--product", "bad-1"), {}),
    "five bad rows of six": (bad_rows, (), {}),
    "the day's limit is used up": (two_good, (), {"TOPVIEW_CREDIT_LIMIT": "0.5"}),
    "the run's limit is too low": (two_good, ("--credit-limit", "0.5"), {}),
    "the run's limit is enough": (two_good, ("--credit-limit", "50"), {}),
    "a limit, and no price is known": (with_columns(mode="pro"), ("--credit-limit", "50"), {}),
    "the ledger is lost": (lost_ledger, (), {}),
    "products are gone": (fewer, FREE, {}),
    "products are gone, and one is forced":
        (fewer, (*FREE, "--force", "--accept-change", "--product", "product-0"), {}),
    "products are gone, and one is named": (fewer, (*FREE, "--product", "product-0"), {}),
    "products are gone, accepted": (fewer, (*FREE, "--accept-change"), {}),
    "much is made again": (other_photos, FREE, {}),
    "much is made again, accepted": (other_photos, (*FREE, "--accept-change"), {}),
    "each product in its own way": (each_in_its_own_way, (), REFUSED_IDS),
    "Topview refused it before": (refused_before, (), {}),
    "a stage without the one before": (two_good, ("--stage", "finishedVideo"), {}),
    "no more than one": (two_good, ("--limit", "1"), {}),
    "a product that there is not": (two_good, ("--product", "nobody"), {}),
    "a stage that there is not": (two_good, ("--stage", "video"), {}),
    "no key": (two_good, (), {"TOPVIEW_API_KEY": ""}),
    "no judge": (two_good, (), {"TOPVIEW_SCENE_JUDGE": "python:nowhere:judge"}),
    "the store takes no file": (store_without_room, (), {}),
    "a wrong key": (two_good, (), {"TOPVIEW_API_KEY": "wrong"}),
    "no catalogue": (two_good, (), {"TOPVIEW_CATALOGUE": "gone.csv"}),
    "every scene waits for a person": (two_good, ("--gate", "approve"), {}),
    "a scene that is made waits for a person": (scenes_made, ("--gate", "approve"), {}),
    "a canary goes first": (two_good, ("--canary", "1"), {}),
    "a canary's photo is a text file": (bad_photo_first, ("--canary", "1"), {}),
    "a canary waits for a person": (scenes_made, ("--canary", "1", "--gate", "approve"), {}),
    "a person rejected a scene, and the gate is off": (rejected, ("--gate", "off"), {}),
    "a person rejected a scene": (rejected, (), {}),
    "a scene has no face, and the mode needs one": (faceless, (), {}),
    "a person wants another scene": (wanted_again, (), {}),
    "all is well": (two_good, (), {}),
}  # fmt: skip
QUICK = {"no key", "no judge", "the store takes no file"}


def fates_of_plan(result: Result) -> tuple[Fates, dict[str, str]]:
    """The outcome of each stage, and why of what would not be made, by product."""
    document = json.loads(result.stdout)
    assert document["exit_code"] == result.exit_code
    fates = {
        (row["product_id"], row["stage"]): row["outcome"] or "made" for row in document["rows"]
    }
    return fates, {one["product_id"]: one["what"] for one in document["troubles"]}


def fates_of_run(events: list[Any]) -> tuple[Fates, dict[str, str]]:
    """The same of what a run reported."""
    words = {Made: "made", Failed: "failed", Held: "held"}
    ended = [event for event in events if type(event) in words]
    fates = {(event.product_id, event.stage): words[type(event)] for event in ended}
    why: dict[str, str] = {}
    for event in ended:
        if isinstance(event, (Failed, Held)):
            why.setdefault(event.product_id, event.what)
    return fates, why


@pytest.mark.parametrize(
    "situation", [pytest.param(name, marks=() if name in QUICK else SLOW) for name in SITUATIONS]
)
def test_plan_and_run_say_the_same(project: Project, invoke: Invoke, situation: str) -> None:
    build, options, changes = SITUATIONS[situation]
    build(project, invoke)
    before = project.sandbox.counters()["submits"]

    planned = invoke("plan", "--json", *options, **changes)

    assert project.sandbox.counters()["submits"] == before, "a plan sends nothing"
    events: list[Any] = []
    topview.listeners.append(events.append)
    try:
        ran = invoke("run", *options, **changes)
    finally:
        topview.listeners.remove(events.append)
    assert planned.exit_code == ran.exit_code, planned.output + ran.output
    if build is fewer and "--product" in options:
        assert ran.exit_code == 0
        with topview.ledger() as ledger:
            assert len(ledger.catalogue.products()) == 10, "one product's run retires no other"
    if situation in ("no key", "no judge"):
        assert json.loads(planned.stdout)["rows"], "the plan is shown all the same"
    if ran.exit_code == 2:
        assert planned.stderr.splitlines()[-1] in ran.stderr
        return
    (plan, why), (fates, why_not) = fates_of_plan(planned), fates_of_run(events)
    assert plan == fates
    assert set(why) == set(why_not)
    if situation == "each product in its own way":
        warned = {"the script is cut off", "the row's own prompt goes beside its location"}
        bad_row = {"the script is too long"}
        assert set(why) == TROUBLES.keys() - warned - bad_row
    for product, words in why.items():
        assert without_run(words)
        # A run says when it was refused, and has an id.
        assert without_run(why_not[product]).startswith(without_run(words))
    check_credits(json.loads(planned.stdout), events)


def check_credits(document: dict[str, Any], events: list[Any]) -> None:
    """The plan's credits are those that the run says at its start, and those that it books."""
    (begun,) = (event.forecast for event in events if isinstance(event, Planned))
    if not document["troubles"]:
        assert (document["tasks"], document["credits"]) == (begun.tasks, begun.credits)
    booked = {(one.product_id, one.stage): one.task for one in events if isinstance(one, Made)}
    for row in document["rows"]:
        # lite and pro have no published price.
        if row["submits"] and row["outcome"] is None and row["credits"] is not None:
            cost = booked[row["product_id"], row["stage"]].cost_credits
            # How long a voice speaks is an estimate, upwards; all else is exact.
            is_exact = row["stage"] != VIDEO.key
            assert cost == row["credits"] if is_exact else cost <= row["credits"], row


@pytest.mark.slow
def test_both_warn_of_an_id_that_no_list_has(project: Project, invoke: Invoke) -> None:
    """The lists may be incomplete: a refusal without a way around would stop the main job."""
    one_of_each(project, caption_id="nothing")
    (note,) = json.loads(invoke("plan", "--json").stdout)["notes"]
    assert note.startswith("Topview lists no caption nothing (caption_id). If it does not exist")
    ran = invoke("run", "--json").stdout.splitlines()
    said = [one["what"] for one in map(json.loads, ran) if one["event"] == "warning"]
    assert said == [note]


@pytest.mark.slow
@pytest.mark.parametrize(("has", "enough"), [(100.0, True), (5.0, False)])
def test_both_say_whether_the_accounts_credits_are_enough(
    project_of: ProjectOf, has: float, enough: bool
) -> None:
    """The balance for the API is one of its own, and runs out in the middle of the night."""
    project = project_of(credits=has)
    project.products(4)
    said = []
    for command in ("plan", "run"):
        result = project.invoke(command)
        assert result.exit_code == (0 if enough else 3), result.output
        said.append(" ".join(result.stdout.split()))
    words = "100 credits for the API: enough." if enough else "not enough: they run out after about"
    assert all(words in one for one in said), said


def without_run(words: str) -> str:
    """Without the run's id, which a plan has not yet."""
    return words.partition(", and run ")[0]


@pytest.mark.slow
def test_the_plan_names_what_is_made_why_and_for_how_much(project: Project) -> None:
    project.products(3)
    ran = project.run("plan", TOPVIEW_API_KEY="")
    assert ran.returncode == 2
    assert "TOPVIEW_API_KEY: it is not set" in ran.stderr
    for words in ("product-2", "the ids of voices and captions, were not checked"):
        assert words in ran.stdout
    assert re.search("9 new tasks, about .* at the account's slots", ran.stdout)
    assert project.run("run", "--limit", "1").returncode == 0
    after = project.run("plan", "--force", "--product", "product-0").stdout
    assert "3 new tasks" in after
    after = project.run("plan").stdout
    assert "product-0" not in after
    assert "6 new tasks" in after


def test_a_dry_run_is_the_plan(project: Project, invoke: Invoke) -> None:
    project.products(2)
    options = ("--limit", "1", "--credit-limit", "0.5", "--stage", "bgRemovedImage", "--force")
    planned, dry = invoke("plan", *options), invoke("run", "--dry-run", *options)
    assert (dry.exit_code, dry.stdout) == (planned.exit_code, planned.stdout) == (0, planned.stdout)
    assert "1 new task, about 0 credits" in planned.stdout
    assert project.sandbox.counters()["submits"] == {}


def test_products_come_from_a_file_or_another_command(project: Project, invoke: Invoke) -> None:
    """For a hundred of a thousand products a script had to build the command line."""
    project.products(4)
    (project.folder / "some.txt").write_text("\ufeffproduct-1\r\n\nproduct-2\n", "utf-8")
    named = invoke("plan", "--json", "--product", "@some.txt", "--product", "product-2")
    rows = json.loads(named.stdout)["rows"]
    assert {row["product_id"] for row in rows} == {"product-1", "product-2"}
    piped = invoke("plan", "--json", "--product", "-", stdin="product-3\n")
    assert {row["product_id"] for row in json.loads(piped.stdout)["rows"]} == {"product-3"}
    for name, stdin in (("@gone.txt", ""), ("-", "\n"), ("@.", "")):
        ran = invoke("plan", "--product", name, stdin=stdin)
        assert ran.exit_code == 2
        assert name in ran.stderr, "not the whole catalogue"


@pytest.mark.parametrize(
    ("option", "has_rows", "has_all"), [("-q", False, False), ("-v", True, True)]
)
def test_a_dry_run_says_as_much_as_is_asked_for(
    project: Project, invoke: Invoke, option: str, has_rows: bool, has_all: bool
) -> None:
    project.products(8, voice_id="nobody")
    dry = invoke("run", "--dry-run", option, TOPVIEW_UNKNOWN_IDS="fail")
    assert dry.exit_code == 1
    assert "would fail" in dry.stdout
    assert ("new task" in dry.stdout, "--all shows them" not in dry.stdout) == (has_rows, True)
    assert ("product-7\tfinishedVideo" in dry.stdout) == has_all
