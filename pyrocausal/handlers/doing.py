"""The handler ``do``."""

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
from torch import Tensor

from pyrocausal.engine.evidence import cast
from pyrocausal.engine.placing import check_finite, check_support, place, spread
from pyrocausal.engine.rows import Site
from pyrocausal.handlers.named import NamedSites, apply_handler, broadcast_by_outer_plates
from pyrocausal.interventions import (
    Action,
    Edge,
    Edit,
    Mechanism,
    Policy,
    RunSoFar,
    Set,
    Shift,
    Stochastic,
    read_worlds,
)

__all__ = ["do"]


def do(program: Any = None, interventions: Any = None, /, **by_name: Any) -> Any:
    """Intervene: the value recorded at X *is* the intervened value, and X gives no density.

    What X would have been is kept in the site's ``infer["natural"]``.

    Args:
        program: The program; leave it out for a context manager or decorator.
        interventions: A mapping from variable to value or ``pc.shift``, ``pc.policy``, ...
        by_name: Interventions as keywords.

    Raises:
        UnknownVariable: After the run, when the program has no such site.
        ValueError: A list of worlds or an edge, which need ``pc.worlds`` or ``SCM.do``.

    Example:
        >>> def program():
        ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
        ...     return pyro.sample("y", dist.Normal(2 * x, 0.1))
        >>> trace = pyro.poutine.trace(do(program, x=1.0)).get_trace()
        >>> trace.nodes["x"]["value"]
        tensor(1.)
    """
    return apply_handler(_Do, program, interventions, by_name)


class _Do(NamedSites):
    verb = "do"

    def __init__(self, interventions: Any, by_name: Mapping[str, Any]) -> None:
        super().__init__()
        worlds, listed = read_worlds(interventions, by_name)
        if listed:
            raise ValueError(
                "pc.do() makes one world. Use pc.worlds() or SCM.do() for a list or grid."
            )
        self.actions: dict[str, list[Action]] = {}
        for item in worlds[0]:
            if isinstance(item, Edge):
                raise ValueError(
                    "pc.edge() runs the program a second time, which a bare handler can't. "
                    "Use SCM.do() or SCM.counterfactual()."
                )
            self.actions.setdefault(item[0], []).append(item[1])
        self.names = list(self.actions)

    def _pyro_sample(self, msg: Any) -> None:
        actions = self.actions.get(msg["name"])
        if actions is None:
            return
        broadcast_by_outer_plates(self, msg)
        site = Site.read(msg)
        natural = msg["value"]
        if site.value is not None:
            natural = site.value
        elif natural is None:
            natural = site.fn()
        if site.value is None:
            event_shape = natural.shape[natural.dim() - site.event_dim :]
            value = natural.expand((*site.fn.batch_shape, *event_shape))
        else:
            value = natural
        for action in actions:
            value = self._changed(action, msg["name"], value, site.event_dim)
        value = value.contiguous()
        check_finite(value, msg["name"])
        if site.value is None:
            check_support(site.fn, value, f"do({msg['name']!r})")
        msg["fn"] = dist.Delta(value, event_dim=site.event_dim).mask(False)
        msg["value"], msg["is_observed"] = value, True
        msg["infer"] = {**msg["infer"], "_deterministic": True, "natural": natural}

    def _changed(self, action: Action, name: str, value: Tensor, event_dim: int) -> Tensor:
        match action:
            case Set(new):
                return place(new, value, event_dim, None, name)
            case Shift(amount):
                return value + place(amount, value, event_dim, None, name)
            case Edit(function):
                return place(function(value), value, event_dim, None, name)
            case Policy(function):
                return place(function(RunSoFar(self.seen, name, ())), value, event_dim, None, name)
            case Stochastic(distribution):
                fn = distribution
            case Mechanism(function):
                fn = function(RunSoFar(self.seen, name, ()))
        drawn = spread(fn, value.shape, event_dim, name)()
        return cast(drawn, value.dtype, f"do({name!r})")
