"""Run the benchmarks: ``python -m benchmarks``; prints a table for RESULTS.md."""

import argparse
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import Predictive

from benchmarks.programs import Linear
from benchmarks.timing import interleaved

HEADER = (
    "| model | units | worlds | job | ms | / hand-written torch | / Pyro |\n" + "|---" * 7 + "|"
)


def main() -> None:
    """Time sampling, do and exact counterfactuals against torch by hand and Pyro."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out 100,000 units")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(HEADER)
    for name, model in (("chain of 10", Linear.chain(10)), ("random, 100", Linear.random(100))):
        for units in (1_000,) if quick else (1_000, 100_000):
            _sampling(name, model, units)
            for worlds in (1, 8, 64):
                _acting(name, model, units, worlds)


def _sampling(name: str, model: Linear, units: int) -> None:
    def by_pyro() -> object:
        with torch.no_grad(), pyro.plate("units", units):
            return poutine.trace(model.program).get_trace()

    jobs: list[Callable[[], object]] = [
        lambda: model.scm.sample(units, seed=0),
        lambda: model.sample(units),
        by_pyro,
    ]
    _row(name, units, 0, "sample", interleaved(jobs, 11))


def _acting(name: str, model: Linear, units: int, worlds: int) -> None:
    values = torch.linspace(0.0, 1.0, worlds)
    interventions: list[dict[str, Any]] = [{"x0": float(value)} for value in values]
    acted = model.scm.do(interventions)
    evidence = dict(model.scm.sample(units, seed=0))
    x = list(evidence.values())

    def by_predictive() -> object:
        results = []
        for intervention in interventions:
            acting = poutine.do(model.program, dict(intervention))
            results.append(Predictive(acting, num_samples=units, parallel=True)())
        return results

    repeats = 11 if units * worlds * len(model.parents) <= 64_000_000 else 3
    jobs: list[Callable[[], object]] = [
        lambda: acted.sample(units, seed=0),
        lambda: model.predict([torch.randn(units) for _ in model.parents], values),
    ]
    if worlds < 64:
        jobs.append(by_predictive)
    _row(name, units, worlds, "do", interleaved(jobs, repeats))
    jobs = [
        lambda: model.scm.counterfactual(evidence, interventions, seed=0),
        lambda: model.predict(model.abduct(x), values),
    ]
    _row(name, units, worlds, "counterfactual", interleaved(jobs, repeats))


def _row(name: str, units: int, worlds: int, job: str, times: list[float]) -> None:
    ours, hand, *rest = times
    pyros = f"{ours / rest[0]:.2f}" if rest else "-"
    print(
        f"| {name} | {units:,} | {worlds or '-'} | {job} | {ours:.1f} | {ours / hand:.2f} "
        f"| {pyros} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
