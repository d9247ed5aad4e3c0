"""Queries answered in chunks of units: the same answers bit by bit, in bounded memory."""

from collections.abc import Callable, Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.engine.memory import bytes_per_row, free_memory
from pyrocausal.engine.replaying import _Graph
from pyrocausal.results import Counterfactual, Samples
from pyrocausal.verbs import chunking

UNITS = 37
WORLDS = [{"treated": 0.0}, {"severity": pc.shift(1.0)}]


def _clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    with pyro.plate("visits", 3):
        cost = pyro.sample("cost", dist.LogNormal(0.3 * severity, 1.0))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity + 0.1 * cost.sum(-2), 0.5))


def _by_dose(dose: Tensor, factor: float) -> None:
    x = pyro.sample("x", dist.Normal(factor * dose, 1.0))
    pyro.sample("y", dist.Laplace(torch.exp(0.1 * x), 1.0))


def _eager(program: Callable[..., Any]) -> pc.SCM:
    scm = pc.SCM(program)
    scm._core.replays.patience = torch.inf
    return scm


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].shape == other[name].shape
        assert torch.equal(one[name], other[name]), name


def _in_chunks_as_at_once(ask: Callable[[int | None], Samples]) -> None:
    whole, parts = ask(None), ask(1000)
    _same(whole.data, parts.data)
    _same(whole.natural, parts.natural)
    assert (whole.dims, whole.query, whole.routes) == (parts.dims, parts.query, parts.routes)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many units are answered for at a time."""
    noted: list[int] = []

    def noting(*args: Any) -> int:
        noted.append(chunk_size(*args))
        return noted[-1]

    chunk_size = chunking.chunk_size
    for verb in ("sampling", "answering"):
        monkeypatch.setattr(f"pyrocausal.verbs.{verb}.chunk_size", noting)
    return noted


@pytest.mark.parametrize(
    "do", [None, WORLDS, {"treated": pc.policy(lambda v: (v["severity"] > 0).float())}]
)
def test_samples_in_chunks_are_those_drawn_at_once(do: Any, sizes: list[int]) -> None:
    scm = _eager(_clinic)
    acted = scm if do is None else scm.do(do)
    _in_chunks_as_at_once(lambda limit: acted.sample(UNITS, seed=1, max_memory=limit))
    assert sizes[0] == UNITS
    assert 1 <= sizes[1] < UNITS / 2


@pytest.mark.parametrize("num_draws", [None, 3])
@pytest.mark.parametrize("do", [WORLDS, {"severity": 0.0}])
def test_counterfactuals_in_chunks_are_those_had_at_once(
    do: Any, num_draws: int | None, sizes: list[int]
) -> None:
    scm = _eager(_clinic)
    seen = dict(scm.sample(UNITS, seed=0))
    seen["recovery"][::4] = torch.nan

    def ask(limit: int | None) -> Counterfactual:
        return scm.counterfactual(seen, do, num_draws=num_draws, seed=1, max_memory=limit)

    _in_chunks_as_at_once(ask)
    _same(ask(None).factual, ask(1000).factual)
    assert min(sizes) < UNITS / 2


def test_an_earlier_abduction_serves_chunk_by_chunk(sizes: list[int]) -> None:
    scm = _eager(_clinic)
    seen = dict(scm.sample(UNITS, seed=0))
    abduction = scm.abduct(seen, seed=5)

    def ask(limit: int | None) -> Counterfactual:
        return scm.counterfactual(seen, WORLDS, abduction=abduction, max_memory=limit)

    _same(ask(None).data, ask(1000).data)
    assert ask(1000).abduction is abduction
    assert min(sizes) < UNITS / 2


def test_inputs_and_evidence_after_the_action_are_parted_with_the_units(
    sizes: list[int],
) -> None:
    scm = _eager(_by_dose)
    inputs = {"dose": torch.linspace(-1.0, 1.0, UNITS), "factor": 2.0}
    _in_chunks_as_at_once(lambda limit: scm.sample(UNITS, inputs=inputs, seed=1, max_memory=limit))
    given = scm.condition(x=torch.linspace(0.0, 1.0, UNITS))
    _in_chunks_as_at_once(
        lambda limit: given.sample(UNITS, inputs=inputs, seed=1, max_memory=limit)
    )
    assert max(sizes[1::2]) < UNITS


def test_variables_that_all_units_share_are_one_in_all_chunks() -> None:
    def program() -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(mean, 1.0))
            pyro.sample("y", dist.Normal(x, 1.0))

    scm = _eager(program)
    _in_chunks_as_at_once(lambda limit: scm.sample(UNITS, seed=1, max_memory=limit))
    seen = {"mean": 1.0, "x": torch.zeros(UNITS), "y": torch.linspace(0.0, 1.0, UNITS)}
    _in_chunks_as_at_once(
        lambda limit: scm.counterfactual(seen, {"x": 1.0}, seed=1, max_memory=limit)
    )


@pytest.mark.slow  # loads the compiler
def test_chunks_that_are_played_from_a_graph_have_their_own_noise() -> None:
    scm = _eager(_clinic).do(WORLDS)
    whole = scm.sample(UNITS, seed=3)
    scm._core.replays.patience = 0.0
    parts = scm.sample(UNITS, seed=3, max_memory=5000)
    assert any(isinstance(known, _Graph) for known in scm._core.replays._known.values())
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-5, atol=1e-6)


def test_a_site_without_equation_draws_anew_in_each_chunk(sizes: list[int]) -> None:
    class Odd(dist.Normal):
        """A family without structural equation."""

    x = _eager(lambda: pyro.sample("x", Odd(0.0, 1.0))).sample(40, seed=0, max_memory=200)["x"]
    assert sizes[0] < 20
    assert len(x.unique()) == 40


def test_an_edge_that_a_later_chunk_shows_changes_the_answer_for_all(sizes: list[int]) -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        far = torch.where(x > 50.0, x, torch.zeros_like(x))
        pyro.sample("y", dist.Normal(far, 1.0))

    x, y = torch.zeros(UNITS), torch.zeros(UNITS)
    x[-1] = y[-1] = 100.0
    answer = _eager(program).counterfactual({"x": x, "y": y}, {"x": 0.0}, max_memory=500)
    assert sizes[0] < UNITS / 2
    torch.testing.assert_close(answer["y"], torch.zeros(UNITS))


def test_only_the_variables_asked_for_are_kept() -> None:
    scm = _eager(_clinic)
    seen = dict(scm.sample(UNITS, seed=0))
    answer = scm.counterfactual(seen, WORLDS, variables="recovery", max_memory=1000)
    assert answer.data.keys() == answer.factual.keys() == {"recovery"}
    assert answer.abduction is None
    assert "recovery" in str(answer)
    assert scm.sample(UNITS, variables="cost", max_memory=1000).keys() == {"cost"}


def test_messages_name_the_units_by_their_place_among_all() -> None:
    scm = _eager(_clinic)
    seen = dict(scm.sample(UNITS, seed=0))
    seen["cost"][30] = -1.0
    with pytest.raises(ValueError, match="unit 30"):
        scm.counterfactual(seen, {"treated": 1.0}, max_memory=1000)


@pytest.mark.parametrize("limit", [0, -5, 1.5, True])
def test_a_limit_is_a_positive_whole_number(limit: Any) -> None:
    with pytest.raises(ValueError, match="max_memory"):
        _eager(_clinic).sample(3, max_memory=limit)


def test_gradients_are_not_parted() -> None:
    scm = _eager(_clinic)
    seen = dict(scm.sample(UNITS, seed=0))
    value = torch.tensor(0.5, requires_grad=True)
    answer = scm.counterfactual(seen, {"severity": value}, grad=True, max_memory=1)
    answer["recovery"].sum().backward()
    assert value.grad is not None


def test_little_free_memory_makes_chunks(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    monkeypatch.setattr(chunking, "_MODEST", 0)
    monkeypatch.setattr(chunking, "free_memory", lambda device: 4000)
    _eager(_clinic).sample(UNITS, seed=0)
    assert sizes[0] < UNITS / 2


def test_the_bytes_of_a_row_are_those_of_what_operations_make() -> None:
    weight = torch.ones(5, 1000)
    assert bytes_per_row(lambda n: (torch.zeros(n, 5) @ weight).view(-1).add_(1)) == 4 * 1005
    assert bytes_per_row(lambda n: [torch.zeros(n, 9).sum() for _ in range(10)]) == 36
    assert free_memory(torch.device("cpu")) > 2**20
