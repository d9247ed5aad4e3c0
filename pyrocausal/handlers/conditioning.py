"""The handler ``condition``."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyrocausal.engine.casting import as_tensor
from pyrocausal.engine.evidence import columns_of
from pyrocausal.engine.placing import check_support
from pyrocausal.handlers.named import NamedSites, apply_handler
from pyrocausal.handlers.passing import as_drawn, broadcast_by_outer_plates
from pyrocausal.requirements import all_finite

__all__ = ["condition"]


def condition(program: Any = None, evidence: Any = None, /, **by_name: Any) -> Any:
    """Observe: the sites get the evidence as their value, and its density counts.

    Evidence on a site that an inner ``do`` has set must be equal to what was set.

    Args:
        program: The program; leave it out for a context manager or decorator.
        evidence: A mapping from variable to value.
        by_name: Evidence as keywords.

    Returns:
        The program under the handler; without a program, a context manager and decorator.

    Raises:
        UnknownVariable: After the run, when the program has no such site.
        ValueError: Evidence that is impossible, of a wrong shape or not finite.

    Example:
        >>> def program():
        ...     return pyro.sample("x", dist.Normal(0.0, 1.0))
        >>> condition(program, x=2.0)()
        tensor(2.)
    """
    return apply_handler(_Condition, program, evidence, by_name)


class _Condition(NamedSites):
    verb = "condition"

    def __init__(self, evidence: Any, by_name: Mapping[str, Any]) -> None:
        super().__init__()
        given = columns_of({} if evidence is None else evidence, "the evidence")
        self.evidence = {**given, **by_name}
        if not self.evidence:
            raise ValueError("condition() got no evidence. Say what was seen, such as x=1.0.")
        self.names = list(self.evidence)

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name not in self.evidence:
            return
        what = f"condition({name!r})"
        seen = as_tensor(self.evidence[name], what)
        if not all_finite(seen):
            raise ValueError(
                f"{what} is NaN or infinite; expected finite numbers. Leave out what is missing: "
                "SCM.condition() takes evidence with gaps."
            )
        if msg["infer"].get("_deterministic"):
            self._check_set(msg, seen)
            return
        broadcast_by_outer_plates(self, msg)
        msg["value"] = _broadcast(as_drawn(seen, msg, what), msg["fn"], what)
        check_support(msg["fn"], msg["value"], what)
        msg["is_observed"] = True

    def _check_set(self, msg: Any, seen: Tensor) -> None:
        name, value = msg["name"], msg["value"]
        if torch.allclose(seen.to(value).expand_as(value), value, rtol=1e-4, atol=1e-5):
            return
        source = msg["infer"].get("follows")
        if source is not None:
            raise ValueError(
                f"condition({name!r}): do() makes the variable's value from the site {source!r}. "
                f"Condition on that: condition({{{source!r}: ...}})."
            )
        raise ValueError(
            f"condition({name!r}): the variable was set, or follows from its causes, and has "
            "another value; the evidence is impossible."
        )


def _broadcast(seen: Tensor, fn: Any, what: str) -> Tensor:
    try:
        return seen.expand(torch.broadcast_shapes(seen.shape, fn.shape()))
    except RuntimeError:
        raise ValueError(
            f"{what} has the shape {tuple(seen.shape)}; expected what broadcasts to "
            f"{tuple(fn.shape())}."
        ) from None
