"""Structural equations and mechanisms give on a device what they give on the CPU."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import transforms
from torch import Tensor, nn, tensor

from pyrocausal.mechanisms import MLP, Flow, Linear, Mechanism, Parent, ParentEncoder, Table, heads
from pyrocausal.noise import Stream, equation, structural_equation

UNITS: Final = 4
Values = Mapping[Any, Tensor]
Check = Callable[[Callable[[torch.device], Values]], None]
on_cuda_too = pytest.mark.parametrize(
    "device", ["pretend", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)


def numbers(*values: float) -> Tensor:
    """A parameter for each unit."""
    return tensor(values).expand(UNITS)


def vectors() -> Tensor:
    return tensor([[0.2, 0.3, 0.5]]).expand(UNITS, 3)


FAMILIES: Final[dict[str, Callable[[], Any]]] = {
    "Normal": lambda: dist.Normal(numbers(1.0), 2.0),
    "Laplace": lambda: dist.Laplace(numbers(1.0), 2.0),
    "Cauchy": lambda: dist.Cauchy(numbers(1.0), 2.0),
    "Logistic": lambda: dist.Logistic(numbers(1.0), 2.0),
    "Gumbel": lambda: dist.Gumbel(numbers(1.0), 2.0),
    "Uniform": lambda: dist.Uniform(numbers(1.0), 2.0),
    "HalfNormal": lambda: dist.HalfNormal(numbers(2.0)),
    "HalfCauchy": lambda: dist.HalfCauchy(numbers(2.0)),
    "Exponential": lambda: dist.Exponential(numbers(2.0)),
    "LogNormal": lambda: dist.LogNormal(numbers(0.5), 0.5),
    "Weibull": lambda: dist.Weibull(numbers(1.0), 2.0),
    "Pareto": lambda: dist.Pareto(numbers(1.0), 2.0),
    "Gamma": lambda: dist.Gamma(numbers(2.0), 1.0),
    "Chi2": lambda: dist.Chi2(numbers(3.0)),
    "InverseGamma": lambda: dist.InverseGamma(numbers(3.0), 1.0),
    "Beta": lambda: dist.Beta(numbers(2.0), 3.0),
    "AffineBeta": lambda: dist.AffineBeta(numbers(2.0), numbers(3.0), numbers(1.0), numbers(2.0)),
    "StudentT": lambda: dist.StudentT(numbers(3.0), 1.0, 2.0),
    "VonMises": lambda: dist.VonMises(numbers(0.5), 2.0),
    "RelaxedBernoulli": lambda: dist.RelaxedBernoulli(tensor(0.5), logits=numbers(0.5)),
    "RelaxedOneHotCategorical": lambda: dist.RelaxedOneHotCategorical(tensor(0.5), vectors()),
    "MultivariateNormal": lambda: dist.MultivariateNormal(vectors(), torch.eye(3)),
    "LowRankMultivariateNormal": lambda: dist.LowRankMultivariateNormal(
        vectors(), torch.ones(3, 1), torch.ones(3)
    ),
    "Delta": lambda: dist.Delta(numbers(2.0)),
    "FoldedDistribution": lambda: dist.FoldedDistribution(dist.Normal(numbers(1.0), 2.0)),
    "TransformedDistribution": lambda: dist.TransformedDistribution(
        dist.Normal(numbers(0.0), 1.0),
        [transforms.AffineTransform(tensor(1.0), 2.0), transforms.SigmoidTransform()],
    ),
    "Independent": lambda: dist.Categorical(vectors()[:, None].expand(UNITS, 2, 3)).to_event(1),
    "MaskedDistribution": lambda: dist.Categorical(vectors()).mask(torch.arange(UNITS) > 1),
    "ExpandedDistribution": lambda: dist.ExpandedDistribution(
        dist.Categorical(vectors()[:1]), [UNITS]
    ),
    "Bernoulli": lambda: dist.Bernoulli(numbers(0.3)),
    "Categorical": lambda: dist.Categorical(vectors()),
    "OneHotCategorical": lambda: dist.OneHotCategorical(vectors()),
    "OrderedLogistic": lambda: dist.OrderedLogistic(numbers(0.5), tensor([-1.0, 0.0, 1.0])),
    "Geometric": lambda: dist.Geometric(numbers(0.3)),
    "Poisson": lambda: dist.Poisson(numbers(3.0)),
    "Binomial": lambda: dist.Binomial(numbers(9.0), numbers(0.3)),
    "NegativeBinomial": lambda: dist.NegativeBinomial(numbers(3.0), numbers(0.3)),
    "MixtureSameFamily": lambda: dist.MixtureSameFamily(
        dist.Categorical(vectors()), dist.Normal(tensor([-1.0, 0.0, 1.0]).expand(UNITS, 3), 1.0)
    ),
    "ZeroInflatedDistribution": lambda: dist.ZeroInflatedDistribution(
        dist.Geometric(numbers(0.3)), gate=numbers(0.4)
    ),
    "ZeroInflatedPoisson": lambda: dist.ZeroInflatedPoisson(numbers(3.0), gate=numbers(0.4)),
    "ZeroInflatedNegativeBinomial": lambda: dist.ZeroInflatedNegativeBinomial(
        numbers(3.0), probs=numbers(0.3), gate=numbers(0.4)
    ),
}
RULES: Final = [
    (family.__name__, coupling)
    for family, coupling in equation._RULES
    if family.__module__.startswith(("pyro.", "torch."))
]


def test_every_family_that_has_an_equation_is_among_these() -> None:
    assert {family for family, _ in RULES} == FAMILIES.keys()


@on_cuda_too
@pytest.mark.parametrize(("family", "coupling"), sorted(set(RULES), key=str))
def test_a_structural_equation(family: str, coupling: str | None, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        with torch.device(device):
            law = FAMILIES[family]()
        rule = structural_equation(law, coupling)
        stream = Stream(0, "x", units=3, device=device)
        u = rule.draw(stream, (UNITS,))
        x, v = rule.forward(u), None
        if rule.posterior_shape is not None:
            v = stream.uniforms((UNITS, *rule.posterior_shape))
        again = rule.posterior(x, v)
        return {
            "noise": u,
            "value": x,
            "noise given the value": again,
            "value once more": rule.forward(again),
            "possible": rule.possible(x),
            "density": law.log_prob(x),
            "density of the noise": rule.noise.log_prob(u),
            "place of a draw": torch.zeros_like(rule.noise.sample()),
        }

    check_same(ask)


HEADS: Final[dict[str, Callable[[], Any]]] = {
    "normal": heads.Normal,
    "heteroscedastic": lambda: heads.Normal(heteroscedastic=True),
    "bernoulli": heads.Bernoulli,
    "categorical": lambda: heads.Categorical(3),
    "ordinal": lambda: heads.Ordinal(4),
    "poisson": heads.Poisson,
    "negative_binomial": heads.NegativeBinomial,
    "mixture": lambda: heads.Mixture(2),
}
PARENTS: Final[list[Parent | int]] = [
    *(Parent.binary(), 1, Parent.categorical(3), Parent.count(), Parent.continuous(2))
]


def linear(head: Callable[[], heads.Head]) -> Mechanism:
    return Linear(PARENTS, head())


MECHANISMS: Final[dict[str, Callable[[], Mechanism]]] = {
    **{f"linear {name}": partial(linear, head) for name, head in HEADS.items()},
    "mlp": lambda: MLP(PARENTS, hidden=(4,)),
    "flow": lambda: Flow(PARENTS, hidden=(4,)),
    "flow of a vector": lambda: Flow(PARENTS, size=2, hidden=(4,)),
}


def test_every_head_is_among_these() -> None:
    kinds = {type(head()).__name__ for head in HEADS.values()}
    assert kinds == set(heads.__all__) - {"Head", "as_head"}


def answers(mechanism: Mechanism, parents: list[Tensor], device: torch.device) -> Values:
    """What a mechanism makes of its parents on a device, gradients included."""
    law = mechanism.to(device)(*(parent.to(device) for parent in parents))
    x = structural_equation(law).draw(Stream(0, "x", units=1, device=device), law.batch_shape)
    x = structural_equation(law).forward(x)[0].detach()
    density = law.log_prob(x)
    gradients = {}
    if density.requires_grad:
        density.sum().backward()
        gradients = {k: p.grad for k, p in mechanism.named_parameters() if p.grad is not None}
    return {"value": x, "density": density, **gradients}


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_mechanism(name: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        torch.manual_seed(0)
        k = torch.arange(UNITS)
        parents = [k % 2, torch.randn(UNITS), k % 3, k.float(), torch.randn(UNITS, 2)]
        return answers(MECHANISMS[name](), parents, device)

    check_same(ask)


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_a_table(learn: bool, binary: bool, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        probs = torch.full((2, 3), 0.3) if binary else vectors()[:2, None].expand(2, 3, 3)
        k = torch.arange(UNITS)
        return answers(Table(probs, binary=binary, learn=learn), [k % 2, k % 3], device)

    check_same(ask)


def test_a_mechanism_can_be_made_on_the_device(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        torch.manual_seed(0)
        with torch.device(device):
            made = nn.ModuleList([Linear(2, head()) for head in HEADS.values()])
            made.extend([ParentEncoder(PARENTS), Table.uniform([2], 3), Flow(2, hidden=(4,))])
        return made.state_dict()

    check_same(ask)
