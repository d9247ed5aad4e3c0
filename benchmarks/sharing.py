"""A fit shared by two processes: ``python -m benchmarks.sharing``; needs two idle cores.

Units per second of eager steps of a chain of perceptrons, and how far what two processes find lies
from what one finds on the joined batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

import pyrocausal as pc

SITES = 10


class Chain(nn.Module):
    """A chain of variables, each the last one through a perceptron of 64 units."""

    def __init__(self) -> None:
        super().__init__()
        make = partial(nn.Sequential, nn.Linear(1, 64), nn.Tanh())
        self.nets = nn.ModuleList(nn.Sequential(*make(), nn.Linear(64, 1)) for _ in range(SITES))

    def forward(self) -> None:
        """Run."""
        x = pyro.sample("x0", dist.Normal(0.0, 1.0))
        for i, net in enumerate(self.nets[1:], 1):
            x = pyro.sample(f"x{i}", dist.Normal(net(x[:, None])[:, 0], 1.0))


def latent() -> None:
    """A latent cause: u -> x, u -> y."""
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(pyro.param("a", torch.tensor(0.5)) * u, 1.0))
    pyro.sample("y", dist.Normal(pyro.param("b", torch.tensor(0.5)) * u, 0.5))


def encoder(batch: dict[str, Tensor]) -> None:
    """Propose u."""
    loc = pyro.param("c", torch.tensor(0.0)) * (batch["x"] + batch["y"])
    pyro.sample("u", dist.Normal(loc, 0.5))


def main() -> None:
    """Print the tables."""
    if "RANK" in os.environ:
        _work(sys.argv[1], Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the timing, 0 for none")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        if rounds:
            every = [
                [_started("speed", n, folder)["speed"] for n in (1, 2)] for _ in range(rounds)
            ]
            one, two = (max(each) for each in zip(*every, strict=True))
            print("| processes | units per second, the best | / one |\n|---|---|---|")
            print(f"| 1 | {one:,.0f} | 1.00 |\n| 2 | {two:,.0f} | {two / one:.2f} |")
        print("\n| fit of 500 steps | two processes against one |\n|---|---|")
        found = [_started("same", n, folder) for n in (1, 2)]
        for name in found[0]:
            pairs = list(zip(found[0][name], found[1][name], strict=True))
            if name.startswith("held out"):
                print(f"| {name} | {abs(pairs[0][0] - pairs[0][1]):.1e} apart |")
            else:
                worst = max(abs(a - b) / abs(a) for a, b in pairs)
                print(f"| {name} | {worst:.1e} relative |")


def _started(job: str, processes: int, folder: str) -> dict[str, Any]:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    run += [f"--nproc-per-node={processes}", "-m", "benchmarks.sharing", job, folder]
    subprocess.run(run, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = json.loads(Path(folder, "found.json").read_text())
    return found


def _work(job: str, folder: Path) -> None:
    torch.set_num_threads(1)
    found = _speed() if job == "speed" else _same()
    if os.environ["RANK"] == "0":
        (folder / "found.json").write_text(json.dumps(found))


def _speed() -> dict[str, float]:
    torch.manual_seed(0)
    scm, size = pc.SCM(Chain()), 8192
    data = {f"x{i}": torch.randn(20_000) for i in range(SITES)}
    fit = partial(scm.fit, data, batch_size=size, validation=0.0, compile=False, seed=0)
    fit(steps=3)
    started = time.perf_counter()
    fit(steps=5)
    fewer = time.perf_counter() - started
    started = time.perf_counter()
    fit(steps=45)
    return {"speed": 40 * size / (time.perf_counter() - started - fewer)}


def _same() -> dict[str, list[float]]:
    sgd = partial(torch.optim.SGD, lr=0.01)
    found = {}
    for name, dtype, optimizer in (
        ("float64, Adam", torch.float64, None),
        ("float32, SGD", torch.float32, sgd),
        ("float32, Adam", torch.float32, None),
    ):
        torch.set_default_dtype(dtype)
        scm = pc.SCM(latent)
        drawn = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
        data = {"x": drawn[:, 0], "y": drawn[:, 0] + drawn[:, 1]}
        report = scm.fit(
            data, encoder, steps=500, batch_size=50, compile=False, optimizer=optimizer, seed=0
        )
        found[name] = [t.item() for t in scm._core.scope.named().values()]
        assert report.total is not None
        found[f"held out, {name}"] = [report.total.log_prob]
    return found


if __name__ == "__main__":
    main()
