"""The gate before a stage: what its check or a person says of the result that it is made from.

Pure. The engine asks it before a new task, the plan for thousands.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from topview_pipeline.catalogue import Product
from topview_pipeline.engine.events import HoldReason
from topview_pipeline.ledger import NO_REVIEW, Review
from topview_pipeline.media import is_faceless, is_refused
from topview_pipeline.settings import Gate, PipelineConfig
from topview_pipeline.stages import Stage, WhenNoFace, data_version, needs_face


@dataclass(frozen=True)
class Hold:
    """Why no new task is made for a product yet, and the way out."""

    what: str
    fix: str
    reason: HoldReason = HoldReason.REVIEW


@dataclass(frozen=True)
class ReviewRules:
    """The gate of a run.

    Attributes:
        pipeline: the pipeline's gate; a row's own overrides it.
        of_run: overrides both.
        checks: results are measured; if not, no verdict holds anything.
        canary: so many products of each recipe go first; 0: all go.
        when_no_face: with fail, a scene without a face is refused for a mode that needs one.
    """

    pipeline: Gate = "quality"
    of_run: Gate | None = None
    checks: bool = True
    canary: int = 0
    when_no_face: WhenNoFace = "fail"

    @classmethod
    def of(
        cls, config: PipelineConfig, of_run: Gate | None = None, canary: int | None = None
    ) -> ReviewRules:
        """The rules of a pipeline's run, which may have a gate and a number of its own."""
        canary = config.canary if canary is None else canary
        return cls(config.gate, of_run, config.checks, canary, config.when_no_face)

    def gate_of(self, product: Product) -> Gate:
        """The gate that counts for a product."""
        return self.of_run or product.gate or self.pipeline

    def needed(
        self,
        product: Product,
        before: Stage,
        quality: Mapping[str, Any] | None,
        review: Review = NO_REVIEW,
        image: int | None = None,
    ) -> Hold | None:
        """Return why no new task may be made from a result; None when it may.

        Args:
            before: the stage with the result.
            quality: the verdict on that.
            image: number of the image that would go in, of several.
        """
        if review.decision == "approved":
            return None
        name = shlex.quote(product.product_id)
        command = f"topview-pipeline review --approve {name}"
        again = f"--again {name} remakes it, and pays again"
        if review.decision == "rejected":
            fix = f"change its inputs, or topview-pipeline review {again}; {command} takes it back"
            return Hold(f"a person rejected the {before.noun}", fix)
        if review.decision == "again":
            fix = f"topview-pipeline run --product {name}, without --stage"
            return Hold(f"a person asked for another {before.noun}", fix)
        gate = self.gate_of(product)
        if gate == "off":
            return None
        refused = self._refusal(product, quality, image) if self.checks else None
        if refused is not None:
            fix = f"look at it, then {command} lets it pass, and {again}"
            return Hold(f"the {before.noun} failed its check: {refused}", fix)
        if gate == "approve" and before.is_reviewed:
            return Hold(f"the {before.noun} waits for a person", f"look at it, then {command}")
        return None

    def _refusal(
        self, product: Product, quality: Mapping[str, Any] | None, image: int | None
    ) -> str | None:
        is_needed = self.when_no_face == "fail" and needs_face(product.mode)
        if is_needed and is_faceless(quality):
            return f"no face was found, and mode {product.mode} needs one"
        return refusal(quality, image)


def refusal(quality: Mapping[str, Any] | None, image: int | None = None) -> str | None:
    """The reason why a verdict refuses a result, or the image of it that would go in."""
    if quality is None:
        return None
    if is_refused(quality):
        return str(quality["why"])
    images = quality.get("images") or ()
    if image is not None and image <= len(images) and is_refused(images[image - 1]):
        return f"scene {image}: {images[image - 1]['why']}"
    return None


def under_review(made: Mapping[str, Any], stages: tuple[Stage, ...]) -> tuple[Stage, Any] | None:
    """The stage that a person decides about, and its row: the last one that another is made of.

    A scene of an older cut-out is no longer what the product goes on with: then it is the cut-out.

    Args:
        made: what the product last made, by stage key, with its inputs.
    """
    befores = {stage.upstream for stage in stages}
    found: tuple[Stage, Any] | None = None
    for stage in stages:
        row = made.get(stage.key)
        if row is None or stage.key not in befores:
            break
        if found is not None:
            before = data_version(found[1].fingerprint)
            if row.inputs.get(found[0].key) != before:
                break
        found = stage, row
    return found
