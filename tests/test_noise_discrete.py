"""Discrete and mixed families: every law of a structural equation on every named family."""

from collections.abc import Callable
from math import exp, log
from typing import Any, Final

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyrocausal.errors import NotAbducible
from pyrocausal.noise import Stream, StructuralEquation, counts, structural_equation
from pyrocausal.noise.ordered import OrderedEquation

Make = Callable[[torch.dtype], Any]
INF: Final = float("inf")


def tensor(*values: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype)


def logits_of_both_signs(t: torch.dtype) -> Tensor:
    return tensor(-80.0, -20.0, -1.0, 0.0, 0.3, 17.0, 80.0, dtype=t)


def probabilities(t: torch.dtype) -> Tensor:
    return tensor(0.0, 1e-6, 0.3, 0.5, 0.999, 1.0, dtype=t)


def class_logits(t: torch.dtype) -> Tensor:
    return tensor([0.0, 0.5, -1.0, 1.0], [80.0, -80.0, 79.0, 0.0], [-9, -9, -9, 9], dtype=t)


def class_probs(t: torch.dtype) -> Tensor:
    return tensor([0.0, 0.2, 0.8], [0.0, 1.0, 0.0], [0.5, 1e-6, 0.499999], dtype=t)


def ordered_logistic(t: torch.dtype) -> Any:
    cutpoints = tensor(-2.0, -0.5, 0.0, 1.5, dtype=t)
    return dist.OrderedLogistic(tensor(-30.0, -1.0, 0.0, 2.0, 30.0, dtype=t), cutpoints)


def poisson_mixture(t: torch.dtype) -> Any:
    choice = dist.Categorical(logits=tensor([0.0, 1.0, 0.0], [9.0, 0.0, -9.0], dtype=t))
    return dist.MixtureSameFamily(
        choice, dist.Poisson(tensor(0.0, 2.0, 20.0, dtype=t).expand(2, 3))
    )


def binomial_mixture(t: torch.dtype) -> Any:
    # Most values are impossible under some component.
    components = dist.Binomial(tensor(2.0, 5.0, dtype=t), tensor(1.0, 0.5, dtype=t))
    return dist.MixtureSameFamily(dist.Categorical(tensor(0.4, 0.6, dtype=t)), components)


def bernoulli_vector_mixture(t: torch.dtype) -> Any:
    p = tensor([[0.0, 0.9], [0.5, 0.5], [1.0, 0.2]], dtype=t)
    components = dist.Bernoulli(p[0]).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(torch.ones(3, dtype=t)), components)


def zero_inflated_poisson(t: torch.dtype) -> Any:
    gate = tensor(0.0, 0.3, 0.3, 1.0, 0.5, dtype=t)
    return dist.ZeroInflatedPoisson(tensor(2.0, 0.1, 30.0, 3.0, 1.0, dtype=t), gate=gate)


def zero_inflated_negative_binomial(t: torch.dtype) -> Any:
    r, logits = tensor(0.5, 5.0, dtype=t), tensor(1.0, -0.5, dtype=t)
    return dist.ZeroInflatedNegativeBinomial(r, logits=logits, gate_logits=-logits)


def zero_inflated_geometric(t: torch.dtype) -> Any:
    base = dist.Geometric(tensor(0.3, 0.9, dtype=t))
    return dist.ZeroInflatedDistribution(base, gate=tensor(0.2, 0.7, dtype=t))


FAMILIES: Final[dict[str, tuple[Make, str | None]]] = {
    "Bernoulli by logits": (lambda t: dist.Bernoulli(logits=logits_of_both_signs(t)), None),
    "Bernoulli by probs": (lambda t: dist.Bernoulli(probabilities(t)), "gumbel-max"),
    "Bernoulli, quantile": (lambda t: dist.Bernoulli(probabilities(t)), "quantile"),
    "Categorical by logits": (lambda t: dist.Categorical(logits=class_logits(t)), None),
    "Categorical by probs": (lambda t: dist.Categorical(class_probs(t)), "gumbel-max"),
    "Categorical, quantile": (lambda t: dist.Categorical(class_probs(t)), "quantile"),
    "Categorical by logits, quantile": (
        lambda t: dist.Categorical(logits=class_logits(t)),
        "quantile",
    ),
    "OneHotCategorical": (lambda t: dist.OneHotCategorical(class_probs(t)), None),
    "OneHotCategorical, quantile": (lambda t: dist.OneHotCategorical(class_probs(t)), "quantile"),
    "OrderedLogistic": (ordered_logistic, None),
    "OrderedLogistic, Gumbel-max": (ordered_logistic, "gumbel-max"),
    "Geometric by logits": (
        lambda t: dist.Geometric(logits=tensor(-10.0, -1.0, 0.0, 4.0, 30.0, dtype=t)),
        None,
    ),
    "Geometric by probs": (lambda t: dist.Geometric(tensor(1e-3, 0.5, 1.0, dtype=t)), "quantile"),
    "Poisson": (
        lambda t: dist.Poisson(tensor(0.0, 1e-6, 0.1, 1.0, 5.0, 60.0, 1e4, dtype=t)),
        None,
    ),
    "Binomial by probs": (
        lambda t: dist.Binomial(tensor(0, 1, 8, 8, 8, 300, dtype=t), probabilities(t).flip(-1)),
        None,
    ),
    "Binomial by logits": (
        lambda t: dist.Binomial(
            tensor(5, 40, 40, 999, dtype=t), logits=tensor(-80.0, 80.0, 1.0, -3.0, dtype=t)
        ),
        "quantile",
    ),
    "NegativeBinomial": (
        lambda t: dist.NegativeBinomial(
            tensor(0.0, 0.01, 0.7, 1.0, 30.0, dtype=t),
            logits=tensor(1.0, 5.0, -5.0, 0.0, 1.0, dtype=t),
        ),
        None,
    ),
    "Poisson mixture": (poisson_mixture, None),
    "Binomial mixture": (binomial_mixture, "gumbel-max"),
    "Bernoulli vector mixture": (bernoulli_vector_mixture, None),
    "ZeroInflatedPoisson": (zero_inflated_poisson, None),
    "ZeroInflatedNegativeBinomial": (zero_inflated_negative_binomial, None),
    "ZeroInflatedPoisson, quantile": (zero_inflated_poisson, "quantile"),
    "ZeroInflatedNegativeBinomial, quantile": (zero_inflated_negative_binomial, "quantile"),
    "ZeroInflatedNegativeBinomial, independent": (zero_inflated_negative_binomial, "independent"),
    "zero-inflated Geometric, quantile": (zero_inflated_geometric, "quantile"),
    "ZeroInflatedDistribution": (zero_inflated_geometric, None),
    "Bernoulli, independent": (lambda t: dist.Bernoulli(probabilities(t)), "independent"),
    "Categorical, independent": (lambda t: dist.Categorical(class_probs(t)), "independent"),
    "OneHot, independent": (lambda t: dist.OneHotCategorical(class_probs(t)), "independent"),
    "OrderedLogistic, independent": (ordered_logistic, "independent"),
    "Geometric, independent": (lambda t: dist.Geometric(tensor(0.2, 0.5, dtype=t)), "independent"),
    "Poisson, independent": (lambda t: dist.Poisson(tensor(0.5, 4.0, dtype=t)), "independent"),
}
ORDERED: Final = [
    name
    for name, (make, coupling) in FAMILIES.items()
    if isinstance(structural_equation(make(torch.float32), coupling), OrderedEquation)
]

each_family = pytest.mark.parametrize("name", FAMILIES)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def family(name: str, dtype: torch.dtype = torch.float32) -> tuple[Any, StructuralEquation]:
    make, coupling = FAMILIES[name]
    return make(dtype), structural_equation(make(dtype), coupling)


def uniforms(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64).clamp(min=2.0**-54)


def uniforms_with_tails(*shape: int) -> Tensor:
    """Uniforms of which 30 % lie in the tails, down to 1e-12."""
    v, tail, place = uniforms(*shape), torch.exp(-27.6 * uniforms(*shape)), torch.rand(shape)
    return torch.where(place < 0.15, tail, torch.where(place > 0.85, 1 - tail, v))


def draws_for(d: Any, total: int) -> int:
    return total // torch.Size(d.batch_shape).numel()


def posterior_uniforms(equation: StructuralEquation, *shape: int, tails: bool = False) -> Tensor:
    assert equation.posterior_shape is not None
    draw = uniforms_with_tails if tails else uniforms
    return draw(*shape, *equation.posterior_shape)


def wrong_round_trips(d: Any, equation: StructuralEquation, draws: int) -> int:
    """Count the elements with ``forward(posterior(x)) != x``, for ``x`` far into the tails."""
    shape = (draws, *d.batch_shape)
    x = equation.forward(equation.from_uniform(uniforms_with_tails(*shape, *equation.noise_shape)))
    assert equation.possible(x).all()
    u = equation.posterior(x, posterior_uniforms(equation, *shape, tails=True))
    assert u.dtype == torch.float64
    assert u.shape == (*shape, *equation.noise_shape)
    return int((equation.forward(u) != x).sum())


@each_family
@each_dtype
def test_forward_returns_the_value_that_the_noise_was_inferred_from(
    name: str, dtype: torch.dtype
) -> None:
    d, equation = family(name, dtype)
    assert wrong_round_trips(d, equation, draws_for(d, 100_000)) == 0


@each_family
@each_dtype
def test_forward_returns_what_the_distribution_returns(name: str, dtype: torch.dtype) -> None:
    d, equation = family(name, dtype)
    stream = Stream(0, "x", units=3, draws=2)
    inner = d.batch_shape
    x = equation.forward(equation.draw(stream, tuple(inner)))
    assert x.shape == (2, 3, *inner, *d.event_shape)
    assert x.dtype == d.sample().dtype
    assert not x.requires_grad


def values_of(d: Any) -> Tensor:
    """The first values of a family, shape ``(values, *batch, *event)``."""
    values: Tensor
    if isinstance(d, (dist.Bernoulli, dist.Categorical, dist.OneHotCategorical)):
        values = d.enumerate_support()
        return values
    values = (
        torch.cartesian_prod(*[torch.arange(2.0)] * 2) if d.event_shape else torch.arange(400.0)
    )
    batch = d.batch_shape
    return values.reshape(-1, *(1,) * len(batch), *d.event_shape).expand(-1, *d.shape())


def probabilities_of(d: Any, values: Tensor) -> Tensor:
    inside = structural_equation(d).possible(values)
    return torch.where(inside, d.log_prob(values).double().exp(), 0.0)


def pooled_chi_square(observed: Tensor, expected: Tensor) -> float:
    """Return the p-value of counts, with the bins that expect fewer than 5 as one."""
    rare = expected < 5
    bins = [torch.cat((c[~rare], c[rare].sum(0, keepdim=True))) for c in (observed, expected)]
    if bins[1][-1] < 5:  # still too few for the chi-square law, and they must be few
        assert bins[0][-1] < 30
        bins = [c[:-1] for c in bins]
    if len(bins[0]) == 1:
        return 1.0
    return float(stats.chisquare(bins[0], bins[1] * bins[0].sum() / bins[1].sum()).pvalue)


@each_family
def test_prior_noise_gives_the_distribution_s_law(name: str) -> None:
    # Some hundred comparisons at a fixed seed: a p-value below 1e-5 is no accident.
    with pyro.validation_enabled(False):  # the list of values goes beyond the support
        d, equation = family(name, torch.float64)
        d = d.expand(d.batch_shape or (1,))
    draws, size = draws_for(d, 100_000), torch.Size(d.batch_shape).numel()
    x = equation.forward(equation.from_uniform(uniforms(draws, size, *equation.noise_shape)))
    values = values_of(d)
    expected = draws * probabilities_of(d, values)
    x, values = (t.reshape(len(t), size, -1).double() for t in (x, values))
    for b in range(size):
        if expected[:, b].sum() > 0.999 * draws:  # else there are too many values
            same = (x[:, b] == values[:, b].unsqueeze(1)).all(-1)
            assert pooled_chi_square(same.sum(1).double(), expected[:, b]) > 1e-5


@each_family
def test_posterior_noise_over_the_data_is_the_prior_noise(name: str) -> None:
    d, equation = family(name, torch.float64)
    draws = draws_for(d, 30_000)
    x = d.sample((draws,))  # torch's own sampler
    v = posterior_uniforms(equation, draws, *d.batch_shape)
    u = equation.posterior(x, v).reshape(draws, -1, equation.noise_shape.numel())
    prior = equation.from_uniform(uniforms(60_000, *equation.noise_shape)).reshape(60_000, -1)
    if equation.route == "independent":
        u, prior = u[..., :1], prior[..., :1]  # the key; the rest is the evidence itself
    for b in range(u.shape[1]):
        for element in range(u.shape[2]):
            assert stats.ks_2samp(u[:, b, element], prior[:, element]).pvalue > 1e-5
        # Ranks have no heavy tails: their correlation is below 5 standard errors.
        ranks = u[:, b].argsort(0).argsort(0).T.double()
        correlation = torch.corrcoef(ranks).reshape(len(ranks), -1) - torch.eye(len(ranks))
        assert correlation.abs().max() < 5 / draws**0.5


@each_family
def test_noise_distribution_agrees_with_the_prior_draws(name: str) -> None:
    d, equation = family(name)
    noise = equation.noise.expand((3, *d.batch_shape))
    assert noise.shape() == (3, *d.batch_shape, *equation.noise_shape)
    u = noise.rsample((2,))
    assert u.dtype == torch.float64
    assert equation.forward(u).shape == (2, 3, *d.batch_shape, *d.event_shape)
    assert noise.log_prob(u).shape == (2, 3, *d.batch_shape)
    assert noise.log_prob(u).isfinite().all()


def test_compound_noise_has_the_density_of_its_parts() -> None:
    mixture = family("Poisson mixture")[1]
    u = mixture.noise.sample()
    gumbel = dist.Gumbel(0.0, 1.0).log_prob(u[..., :3]).sum(-1)
    expected = gumbel + dist.Logistic(0.0, 1.0).log_prob(u[..., 3])
    torch.testing.assert_close(mixture.noise.log_prob(u), expected)
    inflated = family("ZeroInflatedPoisson")[1]
    u = inflated.noise.sample()
    expected = dist.Logistic(0.0, 1.0).log_prob(u).sum(-1)
    torch.testing.assert_close(inflated.noise.log_prob(u), expected)


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


SCIPY_EDGES: Final[dict[str, tuple[Any, Any]]] = {
    "Poisson": (dist.Poisson(double(7.3)), stats.poisson(7.3)),
    "large Poisson": (dist.Poisson(double(5e3)), stats.poisson(5e3)),
    "Binomial": (dist.Binomial(30, double(0.2)), stats.binom(30, 0.2)),
    "large Binomial": (dist.Binomial(20_000, double(0.37)), stats.binom(20_000, 0.37)),
    "NegativeBinomial": (dist.NegativeBinomial(2.5, double(0.7)), stats.nbinom(2.5, 0.3)),
    "Geometric": (dist.Geometric(double(0.3)), stats.geom(0.3, loc=-1)),
}


@pytest.mark.parametrize("name", SCIPY_EDGES)
def test_edges_are_the_logits_of_scipy_s_distribution_function(name: str) -> None:
    d, reference = SCIPY_EDGES[name]
    equation = structural_equation(d, "quantile")
    assert isinstance(equation, OrderedEquation)
    spread = torch.linspace(-6, 6, 25).double() * reference.std()
    k = (reference.mean() + spread).round().clamp(min=0)
    k = k[(reference.cdf(k) > 0) & (reference.sf(k) > 0)]
    expected = torch.as_tensor(reference.logcdf(k) - reference.logsf(k))
    torch.testing.assert_close(equation.edge(k), expected, rtol=1e-8, atol=1e-8)
    assert equation.edge(torch.tensor(-1.0).double()) == -INF


@pytest.mark.parametrize("name", ORDERED)
def test_quantile_equations_rise_in_the_noise(name: str) -> None:
    _, equation = family(name)
    assert isinstance(equation, OrderedEquation)
    u = torch.linspace(-40, 40, 801).double().unsqueeze(-1)
    assert (equation.rank(u).diff(dim=0) >= 0).all()


@pytest.mark.parametrize("name", ORDERED)
def test_a_cell_contains_its_upper_edge_alone(name: str) -> None:
    d, equation = family(name, torch.float64)
    assert isinstance(equation, OrderedEquation)
    near = equation.rank(
        torch.linspace(-25, 25, 400).double().unsqueeze(-1).expand(-1, *d.batch_shape)
    )
    edge = equation.edge(near)
    beyond = edge.nextafter(torch.tensor(INF).double())
    # Only cells that are wider than rounding, between finite edges.
    told = edge.isfinite() & (edge - equation.edge(near - 1) > 1e-12 * (1 + edge.abs()))
    told &= equation.edge(near + 1) - edge > 1e-12 * (1 + edge.abs())
    assert (equation.rank(edge.where(told, 0.0)) == near)[told].all()
    assert (equation.rank(beyond.where(told, 0.0)) == near + 1)[told].all()


RISING: Final[dict[str, Callable[[Tensor], Any]]] = {
    "Bernoulli": lambda t: dist.Bernoulli(logits=9 * t),
    "OrderedLogistic": lambda t: dist.OrderedLogistic(5 * t, torch.tensor([-1.0, 0.0, 2.0])),
    "Geometric": lambda t: dist.Geometric(logits=-5 * t),
    "Poisson": lambda t: dist.Poisson((4 * t).exp()),
    "Binomial in p": lambda t: dist.Binomial(50, logits=4 * t),
    "Binomial in n": lambda t: dist.Binomial((50 * (t + 1)).round(), torch.tensor(0.4)),
    "NegativeBinomial in p": lambda t: dist.NegativeBinomial(3.0, logits=3 * t),
    "NegativeBinomial in r": lambda t: dist.NegativeBinomial((4 * t).exp(), torch.tensor(0.4)),
}


@pytest.mark.parametrize("name", RISING)
def test_quantile_equations_rise_in_the_parameter(name: str) -> None:
    equation = structural_equation(RISING[name](torch.linspace(-1, 1, 201)), "quantile")
    x = equation.forward(equation.from_uniform(uniforms_with_tails(100, 1)))
    assert (x.diff(dim=-1) >= 0).all()


def test_a_class_that_gains_on_all_others_stays() -> None:
    # Oberst and Sontag's counterfactual stability.
    before, change = torch.randn(20_000, 5).double(), torch.randn(20_000, 5).double()
    d = dist.Categorical(logits=before)
    x = d.sample()
    equation = structural_equation(d)
    u = equation.posterior(x, posterior_uniforms(equation, 20_000))
    after = structural_equation(dist.Categorical(logits=before + change)).forward(u)
    changed = torch.gather(change, -1, torch.stack((x, after), -1))
    assert (after != x).any()
    # Whoever took over gained on the old class.
    assert (changed[:, 1] > changed[:, 0])[after != x].all()


def test_rounding_decides_no_tie() -> None:
    # All others come as close to the winner as uniforms can bring them.
    equation = family("Categorical by logits", torch.float64)[1]
    x = torch.arange(3).expand(1000, 3) % 3
    v = uniforms(1000, 3, 4)
    v = torch.where(torch.arange(4) == x.unsqueeze(-1), v, 1 - 2.0**-53)
    assert torch.equal(equation.forward(equation.posterior(x, v)), x)


BINARY: Final[dict[str, Callable[[], Any]]] = {
    "probs": lambda: dist.Bernoulli(probabilities(torch.float32)),
    "logits": lambda: dist.Bernoulli(logits=logits_of_both_signs(torch.float32)),
}


@pytest.mark.parametrize("given", BINARY)
def test_a_look_at_the_other_parameter_changes_nothing(given: str) -> None:
    # Torch computes it with a clamp, and keeps it.
    untouched, seen = BINARY[given](), BINARY[given]()
    _ = (seen.probs, seen.logits)
    u = structural_equation(seen).from_uniform(uniforms(1000, 1))
    assert torch.equal(*(structural_equation(d).forward(u) for d in (untouched, seen)))


def test_a_look_at_the_probs_keeps_the_improbable_possible() -> None:
    seen = dist.Bernoulli(logits=torch.tensor([-200.0, 200.0]))
    assert seen.probs.tolist() == [0.0, 1.0]
    equation = structural_equation(seen)
    x = torch.tensor([1.0, 0.0])
    assert equation.possible(x).all()
    u = equation.posterior(x, torch.tensor([0.5, 0.5]).double())
    assert u.tolist() == pytest.approx([200.0 + log(2), -200.0 - log(2)])


def test_a_look_at_the_logits_keeps_classes_impossible() -> None:
    seen = dist.Categorical(class_probs(torch.float32))
    assert (seen.logits > -INF).all()
    possible = structural_equation(seen).possible(torch.tensor(0))
    assert possible.tolist() == [False, False, True]


IMPOSSIBLE: Final[dict[str, tuple[Any, Tensor]]] = {
    "a success at p = 0": (dist.Bernoulli(torch.tensor(0.0)), torch.tensor(1.0)),
    "a failure at p = 1": (dist.Bernoulli(torch.tensor(1.0)), torch.tensor(0.0)),
    "half a success": (dist.Bernoulli(torch.tensor(0.5)), torch.tensor(0.5)),
    "a class of probability 0": (dist.Categorical(torch.tensor([1.0, 0.0])), torch.tensor(1)),
    "a class that isn't there": (dist.Categorical(torch.ones(2)), torch.tensor(2)),
    "a vector with two ones": (dist.OneHotCategorical(torch.ones(2)), torch.ones(2)),
    "a level that isn't there": (
        dist.OrderedLogistic(torch.tensor(0.0), torch.tensor([0.0, 1.0])),
        torch.tensor(3),
    ),
    "a failure at sure success": (dist.Geometric(torch.tensor(1.0)), torch.tensor(1.0)),
    "an event at rate 0": (dist.Poisson(torch.tensor(0.0)), torch.tensor(1.0)),
    "a negative count": (dist.Poisson(torch.tensor(1.0)), torch.tensor(-1.0)),
    "a missing count": (dist.Poisson(torch.tensor(1.0)), torch.tensor(torch.nan)),
    "more than all": (dist.Binomial(3, torch.tensor(0.5)), torch.tensor(4.0)),
    "fewer than all at p = 1": (dist.Binomial(3, torch.tensor(1.0)), torch.tensor(2.0)),
    "some at r = 0": (dist.NegativeBinomial(0.0, torch.tensor(0.5)), torch.tensor(1.0)),
    "what no component gives": (
        dist.MixtureSameFamily(
            dist.Categorical(torch.tensor([1.0, 0.0])), dist.Poisson(torch.tensor([0.0, 1.0]))
        ),
        torch.tensor(1.0),
    ),
    "a count behind a closed gate": (
        dist.ZeroInflatedPoisson(torch.tensor(1.0), gate=torch.tensor(1.0)),
        torch.tensor(1.0),
    ),
    "zero where neither gate nor base gives it": (
        dist.ZeroInflatedDistribution(dist.Binomial(2, torch.tensor(1.0)), gate=torch.tensor(0.0)),
        torch.tensor(0.0),
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_evidence_is_found_and_refused(name: str) -> None:
    d, x = IMPOSSIBLE[name]
    couplings = (None, "independent") if isinstance(d, dist.Poisson) else (None,)
    for coupling in couplings:
        equation = structural_equation(d, coupling)
        assert not equation.possible(x)
        with pytest.raises(ValueError, match="no noise of"):
            equation.posterior(x, posterior_uniforms(equation))


def test_a_value_that_float64_cannot_tell_from_its_neighbours_is_refused() -> None:
    equation = structural_equation(
        dist.Categorical(logits=torch.tensor([80.0, -80.0, 80.0])), "quantile"
    )
    assert equation.possible(torch.tensor(1))
    with pytest.raises(ValueError, match="too small for float64"):
        equation.posterior(torch.tensor(1), torch.tensor(0.5).double())


@pytest.mark.parametrize("name", ["Poisson", "Categorical by logits", "Poisson, independent"])
def test_a_discrete_posterior_needs_uniforms(name: str) -> None:
    d, equation = family(name)
    x = d.sample()
    with pytest.raises(TypeError, match="uniforms v"):
        equation.posterior(x)


def test_evidence_far_in_the_tails_is_explained() -> None:
    rate = torch.tensor([1e4, 1e4, 1e-6, 3.0]).double()
    x = torch.tensor([0.0, 2e4, 50.0, 300.0]).double()
    equation = structural_equation(dist.Poisson(rate))
    u = equation.posterior(x, torch.full((4,), 0.5).double())
    assert torch.equal(equation.forward(u), x)
    assert u[0].item() == pytest.approx(-1e4, rel=1e-3)  # log F(0) = -rate


def test_counts_beyond_the_integers_of_float64_end_the_search() -> None:
    equation = structural_equation(dist.NegativeBinomial(2.0, logits=torch.tensor(80.0).double()))
    x = equation.forward(torch.tensor(0.0).double())
    # So large a count is a Gamma variable, scaled.
    assert (x / exp(80.0)).item() == pytest.approx(stats.gamma(2).median(), rel=1e-6)


def test_counts_out_of_reach_of_the_beta_function_say_so() -> None:
    with pytest.raises(NotAbducible, match="out of reach"):
        structural_equation(dist.Binomial(10_000_000, torch.tensor(0.5)), site="x")


@pytest.mark.parametrize("name", ["Poisson", "Binomial by logits", "NegativeBinomial"])
def test_the_search_of_fixed_length_finds_the_same_counts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    d, equation = family(name)
    u = equation.from_uniform(uniforms_with_tails(500, *d.batch_shape))
    x = equation.forward(u)
    monkeypatch.setattr(counts, "is_captured", lambda: True)
    assert torch.equal(equation.forward(u), x)


@pytest.mark.slow
def test_a_captured_graph_serves_other_parameters() -> None:
    u = structural_equation(dist.Poisson(torch.tensor(1.0))).from_uniform(uniforms_with_tails(200))
    rate = (10 * torch.rand(200)).exp()

    def round_trip(rate: Tensor, u: Tensor) -> Tensor:
        equation = structural_equation(dist.Poisson(rate, validate_args=False))
        x = equation.forward(u)
        return torch.stack((x, equation.forward(equation.posterior(x, torch.sigmoid(u)))))

    captured = make_fx(round_trip, tracing_mode="fake")(rate, u)
    rate = rate.flip(0)
    assert torch.equal(captured(rate, u), round_trip(rate, u))


def test_independent_worlds_share_the_draw_of_equal_parameters_only() -> None:
    n, rate = 100_000, torch.tensor(3.0)
    here, there = (structural_equation(dist.Poisson(r), "independent") for r in (rate, rate + 1))
    u = here.from_uniform(uniforms(n, 3))
    x, y = here.forward(u), there.forward(u)
    assert torch.equal(
        structural_equation(dist.Poisson(rate.clone()), "independent").forward(u), x
    )
    assert abs(torch.corrcoef(torch.stack((x, y)))[0, 1]) < 5 / n**0.5
    assert y.mean().item() == pytest.approx(4.0, abs=5 * (4 / n) ** 0.5)


def test_independent_draws_have_the_resolution_of_float64() -> None:
    n = 100_000
    equation = structural_equation(dist.Geometric(double(1e-12)), "independent")
    x = equation.forward(equation.from_uniform(uniforms(n, *equation.noise_shape)))
    assert len(x.unique()) == n  # two of them would agree with probability n^2 1e-12 / 4


def test_independent_counterfactuals_know_nothing_of_the_evidence() -> None:
    n = 100_000
    logits = torch.tensor([0.0, 1.0, -1.0])
    other = torch.tensor([1.0, -1.0, 0.0])
    x = dist.Categorical(logits=logits).sample((n,))
    equation = structural_equation(dist.Categorical(logits=logits), "independent")
    u = equation.posterior(x, posterior_uniforms(equation, n))
    y = structural_equation(dist.Categorical(logits=other), "independent").forward(u)
    table = torch.zeros(3, 3).index_put((x, y), torch.ones(n), accumulate=True)
    assert stats.chi2_contingency(table).pvalue > 1e-5
    expected = n * other.softmax(0)
    assert stats.chisquare(table.sum(0), expected * table.sum() / expected.sum()).pvalue > 1e-5


def test_rounding_of_the_parameters_keeps_the_factual_value() -> None:
    n = 20_000
    rate = torch.rand(n) * 10 + 0.1
    x = dist.Poisson(rate).sample()
    equation = structural_equation(dist.Poisson(rate), "independent")
    u = equation.posterior(x, posterior_uniforms(equation, n))
    rounded = structural_equation(dist.Poisson(rate * (1 + 2e-7)), "independent")
    assert torch.equal(rounded.forward(u), x)
    # Elsewhere too, save where a parameter lies on the border of two cells of the field.
    prior = equation.from_uniform(uniforms(n, 3))
    assert (rounded.forward(prior) != equation.forward(prior)).double().mean() < 2e-3


def test_a_mixture_of_normals_returns_float32_evidence_bit_by_bit() -> None:
    means = torch.tensor([[-1.0, 3.0], [0.0, 0.5]])
    d = dist.MixtureSameFamily(dist.Categorical(torch.ones(2, 2)), dist.Normal(means, 0.7))
    equation = structural_equation(d)
    x = d.sample((10_000,))
    u = equation.posterior(x, posterior_uniforms(equation, 10_000, 2))
    assert u.shape == (10_000, 2, 3)
    assert equation.forward(u).dtype == torch.float32
    torch.testing.assert_close(equation.forward(u), x, rtol=1e-6, atol=1e-6)
    assert stats.kstest(u[:, 0, 2], "norm").pvalue > 1e-5


def test_a_mixture_picks_the_component_by_its_posterior_probability() -> None:
    means = torch.tensor([-1.0, 1.5]).double()
    d = dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(means, 1.0))
    equation = structural_equation(d)
    n, x = 100_000, torch.tensor(0.4).double()
    u = equation.posterior(x.expand(n), posterior_uniforms(equation, n))
    second = (u[:, 2] - (x - means[1])).abs() < 1e-9
    joint = torch.tensor([0.3, 0.7]) * dist.Normal(means, 1.0).log_prob(x).exp()
    p = (joint[1] / joint.sum()).item()
    assert second.double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)


def test_a_mixture_passes_gradients_to_its_components_alone() -> None:
    bound = torch.tensor([1.0, 5.0], requires_grad=True)
    d = dist.MixtureSameFamily(
        dist.Categorical(torch.ones(2)), dist.Uniform(torch.zeros(2), bound, validate_args=False)
    )
    equation = structural_equation(d)
    # 4 is impossible under the first component, whose gradient must then be 0, not NaN.
    u = equation.posterior(torch.tensor(4.0), posterior_uniforms(equation))
    u.sum().backward()
    assert bound.grad is not None
    assert bound.grad.tolist() == pytest.approx([0.0, -4 / 25])


def test_a_mixture_of_vectors_keeps_them_whole() -> None:
    loc = torch.tensor([[[-9.0, -9.0], [9.0, 9.0]]] * 4)
    d = dist.MixtureSameFamily(
        dist.Categorical(torch.ones(4, 2)), dist.Normal(loc, 1.0).to_event(1)
    )
    equation = structural_equation(d)
    x = equation.forward(equation.from_uniform(uniforms(500, 4, 4)))
    assert x.shape == (500, 4, 2)
    assert (x[..., 0].sign() == x[..., 1].sign()).all()
    u = equation.posterior(x, posterior_uniforms(equation, 500, 4))
    torch.testing.assert_close(equation.forward(u), x)


def test_zero_inflation_learns_of_the_base_only_through_an_open_gate() -> None:
    gate, rate, n = 0.4, 1.3, 100_000
    d = dist.ZeroInflatedPoisson(torch.tensor(rate).double(), gate=torch.tensor(gate).double())
    equation = structural_equation(d)
    u = equation.posterior(torch.zeros(n).double(), posterior_uniforms(equation, n))
    on = u[:, 0] > -torch.logit(torch.tensor(gate))
    p = gate / (gate + (1 - gate) * float(stats.poisson(rate).pmf(0)))
    assert on.double().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)
    assert stats.kstest(u[on, 1], "logistic").pvalue > 1e-5
    assert (structural_equation(d.base_dist).forward(u[~on, 1]) == 0).all()


def test_a_continuous_base_gives_zero_through_the_gate_alone() -> None:
    d = dist.ZeroInflatedDistribution(dist.Normal(torch.zeros(()), 1.0), gate=torch.tensor(0.01))
    equation = structural_equation(d)
    assert not equation.everywhere
    x = torch.tensor([0.0, 0.7])
    u = equation.posterior(x, posterior_uniforms(equation, 2))
    assert torch.equal(equation.forward(u), x)
    assert (u[:, 0] > -torch.logit(torch.tensor(0.01))).tolist() == [True, False]


def test_a_point_mass_has_no_noise() -> None:
    value = torch.arange(6.0).reshape(2, 3).requires_grad_()
    d = dist.Delta(value, event_dim=1)
    equation = structural_equation(d)
    assert equation.inverts
    assert equation.noise.shape() == (2, 0)
    assert equation.noise.log_prob(equation.noise.sample()).tolist() == [0.0, 0.0]
    u = equation.draw(Stream(0, "x", units=5, draws=4), (2,))
    assert u.shape == (4, 5, 2, 0)
    x = equation.forward(u)
    assert torch.equal(x, value.expand(4, 5, 2, 3))
    assert x.requires_grad
    assert equation.posterior(x).shape == (4, 5, 2, 0)
    assert not equation.everywhere
    assert equation.possible(value * (1 + 1e-7)).tolist() == [True, True]
    assert equation.possible(value + torch.tensor([0.0, 0.0, 1.0])).tolist() == [False, False]


def test_routes_name_the_coupling() -> None:
    d = dist.Bernoulli(torch.tensor(0.5))
    routes = [
        structural_equation(d, c).route for c in (None, "gumbel-max", "quantile", "independent")
    ]
    assert routes == ["gumbel-max", "gumbel-max", "quantile", "independent"]
    assert structural_equation(dist.Categorical(torch.ones(2))).route == "gumbel-max"
    assert structural_equation(dist.Poisson(torch.tensor(1.0))).route == "quantile"
    assert structural_equation(dist.Delta(torch.tensor(1.0))).route == "exact"
    inflated = zero_inflated_poisson(torch.float32)
    for coupling in ("gumbel-max", "quantile", "independent"):
        assert structural_equation(inflated, coupling).route == coupling


def test_the_two_couplings_of_a_bernoulli_are_one_equation() -> None:
    u = dist.Logistic(0.0, 1.0).sample((1000, 1)).double()
    d = dist.Bernoulli(logits=logits_of_both_signs(torch.float32))
    ours = [structural_equation(d, c).forward(u) for c in (None, "quantile")]
    assert torch.equal(*ours)


def skewed_poisson() -> Any:
    # It samples in a way of its own: so it has a law of its own.
    cls: Any = type("Skewed", (dist.Poisson,), {"sample": lambda self, shape=(): self.rate})
    return cls(torch.tensor(1.0))


@pytest.mark.parametrize(
    ("d", "coupling"),
    [
        (dist.Multinomial(3, torch.ones(2)), None),
        (dist.OneHotCategoricalStraightThrough(torch.ones(2)), None),
        (dist.Poisson(torch.tensor(1.0)), "gumbel-max"),
        (poisson_mixture(torch.float32), "independent"),
        (dist.Normal(0.0, 1.0), "quantile"),
        (skewed_poisson(), None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_families_without_an_equation_are_not_abducible(d: Any, coupling: str | None) -> None:
    with pytest.raises(NotAbducible, match="'site'"):
        structural_equation(d, coupling, site="site")


def random_parameters(name: str, n: int) -> Any:
    extreme = torch.randint(0, 50, (n,))
    logits = (torch.rand(n).double() * 160 - 80).where(extreme > 1, INF * (2 * extreme - 1))
    rate = torch.exp(torch.empty(n).double().uniform_(-13.8, 9.2))
    size = torch.randint(0, 1000, (n,)).double()
    families: dict[str, Callable[[], Any]] = {
        "Bernoulli": lambda: dist.Bernoulli(logits=logits, validate_args=False),
        "Categorical": lambda: dist.Categorical(logits=torch.rand(n, 4).double() * 160 - 80),
        "OrderedLogistic": lambda: dist.OrderedLogistic(
            torch.randn(n).double(), torch.randn(n, 4, dtype=torch.float64).sort(-1).values
        ),
        "Geometric": lambda: dist.Geometric(logits=torch.rand(n).double() * 60 - 30),
        "Poisson": lambda: dist.Poisson(rate.where(extreme > 0, 0.0)),
        "Binomial": lambda: dist.Binomial(size, logits=logits, validate_args=False),
        "NegativeBinomial": lambda: dist.NegativeBinomial(
            torch.exp(torch.empty(n).double().uniform_(-4.6, 6.9)), logits=rate.log().clamp(-5, 5)
        ),
    }
    return families[name]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("Bernoulli", 50),
        ("Categorical", 50),
        ("OrderedLogistic", 50),
        ("Geometric", 50),
        ("Poisson", 50),
        ("Binomial", 10),
        ("NegativeBinomial", 10),
    ],
)
def test_no_draw_in_millions_is_wrong(name: str, chunks: int) -> None:
    for _ in range(chunks):
        d = random_parameters(name, 200_000)
        equation = structural_equation(d)
        assert wrong_round_trips(d, equation, 1) == 0
