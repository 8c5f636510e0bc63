"""The engine over a ledger on PostgreSQL: the same promises as on SQLite, after a kill too."""

from tests.engine.conftest import MakeWorld
from tests.engine.world import everything, fates, product
from tests.postgres import Postgres
from topview_pipeline.ledger import TaskState


def test_products_go_through_all_stages_and_a_killed_run_is_gone_on_with(
    make_world: MakeWorld, postgres: Postgres
) -> None:
    world = make_world(ledger_url=postgres.emptied())
    products = [product(name, template_image=f"template of {name}") for name in "abcd"]
    assert world.kill_at(30, products, after_commit=True)
    assert world.rows(TaskState.PENDING, TaskState.SUCCEEDED, TaskState.STORED)
    fate = fates(world.run(products))
    unknown = {(row.product_id, row.stage) for row in world.rows(TaskState.UNKNOWN)}
    assert {key for key, how in fate.items() if how == "held"} >= unknown
    assert unknown or fate == everything("made", *"abcd")
    world.assert_nothing_lost()
