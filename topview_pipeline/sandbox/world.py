"""The parts of one sandbox, put together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .avatars import Avatar, avatar_files, load_avatars
from .catalogues import catalogue_files
from .clock import Clock
from .config import SandboxConfig
from .faults import Faults
from .media import MediaEngine
from .notices import Notices
from .signing import Signer
from .state import State
from .storage import DiskStorage, MemoryStorage, Storage
from .tally import Tally
from .tasks import TaskDesk
from .work import Workshop

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class World:
    """What every route works with. Touched by the event loop's thread alone."""

    config: SandboxConfig
    clock: Clock
    sleep: Sleep
    storage: Storage
    state: State
    signer: Signer
    faults: Faults
    tally: Tally
    desk: TaskDesk
    workshop: Workshop
    notices: Notices
    avatars: list[Avatar]

    def settle(self) -> None:
        """Bring every task up to the clock; call before looking at any."""
        for task in self.desk.settle():
            if task.notice_url:
                self.notices.send(self, task)

    def reset(self) -> None:
        """Back to the state of a new sandbox of this configuration."""
        self.state.reset()
        self.signer = Signer(self.state.secret)
        self.faults = Faults(self.config.faults, self.config.seed)
        self.tally.clear()
        self.desk = TaskDesk(self.config, self.state, self.workshop, self.faults, self.clock)

    def close(self) -> None:
        """Stop the media and release the state's files."""
        self.workshop.close()
        self.storage.close()


def build_world(
    config: SandboxConfig, clock: Clock, sleep: Sleep, engine: MediaEngine | None
) -> World:
    """Build a sandbox, or take up the one that `config.state_dir` keeps."""
    storage: Storage = (
        MemoryStorage() if config.state_dir is None else DiskStorage(config.state_dir)
    )
    pictures = load_avatars()
    state = State(config, storage, clock, [*avatar_files(pictures), *catalogue_files()])
    faults = Faults(config.faults, config.seed)
    workers = 0 if config.media == "tiny" else config.media_workers
    workshop = Workshop(engine or _engine(config.media), storage, clock, workers)
    return World(
        config=config,
        clock=clock,
        sleep=sleep,
        storage=storage,
        state=state,
        signer=Signer(state.secret),
        faults=faults,
        tally=Tally(),
        desk=TaskDesk(config, state, workshop, faults, clock),
        workshop=workshop,
        notices=Notices(),
        avatars=[avatar for avatar, _ in pictures],
    )


def _engine(media: str) -> MediaEngine:
    if media == "tiny":
        from .tinymedia import TinyMedia

        return TinyMedia()
    # OpenCV takes its time to import; who asks for tiny media does not wait for it.
    from .realmedia import RealMedia

    return RealMedia()
