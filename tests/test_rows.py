"""Rows: what works on a batch works in a query, and what mixes units is found out."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn

import pyrocausal as pc

ALPHA = torch.linspace(-1.0, 1.0, 8)


# a -> w[i] -> m -> b; v -> b -> img -> y; w[i] -> q[j, i]
class Wide(PyroModule):
    """Inner plates, vectors, images, networks, a deterministic site."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self) -> None:
        """Describe one unit."""
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        v = pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        with pyro.plate("items", 4):
            w = pyro.sample("w", dist.Normal(a, 1.0))
            with pyro.plate("parts", 5):
                pyro.sample("q", dist.Normal(w, 1.0))
        m = pyro.deterministic("m", w.mean(-2))
        h = self.net(torch.stack([a, m], -1))[..., 0]
        b = pyro.sample("b", dist.Normal(h + v[:, 0], 1.0))
        picture = b[:, None, None].expand(-1, 8, 8)
        picture = self.conv(picture[:, None])[:, 0]
        img = pyro.sample("img", dist.Normal(picture, 1.0).to_event(2))
        pyro.sample("y", dist.Bernoulli(logits=img.mean((-1, -2)) + v[:, 1]))


@pytest.fixture
def wide() -> Any:
    return pc.SCM(Wide())


WORLDS = [
    {"a": 0.0},
    {"v": [1.0, 0.0, 0.0]},
    {},
    {"m": pc.shift(1.0)},
    {"y": 1},
    pc.edge("a", "b", 2.0),
    {"b": pc.policy(lambda values: values["a"] * 2)},
    {"b": pc.mechanism(lambda values: dist.Normal(values["a"], 2.0))},
]


def test_the_dimensions_are_draw_world_unit_inner_event(wide: Any) -> None:
    units = wide.sample(6, seed=1)
    assert units["q"].shape == (6, 5, 4)
    assert units["img"].shape == (6, 8, 8)
    evidence = {name: units[name] for name in ("a", "v", "w", "m")}
    answer = wide.counterfactual(evidence, WORLDS, num_draws=3)
    assert answer.dims == ("draw", "world", "unit")
    assert answer["q"].shape == (3, 8, 6, 5, 4)
    assert answer["img"].shape == (3, 8, 6, 8, 8)
    one = wide.counterfactual({"a": 0.5}, {"a": 1.0})
    assert one["img"].shape == (8, 8)
    assert one["a"].shape == ()


def test_the_modules_keep_their_mode_and_dropout_is_off(wide: Any) -> None:
    wide.program.net.eval()
    wide.program.conv.train()
    assert torch.equal(wide.sample(6, seed=1)["b"], wide.sample(6, seed=1)["b"])
    assert not wide.program.net.training
    assert wide.program.conv.training


def test_rungs_two_and_three_agree_on_exact_sites(wide: Any) -> None:
    units = wide.sample(6, seed=1)
    imagined = wide.counterfactual(units, WORLDS)
    done = wide.do(WORLDS).sample(6, seed=1)
    for name in ("a", "v", "w", "q", "m", "b", "img"):
        assert torch.allclose(imagined[name], done[name], atol=1e-5), name


def test_non_descendants_are_bitwise_the_factual(wide: Any) -> None:
    units = wide.sample(6, seed=1)
    imagined = wide.counterfactual(units, WORLDS)
    for name, value in units.items():
        assert torch.equal(imagined[name][2], value)
    for name in ("a", "v", "w", "q", "m", "b", "img"):
        assert torch.equal(imagined[name][4], units[name])
    for name in ("a", "v", "w", "q"):
        assert torch.equal(imagined[name][3], units[name])


def test_an_edge_moves_its_target_alone_and_what_follows(wide: Any) -> None:
    units = wide.sample(6, seed=1)
    imagined = wide.counterfactual(units, pc.edge("a", "b", 2.0))
    net = wide.program.net.eval()
    two = torch.full((6,), 2.0)

    def effect(a: Tensor) -> Any:
        return net(torch.stack([a, units["m"]], -1))[..., 0]

    expected = units["b"] + effect(two) - effect(units["a"])
    assert torch.allclose(imagined["b"], expected, atol=1e-5)
    assert torch.equal(imagined["m"], units["m"])


def test_recurrent_cells_work_when_only_some_parents_change() -> None:
    torch.manual_seed(0)
    cell = nn.GRUCell(1, 4)

    def program() -> None:
        pyro.module("cell", cell)
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        h = torch.zeros(len(a), 4)
        for step in range(3):
            b = pyro.sample(f"b{step}", dist.Normal(h[:, 0], 1.0))
            h = cell(torch.cat([(a + b)[:, None]], -1), h)
        pyro.sample("y", dist.Normal(h.sum(-1), 1.0))

    scm = pc.SCM(program)
    units = scm.sample(5, seed=0)
    imagined = scm.counterfactual(units, [{"b1": 0.0}, {"a": 1.0}])
    assert torch.equal(imagined["b0"][0], units["b0"])
    assert not torch.allclose(imagined["y"][0], units["y"])


def test_subsampling_plates_run_at_full_size() -> None:
    def program() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("items", 10, subsample_size=3) as index:
            pyro.sample("x", dist.Normal(a + torch.as_tensor(index)[:, None], 0.1))

    units = pc.SCM(program).sample(6, seed=0)
    assert units["x"].shape == (6, 10)
    assert (units["x"].diff(dim=1) > 0).all()


def test_observed_values_in_the_program_are_ignored_by_queries() -> None:
    def program() -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0), obs=torch.tensor(5.0))

    assert pc.SCM(program).sample(100, seed=0)["x"].abs().mean() < 2


def test_inputs_are_roots_of_the_graph() -> None:
    def program(dose: Tensor, scale: float = 1.0) -> None:
        x = pyro.sample("x", dist.Normal(dose, scale))
        pyro.sample("y", dist.Normal(x + dose, 1.0))

    scm = pc.SCM(program)
    with pytest.raises(ValueError, match="takes dose"):
        scm.graph  # noqa: B018
    dose = torch.arange(5.0)
    units = scm.sample(5, inputs={"dose": dose, "scale": 2.0}, seed=0)
    assert set(scm.graph.edges) == {("dose", "x"), ("dose", "y"), ("x", "y")}
    imagined = scm.counterfactual(
        units, [{"x": 0.0}, pc.edge("dose", "y", 0.0)], inputs={"dose": dose}
    )
    noise = units["y"] - units["x"] - dose
    assert torch.allclose(imagined["y"][0], dose + noise, atol=1e-5)
    assert torch.allclose(imagined["y"][1], units["x"] + noise, atol=1e-5)


# loc is shared by all units
def with_shared_site() -> None:
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pc.units():
        x = pyro.sample("x", dist.Normal(loc, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))


def test_a_program_may_open_the_units_itself() -> None:
    scm = pc.SCM(with_shared_site)
    assert scm.variables["loc"].shared
    assert not scm.variables["x"].shared
    units = scm.sample(2000, seed=0)
    assert units["loc"].shape == ()
    assert abs(units["x"].mean() - units["loc"]) < 4 / 2000**0.5
    assert set(scm.graph.edges) == {("loc", "x"), ("x", "y")}
    moved = scm.do(loc=3.0).sample(2000, seed=0)
    assert abs(moved["x"].mean() - 3.0) < 4 / 2000**0.5


def test_shared_sites_without_a_posterior_are_incomplete_evidence() -> None:
    scm = pc.SCM(with_shared_site)
    with pytest.raises(pc.IncompleteEvidence, match="'loc' is shared"):
        scm.counterfactual({"x": [1.0], "y": [1.0]}, {"x": 0.0})


def test_masked_statements_ignore_evidence() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        counted: Any = x > 0
        with pyro.poutine.mask(mask=counted):
            pyro.sample("y", dist.Normal(x, 1.0))

    imagined = pc.SCM(program).counterfactual(
        {"x": [1.0, -1.0], "y": [2.0, 50.0]}, {"x": 0.0}, seed=0
    )
    assert imagined["y"][0] == 1.0
    assert abs(imagined["y"][1]) < 10


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        (lambda x: x - x.mean(), "mixes units"),
        (lambda x: x.softmax(-1), "mixes units"),
        (lambda x: x + torch.randn(()), "pyro.sample"),
        (lambda x: x if x > 0 else -x, "torch.where"),
        (lambda x: x.item(), "torch.where"),
    ],
)
def test_programs_that_mix_rows_are_refused(statement: Any, hint: str) -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(statement(x), 1.0))

    with pytest.raises(pc.NotVectorized, match=hint):
        pc.SCM(program).sample(3)


def test_a_sum_over_the_wrong_dimension_beside_an_inner_plate_is_refused() -> None:
    def program() -> None:
        with pyro.plate("items", 4):
            w = pyro.sample("w", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(w.sum(-1, keepdim=True)[0], 1.0))

    with pytest.raises(pc.NotVectorized, match="'y'"):
        pc.SCM(program).sample(3)


def test_wide_networks_are_not_refused_for_their_last_bits() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(1, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1)
    )

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(net(x[:, None])[:, 0], 1.0))

    assert pc.SCM(program).sample(100)["y"].shape == (100,)


@pytest.mark.parametrize("plate", [("data", -1), ("units", None)])
def test_a_plate_over_the_data_points_to_units(plate: tuple[str, int | None]) -> None:
    def program() -> None:
        with pyro.plate(plate[0], 10, dim=plate[1]):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"pc\.units\(\)"):
        pc.SCM(program).sample(10)


def test_pyrosample_weights_read_inside_the_units_plate_raise_the_cure() -> None:
    class Bayesian(PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.slope: Any = PyroSample(dist.Normal(0.0, 1.0))

        def forward(self) -> None:
            with pc.units():
                x = pyro.sample("x", dist.Normal(0.0, 1.0))
                pyro.sample("y", dist.Normal(self.slope * x, 1.0))

    with pytest.raises(ValueError, match=r"slope.*before.*pc\.units"):
        pc.SCM(Bayesian()).sample(3)


def test_factors_are_refused_by_queries() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("penalty", -x.abs())

    with pytest.raises(ValueError, match="'penalty'"):
        pc.SCM(program).sample(3)


def test_queries_run_apart_from_handlers_and_plates_around_them() -> None:
    scm = pc.SCM(with_shared_site)
    trace = pyro.poutine.trace(lambda: scm.sample(3, seed=0)).get_trace()
    assert "x" not in trace.nodes
    with pyro.plate("units", 17):
        assert scm.sample(3, seed=0)["x"].shape == (3,)


def test_plain_sampling_of_a_site_without_equation_works_and_abduction_says_why() -> None:
    class Odd(dist.Normal):
        def sample(self, sample_shape: Any = ()) -> Any:
            return super().sample(torch.Size(sample_shape)).round()  # type: ignore[no-untyped-call]

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        y = pyro.sample("y", Odd(x, 1.0))
        pyro.sample("z", dist.Normal(y, 1.0))

    scm = pc.SCM(program)
    units = scm.sample(4, seed=0)
    assert torch.equal(units["y"], units["y"].round())
    assert torch.equal(units["y"], scm.sample(4, seed=0)["y"])
    imagined = scm.counterfactual(units, {"y": 0.0})
    assert torch.allclose(imagined["z"], units["z"] - units["y"], atol=1e-6)
    with pytest.raises(pc.NotAbducible, match="'y'"):
        scm.counterfactual(units, {"x": 0.0})


def test_shared_sites_take_the_posterior_of_a_fitted_guide() -> None:
    # loc ~ N(0, 10), x ~ N(loc, 1): the posterior of loc is normal, around the mean of x
    scm = pc.SCM(with_shared_site)
    torch.manual_seed(0)
    x = 3.0 + torch.randn(200)
    data = {"x": x, "y": x + torch.randn(200)}
    scm.fit(data, AutoNormal, steps=600, lr=0.05, validation=0.0, seed=0)
    draws = scm.counterfactual(data, {"x": pc.shift(1.0)}, num_draws=60, seed=0)
    assert draws["y"].shape == (60, 200)
    assert torch.allclose(draws["y"], (data["y"] + 1.0).expand(60, 200), atol=1e-4)
    units = [scm.sample(1, seed=seed)["loc"] for seed in range(60)]
    precision = 200 + 1 / 100
    mean, sd = 200 * x.mean() / precision, precision**-0.5
    loc = torch.stack(units)
    assert abs(loc.mean() - mean) < 4 * sd / 60**0.5 + 0.03
    assert 0.5 * sd < loc.std() < 2 * sd
