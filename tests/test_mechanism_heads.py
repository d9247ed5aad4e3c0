"""Heads: the distributions that they make, beside scipy's and beside each other."""

from collections.abc import Callable

import pytest
import scipy.stats
import torch
from small_mechanisms import share_parameters
from torch import nn

from pyrocausal.mechanisms import MLP, Flow, Linear, Mechanism, heads


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
