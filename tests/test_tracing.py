"""The graph and the anatomy, read off programs by running them."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrocausal as pc


def edges_of(program: Any, **kwargs: Any) -> set[tuple[str, str]]:
    return set(pc.SCM(program, **kwargs).graph.edges)


def test_edges_through_copies_and_in_place_writes_are_seen() -> None:
    def program() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(0.0, 1.0))
        h = torch.zeros(len(a), 2)
        h[..., 0] = a
        h[..., 1].copy_(b)
        pyro.sample("y", dist.Normal(h.sum(-1), 1.0))

    assert edges_of(program) == {("a", "y"), ("b", "y")}


def test_masked_weights_make_no_edge() -> None:
    torch.manual_seed(0)
    weight, mask = torch.randn(2, 1), torch.tensor([[1.0], [0.0]])

    def program() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal((torch.stack([a, b], -1) @ (weight * mask))[..., 0], 1.0))

    assert edges_of(program) == {("a", "y")}


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: torch.where(x > 50.0, 1.0, 0.0),
        lambda x: 1e-7 * x,
        lambda x: torch.relu(-x - 30.0),
        lambda x: x.sign() * 0.01,
    ],
)
def test_weak_and_remote_effects_are_edges(effect: Any) -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(effect(x), 1.0))

    assert edges_of(program) == {("x", "y")}


def test_rare_categories_are_tried() -> None:
    def program() -> None:
        k = pyro.sample("k", dist.Categorical(torch.tensor([1.0 - 2e-6, 1e-6, 1e-6])))
        b = pyro.sample("b", dist.Bernoulli(1e-6))
        pyro.sample("y", dist.Normal((k == 2) * 1.0, 1.0))
        pyro.sample("z", dist.Normal(b, 1.0))

    assert edges_of(program) == {("k", "y"), ("b", "z")}


def test_an_effect_on_any_parameter_of_the_distribution_is_an_edge() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("scale", dist.Normal(0.0, x.exp()))
        pyro.sample(
            "mixed",
            dist.MixtureSameFamily(
                dist.Categorical(logits=torch.stack([x, -x], -1)),
                dist.Normal(torch.tensor([-1.0, 1.0]), 1.0),
            ),
        )
        affine = dist.transforms.AffineTransform(x, 1.0)
        pyro.sample("flow", dist.TransformedDistribution(dist.Normal(0.0, 1.0), [affine]))
        pyro.sample(
            "vector",
            dist.MultivariateNormal(
                torch.zeros(2),
                scale_tril=torch.diag_embed(torch.stack([x.exp(), torch.ones_like(x)], -1)),
            ),
        )

    assert edges_of(program) == {("x", name) for name in ("scale", "mixed", "flow", "vector")}


def test_deterministic_sites_stand_between_their_causes_and_effects() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        m = pyro.deterministic("m", x**2)
        pyro.sample("y", dist.Normal(m, 1.0))

    scm = pc.SCM(program)
    assert set(scm.graph.edges) == {("x", "m"), ("m", "y")}
    assert scm.variables["m"].deterministic


def test_latent_variables_are_marked() -> None:
    def program() -> None:
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(u, 1.0))

    assert pc.SCM(program, latent=["u"]).graph.latent == {"u"}
    with pytest.raises(pc.UnknownVariable, match="latent"):
        pc.SCM(program, latent=["v"]).graph  # noqa: B018


def test_a_program_that_breaks_down_far_from_the_prior_still_has_a_graph() -> None:
    def program() -> None:
        r = pyro.sample("r", dist.Uniform(-0.9, 0.9))
        one = torch.ones_like(r)
        covariance = torch.stack([torch.stack([one, r], -1), torch.stack([r, one], -1)], -2)
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), covariance))

    assert edges_of(program) == {("r", "y")}


def test_tracing_moves_no_generator_and_trains_no_module() -> None:
    net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    before = torch.get_rng_state()
    assert edges_of(program) == {("x", "y")}
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training
    assert net[1].num_batches_tracked == 0


def test_other_sites_on_other_runs_are_an_error() -> None:
    runs: list[int] = []

    def program() -> None:
        runs.append(1)
        pyro.sample("x" if len(runs) % 2 else "z", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="other sites on other runs"):
        pc.SCM(program).sample(3)


def test_the_graph_is_found_again_when_the_sites_change() -> None:
    class Growing:
        names: tuple[str, ...] = ("x",)

        def __call__(self) -> None:
            value: Tensor | float = 0.0
            for name in self.names:
                value = pyro.sample(name, dist.Normal(value, 1.0))

    program = Growing()
    scm = pc.SCM(program)
    assert set(scm.sample(3)) == {"x"}
    program.names = ("x", "y")
    assert set(scm.sample(3)) == {"x", "y"}
    assert set(scm.graph.edges) == {("x", "y")}


def test_an_edge_that_appears_later_is_noticed_by_the_first_counterfactual() -> None:
    weight = torch.zeros(1)

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(weight * x, 1.0))

    scm = pc.SCM(program)
    assert not scm.graph.edges
    weight.fill_(2.0)
    imagined = scm.counterfactual({"x": 1.0, "y": 2.0}, {"x": 3.0})
    assert torch.allclose(imagined["y"], torch.tensor(6.0))


def test_the_anatomy_tells_shapes_and_kinds() -> None:
    def program() -> None:
        k = pyro.sample("k", dist.Poisson(3.0))
        with pyro.plate("items", 4):
            pyro.sample("v", dist.Normal(k[..., None], torch.ones(2)).to_event(1))

    variables = pc.SCM(program).variables
    assert variables["k"].discrete
    assert variables["v"].inner == (4,)
    assert variables["v"].event_shape == (2,)
    assert variables["v"].unit_shape == (4, 2)
