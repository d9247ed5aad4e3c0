"""Time the steps of a fit: ``python -m benchmarks.fitting``; prints tables for RESULTS.md.

With ``--numpyro PYTHON``, the Python of an environment that has NumPyro, it is a contestant too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import torch

from benchmarks.chain import Chain
from benchmarks.timing import interleaved


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numpyro", help="a Python that has NumPyro")
    parser.add_argument("--large", action="store_true", help="compile 30 and 100 sites too")
    parser.add_argument("--together", action="store_true", help="take 10 steps in one call too")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | contestant | us a step | Pyro / it | it / torch compiled by hand |")
    print("|---|---|---|---|---|")
    for name, hidden in (("tiny (linear)", 0), ("MLP 1-32-1", 32)):
        _steps(name, hidden, arguments)
    print("\n| sites | nodes | way | capture, s | compile, s | us a step |")
    print("|---|---|---|---|---|---|")
    for sites in (10, 30, 100) if arguments.large else (10,):
        _compiling(sites)


def _steps(name: str, hidden: int, arguments: argparse.Namespace) -> None:
    chain = Chain(10, hidden)
    contestants: dict[str, tuple[Callable[[], object], int, int]] = {
        "Pyro `SVI.step`": (chain.by_pyro(), 1, 5),
        "torch by hand, `torch.compile`": (chain.by_hand(), 1, 100),
        "replayed": (Chain(10, hidden).by_us(0), 1, 10),
        "compiled": (Chain(10, hidden).by_us(1), 1, 100),
    }
    if arguments.together:
        contestants["compiled, 10 steps a call"] = (Chain(10, hidden).by_us(10), 10, 20)
    others = {} if arguments.numpyro is None else _numpyro(arguments.numpyro, hidden)
    jobs = [_often(step, calls) for step, _, calls in contestants.values()]
    for job in jobs:
        job()
    times = interleaved(jobs, 7 if arguments.quick else 21)
    every = {
        label: 1e3 * total / (calls * stride)
        for (label, (_, stride, calls)), total in zip(contestants.items(), times, strict=True)
    }
    every |= others
    pyros, hand = every["Pyro `SVI.step`"], every["torch by hand, `torch.compile`"]
    for label, each in every.items():
        print(f"| {name} | {label} | {each:.0f} | {pyros / each:.1f} | {each / hand:.2f} |")
    sys.stdout.flush()


def _often(step: Callable[[], object], calls: int) -> Callable[[], object]:
    def job() -> None:
        for _ in range(calls):
            step()

    return job


def _compiling(sites: int) -> None:
    for way, small in (("fast", False), ("small", True)):
        if sites > 30 and not small:
            continue
        steps = Chain(sites, 32).by_us(1, small=small)
        capture, compilation = steps.seconds
        for _ in range(20):
            steps()
        times = []
        for _ in range(9):
            started = process_time()
            for _ in range(20):
                steps()
            times.append((process_time() - started) / 20)
        print(
            f"| {sites} | {steps.nodes} | {way} | {capture:.1f} | {compilation:.1f} "
            f"| {1e6 * median(times):.0f} |",
            flush=True,
        )


def _numpyro(python: str, hidden: int) -> dict[str, float]:
    script = Path(__file__).with_name("numpyro_steps.py")
    environment = {**os.environ, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    run = subprocess.run(
        [python, str(script), str(hidden)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    one, scan = map(float, run.stdout.split()[-2:])
    return {"NumPyro `svi.update`, jitted": one, "NumPyro `lax.scan`": scan}


if __name__ == "__main__":
    main()
