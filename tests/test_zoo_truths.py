"""The zoo's truths against simulations written by hand in numpy, and against plain Pyro."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from pyrocausal import zoo

Array = NDArray[np.float64]

STANDARD = {
    "standard_normal": ("Normal", 0.0, 1.0),
    "laplace": ("Laplace", 0.0, np.sqrt(2)),
    "gumbel": ("Gumbel", np.euler_gamma, np.pi / np.sqrt(6)),
    "standard_exponential": ("Exponential", 1.0, 1.0),
    "random": ("Uniform", 0.5, 1 / np.sqrt(12)),
}
"""Noise by the name of numpy's sampler: its family, mean, and standard deviation."""
WRAPPERS = (dist.ExpandedDistribution, dist.Independent, dist.MaskedDistribution)
ROWS = dict.fromkeys(zoo.MODELS, 100_000) | {"image": 4_000}


class Hand:
    """One world in numpy; the factual one draws the noise, and weighs the rows by the evidence."""

    def __init__(self, rows: int, evidence: Mapping[str, Any] | None = None) -> None:
        self.rows = rows
        self.rng = np.random.default_rng(20_240)
        self.evidence = evidence or {}
        self.noise: dict[str, Any] = {}
        self.values: dict[str, Array] = {}
        self.law: dict[str, tuple[str, dict[str, Any]]] = {}
        self.do: Mapping[Any, Any] = {}
        self.log_weight = np.zeros(rows)

    def world(self, do: Mapping[Any, Any]) -> "Hand":
        """Return another world of the same rows, with the same noise."""
        other = Hand(self.rows)
        other.noise, other.do = self.noise, do
        return other

    def record(self, name: str, value: Array) -> Array:
        """Record what a variable is in this world."""
        if name in self.do:
            value = np.broadcast_to(np.asarray(self.do[name], float), value.shape)
        self.values[name] = value
        return value

    def affine(self, name: str, loc: Any, scale: Any, draw: str, shape: Any = ()) -> Array:
        """A location-scale variable; its noise follows from the evidence."""
        family, mean, stddev = STANDARD[draw]
        self.law[name] = family, {"mean": loc + scale * mean, "stddev": scale * stddev}
        shape = (*shape, self.rows) if name.startswith("level") else (self.rows, *shape)
        if name in self.evidence:
            u = np.broadcast_to((self.evidence[name] - loc) / scale, shape)
            if draw == "standard_normal":
                terms = -(u**2) / 2
                axes = tuple(axis for axis, size in enumerate(shape) if size != self.rows)
                self.log_weight = self.log_weight + terms.sum(axes)
            self.noise.setdefault(name, u)
        elif name not in self.noise:
            self.noise[name] = getattr(self.rng, draw)(size=shape)
        return self.record(name, loc + scale * self.noise[name])

    def normal(self, name: str, loc: Any, scale: Any = 1.0, shape: Any = ()) -> Array:
        """A normal variable."""
        return self.affine(name, loc, scale, "standard_normal", shape)

    def reject(self, name: str, value: Array) -> Array:
        """A discrete or deterministic variable; rows that contradict the evidence are dropped."""
        self.law.setdefault(name, ("Delta", {"mean": value}))
        if name in self.evidence:
            miss = np.where(value == self.evidence[name], 0.0, -np.inf)
            self.log_weight = self.log_weight + miss
        return self.record(name, value)

    def uniform(self, name: str) -> Array:
        """The uniform noise of a discrete variable."""
        if name not in self.noise:
            self.noise[name] = self.rng.uniform(size=self.rows)
        noise: Array = self.noise[name]
        return noise

    def bernoulli(self, name: str, p: Any) -> Array:
        """A variable that is 1 where its uniform noise is below p."""
        self.law[name] = "Bernoulli", {"mean": p}
        return self.reject(name, (self.uniform(name) < p).astype(float))


def chain(h: Hand) -> None:
    x = h.normal("X", 1)
    h.normal("Z", 1 - 1.5 * h.normal("Y", 0.5 + 2 * x), 0.5)


def fork(h: Hand) -> None:
    z = h.bernoulli("Z", 0.5)
    h.bernoulli("X", np.where(z == 1, 0.8, 0.2))
    h.normal("Y", np.where(z == 1, 3, 1))


def collider(h: Hand) -> None:
    h.normal("Z", h.normal("X", 0) + 2 * h.normal("Y", 0))


def alarm(h: Hand) -> None:
    b, e = h.bernoulli("burglary", 0.1), h.bernoulli("earthquake", 0.2)
    h.bernoulli("alarm", 0.05 + 0.6 * b + 0.3 * e)


def triangle(h: Hand) -> None:
    z = h.normal("Z", 0)
    h.normal("Y", 1 + 2 * h.normal("X", 0.8 * z) - 3 * z, 0.5)


def diamond(h: Hand) -> None:
    a = h.normal("A", 0)
    h.normal("D", h.normal("B", 1.5 * a, 0.5) + 2 * h.normal("C", -a, 0.5))


def homework(h: Hand) -> None:
    x = h.normal("X", 0)
    h.normal("Y", 0.7 * x + 0.4 * h.normal("H", 0.5 * x))


def mediator(h: Hand) -> None:
    x = h.bernoulli("X", 0.5)
    m = h.normal("M", 0.5 + 2 * x)
    direct = h.do.get(("X", "Y"), x)
    h.normal("Y", direct + 1.5 * m + 0.8 * direct * m)


def bow(h: Hand) -> None:
    u = h.normal("U", 0)
    h.normal("Y", 1.5 * h.normal("X", u) + 2 * u)


def instrument(h: Hand) -> None:
    z, u = h.bernoulli("Z", 0.5), h.normal("U", 0)
    h.normal("Y", 1.5 * h.normal("X", 2 * z + u) - 2 * u)


def noncompliance(h: Hand) -> None:
    z, u = h.bernoulli("Z", 0.5), h.bernoulli("U", 0.5)
    table = np.array([[0.1, 0.3], [0.5, 0.9]])
    x = h.bernoulli("X", table[z.astype(int), u.astype(int)])
    h.normal("Y", u + x * np.where(u == 1, 3, 1))


def front_door(h: Hand) -> None:
    u = h.bernoulli("U", 0.5)
    x = h.bernoulli("X", np.where(u == 1, 0.8, 0.2))
    m = h.bernoulli("M", np.where(x == 1, 0.9, 0.1))
    h.bernoulli("Y", 0.1 + 0.3 * m + 0.4 * u)


def m_bias(h: Hand) -> None:
    u1, u2 = h.bernoulli("U1", 0.5), h.bernoulli("U2", 0.5)
    h.bernoulli("Z", 0.1 + 0.4 * (u1 + u2))
    h.normal("Y", h.bernoulli("X", np.where(u1 == 1, 0.8, 0.2)) + 2 * u2)


def napkin(h: Hand) -> None:
    u1, u2 = h.bernoulli("U1", 0.5), h.bernoulli("U2", 0.5)
    r = h.bernoulli("R", 0.2 + 0.6 * h.bernoulli("W", 0.1 + 0.4 * (u1 + u2)))
    h.bernoulli("Y", 0.1 + 0.4 * h.bernoulli("X", 0.1 + 0.3 * u1 + 0.5 * r) + 0.4 * u2)


def simpson(h: Hand) -> None:
    large = h.bernoulli("large", 343 / 700).astype(int)
    patients, recovered = np.array([[270, 87], [80, 263]]), np.array([[234, 81], [55, 192]])
    surgery = h.bernoulli("surgery", (patients[:, 1] / patients.sum(1))[large]).astype(int)
    h.bernoulli("recovery", (recovered / patients)[large, surgery])


def firing_squad(h: Hand) -> None:
    captain = h.reject("captain", h.bernoulli("order", 0.5))
    a, b = h.reject("A", captain), h.reject("B", captain)
    h.reject("death", np.where(a + b > 0, 1.0, 0.0))


def vaccine(h: Hand) -> None:
    allergic, taken = h.bernoulli("allergic", 0.1), h.bernoulli("vaccine", 0.5)
    table = np.array([[0.6, 0.9], [0.7, 0.5]])
    h.bernoulli("healthy", table[allergic.astype(int), taken.astype(int)])


def additive_noise(h: Hand) -> None:
    x = h.affine("X", -2, 4, "random")
    h.normal("Z", np.sin(2 * h.normal("Y", np.tanh(2 * x), 0.3)), 0.2)


def non_gaussian(h: Hand) -> None:
    load = h.affine("load", 0, 0.3, "laplace")
    h.affine("peak", load, 0.5, "gumbel")
    wait = h.affine("wait", 0, np.exp(load / 2), "standard_exponential")
    pairs = h.noise.setdefault("pairs", h.rng.standard_exponential((2, h.rows)).sum(0))
    if "cost" in h.evidence:
        pairs = h.noise["pairs"] = h.evidence["cost"] / wait
    h.law["cost"] = "Gamma", {"mean": 2 * wait, "stddev": np.sqrt(2) * wait}
    h.record("cost", wait * pairs)


def categories(h: Hand) -> None:
    south = h.bernoulli("south", 0.5).astype(int)
    p = np.array([[0.2] * 5, [0.1, 0.1, 0.2, 0.3, 0.3]])[south]
    clocks = h.noise.setdefault("clocks", h.rng.standard_exponential((h.rows, 5)))
    h.law["choice"] = "Categorical", {"probs": p}
    choice = h.reject("choice", np.argmin(clocks / p, 1).astype(float)).astype(int)
    h.normal("spend", np.array([0, 1, 2, 4, 8])[choice])


def counts(h: Hand) -> None:
    rate = 1 + h.bernoulli("night", 0.3)
    h.law["claims"] = "Poisson", {"mean": rate}
    claims = h.reject("claims", stats.poisson.ppf(h.uniform("claims"), rate))
    h.normal("cost", 10 * claims, 5)


def vector(h: Hand) -> None:
    x = h.normal("X", 0)
    covariance = np.array([[1, 0.5, 0], [0.5, 2, 0.3], [0, 0.3, 1]])
    root, mean = np.linalg.cholesky(covariance), x[:, None] * [1, -1, 2]
    h.law["V"] = "MultivariateNormal", {"mean": mean, "covariance_matrix": covariance}
    if "V" in h.evidence:
        e = np.linalg.solve(root, (h.evidence["V"] - mean).T).T
        h.log_weight = h.log_weight - (e**2).sum(1) / 2
        h.noise["V"] = e
    e = h.noise.setdefault("V", h.rng.standard_normal((h.rows, 3)))
    v = h.record("V", mean + e @ root.T)
    h.normal("Y", v @ [1, 0.5, -1], 0.5)


def image(h: Hand) -> None:
    position = h.affine("position", 1, 5, "random")
    row, column = np.mgrid[:8, :8]
    blob = np.exp(-((row - 3.5) ** 2) / 2 - (column - position[:, None, None]) ** 2 / 2)
    h.normal("brightness", h.normal("image", blob, 0.1, (8, 8)).sum((1, 2)), 0.5)


def time_series(h: Hand) -> None:
    drive = h.normal("drive", 0)
    level = h.normal("level_0", 0, shape=(3,))
    for t in range(1, 10):
        level = h.normal(f"level_{t}", 0.8 * level + drive, 0.5, (3,))
    h.normal("average", level.mean(0), 0.1)


def service_latency(h: Hand) -> None:
    load, fault = h.normal("load", 1, 0.2), h.bernoulli("fault", 0.05)
    database = h.normal("database", 20 + 10 * load + 60 * fault, 3)
    catalog = h.normal("catalog", 8 + database + h.normal("cache", 2 + load, 0.5), 2)
    checkout = h.normal("checkout", 5 + database + h.normal("payment", 35 + 5 * load, 5), 2)
    h.normal("website", 10 + catalog + checkout, 3)


def linear_chain(h: Hand) -> None:
    x = h.normal("x0", 0)
    for i in range(1, 5):
        x = h.normal(f"x{i}", 0.9 * x)


BY_HAND: dict[str, Callable[[Hand], None]] = {
    name: globals()[name] for name in zoo.MODELS if name != "random_linear"
}
TRUTHS = {
    f"{name}: {truth.query}": (zoo.MODELS[name], truth)
    for name in BY_HAND
    for truth in zoo.MODELS[name].truths
}
RUNGS_1_AND_2 = {query: case for query, case in TRUTHS.items() if case[1].rung < 3}


def assert_agrees(
    truth: zoo.Truth, worlds: Sequence[Mapping[str, Tensor]], log_weight: Array, rtol: float
) -> None:
    """Check a truth against weighted rows, within four standard errors."""
    values = [world[truth.variable] for world in worlds]
    stacked = torch.stack(values) if isinstance(truth.do, tuple) else values[0]
    measured = truth.measure(stacked).reshape(-1, len(log_weight)).numpy()
    for name, value in truth.given.items():
        log_weight = np.where(worlds[0][name].numpy() == value, log_weight, -np.inf)
    weight = np.exp(log_weight - log_weight.max())
    assert 1 / np.square(weight / weight.sum()).sum() > 500, "too few rows to judge by"
    if truth.exact:
        np.testing.assert_allclose(measured[:, weight > 0], truth.value, rtol, rtol)
    rows = measured.mean(0)
    mean = np.average(rows, weights=weight)
    error = np.sqrt(np.square(weight * (rows - mean)).sum()) / weight.sum()
    assert abs(mean - truth.value) < 4 * error + rtol * (1 + abs(truth.value)), (mean, error)


def run(model: zoo.Model, do: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Run the plain Pyro program; return the values of all variables."""
    # Running forward from a pinned value is what `do` means: nothing is weighed by it.
    natural = run(model, {}) if do else {}
    pinned = {k: torch.ones_like(natural[k]) * torch.as_tensor(v) for k, v in do.items()}
    with pyro.plate("units", ROWS[model.name]):
        trace = pyro.poutine.trace(pyro.condition(model.program, pinned)).get_trace()
    sites: Mapping[str, Any] = trace.nodes
    return {name: sites[name]["value"] for name in model.variables}


@pytest.mark.parametrize(("model", "truth"), TRUTHS.values(), ids=TRUTHS)
def test_every_truth_holds_in_a_simulation_written_by_hand(
    model: zoo.Model, truth: zoo.Truth
) -> None:
    factual = Hand(ROWS[model.name], truth.evidence)
    BY_HAND[model.name](factual)
    worlds = [factual.world(do) for do in truth.worlds]
    for world in worlds:
        BY_HAND[model.name](world)
    tensors = [{k: torch.tensor(v) for k, v in world.values.items()} for world in worlds]
    assert_agrees(truth, tensors, factual.log_weight, rtol=1e-9)


@pytest.mark.parametrize(("model", "truth"), RUNGS_1_AND_2.values(), ids=RUNGS_1_AND_2)
def test_every_seeing_and_doing_holds_for_the_program_in_plain_pyro(
    model: zoo.Model, truth: zoo.Truth
) -> None:
    worlds = [run(model, do) for do in truth.worlds]
    assert_agrees(truth, worlds, np.zeros(ROWS[model.name]), rtol=1e-5)


@pytest.mark.parametrize("name", BY_HAND)
def test_every_mechanism_of_a_program_is_the_one_simulated_by_hand(name: str) -> None:
    # All sites pinned to the same values, row by row: a comparison without sampling error.
    model, hand = zoo.MODELS[name], Hand(rows=50)
    BY_HAND[name](hand)
    values = {k: torch.tensor(v, dtype=torch.float32) for k, v in hand.values.items()}
    with pyro.plate("units", hand.rows):
        trace = pyro.poutine.trace(pyro.condition(model.program, values)).get_trace()
    assert set(hand.law) == set(model.variables)
    for variable, (family, numbers) in hand.law.items():
        law: Any = trace.nodes[variable]["fn"]
        for attribute, expected in numbers.items():
            found = getattr(law, attribute).double().numpy()
            np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), 1e-4, 1e-6)
        while isinstance(law, WRAPPERS):
            law = law.base_dist
        assert type(law).__name__ == family
