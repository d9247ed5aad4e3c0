"""What fit can't learn from is refused before the first step, with a name and a cure."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

QUIET: dict[str, Any] = {"steps": 2, "seed": 0, "validation": 0.0}
POSITIVE = dist.constraints.positive


def scalar() -> Tensor:
    return pyro.param("a", torch.tensor(0.0))


def rate() -> Tensor:
    return pyro.param("rate", torch.tensor(1.0), constraint=POSITIVE)


def alone(law: Callable[[], Any]) -> pc.SCM:
    """A single variable x."""
    return pc.SCM(lambda: pyro.sample("x", law()))


Case = tuple[Callable[[], Any], Any, str]
LAWS: dict[str, Case] = {
    "half a coin": (lambda: dist.Bernoulli(logits=scalar()), 2.5, "Bernoulli can't take 2.5"),
    "a negative time": (lambda: dist.Exponential(rate()), -1.0, "Exponential can't take -1"),
    "a count of a half": (lambda: dist.Poisson(rate()), 1.5, "Poisson can't take 1.5"),
    "a share of two": (lambda: dist.Beta(rate(), 1.0), 2.0, "Beta can't take 2;.*Interval"),
    "a logarithm of zero": (lambda: dist.LogNormal(scalar(), 1.0), 0.0, "LogNormal can't take 0"),
    "a category too far": (
        lambda: dist.Categorical(logits=scalar() * torch.ones(5)),
        7,
        "Categorical can't take 7;.*upper_bound=4",
    ),
    "two heads of one coin": (
        lambda: dist.Bernoulli(logits=scalar() * torch.ones(2)).to_event(1),
        [1.0, 2.0],
        r"Bernoulli can't take \[1.0, 2.0\]",
    ),
    "no category": (
        lambda: dist.OneHotCategorical(logits=scalar() * torch.ones(3)),
        [0.0, 1.0, 1.0],
        r"OneHotCategorical can't take \[0.0, 1.0, 1.0\]",
    ),
}


@pytest.mark.parametrize("case", LAWS.values(), ids=LAWS)
def test_data_outside_the_support_name_site_unit_and_value(case: Case) -> None:
    law, bad, words = case
    scm = alone(law)
    x = scm.sample(40, seed=0)["x"]
    scm.fit({"x": x}, **QUIET)
    x[3] = x[17] = torch.tensor(bad)
    with pytest.raises(ValueError, match=rf"^data\['x'\] for units 3, 17: {words}") as caught:
        scm.fit({"x": x}, **QUIET)
    assert "Trace Shapes" not in str(caught.value)


@pytest.mark.parametrize("options", [{"batch_size": 5}, {"validation": 0.6}])
def test_every_unit_is_looked_at_once(options: dict[str, Any]) -> None:
    # In batches of five, or with most units held out, the first run leaves the bad one out.
    for unit in range(0, 60, 7):
        x = torch.ones(60)
        x[unit] = -1.0
        with pytest.raises(ValueError, match=rf"for unit {unit}: Exponential can't take -1"):
            alone(lambda: dist.Exponential(rate())).fit({"x": x}, **{**QUIET, **options})


def test_looking_changes_no_fit_and_no_buffer() -> None:
    net = torch.nn.BatchNorm1d(1)

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(scalar(), 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    data = {"x": torch.randn(60), "y": torch.randn(60)}
    pc.SCM(program).fit(data, steps=3, batch_size=20, validation=0.5, seed=0)
    # One run before the first step and three steps.
    assert int(net.get_buffer("num_batches_tracked")) == 4


def test_a_cause_is_looked_at_before_anything_is_made_of_it() -> None:
    # k -> y: a code that is too large would be an index past the end of the table.
    def program() -> None:
        k = pyro.sample("k", dist.Categorical(logits=scalar() * torch.ones(3)))
        pyro.sample("y", dist.Normal(torch.tensor([0.0, 1.0, 2.0])[k], 1.0))

    data = {"k": [0, 1, 2, 3], "y": [0.0, 1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match=r"data\['k'\] for unit 3: Categorical can't take 3"):
        pc.SCM(program).fit(data, **QUIET)


def test_what_is_missing_or_masked_is_not_looked_at() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Exponential(rate()))
        below: Any = x < 1
        with pyro.poutine.mask(mask=below):
            pyro.sample("y", dist.Exponential(rate()))

    data = {"x": [0.5, 2.0, 0.5], "y": [1.0, -1.0, math.nan]}
    report = pc.SCM(program).fit(data, **QUIET)
    assert report.losses.isfinite().all()
    with pytest.raises(ValueError, match=r"data\['y'\] for unit 0: Exponential can't take -2"):
        pc.SCM(program).fit({**data, "y": [-2.0, -1.0, math.nan]}, **QUIET)


def test_bounds_that_differ_by_unit_are_those_of_the_unit() -> None:
    def program() -> None:
        n = pyro.sample("n", dist.Poisson(rate()))
        pyro.sample("k", dist.Binomial(n, logits=scalar()))

    data = {"n": [3.0, 5.0, 4.0], "k": [3.0, 5.0, 4.0]}
    pc.SCM(program).fit(data, **QUIET)
    with pytest.raises(ValueError, match=r"'k'\] for unit 1: Binomial can't take 5.*IntegerInt"):
        pc.SCM(program).fit({**data, "n": [3.0, 4.0, 4.0]}, **QUIET)


def test_shares_that_sum_to_one_but_for_rounding_are_taken() -> None:
    scm = alone(lambda: dist.Dirichlet(rate() * torch.ones(3)))
    shares = torch.tensor([[0.2, 0.3, 0.50002], [0.1, 0.1, 0.79999]])
    assert scm.fit({"x": shares}, **QUIET).losses.isfinite().all()


# ---------------------------------------------------------------- no data


def test_a_column_without_values_is_refused() -> None:
    scm = alone(lambda: dist.Normal(scalar(), 1.0))
    with pytest.raises(ValueError, match=r"data\['x'\] has no values: all 40 are missing"):
        scm.fit({"x": torch.full((40,), math.nan)}, **QUIET)


@pytest.mark.parametrize("data", [{}, pd.DataFrame()])
def test_no_columns_are_no_data(data: Any) -> None:
    with pytest.raises(ValueError, match=r"fit\(\) got no data.*units first"):
        alone(lambda: dist.Normal(scalar(), 1.0)).fit(data, **QUIET)


@pytest.mark.parametrize("units", [100, 40])
def test_a_plate_over_the_data_is_told_what_to_do(units: int) -> None:
    def program() -> None:
        loc = scalar()
        with pyro.plate("data", 100):
            pyro.sample("x", dist.Normal(loc, 1.0))

    words = rf"shape \({units},\), but the program opens a plate of 100 around 'x'.*pc.units\(\)"
    with pytest.raises(ValueError, match=words):
        pc.SCM(program).fit({"x": torch.randn(units)}, **QUIET)


def test_a_plate_inside_the_unit_is_no_mistake() -> None:
    def program() -> None:
        y = pyro.sample("y", dist.Normal(scalar(), 1.0))
        with pyro.plate("parts", 3):
            pyro.sample("x", dist.Normal(y, rate()))

    x = torch.randn(3)
    same = pc.SCM(program).fit({"x": x.expand(5, 3), "y": torch.ones(5)}, **QUIET)
    report = pc.SCM(program).fit({"x": x, "y": torch.ones(5)}, **QUIET)
    assert torch.equal(report.losses, same.losses)


# ---------------------------------------------------------------- options

OPTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a rate below zero": ({"lr": -1}, ValueError, "lr=-1; expected a positive number"),
    "no rate": ({"lr": 0}, ValueError, "lr=0; expected a positive number"),
    "a rate without end": ({"lr": math.inf}, ValueError, "lr=inf"),
    "a rate in words": ({"lr": "a"}, ValueError, "lr='a'"),
    "half a seed": ({"seed": 1.5}, TypeError, "seed=1.5; expected a whole number"),
    "a seed in words": ({"seed": "a"}, TypeError, "seed='a'; expected a whole number"),
    "a seed too large": ({"seed": 2**65}, ValueError, "seed=36893488147419103232.*64 bits"),
    "a device nobody knows": ({"device": "foo"}, ValueError, "device='foo', which torch doesn't"),
    "a device by number": ({"device": 1.5}, ValueError, "device=1.5; expected a name"),
    "a share in words": ({"validation": "a"}, ValueError, "validation='a'"),
    "half a step": ({"steps": 0.5}, ValueError, "steps=0.5"),
    "no patience": ({"patience": 0}, ValueError, "patience=0"),
}


@pytest.mark.parametrize("case", OPTIONS.values(), ids=OPTIONS)
def test_an_option_that_makes_no_sense_is_named(
    case: tuple[dict[str, Any], type[Exception], str],
) -> None:
    options, kind, words = case
    scm = alone(lambda: dist.Normal(scalar(), 1.0))
    with pytest.raises(kind, match=rf"fit\(\) got {words}"):
        scm.fit({"x": torch.randn(5)}, **{**QUIET, **options})


def test_from_graph_reads_its_seed_as_fit_does() -> None:
    with pytest.raises(TypeError, match=r"from_graph\(\) got seed='a'"):
        pc.SCM.from_graph([("x", "y")], data={"x": [0.0, 1.0], "y": [1.0, 2.0]}, seed="a")  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cuda", "cuda:99", torch.device("cuda", 99)])
def test_a_device_that_is_not_there_is_refused_before_anything_moves(device: Any) -> None:
    if torch.cuda.is_available() and device == "cuda":
        pytest.skip("torch sees a CUDA device")
    scm = alone(lambda: dist.Normal(scalar(), 1.0))
    with pytest.raises(ValueError, match=r"to\(\) got device='cuda.*no .* device is available"):
        scm.to(device)
    assert scm.sample(3, seed=0)["x"].device.type == "cpu"


def test_a_device_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"to\(\) got device='foo'"):
        alone(lambda: dist.Normal(scalar(), 1.0)).to("foo")
