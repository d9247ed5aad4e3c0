"""The handler ``exogenous``."""

from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch

from pyrocausal.engine.rows import is_factor, is_subsample, unmasked
from pyrocausal.handlers.named import Wrapping, check_met
from pyrocausal.handlers.passing import as_drawn, broadcast_by_outer_plates, emit, foreseen
from pyrocausal.noise import (
    Coupling,
    StructuralEquation,
    read_couplings,
    structural_equation,
)

__all__ = ["exogenous"]


def exogenous(program: Any = None, /, *, noise: Mapping[str, Coupling] | None = None) -> Any:
    """Expose the exogenous noise: each site X becomes ``X.noise`` and ``X = f(pa, X.noise)``.

    An observed site keeps its density, and its noise is recorded as a deterministic site; so the
    density with evidence equals the program's, gradients included. This holds wherever the
    evidence comes from: the program, a condition inside of ``exogenous`` or one outside.

    Args:
        program: The program; leave it out for a context manager or decorator.
        noise: Site to coupling, for discrete sites.

    Returns:
        The program under the handler; without a program, a context manager and decorator.

    Raises:
        NotAbducible: A site whose distribution has no structural equation.
        UnknownVariable: After the run, when ``noise`` has a name that is no site.

    Example:
        >>> def program():
        ...     return pyro.sample("x", dist.Normal(1.0, 2.0))
        >>> trace = pyro.poutine.trace(exogenous(program)).get_trace()
        >>> bool(trace.nodes["x"]["value"] == 1 + 2 * trace.nodes["x.noise"]["value"])
        True
    """
    handler = _Exogenous(read_couplings(noise))
    return handler if program is None else handler(program)


class _Exogenous(Wrapping):
    def __init__(self, couplings: dict[str, Coupling]) -> None:
        super().__init__()
        self.couplings = couplings

    def __enter__(self) -> Any:
        self.seen: set[str] = set()
        return super().__enter__()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if exc_type is None:
            check_met(self.couplings, self.seen, "noise")

    def _pyro_sample(self, msg: Any) -> None:
        if (
            is_subsample(msg["fn"])
            or msg["infer"].get("_deterministic")
            or msg["infer"].get("_exogenous")
            or is_factor(msg["fn"])
        ):
            return
        name = msg["infer"].get("natural_of", msg["name"])
        self.seen.add(name)
        broadcast_by_outer_plates(self, msg)
        given = foreseen(self, msg)
        if given is not None:
            msg["value"], msg["is_observed"] = as_drawn(given, msg, repr(name)), True
        fn, mask = unmasked(msg["fn"])
        equation = structural_equation(fn, self.couplings.get(name), name)
        if msg["value"] is not None:
            self._record(name, equation, msg)
            return
        noise = equation.noise if mask is None else equation.noise.mask(mask)
        u = emit(self, msg, f"{name}.noise", fn=noise, infer={"_exogenous": True})
        value = equation.forward(u)
        msg["fn"] = dist.Delta(value, event_dim=fn.event_dim).mask(False)
        msg["value"], msg["is_observed"] = value, True
        msg["infer"] = {**msg["infer"], "_deterministic": True}

    def _record(self, name: str, equation: StructuralEquation, msg: Any) -> None:
        v = None
        if equation.posterior_shape is not None:
            shape = (*equation.distribution.batch_shape, *equation.posterior_shape)
            v = torch.rand(shape, dtype=torch.float64, device=msg["value"].device)
            v = v.clamp(min=2.0**-54)
        u = equation.posterior(msg["value"], v)
        fn = dist.Delta(u, event_dim=len(equation.noise_shape)).mask(False)
        infer = {"_deterministic": True, "_exogenous": True}
        emit(self, msg, f"{name}.noise", fn=fn, value=u, is_observed=True, infer=infer)
