"""Do the intervals of effects hold the truth as often as they say? ``python -m benchmarks.coverage``.

Each run draws a data set, fits the model with ``uncertainty="sandwich"`` and asks; the share of
intervals that hold the truth is compared with their level by a 99 % binomial interval. Of PNS there
are two truths with the same data: a monotone one, and one in which treatment also harms. The
point's interval must fail for the second, and the interval of the bounds must not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc

__all__ = ["Hits", "effects", "necessity", "plausible"]

ROWS = 400
LEVEL = 0.95
Data = dict[str, Tensor]


@dataclass(frozen=True)
class Hits:
    """How many of some intervals held the truth."""

    name: str
    hits: int
    runs: int

    @property
    def holds(self) -> bool:
        """Whether 95 % is in the 99 % binomial interval of the share."""
        low, high = plausible(self.runs)
        return low <= self.hits <= high

    def __str__(self) -> str:
        low, high = plausible(self.runs)
        verdict = "holds" if self.holds else "fails"
        return (
            f"{self.name}: {self.hits} of {self.runs} = {self.hits / self.runs:.3f}; "
            f"{low} to {high} are plausible at 0.95: {verdict}"
        )


def plausible(runs: int) -> tuple[int, int]:
    """Return the least and greatest number of hits that 99 % of such studies would have.

    Example:
        >>> plausible(500)
        (462, 487)
    """
    from scipy.stats import binom

    return int(binom.ppf(0.005, runs, LEVEL)), int(binom.ppf(0.995, runs, LEVEL))


def mediated() -> None:
    """A binary treatment, a mediator, a common cause, and an interaction."""
    w = {name: pyro.param(name, torch.tensor(0.0)) for name in "abcdefgh"}
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    t = pyro.sample("t", dist.Bernoulli(logits=w["a"] + w["b"] * z))
    m = pyro.sample("m", dist.Normal(w["c"] * t + w["d"] * z, 1.0))
    pyro.sample("y", dist.Normal(w["e"] * t + w["f"] * m + w["g"] * z + w["h"] * t * m, 1.0))


MEDIATED = {"a": 0.0, "b": 0.8, "c": 1.0, "d": 0.5, "e": 0.7, "f": 0.6, "g": -0.5, "h": 0.4}


def draw_mediated(generator: torch.Generator) -> Data:
    """Draw a data set of `mediated` in plain torch."""
    w = MEDIATED
    z, eps_m, eps_y = torch.randn(3, ROWS, generator=generator)
    chance = torch.sigmoid(w["a"] + w["b"] * z)
    t = (torch.rand(ROWS, generator=generator) < chance).float()
    m = w["c"] * t + w["d"] * z + eps_m
    y = w["e"] * t + w["f"] * m + w["g"] * z + w["h"] * t * m + eps_y
    return {"z": z, "t": t, "m": m, "y": y}


def effects(runs: int) -> list[Hits]:
    """Count the intervals of ATE and NDE that hold the truth."""
    w = MEDIATED
    # E[Y(1)] = e + (f + h) c and E[Y(0)] = 0; the direct effect keeps m, which is 0 on average.
    truths = {"ATE": w["e"] + (w["f"] + w["h"]) * w["c"], "NDE": w["e"]}
    model, ask = pc.SCM(mediated), {"ATE": pc.ate, "NDE": pc.nde}
    hits = dict.fromkeys(truths, 0)
    for run in range(runs):
        _fit(model, draw_mediated(torch.Generator().manual_seed(run)))
        for name, question in ask.items():
            interval = question(model, "t", "y", num_samples=4000, seed=run).interval
            hits[name] += interval is not None and truths[name] in interval
    return [Hits(name, number, runs) for name, number in hits.items()]


def binary() -> None:
    """A randomised treatment and an outcome that is 0 or 1."""
    base, gain = (pyro.param(name, torch.tensor(0.0)) for name in ("base", "gain"))
    t = pyro.sample("t", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Bernoulli(logits=base + gain * t))


WITHOUT, WITH, HARMED = 0.3, 0.6, 0.15


def draw_binary(generator: torch.Generator) -> Data:
    """Draw a data set of chances 0.3 without and 0.6 with treatment."""
    t = (torch.rand(ROWS, generator=generator) < 0.5).float()
    chance = torch.where(t == 1, WITH, WITHOUT)
    return {"t": t, "y": (torch.rand(ROWS, generator=generator) < chance).float()}


def necessity(runs: int) -> list[Hits]:
    """Count the intervals of PNS that hold a monotone truth, and one with harm."""
    monotone, harmful = WITH - WITHOUT, WITH - WITHOUT + HARMED
    names = (
        "PNS, monotone truth",
        "PNS, truth with harm (must fail)",
        "bounds of PNS, monotone truth (at least)",
        "bounds of PNS, truth with harm (at least)",
    )
    model, hits = pc.SCM(binary), dict.fromkeys(names, 0)
    for run in range(runs):
        _fit(model, draw_binary(torch.Generator().manual_seed(run)))
        found = pc.pns(model, "t", "y", num_samples=4000, seed=run)
        outer = found.bounds.outer if found.bounds else None
        if found.interval is None or outer is None:
            raise RuntimeError(f"No interval: {found}")
        hits[names[0]] += monotone in found.interval
        hits[names[1]] += harmful in found.interval
        hits[names[2]] += outer[0] <= monotone <= outer[1]
        hits[names[3]] += outer[0] <= harmful <= outer[1]
    return [Hits(name, number, runs) for name, number in hits.items()]


def _fit(model: pc.SCM, data: Data) -> None:
    """Fit: a few steps, then Newton's method goes to the maximum."""
    model.fit(
        data,
        steps=5,
        lr=0.1,
        validation=0.0,
        progress=False,
        compile=False,
        uncertainty="sandwich",
        seed=0,
    )


def main() -> None:
    """Run both studies and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    studies: tuple[Callable[[int], list[Hits]], ...] = (effects, necessity)
    for study in studies:
        for hits in study(runs):
            print(hits, flush=True)


if __name__ == "__main__":
    main()
