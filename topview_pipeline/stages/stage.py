"""The base class of a stage, and the data that stages exchange with the engine.

To add a stage: its endpoint in `topview.client`, a subclass of `Stage` in a file of its own, and an
instance in `STAGES`. The engine, the plan, the ledger and the Dagster definitions know a stage only
by what is declared here. `tests/stages/toy.py` is the smallest example.

The Dagster definitions load this room: what takes long to import is imported where it is used.
"""

# ruff: noqa: ARG002, B027 - most stages have no use for most of what is offered to them

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from topview_pipeline.errors import PipelineError
from topview_pipeline.stages.fingerprint import Inputs, data_version, work_of
from topview_pipeline.text import without_queries

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.media.probe import Media
    from topview_pipeline.stages.proof_lists import ProofLists
    from topview_pipeline.stages.scene import SceneImage
    from topview_pipeline.store import Artifact, Store
    from topview_pipeline.topview.client import Endpoint, TopviewClient
    from topview_pipeline.topview.models import TaskRequest, TaskResult

HashOf = Callable[[str], str]
"""Gives the sha256 (hex) of the bytes behind a path or URL; raises the catalogue's InputError."""
Sleep = Callable[[float], Awaitable[None]]
Ids = Collection[str]
Json = Mapping[str, Any]
WhenNoFace = Literal["fail", "avatar2"]
"""The end of a scene without a face: the product fails, or its video is sent as avatar2."""
FileKind = Literal["image", "audio"]


class PreconditionError(PipelineError):
    """The product cannot go through the stage as it is; nothing was sent."""


class UnfitResultError(PreconditionError):
    """The result of the stage before does not serve the product; a person may choose another."""


@dataclass(frozen=True)
class Upstream:
    """The stored result of the stage before: Topview's answer as kept, and its check's verdict."""

    fingerprint: str
    result: Json
    artifacts: tuple[Artifact, ...] = ()  # a plan leaves them out
    quality: Json | None = None

    def artifact(self, name: str) -> Artifact | None:
        return next((artifact for artifact in self.artifacts if artifact.name == name), None)


class WorkItem(NamedTuple):
    """One stage of one product, with everything that shapes its task but the generation.

    Attributes:
        inputs: with a person's choice in it, where it matters.
        mode: Topview's mode, for prices and checks.
        chosen: the image that goes in, where a stage takes one of several.
    """

    stage: Stage
    product: Product
    inputs: Inputs
    upstream: Upstream | None
    work: str
    mode: str | None
    chosen: SceneImage | None = None

    @property
    def input_versions(self) -> Mapping[str, str]:
        """Data version by asset key of everything that it is made from."""
        versions = {self.stage.source: self.inputs.version}
        if self.stage.upstream is not None and self.upstream is not None:
            versions[self.stage.upstream] = data_version(self.upstream.fingerprint)
        return versions


@dataclass(frozen=True)
class FileNeeded:
    """A file id that a request carries, and where its bytes are when the id must be made.

    Attributes:
        role: name by which `Stage.request` asks for the id.
        given: an id to use as it is: the catalogue's, or Topview's own for an upstream result.
        sha256: of the bytes behind it, when we have them.
        source: path or URL in the catalogue.
        artifact: the stored upstream file.
    """

    role: str
    kind: FileKind
    given: str | None = None
    sha256: str | None = None
    source: str | None = None
    artifact: Artifact | None = None

    @property
    def can_be_uploaded(self) -> bool:
        return self.sha256 is not None


@dataclass(frozen=True)
class Download:
    """A file of a finished task; `name` is its name in the store."""

    name: str
    url: str = field(repr=False)  # signed; never kept, never shown
    expect: Literal["image", "video"]
    required: bool = True  # False: without it the result is whole all the same


@dataclass(frozen=True)
class StoredFile:
    """A file in the artifact store."""

    artifact: Artifact
    store: Store

    @property
    def uri(self) -> str:
        return self.store.address(self.artifact)

    def read(self) -> bytes:
        return self.store.read_bytes(self.artifact)

    def local_copy(self) -> AbstractContextManager[Path]:
        return self.store.local_copy(self.artifact)


@dataclass(frozen=True)
class StageResult:
    """A result as a typed value for users' own assets; each stage has its subclass."""

    product_id: str  # that asks; it may share the task with another
    topview_task_id: str
    credits: float | None  # that Topview booked; None when it did not say
    fingerprint: str


class Stage(ABC):
    """One step of the pipeline: everything that is special about it, and no state."""

    key: ClassVar[str]  # of the asset; also the stage's name in the ledger and the store
    upstream: ClassVar[str | None] = None  # key of the stage whose result goes in
    source: ClassVar[str]  # key of the source asset: the product's own inputs
    version: ClassVar[str] = "1"  # raised when our way of making it changes what comes out
    # The work depends on what the upstream's answer says, not on its fingerprint alone: nothing
    # can be decided before the upstream is made.
    reads_upstream_result: ClassVar[bool] = False

    is_reviewed: ClassVar[bool] = False  # with gate approve a person sees each result
    shares_source: ClassVar[bool] = False  # many products have the same inputs of its own

    kind: ClassVar[str]  # Topview's kind of task: prices and deadlines go by it
    endpoint: ClassVar[Endpoint]
    free: ClassVar[bool] = False  # Topview charges nothing, and its credit log does not list it
    booked_as: ClassVar[frozenset[str]] = frozenset()  # the credit log's words for it (taskType)
    deadline_seconds: ClassVar[float]  # a task is overdue then, unless configured otherwise
    typical_seconds: ClassVar[float]  # how long a task takes, until the ledger knows better

    label: ClassVar[str]  # the stage in a word or two
    kinds: ClassVar[frozenset[str]]  # of the asset, in the Dagster UI
    description: ClassVar[str]  # of the asset, Markdown
    check_description: ClassVar[str]
    source_label: ClassVar[str]  # the product's own inputs in a word: "photo changed"
    source_kind: ClassVar[str]
    source_description: ClassVar[str]
    main_file: ClassVar[str]  # the stored file that a person opens first; its size is shown
    preview_files: ClassVar[tuple[str, ...]]  # the first that is stored becomes the preview
    shows_all_files: ClassVar[bool] = False  # all are, side by side: a person chooses one of them

    @property
    def noun(self) -> str:
        """The result's name inside a sentence."""
        return self.label.lower()

    # What goes in

    @abstractmethod
    def inputs(self, product: Product, hash_of: HashOf) -> Inputs:
        """The product's own inputs: every column that shapes this stage's output, and no other.

        Leave absent columns out (`present`), and name files by `file_input`. Raises InputError when
        a file cannot be read.
        """

    def sources(self, product: Product) -> dict[str, FileKind]:
        """The files whose hashes `inputs` asks for, by path or URL."""
        found: dict[str, FileKind] = {}
        recording = self.recording(product)

        def note(ref: str) -> str:
            found[ref] = "audio" if ref == recording else "image"
            return ""

        self.inputs(product, note)
        return found

    def effective_inputs(
        self, inputs: Inputs, choice: int | None, result: Json | None, quality: Json | None = None
    ) -> Inputs:
        """The inputs with a person's choice laid over them: what the source's data version is of.

        Args:
            choice: the image that a person chose of this upstream result, from 1.
            result, quality: the upstream's kept answer and verdict; None while there is none.
        """
        return inputs

    def is_other_choice(self, item: WorkItem, version: str | None) -> bool:
        """Tell whether inputs of this version differ from the item's by the chosen image alone."""
        return False

    def item(
        self,
        product: Product,
        inputs: Inputs,
        upstream: Upstream | None,
        *,
        account: str,
        choice: int | None = None,
        when_no_face: WhenNoFace = "fail",
    ) -> WorkItem:
        """All that shapes a task. Raises PreconditionError when the upstream does not serve."""
        fingerprint = None if self.upstream is None else self.required(upstream).fingerprint
        work = work_of(account, self, inputs, fingerprint)
        return WorkItem(self, product, inputs, upstream, work, self.likely_mode(product))

    def required(self, upstream: Upstream | None) -> Upstream:
        """The upstream; PreconditionError when the stage before was not made."""
        if upstream is None:
            raise PreconditionError(
                f"there is no {self.upstream} of this product",
                fix=f"Materialize {self.upstream} first.",
            )
        return upstream

    def likely_mode(self, product: Product) -> str | None:
        """The mode for the price, as far as it is known before the upstream is there."""
        return None

    # How long it speaks: only for stages with sound

    def speech_seconds(self, product: Product, *, slowly: bool = True) -> float | None:
        """About how long the product's text takes to speak, slowly or at the usual pace."""
        return None

    def recording(self, product: Product) -> str | None:
        """Path or URL of the recording that is spoken instead; the engine reads its length."""
        return None

    def check_recording(self, seconds: float, mode: str | None) -> None:
        """Raise PreconditionError if a recording is too long, before it is uploaded."""

    # The request

    def files(self, item: WorkItem) -> tuple[FileNeeded, ...]:
        """The files that the request carries ids of, in the order to upload them."""
        return ()

    @abstractmethod
    def request(self, item: WorkItem, file_ids: Mapping[str, str]) -> TaskRequest:
        """The request; `file_ids` by the roles of `files`."""

    def provider_ids(self, item: WorkItem) -> tuple[str, ...]:
        """Ids in the request that come from the upstream and are no files: a 4004 may mean them."""
        return ()

    async def prove(
        self, product: Product, lists: ProofLists, recorded: float | None = None
    ) -> None:
        """Raise PreconditionError if the stage cannot succeed: asked before an earlier one is paid.

        Args:
            recorded: seconds of `recording`, where the product has one.
        """

    async def upstream_is_gone(
        self, client: TopviewClient, item: WorkItem, *, sleep: Sleep, wait: float
    ) -> bool:
        """Ask after UpstreamGone if one of `provider_ids` is gone: the upstream is then paid again.

        Args:
            wait: seconds before the second question; doubles with each.

        Raises:
            QueryError: Topview does not say now.
        """
        return False

    # The result

    @abstractmethod
    def downloads(self, answer: Any) -> tuple[Download, ...] | None:
        """The files of a finished task by what `query` returned; None while it lacks one."""

    def kept(self, answer: TaskResult) -> dict[str, Any]:
        """The answer as ledger and store keep it: whole, but without the queries of signed URLs."""
        values: dict[str, Any] = unsigned(answer.model_dump(mode="json", by_alias=True))
        return values

    @abstractmethod
    def check(self, task: Task, files: Mapping[str, Media]) -> Verdict:
        """Measure what was made, by the stored files' names; a refused result is not exported."""

    @abstractmethod
    def result(self, product_id: str, task: Task, store: Store) -> StageResult:
        """A stored row as a typed value, for a product that may share it with another."""

    def images(self, result: Json | None) -> tuple[SceneImage, ...]:
        """The images of a kept answer, where a person chooses one; in Topview's order, from 1."""
        return ()

    def unfit(self, product: Product, quality: Json | None, when_no_face: WhenNoFace) -> str | None:
        """Return why a result with this verdict serves other products and not this one."""
        return None

    def traits(self, product: Product) -> tuple[Any, ...]:
        """The values, beside the inputs, that products of one canary group have in common."""
        return (self.likely_mode(product),)

    # What people see of it

    def facts(self, result: Json) -> dict[str, str]:
        """Return what to show of a kept answer beside the files, by its name in metadata."""
        return {}

    def upstream_files(self, request: Json, upstream_result: Json) -> tuple[str, ...]:
        """Names of the upstream's stored files that went into a request."""
        return ()


# Helpers for the stages' own files.


def present(values: Json) -> Inputs:
    return Inputs({name: value for name, value in values.items() if value is not None})


def file_input(source: str | None, file_id: str | None, hash_of: HashOf) -> dict[str, str] | None:
    """A file of the catalogue as an input: the hash of its bytes, else its given id."""
    if source is not None:
        return {"sha256": hash_of(source)}
    return None if file_id is None else {"file_id": file_id}


def file_needed(
    item: WorkItem, role: str, source: str | None, file_id: str | None, kind: FileKind = "image"
) -> tuple[FileNeeded, ...]:
    """The same file for the request, or nothing; `role` is its name among the inputs."""
    if source is not None:
        sha256 = item.inputs.values[role]["sha256"]
        return (FileNeeded(role, kind, sha256=sha256, source=source),)
    return () if file_id is None else (FileNeeded(role, kind, given=file_id),)


def all_images(files: Mapping[str, str | None]) -> tuple[Download, ...] | None:
    """Images to download, by name; None unless each has its URL."""
    found = [Download(name, url, "image") for name, url in files.items() if url]
    return tuple(found) if found and len(found) == len(files) else None


def stored_files(task: Task, store: Store) -> dict[str, StoredFile]:
    from topview_pipeline.store import Artifact

    artifacts = map(Artifact.from_json, task.artifacts or ())
    return {artifact.name: StoredFile(artifact, store) for artifact in artifacts}


def common_fields(product_id: str, task: Task) -> tuple[str, str, float | None, str]:
    """The fields that every `StageResult` has, in their order."""
    return product_id, task.topview_task_id or "", task.cost_credits, task.fingerprint


def unsigned(value: Any) -> Any:
    """An answer as it is kept: without the queries of signed URLs."""
    if isinstance(value, Mapping):
        return {name: unsigned(part) for name, part in value.items()}
    if isinstance(value, list):
        return [unsigned(part) for part in value]
    return without_queries(value) if isinstance(value, str) else value
