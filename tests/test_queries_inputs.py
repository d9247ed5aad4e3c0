"""Questions with inputs and by modifiers of many values: read once, put into ranges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

UNITS = 40
AGES = np.linspace(-1.0, 1.0, UNITS)  # float64


def networked() -> pc.SCM:
    """Return age -> x -> y <- age, age an argument that meets a network of float32."""
    net = torch.nn.Linear(1, 1)
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(0.5)

    def program(age: Tensor) -> None:
        pyro.module("net", net)
        z = pyro.sample("z", dist.Bernoulli(torch.sigmoid(net(age[:, None])[:, 0])))
        x = pyro.sample("x", dist.Bernoulli(logits=net(age[:, None])[:, 0]))
        pyro.sample("w", dist.Bernoulli(0.2 + 0.5 * x))
        pyro.sample("y", dist.Normal(x * (1.0 + net(age[:, None])[:, 0]) + z, 0.1))

    return pc.SCM(program)


SEEN = {name: torch.ones(UNITS) for name in "xzwy"}
ASKED: dict[str, Callable[..., Any]] = {
    "ate": lambda m, **k: pc.ate(m, "x", "y", **k),
    "ate given": lambda m, **k: pc.ate(m, "x", "y", given=lambda v: v["y"] > -9, **k),
    "att": lambda m, **k: pc.att(m, "x", "y", evidence=SEEN, **k),
    "cate": lambda m, **k: pc.cate(m, "x", "y", by="x", evidence=SEEN, **k),
    "ite": lambda m, **k: pc.ite(m, "x", "y", evidence=SEEN, **k),
    "pns": lambda m, **k: pc.pns(m, "x", "w", **k),
    "nde": lambda m, **k: pc.nde(m, "x", "y", **k),
    "dose": lambda m, **k: pc.dose_response(m, "x", "y", doses=[0.0, 1.0], **k),
    "quantile": lambda m, **k: pc.quantile_effect(m, "x", "y", q=0.5, **k),
    "policy": lambda m, **k: pc.policy_value(m, lambda v: v["z"], "y", treatment="x", **k),
    "effect": lambda m, **k: pc.effect(m, pc.Y("y", do={"x": 1}), **k),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_inputs_of_any_kind_meet_a_network_as_its_own_numbers(
    ask: Callable[..., Any],
) -> None:
    model = networked()
    expected = ask(model, inputs={"age": torch.tensor(AGES, dtype=torch.float32)}, seed=0).value
    for given in (AGES, pd.Series(AGES), list(AGES)):
        found = ask(model, inputs={"age": given}, seed=0).value
        assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_table_of_inputs_is_taken_column_by_column() -> None:
    model, frame = networked(), pd.DataFrame({"age": AGES})
    found = pc.ate(model, "x", "y", inputs=frame, seed=0)  # type: ignore[arg-type]
    assert found.value == pc.ate(model, "x", "y", inputs={"age": AGES}, seed=0).value


@pytest.mark.parametrize("number", [np.array([0.3]), 0.3, [0.3]], ids=["numpy", "number", "list"])
def test_root_causes_are_asked_of_a_unit_with_inputs_of_any_kind(number: Any) -> None:
    def service(age: Any) -> None:
        load = pyro.sample("load", dist.Normal(torch.as_tensor(age) * torch.ones(1), 1.0))
        pyro.sample("latency", dist.Normal(load, 1.0))

    def network(age: Tensor) -> None:
        load = pyro.sample("load", dist.Normal(net(age[:, None])[:, 0], 1.0))
        pyro.sample("latency", dist.Normal(load, 1.0))

    net = torch.nn.Linear(1, 1).requires_grad_(False)
    model = pc.SCM(service if isinstance(number, float) else network)
    seen = {"load": 3.0, "latency": 3.0}
    why = pc.attribute(model, seen, "latency", inputs={"age": number}, num_samples=200, seed=0)
    assert why.index.tolist() == ["load", "latency"]


# ---------------------------------------------------------------- modifiers of many values


@pc.scm
def school() -> None:
    """Age -> x -> y <- age, where the effect of x is age / 50; age a count of up to 100."""
    age = pyro.sample("age", dist.Binomial(100, torch.tensor(0.5)))
    wide = pyro.sample("wide", dist.Poisson(torch.tensor(200.0)))
    few = pyro.sample("few", dist.Poisson(torch.tensor(4.0)))
    x = pyro.sample("x", dist.Bernoulli(torch.sigmoid((age - 50) / 10)))
    pyro.sample("y", dist.Normal(x * (age / 50 + wide / 200 + few / 4), 0.1))


@pytest.mark.parametrize(("by", "scale"), [("wide", 200.0), ("few", 4.0)])
def test_a_count_of_many_values_is_put_into_ranges_that_share_no_unit(
    by: str, scale: float
) -> None:
    found = pc.cate(school, "x", "y", by=by, num_samples=8000, seed=0)
    assert isinstance(found.index, pd.IntervalIndex)
    drawn = school.sample(8000, seed=0)[by]
    ends = [(part.left, part.right) for part in found.index]
    assert ends[0][0] == drawn.min()
    assert ends[-1][1] == drawn.max()
    for place, (low, high) in enumerate(ends):
        inside = (low <= drawn) & ((drawn < high) | (place == len(ends) - 1))
        expected = 2.0 + drawn[inside].mean().item() / scale
        error = 4 * 0.2 / inside.sum().item() ** 0.5  # age and the others vary by up to 0.12
        assert float(found.value[place]) == pytest.approx(expected, abs=error + 0.02)


def test_bins_put_whole_numbers_into_ranges_on_request() -> None:
    found = pc.cate(school, "x", "y", by="few", bins=[0, 3, 100], num_samples=4000, seed=0)
    assert [(part.left, part.right) for part in found.index] == [(0, 3), (3, 100)]


def test_few_values_stay_subgroups_of_their_own() -> None:
    found = pc.cate(school, "x", "y", by="x", num_samples=4000, seed=0)
    assert found.index.tolist() == [0.0, 1.0]


def test_the_effect_in_ranges_of_an_input() -> None:
    ages = np.repeat([20.0, 40.0, 60.0, 80.0], 100)

    def program(age: Tensor) -> None:
        x = pyro.sample("x", dist.Bernoulli(0.5 * torch.ones(len(age))))
        pyro.sample("y", dist.Normal(x * age, 1.0))

    model = pc.SCM(program)
    found = pc.cate(model, "x", "y", by="age", inputs={"age": ages}, seed=0)
    assert found.index.tolist() == [20.0, 40.0, 60.0, 80.0]
    assert found.value.tolist() == pytest.approx([20.0, 40.0, 60.0, 80.0], abs=1e-4)
    seen = {"x": torch.ones(400), "y": torch.as_tensor(ages)}
    alike = pc.cate(model, "x", "y", by="age", bins=2, inputs={"age": ages}, evidence=seen, seed=0)
    assert [(part.left, part.right) for part in alike.index] == [(20, 60), (60, 80)]
    assert alike.value.tolist() == pytest.approx([30.0, 70.0], abs=1e-4)


def test_an_input_without_values_of_units_is_no_modifier() -> None:
    model = networked()
    model.sample(3, inputs={"age": AGES[:3]})  # after which the program is known
    with pytest.raises(ValueError, match=r"'age' is an argument.*inputs=\{'age': \.\.\.\}"):
        pc.cate(model, "x", "y", by="age")

    def plain(bonus: float) -> None:
        x = pyro.sample("x", dist.Bernoulli(torch.tensor(0.5)))
        pyro.sample("y", dist.Normal(x * bonus, 1.0))

    with pytest.raises(ValueError, match="'bonus' is the same for all units"):
        pc.cate(pc.SCM(plain), "x", "y", by="bonus", inputs={"bonus": 2.0}, seed=0)
