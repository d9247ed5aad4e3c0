"""Queries that are asked for again run as graphs: same answers, same errors, nothing stale."""

import gc
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.capture import capture
from pyrocausal.engine.replaying import _Graph
from pyrocausal.errors import NotCapturable
from pyrocausal.results import Samples

REPEATS = 3


def _eager_and_played(scm: pc.SCM, ask: Callable[[pc.SCM, int], Samples]) -> None:
    """Check that the answers to a question stay the same when it is played from a graph."""
    replays = scm._core.replays
    replays.patience = torch.inf
    eager = [ask(scm, seed) for seed in range(REPEATS)]
    replays.forget()
    replays.patience = 0.0
    played = [ask(scm, seed) for seed in range(REPEATS)]
    assert any(isinstance(known, _Graph) for known in replays._known.values())
    for one, other in zip(eager, played, strict=True):
        assert one.keys() == other.keys()
        assert (one.dims, one.query, one.routes) == (other.dims, other.query, other.routes)
        for name in one:
            torch.testing.assert_close(other[name], one[name], rtol=1e-5, atol=1e-6)
        for name in one.natural:
            torch.testing.assert_close(
                other.natural[name], one.natural[name], rtol=1e-5, atol=1e-6
            )


def _graphs(scm: pc.SCM) -> list[Any]:
    return [known for known in scm._core.replays._known.values() if isinstance(known, _Graph)]


@pytest.mark.parametrize("name", ["vaccine", "image"])
def test_zoo_answers_are_the_same_eager_and_played(name: str) -> None:
    scm = zoo.MODELS[name].scm()
    first = next(iter(scm.variables))
    value = scm.sample(1, seed=3, latent=True)[first][0]
    _eager_and_played(scm, lambda scm, seed: scm.do({first: value}).sample(50, seed=seed))


def _clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    visits = pyro.sample("visits", dist.Geometric(logits=0.3 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity + 0.1 * visits, 0.5))


@pytest.mark.parametrize(
    ("do", "num_draws"),
    [
        ([{"treated": 0.0}, {"severity": pc.shift(1.0)}], 3),
        (pc.edge("severity", "treated", 0.0), None),
    ],
)
def test_counterfactuals_are_the_same_eager_and_played(do: Any, num_draws: int | None) -> None:
    scm = pc.SCM(_clinic)
    units = {seed: dict(scm.sample(20, seed=100 + seed)) for seed in range(REPEATS)}

    def ask(scm: pc.SCM, seed: int) -> Samples:
        return scm.counterfactual(units[seed], do, num_draws=num_draws, seed=seed)

    _eager_and_played(scm, ask)


def test_evidence_with_gaps_is_the_same_eager_and_played() -> None:
    scm = pc.SCM(_clinic)
    unit = dict(scm.sample(20, seed=7))
    unit["recovery"][::3] = torch.nan

    def ask(scm: pc.SCM, seed: int) -> Samples:
        return scm.counterfactual(unit, {"treated": 1.0}, seed=seed)

    _eager_and_played(scm, ask)


@pytest.mark.parametrize(
    ("evidence", "message"),
    [({"severity": [0.3], "treated": [1.0], "visits": [-1.0]}, "visits")],
)
def test_a_played_query_still_refuses_what_is_impossible(
    evidence: dict[str, list[float]], message: str
) -> None:
    scm = pc.SCM(_clinic)
    scm._core.replays.patience = 0.0
    good = {name: [1.0] for name in evidence}
    for seed in range(REPEATS):
        scm.counterfactual(good, {"severity": 0.0}, seed=seed)
    assert _graphs(scm)
    with pytest.raises(ValueError, match=message):
        scm.counterfactual(evidence, {"severity": 0.0}, seed=0)


def test_a_played_query_reads_parameters_and_state_anew() -> None:
    net, factor = nn.Linear(1, 1), {"by": 1.0}
    offset = torch.zeros(())

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(factor["by"] * net(x[:, None])[:, 0] + offset, 1e-6))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0

    def slope_and_offset() -> tuple[float, float]:
        y = scm.do([{"x": 0.0}, {"x": 1.0}]).sample(2, seed=0)["y"][:, 0]
        return float(y[1] - y[0]), float(y[0])

    for _ in range(REPEATS):
        assert slope_and_offset() == pytest.approx((net.weight.item(), net.bias.item()), abs=1e-4)
    assert _graphs(scm)
    with torch.no_grad():
        net.weight.fill_(3.0)
        net.bias.fill_(0.5)
        offset.fill_(1.0)
    assert slope_and_offset() == pytest.approx((3.0, 1.5), abs=1e-4)
    factor["by"] = 2.0
    assert slope_and_offset() == pytest.approx((6.0, 2.0), abs=1e-4)
    net.weight = nn.Parameter(torch.tensor([[1.0]]))
    assert slope_and_offset() == pytest.approx((2.0, 2.0), abs=1e-4)


def test_results_may_be_written_to_without_spoiling_the_next_ones() -> None:
    captured = capture(lambda x: (torch.ones(3) * 2, x + 1), [torch.zeros(3)])
    for _ in range(2):
        constant, _moved = captured(torch.zeros(3))
        assert constant.tolist() == [2.0, 2.0, 2.0]
        constant.zero_()


def test_what_no_graph_can_do_stays_eager() -> None:
    def program(limit: float) -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        count = len([value for value in x.detach().tolist() if value > limit]) * 0
        pyro.sample("y", dist.Normal(x + count, 1.0))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    first = scm.sample(5, inputs={"limit": 0.5}, seed=0)
    for _ in range(REPEATS):
        again = scm.sample(5, inputs={"limit": 0.5}, seed=0)
    assert not _graphs(scm)
    assert torch.equal(first["y"], again["y"])


def _counts() -> None:
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    pyro.sample("visits", dist.Poisson(rate))


def _walk() -> None:
    step = place = pyro.sample("step", dist.Normal(0.0, 1.0))
    for _ in range(2_000):
        place = place + step
    pyro.sample("end", dist.Normal(place, 1.0))


@pytest.mark.parametrize(
    ("program", "reason"), [(_counts, "searched among its edges"), (_walk, "2,000 operations")]
)
def test_loops_that_would_make_an_endless_graph_stay_eager(
    program: Callable[[], None], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrocausal.capture.traps._MOST", 2_000)
    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    scm.sample(20, seed=0)
    (refusal,) = scm._core.replays._known.values()
    assert isinstance(refusal, NotCapturable)
    assert reason in str(refusal)


def test_short_questions_are_not_captured() -> None:
    scm = pc.SCM(_clinic)
    for seed in range(REPEATS):
        scm.sample(10, seed=seed)
    assert not _graphs(scm)


def test_gradients_flow_through_queries_asked_for_again() -> None:
    scm = pc.SCM(_clinic)
    scm._core.replays.patience = 0.0
    evidence = {"severity": 0.3, "treated": 0.0, "visits": 1.0, "recovery": 0.0}
    for _ in range(REPEATS):
        treated: Tensor = torch.tensor(1.0, requires_grad=True)
        answer = scm.counterfactual(evidence, {"treated": treated}, grad=True)
        (slope,) = torch.autograd.grad(answer["recovery"].sum(), treated)
        assert float(slope) == pytest.approx(2.0)


def test_arguments_that_are_equal_but_of_other_types_are_other_questions() -> None:
    def program(k: object) -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x + 10.0 * (k is True) + 3.0 * isinstance(k, float), 1e-6))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    for _ in range(REPEATS):
        scm.sample(3, inputs={"k": 1}, seed=0)
    assert _graphs(scm)
    for k, offset in ((True, 10.0), (1.0, 3.0), (1, 0.0)):
        samples = scm.sample(3, inputs={"k": k}, seed=0)
        torch.testing.assert_close(samples["y"], samples["x"] + offset, rtol=0, atol=1e-4)


def test_a_parameter_whose_data_get_another_shape_is_read_anew() -> None:
    weights = torch.ones(3)

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1e-6))
        pyro.sample("y", dist.Normal(x + weights.sum() / weights.shape[0], 1e-6))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    for _ in range(REPEATS):
        scm.sample(3, seed=0)
    assert _graphs(scm)
    weights.data = torch.full((6,), 2.0)
    torch.testing.assert_close(
        scm.sample(3, seed=0)["y"], torch.full((3,), 2.0), rtol=0, atol=1e-4
    )


class _Configuration(dict[str, float]):
    beta = 1.0


def test_attributes_of_containers_and_numbers_are_watched() -> None:
    configuration = _Configuration()

    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1e-6))
        pyro.sample("y", dist.Normal(x + configuration.beta, 1e-6))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    for _ in range(REPEATS):
        scm.sample(3, seed=0)
    configuration.beta = 2.0
    torch.testing.assert_close(
        scm.sample(3, seed=0)["y"], torch.full((3,), 2.0), rtol=0, atol=1e-4
    )


def test_modules_that_a_program_imports_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ModuleType("settings_of_a_test")
    settings.beta = 1.0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, settings.__name__, settings)

    def program() -> None:
        import settings_of_a_test  # type: ignore[import-not-found]

        x = pyro.sample("x", dist.Normal(0.0, 1e-6))
        pyro.sample("y", dist.Normal(x + settings_of_a_test.beta + settings.beta, 1e-6))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    for _ in range(REPEATS):
        scm.sample(3, seed=0)
    settings.beta = 2.0  # type: ignore[attr-defined]
    torch.testing.assert_close(
        scm.sample(3, seed=0)["y"], torch.full((3,), 4.0), rtol=0, atol=1e-4
    )


def test_one_answer_can_be_changed_without_changing_the_next() -> None:
    scm = pc.SCM(_clinic)
    scm._core.replays.patience = 0.0
    unit = dict(scm.sample(3, seed=0))
    for _ in range(REPEATS):
        abduction = scm.abduct(unit, seed=0)
    routes = dict(abduction.routes)
    abduction.routes.clear()  # type: ignore[attr-defined]
    assert scm.abduct(unit, seed=0).routes == routes


def test_a_graph_keeps_no_evidence_alive() -> None:
    scm = pc.SCM(_clinic)
    scm._core.replays.patience = 0.0
    unit = dict(scm.sample(50, seed=0))
    for seed in range(REPEATS):
        scm.counterfactual(unit, {"treated": 1.0}, seed=seed)
    assert len(_graphs(scm)) >= 2  # the abduction and the prediction
    kept = weakref.ref(unit["severity"])
    del unit
    gc.collect()
    assert kept() is None


def test_two_questions_with_the_same_actions_on_other_sides_are_not_mixed_up() -> None:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        y = pyro.sample("y", dist.Normal(0.0, 1.0))
        pyro.sample("z", dist.Normal(x + 10 * y, 1.0))

    scm = pc.SCM(program)
    scm._core.replays.patience = 0.0
    unit = {"x": [1.0], "y": [1.0], "z": [11.5]}
    for _ in range(REPEATS):
        standing = scm.do(x=1.0).counterfactual(unit, {"y": 2.0})
        plain = scm.counterfactual(unit, {"x": 3.0, "y": 2.0})
    assert (float(standing["x"]), float(plain["x"])) == (1.0, 3.0)
    assert float(standing["z"]) == pytest.approx(21.5)
    assert float(plain["z"]) == pytest.approx(23.5)
