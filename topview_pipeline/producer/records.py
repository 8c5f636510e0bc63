"""The ledger's second copy: what result.json and used.json say, written and read back.

result.json lies beside the files of a finished task. used.json says that a product's stage stands
on a result that result.json alone does not give it: one that another product had made from the same
inputs, or an older one that it came back to. Not here: the files themselves (`artifacts`), and
making rows of them (`ledger.rebuilding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from topview_pipeline.artifacts import Artifact
from topview_pipeline.ledger import KeptChoice, KeptResult, KeptUse, Ledger, Order, Task
from topview_pipeline.stages import BY_KEY, FINISHED_VIDEO, REPLACED_IMAGES

_TIMES = ("queued_at", "reserved_at", "pending_at", "succeeded_at", "deadline_at")


def record_of(
    ledger: Ledger,
    row: Task,
    *,
    result: Mapping[str, Any],
    artifacts: Sequence[Artifact],
    stored_at: float,
) -> dict[str, Any]:
    """result.json of a finished row: enough to make the row again, should the ledger be lost.

    Args:
        result: Topview's answer without its signed queries.
        stored_at: now, in seconds since the epoch.
    """
    moment = datetime.fromtimestamp(stored_at, timezone.utc)
    return {
        "account": ledger.account,
        "product_id": row.product_id,
        "stage": row.stage,
        "work": row.work,
        "generation": row.generation,
        "fingerprint": row.fingerprint,
        "attempt": row.attempt,
        "topview_task_id": row.topview_task_id,
        "credits": row.cost_credits,
        "estimate": row.estimate,
        "mode": row.mode,
        "seconds": row.seconds,
        "choice": _choice_behind(ledger, row.product_id, row),
        "run_id": row.run_id,
        "root_run_id": row.root_run_id,
        "inputs": dict(row.inputs),
        "request": dict(row.request or {}),
        "result": dict(result),
        "artifacts": [artifact.to_json() for artifact in artifacts],
        "times": {**{name: getattr(row, name) for name in _TIMES}, "stored_at": stored_at},
        "stored": moment.isoformat(timespec="seconds"),
    }


def use_of(ledger: Ledger, order: Order, row: Task) -> dict[str, Any]:
    """used.json of an order that stands on a row."""
    return {
        "account": ledger.account,
        "product_id": order.product_id,
        "stage": order.stage,
        "fingerprint": row.fingerprint,
        "made_for": row.product_id,
        "choice": _choice_behind(ledger, order.product_id, row),
        "force": order.force,
        "root_run_id": order.root_run_id,
        "used_at": ledger.now(),
    }


def kept_result(record: Mapping[str, Any], *, account: str) -> KeptResult:
    """A result.json read back; what older ones lack has a value that is good enough.

    Raises:
        ValueError: it lacks what a row cannot be without, or is another account's.
    """
    try:
        _check(record, account)
        times = record["times"]
        reserved_at = float(times["reserved_at"])
        succeeded_at = _number(times.get("succeeded_at")) or reserved_at
        artifacts = [Artifact.from_json(one).to_json() for one in record["artifacts"]]
        if not artifacts:
            raise ValueError("it names no file")
        return KeptResult(
            product_id=_text(record["product_id"]),
            stage=record["stage"],
            work=_text(record["work"]),
            generation=int(record["generation"]),
            fingerprint=_text(record["fingerprint"]),
            attempt=int(record["attempt"]),
            run_id=_text(record["run_id"]),
            root_run_id=_text(record["root_run_id"]),
            topview_task_id=_text(record["topview_task_id"]),
            request=dict(record["request"]),
            inputs=dict(record["inputs"]),
            mode=record.get("mode"),
            seconds=_number(record.get("seconds")),
            estimate=_number(record.get("estimate")),
            cost_credits=_number(record.get("credits")),
            queued_at=_number(times.get("queued_at")) or reserved_at,
            reserved_at=reserved_at,
            pending_at=_number(times.get("pending_at")),
            succeeded_at=succeeded_at,
            stored_at=_number(times.get("stored_at")) or succeeded_at,
            deadline_at=_number(times.get("deadline_at")) or succeeded_at,
            result=dict(record["result"]),
            artifacts=artifacts,
            anew=int(record.get("anew") or 0),
            choice=_choice(record.get("choice")),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"it has a value of the wrong kind ({error})") from error


def kept_use(record: Mapping[str, Any], *, account: str) -> KeptUse:
    """A used.json read back.

    Raises:
        ValueError: it lacks something, or is another account's.
    """
    try:
        _check(record, account)
        return KeptUse(
            product_id=_text(record["product_id"]),
            stage=record["stage"],
            fingerprint=_text(record["fingerprint"]),
            force=bool(record["force"]),
            root_run_id=_text(record["root_run_id"]),
            used_at=float(record["used_at"]),
            choice=_choice(record.get("choice")),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"it has a value of the wrong kind ({error})") from error


def _choice_behind(ledger: Ledger, product_id: str, video: Task) -> dict[str, Any] | None:
    """The preference that a video followed, if a person had one for its scene."""
    if video.stage != FINISHED_VIDEO.key:
        return None
    scene = ledger.tasks.last_stored(product_id, REPLACED_IMAGES.key)
    choice = None if scene is None else ledger.choices.find(product_id, scene.fingerprint)
    if scene is None or choice is None:
        return None
    return {"scene": scene.fingerprint, "image": choice.image, "chosen_at": choice.chosen_at}


def _choice(found: Mapping[str, Any] | None) -> KeptChoice | None:
    if found is None:
        return None
    return KeptChoice(
        scene=_text(found["scene"]),
        image=int(found["image"]),
        chosen_at=float(found["chosen_at"]),
    )


def _check(record: Mapping[str, Any], account: str) -> None:
    if record["account"] != account:
        raise ValueError(f"it is of another account ({record['account']})")
    if record["stage"] not in BY_KEY:
        raise ValueError(f"it is of an unknown stage ({record['stage']})")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
