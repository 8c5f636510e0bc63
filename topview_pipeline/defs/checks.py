"""The checks of each product's results, and of the catalogue's rows.

A run reports a product's check right after its materialization; measuring is in `media`. The
checks of the whole account are in `health_checks`.
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.dagster_private import checked_materialization
from topview_pipeline.defs.failures import Trouble, in_sentences
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import STAGES, Stage, data_version
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue

QUALITY: Final = "quality"
CATALOGUE_ROWS: Final = "catalogue_rows"
_CONSEQUENCES: Final = (
    "\n\n**Error**: left out of the manifest, unless a person approves it. **Warning**: exported, "
    "but needs a look. A product without a result says here why. What could not be measured counts "
    "as passed and is listed. *Execute all* measures what is stored and was not measured yet. "
    "TOPVIEW_CHECKS=false switches it off."
)


def product_check_specs(outline: Outline) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitions of checks are in preview; without them the last product's result would stand
        # for all.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                QUALITY,
                asset=outline.key(stage.key),
                description=outline.worded(stage.check_description + _CONSEQUENCES),
                partitions_def=outline.products,
            )
            for stage in STAGES
        ]


def evaluation(
    asset: dg.AssetKey,
    product_id: str,
    verdict: Verdict,
    of: dg.EventLogRecord | None,
    *,
    blocks: bool = False,
) -> dg.AssetCheckEvaluation:
    """A verdict as the result of a product's check.

    Args:
        of: the materialization that was checked. Without it Dagster counts the product's check as
            missing.
        blocks: an error fails the step, so that what is downstream in the same run is skipped. The
            spec cannot say so: what is downstream would wait for an output that a range lacks.
    """
    values: dict[str, Any] = {}
    if verdict.fix:
        values["topview/what_to_do"] = verdict.fix
    if verdict.not_measured:
        values["topview/not_measured"] = "; ".join(verdict.not_measured)
    if verdict.numbers:
        values["topview/measured"] = text_table(("what", "measured", "allowed"), _measured(verdict))
    is_doubtful = verdict.outcome is Outcome.DOUBTFUL
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=QUALITY,
        passed=verdict.outcome in (Outcome.PASSED, Outcome.UNMEASURED),
        severity=dg.AssetCheckSeverity.WARN if is_doubtful else dg.AssetCheckSeverity.ERROR,
        description=f"{product_id}: {verdict.why} {verdict.fix}".strip(),
        metadata=values,
        target_materialization_data=None if of is None else checked_materialization(of),
        partition=product_id,
        blocking=blocks,
    )


def not_made(asset: dg.AssetKey, trouble: Trouble) -> dg.AssetCheckEvaluation:
    """Why a product has nothing to check yet, as its check's result: its next result replaces it.

    Dagster shows a sentence of a partition without a materialization only there.
    """
    is_held = trouble.outcome == "held"
    what = f"{trouble.product} {'is on hold' if is_held else 'failed'}: {trouble.what}"
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=QUALITY,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN if is_held else dg.AssetCheckSeverity.ERROR,
        description=in_sentences(what, trouble.fix),
        partition=trouble.product,
    )


def rows_result(catalogue: "Catalogue") -> dict[str, Any]:
    """The fields that the result of the catalogue's check and its evaluation have in common."""
    problems = catalogue.problems
    description = "All rows can be used."
    if problems:
        description = in_sentences(
            f"{counted(len(problems), 'problem')} in {catalogue.source}. The first: {problems[0]}",
            "fix the rows of the table. Their products are not made, all others are",
        )
    return {
        "passed": not problems,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": description,
        "metadata": problem_metadata(catalogue),
    }


def problem_metadata(catalogue: "Catalogue") -> dict[str, Any]:
    """Counts of what is wrong with the catalogue and what was ignored, and the rows."""
    metadata: dict[str, Any] = {
        "topview/catalogue_problems": len(catalogue.problems),
        "topview/catalogue_warnings": len(catalogue.warnings),
    }
    if catalogue.problems:
        rows = (
            (f"{one.unit} {one.line}", one.product_id or "", one.column or "", one.reason)
            for one in catalogue.problems
        )
        columns = ("place", "product", "column", "reason")
        metadata["topview/catalogue_problem_rows"] = text_table(columns, rows)
    return metadata


def _measured(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """The measurements in words, and the limits where they depend on the product."""
    shortest, longest = (verdict.numbers.get(f"{end}_seconds") for end in ("shortest", "longest"))
    limits = "" if shortest is None or longest is None else f"{shortest:.1f} to {longest:.1f}"
    for name, value in verdict.numbers.items():
        if name not in ("shortest_seconds", "longest_seconds"):
            allowed = limits if name == "video_seconds" else ""
            yield name.replace("_", " "), f"{value:g}", allowed


# All of a stage's checks at once, as "Execute all" on its Checks tab asks for.


def measured(
    context: dg.AssetExecutionContext,
    topview: TopviewResource,
    stages: Sequence[Stage],
    products: Collection[str] | None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """The verdict on what each product (None: all) last made of these stages, measured if new."""
    from topview_pipeline.defs.data_versions import Versions
    from topview_pipeline.engine.check import verdict_of

    versions, by_key = Versions(context.instance, topview.outline), {one.key: one for one in stages}
    with topview.ledger() as ledger:
        for (product_id, key), glance in ledger.tasks.last_made_all().items():
            if key in by_key and (products is None or product_id in products):
                task = ledger.tasks.get(glance.id)
                verdict = verdict_of(by_key[key], task, ledger, topview.store)
                record = versions.stored(key, product_id, data_version(glance.fingerprint))
                yield evaluation(topview.outline.key(key), product_id, verdict, record)
