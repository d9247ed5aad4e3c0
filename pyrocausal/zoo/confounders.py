"""Controls S1 to S8: a binary treatment with a hidden confounder, identified or not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.zoo.registry import Model, Truth, parse_edges

__all__ = ["CONFOUNDED", "Confounded"]

Values = Mapping[str, Tensor]
Equation = Callable[[Values], Tensor]


@dataclass(frozen=True)
class Confounded(Model):
    """A model of a treatment ``t`` and an outcome ``y`` with a hidden ``u``, and its roles.

    Example:
        >>> CONFOUNDED["S1"].instruments, CONFOUNDED["S1"].ate
        (('x4',), 2.0)
    """

    ate: float = 0.0
    """The average effect of ``t`` on ``y``."""
    effect: Equation = torch.zeros_like  # type: ignore[assignment]
    """Covariates to the average effect of the units that have them."""
    covariates: tuple[str, ...] = ()
    """What is observed besides ``t`` and ``y``, instruments and proxies included."""
    instruments: tuple[str, ...] = ()
    """Covariates that move ``t`` and reach ``y`` through it alone."""
    proxies: tuple[str, ...] = ()
    """Covariates that are noisy copies of ``u``."""
    outcome: str = "normal"
    """The family of ``y``, ``"normal"`` or ``"bernoulli"``."""
    loadings: tuple[float, float] = (0.0, 0.0)
    """The weight of ``u`` in the log odds of ``t`` and in ``y``."""

    def data(self, units: int, seed: int) -> dict[str, Tensor]:
        """Return units as they would be observed.

        Args:
            units: How many.
            seed: One seed is one set of units.

        Returns:
            Covariates, ``t`` and ``y`` by name, shape ``(units,)`` each.

        Example:
            >>> list(CONFOUNDED["S1"].data(10, seed=0))
            ['x1', 'x2', 'x3', 'x4', 'x5', 't', 'y']
        """
        names = [*self.covariates, "t", "y"]
        sample = self.scm().sample(units, variables=names, seed=seed)
        return {name: sample[name] for name in names}


def _model(
    name: str,
    edges: str,
    logit: Equation,
    mean: Equation,
    ate: float,
    *,
    effect: Equation | None = None,
    extra: Sequence[str] = (),
    proxies: Sequence[str] = (),
    instruments: Sequence[str] = (),
    outcome: str = "normal",
    loadings: tuple[float, float] = (1.0, 1.0),
    done: float = 0.0,
) -> Confounded:
    """Return a control; ``done`` is ``E[Y | do(T=0)]``."""
    free = ("x1", "x2") if proxies else ("x1", "x2", "x3", "x4", "x5")

    def program() -> None:
        values = {n: pyro.sample(n, dist.Normal(0.0, 1.0)) for n in (*free, "u", *extra)}
        for proxy in proxies:
            values[proxy] = pyro.sample(proxy, dist.Normal(values["u"], 1.5))
        values["t"] = pyro.sample("t", dist.Bernoulli(logits=logit(values)))
        if outcome == "normal":
            pyro.sample("y", dist.Normal(mean(values), 1.0))
        else:
            pyro.sample("y", dist.Bernoulli(logits=mean(values)))

    program.__name__ = name
    return Confounded(
        name=name,
        program=program,
        edges=parse_edges(edges),
        latent=("u", *extra),
        truths=(
            Truth(2, "E[Y | do(T=1)]", "y", done + ate, do={"t": 1.0}),
            Truth(2, "E[Y | do(T=0)]", "y", done, do={"t": 0.0}),
        ),
        ate=ate,
        effect=effect or (lambda v: torch.full_like(v["x1"], ate)),
        covariates=(*free, *proxies),
        instruments=tuple(instruments),
        proxies=tuple(proxies),
        outcome=outcome,
        loadings=loadings,
    )


def _l0(v: Values) -> Tensor:
    return 0.5 * v["x1"] - 0.5 * v["x2"]


def _b0(v: Values) -> Tensor:
    return v["x1"] + 0.5 * v["x2"]


def _linear(v: Values) -> Tensor:
    return 2.0 * v["t"] + _b0(v) + v["u"]


def _curved(v: Values) -> Tensor:
    bent = v["x1"] ** 2 - 1.0 + torch.sin(2.0 * v["x2"])
    return bent + v["t"] * (1.0 + v["x1"]) + v["u"]


def _log_odds(v: Values) -> Tensor:
    return -0.5 + v["t"] + 0.8 * v["x1"] + v["u"]


def _risk_difference(v: Values) -> Tensor:
    """Return the effect of S4 at the covariates, u averaged over an even grid."""
    u = torch.linspace(-6.0, 6.0, 121, dtype=v["x1"].dtype)
    index = 0.8 * v["x1"][..., None] + u
    return (torch.sigmoid(0.5 + index) - torch.sigmoid(-0.5 + index)) @ torch.softmax(
        -(u**2) / 2, 0
    )


_BOW: Final = "x1, x2, u -> t -> y; x1, x2, u -> y"
_INSTRUMENT: Final = f"{_BOW}; x4 -> t"
_models = [
    _model(
        "S1", _INSTRUMENT, lambda v: _l0(v) + v["x4"] + v["u"], _linear, 2.0, instruments=["x4"]
    ),
    _model("S2", _BOW, lambda v: _l0(v) + v["u"], _linear, 2.0),
    _model(
        "S3",
        _INSTRUMENT,
        lambda v: torch.sin(2.0 * v["x1"]) + 0.5 * v["x2"] + v["x4"] + v["u"],
        _curved,
        1.0,
        effect=lambda v: 1.0 + v["x1"],
        instruments=["x4"],
    ),
    _model(
        "S4",
        "x1, x2, x4, u -> t -> y; x1, u -> y",
        lambda v: _l0(v) + v["x4"] + v["u"],
        _log_odds,
        0.1874825595,
        effect=_risk_difference,
        instruments=["x4"],
        outcome="bernoulli",
        done=0.4062587203,
    ),
    _model(
        "S5",
        f"{_INSTRUMENT}; u2 -> t, y",
        lambda v: _l0(v) - 1.0 + v["x4"] + 0.8 * v["u"] + 0.6 * v["u2"],
        lambda v: _linear(v) + v["t"] * v["u2"],
        2.0,
        extra=["u2"],
        instruments=["x4"],
    ),
    _model("S6", "x1, x2 -> t -> y; x1, x2, u -> y", _l0, _linear, 2.0, loadings=(0.0, 1.0)),
    _model(
        "S7",
        _BOW,
        lambda v: _l0(v) + v["u"],
        lambda v: _linear(v) - 2.0 * v["u"],
        2.0,
        loadings=(1.0, -1.0),
    ),
    _model(
        "S8",
        f"{_BOW}; u -> w1, w2, w3",
        lambda v: _l0(v) + v["u"],
        _linear,
        2.0,
        proxies=["w1", "w2", "w3"],
    ),
]
CONFOUNDED: Final[Mapping[str, Confounded]] = MappingProxyType({m.name: m for m in _models})
"""The controls by name, apart from the registry of models whose every answer is known.

With ``l0 = .5 x1 - .5 x2``, ``b0 = x1 + .5 x2``, everything exogenous standard normal and the
noise of a normal ``y`` too:

======  ===========================  ==================================  =====  ==================
name    logit P(t = 1)               y                                   ATE    identified
======  ===========================  ==================================  =====  ==================
S1      l0 + x4 + u                  2 t + b0 + u                        2      instrument x4
S2      l0 + u                       2 t + b0 + u                        2      no
S3      sin 2x1 + .5 x2 + x4 + u     x1^2 - 1 + sin 2x2 + t (1+x1) + u   1      instrument x4
S4      l0 + x4 + u                  Bernoulli(expit(-.5+t+.8 x1+u))     .1875  x4 and the form
S5      l0 - 1 + x4 + .8 u + .6 u2   2 t + b0 + u + t u2                 2      x4 and the form
S6      l0                           2 t + b0 + u                        2      if it is known
S7      l0 + u                       2 t + b0 - u                        2      no
S8      l0 + u                       2 t + b0 + u; w_j = u + 1.5 e_j     2      by three proxies
======  ===========================  ==================================  =====  ==================

Example:
    >>> CONFOUNDED["S4"].truths[0]
    Truth(rung=2, query='E[Y | do(T=1)]', variable='y', ...)
"""
