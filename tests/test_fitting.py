"""fit agrees with closed forms, keeps its hands off what isn't its own, and says what it needs."""

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoDelta, AutoMultivariateNormal, AutoNormal
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.fitting.fit_report import FitReport, Score
from pyrocausal.fitting.guiding import posterior_draws

POSITIVE = dist.constraints.positive


def param(name: str, value: float = 0.0) -> Tensor:
    return pyro.param(name, torch.tensor(value))


def positive(name: str, value: float = 1.0) -> Tensor:
    return pyro.param(name, torch.tensor(value), constraint=POSITIVE)


def parameters(scm: pc.SCM) -> dict[str, float]:
    """The constrained scalar parameters."""
    with scm._core.scope.open():
        return {k: v.item() for k, v in pyro.get_param_store().items() if v.numel() == 1}


def state(scm: pc.SCM) -> dict[str, Tensor]:
    """A copy of all parameters, unconstrained."""
    return {k: v.detach().clone() for k, v in scm._core.scope.named().items()}


def line() -> None:
    """A line: x -> y."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    loc = param("intercept") + param("slope") * x
    pyro.sample("y", dist.Normal(loc, positive("scale")))


def line_data(n: int = 500, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    x = 0.5 + torch.randn(n)
    return {"x": x, "y": 1 + 2 * x + 0.5 * torch.randn(n)}


def least_squares(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Intercept, slope, and the maximum likelihood scale."""
    design = np.stack([np.ones(len(x)), x.numpy()], 1).astype(float)
    solution, residual, *_ = np.linalg.lstsq(design, y.numpy().astype(float), rcond=None)
    return float(solution[0]), float(solution[1]), math.sqrt(residual[0] / len(x))


# ---------------------------------------------------------------- closed forms


def test_a_linear_regression_is_the_least_squares_one() -> None:
    data, scm = line_data(), pc.SCM(line)
    scm.fit(data, steps=600, lr=0.05, validation=0, seed=0)
    found = parameters(scm)
    intercept, slope, scale = least_squares(data["x"], data["y"])
    truth = {
        "mean": data["x"].mean().item(),
        "spread": data["x"].std(correction=0).item(),
        "intercept": intercept,
        "slope": slope,
        "scale": scale,
    }
    assert found == pytest.approx(truth, abs=1e-3)


def test_minibatches_and_held_out_units_give_the_same_line_within_its_standard_error() -> None:
    data, scm = line_data(2000), pc.SCM(line)
    report = scm.fit(pd.DataFrame({k: v.numpy() for k, v in data.items()}), batch_size=64, seed=0)
    _, slope, scale = least_squares(data["x"], data["y"])
    se = scale / math.sqrt(2000) / data["x"].std().item()
    assert parameters(scm)["slope"] == pytest.approx(slope, abs=4 * se)
    assert (report.units, report.held_out) == (1800, 200)


def test_a_logistic_regression_is_that_of_newtons_method() -> None:
    torch.manual_seed(0)
    x = torch.randn(800)
    y = torch.bernoulli(torch.sigmoid(0.5 - 1.5 * x))

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Bernoulli(logits=param("a") + param("b") * x))

    scm = pc.SCM(program)
    scm.fit({"x": x, "y": y}, steps=500, lr=0.05, validation=0, seed=0)
    design, target = np.stack([np.ones(800), x.numpy()], 1).astype(float), y.numpy().astype(float)
    beta = np.zeros(2)
    for _ in range(20):
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        beta += np.linalg.solve(hessian, design.T @ (target - p))
    assert list(parameters(scm).values()) == pytest.approx(beta, abs=1e-3)


def hierarchy() -> None:
    """One mu for all units: mu -> x."""
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    with pc.units():
        pyro.sample("x", dist.Normal(mu, 1.0))


def mu_guide(batch: Any) -> None:
    pyro.sample("mu", dist.Normal(param("m"), positive("s", 0.2)))


def conjugate(x: Tensor) -> tuple[float, float]:
    precision = 1 / 4 + len(x)
    return x.sum().item() / precision, precision**-0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda scm: AutoNormal,
        lambda scm: partial(AutoNormal, init_scale=0.05),
        lambda scm: AutoNormal(scm),
        lambda scm: AutoNormal(scm.program),
        lambda scm: AutoMultivariateNormal(pyro.poutine.block(scm, hide=["nothing"])),
        lambda scm: mu_guide,
    ],
    ids=["class", "partial", "on-scm", "on-program", "on-handled-scm", "function"],
)
def test_a_shared_sites_posterior_counts_all_units_in_a_minibatch(
    make: Callable[[pc.SCM], Any],
) -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    scm.fit({"x": x}, make(scm), steps=600, lr=0.05, batch_size=20, validation=0, seed=0)
    mu = posterior_draws(scm._core, 0, 400)["mu"]
    mean, sd = conjugate(x)
    # Without scaling by N/B the standard deviation would be 3 times as large.
    assert mu.shape == (400,)
    assert mu.mean().item() == pytest.approx(mean, abs=4 * sd / 20 + 0.02)
    assert mu.std().item() == pytest.approx(sd, rel=0.25)


def test_autodelta_finds_the_posterior_mode() -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    scm.fit({"x": x}, AutoDelta, steps=300, lr=0.05, batch_size=50, validation=0, seed=0)
    mode = posterior_draws(scm._core, 0, 1)["mu"]
    assert mode.item() == pytest.approx(conjugate(x)[0], abs=5e-3)


def test_held_out_units_do_not_sharpen_the_posterior() -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    report = scm.fit({"x": x}, mu_guide, steps=600, lr=0.05, validation=0.75, seed=0, patience=99)
    assert report.units == 50
    assert posterior_draws(scm._core, 0, 400)["mu"].std().item() == pytest.approx(
        (1 / 4 + 50) ** -0.5, rel=0.25
    )


def test_an_amortized_guide_reaches_the_exact_log_likelihood() -> None:
    # z -> x1, x2, x3 with known loadings; the exact posterior of z is linear in x.
    loadings = torch.tensor([1.0, -0.5, 2.0])
    torch.manual_seed(0)
    x = torch.randn(400)[:, None] * loadings + torch.randn(400, 3)

    def program() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        loc = z[:, None] * pyro.param("w", torch.ones(3))
        pyro.sample("x", dist.Normal(loc, 1.0).to_event(1))

    encoder = nn.Linear(3, 1)

    def guide(batch: Any) -> None:
        pyro.module("encoder", encoder)
        loc = encoder(batch["x"])[:, 0]
        pyro.sample("z", dist.Normal(loc, positive("s")))

    scm = pc.SCM(program, latent=["z"])
    report = scm.fit({"x": x}, guide, steps=800, lr=0.03, batch_size=100, validation=0, seed=0)
    w = state(scm)["w"]
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(3), torch.outer(w, w) + torch.eye(3)
    )
    density = exact.log_prob(x)
    bound = -report.losses[-200:]  # two hundred minibatch estimates, one draw each
    assert bound.mean().item() == pytest.approx(
        density.mean().item(), abs=4 * bound.std().item() / math.sqrt(200)
    )


def test_a_discrete_latent_is_fitted_by_the_score_function() -> None:
    torch.manual_seed(0)
    z = torch.bernoulli(torch.full((1000,), 0.3))
    x = 3 * z + torch.randn(1000)

    def program() -> None:
        logit = param("logit")
        z = pyro.sample("z", dist.Bernoulli(logits=logit))
        pyro.sample("x", dist.Normal(3 * z, 1.0))

    def guide(batch: Any) -> None:
        # The exact posterior logit is logit + 3 x - 9 / 2.
        pyro.sample("z", dist.Bernoulli(logits=param("a") + param("b", 1.0) * batch["x"]))

    scm = pc.SCM(program, latent=["z"])
    scm.fit({"x": x}, guide, steps=800, lr=0.03, batch_size=250, validation=0, seed=0)
    log_ratio = (3 * x - 4.5).to(torch.float64)
    grid = torch.linspace(-3, 1, 4001, dtype=torch.float64)[:, None]
    likelihood = torch.log(torch.sigmoid(grid) * log_ratio.exp() + torch.sigmoid(-grid)).sum(1)
    best = grid[likelihood.argmax()].item()
    curvature = likelihood[likelihood.argmax()] - likelihood
    se = (grid[:, 0] - best).abs()[(curvature - 0.5).abs().argmin()].item()
    assert parameters(scm)["logit"] == pytest.approx(best, abs=2 * se)


def test_inner_plates_are_fitted_element_by_element() -> None:
    x = torch.randn(300, 4) + torch.arange(4.0)

    def program() -> None:
        loc = pyro.param("loc", torch.zeros(4, 1))
        with pyro.plate("sensors", 4, dim=-2):
            pyro.sample("x", dist.Normal(loc, 1.0))

    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=300, lr=0.1, batch_size=100, validation=0, seed=0)
    assert torch.allclose(state(scm)["loc"][:, 0], x.mean(0), atol=0.02)


def test_inputs_come_with_their_units() -> None:
    t = torch.linspace(-1, 1, 300)
    y = 3 * t + 0.1 * torch.randn(300)

    def program(t: Tensor) -> None:
        pyro.sample("y", dist.Normal(param("b") * t, 1.0))

    scm = pc.SCM(program)
    scm.fit({"y": y}, inputs={"t": t}, steps=400, lr=0.1, batch_size=100, validation=0, seed=0)
    assert parameters(scm)["b"] == pytest.approx(((t * y).sum() / (t * t).sum()).item(), abs=0.02)


# ---------------------------------------------------------------- what was not observed


def test_missing_values_without_observed_effects_are_left_out() -> None:
    data = line_data()
    there = torch.arange(500) % 3 > 0
    scm = pc.SCM(line)
    report = scm.fit(
        {"x": data["x"], "y": torch.where(there, data["y"], torch.nan)},
        steps=600,
        lr=0.05,
        validation=0,
        seed=0,
    )
    intercept, slope, scale = least_squares(data["x"][there], data["y"][there])
    found = parameters(scm)
    assert (found["intercept"], found["slope"], found["scale"]) == pytest.approx(
        (intercept, slope, scale), abs=1e-3
    )
    assert found["mean"] == pytest.approx(data["x"].mean().item(), abs=1e-3)
    assert report.losses.isfinite().all()


def test_missing_values_outside_the_support_of_zero_give_finite_gradients() -> None:
    x = dist.LogNormal(1.0, 0.5).sample((200,))
    x[::4] = torch.nan

    def program() -> None:
        pyro.sample("x", dist.LogNormal(param("loc"), positive("scale")))

    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=400, lr=0.05, validation=0, seed=0)
    logs = x[~x.isnan()].log()
    assert parameters(scm) == pytest.approx(
        {"loc": logs.mean().item(), "scale": logs.std(correction=0).item()}, abs=2e-3
    )


def test_missing_causes_are_refused_with_their_units_and_what_is_needed() -> None:
    data = line_data(20)
    data["x"][[3, 7]] = torch.nan
    with pytest.raises(pc.IncompleteEvidence, match=r"'x' for units 3, 7, where 'y'.*guide"):
        pc.SCM(line).fit(data, steps=1)
    with pytest.raises(pc.IncompleteEvidence, match="guide with a site 'x'"):
        pc.SCM(line).fit(data, lambda batch: None, steps=1)
    with pytest.raises(ValueError, match="AutoMultivariateNormal"):
        pc.SCM(line).fit(data, AutoMultivariateNormal, steps=1)


def test_causes_and_effects_that_are_missing_together_are_left_out_together() -> None:
    x = torch.randn(60, 3)
    y = 2 * x + torch.randn(60, 3)
    x[::2, 1], y[::2, 1] = torch.nan, torch.nan

    def program() -> None:
        with pyro.plate("visits", 3, dim=-2):
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(param("b") * x, 1.0))

    scm = pc.SCM(program)
    scm.fit({"x": x, "y": y}, steps=300, lr=0.1, validation=0, seed=0)
    there = ~x.isnan()
    slope = (x[there] * y[there]).sum() / (x[there] ** 2).sum()
    assert parameters(scm)["b"] == pytest.approx(slope.item(), abs=1e-3)


@pytest.mark.parametrize("make", [lambda: AutoNormal, lambda: missing_x], ids=["auto", "function"])
def test_a_guide_infers_missing_causes(make: Callable[[], Any]) -> None:
    # With x missing in places the maximum likelihood is known: y from all units, x | y from the
    # complete ones, and the two together give the joint normal distribution.
    data = line_data(400)
    there = torch.arange(400) % 2 == 0
    scm = pc.SCM(line)
    scm.fit(
        {"x": torch.where(there, data["x"], torch.nan), "y": data["y"]},
        make(),
        steps=1500,
        lr=0.03,
        validation=0,
        seed=0,
    )
    y, x = data["y"], data["x"][there]
    a, b, s = least_squares(y[there], x)  # x = a + b y + noise
    mean_y, var_y = y.mean().item(), y.var(correction=0).item()
    slope = b * var_y / (b * b * var_y + s * s)
    found = parameters(scm)
    assert found["mean"] == pytest.approx(a + b * mean_y, abs=0.05)
    assert found["spread"] == pytest.approx(math.sqrt(b * b * var_y + s * s), abs=0.05)
    assert found["slope"] == pytest.approx(slope, abs=0.05)


def missing_x(batch: Any) -> None:
    assert batch["x"].isnan().any()
    pyro.sample("x", dist.Normal(param("g0") + param("g1") * batch["y"], positive("g2")))


def latent_chain() -> None:
    z = pyro.sample("z", dist.Normal(param("loc"), 1.0))
    pyro.sample("x", dist.Normal(z, 1.0))


def test_latents_without_a_guide_are_named() -> None:
    with pytest.raises(pc.IncompleteEvidence, match=r"'z'.*guide"):
        pc.SCM(latent_chain).fit({"x": torch.randn(9)}, steps=1)


def test_a_guide_that_does_not_fit_the_program_is_refused() -> None:
    def both(batch: Any) -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(0.0, 1.0))

    def outside(batch: Any) -> None:
        mu_guide(batch)
        pyro.sample("z", dist.Normal(param("loc"), 1.0))

    def in_units() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pc.units():
            z = pyro.sample("z", dist.Normal(mu, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0))

    x = torch.randn(9)
    with pytest.raises(ValueError, match="draws 'x', which"):
        pc.SCM(latent_chain).fit({"x": x}, both, steps=1)
    with pytest.raises(ValueError, match=r"pc\.units"):
        pc.SCM(in_units).fit({"x": x}, outside, steps=1)
    with pytest.raises(pc.IncompleteEvidence, match="'z'"):
        pc.SCM(in_units).fit({"x": x}, mu_guide, steps=1)
    with pytest.raises(TypeError, match="guide"):
        pc.SCM(latent_chain).fit({"x": x}, 3, steps=1)


def test_a_guide_with_parameters_for_each_unit_leaves_no_units_out() -> None:
    x = torch.randn(300)
    report = pc.SCM(latent_chain).fit({"x": x}, AutoNormal, steps=5, batch_size=10, seed=0)
    assert (report.units, report.held_out) == (300, 0)
    assert "parameters for each unit" in repr(report)
    few = pc.SCM(latent_chain).fit({"x": x[:50]}, AutoNormal, steps=5, seed=0)
    assert "fewer than 20" in repr(few)


def test_a_new_guide_starts_afresh_and_the_same_one_goes_on() -> None:
    data = {"x": 1 + torch.randn(50)}
    scm = pc.SCM(hierarchy)
    guide = AutoNormal(scm)
    scm.fit(data, guide, steps=200, lr=0.1, seed=0)
    reached = posterior_draws(scm._core, 0, 1)["mu"].item()
    scm.fit(data, guide, steps=1, lr=1e-9, seed=0)
    assert posterior_draws(scm._core, 0, 1)["mu"].item() == pytest.approx(reached, abs=1e-4)
    scm.fit(data, AutoNormal(scm), steps=1, lr=1e-9, seed=0)
    assert abs(posterior_draws(scm._core, 0, 1)["mu"].item() - reached) > 0.1


def test_there_are_no_posterior_draws_before_a_fit_with_a_guide() -> None:
    with pytest.raises(pc.IncompleteEvidence, match="no fitted guide"):
        posterior_draws(pc.SCM(hierarchy)._core, 0, 1)


# ---------------------------------------------------------------- modules and parameters


class Net(nn.Module):
    """A network from one number to one number."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the number for each unit."""
        result: Tensor = self.layers(x[:, None])[:, 0]
        return result


def net_program(net: nn.Module, *, register: bool = True) -> Callable[[], None]:
    def program() -> None:
        if register:
            pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x), positive("scale")))

    return program


def test_an_unregistered_module_is_named_with_its_cure() -> None:
    net = Net(nn.Linear(1, 1))
    scm = pc.SCM(net_program(net, register=False))
    with pytest.raises(ValueError, match=r'layers.0.weight.*pyro.module\("net", net\)'):
        scm.fit(line_data(20), steps=1)
    net.requires_grad_(False)
    scm.fit(line_data(20), steps=1)


def test_an_unregistered_tensor_and_a_program_without_parameters_are_refused() -> None:
    weight = torch.zeros((), requires_grad=True)

    def program() -> None:
        pyro.sample("x", dist.Normal(weight, 1.0))

    with pytest.raises(ValueError, match="not registered"):
        pc.SCM(program).fit({"x": torch.randn(9)}, steps=1)
    with pytest.raises(ValueError, match="nothing to fit"):
        pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))).fit({"x": torch.randn(9)}, steps=1)


def test_a_module_that_is_the_program_owns_its_parameters() -> None:
    class Program(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(()))

        def forward(self) -> None:
            pyro.sample("x", dist.Normal(self.loc, 1.0))

    x = 2 + torch.randn(100)
    program, other = Program(), Program()
    pc.SCM(program).fit({"x": x}, steps=200, lr=0.1, validation=0, seed=0)
    pc.SCM(other.forward).fit({"x": x}, steps=200, lr=0.1, validation=0, seed=0)
    assert program.loc.item() == pytest.approx(x.mean().item(), abs=1e-3)
    assert other.loc.item() == pytest.approx(x.mean().item(), abs=1e-3)


def test_two_scms_that_name_their_modules_alike_do_not_touch_each_other() -> None:
    first, second = Net(nn.Linear(1, 1)), Net(nn.Linear(1, 1))
    one, two = pc.SCM(net_program(first)), pc.SCM(net_program(second))
    two.sample(2)
    before = {k: v.clone() for k, v in second.state_dict().items()}
    data = line_data(100)
    one.fit(data, steps=20, seed=0)
    assert all(torch.equal(before[k], v) for k, v in second.state_dict().items())
    kept = {k: v.clone() for k, v in first.state_dict().items()}
    two.fit(data, steps=20, seed=0)
    assert all(torch.equal(kept[k], v) for k, v in first.state_dict().items())
    assert any(not torch.equal(before[k], v) for k, v in second.state_dict().items())
    assert not list(pyro.get_param_store())


def test_a_fit_leaves_alone_the_global_values_it_started_from() -> None:
    def program() -> None:
        pyro.sample("x", dist.Normal(param("loc"), 1.0))

    pyro.param("loc", torch.tensor(7.0))
    one, two = pc.SCM(program), pc.SCM(program)
    assert two.sample(1, seed=0)["x"].item() > 3
    one.fit({"x": torch.zeros(9)}, steps=50, lr=0.5, seed=0)
    assert one.sample(1, seed=0)["x"].item() < 4
    assert pyro.param("loc").item() == 7
    assert two.sample(1, seed=0)["x"].item() > 3


def test_modules_train_in_a_fit_and_keep_the_mode_they_had() -> None:
    modes = []

    class Watch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled(), len(x)))
            return x

    net = Net(nn.Linear(1, 1), nn.BatchNorm1d(1), Watch(), nn.Dropout(0.1))
    net.layers[1].eval()
    data = line_data(200)
    pc.SCM(net_program(net)).fit(data, steps=40, lr=0.05, seed=0)
    assert [m.training for m in net.modules()] == [True, True, True, False, True, True]
    assert {training for training, grad, _ in modes if grad} == {True}
    assert {training for training, _, units in modes if units == 20} == {False}  # held out
    # The linear layer moves, so that the statistics are those of some x -> a + b x.
    norm = net.layers[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked > 0


def test_batch_normalization_learns_the_statistics_of_the_data() -> None:
    x = 5 + 3 * torch.randn(400)
    net = Net(nn.BatchNorm1d(1, affine=False), nn.Linear(1, 1))
    y = 0.4 * x + 0.1 * torch.randn(400)
    scm = pc.SCM(net_program(net))
    scm.fit({"x": x, "y": y}, steps=800, lr=0.1, validation=0, seed=0)
    norm = net.layers[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.item() == pytest.approx(x.mean().item(), rel=1e-3)
    assert norm.running_var.item() == pytest.approx(x.var().item(), rel=1e-3)
    # In evaluation mode the network is the regression line.
    net.eval()
    assert net(torch.tensor([0.0, 1.0])).diff().item() == pytest.approx(0.4, abs=0.01)


# ---------------------------------------------------------------- the loop


def wide_program(seen: list[Tensor]) -> Callable[[], None]:
    """A regression with so many coefficients that it overfits; notes the held-out units."""

    def program() -> None:
        x = pyro.sample("x", dist.Normal(torch.zeros(30), 1.0).to_event(1))
        if not torch.is_grad_enabled():
            seen.append(x.detach())
        w = pyro.param("w", torch.zeros(30))
        pyro.sample("y", dist.Normal(x @ w, 1.0))

    return program


def test_a_fit_stops_when_held_out_units_no_longer_gain_and_keeps_the_best_parameters() -> None:
    torch.manual_seed(0)
    x = torch.randn(80, 30)
    y = x[:, 0] + 2 * torch.randn(80)
    seen: list[Tensor] = []
    path: list[Tensor] = []

    class Recorder(torch.optim.Adam):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            path.append(self.param_groups[0]["params"][0].detach().clone())

    scm = pc.SCM(wide_program(seen))
    scm.graph  # noqa: B018 - learnt before the notes are taken
    seen.clear()
    report = scm.fit(
        {"x": x, "y": y},
        steps=4000,
        patience=4,
        validation=0.4,
        seed=0,
        optimizer=partial(Recorder, lr=0.01),
    )
    assert report.steps == len(path) < 4000
    assert "had not risen for 200 steps; the parameters are those of step" in report.stopped
    held = seen[0]
    assert len(held) == report.held_out == 32
    of_held = y[(x[:, None] == held[None]).all(-1).any(1)]
    looks = torch.stack([path[i - 1] for i in range(50, len(path) + 1, 50)])
    ordered = x[(x[:, None] == held[None]).all(-1).any(1)]
    errors = ((ordered @ looks.T - of_held[:, None]) ** 2).mean(0)
    assert torch.equal(state(scm)["w"], looks[errors.argmin()])
    assert errors.argmin() < len(errors) - 2


def test_the_same_seed_gives_the_same_fit_bit_by_bit() -> None:
    data = line_data(100)

    def fitted(seed: int) -> tuple[FitReport, dict[str, Tensor]]:
        scm = pc.SCM(line)
        torch.randn(3)  # where the global generator stands plays no part
        return scm.fit(data, steps=30, batch_size=10, seed=seed), state(scm)

    (one, first), (two, second), (three, _) = fitted(1), fitted(1), fitted(2)
    assert torch.equal(one.losses, two.losses)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(one.losses, three.losses)


def numpy_state() -> list[int]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global one is meant
    return [*state["state"]["key"].tolist(), state["state"]["pos"]]


def test_no_global_generator_moves() -> None:
    scm = pc.SCM(hierarchy)
    before = torch.get_rng_state(), numpy_state(), random.getstate()
    scm.fit({"x": torch.arange(30.0)}, AutoNormal, steps=5, batch_size=7, seed=0)
    posterior_draws(scm._core, 0, 3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (numpy_state(), random.getstate())


class Failing(torch.optim.SGD):
    """Raises at its sixth step."""

    def __init__(self, params: Any, error: type[BaseException]) -> None:
        super().__init__(params, lr=0.1)
        self.error, self.count = error, 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step, or raise."""
        self.count += 1
        if self.count == 6:
            raise self.error
        super().step(closure)


def test_an_interrupt_returns_what_is_fitted_so_far() -> None:
    scm = pc.SCM(line)
    start = state(scm)
    report = scm.fit(line_data(50), optimizer=partial(Failing, error=KeyboardInterrupt), seed=0)
    assert report.steps == 5
    assert "interrupted from the keyboard after 5 steps" in repr(report)
    assert not torch.equal(state(scm)["slope"], start.get("slope", torch.tensor(0.0)))


def test_an_error_leaves_the_parameters_as_they_were() -> None:
    scm = pc.SCM(line)
    scm.sample(2, seed=0)
    before = state(scm)
    with pytest.raises(ZeroDivisionError):
        scm.fit(line_data(50), optimizer=partial(Failing, error=ZeroDivisionError), seed=0)
    assert all(torch.equal(before[name], value) for name, value in state(scm).items())


def test_a_loss_that_is_not_finite_names_the_site() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.sample("y", dist.Gamma(torch.full_like(x, 0.5), 1.0))  # infinite at zero

    data = {"x": torch.randn(20), "y": torch.ones(20)}
    data["y"][4] = 0.0
    with pytest.raises(ValueError, match=r"at the start.*'y' \(Gamma, 1 of 20.*support"):
        pc.SCM(program).fit(data, steps=1, validation=0)
    data["y"][:] = 1.0
    data["y"][4:] = 0.0
    with pytest.raises(ValueError, match=r"'y' \(Gamma"):
        pc.SCM(program).fit(data, steps=1, validation=0.9)


def test_a_loss_that_diverges_names_step_and_site_and_puts_the_parameters_back() -> None:
    scm = pc.SCM(line)
    scm.sample(2, seed=0)
    before = state(scm)
    sgd = partial(torch.optim.SGD, lr=1e6)
    with pytest.raises(
        ValueError, match=r"not finite at step \d+; sites: .*'y' \(Normal.*lower lr"
    ):
        scm.fit(line_data(100), optimizer=sgd, validation=0, steps=200, seed=0)
    assert all(torch.equal(before[name], value) for name, value in state(scm).items())


def test_the_progress_bar_is_silent_off_a_terminal_unless_forced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scm = pc.SCM(line)
    scm.fit(line_data(20), steps=2)
    scm.fit(line_data(20), steps=2, progress=False)
    assert capsys.readouterr() == ("", "")
    scm.fit(line_data(20), steps=2, progress=True)
    assert "fit: 100%" in capsys.readouterr().err


# ---------------------------------------------------------------- the program as it is


def test_data_win_over_values_fixed_in_the_program() -> None:
    fixed, given = torch.zeros(100), 2 + torch.randn(100)

    def program() -> None:
        pyro.sample("x", dist.Normal(param("loc"), 1.0), obs=fixed)

    other, wins = pc.SCM(program), pc.SCM(program)
    wins.fit({"x": given}, steps=200, lr=0.1, batch_size=50, validation=0, seed=0)
    assert parameters(wins)["loc"] == pytest.approx(given.mean().item(), abs=0.05)
    with pytest.raises(ValueError, match=r"no units|data is empty"):
        other.fit({}, steps=1)


def test_values_fixed_in_the_program_have_to_be_of_the_units_at_hand() -> None:
    fixed = torch.ones(100)

    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.sample("y", dist.Normal(x, positive("s")), obs=fixed[: len(x)] if cut else fixed)

    data = {"x": torch.zeros(100)}
    cut = False
    pc.SCM(program).fit(data, steps=1, validation=0)
    with pytest.raises(ValueError, match="'y' to 100 values with obs="):
        pc.SCM(program).fit(data, steps=1, batch_size=10)
    cut = True
    pc.SCM(program).fit(data, steps=1, batch_size=10)


def test_a_factor_counts() -> None:
    def program() -> None:
        loc = param("loc")
        x = pyro.sample("x", dist.Normal(loc, 1.0))
        pyro.factor("pull", -0.5 * (loc - 1.0) ** 2 + 0.0 * x)

    x = 3 + torch.randn(200)
    scm = pc.SCM(program)
    scm.fit({"x": x}, steps=300, lr=0.1, batch_size=50, validation=0, seed=0)
    assert parameters(scm)["loc"] == pytest.approx((x.mean().item() + 1) / 2, abs=0.05)


def test_deterministic_columns_have_no_say() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        pyro.deterministic("double", 2 * x)

    scm = pc.SCM(program)
    scm.fit(scm.sample(200, seed=0), steps=50, seed=0)


def test_interventions_are_refused_and_evidence_is_fitted() -> None:
    data, scm = line_data(300), pc.SCM(line)
    for intervened in (scm.do(x=1.0), scm.do([{"x": 1.0}, {"x": 2.0}])):
        with pytest.raises(ValueError, match="fit the SCM itself"):
            intervened.fit(data, steps=1)
    known = scm.condition(x=data["x"])
    with pytest.raises(ValueError, match="'x' is in the data and in condition"):
        known.fit(data, steps=1)
    known.fit({"y": data["y"]}, steps=600, lr=0.05, validation=0, seed=0)
    assert parameters(scm)["slope"] == pytest.approx(
        least_squares(data["x"], data["y"])[1], abs=1e-3
    )


def test_handlers_that_are_open_around_a_fit_have_no_say() -> None:
    data, scm = line_data(100), pc.SCM(line)
    with pyro.plate("outer", 3, dim=-2), pyro.poutine.trace() as trace, torch.no_grad():
        report = scm.fit(data, steps=5, seed=0)
    assert set(trace.trace.nodes) <= {"outer"}
    assert torch.equal(report.losses, pc.SCM(line).fit(data, steps=5, seed=0).losses)


def test_what_was_learnt_about_the_program_is_learnt_again() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(param("b") * x, 1.0))

    scm = pc.SCM(program)
    assert not scm.graph.has_edge("x", "y")
    scm.fit(line_data(100), steps=20, seed=0)
    assert scm.graph.has_edge("x", "y")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"patience": 0}, "patience=0"),
        ({"validation": 1.0}, "validation=1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pc.SCM(line).fit(line_data(20), **settings)


def test_an_optimizer_of_pyro_is_refused_with_what_to_pass() -> None:
    with pytest.raises(TypeError, match=r"partial\(torch.optim.SGD"):
        pc.SCM(line).fit(line_data(20), optimizer=pyro.optim.Adam({"lr": 0.1}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no CUDA device"):
        pc.SCM(line).fit(line_data(20), device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_fit_on_a_gpu_finds_the_same_line() -> None:
    data, scm = line_data(), pc.SCM(line)
    scm.fit(data, steps=600, lr=0.05, validation=0, device="cuda", seed=0)
    assert {t.device.type for t in scm._core.scope.named().values()} == {"cuda"}
    slope = least_squares(data["x"], data["y"])[1]
    assert parameters(scm)["slope"] == pytest.approx(slope, abs=1e-3)


# ---------------------------------------------------------------- the report


def scores(report: FitReport) -> dict[str, Score]:
    return {score.variable: score for score in report.scores}


def test_scores_are_those_of_held_out_units_beside_the_best_fit_without_parents() -> None:
    torch.manual_seed(0)
    held: list[Tensor] = []

    def program() -> None:
        a = pyro.sample("a", dist.Bernoulli(logits=param("logit")))
        if not torch.is_grad_enabled():
            held.append(a)
        pyro.sample("y", dist.Normal(2 * a + param("b"), positive("scale")))

    # Every unit has its own y, so that the units held out can be told.
    a = torch.bernoulli(torch.full((500,), 0.3))
    y = 2 * a + torch.randn(500)
    scm = pc.SCM(program)
    report = scm.fit({"a": a, "y": y}, steps=300, lr=0.05, validation=0.2, seed=0)
    assert report.total is not None
    table = scores(report)
    assert list(table) == ["a", "y"]
    assert (report.units, report.held_out, report.parameters) == (400, 100, 3)
    # The baselines depend on the split only through sums that the held-out a gives.
    ones = held[-1].sum().item()
    share = (a.sum().item() - ones + 1) / 402
    bernoulli = (ones * math.log(share) + (100 - ones) * math.log(1 - share)) / 100
    assert table["a"].baseline == pytest.approx(bernoulli, abs=1e-5)
    # y is a mixture of two normals two standard deviations apart: what a tells is its variance.
    gain = 0.5 * math.log(1 + 4 * 0.3 * 0.7)
    assert abs(table["y"].gain - gain) < 4 * table["y"].se
    assert abs(table["a"].gain) < 0.02
    assert report.total.log_prob == pytest.approx(report.to_frame()["log_prob"].sum(), abs=1e-4)
    assert "stopped:" in repr(report)
    assert "gain" in repr(report)


def test_scores_agree_with_log_prob_and_skip_what_is_missing() -> None:
    seen: list[Tensor] = []

    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        if not torch.is_grad_enabled():
            seen.append(x)
        pyro.sample("y", dist.Normal(2 * x, 1.0))

    data = line_data(200)
    data["y"][::2] = torch.nan
    scm = pc.SCM(program)
    report = scm.fit(data, steps=20, validation=0.25, seed=0)
    table = scores(report)
    where = (data["x"][None] == seen[-1][:, None]).nonzero()[:, 1]
    x, y = data["x"][where], data["y"][where]
    there = ~y.isnan()
    density = dist.Normal(2 * x, 1.0).log_prob(torch.nan_to_num(y)) * there
    assert table["y"].log_prob == pytest.approx(density.mean().item(), abs=1e-5)
    train = data["y"][[i for i in range(200) if i not in set(where.tolist())]]
    train = train[~train.isnan()]
    dull = dist.Normal(train.mean(), train.std(correction=0)).log_prob(torch.nan_to_num(y)) * there
    assert table["y"].baseline == pytest.approx(dull.mean().item(), abs=1e-4)


def test_the_cost_of_latents_is_scored_too() -> None:
    def guide(batch: Any) -> None:
        pyro.sample("z", dist.Normal(param("g") * batch["x"], positive("s")))

    report = pc.SCM(latent_chain).fit({"x": torch.randn(200)}, guide, steps=100, seed=0)
    table = scores(report)
    assert list(table) == ["(latents)", "x"]
    assert table["(latents)"].baseline == 0
