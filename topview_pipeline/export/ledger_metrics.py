"""Metrics of an account, read from its ledger at each scrape. It spends nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from topview_pipeline.ledger import Ledger
from topview_pipeline.ledger.health import health
from topview_pipeline.settings import PipelineConfig

_HELP: Final = {
    "credits_booked": "Credits of tasks that finished this UTC day.",
    "credits_committed": "Estimates of all tasks that are, or may be, in progress.",
    "credit_limit": "Most credits a UTC day.",
    "slots": "Task slots of the account.",
    "slots_taken": "Task slots that are taken.",
    "workers": "Engines at work on the account.",
    "oldest_pending_seconds": "Age of the oldest task that Topview works on.",
}


class LedgerMetrics(Collector):
    """A collector for prometheus_client.

    Args:
        opened: gives the ledger, open for one scrape.
    """

    def __init__(
        self, config: PipelineConfig, opened: Callable[[], AbstractContextManager[Ledger]]
    ) -> None:
        self._config = config
        self._opened = opened

    def describe(self) -> Iterator[Metric]:
        """Nothing: else the ledger is read when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the ledger."""
        config = self._config
        with self._opened() as ledger:
            spent = ledger.budget.today()
            values: dict[str, float | None] = {
                "credits_booked": spent.booked,
                "credits_committed": spent.expected,
                "credit_limit": config.credit_limit,
                "slots": config.slots,
                "slots_taken": ledger.tasks.slots_taken(),
                "workers": len(ledger.workers.alive()),
                "oldest_pending_seconds": ledger.history.oldest_pending_seconds(),
            }
            states, failures = ledger.history.states(), ledger.history.failures()
            answers = health(ledger, credits_a_day=config.credit_limit)
        for name, value in values.items():
            if value is not None:
                yield GaugeMetricFamily(f"topview_{name}", _HELP[name], value=value)
        tasks = GaugeMetricFamily(
            "topview_tasks",
            "Tasks of the account by pipeline, stage and state.",
            labels=["pipeline", "stage", "state"],
        )
        for labels, count in states.items():
            tasks.add_metric(labels, count)
        failed = CounterMetricFamily(
            "topview_attempts_failed",
            "Attempts that failed, by stage and Topview's code.",
            labels=["stage", "code"],
        )
        for stage_and_code, count in failures.items():
            failed.add_metric(stage_and_code, count)
        checks = GaugeMetricFamily(
            "topview_health",
            "Cases of each health check: results_about_to_expire, tasks_unknown and others.",
            labels=["pipeline", "check"],
        )
        for name, answer in answers.items():
            checks.add_metric([config.name, name], answer.count)
        yield from (tasks, failed, checks)
