"""The handler ``do``."""

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
from torch import Tensor

from pyrocausal.engine.evidence import cast
from pyrocausal.engine.placing import changed, check_finite, check_support, spread
from pyrocausal.engine.rows import Site
from pyrocausal.handlers.named import (
    NamedSites,
    apply_handler,
    broadcast_by_outer_plates,
    without_edges,
)
from pyrocausal.interventions import (
    Action,
    Mechanism,
    RunSoFar,
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
            name, action = without_edges(item)
            self.actions.setdefault(name, []).append(action)
        self.names = list(self.actions)

    def _pyro_sample(self, msg: Any) -> None:
        actions = self.actions.get(msg["name"])
        if actions is None:
            return
        broadcast_by_outer_plates(self, msg)
        site = Site.read(msg)
        if site.value is not None:
            natural = value = site.value
        else:
            natural = site.fn() if msg["value"] is None else msg["value"]
            event_shape = natural.shape[natural.dim() - site.event_dim :]
            value = natural.expand((*site.fn.batch_shape, *event_shape))
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
        values = RunSoFar(self.seen, name, ())
        if not isinstance(action, Stochastic | Mechanism):
            return changed(action, name, value, values, event_dim, None)
        fn = action.distribution if isinstance(action, Stochastic) else action.function(values)
        drawn = spread(fn, value, event_dim, name)()
        return cast(drawn, value.dtype, f"do({name!r})")
