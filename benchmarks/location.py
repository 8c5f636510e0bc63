"""A code location of n pipelines as YAML: CPU of its load, and of a round of all its sensors.

Both beyond `import dagster`, in a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import processes

_YAML: Final = """\
type: topview_pipeline.TopviewCatalogue
attributes:
  name: brand{number}
  catalogue: catalogue.csv
  account: {{uid: someone, api_key: unused, base_url: "http://127.0.0.1:9"}}
"""
_ROUNDS: Final = 3


def cpu_seconds(pipelines: int) -> tuple[float, float]:
    """CPU seconds of a load, and of one tick of each sensor when there is nothing to do."""
    found = processes.run("benchmarks.location", {"pipelines": pipelines}).result
    return found["load"], found["ticks"]


def _project(folder: Path, pipelines: int) -> None:
    defs = folder / "brands" / "defs"
    defs.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "brands"\n')
    (folder / "catalogue.csv").write_text("product_id,image\nmug,mug.png\n")
    for package in (defs.parent, defs):
        (package / "__init__.py").touch()
    for number in range(pipelines):
        (defs / f"brand{number}").mkdir()
        (defs / f"brand{number}" / "defs.yaml").write_text(_YAML.format(number=number))


def _measure(folder: Path) -> tuple[float, float]:
    import dagster as dg

    begun = time.process_time()
    defs = dg.load_from_defs_folder(path_within_project=folder)
    repository = defs.get_repository_def()
    load = time.process_time() - begun
    cursors: dict[str, str | None] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(_ROUNDS):
            begun = time.process_time()
            for sensor in repository.sensor_defs:
                if isinstance(sensor, dg.AutomationConditionSensorDefinition):
                    continue  # Dagster evaluates it, and not by a tick of ours
                context = dg.build_sensor_context(
                    instance=instance,
                    cursor=cursors.get(sensor.name),
                    definitions=defs,
                )
                tick = sensor.evaluate_tick(context)
                cursors[sensor.name] = tick.cursor or cursors.get(sensor.name)
            idle = time.process_time() - begun
    return load, idle


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        _project(Path(name), **processes.spec())
        sys.path.insert(0, name)
        load, ticks = _measure(Path(name))
    processes.report(load=load, ticks=ticks)
