"""Messages of a named pipeline: commands work when they are pasted, settings are as written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop
from topview_pipeline import PipelineConfig, build_definitions
from topview_pipeline.cli import main
from topview_pipeline.settings import VARIABLES

COMMAND = re.compile(
    r"topview-pipeline(?: --defs \S+)? ((?:tasks|ledger) \w+|[a-z]+)"
    r"((?: --[\w-]+(?: (?!--)(?:'[^']*'|[^\s,;)`'\"<\\]+))?)*)"
)


def parse(line: str, options: str) -> None:
    """As the command line does, but that prose leaves out the rows of `tasks`."""
    command: click.Command = main
    for word in line.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, line
        command = found
    try:
        command.make_context(word, shlex.split(options))
    except click.MissingParameter:
        assert line.startswith("tasks ")


class Acme:
    """The pipeline acme on a shop's catalogue, as code describes it, and all that it says."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.said: list[str] = []
        self.config = PipelineConfig(
            name="acme",
            uid=shop.control.uid,
            api_key=shop.control.api_key,
            base_url=shop.control.base_url,
            home=shop.folder / "home",
            catalogue=str(shop.path),
            poll_seconds=0.02,
            wait_seconds=0.2,
            previews=False,
            checks=False,
        )

    def catch_up(self, **changes: object) -> None:
        """Run, then let the sensors and health checks look."""
        self.shop.write()
        defs = build_definitions(self.config.model_copy(update=changes))
        instance = self.shop.instance
        job = defs.resolve_job_def("acme_catch_up")
        run = job.execute_in_process(instance=instance, raise_on_error=False)
        self.said += [str(record.event_log_entry) for record in self._records(run.run_id)]
        for sensor in ("pending_task", "health_checks", "catalogue"):
            context = dg.build_sensor_context(instance=instance, definitions=defs)
            found = defs.resolve_sensor_def(f"acme_{sensor}_sensor").evaluate_tick(context)
            self.said += [found.skip_message or "", *map(str, found.asset_events)]
        self.said += [str(one.description) for one in (defs.schedules or [])]

    def _records(self, run_id: str) -> Iterator[dg.EventLogRecord]:
        yield from self.shop.instance.get_records_for_run(run_id).records


@pytest.fixture
def acme(shop: Shop) -> Acme:
    shop.add("mug", "shoe")
    return Acme(shop)


@pytest.mark.slow
def test_every_command_of_a_named_pipeline_in_trouble_works_when_it_is_pasted(acme: Acme) -> None:
    shop = acme.shop
    acme.catch_up(gate="approve")
    shop.control.set_faults(drop_submit=1.0)
    acme.catch_up(gate="off")
    shop.control.set_faults()
    acme.catch_up(credit_limit=0.01, when_no_face="fail")
    shop.add(*(f"more{number}" for number in range(20)))
    acme.catch_up(gate="approve", credit_limit=0.01)
    shop.remove(*(f"more{number}" for number in range(20)))
    acme.catch_up()
    (shop.folder / "home" / "ledger.db").unlink()
    acme.catch_up()

    text = "\n".join(acme.said)
    found = set(COMMAND.findall(text))
    said = {line for line, _ in found}
    assert said >= {"run", "review", "tasks reconcile", "tasks adopt", "ledger adopt"}
    for line, options in found:
        assert "--pipeline acme" in options, (line, options)
        parse(line, options)
    assert not {name for name in VARIABLES if name in text}
    assert "`credit_limit`" in text
    assert len(ASSETS) == 3
