"""What ``do`` and ``condition`` have made of an SCM."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyrocausal.engine.evidence import columns_of
from pyrocausal.interventions import World

__all__ = ["Standing"]


@dataclass(frozen=True)
class Standing:
    """What ``do`` and ``condition`` have made of an SCM.

    Attributes:
        worlds: The interventions of each world.
        listed: Whether answers have a world dimension.
        evidence: Evidence that is read after the interventions.
    """

    worlds: tuple[World, ...] = ((),)
    listed: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def acts(self) -> bool:
        """Whether anything is intervened on."""
        return self.worlds != ((),)

    def with_evidence(self, given: Any, where: str = "evidence") -> dict[str, Any]:
        """Return what is held together with new evidence or data.

        Raises:
            ValueError: A variable is in both.
        """
        columns = columns_of(given, where)
        twice = self.evidence.keys() & columns.keys()
        if twice:
            raise ValueError(
                f"{min(twice)!r} is in the {where} and in condition(...). Leave it out of one."
            )
        return {**self.evidence, **columns}
