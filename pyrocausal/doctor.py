"""``pyrocausal doctor``: what is installed, what there is to compute on, and how fast it is here."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrocausal.capture import capture
from pyrocausal.model import SCM

__all__ = ["main"]

PACKAGES = ("pyrocausal", "torch", "pyro-ppl", "numpy", "networkx", "pandas", "zuko", "matplotlib")
SECONDS = 1.0  # for each of the speeds
UNITS = 100_000


def main() -> int:
    """Print the findings; return 0 if all is well, 1 if something works less well than it could."""
    print("versions")
    for name, words in _versions():
        print(f"  {name:<12} {words}")
    print("devices")
    for line in _devices():
        print(f"  {line}")
    print("compiling")
    fault = _compiling()
    print(f"  {fault or 'works'}", flush=True)
    print("speed")
    for name, words in _speeds():
        print(f"  {name:<44} {words}", flush=True)
    return 1 if fault else 0


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _devices() -> Iterator[str]:
    yield f"cpu, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    for i in range(torch.cuda.device_count()):
        yield f"cuda:{i}, {torch.cuda.get_device_name(i)}"
    if torch.backends.mps.is_available():
        yield "mps"
    if torch.cuda.device_count() == 0:
        yield "no CUDA device"


def _compiling() -> str | None:
    """Compile a small graph; return what is wrong, if anything."""
    graph = capture(lambda x: x.exp() + torch.randn(64), [torch.zeros(64)])
    started = time.perf_counter()
    try:
        graph.compile()
    except RuntimeError as error:
        compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        cure = "" if compiler else " Install a C++ compiler, such as g++."
        return f"does not work; fits are replayed as graphs, about ten times slower.{cure} {error}"
    print(f"  a small graph took {time.perf_counter() - started:.1f} s")
    return None


def _speeds() -> Iterator[tuple[str, str]]:
    model = SCM(_chain, name="chain of 5")
    worlds = [{"x0": float(value)} for value in range(8)]
    data = dict(model.sample(1024, seed=0))
    acted = model.do(worlds)
    jobs: list[tuple[str, Callable[[], object], float, str]] = [
        (f"sample, {UNITS:,} units", lambda: model.sample(UNITS, seed=0), UNITS, "units/s"),
        (
            f"do, 8 worlds of {UNITS // 8:,} units",
            lambda: acted.sample(UNITS // 8, seed=0),
            UNITS,
            "rows/s",
        ),
        (
            "counterfactual, 8 worlds of 1,024 units",
            lambda: model.counterfactual(data, worlds, seed=0),
            8 * 1024,
            "rows/s",
        ),
        ("fit, eager", lambda: _fit(model, data), 20, "steps/s"),
    ]
    for name, job, amount, unit in jobs:
        yield name, f"{amount / _seconds(job):,.0f} {unit}"


def _fit(model: SCM, data: dict[str, Tensor]) -> None:
    model.fit(data, steps=20, validation=0.0, progress=False, compile=False, seed=0)


def _seconds(job: Callable[[], object]) -> float:
    for _ in range(3):  # what is done once for all
        job()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        job()
        calls += 1
    return (time.perf_counter() - started) / calls


def _chain() -> None:
    x = pyro.sample("x0", dist.Normal(0.0, 1.0))
    for i in range(1, 5):
        weight = pyro.param(f"w{i}", torch.tensor(0.5))
        x = pyro.sample(f"x{i}", dist.Normal(weight * x, 0.8))
