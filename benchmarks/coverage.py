"""Do the intervals of effects hold the truth as often as they say? ``python -m benchmarks.coverage``.

Each run draws a data set, fits the model with ``uncertainty="sandwich"`` and asks; the share of
intervals that hold the truth is compared with their level by a 99 % binomial interval. Of PNS there
are two truths with the same data: a monotone one, and one in which treatment also harms. The
point's interval must fail for the second, and the interval of the bounds must not. On a few data
sets the parameters' share of the error is compared with that of a bootstrap.

With ``--out FILE`` each run is written down as it ends, and a study that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting.uncertainty import Uncertainty, parameter_law

__all__ = ["Hits", "Study", "bootstrap", "effects", "necessity", "plausible"]

ROWS = 400
LEVEL = 0.95
UNITS = 1000  # of a question: their Monte Carlo error is a tenth of what 400 rows leave open
Data = dict[str, Tensor]
Figures = dict[str, Any]


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


def draw_mediated(run: int) -> Data:
    """Draw a data set of `mediated` in plain torch."""
    w, generator = MEDIATED, torch.Generator().manual_seed(run)
    z, eps_m, eps_y = torch.randn(3, ROWS, generator=generator)
    chance = torch.sigmoid(w["a"] + w["b"] * z)
    t = (torch.rand(ROWS, generator=generator) < chance).float()
    m = w["c"] * t + w["d"] * z + eps_m
    y = w["e"] * t + w["f"] * m + w["g"] * z + w["h"] * t * m + eps_y
    return {"z": z, "t": t, "m": m, "y": y}


def effects(model: pc.SCM, run: int) -> Figures:
    """Say whether the intervals of ATE and NDE hold the truth."""
    w = MEDIATED
    # E[Y(1)] = e + (f + h) c and E[Y(0)] = 0; the direct effect keeps m, which is 0 on average.
    truths = {"ATE": w["e"] + (w["f"] + w["h"]) * w["c"], "NDE": w["e"]}
    _fit(model, draw_mediated(run), run)
    found = _asked(model, run, ATE=pc.ate, NDE=pc.nde)
    return {name: truths[name] in _interval(answer) for name, answer in found.items()}


def binary() -> None:
    """A randomised treatment and an outcome that is 0 or 1."""
    base, gain = (pyro.param(name, torch.tensor(0.0)) for name in ("base", "gain"))
    t = pyro.sample("t", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Bernoulli(logits=base + gain * t))


WITHOUT, WITH = 0.2, 0.55


def draw_binary(run: int) -> Data:
    """Draw a data set of these chances without and with treatment."""
    generator = torch.Generator().manual_seed(run)
    t = (torch.rand(ROWS, generator=generator) < 0.5).float()
    chance = torch.where(t == 1, WITH, WITHOUT)
    return {"t": t, "y": (torch.rand(ROWS, generator=generator) < chance).float()}


def necessity(model: pc.SCM, run: int) -> Figures:
    """Say whether the intervals of PNS hold a monotone truth, and truths with harm.

    The data know ``P(Y(1)=1)`` and ``P(Y(0)=1)`` only, so that PNS may be anything from their
    difference, where nobody is harmed, to the first of them, where all are who would do well
    without. The ends are where an interval of bounds has no more than its level.
    """
    monotone, harmful = WITH - WITHOUT, WITH
    _fit(model, draw_binary(run), run)
    (found,) = _asked(model, run, PNS=pc.pns).values()
    outer = found.bounds.outer if found.bounds else None
    if outer is None:
        raise RuntimeError(f"No interval of the bounds: {found}")
    return {
        "PNS, monotone truth": monotone in _interval(found),
        "PNS, truth with harm (must fail)": harmful in _interval(found),
        "bounds of PNS, monotone truth": outer[0] <= monotone <= outer[1],
        "bounds of PNS, truth with harm": outer[0] <= harmful <= outer[1],
    }


def bootstrap(models: tuple[pc.SCM, pc.SCM], run: int) -> Figures:
    """Return the bootstrap's standard deviation over the sandwich's, for each question."""
    found: list[Figures] = []
    methods: tuple[Uncertainty, ...] = ("bootstrap", "sandwich")
    for method in methods:
        for model, draw in zip(models, (draw_mediated, draw_binary), strict=True):
            _fit(model, draw(run), run, method)
        effects, chances = models
        answers = _asked(effects, run, ATE=pc.ate, NDE=pc.nde) | _asked(chances, run, PNS=pc.pns)
        found.append({n: _interval(a).sources["parameters"] for n, a in answers.items()})
    return {name: found[0][name] / found[1][name] for name in found[0]}


def _asked(model: pc.SCM, run: int, **questions: Callable[..., pc.Effect]) -> dict[str, pc.Effect]:
    return {
        name: ask(model, "t", "y", num_samples=UNITS, seed=run) for name, ask in questions.items()
    }


def _interval(answer: pc.Effect) -> pc.Interval:
    if answer.interval is None:
        raise RuntimeError(f"No interval: {answer}")
    return answer.interval


def _fit(model: pc.SCM, data: Data, run: int, method: Uncertainty = "sandwich") -> None:
    """Fit by a few steps, after which Newton's method goes to the maximum.

    It needs no steps to go from the maximum of other data; the model then keeps the graphs that
    were captured of its questions, which a fit drops.
    """
    if model.report is not None:
        model._core.law = parameter_law(model._core, data, None, method, run)
        return
    model.fit(
        data,
        steps=5,
        lr=0.1,
        validation=0.0,
        progress=False,
        compile=False,
        uncertainty=method,
        seed=run,
    )


@dataclass
class Study:
    """Runs that are numbered from 0, each with its figures; those that are known are not repeated.

    Attributes:
        name: Name of the study.
        run: From a run's number to its figures.
        runs: Number of runs.
        file: Where they are written down, a line of JSON each.
    """

    name: str
    run: Callable[[int], Figures]
    runs: int
    file: Path | None = None

    def figures(self) -> list[Figures]:
        """Run what is not known yet; return the figures of all runs."""
        known = self._known()
        for number in range(self.runs):
            if number not in known:
                started = process_time()
                known[number] = {**self.run(number), "seconds": process_time() - started}
                self._write(number, known[number])
        return [known[number] for number in range(self.runs)]

    def _known(self) -> dict[int, Figures]:
        if self.file is None or not self.file.exists():
            return {}
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return {line["run"]: line["figures"] for line in lines if line["study"] == self.name}

    def _write(self, number: int, figures: Figures) -> None:
        if self.file is not None:
            line = {"study": self.name, "run": number, "figures": figures}
            with self.file.open("a") as file:
                file.write(json.dumps(line) + "\n")


def main() -> None:
    """Run the studies and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--bootstraps", type=int, default=20)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    torch.set_num_threads(1)
    models = pc.SCM(mediated), pc.SCM(binary)
    for model, counted in zip(models, (effects, necessity), strict=True):
        every = Study(counted.__name__, partial(counted, model), said.runs, said.out).figures()
        for name in [name for name in every[0] if name != "seconds"]:
            print(Hits(name, sum(one[name] for one in every), said.runs), flush=True)
        _print_time(every)
    ratios = Study("bootstrap", partial(bootstrap, models), said.bootstraps, said.out).figures()
    for name in [name for name in ratios[0] if name != "seconds"]:
        ratio = torch.tensor([one[name] for one in ratios])
        print(
            f"{name}: sd of the bootstrap / of the sandwich {ratio.mean():.3f} on average, "
            f"{ratio.min():.2f} to {ratio.max():.2f} in {len(ratios)} data sets"
        )
    _print_time(ratios)


def _print_time(every: list[Figures]) -> None:
    print(f"{sum(one['seconds'] for one in every):.0f} s of one core", flush=True)


if __name__ == "__main__":
    main()
