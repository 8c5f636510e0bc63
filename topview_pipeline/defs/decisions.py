"""People's decisions, from the command line and from Dagster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.defs.data_versions import materialized_versions
from topview_pipeline.engine.gate import under_review
from topview_pipeline.errors import PipelineError
from topview_pipeline.ledger import Ledger, Review, ReviewDecision, Task, TaskGlance, TaskState
from topview_pipeline.media import Verdict
from topview_pipeline.plan import PlannedStage, plan_catalogue
from topview_pipeline.stages import BY_KEY, STAGES
from topview_pipeline.text import counted

if TYPE_CHECKING:
    import dagster as dg

    from topview_pipeline.catalogue import Catalogue, Product
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.settings import Gate
    from topview_pipeline.store import Store

_WORDS: Final = ("approve", "reject", "choose", "again")
_KEYS: Final = tuple(stage.key for stage in STAGES)
_REVIEWED: Final = next(stage for stage in STAGES if stage.is_reviewed)
_NEXT: Final = next(stage for stage in STAGES if stage.upstream == _REVIEWED.key)  # made from it


@dataclass(frozen=True)
class Decisions:
    """Decisions of a person: product ids, and for `choose` an image of each.

    Attributes:
        whys: reasons of single products.
        versions: data versions of the results that a person looked at, where that is known.
    """

    approve: Sequence[str] = ()
    reject: Sequence[str] = ()
    choose: Mapping[str, int] | None = None
    again: Sequence[str] = ()
    whys: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        approve: Sequence[str] = (),
        reject: Sequence[str] = (),
        choose: Iterable[str] = (),
        again: Sequence[str] = (),
    ) -> Decisions:
        """The decisions as a person wrote them, ID=N for an image.

        Raises PipelineError if a product is in two of them.
        """
        chosen: dict[str, int] = {}
        for text in choose:
            name, _, number = text.rpartition("=")
            if not (name and number.isdecimal()) or name in chosen:
                raise PipelineError(f"{text!r} chooses no scene", fix="Write ID=N, each ID once.")
            chosen[name] = int(number)
        named = [*dict.fromkeys(approve), *dict.fromkeys(reject), *chosen, *dict.fromkeys(again)]
        [(name, times)] = Counter(named).most_common(1) or [("", 0)]
        if times > 1:
            raise PipelineError(f"there are two decisions about {name!r}", fix="Leave one out.")
        return cls(approve, reject, chosen, again)

    @classmethod
    def listed(cls, lines: Iterable[str]) -> Decisions:
        """The decisions of a list, as the gallery gives it: one a line, its fields between tabs.

        They are the decision, the product, the image or the reason, and the data version of the
        result that was looked at; the last two may be missing.
        """
        found: dict[str, list[str]] = {word: [] for word in _WORDS}
        whys: dict[str, str] = {}
        versions: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            word, name, detail, version, *_ = (*map(str.strip, line.split("\t")), "", "", "")
            if word not in _WORDS or not name:
                fix = "Write approve, reject, choose or again, a tab, and the product's id."
                raise PipelineError("this is not a decision", f"line {number}", fix)
            if word == "reject" and not detail:
                fix = "Write the reason behind the product's id, after a tab."
                raise PipelineError("a rejection needs a reason", f"line {number}", fix)
            found[word].append(f"{name}={detail}" if word == "choose" else name)
            if word != "choose" and detail:
                whys[name] = detail
            if version:
                versions[name] = version
        for word, names in found.items():
            if len(set(names)) < len(names):
                raise PipelineError(
                    f"the list says {word} twice for a product", fix="Leave one out."
                )
        return replace(cls.of(**found), whys=whys, versions=versions)

    @property
    def summary(self) -> str:
        words = {
            "approved": self.approve,
            "rejected": self.reject,
            "chosen": self.choose or (),
            "to remake": self.again,
        }
        return ", ".join(f"{len(names)} {word}" for word, names in words.items() if names)


def decide(
    topview: TopviewResource, ledger: Ledger, decisions: Decisions, *, who: str, why: str
) -> None:
    """Keep decisions, all or none; nothing is spent.

    Each is about the result that a run would hold its product for; where none would, about what
    the product last made. It must be what the person looked at.
    """
    if any(not (why.strip() or decisions.whys.get(name)) for name in decisions.reject):
        raise PipelineError(
            "a rejection needs a reason", fix="Add --why TEXT (in Dagster: the field why)."
        )
    made = _made(ledger)
    names = [*decisions.approve, *decisions.reject, *decisions.again]
    held = _held(topview, ledger, names)

    def row_of(name: str) -> TaskGlance | Task:
        last = under_review(made.get(name, {}), STAGES)
        rows = [row for row in (held.get(name), last and last[1]) if row is not None]
        if not rows:
            raise PipelineError(
                f"{name!r} has no result to decide about",
                fix="Name products whose scene is made; topview-pipeline review lists what waits.",
            )
        seen = decisions.versions.get(name, "")
        return next((row for row in rows if row.fingerprint.startswith(seen)), rows[0])

    words: tuple[tuple[ReviewDecision, Sequence[str]], ...] = (
        ("approved", decisions.approve),
        ("rejected", decisions.reject),
        ("again", decisions.again),
    )
    found = {
        (name, row_of(name).fingerprint): Review(None, word)
        for word, names in words
        for name in names
    }
    for name, image in (decisions.choose or {}).items():
        row = row_of(name)
        if not BY_KEY[row.stage].is_reviewed:
            raise PipelineError(
                f"there is no scene of {name!r} to choose from", fix="Run it first."
            )
        _check_choice(name, image, row)
        found[name, row.fingerprint] = Review(image, "approved")
    looked_at = decisions.versions
    changed = [name for name, now in found if not now.startswith(looked_at.get(name, ""))]
    if changed:
        raise PipelineError(
            f"{counted(len(changed), 'result')} changed since you looked, such as {changed[0]!r}",
            fix="Load the gallery again, and look at the new one.",
        )
    whys = {key: decisions.whys[key[0]] for key in found if key[0] in decisions.whys}
    ledger.reviews.decide(found, who=who, why=why, whys=whys)


@dataclass(frozen=True)
class Waiting:
    """A product that waits for a person.

    Attributes:
        task: the row of the result to look at.
        verdicts: number and verdict of each image; of a cut-out without a number.
        credits: what the next run spends once a person approves.
    """

    product_id: str
    task: Task
    verdicts: tuple[tuple[str, str], ...]
    credits: float
    what: str

    def to_json(self) -> dict[str, Any]:
        return {
            "product_id": self.product_id,
            "stage": self.task.stage,
            "verdicts": self.verdicts,
            "credits": self.credits,
            "what": self.what,
        }


def waiting(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    catalogue: Catalogue,
    ledger: Ledger,
    *,
    gate: Gate | None = None,
    offline: bool = False,
) -> list[Waiting]:
    """The products that a run with this gate would hold for a person, in the catalogue's order."""
    files = topview.files(ledger, offline=offline)
    materialized = materialized_versions(instance, topview.outline, catalogue.products)

    def planned(products: Mapping[str, Product], gate: Gate | None = None) -> list[PlannedStage]:
        some = replace(catalogue, products=dict(products))
        return plan_catalogue(topview.config, some, ledger, files, materialized, gate=gate)

    held = _first_held(planned(catalogue.products, gate))
    costs: dict[str, float] = dict.fromkeys(held, 0.0)
    if held:
        for one in planned({name: catalogue.products[name] for name in held}, "off"):
            costs[one.product_id] += one.credits or 0.0
    rows = _looked_at(ledger, held)
    return [
        Waiting(name, rows[name], _verdicts(rows[name]), costs[name], one.reason)
        for name, one in held.items()
    ]


def _held(topview: TopviewResource, ledger: Ledger, names: Iterable[str]) -> Mapping[str, Task]:
    """The results that a run with the strictest gate would hold these products for."""
    try:
        catalogue = topview.catalogue()
    except PipelineError:
        return {}  # what was made can be decided about without it
    products = {name: catalogue.products[name] for name in names if name in catalogue.products}
    catalogue, files = replace(catalogue, products=products), topview.files(ledger, offline=True)
    planned = plan_catalogue(topview.config, catalogue, ledger, files, {}, gate="approve", canary=0)
    return _looked_at(ledger, _first_held(planned))


def _first_held(planned: Iterable[PlannedStage]) -> dict[str, PlannedStage]:
    held: dict[str, PlannedStage] = {}
    for one in planned:
        if one.looked_at is not None:
            held.setdefault(one.product_id, one)
    return held


def _looked_at(ledger: Ledger, held: Mapping[str, PlannedStage]) -> dict[str, Task]:
    numbers = {name: one.looked_at for name, one in held.items() if one.looked_at is not None}
    rows = ledger.tasks.of_ids(numbers.values())
    return {name: rows[number] for name, number in numbers.items()}


def choose_scene(
    ledger: Ledger,
    product_id: str,
    image: int,
    *,
    who: str,
    why: str,
    make_it: str = "Make it first.",
) -> None:
    """Make an image of a product's scenes, from 1, the one that becomes its video.

    Args:
        make_it: how to get a scene, where there is none.
    """
    scene = ledger.tasks.last_made(product_id, _REVIEWED.key)
    if scene is None:
        raise PipelineError(f"there is no scene of {product_id!r} yet", fix=make_it)
    _check_choice(product_id, image, scene)
    ledger.reviews.choose(product_id, scene.fingerprint, image, who=who, why=why)


def _check_choice(product_id: str, image: int, row: TaskGlance | Task) -> None:
    valid = [str(one.number) for one in BY_KEY[row.stage].images(row.result)]
    if str(image) not in valid:
        fix = f"Choose {' or '.join(valid)}."
        raise PipelineError(f"there is no scene {image} of {product_id!r}", fix=fix)


def after_choice(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    catalogue: Catalogue,
    ledger: Ledger,
    product_id: str,
) -> list[PlannedStage]:
    """Let Dagster know of a choice, and return what the next run makes of the video because of it.

    A product without a usable row has no plan.
    """
    from topview_pipeline.defs.catalogue_sync import changed_inputs

    if product_id not in catalogue.products:
        return []
    # The other products need not be read.
    catalogue = replace(catalogue, products={product_id: catalogue.products[product_id]})
    looked = changed_inputs(instance, topview, catalogue, ledger, stages=[_NEXT])
    for observation in looked.observations(instance, topview, catalogue):
        instance.report_runless_asset_event(observation)
    materialized = materialized_versions(instance, topview.outline, catalogue.products)
    files = topview.files(ledger)
    return plan_catalogue(
        topview.config, catalogue, ledger, files, materialized, wanted=[_NEXT.key]
    )


def row_in(ledger: Ledger, number: int, *states: TaskState) -> Task:
    """A task row of this pipeline that is in one of these states; or an unknown one left behind.

    Raises PipelineError for any other.
    """
    task = ledger.tasks.get(number)
    forsaken = {row.id for row in ledger.unknowns.forsaken()}
    if task.pipeline != ledger.pipeline and number not in forsaken:
        fix = f"Decide about it there: --pipeline {task.pipeline}"
        raise PipelineError(f"{name_of(task)} belongs to the pipeline {task.pipeline}", fix=fix)
    if task.state not in states:
        named = " and ".join(state.value for state in states)
        raise PipelineError(f"{name_of(task)} is {task.state.value}; this is for {named} rows only")
    return task


def name_of(task: Task) -> str:
    return f"task row {task.id} ({task.product_id} / {task.stage})"


async def adopt_task(
    topview: TopviewResource, ledger: Ledger, number: int, task_id: str, *, who: str, why: str
) -> None:
    """Take a task of Topview for the one whose answer was lost. It must exist."""
    from topview_pipeline.topview.errors import TaskUnknown

    stage = BY_KEY[row_in(ledger, number, TaskState.UNKNOWN).stage]
    try:
        async with topview.client() as client:
            await client.query(stage.endpoint, task_id)
    except TaskUnknown as error:
        raise PipelineError(f"Topview knows no {stage.kind} task {task_id}") from error
    ledger.unknowns.adopt(number, task_id, why=why, who=who)


def adopt_store(ledger: Ledger, store: Store, *, who: str, why: str = "") -> None:
    identity = store.identity(create=True)
    if identity is not None:
        ledger.remember_store(identity, who=who, why=why)


def _made(ledger: Ledger) -> dict[str, dict[str, TaskGlance]]:
    found: dict[str, dict[str, TaskGlance]] = {}
    last = ledger.tasks.last_made_all(results_of=_KEYS, verdicts_of=_KEYS)
    for (product_id, stage), row in last.items():
        found.setdefault(product_id, {})[stage] = row
    return found


def _verdicts(row: Task) -> tuple[tuple[str, str], ...]:
    whole = Verdict.from_json(row.quality)
    said = "not measured" if whole is None else f"{whole.outcome.value}: {whole.why}"
    images = BY_KEY[row.stage].images(row.result)
    if not images:
        return (("", said),)
    each = whole.images if whole is not None else ()
    return tuple(
        (str(image.number), f"{each[at].outcome.value}: {each[at].why}" if at < len(each) else said)
        for at, image in enumerate(images)
    )
