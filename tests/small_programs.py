"""Small programs that tests ask questions of, their SCMs, and evidence on them."""

from typing import Any, Final

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn

import pyrocausal as pc

__all__ = [
    "CHAIN",
    "CLINIC",
    "COHORT",
    "HIDDEN",
    "KIND",
    "KINDS",
    "SHARED",
    "THREE",
    "TREAT",
    "UNIT",
    "UNITS",
    "UNUSUAL",
    "Cubed",
    "Weights",
    "chain",
    "clinic",
    "cohort",
    "kinds",
    "unusual",
]


# severity -> treated -> recovery; severity -> recovery
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


# z -> stage, visits, total; dose -> total; vec, never, one are alone
def kinds() -> None:
    """A site of each kind of support, and a deterministic one."""
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    logits = torch.stack([z, -z, 0 * z, 0 * z, 0 * z], -1)
    pyro.sample("stage", dist.Categorical(logits=logits))
    pyro.sample("visits", dist.Poisson(torch.exp(z)))
    dose = pyro.sample("dose", dist.Gamma(2.0, 1.0))
    pyro.sample("vec", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    pyro.sample("never", dist.Bernoulli(probs=torch.tensor(0.0)))
    pyro.sample("one", dist.OneHotCategorical(torch.ones(3) / 3))
    pyro.deterministic("total", z + dose, event_dim=0)


# x -> m -> y
def chain() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(x, 1.0))
    pyro.sample("y", dist.Normal(m, 1.0))


# (age) -> risk -> event
def cohort(age: Tensor, slope: float = 1.0) -> None:
    """A program with an input, and one that has a default."""
    risk = pyro.sample("risk", dist.Normal(slope * age, 1.0))
    pyro.sample("event", dist.Normal(risk, 1.0))


class Cubed(dist.Normal):
    """A user's own law: no equation of Normal's is true of it."""

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        value: Tensor = super().sample(sample_shape)  # type: ignore[no-untyped-call]
        return value**3


# x -> y -> w
def unusual() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.sample("y", Cubed(x, 1.0))
    pyro.sample("w", dist.Normal(y, 1.0))


class Weights(PyroModule):
    """A linear layer with random weights, the same for all units."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = PyroModule[nn.Linear](1, 1)  # type: ignore[call-arg, arg-type]
        self.lin.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))
        self.lin.bias = PyroSample(dist.Normal(0.0, 1.0).expand([1]).to_event(1))

    def forward(self) -> None:
        slope, shift = self.lin.weight, self.lin.bias
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(slope[0, 0] * x + shift[0], 1.0))


CLINIC: Final = pc.SCM(clinic)
HIDDEN: Final = pc.SCM(clinic, latent=["severity"])
KINDS: Final = pc.SCM(kinds)
CHAIN: Final = pc.SCM(chain)
COHORT: Final = pc.SCM(cohort)
UNUSUAL: Final = pc.SCM(unusual)
SHARED: Final = pc.SCM(Weights())

UNIT: Final = {"severity": 0.3, "treated": 0.0, "recovery": -0.1}
THREE: Final = torch.zeros(3)
UNITS: Final = {"severity": THREE, "treated": THREE, "recovery": THREE}
KIND: Final = {
    "z": 0.0,
    "stage": 1,
    "visits": 2,
    "dose": 1.0,
    "vec": [0.0, 1.0],
    "never": 0.0,
    "one": [1.0, 0.0, 0.0],
}
TREAT: Final = {"treated": 1.0}
