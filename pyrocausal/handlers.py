"""Effect handlers: do, condition, exogenous, worlds, units.

Each is usable as function of a program, as decorator and as context manager:

    pc.do(program, {"x": 1.0})      pc.do(program, x=1.0)
    with pc.do({"x": 1.0}): ...     @pc.do({"x": 1.0})
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.poutine.broadcast_messenger import BroadcastMessenger
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor

from pyrocausal.errors import UnknownVariable
from pyrocausal.evidence import as_tensor, cast
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
from pyrocausal.noise import Coupling, structural_equation
from pyrocausal.placing import check_finite, check_support, place, spread
from pyrocausal.rows import UNITS, Site, current_units

__all__ = ["condition", "do", "exogenous", "units"]

Program = Callable[..., Any]


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
    return _apply(_Do, program, interventions, by_name)


def condition(program: Any = None, evidence: Any = None, /, **by_name: Any) -> Any:
    """Observe: the sites get the evidence as their value, and its density counts.

    Evidence on a site that an inner ``do`` has set must be equal to what was set.

    Args:
        program: The program; leave it out for a context manager or decorator.
        evidence: A mapping from variable to value.
        by_name: Evidence as keywords.

    Raises:
        UnknownVariable: After the run, when the program has no such site.

    Example:
        >>> def program():
        ...     return pyro.sample("x", dist.Normal(0.0, 1.0))
        >>> condition(program, x=2.0)()
        tensor(2.)
    """
    return _apply(_Condition, program, evidence, by_name)


def exogenous(program: Any = None, /, *, noise: Mapping[str, Coupling] | None = None) -> Any:
    """Expose the exogenous noise: each site X becomes ``X.noise`` and ``X = f(pa, X.noise)``.

    An observed site keeps its density, and its noise is recorded as a deterministic site; so the
    density with evidence equals the program's, gradients included.

    Args:
        program: The program; leave it out for a context manager or decorator.
        noise: Site to coupling, for discrete sites.

    Raises:
        NotAbducible: A site whose distribution has no structural equation.

    Example:
        >>> def program():
        ...     return pyro.sample("x", dist.Normal(1.0, 2.0))
        >>> trace = pyro.poutine.trace(exogenous(program)).get_trace()
        >>> bool(trace.nodes["x"]["value"] == 1 + 2 * trace.nodes["x.noise"]["value"])
        True
    """
    handler = _Exogenous(dict(noise or {}))
    return handler if program is None else handler(program)


class units(ContextDecorator):  # noqa: N801 - a handler, named like the others
    """Open the plate over the units, in a program that also has sites shared by all units.

    Inside a query the size is the query's; outside one it is ``size``, and without it the plate
    is left out. Usable as ``with pc.units():``, ``@pc.units(100)`` and ``pc.units(program, 100)``.

    Args:
        program: A program to run inside the plate; leave it out for a context manager.
        size: Number of units outside of queries.

    Example:
        >>> def program():
        ...     loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        ...     with units(5):
        ...         return pyro.sample("x", dist.Normal(loc, 1.0))
        >>> program().shape
        torch.Size([5])
    """

    def __new__(cls, program: Any = None, /, size: int | None = None) -> Any:
        if callable(program):
            return cls(size)(program)
        instance = super().__new__(cls)
        instance.size = program if size is None else size
        return instance

    def _recreate_cm(self) -> "units":
        return type(self)(self.size)

    def __enter__(self) -> Any:
        frame = current_units.get()
        if frame is None and self.size is not None:
            frame = pyro.plate(UNITS, self.size, dim=-1)
        self._frame = frame
        return None if frame is None else frame.__enter__()

    def __exit__(self, *args: Any) -> None:
        if self._frame is not None:
            self._frame.__exit__(*args)


def _apply(kind: Any, program: Any, given: Any, by_name: Mapping[str, Any]) -> Any:
    if callable(program):
        return kind(given, by_name)(program)
    if given is not None:
        raise TypeError(
            f"{kind.__name__[1:].lower()}() got {type(program).__name__} as program; expected a "
            "callable, or the mapping alone."
        )
    return kind(program, by_name)


class _Named(Messenger):
    """Acts on named sites, and complains at the end about names it never met."""

    verb: str
    names: Sequence[str]

    def __enter__(self) -> Any:
        self.seen: dict[str, Tensor] = {}
        return super().__enter__()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None:
            for name in self.names:
                if name not in self.seen:
                    raise UnknownVariable(name, self.seen, self.verb)

    def _pyro_post_sample(self, msg: Any) -> None:
        if type(msg["fn"]).__name__ != "_Subsample":
            self.seen[msg["name"]] = msg["value"]


class _Do(_Named):
    verb = "do"

    def __init__(self, interventions: Any, by_name: Mapping[str, Any]) -> None:
        super().__init__()
        worlds, listed = read_worlds(interventions, by_name)
        if listed:
            raise ValueError("pc.do() makes one world. Use pc.worlds() or SCM.do() for a list or grid.")
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
        _broadcast_by_outer_plates(self, msg)
        site = Site.read(msg)
        natural = msg["value"]
        if site.value is not None:
            natural = site.value
        elif natural is None:
            natural = site.fn()
        value = natural.expand(*site.fn.batch_shape, *natural.shape[natural.dim() - site.event_dim :])             if site.value is None else natural
        for action in actions:
            value = self._changed(action, msg["name"], value, site.event_dim)
        value = value.contiguous()
        check_finite(value, msg["name"])
        if site.value is None:
            check_support(site.fn, value, msg["name"])
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
        return spread(fn, value.shape, event_dim, name)().to(value.dtype)  # type: ignore[no-any-return]


class _Condition(_Named):
    verb = "condition"

    def __init__(self, evidence: Any, by_name: Mapping[str, Any]) -> None:
        super().__init__()
        self.evidence = {**dict(evidence or {}), **by_name}
        if not self.evidence:
            raise ValueError("condition() got no evidence. Say what was seen, such as x=1.0.")
        self.names = list(self.evidence)

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name not in self.evidence:
            return
        what = f"condition({name!r})"
        seen = as_tensor(self.evidence[name], what)
        if msg["infer"].get("_deterministic"):
            self._check_set(name, seen, msg["value"])
            return
        _broadcast_by_outer_plates(self, msg)
        dtype = msg["value"].dtype if msg["value"] is not None else _dtype_of(msg["fn"])
        seen = cast(seen, dtype, what)
        msg["value"] = seen.expand(torch.broadcast_shapes(seen.shape, msg["fn"].shape()))
        msg["is_observed"] = True

    def _check_set(self, name: str, seen: Tensor, value: Tensor) -> None:
        if not torch.allclose(seen.to(value.dtype).expand_as(value), value, rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"condition({name!r}): the variable was set, or follows from its causes, and has "
                "another value; the evidence is impossible."
            )


class _Exogenous(Messenger):
    def __init__(self, couplings: dict[str, Coupling]) -> None:
        super().__init__()
        self.couplings = couplings

    def _pyro_sample(self, msg: Any) -> None:
        if (
            type(msg["fn"]).__name__ == "_Subsample"
            or msg["infer"].get("_deterministic")
            or msg["infer"].get("_exogenous")
            or isinstance(getattr(msg["fn"], "base_dist", msg["fn"]), dist.Unit)
        ):
            return
        name = msg["name"]
        _broadcast_by_outer_plates(self, msg)
        fn, mask = msg["fn"], None
        while isinstance(fn, dist.MaskedDistribution):
            mask = fn._mask if mask is None else mask & fn._mask
            fn = fn.base_dist
        equation = structural_equation(fn, self.couplings.get(name), name)
        if msg["value"] is not None:
            self._record(name, equation, msg["value"])
            return
        noise = equation.noise if mask is None else equation.noise.mask(mask)
        u = pyro.sample(f"{name}.noise", noise, infer={"_exogenous": True})
        value = equation.forward(u)
        msg["fn"] = dist.Delta(value, event_dim=fn.event_dim).mask(False)
        msg["value"], msg["is_observed"] = value, True
        msg["infer"] = {**msg["infer"], "_deterministic": True}

    def _record(self, name: str, equation: Any, value: Tensor) -> None:
        v = None
        if equation.posterior_shape is not None:
            batch = equation.distribution.batch_shape
            v = torch.rand(*batch, *equation.posterior_shape, dtype=torch.float64, device=value.device)
        u = equation.posterior(value, v)
        pyro.deterministic(f"{name}.noise", u, event_dim=len(equation.noise_shape))


def _broadcast_by_outer_plates(handler: Messenger, msg: Any) -> None:
    # Plates opened outside the handler act after it; their sizes are needed now. Seen a second
    # time, the frame is in the stack already, so the early expansion changes nothing.
    position = _PYRO_STACK.index(handler)
    outer = [frame for frame in _PYRO_STACK[:position] if isinstance(frame, IndepMessenger)]
    early = {"cond_indep_stack": msg["cond_indep_stack"], "scale": 1.0, "type": "sample"}
    for plate in reversed(outer):
        if plate.dim is not None:
            IndepMessenger._process_message(plate, early)  # type: ignore[arg-type]
    expanded = {**msg, "cond_indep_stack": early["cond_indep_stack"], "done": False}
    BroadcastMessenger._pyro_sample(expanded)  # type: ignore[arg-type]
    msg["fn"] = expanded["fn"]


def _dtype_of(fn: Any) -> torch.dtype:
    with torch.random.fork_rng():
        return fn.sample().dtype  # type: ignore[no-any-return]
