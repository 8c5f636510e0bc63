"""The life of tasks: accepted into a slot, init, running, success or fail, charged on success.

A task's state follows from the clock. Nothing runs per task: `settle` ends what is due whenever
somebody looks, and dates it by when it was due, not by when it was looked at.
"""

import heapq
from collections import Counter

from .clock import Clock
from .config import SandboxConfig
from .draws import lognormal
from .faults import Faults
from .kinds import FACTS, Kind
from .outputs import output_files
from .prices import image_replace_credits, video_credits
from .records import Account, CreditEntry, Task
from .state import State, new_id
from .submissions import Submission
from .wire import ApiError
from .work import Outcome, Workshop

_INIT_SHARE = 0.1
"""The part of a task's time in which its status is `init`."""

MODEL_UNAVAILABLE = "The model service is unavailable, please try again later."


class TaskDesk:
    """Accepts submits and knows the state of every task. Call `settle` before asking anything.

    Tasks that the state brings from an earlier process go on by the clock.
    """

    def __init__(
        self,
        config: SandboxConfig,
        state: State,
        workshop: Workshop,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._config = config
        self._state = state
        self._workshop = workshop
        self._faults = faults
        self._clock = clock
        self.concurrency = config.concurrency
        self._due: list[tuple[float, str]] = []
        self._late: list[Task] = []
        self._live: dict[str, Task] = {}
        self._repeats: Counter[str] = Counter()
        for task in state.tasks.values():
            self._repeats[task.content] += 1
            if task.ended_at is None:
                self._begin(task)

    def accept(self, submission: Submission, account: Account, base: str) -> Task:
        """Turn a valid submit into a task.

        Raises ApiError 4007 when the account's slots are full and 4100 when its credits, less
        what its unfinished tasks will cost, are too few.
        """
        live = [task for task in self._live.values() if task.uid == account.uid]
        if len(live) >= self.concurrency:
            raise ApiError("4007")
        free = account.credits - sum(task.estimate for task in live)
        if submission.estimate > free:
            raise ApiError("4100", f"{submission.estimate} needed, {max(free, 0.0):g} left")
        task = self._task(submission, account, base)
        self._state.save_task(task)
        self._begin(task)
        return task

    def _task(self, submission: Submission, account: Account, base: str) -> Task:
        content = submission.content(account.uid)
        repeat = self._repeats[content]
        self._repeats[content] += 1
        now = self._clock()
        config = self._config
        median = config.median_seconds(submission.kind)
        seconds = lognormal(median, config.sigma, config.seed, "duration", content, repeat)
        fails = self._faults.strikes("fail", f"{content}/{repeat}")
        return Task(
            id=new_id(),
            kind=submission.kind,
            version=submission.version,
            uid=account.uid,
            content=content,
            repeat=repeat,
            inputs={role: file.sha256 or "" for role, file in submission.inputs.items()},
            params=submission.params,
            accepted_at=now,
            ends_at=now + seconds / config.speed,
            estimate=submission.estimate,
            planned_error=MODEL_UNAVAILABLE if fails else None,
            base=base,
            notice_url=submission.notice_url,
            notice_uuid=new_id() if submission.notice_url else None,
        )

    def _begin(self, task: Task) -> None:
        self._live[task.id] = task
        heapq.heappush(self._due, (task.ends_at, task.id))
        if task.planned_error is None:
            self._workshop.start(task)

    def settle(self) -> list[Task]:
        """End every task that is due and whose media are ready; returns those that ended."""
        now = self._clock()
        if not self._late and (not self._due or self._due[0][0] > now):
            return []
        candidates, self._late = self._late, []
        while self._due and self._due[0][0] <= now:
            candidates.append(self._live[heapq.heappop(self._due)[1]])
        return [task for task in candidates if self._end(task)]

    def _end(self, task: Task) -> bool:
        if task.planned_error is not None:
            outcome: Outcome | None = Outcome(task.ends_at, error=task.planned_error)
        else:
            outcome = self._workshop.take(task)
        if outcome is None:
            self._late.append(task)
            return False
        del self._live[task.id]
        task.ended_at = max(task.ends_at, outcome.ready_at)
        task.error = outcome.error
        if outcome.error is None:
            for output in output_files(task, outcome.files):
                self._state.fill_output(output.file, output.content)
                task.outputs.append(output.file.id)
            self._charge(task, outcome)
        self._state.save_task(task)
        return True

    def _charge(self, task: Task, outcome: Outcome) -> None:
        task_type = FACTS[task.kind].task_type
        if task_type is None or task.ended_at is None:
            return
        if task.kind is Kind.IMAGE_REPLACE:
            task.cost = image_replace_credits(task.version, len(outcome.files))
        else:
            task.cost = video_credits(task.params["mode"], outcome.video_seconds)
        account = self._state.account_of(task.uid)
        account.credits = round(account.credits - task.cost, 4)
        self._state.save_account(account)
        self._state.save_entry(
            CreditEntry(account.uid, account.api_key, task.ended_at, task.cost, task.id, task_type)
        )

    def status(self, task: Task) -> str:
        """`init`, `running`, `success` or `fail`, as of the last `settle`."""
        if task.ended_at is not None:
            return "success" if task.error is None else "fail"
        init_ends = task.accepted_at + _INIT_SHARE * (task.ends_at - task.accepted_at)
        return "init" if self._clock() < init_ends else "running"

    def next_end(self) -> float | None:
        """When the next unfinished task is due at the earliest; None without one."""
        return self._clock() if self._late else self._due[0][0] if self._due else None
