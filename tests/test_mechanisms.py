"""Mechanisms: shapes, densities, standardization, tables, flows, learning."""

import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from pyrocausal.mechanisms import MLP, Flow, Linear, Mechanism, Parent, ParentEncoder, Table, heads
from pyrocausal.noise import structural_equation

HEADS: dict[str, Callable[[], Any]] = {
    "normal": lambda: "normal",
    "heteroscedastic": lambda: "heteroscedastic",
    "bernoulli": lambda: "bernoulli",
    "poisson": lambda: "poisson",
    "negative_binomial": lambda: "negative_binomial",
    "categorical": lambda: heads.Categorical(3),
    "ordinal": lambda: heads.Ordinal(4),
    "ordinal of two": lambda: heads.Ordinal(2),
    "mixture": lambda: heads.Mixture(2),
}
NETWORKS: dict[str, Callable[..., Mechanism]] = {
    "linear": Linear,
    "mlp": partial(MLP, hidden=(8,)),
}


def build(mechanism: str, parents: Any) -> Mechanism:
    """Make a small mechanism by its name."""
    if mechanism in FLOWS:
        return FLOWS[mechanism](parents)
    network, head = mechanism.split(" ", 1)
    return NETWORKS[network](parents, head=HEADS[head]())


FLOWS: dict[str, Callable[..., Mechanism]] = {
    "flow": partial(Flow, hidden=(8,)),
    "flow of a vector of one": partial(Flow, size=1, hidden=(8,)),
    "flow of a vector": partial(Flow, size=3, hidden=(8,)),
}
MECHANISMS = [*FLOWS, *(f"{network} {head}" for network, head in product(NETWORKS, HEADS))]
# What is declared, and how values are drawn for a batch.
PARENTS: dict[str, tuple[Any, Callable[[tuple[int, ...]], list[Tensor]]]] = {
    "none": (0, lambda batch: []),
    "numbers": (2, lambda batch: [torch.randn(batch), torch.randn(batch)]),
    "vector": ([Parent.continuous(shape=3)], lambda batch: [torch.randn(*batch, 3)]),
    "image": ([Parent.continuous(shape=(2, 3))], lambda batch: [torch.randn(*batch, 2, 3)]),
    "binary": ([Parent.binary()], lambda batch: [torch.rand(batch).round()]),
    "categorical": ([Parent.categorical(3)], lambda batch: [torch.randint(3, batch)]),
    "count": ([Parent.count()], lambda batch: [torch.rand(batch).mul(9).floor()]),
    "mixed": (
        [Parent.binary(), 1, Parent.categorical(2), Parent.continuous(shape=2)],
        lambda batch: [
            torch.rand(batch) > 0.5,
            torch.randn(batch, dtype=torch.float64),
            torch.randint(2, batch),
            torch.randn(*batch, 2),
        ],
    ),
}
BATCHES: list[tuple[int, ...]] = [(), (7,), (3, 7), (2, 3, 7)]

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)


def maximize_likelihood(mechanism: Mechanism, x: Tensor, *parents: Tensor) -> None:
    optimizer = torch.optim.LBFGS(
        mechanism.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = -mechanism(*parents).log_prob(x).mean()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)


def share_parameters(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(dict(source.named_parameters()), strict=False)


# Shapes, dtypes, rows


@pytest.mark.parametrize("parents", PARENTS)
@each_mechanism
def test_batch_shape_is_that_of_the_parents(mechanism: str, parents: str) -> None:
    declared, draw = PARENTS[parents]
    module = build(mechanism, declared)
    for batch in BATCHES if declared else [()]:
        d = module(*draw(batch))
        x = d.sample()
        assert d.batch_shape == batch
        assert x.shape == batch + d.event_shape
        assert d.log_prob(x).shape == batch
        assert d.log_prob(x).dtype == torch.float32
        assert bool(d.log_prob(x).isfinite().all())


@each_mechanism
def test_batches_of_the_parents_broadcast(mechanism: str) -> None:
    module = build(mechanism, [2, Parent.continuous(shape=2)])
    inner, unit, shared, vector = (torch.randn(s) for s in ((3, 7), (7,), (), (7, 2)))
    d = module(inner, unit, vector)
    x = d.sample()
    torch.testing.assert_close(
        d.log_prob(x),
        module(inner, unit.expand(3, 7), vector.expand(3, 7, 2)).log_prob(x),
    )
    assert module(shared, shared, vector).batch_shape == (7,)


@each_mechanism
def test_a_row_run_alone_is_the_row_of_the_batch(mechanism: str) -> None:
    module = build(mechanism, 2)
    a, b = torch.randn(2, 5)
    x = module(a, b).sample()
    alone = torch.stack([module(a[i], b[i]).log_prob(x[i]) for i in range(5)])
    torch.testing.assert_close(module(a, b).log_prob(x), alone)


@each_mechanism
def test_a_root_expands_in_a_plate(mechanism: str) -> None:
    module = build(mechanism, 0)

    def program() -> None:
        with pyro.plate("units", 7):
            pyro.sample("x", module())

    trace: Any = poutine.trace(program).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["x"]["log_prob"].shape == (7,)


def test_a_program_nests_an_inner_plate_left_of_its_units() -> None:
    severity = Linear(0)
    visits = MLP([Parent.continuous()], (4,), head="poisson")
    cost = Flow([Parent.continuous(), Parent.count()], hidden=(4,))

    def program() -> None:
        with pyro.plate("units", 7, dim=-1):
            s = pyro.sample("severity", severity())
            with pyro.plate("clinics", 3, dim=-2):
                v = pyro.sample("visits", visits(s))
                pyro.sample("cost", cost(s, v))

    trace: Any = poutine.trace(program).get_trace()
    trace.compute_log_prob()
    assert trace.nodes["cost"]["log_prob"].shape == (3, 7)


@each_mechanism
def test_double_gives_the_same_density_in_float64(mechanism: str) -> None:
    module = build(mechanism, 2)
    a, b = torch.randn(2, 50)
    x = module(a, b).sample()
    single = module(a, b).log_prob(x)
    double = module.double()(a, b).log_prob(x if not x.is_floating_point() else x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@each_mechanism
def test_state_dict_carries_parameters_and_constants(mechanism: str) -> None:
    old, new = (
        build(mechanism, [Parent.continuous(loc=loc, scale=scale)])
        for loc, scale in ((3.0, 2.0), (0.0, 1.0))
    )
    pa = torch.randn(20)
    new.load_state_dict(old.state_dict())
    x = old(pa).sample()
    assert torch.equal(old(pa).log_prob(x), new(pa).log_prob(x))
    assert torch.equal(new.state_dict()["encoder.loc"], torch.tensor([3.0]))


@each_mechanism
def test_the_structural_equation_reproduces_what_was_drawn(mechanism: str) -> None:
    d = build(mechanism, 2)(torch.randn(3, 50), torch.randn(50))
    equation, x = structural_equation(d), d.sample()
    v = torch.rand(3, 50, *(equation.posterior_shape or ()), dtype=torch.float64)
    torch.testing.assert_close(equation.forward(equation.posterior(x, v)), x, rtol=1e-4, atol=1e-5)


# Gradients, function transforms, capture


@pytest.mark.parametrize("parents", ["none", "mixed"])
@each_mechanism
def test_every_parameter_gets_a_gradient(mechanism: str, parents: str) -> None:
    declared, draw = PARENTS[parents]
    module = build(mechanism, declared)
    d = module(*draw((200,)))
    d.log_prob(d.sample((200,) if not declared else ())).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("mechanism", ["linear normal", "mlp heteroscedastic", "flow"])
def test_draws_are_differentiable_in_the_parents(mechanism: str) -> None:
    module, pa = build(mechanism, 1), torch.randn(20, requires_grad=True)
    module(pa).rsample().sum().backward()
    assert pa.grad is not None
    assert bool((pa.grad != 0).all())


@each_mechanism
def test_a_capture_on_fake_tensors_reproduces_density_and_gradient(mechanism: str) -> None:
    module, pa = build(mechanism, 2), torch.randn(2, 20)
    x = module(*pa).sample()
    state = {k: v.detach() for k, v in module.state_dict().items()}
    learned = [k for k, _ in module.named_parameters()]

    def step(state: dict[str, Tensor], pa: Tensor, x: Tensor) -> list[Tensor]:
        state = {k: v.clone().requires_grad_(k in learned) for k, v in state.items()}
        loss = functional_call(module, state, tuple(pa)).log_prob(x).sum()
        return [loss, *torch.autograd.grad(loss, [state[k] for k in learned])]

    with pyro.validation_enabled(False):
        captured = make_fx(step, tracing_mode="fake")(state, pa, x)
        eager = step(state, pa, x)
    torch.testing.assert_close(captured(state, pa, x), eager)


# Pyro's OrderedLogistic writes in place, which vmap refuses.
@pytest.mark.parametrize("mechanism", [m for m in MECHANISMS if "ordinal" not in m])
def test_vmap_over_parameters_is_a_loop_over_modules(mechanism: str) -> None:
    modules = [build(mechanism, 1) for _ in range(3)]
    pa = torch.randn(6)
    x = modules[0](pa).sample()
    stacked = {
        name: torch.stack([dict(m.named_parameters())[name] for m in modules])
        for name, _ in modules[0].named_parameters()
    }

    def log_prob(parameters: dict[str, Tensor]) -> Tensor:
        value: Tensor = functional_call(modules[0], parameters, (pa,)).log_prob(x)
        return value

    with pyro.validation_enabled(False):
        together = vmap(log_prob)(stacked)
    torch.testing.assert_close(together, torch.stack([m(pa).log_prob(x) for m in modules]))


# The encoder


def test_the_encoder_standardizes_flattens_and_codes() -> None:
    encoder = ParentEncoder(
        [
            Parent.continuous(loc=1.0, scale=2.0),
            Parent.continuous(shape=(2, 2), loc=torch.arange(4.0).reshape(2, 2), scale=10.0),
            Parent.binary(),
            Parent.categorical(3),
            Parent.count(loc=1.0, scale=0.5),
        ]
    )
    image = torch.tensor([[[10.0, 21.0], [32.0, 43.0]]])
    features = encoder(
        torch.tensor([5.0]), image, torch.tensor([True]), torch.tensor([1]), torch.tensor([7])
    )
    expected = [2.0, 1.0, 2.0, 3.0, 4.0, 1.0, 0.0, 1.0, 0.0, (torch.tensor(8.0).log() - 1) / 0.5]
    torch.testing.assert_close(features, torch.tensor([expected]))


@pytest.mark.parametrize("mechanism", ["linear normal", "mlp mixture", "flow", "flow of a vector"])
def test_declared_units_of_parents_equal_standardizing_them_by_hand(mechanism: str) -> None:
    ours = build(mechanism, [Parent.continuous(loc=5.0, scale=3.0), Parent.count(0.5, 2.0)])
    plain = build(mechanism, 2)
    share_parameters(ours, plain)
    a, b = torch.randn(30), torch.arange(30.0)
    x = ours(a, b).sample()
    by_hand = plain((a - 5) / 3, ((1 + b).log() - 0.5) / 2).log_prob(x)
    torch.testing.assert_close(ours(a, b).log_prob(x), by_hand)


def test_a_wrong_number_or_shape_of_parents_is_an_error() -> None:
    mechanism = Linear([Parent.binary(), Parent.continuous(shape=2)])
    with pytest.raises(ValueError, match="Got 1 parents, expected 2: binary, continuous"):
        mechanism(torch.zeros(5))
    with pytest.raises(ValueError, match=r"Parent 1: .* shape \(5, 3\), .* event \(2,\)"):
        mechanism(torch.zeros(5), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="Parent 1"):
        mechanism(torch.zeros(5), torch.tensor(0.0))


def test_a_category_out_of_range_is_an_error_under_validation_only() -> None:
    mechanism = Linear([Parent.categorical(3)])
    with pytest.raises(ValueError, match=r"Parent 0: got the value 3, .* from 0 to 2"):
        mechanism(torch.tensor([0, 3]))
    with pyro.validation_enabled(False):
        assert mechanism(torch.tensor([0, 3])).batch_shape == (2,)


def test_a_scale_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected positive"):
        Linear([Parent.continuous(scale=0.0)])
    with pytest.raises(ValueError, match="expected positive"):
        heads.Normal(scale=-1.0)


# Heads


@pytest.mark.parametrize(
    ("build", "event"),
    [
        (lambda **units: Linear(1, heads.Normal(**units)), ()),
        (lambda **units: MLP(1, head=heads.Normal(heteroscedastic=True, **units)), ()),
        (lambda **units: MLP(1, head=heads.Mixture(3, **units)), ()),
        (lambda **units: Flow(1, **units), ()),
        (lambda **units: Flow(1, size=3, **units), (3,)),
    ],
    ids=["normal", "heteroscedastic", "mixture", "flow", "flow of a vector"],
)
def test_units_of_the_outcome_are_a_change_of_variables(
    build: Callable[..., Mechanism], event: tuple[int, ...]
) -> None:
    loc, scale = (40.0 + torch.arange(3.0), 1.0 + torch.arange(3.0)) if event else (40.0, 5.0)
    ours, plain, pa = build(loc=loc, scale=scale), build(), torch.randn(50)
    share_parameters(ours, plain)
    z = torch.randn(50, *event)
    log_det = torch.as_tensor(scale).log().sum()
    torch.testing.assert_close(
        ours(pa).log_prob(torch.as_tensor(loc) + torch.as_tensor(scale) * z),
        plain(pa).log_prob(z) - log_det,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("head", [heads.Poisson, heads.NegativeBinomial])
def test_the_unit_of_a_count_multiplies_its_mean(head: Callable[..., heads.Head]) -> None:
    eta = torch.randn(20, 1)
    torch.testing.assert_close(head(scale=7.0)(eta).mean, 7 * eta[:, 0].exp())


def test_negative_binomial_has_the_mean_and_concentration_it_names() -> None:
    head = heads.NegativeBinomial(scale=4.0).double()
    nn.init.constant_(head.log_concentration, 0.7)
    eta, x = torch.linspace(-1, 2, 5).double()[:, None], torch.arange(5.0).double()
    r, mean = torch.tensor(0.7).double().exp(), 4 * eta[:, 0].exp()
    expected = scipy.stats.nbinom.logpmf(x.numpy(), r.numpy(), (r / (r + mean)).numpy())
    torch.testing.assert_close(head(eta).log_prob(x).detach(), torch.from_numpy(expected))


def test_ordinal_probabilities_are_differences_of_logistic_cdfs() -> None:
    head = heads.Ordinal(4)
    eta = torch.tensor([[0.0], [1.3]])
    # At first the cutpoints are the logits of 1/4, 2/4, 3/4.
    cdf = scipy.stats.logistic.cdf(scipy.stats.logistic.ppf([0.25, 0.5, 0.75]) - eta.numpy())
    cdf = torch.from_numpy(cdf)
    edges = torch.cat([torch.zeros(2, 1), cdf, torch.ones(2, 1)], 1)
    torch.testing.assert_close(head(eta).probs.double(), edges.diff(dim=1), rtol=1e-5, atol=1e-6)


def test_a_mixture_is_the_weighted_sum_of_its_normals() -> None:
    head, x = heads.Mixture(2), torch.linspace(-3, 3, 9)
    logits, means, deviations = torch.tensor([0.3, -0.4]), torch.tensor([0.5, 1.0]), torch.zeros(2)
    d = head(torch.cat([logits, means, deviations]))
    means = means + torch.tensor([-0.6744898, 0.6744898])  # the quartiles of the normal
    densities = torch.from_numpy(scipy.stats.norm.pdf(x.numpy()[:, None], means.numpy()))
    expected = (logits.softmax(-1) * densities).sum(-1)
    torch.testing.assert_close(d.log_prob(x).exp(), expected.float(), rtol=1e-4, atol=1e-6)


def test_a_mixture_of_one_is_the_heteroscedastic_normal() -> None:
    eta, x = torch.randn(20, 3), torch.randn(20)
    torch.testing.assert_close(
        heads.Mixture(1)(eta).log_prob(x),
        heads.Normal(heteroscedastic=True)(eta[:, 1:]).log_prob(x),
    )


@pytest.mark.parametrize("head", [heads.Categorical(3), heads.Ordinal(2), heads.Ordinal(5)])
def test_categories_start_at_equal_probabilities(head: heads.Head) -> None:
    probs = head(torch.zeros(head.outputs)).probs
    torch.testing.assert_close(probs, torch.full_like(probs, 1 / len(probs)))


def test_an_extreme_deviation_stays_positive_and_finite() -> None:
    d = heads.Normal(heteroscedastic=True)(torch.tensor([[0.0, -200.0], [0.0, 200.0]]))
    assert bool((d.scale > 0).all())
    assert bool(d.log_prob(torch.ones(2)).isfinite().all())


def test_an_unknown_head_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"head='categorical'.*heads.Categorical\(3\)"):
        Linear(1, head="categorical")


# Tables


@pytest.mark.parametrize("learn", [False, True])
def test_a_table_returns_each_of_its_rows(learn: bool) -> None:
    probs = dist.Dirichlet(torch.ones(4)).sample((2, 3))
    table = Table(probs, learn=learn)
    for a, b in product(range(2), range(3)):
        row = table(torch.tensor(float(a)), torch.tensor(b)).probs
        torch.testing.assert_close(row, probs[a, b])
    first, second = torch.randint(2, (5, 1)), torch.randint(3, (7,))
    expected = probs[first.expand(5, 7), second.expand(5, 7)]
    torch.testing.assert_close(table(first, second).probs, expected)


def test_tables_of_a_program_agree_with_enumeration_by_hand() -> None:
    # rain -> sprinkler, rain -> wet <- sprinkler
    p_rain, p_sprinkler = torch.tensor(0.2), torch.tensor([0.4, 0.01])
    p_wet = torch.tensor([[0.0, 0.9], [0.8, 0.99]])
    tables = [Table(p, binary=True) for p in (p_rain, p_sprinkler, p_wet)]
    total = 0.0
    for rain, sprinkler in product((0.0, 1.0), repeat=2):
        r, s, w = torch.tensor(rain), torch.tensor(sprinkler), torch.tensor(1.0)
        ds = (tables[0](), tables[1](r), tables[2](r, s))
        total += sum(d.log_prob(x) for d, x in zip(ds, (r, s, w), strict=True)).exp().item()
    expected = 0.8 * (0.6 * 0.0 + 0.4 * 0.9) + 0.2 * (0.99 * 0.8 + 0.01 * 0.99)
    # Pyro clamps the probability 0 to 1.2e-7 in log_prob; the table itself keeps it.
    assert total == pytest.approx(expected, abs=1e-6)
    assert tables[2](torch.tensor(0), torch.tensor(0)).probs == 0


def test_a_learned_table_is_the_table_of_frequencies() -> None:
    a, x = torch.randint(3, (400,)), torch.randint(4, (400,))
    table = Table.uniform([3], categories=4)
    maximize_likelihood(table, x, a)
    counts = torch.zeros(3, 4).index_put_((a, x), torch.ones(()), accumulate=True)
    frequencies = counts / counts.sum(-1, keepdim=True)
    torch.testing.assert_close(table(torch.arange(3)).probs, frequencies, rtol=0, atol=1e-4)


def test_a_uniform_binary_table_starts_at_one_half() -> None:
    d = Table.uniform([2, 2])(torch.zeros(5), torch.ones(5))
    assert isinstance(d, dist.Bernoulli)
    torch.testing.assert_close(d.probs, torch.full((5,), 0.5))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, float("nan")])
def test_a_code_that_no_row_has_is_an_error(value: float) -> None:
    table = Table(torch.full((3, 2), 0.5), binary=True)
    with pytest.raises(ValueError, match=f"Parent 1: got the value {value}, .* from 0 to 1"):
        table(torch.zeros(2), torch.tensor([0.0, value]))


def test_a_wrong_number_of_parents_of_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="Got 1 parents, expected 2"):
        Table(torch.full((3, 2), 0.5), binary=True)(torch.zeros(2))


@pytest.mark.parametrize(
    ("probs", "options", "message"),
    [
        ([0.5, 0.4], {}, "summing to 1"),
        ([1.5, -0.5], {}, "expected probabilities"),
        ([float("nan"), 0.5], {"binary": True}, "expected probabilities"),
        ([0.0, 1.0], {"learn": True}, "learn=False"),
    ],
)
def test_entries_that_are_no_probabilities_are_an_error(
    probs: list[float], options: dict[str, bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Table(torch.tensor(probs), **options)


# Flows


def sharpened(flow: Flow, gain: float = 3.0) -> Flow:
    """Return the flow far from its nearly affine start."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(gain)
    return flow


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize("splines", [1, 2])
def test_a_flow_inverts_out_to_the_tails(size: int | None, splines: int) -> None:
    flow = sharpened(Flow(1, size, splines=splines, loc=10.0, scale=4.0), 2.0)
    event = () if size is None else (size,)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-7)):
        d = flow.to(dtype)(torch.randn(2000, dtype=dtype))
        transform = d.transforms[0]
        x = transform(3 * torch.randn(2000, *event, dtype=dtype))
        torch.testing.assert_close(
            transform(transform.inv(x)), x, rtol=tolerance, atol=4 * tolerance
        )
        u = torch.linspace(-7, 7, 2000, dtype=dtype)
        u = u if size is None else u[:, None].expand(2000, size)
        torch.testing.assert_close(
            transform.inv(transform(u)), u, rtol=10 * tolerance, atol=10 * tolerance
        )


def test_the_density_of_a_flow_integrates_to_one_and_to_its_cdf() -> None:
    flow = sharpened(Flow(1, loc=10.0, scale=4.0)).double()
    d = flow(torch.linspace(-2, 2, 5).double())
    low, high = (d.transforms[0](torch.full((5,), u).double()) for u in (-7.0, 7.0))
    x = low + (high - low) * torch.linspace(0, 1, 40001).double()[:, None]
    density = d.log_prob(x).exp()
    mass = torch.cumulative_trapezoid(density, x, dim=0)
    torch.testing.assert_close(mass[-1], torch.ones(5).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(mass, d.cdf(x[1:]), rtol=0, atol=1e-4)


def test_the_density_of_a_flow_of_vectors_integrates_to_one() -> None:
    d = Flow(1, size=2, splines=2)(torch.tensor(0.7))
    corners = d.transforms[0](torch.tensor([[-5.0, -5.0], [5.0, 5.0], [-5.0, 5.0], [5.0, -5.0]]))
    low, high = corners.amin(0).detach() - 2, corners.amax(0).detach() + 2
    axes = [torch.linspace(float(a), float(b), 301) for a, b in zip(low, high, strict=True)]
    grid = torch.cartesian_prod(*axes)
    with torch.no_grad():
        density = d.log_prob(grid).exp().reshape(301, 301)
    mass = torch.trapezoid(torch.trapezoid(density, axes[1]), axes[0])
    assert mass.item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("size", [None, 3])
def test_the_log_determinant_of_a_flow_is_that_of_its_jacobian(size: int | None) -> None:
    flow = sharpened(Flow(1, size, splines=2, loc=1.0, scale=3.0)).double()
    transform = flow(torch.tensor(0.4).double()).transforms[0]
    for u in torch.randn(5, *(() if size is None else (size,))).double():
        jacobian = jacrev(transform)(u)
        matrix = jacobian.reshape(size or 1, size or 1)
        torch.testing.assert_close(
            transform.log_abs_det_jacobian(u, transform(u)), torch.linalg.slogdet(matrix)[1]
        )


def test_a_flow_of_a_vector_with_one_spline_is_triangular() -> None:
    transform = Flow(0, size=3)().transforms[0]
    jacobian = jacrev(transform)(torch.randn(3))
    assert torch.equal(jacobian, jacobian.tril())
    assert bool((jacobian.diagonal() > 0).all())


def test_a_flow_learns_a_skewed_conditional_density() -> None:
    # log x ~ Normal(pa / 2, 0.5): no location-scale family, and its shape moves with pa.
    pa = torch.randn(2000)
    truth = dist.LogNormal(pa / 2, 0.5)
    x = truth.sample()
    flow = Flow(1, hidden=(16,), loc=float(x.mean()), scale=float(x.std()))
    normal = MLP(1, head=heads.Normal(True, loc=float(x.mean()), scale=float(x.std())))
    gaps = []
    for mechanism in (flow, normal):
        optimizer = torch.optim.Adam(mechanism.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            torch.autograd.backward(-mechanism(pa).log_prob(x).mean())
            optimizer.step()
        new_pa = torch.randn(2000)
        truth = dist.LogNormal(new_pa / 2, 0.5)
        new = truth.sample()
        with torch.no_grad():
            gaps.append(truth.log_prob(new) - mechanism(new_pa).log_prob(new))
    standard_error = float(gaps[0].std()) / 2000**0.5
    assert float(gaps[0].mean()) < 0.02 + 4 * standard_error
    assert float(gaps[0].mean()) < float(gaps[1].mean()) / 2


def test_importing_zuko_leaves_validation_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "zuko"]:
        monkeypatch.delitem(sys.modules, name)
    assert torch.distributions.Distribution._validate_args
    Flow(1)
    assert torch.distributions.Distribution._validate_args


def test_a_missing_zuko_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"pip install 'pyrocausal\[flows\]'"):
        Flow(1)


# Learning


def test_maximum_likelihood_of_linear_is_least_squares() -> None:
    n, truth, sigma = 2000, torch.tensor([1.0, 2.0, -3.0]), 0.5
    a, b = 10 + 4 * torch.randn(n), torch.rand(n).round()
    design = torch.stack([torch.ones(n), a, b], 1).double()
    x = design.float() @ truth + sigma * torch.randn(n)
    mechanism = Linear(
        [Parent.continuous(loc=10.0, scale=4.0), Parent.binary()],
        heads.Normal(loc=float(x.mean()), scale=float(x.std())),
    ).double()
    maximize_likelihood(mechanism, x.double(), a, b)

    corners = mechanism(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]))
    mean = corners.loc.detach()
    ours = torch.stack([mean[0], mean[1] - mean[0], mean[2] - mean[0]])
    least_squares = torch.linalg.lstsq(design, x.double()[:, None]).solution[:, 0]
    residual = x.double() - design @ least_squares
    torch.testing.assert_close(ours, least_squares, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        corners.scale[0], residual.square().mean().sqrt(), rtol=1e-4, atol=0
    )
    standard_errors = sigma * torch.linalg.inv(design.T @ design).diagonal().sqrt()
    assert bool(((ours - truth).abs() < 4 * standard_errors).all())


@pytest.mark.parametrize("head", ["bernoulli", "poisson"])
def test_maximum_likelihood_solves_the_score_equations(head: str) -> None:
    # At the maximum of a canonical model the residuals are orthogonal to the design.
    pa = torch.randn(500).double()
    design = torch.stack([torch.ones(500).double(), pa])
    eta = 0.5 - pa
    truth: Any = dist.Poisson(eta.exp()) if head == "poisson" else dist.Bernoulli(logits=eta)
    x = truth.sample()
    mechanism = Linear(1, head=head).double()
    maximize_likelihood(mechanism, x, pa)
    score = design @ (x - mechanism(pa).mean.detach()) / 500
    torch.testing.assert_close(score, torch.zeros(2).double(), rtol=0, atol=1e-5)


def test_a_root_learns_mean_and_deviation() -> None:
    x = 20 + 3 * torch.randn(1000).double()
    for mechanism in (Linear(), MLP()):
        maximize_likelihood(mechanism.double(), x)
        d = mechanism()
        assert d.loc.item() == pytest.approx(x.mean().item(), rel=1e-4)
        assert d.scale.item() == pytest.approx(x.std(correction=0).item(), rel=1e-4)
