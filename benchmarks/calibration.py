"""Simulation-based calibration of abduction: ``python -m benchmarks.calibration``.

Each model of the zoo with something to infer is checked by ``pc.check`` on many units: true values
are simulated, their evidence is abducted, and their ranks among the draws are held against the
uniform law. The p-values are corrected by Bonferroni for the tests of one model; the last line
corrects for all models too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.checking import Finding

__all__ = ["calibrate"]

CHECK = "calibration of abduction"
HEADER = "| model | evidence | inferred | route | least KS p | least chi-square p | seconds |"


def calibrate(scm: pc.SCM, units: int, seed: int) -> list[Finding]:
    """Return what the calibration says of each inferred variable."""
    found = pc.check(scm, units=units, seed=seed).findings
    return [finding for finding in found if finding.check == CHECK and finding.p_values]


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the models and print a table for RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=5000, help="simulated units of each model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="*", default=list(zoo.MODELS))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(HEADER + "\n" + "|---" * 7 + "|")
    least, tested = 1.0, 0
    for name in chosen.models:
        start = time.process_time()
        scm = zoo.MODELS[name].scm()
        found = calibrate(scm, chosen.units, chosen.seed)
        if not found:
            continue
        seconds = time.process_time() - start
        evidence = found[0].figure.partition("given ")[2]
        inferred = [finding.variable for finding in found]
        routes = scm.plan(evidence.split(", ")).routes
        route = ", ".join(dict.fromkeys(routes[variable] for variable in inferred))
        ks, chi = (min(f.p_values[test] for f in found) for test in ("KS", "chi-square"))
        least, tested = min(least, ks), tested + 1
        print(
            f"| {name} | {evidence} | {', '.join(inferred)} | {route} | {ks:.2g} | {chi:.2g} "
            f"| {seconds:.1f} |",
            flush=True,
        )
    print(
        f"\nleast KS p over {tested} models: {least:.2g}, {min(1.0, tested * least):.2g} corrected"
    )


if __name__ == "__main__":
    main()
