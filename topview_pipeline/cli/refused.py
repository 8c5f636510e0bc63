"""The credits of scenes that were paid and refused: by a check, or by a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from topview_pipeline.catalogue import Product
from topview_pipeline.catalogue.references import shown
from topview_pipeline.ledger import Ledger
from topview_pipeline.stages import SCENE, WhenNoFace, needs_face


@dataclass(frozen=True)
class Refused:
    """Scenes of one template or avatar, and one mode; `credits` as Topview booked them."""

    template: str
    mode: str
    scenes: int
    credits: float


def refused_scenes(
    ledger: Ledger, products: Collection[Product], when_no_face: WhenNoFace
) -> list[Refused]:
    """The refused scenes of the pipeline so far, the most expensive template first.

    Args:
        products: of the catalogue; their templates are called by their files.
    """
    speak = {one.product_id for one in products if when_no_face == "fail" and needs_face(one.mode)}
    known = ledger.history.refused(SCENE.key)
    rows = [row for row in known if not row.is_faceless or row.product_id in speak]
    if not rows:
        return []
    names = _names_of_templates(ledger, products)
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        request = row.request or {}
        template = request.get("templateImageFileId")
        avatar = f"avatar {request.get('avatarId')}"
        name = names.get(template, f"template {template}") if template else avatar
        sums[name, row.mode or ""].append(row.cost_credits or 0.0)
    found = [
        Refused(template, mode, len(costs), round(sum(costs), 2))
        for (template, mode), costs in sums.items()
    ]
    return sorted(found, key=lambda one: (-one.credits, one.template, one.mode))


def _names_of_templates(ledger: Ledger, products: Iterable[Product]) -> dict[str, str]:
    """Templates of the catalogue by their file ids at Topview, as far as they are known."""
    refs = {one.template_image for one in products if one.template_image is not None}
    names = {}
    for ref, (_, sha256) in ledger.hashes.get_many(refs).items():
        file_id = ledger.uploads.find(sha256)
        if file_id is not None:
            names[file_id] = shown(ref)
    return names
