"""Kinds of models and guides: captured steps are those of Pyro, on the same noise."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.distributions.transforms as T
import pytest
import torch
from pyro.infer import autoguide
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal import mechanisms
from pyrocausal.fitting.paths import Paths

POSITIVE = dist.constraints.positive
UNITS = 60
Kind = tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]  # program, data, options

KINDS: dict[str, Callable[[], Kind]] = {}


def kind(make: Callable[[], Kind]) -> Callable[[], Kind]:
    KINDS[make.__name__] = make
    return make


def param(name: str, value: Any = 0.3) -> Tensor:
    return pyro.param(name, torch.as_tensor(value))


def positive(name: str, value: Any = 1.0) -> Tensor:
    return pyro.param(name, torch.as_tensor(value), constraint=POSITIVE)


def root(family: Callable[[], Any], data: Tensor | None = None) -> Callable[[], Kind]:
    """A variable alone, with data of its own."""

    def make() -> Kind:
        def program() -> None:
            pyro.sample("x", family())

        values = family().expand((UNITS,)).sample() if data is None else data
        pyro.clear_param_store()
        return program, {"x": values.detach()}, {}

    return make


PROBS = torch.tensor([0.2, 0.5, 0.3])
CHOLESKY = torch.tensor([[1.0, 0.0], [0.5, 1.0]])

KINDS |= {
    "normal": root(lambda: dist.Normal(param("loc"), positive("scale"))),
    "student": root(lambda: dist.StudentT(positive("df", 4.0), param("loc"), positive("scale"))),
    "laplace": root(lambda: dist.Laplace(param("loc"), positive("scale"))),
    "cauchy": root(lambda: dist.Cauchy(param("loc"), positive("scale"))),
    "gumbel": root(lambda: dist.Gumbel(param("loc"), positive("scale"))),
    "logistic": root(lambda: dist.Logistic(param("loc"), positive("scale"))),
    "log-normal": root(lambda: dist.LogNormal(param("loc"), positive("scale"))),
    "half-normal": root(lambda: dist.HalfNormal(positive("scale"))),
    "exponential": root(lambda: dist.Exponential(positive("rate"))),
    "gamma": root(lambda: dist.Gamma(positive("a", 2.0), positive("b"))),
    "inverse-gamma": root(lambda: dist.InverseGamma(positive("a", 2.0), positive("b"))),
    "beta": root(lambda: dist.Beta(positive("a", 2.0), positive("b"))),
    "weibull": root(lambda: dist.Weibull(positive("scale"), positive("shape", 2.0))),
    "von-mises": root(lambda: dist.VonMises(param("loc"), positive("kappa"))),
    "poisson": root(lambda: dist.Poisson(positive("rate"))),
    "zero-inflated": root(
        lambda: dist.ZeroInflatedPoisson(positive("rate"), gate=param("gate").sigmoid())
    ),
    "negative-binomial": root(
        lambda: dist.NegativeBinomial(positive("r", 3.0), logits=param("logit"))
    ),
    "geometric": root(lambda: dist.Geometric(logits=param("logit"))),
    "binomial": root(lambda: dist.Binomial(5, logits=param("logit"))),
    "bernoulli": root(lambda: dist.Bernoulli(logits=param("logit"))),
    "categorical": root(lambda: dist.Categorical(logits=param("logits", torch.zeros(3)))),
    "one-hot": root(lambda: dist.OneHotCategorical(logits=param("logits", torch.zeros(3)))),
    "dirichlet": root(lambda: dist.Dirichlet(positive("a", torch.ones(3)))),
    "multinomial": root(lambda: dist.Multinomial(4, logits=param("logits", torch.zeros(3)))),
    "multivariate-normal": root(
        lambda: dist.MultivariateNormal(
            param("loc", torch.zeros(2)),
            scale_tril=pyro.param("l", CHOLESKY, constraint=dist.constraints.lower_cholesky),
        )
    ),
    "low-rank-normal": root(
        lambda: dist.LowRankMultivariateNormal(
            torch.zeros(3), param("factor", torch.ones(3, 1)), positive("d", torch.ones(3))
        )
    ),
    "mixture": root(
        lambda: dist.MixtureSameFamily(
            dist.Categorical(logits=param("logits", torch.zeros(2))),
            dist.Normal(param("locs", torch.tensor([-1.0, 1.0])), positive("scale")),
        )
    ),
    "transformed": root(
        lambda: dist.TransformedDistribution(
            dist.Normal(param("loc"), positive("scale")), [T.SigmoidTransform()]
        )
    ),
}


@kind
def vector_normal() -> Kind:
    def program() -> None:
        loc = param("loc", torch.zeros(3))
        pyro.sample("x", dist.Normal(loc, positive("scale", torch.ones(3))).to_event(1))

    return program, {"x": torch.randn(UNITS, 3)}, {}


@kind
def inner_plate() -> Kind:
    def program() -> None:
        with pyro.plate("items", 3, dim=-2):
            z = pyro.sample("z", dist.Normal(param("a", torch.zeros(3, 1)), 1.0))
        pyro.sample("y", dist.Normal(z.sum(-2), positive("s")))

    return program, {"z": torch.randn(UNITS, 3), "y": torch.randn(UNITS)}, {}


def regression(net: nn.Module, shape: tuple[int, ...] = ()) -> Kind:
    def program() -> None:
        pyro.module("net", net)
        x = pyro.sample(
            "x", dist.Normal(torch.zeros(shape), torch.ones(shape)).to_event(len(shape))
        )
        loc = net(x if shape else x[:, None]).reshape(len(x))
        pyro.sample("y", dist.Normal(loc, positive("s")))

    return program, {"x": torch.randn(UNITS, *shape), "y": torch.randn(UNITS)}, {}


@kind
def mlp() -> Kind:
    return regression(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)))


@kind
def batch_norm() -> Kind:
    return regression(nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 8), nn.ELU(), nn.Linear(8, 1)))


@kind
def layer_norm() -> Kind:
    return regression(nn.Sequential(nn.Linear(1, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1)))


@kind
def dropout() -> Kind:
    return regression(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1)))


@kind
def convolution() -> Kind:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    return regression(nn.Sequential(net, nn.Linear(8, 1)), (1, 6, 6))


class Recurrent(nn.Module):
    """The last state of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.gru(x)[0][:, -1])


@kind
def gru() -> Kind:
    return regression(Recurrent(), (5, 2))


class Attention(nn.Module):
    """Tokens that look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.out = (
            nn.MultiheadAttention(4, 2, bias=False, batch_first=True),
            nn.Linear(4, 1),
        )

    def forward(self, x: Tensor) -> Any:
        return self.out(self.attend(x, x, x, need_weights=False)[0].mean(1))


@kind
def attention() -> Kind:
    return regression(Attention(), (3, 4))


class Line(PyroModule):
    """A module that is the program."""

    slope: Any
    scale: Any

    def __init__(self) -> None:
        super().__init__()
        self.slope = PyroParam(torch.tensor(0.5))
        self.scale = PyroParam(torch.tensor(1.0), constraint=POSITIVE)

    def forward(self) -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(self.slope * x, self.scale))


@kind
def pyro_module() -> Kind:
    return Line(), pair(), {}


class Bayesian(PyroModule):
    """Random weights."""

    def __init__(self) -> None:
        super().__init__()
        linear: Any = PyroModule[nn.Linear]
        self.linear = linear(1, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))

    def forward(self) -> None:
        weight = self.linear.weight
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(x * weight.squeeze() + self.linear.bias, 1.0))


@kind
def random_weights() -> Kind:
    return Bayesian(), pair(), {"guide": autoguide.AutoNormal}


def pair() -> dict[str, Tensor]:
    x = torch.randn(UNITS)
    return {"x": x, "y": 2 * x + torch.randn(UNITS)}


def mechanism(make: Callable[[], Any], y: Tensor) -> Kind:
    first, second = mechanisms.Linear(), make()

    def program() -> None:
        pyro.module("first", first)
        pyro.module("second", second)
        pyro.sample("y", second(pyro.sample("x", first())))

    return program, {"x": torch.randn(UNITS), "y": y}, {}


@kind
def own_linear() -> Kind:
    return mechanism(lambda: mechanisms.Linear(1), torch.randn(UNITS))


@kind
def own_mlp_of_counts() -> Kind:
    return mechanism(lambda: mechanisms.MLP(1, head="poisson"), torch.arange(UNITS) % 5.0)


@kind
def own_flow() -> Kind:
    pytest.importorskip("zuko")
    return mechanism(lambda: mechanisms.Flow(1), torch.randn(UNITS))


@kind
def own_table() -> Kind:
    one = mechanisms.Table(torch.tensor([0.4, 0.6]), learn=True)
    two = mechanisms.Table(torch.tensor([[0.3, 0.7], [0.6, 0.4]]), learn=True)

    def program() -> None:
        pyro.module("one", one)
        pyro.module("two", two)
        pyro.sample("y", two(pyro.sample("x", one())))

    return program, {"x": torch.arange(UNITS) % 2, "y": torch.arange(UNITS) % 2}, {}


def hierarchy() -> None:
    """mu, tau -> x."""
    mu = pyro.sample("mu", dist.Normal(param("prior"), 2.0))
    tau = pyro.sample("tau", dist.LogNormal(0.0, 1.0))
    with pc.units():
        pyro.sample("x", dist.Normal(mu, tau))


GUIDES = (
    "AutoNormal",
    "AutoDelta",
    "AutoDiagonalNormal",
    "AutoMultivariateNormal",
    "AutoLowRankMultivariateNormal",
    "AutoIAFNormal",
    "AutoStructured",
)


def hierarchical(name: str) -> Kind:
    return hierarchy, {"x": torch.randn(UNITS)}, {"guide": getattr(autoguide, name)}


KINDS |= {name: partial(hierarchical, name) for name in GUIDES}


@kind
def unit_latents_of_an_autoguide() -> Kind:
    def program() -> None:
        z = pyro.sample("z", dist.Normal(param("m"), 1.0))
        pyro.sample("x", dist.Normal(z, positive("s")))

    return program, {"x": torch.randn(UNITS)}, {"guide": autoguide.AutoNormal}


def latent(z: Any, guide: Callable[[Any], Any]) -> Kind:
    def program() -> None:
        value = pyro.sample("z", z())
        pyro.sample("x", dist.Normal(param("a", 2.0) * value, positive("s")))

    return program, {"x": torch.randn(UNITS)}, {"guide": guide}


@kind
def amortized() -> Kind:
    encoder = nn.Linear(1, 2)

    def guide(batch: Any) -> None:
        pyro.module("encoder", encoder)
        loc, log_scale = encoder(batch["x"][:, None]).unbind(-1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()))

    return latent(lambda: dist.Normal(0.0, 1.0), guide)


@kind
def reparameterized_gamma() -> Kind:
    def guide(batch: Any) -> None:
        pyro.sample("z", dist.Gamma(positive("g"), positive("h").expand(len(batch["x"]))))

    return latent(lambda: dist.Gamma(2.0, 1.0), guide)


@kind
def score_function_bernoulli() -> Kind:
    def guide(batch: Any) -> None:
        pyro.sample("z", dist.Bernoulli(logits=param("b") + param("c") * batch["x"]))

    return latent(lambda: dist.Bernoulli(logits=param("logit")), guide)


@kind
def score_function_categorical() -> Kind:
    def guide(batch: Any) -> None:
        logits = param("b", torch.zeros(3)) + batch["x"][:, None]
        pyro.sample("z", dist.Categorical(logits=logits))

    return latent(lambda: dist.Categorical(logits=param("logits", torch.zeros(3))), guide)


@kind
def score_function_poisson() -> Kind:
    def guide(batch: Any) -> None:
        pyro.sample("z", dist.Poisson(positive("r").expand(len(batch["x"]))))

    return latent(lambda: dist.Poisson(2.0), guide)


@kind
def normalizing_flow_guide() -> Kind:
    flow = T.conditional_affine_autoregressive(2, 1, hidden_dims=[8])

    def program() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1))
        pyro.sample("x", dist.Normal(z.prod(-1), positive("s")))

    def guide(batch: Any) -> None:
        pyro.module("flow", flow)
        base = dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1)
        pyro.sample("z", dist.TransformedDistribution(base, [flow.condition(batch["x"][:, None])]))

    return program, {"x": torch.randn(UNITS)}, {"guide": guide}


@kind
def latent_confounder_of_an_image() -> Kind:
    # u -> t, image, y, as in models of unobserved confounding: encoder and decoder are networks.
    decoder, encoder = nn.Linear(2, 9), nn.Sequential(nn.Linear(11, 8), nn.ELU(), nn.Linear(8, 4))

    def program() -> None:
        pyro.module("decoder", decoder)
        u = pyro.sample("u", dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1))
        t = pyro.sample("t", dist.Bernoulli(logits=u[:, 0]))
        pyro.sample("image", dist.Bernoulli(logits=decoder(u)).to_event(1))
        pyro.sample("y", dist.Normal(param("effect") * t + u[:, 1], positive("s")))

    def guide(batch: Any) -> None:
        pyro.module("encoder", encoder)
        seen = torch.cat([batch["image"], batch["t"][:, None], batch["y"][:, None]], -1)
        loc, scale = encoder(seen).chunk(2, -1)
        pyro.sample("u", dist.Normal(loc, nn.functional.softplus(scale)).to_event(1))

    bits = (torch.randn(UNITS, 10) > 0).float()
    return (
        program,
        {"image": bits[:, 1:], "t": bits[:, 0], "y": torch.randn(UNITS)},
        {"guide": guide},
    )


def line() -> None:
    """A line: x -> y."""
    x = pyro.sample("x", dist.Normal(param("mean"), positive("spread")))
    pyro.sample("y", dist.Normal(param("slope") * x, positive("scale")))


def acted(program: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: program()


@kind
def under_do() -> Kind:
    return acted(pc.do(line, {"x": 1.0})), {"y": torch.randn(UNITS)}, {"batch_size": None}


@kind
def under_condition() -> Kind:
    return (
        acted(pyro.poutine.condition(line, {"x": torch.ones(())})),
        {"y": torch.randn(UNITS)},
        {},
    )


@kind
def with_evidence_of_the_scm() -> Kind:
    return line, {"y": torch.randn(UNITS)}, {"evidence": {"x": torch.randn(UNITS)}}


@kind
def under_handlers_of_pyro() -> Kind:
    scaled = pyro.poutine.scale(line, scale=0.5)
    masked: Any = pyro.poutine.mask
    return masked(scaled, mask=torch.tensor(True)), pair(), {}


@kind
def factor() -> Kind:
    def program() -> None:
        line()
        pyro.factor("prior", -(param("slope") ** 2))

    return program, pair(), {}


@kind
def deterministic() -> Kind:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("m"), 1.0))
        double = pyro.deterministic("double", 2 * x)
        pyro.sample("y", dist.Normal(double, positive("s")))

    return program, pair(), {}


@kind
def missing_effects() -> Kind:
    data = pair()
    data["y"][::3] = torch.nan
    return line, data, {}


@kind
def missing_causes() -> Kind:
    def guide(batch: Any) -> None:
        pyro.sample("x", dist.Normal(param("g") * batch["y"], positive("h")))

    data = pair()
    data["x"][::3] = torch.nan
    return line, data, {"guide": guide}


@kind
def arguments() -> Kind:
    def program(t: Tensor) -> None:
        pyro.sample("x", dist.Normal(param("a") * t, positive("s")))

    return program, {"x": torch.randn(UNITS)}, {"inputs": {"t": torch.randn(UNITS)}}


@kind
def all_units_in_a_step() -> Kind:
    return line, pair(), {"batch_size": None}


@kind
def double_precision() -> Kind:
    def program() -> None:
        loc = param("loc", torch.tensor(0.0, dtype=torch.float64))
        pyro.sample("x", dist.Normal(loc, positive("s", torch.tensor(1.0, dtype=torch.float64))))

    return program, {"x": torch.randn(UNITS, dtype=torch.float64)}, {}


@kind
def another_optimizer() -> Kind:
    return line, pair(), {"optimizer": partial(torch.optim.SGD, lr=0.05, momentum=0.5)}


@kind
def writing_in_place() -> Kind:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("m"), 1.0))
        loc = torch.zeros(len(x), 2)
        loc[:, 0] = param("slope") * x
        loc[x > 0] = 0.5
        pyro.sample("y", dist.Normal(loc.sum(-1), positive("s")))

    return program, pair(), {}


@kind
def checkpointed_by_where() -> Kind:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("m"), 1.0))
        loc = torch.where(x > 0, param("a") * x, param("b") * x)
        pyro.sample("y", dist.Normal(loc, positive("s")))

    return program, pair(), {}


def fitted(make: Callable[[], Kind], compile: bool) -> tuple[pc.SCM, Any]:
    """A fit from the same start, on the same noise."""
    pyro.clear_param_store()
    torch.manual_seed(3)
    options: dict[str, Any]
    program, data, options = make()
    scm = pc.SCM(program)
    options = {"batch_size": 16} | options
    evidence = options.pop("evidence", None)
    if evidence is not None:
        scm = scm.condition(evidence)
    report = scm.fit(data, steps=6, lr=0.02, validation=0.0, seed=1, compile=compile, **options)
    return scm, report


LONG = {"own_flow", "gru", "AutoIAFNormal", "AutoStructured", "AutoLowRankMultivariateNormal"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in KINDS],
)
def test_captured_steps_are_those_of_pyro(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Paths, "_compile", lambda *_: None)  # the graph as it stands
    (one, expected), (two, found) = (fitted(KINDS[name], way) for way in (False, True))
    assert (expected.path, found.path) == ("eager", "replayed")
    torch.testing.assert_close(found.losses, expected.losses, rtol=1e-5, atol=1e-5)
    for way in ("named", "buffers"):
        for key, value in getattr(one._core.scope, way)().items():
            torch.testing.assert_close(
                getattr(two._core.scope, way)()[key], value, rtol=1e-4, atol=1e-4
            )
