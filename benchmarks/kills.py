"""Kill fits and queries of files at random moments: ``python -m benchmarks.kills``.

Each job is run in a process of its own, killed by SIGKILL, and run again, until it has been killed
so often; then it is run to its end, which must be that of a run without a kill, bit by bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

import pyrocausal as pc


def program() -> None:
    """A latent cause of two variables: u -> x, u -> y."""
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(pyro.param("a", torch.tensor(0.5)) * u, 1.0))
    pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.5)) * u, 0.5))


def main() -> None:
    """Kill, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many in all")
    parser.add_argument("--job", choices=["fit", "query"], help="one of them, for itself")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chance = random.Random(arguments.seed)
    print(
        "| job | kills | before the first writing | left behind | same end |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pc.distributed.sample(pc.SCM(program), 20_000, folder / "seen", rows=5000, seed=0)
        for name, job, ends in (("fit", fit, ends_of_fit), ("query", query, ends_of_query)):
            if arguments.job not in (None, name):
                continue
            whole = folder / f"{name} whole"
            seconds = _timed(job, folder, whole)
            counts = Counter[str]()
            same, kills, number = True, 0, 0
            while kills < arguments.kills // 2:
                number += 1
                out = folder / f"{name} {number}"
                for _ in range(chance.randint(1, 4)):
                    killed = _killed(job, folder, out, chance.uniform(0.0, seconds))
                    kills += killed
                    counts["early"] += killed and not any(out.glob("*"))
                counts["parts"] += len(list(out.glob(".*.part")))
                _timed(job, folder, out)
                same &= ends(out, whole)
            early, parts = counts["early"], counts["parts"]
            print(
                f"| {name} | {kills} | {early} | {parts} | {'yes' if same else 'NO'} |", flush=True
            )


def fit(folder: Path, out: Path) -> None:
    """Fit with checkpoints, and write down the end."""
    data = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    scm = pc.SCM(program)
    report = scm.fit(
        {"x": data[:, 0], "y": data[:, 1] + data[:, 0]},
        guide,
        steps=100,
        batch_size=50,
        compile=False,
        seed=1,
        checkpoint=out,
        every=5,
    )
    scm.save(out / "end.safetensors")
    np.save(out / "losses.npy", report.losses.numpy())


def guide(batch: dict[str, Tensor]) -> None:
    """Propose u from x and y."""
    loc = pyro.param("c", torch.tensor(0.0)) * (batch["x"] + batch["y"])
    pyro.sample("u", dist.Normal(loc, 0.5))


def query(folder: Path, out: Path) -> None:
    """Ask a counterfactual of files; what is not seen is drawn."""
    pc.distributed.counterfactual(
        pc.SCM(program), folder / "seen", [{"u": 0.0}, {"u": 1.0}], out, rows=1000, seed=1
    )


def ends_of_fit(out: Path, whole: Path) -> bool:
    """Say whether two fits ended alike, byte by byte."""
    names = ("end.safetensors", "losses.npy")
    return all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)


def ends_of_query(out: Path, whole: Path) -> bool:
    """Say whether two folders have the same chunks with the same bytes, and nothing else."""
    one, other = ({f.name: f.read_bytes() for f in each.iterdir()} for each in (out, whole))
    return one == other


def _run(job: Callable[[Path, Path], None], folder: Path, out: Path) -> int:
    """Run a job in a process that has all imported; return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            job(folder, out)
            code = 0
        finally:
            os._exit(code)
    return child


def _timed(job: Callable[[Path, Path], None], folder: Path, out: Path) -> float:
    started = time.perf_counter()
    _, status = os.waitpid(_run(job, folder, out), 0)
    assert status == 0, "the job failed"
    return time.perf_counter() - started


def _killed(job: Callable[[Path, Path], None], folder: Path, out: Path, after: float) -> bool:
    """Run a job and kill it; say whether it was still running."""
    child = _run(job, folder, out)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    main()
