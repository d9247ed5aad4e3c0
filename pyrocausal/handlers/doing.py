"""The handler ``do``."""

import warnings
from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro.poutine.condition_messenger import ConditionMessenger
from torch import Tensor

from pyrocausal.engine.casting import cast
from pyrocausal.engine.placing import changed, check_finite, check_support, spread
from pyrocausal.engine.rows import Site
from pyrocausal.engine.so_far import RunSoFar
from pyrocausal.errors import RungWarning
from pyrocausal.handlers.named import NamedSites, apply_handler, without_edges
from pyrocausal.handlers.passing import (
    as_drawn,
    broadcast_by_outer_plates,
    emit,
    finish,
    foreseen,
    given_inside,
)
from pyrocausal.interventions import (
    Action,
    Edit,
    Mechanism,
    Shift,
    Stochastic,
    read_worlds,
)

__all__ = ["do"]


def do(program: Any = None, interventions: Any = None, /, **by_name: Any) -> Any:
    """Intervene: the value recorded at X *is* the intervened value, and X gives no density.

    What X would have been is kept in the site's ``infer["natural"]``. Where the intervened value is
    made from a draw, the draw is a site of its own: ``X.natural`` under ``pc.shift`` and
    ``pc.edit``, ``X.do`` under a distribution and ``pc.mechanism``. A value that
    ``poutine.condition`` holds for X, as in Pyro's ``Predictive``, is the natural one.

    Args:
        program: The program; leave it out for a context manager or decorator.
        interventions: A mapping from variable to value or ``pc.shift``, ``pc.policy``, ...
        by_name: Interventions as keywords.

    Returns:
        The program under the handler; without a program, a context manager and decorator.

    Raises:
        UnknownVariable: After the run, when the program has no such site.
        ValueError: A list of worlds or an edge, which need ``pc.worlds`` or ``SCM.do``.

    Warns:
        RungWarning: Evidence was read before the action: that is no counterfactual here.

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
            earlier = self.actions.get(name, []) if isinstance(action, Shift | Edit) else []
            self.actions[name] = [*earlier, action]
        self.names = list(self.actions)

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name not in self.actions:
            self._warn(msg)
            return
        broadcast_by_outer_plates(self, msg)
        site, infer = Site.read(msg), {**msg["infer"], "_deterministic": True}
        natural = infer["natural"] = self._natural(msg, site, infer)
        value = _expand(natural, site)
        for action in self.actions[name]:
            value = self._changed(action, msg, site, value, infer)
        value = value.contiguous()
        check_finite(value, name)
        if site.value is None:
            check_support(site.fn, value, f"do({name!r})")
        fn = dist.Delta(value, event_dim=site.event_dim).mask(False)
        msg.update(fn=fn, value=value, is_observed=True, infer=infer)
        finish(self, msg)

    def _natural(self, msg: Any, site: Site, infer: dict[str, Any]) -> Tensor:
        given = foreseen(self, msg, (ConditionMessenger,))
        value: Tensor = msg["value"] if given is None else as_drawn(given, msg, repr(msg["name"]))
        read = isinstance(self.actions[msg["name"]][0], Shift | Edit)
        if read and not site.deterministic:
            infer["follows"] = f"{msg['name']}.natural"
            return emit(
                self,
                msg,
                infer["follows"],
                value=value,
                is_observed=msg["is_observed"] or given is not None,
                infer={**msg["infer"], "natural_of": msg["name"]},
            )
        return site.fn() if value is None else value

    def _changed(
        self, action: Action, msg: Any, site: Site, value: Tensor, infer: dict[str, Any]
    ) -> Tensor:
        name, values = site.name, RunSoFar(self.seen, site.name, ())
        if not isinstance(action, Stochastic | Mechanism):
            return changed(action, name, value, values, site.event_dim, None)
        fn = action.distribution if isinstance(action, Stochastic) else action.function(values)
        fn = spread(fn, value, site.event_dim, name)
        infer["follows"] = f"{name}.do"
        seen = None
        if len(self.actions[name]) == 1:
            seen = foreseen(self, {**msg, "fn": fn, "value": None}, (NamedSites,))
        drawn = emit(
            self,
            msg,
            infer["follows"],
            fn=fn if site.mask is None else fn.mask(site.mask),
            value=seen,
            is_observed=seen is not None,
            infer={**msg["infer"]},
        )
        return cast(drawn, value.dtype, f"do({name!r})")

    def _warn(self, msg: Any) -> None:
        acted = [name for name in self.names if name in self.seen]
        if acted and given_inside(self, msg):
            targets = ", ".join(acted)
            warnings.warn(
                f"pc.do() on {targets} outside of evidence on {msg['name']!r}: this is the density "
                f"of the program under do({targets}), where the evidence is read after the action "
                "(rung 2), and no counterfactual. For evidence read before it ask "
                "scm.counterfactual(evidence=..., do=...); for evidence read after it write "
                "pc.condition(pc.do(program, ...), ...).",
                RungWarning,
                stacklevel=2,
            )


def _expand(natural: Tensor, site: Site) -> Tensor:
    event = natural.shape[natural.dim() - site.event_dim :]
    batch = natural.shape[: natural.dim() - site.event_dim]
    # An enumerated value has more batch dimensions than its site.
    own = (
        site.fn.batch_shape if site.value is None else site.value.shape[: -site.event_dim or None]
    )
    return natural.expand((*torch.broadcast_shapes(batch, own), *event))
