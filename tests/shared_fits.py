"""A script that torchrun starts: fits some programs, and writes down what each process found."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from fitted_programs import line, line_data, param, positive, state
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.fitting import paths
from pyrocausal.fitting.paths import Paths


def hidden_cause() -> None:
    """A latent u: u -> x, u -> y."""
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(param("a", 0.5) * u, 1.0))
    pyro.sample("y", dist.Normal(param("b", 0.5) * u, positive("s")))


def encoder(batch: Any) -> None:
    loc = param("e") * batch["x"] + param("f") * batch["y"]
    pyro.sample("u", dist.Normal(loc, positive("t", 0.5)))


def switched() -> None:
    """A hidden switch, whose guide is scored: k -> x."""
    k = pyro.sample("k", dist.Bernoulli(torch.sigmoid(param("l"))))
    pyro.sample("x", dist.Normal(param("m") + 2 * k, 1.0))
    pyro.sample("y", dist.Normal(0.0, 1.0))


def switcher(batch: Any) -> None:
    pyro.sample("k", dist.Bernoulli(logits=param("g") * batch["x"]))


def mlp() -> Any:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    return program


def regressed() -> None:
    """The line, with a normal prior on what all units share: w -> y."""
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    with pc.units():
        x = pyro.sample("x", dist.Normal(param("mean"), 1.0))
        pyro.sample("y", dist.Normal(w * x, positive("s")))


SGD = partial(torch.optim.SGD, lr=0.01)
FITS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "observed": (line, None, {}),
    "all units a step": (line, None, {"batch_size": None}),
    "uneven shares": (line, None, {"batch_size": 33}),
    "latent": (hidden_cause, encoder, {}),
    "latent, SGD": (hidden_cause, encoder, {"optimizer": SGD}),
    "shared": (regressed, AutoNormal, {}),
    "score function": (switched, switcher, {}),
    "dropout": (mlp, None, {}),
    "replayed": (hidden_cause, encoder, {"compile": "auto"}),
}


def data(number: int = 400) -> dict[str, Tensor]:
    return {name: value.to(torch.get_default_dtype()) for name, value in line_data(number).items()}


def fitted(name: str, **more: Any) -> tuple[pc.SCM, dict[str, Any]]:
    program, guide, options = FITS[name]
    scm = pc.SCM(program() if program is mlp else program)
    settings = {"steps": 60, "batch_size": 32, "validation": 0.1, "compile": False, "seed": 5}
    if isinstance(guide, type):
        settings["validation"] = 0.0
    report = scm.fit(data(), guide, **(settings | options | more))
    found: dict[str, Any] = {**state(scm), "losses": report.losses, "path": report.path}
    if report.total is not None:
        found["held out"] = torch.tensor(report.total.log_prob)
    return scm, found


def refusals() -> dict[str, str]:
    """What a fit says of data that differ, and of shares that are empty."""
    said = {}
    rank = int(os.environ["RANK"])
    for name, given, size in (("differ", data(100 + rank), 8), ("few", data(100), 1)):
        try:
            pc.SCM(line).fit(given, steps=2, batch_size=size, seed=0)
        except ValueError as error:
            said[name] = str(error)
    return said


def main(folder: str, *names: str) -> None:
    """Fit; a name may end with a dtype and a number of steps."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for each in names:
        name, dtype, steps = (*each.split(":"), "float64", "60")[:3]
        torch.set_default_dtype(getattr(torch, dtype))
        if name == "replayed":
            vars(paths)["worth_capturing"] = lambda *_: True
            Paths._compile = lambda *_: None  # type: ignore[method-assign]
        scm, found[each] = fitted(name, steps=int(steps), progress=name == "observed")
        # Each process writes to a folder of its own: only the first has something in it.
        there = Path(folder, os.environ["RANK"], os.environ["WORLD_SIZE"])
        there.mkdir(parents=True, exist_ok=True)
        scm.save(there / f"{each}.safetensors")
    if os.environ["WORLD_SIZE"] == "2":
        found["refusals"] = refusals()
    torch.save(found, Path(folder, f"{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}.pt"))


if __name__ == "__main__":
    main(*sys.argv[1:])
