"""Capture: what is refused, with its line; what passes, exactly; what makes a graph stale."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal.capture import cached, capture
from pyrocausal.capture.watching import Watch
from pyrocausal.errors import NotCapturable

ONE, OTHER = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([3.0, 0.1, 0.7])


def captured(function: Callable[..., Any], *watch: Any) -> Any:
    return capture(function, [ONE], another=[OTHER], watch=watch)


# ---------------------------------------------------------------- traps


class Annealed(nn.Module):
    """A module whose number changes as it is used."""

    beta = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1  # here
        return x * self.count


class Shared:
    """A class whose attribute changes."""

    calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        Shared.calls += 1  # here
        return x


calls = 0
log: list[int] = []
own_generator = np.random.default_rng(0)
own_random = random.Random(0)
positions = itertools.count()
torch_generator = torch.Generator()
annealed, shared = Annealed(), Shared()


def numpy(x: Tensor) -> Tensor:
    return x * torch.from_numpy(np.exp(x.numpy()))  # here


def array(x: Tensor) -> Tensor:
    return x * torch.as_tensor(np.asarray(x))  # here


def to_list(x: Tensor) -> Tensor:
    return torch.tensor([math * 2 for math in x.tolist()])  # here


def item(x: Tensor) -> Tensor:
    return x * x.sum().item()  # here


def as_float(x: Tensor) -> Tensor:
    return x * float(x[0])  # here


def truth(x: Tensor) -> Tensor:
    return x if x.sum() > 1 else -x  # here


def loop(x: Tensor) -> Tensor:
    while x.max() < 10:  # here
        x = 2 * x
    return x


def mask(x: Tensor) -> Tensor:
    return x[x > 0.6].sum()  # here


def mask_assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[x > 0.6] = torch.arange(2.0)  # here
    return y


def nonzero(x: Tensor) -> Tensor:
    return x[(x > 0.6).nonzero()[:, 0]].sum()  # here


def unique(x: Tensor) -> Any:
    return x.unique().sum()  # here


def masked_select(x: Tensor) -> Tensor:
    return x.masked_select(x > 0.6).sum()  # here


def equal(x: Tensor) -> Tensor:
    return x if torch.equal(x, 2 * x) else -x  # here


def python_random(x: Tensor) -> Tensor:
    return x * random.random()  # here


def numpy_random(x: Tensor) -> Tensor:
    return x * np.random.rand()  # here  # noqa: NPY002


def random_without_use(x: Tensor) -> Tensor:
    random.random()  # here
    return x


def generator_of_numpy(x: Tensor) -> Tensor:
    return x * float(own_generator.normal())  # here


def generator_of_python(x: Tensor) -> Tensor:
    return x * own_random.random()  # here


def generator_of_torch(x: Tensor) -> Tensor:
    return x + torch.randn(3, generator=torch_generator)  # here


def counter(x: Tensor) -> Tensor:
    global calls
    calls += 1  # here
    return x * calls


def logging(x: Tensor) -> Tensor:
    log.append(1)  # here
    return x


def attribute(x: Tensor) -> Any:
    return annealed(x)


def of_the_class(x: Tensor) -> Any:
    return shared(x)


def of_the_function(x: Tensor) -> Tensor:
    of_the_function.calls = getattr(of_the_function, "calls", 0) + 1  # type: ignore  # here
    return x


def default(x: Tensor, memory: list[int] = []) -> Tensor:  # noqa: B006
    memory.append(1)  # here
    return x * len(memory)


def printed(x: Tensor) -> Tensor:
    print(x)  # here
    return x


def clock(x: Tensor) -> Tensor:
    return x * time.perf_counter()  # here


def iterator(x: Tensor) -> Tensor:
    return x * next(positions)


def seeding(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    return x + torch.randn(3)


def a_number(x: Tensor) -> tuple[Tensor, float]:
    return x, 1.0


def von_mises(x: Tensor) -> Any:
    return pyro.sample("x", dist.VonMises(x, 1.0))  # here


def sequential(x: Tensor) -> Tensor:
    for i in pyro.plate("steps", 3):  # here
        x = x + pyro.sample(f"e{i}", dist.Normal(0.0, 1.0))
    return x


WITH_LINE = {
    numpy: "numbers out of a tensor",
    array: "numbers out of a tensor",
    to_list: "numbers out of a tensor",
    item: "one number",
    as_float: "one number",
    truth: "truth value",
    loop: "truth value",
    mask: "boolean mask",
    mask_assigned: "boolean mask",
    nonzero: "nonzero",
    unique: "unique",
    masked_select: "masked_select",
    equal: "equal",
    python_random: "generator of Python or NumPy",
    numpy_random: "generator of Python or NumPy",
    random_without_use: "generator of Python or NumPy",
    generator_of_numpy: "changes own_generator",
    generator_of_python: "changes own_random",
    generator_of_torch: "generator of its own",
    counter: "changes calls",
    logging: "the length of log",
    attribute: "annealed.count",
    of_the_class: "Shared.calls",
    of_the_function: "calls",
    default: "default",
    printed: "writes out",
    clock: "other operations",
    von_mises: "truth value",
    sequential: "one number",
}
WITHOUT_LINE = {
    iterator: "positions, a count",
    seeding: "another result",
    a_number: "returns a float",
}


@pytest.mark.parametrize("trap", WITH_LINE, ids=lambda trap: trap.__name__)
def test_a_trap_is_refused_with_the_reason_and_the_line(trap: Callable[..., Any]) -> None:
    with pytest.raises(NotCapturable, match=WITH_LINE[trap]) as refusal:
        captured(trap)
    assert refusal.value.line is not None
    assert refusal.value.line.startswith("test_capture.py:")
    assert "# here" in refusal.value.line


@pytest.mark.parametrize("trap", WITHOUT_LINE, ids=lambda trap: trap.__name__)
def test_a_trap_without_a_line_is_refused_with_the_reason(trap: Callable[..., Any]) -> None:
    with pytest.raises(NotCapturable, match=WITHOUT_LINE[trap]):
        captured(trap)


def test_a_tensor_in_hiding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "hidden_here", torch.ones(3), raising=False)
    with pytest.raises(NotCapturable, match="can't be watched"):
        captured(lambda x: x * torch.hidden_here)  # type: ignore[attr-defined]


def test_an_error_of_the_program_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        captured(lambda x: x / (1 // 0))


# ---------------------------------------------------------------- what passes


NET, NORM = nn.Linear(3, 3), nn.BatchNorm1d(3)
SCALE, TABLE = torch.tensor(2.0), np.array([1.0, 2.0, 3.0], dtype=np.float32)


def gradient(x: Tensor) -> Any:
    return torch.autograd.grad(NET(x).square().sum(), list(NET.parameters()))


GOOD: dict[str, Callable[[Tensor], Any]] = {
    "arithmetic": lambda x: {"a": x.exp(), "b": (x.sum(), [x - 1])},
    "random numbers": lambda x: x + torch.randn(3) * torch.rand(3) + torch.bernoulli(x / 9),
    "unused random numbers": lambda x: (torch.randn(5), x)[1] + torch.randn(3),
    "a network": lambda x: NET(x),
    "a gradient": gradient,
    "batch norm": lambda x: NORM(x.outer(x)),
    "dropout": lambda x: nn.functional.dropout(x),
    "a global tensor": lambda x: x * SCALE,
    "a numpy constant": lambda x: x * torch.as_tensor(TABLE),
    "a number of a constant": lambda x: x * float(torch.tensor(2.0)),
    "detached by data": lambda x: x.data * 2,
    "where": lambda x: torch.where(x > 1, x, -x),
    "a number by mask": lambda x: torch.zeros(3).masked_fill(x > 1, 2.0),
    "integer indices": lambda x: x[torch.tensor([2, 0])],
    "in place": lambda x: x.clone().mul_(2).add_(1),
    "a distribution": lambda x: dist.Normal(x, 1.0).to_event(1).log_prob(torch.zeros(3)),
    "a shape": lambda x: x * len(x) + x.shape[0],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_replay_is_the_function_on_other_arguments(name: str) -> None:
    function, point = GOOD[name], torch.rand(3)
    graph = captured(function)
    torch.manual_seed(5)
    found, state = graph(point), torch.get_rng_state()
    torch.manual_seed(5)
    torch.testing.assert_close(found, function(point))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_capture_changes_no_buffer_and_moves_no_generator() -> None:
    norm = nn.BatchNorm1d(3)
    before, state = {k: v.clone() for k, v in norm.state_dict().items()}, torch.get_rng_state()
    graph = captured(lambda x: norm(x.outer(x) + torch.randn(3)))
    assert all(torch.equal(norm.state_dict()[k], v) for k, v in before.items())
    assert torch.equal(torch.get_rng_state(), state)
    graph(ONE)
    assert norm.num_batches_tracked == 1
    assert not torch.equal(norm.running_mean, before["running_mean"])  # type: ignore[arg-type]


def test_a_replay_sees_what_became_of_parameters() -> None:
    net = nn.Linear(3, 1)
    graph = captured(lambda x: net(x))
    with torch.no_grad():
        net.weight.mul_(3.0)
    torch.testing.assert_close(graph(ONE), net(ONE).detach())
    assert graph.stale() is None
    net.weight = nn.Parameter(torch.ones(1, 3))
    assert "weight" in graph.stale()


def test_parameters_of_pyro_are_read_from_the_store() -> None:
    graph = captured(lambda x: x * pyro.param("w", torch.tensor(2.0)))
    pyro.param("w").data.fill_(3.0)
    assert torch.equal(graph(ONE), 3 * ONE)
    pyro.clear_param_store()
    assert graph.stale() == "the parameter 'w'"


def test_other_shapes_are_refused() -> None:
    graph = captured(lambda x: 2 * x)
    assert not graph.accepts(torch.ones(4))
    with pytest.raises(ValueError, match="was captured for"):
        graph(torch.ones(4))


@pytest.mark.slow
def test_compiled_code_gives_the_same_numbers_from_one_seed() -> None:
    function = GOOD["random numbers"]
    graph = captured(function)
    graph.compile()
    torch.manual_seed(1)
    found = graph(OTHER)
    torch.manual_seed(1)
    torch.testing.assert_close(found, function(OTHER))
    assert graph.compiled


# ---------------------------------------------------------------- what is watched

threshold = 1.0


class Holder:
    """Something with attributes, in the user's own class."""

    level = 1

    def __init__(self) -> None:
        self.options = {"rates": [0.1, 0.2]}
        self.half: float | None = None

    def method(self, x: Any) -> Any:
        return x * threshold


@pytest.fixture
def holder() -> Iterator[Holder]:
    global threshold
    yield Holder()
    threshold, Holder.level = 1.0, 1


def set_global(_: Holder) -> None:
    global threshold
    threshold = 2.0


def set_class(_: Holder) -> None:
    Holder.level = 2


CHANGES: dict[str, tuple[Callable[[Holder], Any], str]] = {
    "attribute": (lambda holder: setattr(holder, "half", 0.5), "half"),
    "new attribute": (lambda holder: setattr(holder, "new", 1), "length"),
    "nested": (lambda holder: holder.options["rates"].__setitem__(1, 9), "options"),
    "longer": (lambda holder: holder.options["rates"].append(9), "length of"),
    "key": (lambda holder: holder.options.update(more=[1.0]), "length of"),
    "global": (set_global, "threshold"),
    "class": (set_class, "level"),
    "method": (lambda holder: setattr(holder, "method", abs), "length"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_reach_is_noticed_and_named(name: str, holder: Holder) -> None:
    change, words = CHANGES[name]
    watch = Watch(lambda x: holder.method(x))
    assert watch.difference() is None
    change(holder)
    assert words in (watch.difference() or "")


def test_numbers_that_are_equal_are_no_change() -> None:
    state = {"large": 10**9, "nan": float("nan"), "pair": (1.5, 2)}
    watch = Watch(state)
    state |= {"large": int("1000000000"), "nan": float("nan"), "pair": (1.5, 1 + 1)}
    assert watch.difference() is None


def test_arrays_count_by_their_entries() -> None:
    values = np.arange(4)
    watch = Watch(lambda: values)
    values[2] = 7
    assert watch.difference() == "values"


def test_the_modes_of_modules_are_watched() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    watch = Watch(net)
    net.eval()
    assert "training" in (watch.difference() or "")


def test_a_graph_is_kept_until_the_program_changes() -> None:
    owner, settings = pc.SCM(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))), {"rate": 2.0}

    def make() -> Any:
        return captured(lambda x: x * settings["rate"])

    first = cached(owner, "double", make)
    assert cached(owner, "double", make) is first
    assert cached(owner, "other", make) is not first
    settings["rate"] = 3.0
    again = cached(owner, "double", make)
    assert torch.equal(again(ONE), 3 * ONE)
