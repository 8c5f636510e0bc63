"""The parts of one sandbox, put together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.media.engine import MediaEngine, engine_named

from .faults import Faults
from .library import Avatar, library_files, load_avatars
from .report import Tally
from .results import Notices
from .signature import Signer
from .state import Clock, DiskStorage, State, Storage
from .tasks import MediaJobs, Tasks

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class World:
    """Everything that a route works with. Only the event loop's thread touches it."""

    config: SandboxConfig
    clock: Clock
    sleep: Sleep
    storage: Storage
    state: State
    signer: Signer
    faults: Faults
    tally: Tally
    media: MediaJobs
    tasks: Tasks
    notices: Notices
    avatars: list[Avatar]

    def settle(self) -> None:
        """Bring every task up to the clock; call before looking at any."""
        for task in self.tasks.settle():
            if task.notice_url:
                self.notices.send(self, task)

    def reset(self) -> None:
        """Go back to the state of a new sandbox of this configuration."""
        self.state.reset()
        self.signer = Signer(self.state.secret)
        self.faults = Faults(self.config.faults, self.config.seed)
        self.tally = Tally()
        self.tasks = Tasks(self.config, self.state, self.media, self.faults, self.clock)

    def close(self) -> None:
        """Stop making media and release the state's files."""
        self.media.close()
        self.storage.close()


def build_world(
    config: SandboxConfig, clock: Clock, sleep: Sleep, engine: MediaEngine | None
) -> World:
    """Build a sandbox, or take up the one that `config.state_dir` keeps."""
    storage = Storage() if config.state_dir is None else DiskStorage(config.state_dir)
    avatars = load_avatars()
    state = State(config, storage, clock, library_files(avatars))
    faults = Faults(config.faults, config.seed)
    workers = 0 if config.media == "tiny" else config.media_workers
    media = MediaJobs(engine or engine_named(config.media), storage, clock, workers)
    return World(
        config=config,
        clock=clock,
        sleep=sleep,
        storage=storage,
        state=state,
        signer=Signer(state.secret),
        faults=faults,
        tally=Tally(),
        media=media,
        tasks=Tasks(config, state, media, faults, clock),
        notices=Notices(),
        avatars=[avatar for avatar, _ in avatars],
    )
