"""The engine: takes orders, moves each product through its stages, streams events.

asyncio and one process, no Dagster. `engine.Producer` drives; `flow` is one product's way,
`making` one piece of work, `decision` the pure function that both go by. The rest is one job each.
"""

from topview_pipeline.producer.desk import Desk, ProducerConfig, Run
from topview_pipeline.producer.engine import Producer
from topview_pipeline.producer.events import Event, Failed, Held, Made, Parked
from topview_pipeline.producer.thread import ProducerThread
from topview_pipeline.producer.work import Work, data_version

__all__ = [
    "Desk",
    "Event",
    "Failed",
    "Held",
    "Made",
    "Parked",
    "Producer",
    "ProducerConfig",
    "ProducerThread",
    "Run",
    "Work",
    "data_version",
]
