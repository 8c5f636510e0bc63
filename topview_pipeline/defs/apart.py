"""Pipelines that cannot go together in a code location, refused when the second one is made.

No function of Dagster's sees all definitions of a location before it is loaded, so the pipelines
that this process has made are looked at. A location may be loaded again in a process, and tests
make many: one counts as long as something holds it, and one of the same name is taken for an
earlier load. Two of one name in one location are refused by `Definitions.merge`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from topview_pipeline.settings import PipelineConfig, SettingsError

if TYPE_CHECKING:
    from topview_pipeline.defs.resources import TopviewResource


@dataclass(frozen=True)
class Claim:
    """A pipeline's part in what others share with it.

    Attributes:
        find_ledger: returns the ledger's URL in its one spelling; None where it is not known.
        unknown: fields whose variable is not set.
        file: the YAML that describes it, or empty.
    """

    config: PipelineConfig
    ledger: str
    find_ledger: Callable[[], str | None]
    unknown: frozenset[str] = frozenset()
    file: str = ""

    @classmethod
    def of(cls, config: PipelineConfig) -> Claim:
        """The part of a pipeline whose configuration is complete."""
        return cls(config, config.ledger_url, lambda: config.ledger_url)

    def clash(self, other: Claim) -> SettingsError | None:
        """Return why the two cannot go together; None when they can."""
        mine, theirs = self.config, other.config
        both = f"pipelines {theirs.name} and {mine.name}"
        if mine.name == theirs.name:
            if not (self.file and other.file) or self.file == other.file:
                return None
            fix = "Give each catalogue a pipeline of a name of its own."
            return self._error(other, "name", f"two pipelines have the name {mine.name}", fix)
        if mine.key_prefix == theirs.key_prefix:
            fix = "Give each a prefix of its own, or none: then it is the name."
            what = f"{both} have the same prefix {list(mine.key_prefix)}"
            return self._error(other, "key_prefix", what, fix)
        if mine.uid is None or (mine.uid, mine.base_url) != (theirs.uid, theirs.base_url):
            return None
        fix = "They share what the account makes and pays: let both name the same one."
        unknown = self.unknown | other.unknown
        if mine.store != theirs.store and not {"store", "home"} & unknown:
            return self._error(other, "store", f"{both} use one account and two stores", fix)
        if self.ledger != other.ledger and not {"ledger_url", "home"} & unknown:
            here, there = self.find_ledger(), other.find_ledger()
            if here != there and None not in (here, there):
                what = f"{both} use one account and two ledgers"
                return self._error(other, "ledger_url", what, fix)
        return None

    def _error(self, other: Claim, field: str, what: str, fix: str) -> SettingsError:
        error = self.config.wrong(field, what, fix)
        files = " and ".join(dict.fromkeys(filter(None, (other.file, self.file))))
        return SettingsError(what, f"{error.where} in {files}" if files else error.where, fix)


_claims: Final[WeakKeyDictionary[TopviewResource, Claim]] = WeakKeyDictionary()


def check_apart(topview: TopviewResource, claim: Claim) -> None:
    """Refuse a pipeline that cannot go with another one that this process has made.

    Raises:
        SettingsError: they have one key prefix, or one account and two ledgers or stores.
    """
    if any(claim.clash(other) for other in _others(topview)):
        gc.collect()  # one that nothing holds any more may stand in a cycle
        for other in _others(topview):
            if error := claim.clash(other):
                raise error
    _claims[topview] = claim


def _others(topview: TopviewResource) -> list[Claim]:
    return [claim for made, claim in list(_claims.items()) if made is not topview]
