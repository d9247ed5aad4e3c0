"""Questions that a guide serves: under interventions, of bad guides, with bad input."""

from collections.abc import Callable
from typing import Any, Final

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.errors import UnreliableWarning
from pyrocausal.inference.choosing import GUIDED, PROPOSALS

GRID: Final = torch.linspace(-6.0, 6.0, 6001, dtype=torch.float64)


# x -> m, y; m -> y
def bent() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    m = pyro.sample("m", dist.Normal(torch.tanh(2 * x) + 0.3 * x, 0.3))
    pyro.sample("y", dist.Normal(torch.sin(x) + 0.5 * m**2, 0.4))


@pytest.fixture(scope="module")
def guided() -> pc.SCM:
    scm = pc.SCM(bent)
    scm.amortize(steps=400, hidden=32, layers=2, head="mixture", seed=0, progress=False)
    return scm


def under_do(m: float, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of x where m was set and y was seen."""
    x, y = GRID, y.double()[:, None]
    log_joint = dist.Normal(0.0, 1.0).log_prob(x)
    log_joint = log_joint + dist.Normal(torch.sin(x) + 0.5 * m**2, 0.4).log_prob(y)
    weight = log_joint.softmax(1)
    mean = weight @ x
    return mean, (weight @ x**2 - mean**2).sqrt()


def test_a_guide_serves_where_a_value_was_set_its_proposals_weighed_there(guided: pc.SCM) -> None:
    done = guided.do(m=0.5)
    y = done.sample(40, seed=1)["y"]
    assert done.plan(["y"]).routes["x"] == "guide"
    abduction = done.abduct({"y": y}, num_draws=300, seed=0)
    assert "guide" in abduction.routes["x"]
    mean, sd = under_do(0.5, y)
    assert abduction.quality is not None
    error = sd * (1 / abduction.quality.ess.clamp(max=GUIDED) + 1 / 300).sqrt()
    away = (abduction.factual["x"].mean((0, 1)) - mean) / error
    assert float(away.abs().max()) < 4.5
    # As evidence, m would tell of x: what is set does not.
    alone = guided.abduct({"m": torch.full((40,), 0.5), "y": y}, num_draws=300, seed=0)
    assert float(((alone.factual["x"].mean((0, 1)) - mean) / error).abs().max()) > 10
    seen = done.condition(y=float(y[0])).sample(2000, seed=0)
    assert "guide" in seen.routes["x"]
    assert float(seen["x"].mean()) == pytest.approx(float(mean[0]), abs=4 * float(sd[0]) * 0.06)


def test_a_plan_says_why_a_guide_does_not_serve(guided: pc.SCM) -> None:
    plan = guided.do(m=pc.shift(1.0)).plan(["y"])
    assert plan.routes["x"] == "importance"
    assert "and the guide stands for the SCM without such interventions" in plan.reasons["x"]
    within = guided.plan({"y": pc.between(0.0, 1.0)})
    assert within.routes == {"x": "importance", "m": "importance", "y": "truncated"}
    assert "the guide reads values, and y is known up to limits" in within.reasons["x"]
    with pytest.raises(ValueError, match=r"method='guide' can't infer .*without such interv"):
        guided.do(m=pc.shift(1.0)).abduct({"y": 0.3}, method="guide")


def test_a_guide_that_learnt_nearly_nothing_warns_of_the_units_it_gets_wrong() -> None:
    """A guide that stands at the prior, and a sharp effect: far units have no good proposals."""

    def sharp() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x**3 + x, 0.005))

    scm = pc.scm(sharp)
    scm.amortize(steps=1, lr=1e-9, hidden=8, layers=1, seed=0, progress=False)
    sample = scm.sample(300, seed=3)
    with pytest.warns(UnreliableWarning):
        bad = scm.abduct({"y": sample["y"]}, method="guide", num_draws=100, seed=0)
    # The posterior is about normal around the truth, with the deviation .005 / (3 x^2 + 1).
    sd = 0.005 / (3 * sample["x"] ** 2 + 1)
    wrong = ((bad.factual["x"].mean((0, 1)) - sample["x"]) / sd).abs() > 4
    assert int(wrong.sum()) > 30
    assert bad.quality is not None
    assert float(bad.quality.unreliable[wrong].double().mean()) > 0.95
    good = scm.abduct({"y": sample["y"]}, num_draws=100, seed=0)
    assert good.quality is not None
    assert not bool(good.quality.unreliable.any())
    assert float(((good.factual["x"].mean((0, 1)) - sample["x"]) / sd).abs().max()) < 5


def test_weights_are_told_of_every_unit_whichever_way_served_it(guided: pc.SCM) -> None:
    nan = torch.nan
    evidence = {"m": [0.5, nan, 0.2], "y": [0.3, 0.4, 0.1]}
    abduction = guided.abduct(evidence, num_draws=20, seed=0)
    assert abduction.quality is not None
    told = abduction.quality.weights
    assert torch.equal(told[("x", "m")].counts > 0, torch.tensor([False, True, False]))
    assert torch.equal(told[("x",)].counts > 0, torch.tensor([True, False, True]))
    assert {int(n) for one in told.values() for n in one.counts} <= {0, GUIDED, PROPOSALS}


def test_the_quality_of_a_bayesian_answer_is_that_of_all_its_draws() -> None:
    @pc.scm
    def shared() -> None:
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
        with pc.units():
            x = pyro.sample("x", dist.Normal(0.0, 1.0))
            pyro.sample("y", dist.Normal(torch.sin(w * x) + x, 0.3))

    evidence = {"w": 1.0, "y": [0.2, 1.5]}
    answer = shared.counterfactual(evidence, {"x": 0.0}, num_draws=3, seed=0)
    assert answer.quality is not None
    weights = answer.quality.weights["x",]
    assert weights.counts.tolist() == [3 * PROPOSALS] * 2
    each = [part.double().softmax(0) for part in weights.to_tensor().split(PROPOSALS)]
    smallest = torch.stack([1 / part.square().sum(0) for part in each]).amin(0)
    torch.testing.assert_close(answer.quality.ess, smallest, rtol=0.05, atol=0.0)


BAD: Final[dict[str, tuple[Callable[[pc.SCM], Any], str]]] = {
    "infinite evidence": (
        lambda scm: scm.abduct({"y": [0.0, torch.inf]}),
        r"evidence\['y'\] holds an infinity",
    ),
    "a way that evidence leaves no need of": (
        lambda scm: scm.abduct({"x": 0.0, "m": 0.0, "y": 0.0}, method="guide"),
        "nothing is missing above the evidence",
    ),
    "a variable missing in part of what the guide knows": (
        lambda scm: scm.abduct({"m": [0.0], "y": pc.between(0.0, 1.0)}, method="guide"),
        "y is known up to limits",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_evidence_is_refused_with_a_guide_too(case: str, guided: pc.SCM) -> None:
    ask, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        ask(guided)


def test_evidence_that_is_impossible_is_refused_and_not_passed_for_perfect() -> None:
    def bounded() -> None:
        x = pyro.sample("x", dist.Uniform(0.0, 1.0))
        pyro.sample("y", dist.Uniform(torch.zeros(()), x + 0.1))

    scm = pc.scm(bounded)
    for _ in range(2):  # without a guide, and with one
        with pytest.raises(
            ValueError, match="impossible for unit 1: none of 1000 proposals for x"
        ):
            scm.abduct({"y": [0.5, 3.0]}, num_draws=10, seed=0)
        scm.amortize(steps=20, hidden=8, layers=1, seed=0, progress=False)


def test_a_pattern_that_was_not_amortized_is_inferred_another_way() -> None:
    scm = pc.scm(bent)
    patterns = [["m", "y"]]
    scm.amortize(steps=20, patterns=patterns, hidden=8, layers=1, seed=0, progress=False)
    assert scm.plan(["m", "y"]).routes["x"] == "guide"
    plan = scm.plan(["y"])
    assert plan.routes["x"] == "importance"
    assert "and the guide doesn't cover m, x given y" in plan.reasons["x"]
    assert scm.abduct({"y": 0.3}, seed=0).routes["x"] == "importance"
    with pytest.raises(ValueError, match="the guide doesn't cover m, x given y"):
        scm.abduct({"y": 0.3}, method="guide")
