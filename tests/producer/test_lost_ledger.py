"""The ledger is lost and made again from the store: nothing is paid twice, nothing is forgotten."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.producer.conftest import MakeWorld
from tests.producer.world import ALL_STAGES, DAY, HOUR, World, everything, fates, product
from topview_pipeline.artifacts import RESULT_NAME, USE_NAME, ArtifactStore, StoreError
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import HeldReason, Rebuilt, TaskState
from topview_pipeline.pairing import LostLedger, OtherStore, Verdict, ensure_paired, examine, pair
from topview_pipeline.producer import Held
from topview_pipeline.recovery import Survey, survey


def lose_ledger(world: World) -> None:
    """The ledger's file is gone; the next process finds none and makes an empty one."""
    world.ledger.close()
    for file in world.folder.glob("ledger.db*"):
        file.unlink()
    world.ledger = world.open_ledger()


def look(world: World, **options: Any) -> Survey:
    return survey(world.store, world.ledger.account, **options)


def rebuild(world: World) -> Rebuilt:
    """What `tasks rebuild` does once it was told to."""
    found = look(world)
    rebuilt = world.ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="lost")
    pair(world.ledger, world.store, who="me")
    return rebuilt


def known_rows(world: World) -> list[dict[str, Any]]:
    """The finished rows, without what only their own ledger can know."""
    own = {"id", "owner", "materialized_at", "last_query_at", "closed_at", "stored_at"}
    own |= {"error_message"}  # why a superseded one died
    rows = [
        {name: value for name, value in asdict(row).items() if name not in own}
        for row in world.rows(TaskState.STORED, TaskState.SUPERSEDED)
    ]
    return sorted(rows, key=lambda row: str(row["topview_task_id"]))


def stands_on(world: World, names: Sequence[str]) -> dict[tuple[str, str], str | None]:
    """The row that each product's stage stands on, by Topview's task id."""
    last = {
        (name, stage): world.ledger.tasks.last_stored(name, stage)
        for name in names
        for stage in ALL_STAGES
    }
    return {key: None if row is None else row.topview_task_id for key, row in last.items()}


def result_files(world: World, name: str = RESULT_NAME) -> list[Path]:
    return sorted(Path(world.store.root).rglob(name))


def twins(*names: str, **changes: Any) -> list[Product]:
    """Products with the same photo."""
    return [product(name, image="the same photo", **changes) for name in names]


def test_after_a_rebuild_the_same_catalogue_pays_nothing(world: World) -> None:
    products = [product(name) for name in "abc"]
    ensure_paired(world.ledger, world.store, who="me")
    world.run(products)
    rows, paid = known_rows(world), world.submits()
    lose_ledger(world)
    with pytest.raises(LostLedger, match="9 results"):
        ensure_paired(world.ledger, world.store, who="me")

    assert rebuild(world) == Rebuilt(tasks=9, orders=9, choices=0)

    assert known_rows(world) == rows
    ensure_paired(world.ledger, world.store, who="me")
    assert fates(world.run(products)) == everything("made", *"abc")
    assert world.submits() == paid
    world.assert_nothing_paid_twice()


def test_a_rebuild_adds_nothing_the_second_time_nor_beside_a_whole_ledger(world: World) -> None:
    world.run([*twins("a", "b"), product("c")])
    rows, stands = known_rows(world), stands_on(world, "abc")
    assert rebuild(world) == Rebuilt(0, 0, 0)
    lose_ledger(world)
    rebuild(world)
    assert rebuild(world) == Rebuilt(0, 0, 0)
    assert (known_rows(world), stands_on(world, "abc")) == (rows, stands)


def test_a_rebuilt_row_says_who_made_it_again_and_why(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    lose_ledger(world)
    rebuild(world)
    (row,) = world.rows()
    (event,) = world.ledger.browsing.history(row.id)
    assert (event.what, event.who, event.detail) == ("rebuilt", "me", {"why": "lost"})


def test_rebuilt_rows_are_not_told_to_dagster_all_over_again(world: World) -> None:
    world.run([product("a")])
    lose_ledger(world)
    rebuild(world)
    assert world.ledger.tasks.on_their_way() == []
    assert world.ledger.orders.open_orders() == []


def test_two_products_with_one_photo_share_it_after_a_rebuild(world: World) -> None:
    products = twins("a", "b")
    world.run(products)
    stands, paid = stands_on(world, "ab"), world.submits()
    assert stands["a", "bgRemovedImage"] == stands["b", "bgRemovedImage"]
    lose_ledger(world)
    rebuild(world)
    assert stands_on(world, "ab") == stands
    assert fates(world.run(products)) == everything("made", "a", "b")
    assert world.submits() == paid


def test_a_shared_photo_is_found_by_what_it_is_when_no_note_tells_of_it(world: World) -> None:
    """A store of a program that left no notes."""
    products = twins("a", "b")
    world.run(products)
    paid = world.submits()
    notes = result_files(world, USE_NAME)
    assert notes
    for note in notes:
        note.unlink()
    lose_ledger(world)
    rebuild(world)
    assert fates(world.run(products)) == everything("made", "a", "b")
    assert world.submits() == paid


def test_forced_work_is_not_forced_again_and_the_next_force_goes_beyond_it(world: World) -> None:
    products = twins("a", "b")
    world.run(products)
    world.run(products, force=True, run_id="forced")
    generations, paid = world.ledger.orders.generations(), world.submits()
    assert set(generations.values()) == {1}
    lose_ledger(world)
    rebuild(world)
    assert world.ledger.orders.generations() == generations
    world.run(products)
    world.run(products, force=True, run_id="again", root_run_id="forced")
    assert world.submits() == paid
    world.run(products[:1], force=True, stages=["bgRemovedImage"])
    assert world.submits() == paid + 1
    assert world.ledger.orders.generations()["a", "bgRemovedImage"] == 2


def test_a_product_that_went_back_to_an_older_photo_still_stands_on_it(world: World) -> None:
    old, new = product("a"), product("a", image="a newer photo")
    for one in (old, new, old):
        world.run([one])
    stands, paid = stands_on(world, "a"), world.submits()
    lose_ledger(world)
    rebuild(world)
    assert stands_on(world, "a") == stands
    world.run([old], stages=["finishedVideo"])
    assert world.submits() == paid


def test_a_persons_choice_survives_with_the_video_that_followed_it(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage", "replacedImages"])
    scene = world.ledger.tasks.last_stored("a", "replacedImages")
    assert scene is not None
    world.ledger.choices.choose("a", scene.fingerprint, 1, who="me", why="prettier")
    world.run([product("a")])
    chosen, paid = world.ledger.choices.find("a", scene.fingerprint), world.submits()
    lose_ledger(world)
    assert rebuild(world).choices == 1
    assert world.ledger.choices.find("a", scene.fingerprint) == chosen
    world.run([product("a")])
    assert world.submits() == paid


def test_credits_of_today_still_count_for_todays_limit(world: World) -> None:
    world.run([product("a")])
    spent = world.ledger.budget.today()
    assert spent.booked > 0
    lose_ledger(world)
    rebuild(world)
    assert world.ledger.budget.today() == spent


@pytest.mark.parametrize("text", ["{", "[]", "", '{"account": "other"}', "lacks a field"])
def test_a_damaged_result_is_named_and_the_others_are_rebuilt(world: World, text: str) -> None:
    world.run([product("a"), product("b")])
    damaged = result_files(world)[0]
    if text == "lacks a field":
        record = json.loads(damaged.read_text())
        del record["topview_task_id"]
        text = json.dumps(record)
    damaged.write_text(text)
    lose_ledger(world)
    (named,) = look(world).damaged
    assert damaged.parent.name in named
    assert rebuild(world).tasks == 5


def test_a_lost_file_is_named_and_downloaded_again_for_nothing(world: World) -> None:
    world.run([product("a")])
    paid = world.submits()
    (video,) = Path(world.store.root).rglob("video.mp4")
    video.unlink()
    lose_ledger(world)
    (named,) = look(world).gone
    assert "video.mp4" in named
    rebuild(world)
    assert [row.stage for row in world.rows(TaskState.SUCCEEDED)] == ["finishedVideo"]
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert video.is_file()
    assert world.submits() == paid


def test_a_lost_file_that_topview_has_no_more_is_held_and_not_paid_again(
    make_world: MakeWorld,
) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")])
    paid = world.submits()
    (video,) = Path(world.store.root).rglob("video.mp4")
    video.write_bytes(b"half")
    lose_ledger(world)
    rebuild(world)
    world.later(8 * DAY)
    assert fates(world.run([product("a")]))["a", "finishedVideo"] == "held"
    assert world.submits() == paid


def test_a_file_that_changed_without_growing_is_seen_when_it_is_verified(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    (mask,) = Path(world.store.root).rglob("mask.png")
    mask.write_bytes(bytes(mask.stat().st_size))
    assert look(world).gone == ()
    (named,) = look(world, verify=True).gone
    assert "mask.png" in named


def test_results_of_older_programs_are_rebuilt(world: World) -> None:
    """Theirs lack what was added since."""
    world.run([product("a")])
    paid = world.submits()
    for file in result_files(world):
        record = json.loads(file.read_text())
        for name in ("anew", "choice", "estimate", "seconds"):
            del record[name]
        for name in ("stored_at", "deadline_at"):
            del record["times"][name]
        file.write_text(json.dumps(record))
    lose_ledger(world)
    assert rebuild(world).tasks == 3
    world.run([product("a")])
    assert world.submits() == paid


def test_a_copy_of_a_folder_is_the_same_result(world: World) -> None:
    world.run([product("a")], stages=["bgRemovedImage"])
    (result,) = result_files(world)
    copy = result.parent.with_name("a copy")
    copy.mkdir()
    (copy / RESULT_NAME).write_bytes(result.read_bytes())
    lose_ledger(world)
    assert rebuild(world) == Rebuilt(1, 1, 0)


def test_an_older_backup_of_the_ledger_gets_what_it_lacks(world: World) -> None:
    world.run([product("a")])
    world.ledger.close()
    backup = (world.folder / "ledger.db").read_bytes()
    world.ledger = world.open_ledger()
    world.run([product("a", script="Something else."), product("b")])
    rows, stands, paid = known_rows(world), stands_on(world, "ab"), world.submits()
    lose_ledger(world)
    world.ledger.close()
    (world.folder / "ledger.db").write_bytes(backup)
    world.ledger = world.open_ledger()
    assert rebuild(world).tasks == 4
    assert (known_rows(world), stands_on(world, "ab")) == (rows, stands)
    world.run([product("a", script="Something else."), product("b")])
    assert world.submits() == paid


def restore(world: World, backup: bytes) -> None:
    """Put a backup of the ledger in its place, and go on with it."""
    lose_ledger(world)
    world.ledger.close()
    (world.folder / "ledger.db").write_bytes(backup)
    world.ledger = world.open_ledger()


def backup_of(world: World) -> bytes:
    world.ledger.close()
    backup = (world.folder / "ledger.db").read_bytes()
    world.ledger = world.open_ledger()
    return backup


def test_a_ledger_restored_from_a_backup_pays_nothing_again_before_it_is_rebuilt(
    world: World,
) -> None:
    """It knows its store, so nothing but the store tells that it lacks what was made since."""
    ensure_paired(world.ledger, world.store, who="me")
    world.run([product("a")])
    backup = backup_of(world)
    products = [product("a"), *twins("b", "c")]
    world.run(products)
    paid = world.submits()
    restore(world, backup)
    assert examine(world.ledger, world.store) is Verdict.PAIRED

    assert fates(world.run(products)) == everything("made", "a") | everything("held", "b", "c")
    assert world.submits() == paid
    first, *_ = world.ledger.orders.open_orders()
    assert first.held_reason is HeldReason.LOST_ROW
    assert "tasks rebuild" in str(first.held_detail)

    rebuild(world)
    reasons = {order.held_reason for order in world.ledger.orders.open_orders()}
    assert HeldReason.LOST_ROW not in reasons, "a rebuild ends the holds"
    assert fates(world.catch_up(products)) == everything("made", "b", "c")
    assert world.submits() == paid
    world.assert_nothing_paid_twice()


def test_a_lost_row_is_looked_for_again_by_itself_and_force_makes_it_anew(world: World) -> None:
    """A result.json that no rebuild can read must not hold its product for ever."""
    ensure_paired(world.ledger, world.store, who="me")
    backup = backup_of(world)
    world.run([product("a")], stages=["bgRemovedImage"])
    (result,) = result_files(world)
    result.write_text("{")
    paid = world.submits()
    restore(world, backup)
    world.run([product("a")], stages=["bgRemovedImage"])
    rebuild(world)
    assert world.ledger.orders.open_orders()[0].held_reason is None
    for _ in range(2):
        (held,) = world.catch_up([product("a")])
        assert isinstance(held, Held)
        assert world.catch_up([product("a")]) == []
        world.later(HOUR)
    assert world.submits() == paid
    forced = world.run([product("a")], stages=["bgRemovedImage"], force=True)
    assert set(fates(forced).values()) == {"made"}
    assert world.submits() == paid + 1


def test_a_store_that_does_not_answer_lets_nothing_be_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(folder: str) -> bool:
        raise StoreError("does not answer", folder, "Mount it.")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "knows_of", unreachable)
        assert fates(world.run([product("a")])) == everything("held", "a")
    assert world.submits() == 0
    world.later(HOUR)
    assert fates(world.catch_up([product("a")])) == everything("made", "a")


def test_what_a_ledger_made_after_it_was_lost_stays_what_its_products_stand_on(
    world: World,
) -> None:
    """Somebody went on with an empty ledger, before there was a guard; now both are wanted."""
    world.run([product("a")])
    old = Path(world.store.root).rename(world.folder / "old store")
    lose_ledger(world)
    world.run([product("a", image="a newer photo")])
    stands, generations = stands_on(world, "a"), world.ledger.orders.generations()
    for file in old.rglob("*"):
        if file.is_file():
            target = Path(world.store.root) / file.relative_to(old)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
    assert rebuild(world).tasks == 3
    assert stands_on(world, "a") == stands
    assert world.ledger.orders.generations() == generations


def test_a_store_that_is_not_mounted_stops_a_run_before_anything_moves(world: World) -> None:
    world.run([product("a")])
    ensure_paired(world.ledger, world.store, who="me")
    rows, paid = known_rows(world), world.submits()
    mount = Path(world.store.root)
    mount.rename(world.folder / "the disk")
    mount.mkdir()
    with pytest.raises(OtherStore, match="Is it mounted"):
        ensure_paired(world.ledger, ArtifactStore(str(mount)), who="me")
    assert list(mount.iterdir()) == []
    assert (known_rows(world), world.submits()) == (rows, paid)
    mount.rmdir()
    (world.folder / "the disk").rename(mount)
    assert examine(world.ledger, ArtifactStore(str(mount))) is Verdict.PAIRED


def test_a_store_unmounted_in_the_middle_of_a_run_loses_and_repeats_nothing(world: World) -> None:
    """The run pairs, then the disk goes away: what is there already is not fetched again."""
    world.run([product("a")])
    ensure_paired(world.ledger, world.store, who="me")
    rows, paid = known_rows(world), world.submits()
    mount = Path(world.store.root)
    mount.rename(world.folder / "the disk")
    mount.mkdir()
    told = fates(world.run([product("a")]))
    assert set(told.values()) == {"held"}
    assert (known_rows(world), world.submits()) == (rows, paid)
    assert list(mount.rglob("*.png")) == []


class RunOf(NamedTuple):
    """A run over a catalogue that changes: photos shared and swapped, scripts, stages, force."""

    catalogue: dict[str, tuple[str, str]]
    """Photo and script of each product."""
    stages: int
    """The first so many."""
    force: bool


RUNS = st.lists(
    st.builds(
        RunOf,
        st.dictionaries(
            st.sampled_from("ab"),
            st.tuples(st.sampled_from(["red", "green"]), st.sampled_from(["hello", "bye"])),
            min_size=1,
        ),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@contextmanager
def a_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            yield world
        finally:
            world.close()


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(RUNS)
def test_a_rebuilt_ledger_is_the_lost_one(runs: list[RunOf]) -> None:
    with a_world() as world:
        for run in runs:
            _go(world, run, force=run.force)
        rows, stands = known_rows(world), stands_on(world, "ab")
        generations, paid = world.ledger.orders.generations(), world.submits()
        lose_ledger(world)
        rebuild(world)
        assert known_rows(world) == rows
        assert stands_on(world, "ab") == stands
        assert world.ledger.orders.generations() == generations
        _go(world, runs[-1])
        assert world.submits() == paid


def _go(world: World, run: RunOf, *, force: bool = False) -> None:
    products = [
        product(name, image=photo, script=script) for name, (photo, script) in run.catalogue.items()
    ]
    world.run(products, stages=ALL_STAGES[: run.stages], force=force)
    world.later(1.0)  # no two runs place their orders at the same moment


def test_a_scene_that_died_and_was_made_anew_is_rebuilt_as_both(make_world: MakeWorld) -> None:
    world = make_world(forget_after=HOUR)
    world.run([product("a")])
    world.later(2 * HOUR)
    world.run([product("a", script="Something else.")])
    rows, stands, paid = known_rows(world), stands_on(world, "a"), world.submits()
    assert [row["state"] for row in rows].count(TaskState.SUPERSEDED) == 1
    lose_ledger(world)
    rebuild(world)
    assert known_rows(world) == rows
    assert stands_on(world, "a") == stands
    assert fates(world.run([product("a", script="Something else.")])) == everything("made", "a")
    assert world.submits() == paid
