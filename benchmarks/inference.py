"""Measure abduction of incomplete evidence: ``python -m benchmarks.inference``; tables for RESULTS.md.

``--part`` runs one of: throughput, training, linear, bad, coverage.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.guides import Amortized
from pyrocausal.guides.stepping import Steps

Floats = npt.NDArray[np.float64]
Method = Literal["auto", "gaussian", "enumeration", "guide", "importance", "nuts"]


def main() -> None:
    """Print the tables."""
    parts: dict[str, Callable[[bool], None]] = {
        "throughput": throughput,
        "training": training,
        "linear": linear,
        "bad": bad_guide,
        "coverage": coverage,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=tuple(parts), action="append")
    parser.add_argument("--quick", action="store_true", help="fewer units and steps")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # units that can't be relied on are counted
    for name in arguments.part or parts:
        parts[name](arguments.quick)


# x -> m, y; m -> y
def bent() -> None:
    """Say how a nonlinear program with additive noise comes about."""
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(torch.tanh(2 * x) + 0.3 * x, 0.3))
    pyro.sample("y", dist.Normal(torch.sin(x) + 0.5 * m**2, 0.4))


def throughput(quick: bool) -> None:
    """Time units of which only the last variable was seen, by each way, in one run."""
    scm = pc.scm(bent)
    scm.amortize(steps=300 if quick else 2000, head="mixture", seed=0, progress=False)
    y = scm.sample(4000, seed=1)["y"]
    rows: dict[str, tuple[Method, int]] = {
        "NUTS, a unit at a time": ("nuts", 1),
        "NUTS, 20 units together": ("nuts", 20),
        "modes and weights": ("importance", 1000),
        "guide": ("guide", 1000 if quick else 4000),
    }
    scm.abduct({"y": y[:50]}, method="guide", num_draws=100, seed=0)
    print("| way | units | CPU ms a unit | times NUTS | times NUTS together | unreliable |")
    print("|---|---|---|---|---|---|")
    taken: list[float] = []
    for name, (method, units) in rows.items():
        started = process_time()
        found = scm.abduct({"y": y[:units]}, method=method, num_draws=100, seed=0)
        taken.append(1e3 * (process_time() - started) / units)
        assert found.quality is not None
        share = float(found.quality.unreliable.double().mean())
        alone, together = taken[0] / taken[-1], taken[min(1, len(taken) - 1)] / taken[-1]
        print(
            f"| {name} | {units} | {taken[-1]:.3g} | {alone:.0f} | {together:.0f} | {share:.3f} |",
            flush=True,
        )


def training(quick: bool) -> None:
    """Compare a compiled step of a guide's training with an eager one, by turns."""
    cases = {
        "10 linear Gaussian sites, gaussian": Amortized.of(_linear_program(10)[0], seed=0),
        "the nonlinear program, mixture": Amortized.of(pc.scm(bent), head="mixture", seed=0),
    }
    print("| guide | eager ms | compiled ms | ratio | s to compile | pays from |")
    print("|---|---|---|---|---|---|")
    for name, guide in cases.items():
        known = torch.rand(512, len(guide.names), generator=torch.Generator().manual_seed(0)) < 0.5
        values = {n: torch.randn(512) for n in guide.names}
        features, targets = guide.encoded(values)
        units = features, targets, known.to(features), ~known
        ways = {way: Steps(guide, 1e-9, way == "compiled") for way in ("eager", "compiled")}
        started = perf_counter()
        ways["compiled"].take(units, 1.0, 1)
        spent = perf_counter() - started
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(2 if quick else 9):
            for way, steps in ways.items():
                started = process_time()
                for _ in range(40):
                    steps.take(units, 1.0, 1)
                taken[way].append(1e3 * (process_time() - started) / 40)
        eager, compiled = (median(taken[way]) for way in ways)
        ratio = median(c / e for e, c in zip(*taken.values(), strict=True))
        pays = 1e3 * spent / max(eager - compiled, 1e-9)
        print(
            f"| {name} | {eager:.2f} | {compiled:.2f} | {ratio:.2f} | {spent:.0f} | "
            f"{pays:,.0f} steps |",
            flush=True,
        )


def linear(quick: bool) -> None:
    """Compare a guide of ten linear Gaussian sites with the closed form, on random evidence."""
    scm, covariance = _linear_program(10)
    started = process_time()
    amortize = partial(scm.amortize, seed=0, progress=False)
    report = amortize(steps=300) if quick else amortize()
    seconds = process_time() - started
    print("| what | steps | CPU s | rms error of means, sd | error of sds, 95th percentile |")
    print("|---|---|---|---|---|")
    of_means, of_sds = _apart(_guide_errors(scm, covariance))
    rms = np.sqrt(max((of_means**2).mean() - 1 / _DRAWS, 0.0))
    print(
        f"| guide | {report.steps} | {seconds:.0f} | {rms:.4f} "
        f"| {100 * np.quantile(abs(of_sds), 0.95):.1f} % |",
        flush=True,
    )
    methods: tuple[Method, ...] = ("guide", "gaussian")
    for method in methods:
        of_means, of_sds = _apart(_answer_errors(scm, covariance, method))
        print(
            f"| answers by {method}, in standard errors | | | {np.sqrt((of_means**2).mean()):.2f} "
            f"| {100 * np.quantile(abs(of_sds), 0.95):.1f} % |",
            flush=True,
        )


def bad_guide(quick: bool) -> None:
    """Count how many of the units that a nearly untrained guide gets wrong are warned of."""

    def sharp() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x**3 + x, 0.005))

    scm = pc.scm(sharp)
    scm.amortize(steps=1, lr=1e-9, hidden=8, layers=1, seed=0, progress=False)
    sample = scm.sample(300 if quick else 2000, seed=3)
    found = scm.abduct({"y": sample["y"]}, method="guide", num_draws=100, seed=0)
    sd = 0.005 / (3 * sample["x"] ** 2 + 1)
    wrong = ((found.factual["x"].mean((0, 1)) - sample["x"]) / sd).abs() > 4
    assert found.quality is not None
    share = float(found.quality.unreliable[wrong].double().mean())
    print("| units | got wrong (4 sd) | of these warned of |\n|---|---|---|")
    print(f"| {len(wrong)} | {int(wrong.sum())} | {100 * share:.1f} % |", flush=True)


def coverage(quick: bool) -> None:
    """Count how often 95 % intervals hold the truth, evidence being downstream only."""
    scm = pc.scm(bent)
    units = 200 if quick else 2000
    sample = scm.sample(units, seed=5)
    found = scm.abduct({"y": sample["y"]}, num_draws=200, seed=1)
    assert found.quality is not None
    print("| variable | units | hit | expected +- 3 se | unreliable |\n|---|---|---|---|---|")
    for name in ("x", "m"):
        rank = (found.factual[name][:, 0] < sample[name]).sum(0)
        hit = float(((rank >= 5) & (rank <= 195)).double().mean())
        expected = 191 / 201
        error = (expected * (1 - expected) / units) ** 0.5
        bad = float(found.quality.unreliable.double().mean())
        print(
            f"| {name} | {units} | {hit:.4f} | {expected:.4f} +- {3 * error:.4f} | {bad:.4f} |",
            flush=True,
        )


_DRAWS = 3000


def _linear_program(sites: int) -> tuple[pc.SCM, Floats]:
    """Return a linear Gaussian SCM, each pair linked with probability 0.4, and its covariance."""
    rng = np.random.default_rng(0)
    weights, scales = np.zeros((sites, sites)), rng.uniform(0.5, 1.0, sites)
    for i, j in zip(*np.tril_indices(sites, -1), strict=True):
        if rng.random() < 0.4:
            weights[i, j] = rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)

    def program() -> None:
        x: list[Tensor] = []
        for i in range(sites):
            mean = sum((float(weights[i, j]) * x[j] for j in range(i)), torch.zeros(()))
            x.append(pyro.sample(f"x{i}", dist.Normal(mean, float(scales[i]))))

    total = np.linalg.inv(np.eye(sites) - weights)
    return pc.scm(program), total @ np.diag(scales**2) @ total.T


def _questions(
    scm: pc.SCM, covariance: Floats, number: int
) -> Iterator[tuple[dict[str, Tensor], list[str], Floats, Floats]]:
    """Yield random evidence with what is missing, its posterior mean and deviation."""
    rng, sites = np.random.default_rng(1), len(covariance)
    for question in range(number):
        seen = np.sort(rng.choice(sites, rng.integers(1, sites), replace=False))
        rest = np.setdiff1d(np.arange(sites), seen)
        units = scm.sample(4, seed=1000 + question)
        evidence = {f"x{i}": units[f"x{i}"] for i in seen}
        gain = covariance[np.ix_(rest, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        left = covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(seen, rest)]
        mean = np.stack([v.double().numpy() for v in evidence.values()], 1) @ gain.T
        yield evidence, [f"x{i}" for i in rest], mean, np.sqrt(np.diag(left))


def _guide_errors(scm: pc.SCM, covariance: Floats) -> Iterator[tuple[Floats, Floats]]:
    generator = torch.Generator().manual_seed(2)
    assert scm.amortized is not None
    for evidence, rest, mean, deviation in _questions(scm, covariance, 40):
        values, _ = scm.amortized.draw(evidence, rest, _DRAWS, generator)
        found = np.stack([values[name].double().numpy() for name in rest], -1)
        yield (found.mean(0) - mean) / deviation, found.std(0) / deviation - 1


def _answer_errors(
    scm: pc.SCM, covariance: Floats, method: Method
) -> Iterator[tuple[Floats, Floats]]:
    draws = 1000
    for evidence, rest, mean, deviation in _questions(scm, covariance, 10):
        try:
            found = scm.abduct(evidence, method=method, num_draws=draws, seed=0)
        except ValueError:
            continue  # nothing is missing above this evidence
        quality: Any = found.quality
        effective = 1 / (1 / draws + 1 / quality.ess.clamp(max=1e9).numpy())
        drawn = np.stack([found.factual[name][:, 0].double().numpy() for name in rest], -1)
        pulls = (drawn.mean(0) - mean) / deviation * np.sqrt(effective)[:, None]
        yield pulls, drawn.std(0) / deviation - 1


def _apart(pairs: Iterator[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    of_means, of_sds = zip(*((one.ravel(), other.ravel()) for one, other in pairs), strict=True)
    return np.concatenate(of_means), np.concatenate(of_sds)


if __name__ == "__main__":
    main()
