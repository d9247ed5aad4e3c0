"""What data left open of the parameters, in answers unit by unit, shares, posteriors and files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting.uncertainty import parameter_law

DRAWS = 30  # of the parameters


# z -> x -> y, z -> y, all linear
def line() -> None:
    a, b, c = (pyro.param(name, torch.tensor(0.0)) for name in "abc")
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Normal(a * z, 1.0))
    pyro.sample("y", dist.Normal(b * x + c * z, 1.0))


def rows(number: int, slope: float, seed: int) -> dict[str, Tensor]:
    z, of_x, of_y = torch.randn(3, number, generator=torch.Generator().manual_seed(seed))
    x = 0.5 * z + of_x
    return {"z": z, "x": x, "y": slope * x + z + of_y}


def fit(model: pc.SCM, data: Any, uncertainty: Any = "laplace") -> pc.SCM:
    model.fit(
        data, steps=5, lr=0.1, compile=False, uncertainty=uncertainty, progress=False, seed=0
    )
    return model


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrocausal.fitting.uncertainty.DRAWS", DRAWS)


@pytest.fixture
def fitted() -> pc.SCM:
    return fit(pc.SCM(line), rows(400, 1.0, seed=0))


def parameters(model: pc.SCM) -> tuple[Tensor, ...]:
    """Return the draws of a, b and c."""
    return tuple(model._core.law.draws.T)


UNIT = {"z": 1.0, "x": 3.0, "y": 4.0}


def test_the_interval_of_a_units_effect_is_that_of_the_slope(fitted: pc.SCM) -> None:
    answer = pc.ite(fitted, "x", "y", evidence=UNIT, seed=0)
    _, b, _ = parameters(fitted)
    assert answer.interval is not None
    ends = b.quantile(torch.tensor([0.025, 0.975], dtype=b.dtype))
    assert torch.cat([torch.as_tensor(end) for end in answer.interval]).tolist() == pytest.approx(
        ends.tolist(), abs=1e-5
    )
    assert list(answer.interval.sources) == ["noise of the unit", "parameters"]
    assert "joins noise of the unit, parameters" in str(answer)


def gated() -> None:
    b = pyro.param("b", torch.tensor(0.0))
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(0.5))
    pyro.sample("y", dist.Normal((b + u) * x, 1.0))


def test_a_units_own_noise_and_the_parameters_join_in_its_interval() -> None:
    u = torch.randn(100, generator=torch.Generator().manual_seed(1))
    x = (torch.arange(100) % 4 == 0).float()
    model = fit(pc.SCM(gated), {"u": u, "x": x, "y": (2.0 + u) * x})
    answer = pc.ite(model, "x", "y", evidence={"x": 0.0}, num_samples=4000, seed=0)
    assert answer.interval is not None
    lower, upper = (float(end) for end in answer.interval)
    (law,) = parameters(model)
    # y(1) - y(0) = b + u is normal. Of 5 numbers at each of 30 draws of b an end, where the
    # density of a standard normal is .058, is sqrt(.025 * .975 / 150) / .058 = 0.22 off.
    reach = 1.96 * float(1 + law.var()) ** 0.5
    assert upper - lower == pytest.approx(2 * reach, abs=3 * 0.22 * 2**0.5)
    assert torch.as_tensor(answer.interval.sources["noise of the unit"]).item() == pytest.approx(
        1.0, abs=0.1
    )


def test_a_unit_of_a_model_without_uncertainty_has_no_interval() -> None:
    model = fit(pc.SCM(line), rows(60, 1.0, seed=0), uncertainty=None)
    answers = [
        pc.ite(model, "x", "y", evidence=UNIT, seed=0),
        pc.attribute(model, UNIT, "y", num_samples=50, seed=0),
    ]
    for answer in answers:
        assert answer.interval is None
        assert "fitted without uncertainty=" in str(answer)


def spread(answer: pc.Effect) -> list[float]:
    assert answer.interval is not None
    return torch.as_tensor(answer.interval.sources["parameters"]).reshape(-1).tolist()


def test_shares_of_a_unit_have_the_spread_of_their_closed_form(fitted: pc.SCM) -> None:
    answer = pc.attribute(fitted, UNIT, "y", seed=0)
    a, b, c = parameters(fitted)
    # In a linear model the share of a variable is its noise times its total effect on y.
    closed = [(a * b + c) * 1.0, b * (3.0 - a), 4.0 - 3.0 * b - c]
    # The fresh noise, whose mean is not quite 0, moves it by some thousandths of its value.
    assert spread(answer) == pytest.approx([float(one.std()) for one in closed], rel=0.05)


def shifted() -> None:
    a = pyro.param("a", torch.tensor(0.0))
    z = pyro.sample("z", dist.Normal(1.0, 1.0))
    pyro.sample("y", dist.Normal(a * z, 1.0))


def test_shares_of_a_change_join_both_models_whose_draws_are_not_the_same() -> None:
    z, of_y = torch.randn(2, 400, generator=torch.Generator().manual_seed(4))
    before, after = [
        fit(pc.SCM(shifted), {"z": 1 + z, "y": slope * (1 + z) + of_y}) for slope in (1, 2)
    ]
    answer = pc.attribute(before, after, "y", seed=0)
    (one,), (other,) = (parameters(model) for model in (before, after))
    # E[y] = a moves by the mechanism of y alone; the draws are met from both ends.
    assert spread(answer) == pytest.approx([0.0, float((other.flip(0) - one).std())], rel=0.05)


def shared() -> None:
    slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
    with pc.units():
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Normal(slope * x, 1.0))


def posterior() -> pc.SCM:
    x = (torch.arange(40) % 2).float()
    model, guide = pc.SCM(shared), pyro.infer.autoguide.AutoNormal
    settings: dict[str, Any] = {"compile": False, "progress": False, "seed": 0}
    model.fit({"x": x, "y": x}, guide, steps=300, lr=0.05, uncertainty="posterior", **settings)
    return model


def test_a_posterior_is_averaged_whatever_the_seed() -> None:
    model = posterior()
    found = [pc.ate(model, "x", "y", num_samples=100, seed=seed) for seed in range(3)]
    values = [answer.value for answer in found]
    assert max(values) - min(values) < 1e-5  # the draws are the posterior's own
    # The posterior of the slope has the sd 1 / sqrt(20) = 0.22; that of 30 draws is 13 % off.
    assert spread(found[0]) == pytest.approx([0.22], rel=0.5)
    assert values[0] == pytest.approx(1.0, abs=4 * 0.22 / DRAWS**0.5)


def test_effects_of_units_that_were_seen_vary_with_the_posterior() -> None:
    model = posterior()
    seen = {"x": [0.0, 1.0], "y": [0.5, 2.0]}
    answer = pc.ite(model, "x", "y", evidence=seen, seed=0)
    assert spread(answer) == pytest.approx(2 * [0.22], rel=0.5)


def test_too_few_units_have_no_interval_and_the_card_says_so() -> None:
    @pc.scm
    def trial() -> None:
        x = pyro.sample("x", dist.Bernoulli(0.5))
        pyro.sample("y", dist.Normal(x, 1.0))

    answer = pc.ate(trial, "x", "y", num_samples=5, seed=0)
    assert answer.interval is None
    assert "5 units are too few" in str(answer)


@pytest.mark.parametrize("method", ["sandwich", "laplace"])
def test_the_law_of_the_parameters_is_saved_with_them(method: str, tmp_path: Path) -> None:
    model = fit(pc.SCM(line), rows(100, 1.0, seed=2), uncertainty=method)
    model.save(tmp_path / "line.st")
    again = pc.SCM.load(tmp_path / "line.st", line)
    asked: Callable[[pc.SCM], pc.Effect] = lambda scm: pc.ate(  # noqa: E731
        scm, "x", "y", values=(9.0, 0.0), num_samples=100, seed=0
    )
    assert str(asked(again)) == str(asked(model))
    assert "parameters" in str(asked(again))
    assert again._core.law.method == method


def test_the_law_at_other_data_is_that_of_a_fit_to_them(fitted: pc.SCM) -> None:
    before = fitted._core.scope.named()
    kept = {name: value.detach().clone() for name, value in before.items()}
    data = rows(100, 2.0, seed=3)
    moved = parameter_law(fitted._core, data, None, "laplace", seed=0)
    for name, value in kept.items():
        before[name].data.copy_(value)
    other = fit(pc.SCM(line), data)
    assert torch.allclose(moved.draws, other._core.law.draws, atol=1e-3)
