"""Queries leave no trace: generators, modules, parameters, types and devices stay as they were."""

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal import zoo

N: Final = 6
VERBS: Final[dict[str, Callable[[pc.SCM, int | None], Any]]] = {
    "sample": lambda scm, seed: scm.sample(N, seed=seed),
    "do": lambda scm, seed: scm.do(action(scm)).sample(N, seed=seed),
    "worlds": lambda scm, seed: scm.do([{}, action(scm)]).sample(N, seed=seed),
    "condition": lambda scm, seed: scm.condition(action(scm)).sample(N, seed=seed),
    "abduct": lambda scm, seed: scm.abduct(seen(scm), seed=seed),
    "imagine": lambda scm, seed: scm.counterfactual(seen(scm), action(scm), seed=seed),
    "draws": lambda scm, seed: scm.counterfactual(action(scm), {}, num_draws=3, seed=seed),
}
"""All that draws numbers."""
QUIET: Final[dict[str, Callable[[pc.SCM], Any]]] = {
    "graph": lambda scm: scm.graph,
    "plan": lambda scm: scm.plan(list(scm.variables)),
    "log_prob": lambda scm: scm.log_prob(seen(scm)),
    "do": lambda scm: scm.do(action(scm)),
}
"""All that draws none."""
GENERATORS: Final[dict[str, Callable[[], Any]]] = {
    "torch": lambda: torch.get_rng_state().tolist(),
    "numpy": lambda: str(np.random.get_state()),  # noqa: NPY002 - it must not move
    "python": random.getstate,
}
each_verb = pytest.mark.parametrize("verb", VERBS)


def network(seed: int) -> nn.Sequential:
    """Return a network whose parts behave differently in training, on two inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1)
        )
        net(torch.randn(64, 2))  # gives the normalization something to remember
    return net


def use(net: Callable[[Tensor], Tensor]) -> None:
    """Describe one unit: x -> y, z; y -> z."""
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.sample("y", dist.Normal(net(torch.stack([x, x**2], -1))[..., 0], 0.5))
    pyro.sample("z", dist.Bernoulli(logits=net(torch.stack([x, y], -1))[..., 0]))


class Registered:
    """A program that registers its network with Pyro."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self) -> None:
        """Describe one unit."""
        use(pyro.module("net", self.net))


class Owning(PyroModule):
    """A program that is a module and owns its network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self) -> None:
        """Describe one unit."""
        use(self.net)


def closing(net: nn.Module) -> Callable[[], None]:
    """Return a program that closes over its network."""
    return lambda: use(net)


PROGRAMS: Final[dict[str, Callable[[nn.Module], Any]]] = {
    "registered": Registered,
    "owning": Owning,
    "closing": closing,
}
each_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


def action(scm: pc.SCM) -> dict[str, Any]:
    """Return a value for the first variable."""
    name = next(iter(scm.variables))
    return {name: 1.0}


def seen(scm: pc.SCM) -> dict[str, Tensor]:
    """Return a few units."""
    return dict(scm.sample(N, seed=5, latent=True))


def answers(scm: pc.SCM, verb: str, seed: int | None = 0) -> dict[str, Tensor]:
    """Return the tensors that a verb gives."""
    answer = VERBS[verb](scm, seed)
    return dict(answer.factual if verb == "abduct" else answer)


def states() -> dict[str, Any]:
    """Return the state of all global generators."""
    return {name: read() for name, read in GENERATORS.items()}


def fresh(name: str) -> pc.SCM:
    """Return a model that has answered nothing yet; latent variables may be seen."""
    return pc.SCM(zoo.MODELS[name].program)


@pytest.mark.parametrize("name", zoo.MODELS)
def test_with_a_seed_no_global_generator_moves_from_the_first_query_on(name: str) -> None:
    before = states()
    scm = fresh(name)
    for verb in VERBS:
        VERBS[verb](scm, 0)
        assert states() == before, verb
    scm = fresh(name)
    for verb, ask in QUIET.items():
        ask(scm)
        assert states() == before, verb


@pytest.mark.parametrize("name", zoo.MODELS)
def test_without_a_seed_torch_draws_one_and_nothing_else_moves(name: str) -> None:
    scm = fresh(name)
    for verb in VERBS:
        torch.manual_seed(3)
        torch.randint(2**62, ())
        expected = states()
        torch.manual_seed(3)
        VERBS[verb](scm, None)
        assert states() == expected, verb


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "abduct"])
def test_without_a_seed_the_answer_tells_the_seed_that_gives_it_again(verb: str) -> None:
    scm = fresh("simpson")
    answer = VERBS[verb](scm, None)
    again = VERBS[verb](scm, answer.seed)
    assert all(torch.equal(answer[name], again[name]) for name in answer)
    assert VERBS[verb](scm, None).seed != answer.seed


@each_program
@each_verb
def test_modules_keep_the_mode_and_the_memory_they_had(program: Any, verb: str) -> None:
    net = network(0)
    net[1].eval()
    modes = [module.training for module in net.modules()]
    memory = {name: value.clone() for name, value in net.state_dict().items()}
    VERBS[verb](pc.SCM(program(net)), 0)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, memory[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


@each_program
def test_modules_keep_their_mode_when_a_query_fails(program: Any) -> None:
    net = network(0)
    scm = pc.SCM(program(net))
    with pytest.raises(ValueError, match="can't take"):
        scm.do(z=0.5).sample(N)
    with pytest.raises(ValueError, match="can't infer"):
        scm.abduct({"y": 0.0}, method="enumeration")
    assert all(module.training for module in net.modules())


@each_program
def test_queries_use_modules_in_evaluation_mode(program: Any) -> None:
    net = network(0)
    sample = pc.SCM(program(net)).sample(500, seed=0)
    net.eval()
    with torch.no_grad():
        mean = net(torch.stack([sample["x"], sample["x"] ** 2], -1))[:, 0]
    noise = (sample["y"] - mean) / 0.5
    assert abs(noise.mean().item()) < 4 / 500**0.5
    assert abs(noise.var().item() - 1) < 4 * (2 / 500) ** 0.5
    imagined = pc.SCM(program(net)).counterfactual(sample, {"x": 0.0})
    with torch.no_grad():
        mean = net(torch.zeros(1, 2))[0, 0]
    torch.testing.assert_close(imagined["y"], mean + 0.5 * noise, rtol=1e-5, atol=1e-5)


@pytest.fixture(params=["registered", "owning", "closing", "param"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Two programs whose parameters bear the same names and have other values."""
    if request.param == "param":

        def with_param(start: float) -> Callable[[], None]:
            def program() -> None:
                w = pyro.param("w", torch.tensor(start))
                x = pyro.sample("x", dist.Normal(0.0, 1.0))
                pyro.sample("y", dist.Normal(w * x, 1.0))

            return program

        yield with_param(1.0), with_param(-3.0)
    else:
        make = PROGRAMS[request.param]
        yield make(network(0)), make(network(1))


def test_models_whose_parameters_bear_the_same_names_do_not_touch(pair: tuple[Any, Any]) -> None:
    def ask(scm: pc.SCM) -> list[dict[str, Tensor]]:
        return [answers(scm, verb) for verb in VERBS]

    alone = [ask(pc.SCM(program)) for program in pair]
    first, second = map(pc.SCM, pair)
    for verb in VERBS:  # in turns, so that each could leave something to the other
        answers(first, verb)
        answers(second, verb)
    for scm, expected in ((first, alone[0]), (second, alone[1])):
        for found, answer in zip(ask(scm), expected, strict=True):
            assert all(torch.equal(found[name], answer[name]) for name in answer)
    assert not torch.equal(alone[0][0]["y"], alone[1][0]["y"])


def test_queries_leave_the_global_parameters_as_they_are(pair: tuple[Any, Any]) -> None:
    pyro.param("mine", torch.tensor(2.0))
    for program in pair:
        scm = pc.SCM(program)
        for verb in VERBS:
            VERBS[verb](scm, 0)
    assert set(pyro.get_param_store().keys()) == {"mine"}
    assert pyro.param("mine").item() == 2.0


@each_verb
def test_gradients_flow_where_they_are_asked_for_alone(verb: str) -> None:
    scm = pc.SCM(Owning(network(0)))
    assert not any(value.requires_grad for value in answers(scm, verb).values())
    answer = scm.counterfactual(seen(scm), action(scm), grad=True)
    assert answer["y"].requires_grad
    assert torch.is_grad_enabled()


def mixed() -> None:
    """Sites of several types: x, v double; k integer; b float."""
    x = pyro.sample("x", dist.Normal(torch.zeros((), dtype=torch.float64), 1.0))
    k = pyro.sample("k", dist.Categorical(logits=torch.stack([x, -x, x * 0], -1)))
    b = pyro.sample("b", dist.Bernoulli(logits=k.float()))
    scale = torch.ones(2, dtype=torch.float64)
    pyro.sample("v", dist.Normal(torch.stack([x, b.double()], -1), scale).to_event(1))


@pytest.mark.parametrize("given", [1, 1.0, True, [1.0] * N, np.ones(N), torch.ones(N).long()])
@pytest.mark.parametrize("target", ["x", "k", "b"])
def test_every_value_keeps_the_type_of_its_site(target: str, given: Any) -> None:
    scm = pc.SCM(mixed)
    types = {"x": torch.float64, "k": torch.int64, "b": torch.float32, "v": torch.float64}
    assert {name: variable.dtype for name, variable in scm.variables.items()} == types
    sample = scm.do({target: given}).sample(N, seed=0)
    units = {name: value.to(torch.float64) for name, value in sample.items()}
    for answer in (
        sample,
        scm.counterfactual(units, {target: given}, seed=0),
        scm.counterfactual(units, [{target: given}, {}], num_draws=2, seed=0),
        scm.condition({target: given}).sample(N, seed=0) if target == "x" else sample,
    ):
        assert {name: value.dtype for name, value in answer.items()} == types
        assert bool((answer[target] == 1).all())


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
            ],
        ),
    ],
)
@pytest.mark.parametrize("name", zoo.MODELS)
def test_answers_lie_on_the_device_of_the_model_and_are_the_same(name: str, device: str) -> None:
    here, there = fresh(name), fresh(name).to(device)
    for verb in VERBS:
        expected, found = answers(here, verb), answers(there, verb)
        assert found.keys() == expected.keys()
        for site, value in found.items():
            assert value.device.type == device
            torch.testing.assert_close(value.cpu(), expected[site], rtol=1e-4, atol=1e-4)
