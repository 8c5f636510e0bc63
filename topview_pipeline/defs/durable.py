"""Refuses a ledger or a store that is gone with the process: each run would pay for all again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.dagster_private import launches_elsewhere
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.text import is_url

if TYPE_CHECKING:
    from topview_pipeline.settings import PipelineConfig

_MOUNTS: Final = Path("/proc/self/mounts")
_POD: Final = Path("/var/run/secrets/kubernetes.io")
"""Kubernetes puts it into a pod."""
_OF_CONTAINERS: Final = ("overlay", "aufs")
"""File systems that are a container's own, and gone with it."""


def check_durable(instance: dg.DagsterInstance, config: PipelineConfig) -> None:
    """Refuse a place that a run's successor will not find.

    Refused is the default place in a container or pod, and where runs are started elsewhere; one
    that was named, if it is a pod's own file system.
    """
    is_sqlite = config.ledger_url.startswith("sqlite")
    ledger = config.ledger_url.partition(":///")[2] if is_sqlite else ""
    is_elsewhere = _POD.exists() or launches_elsewhere(instance)
    for what, place, names in (
        ("ledger", ledger, {"home", "ledger_url"}),
        ("store", "" if is_url(config.store) else config.store, {"home", "store"}),
    ):
        is_own = bool(place) and file_system_of(Path(place), _mounts()) in _OF_CONTAINERS
        is_named = bool(names & config.model_fields_set)
        if place and ((is_own and is_elsewhere) if is_named else (is_own or is_elsewhere)):
            raise SettingsError(
                f"the {what} {place} lies where the next run will not find it, and would pay for "
                "everything again; nothing was submitted",
                "TOPVIEW_LEDGER_URL and TOPVIEW_STORE",
                "Let the first name a PostgreSQL database, and the second a bucket such as "
                "s3://bucket/topview; or let TOPVIEW_HOME name a folder on a volume that all runs "
                "mount.",
            )


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path lies on, by the lines of /proc/mounts."""
    found = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = point, kind
    return found[1]


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
