"""Evidence within limits: censored, rounded and truncated values, against closed forms."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

import pyrocausal as pc

INF: Final = float("inf")
DRAWS: Final = 2000
GRID: Final = torch.linspace(-8.0, 8.0, 8001, dtype=torch.float64)


# dose -> time
@pc.scm
def survival() -> None:
    dose = pyro.sample("dose", dist.Uniform(0.0, 1.0))
    pyro.sample("time", dist.Exponential(torch.exp(dose - 3.0)))


# x -> y -> z
@pc.scm
def chain() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    y = pyro.sample("y", dist.Normal(x, 1.0))
    pyro.sample("z", dist.Normal(torch.sin(y), 0.5))


# rate -> count -> cost
@pc.scm
def clinic() -> None:
    rate = pyro.sample("rate", dist.Gamma(4.0, 2.0))
    count = pyro.sample("count", dist.Poisson(rate))
    pyro.sample("cost", dist.Normal(2.0 * count, 1.0))


clinic._core.replays.patience = INF  # a busy machine would start to capture a slow search


def agrees(drawn: Tensor, mean: float, sd: float, effective: float = DRAWS) -> bool:
    """Say whether draws have a mean, up to four standard errors."""
    return bool(abs(float(drawn.double().mean()) - mean) < 4 * sd / effective**0.5)


def test_noise_of_a_rounded_value_is_a_truncated_normal() -> None:
    evidence = {"x": 0.5, "y": pc.between(1.5, 2.5)}
    abduction = chain.abduct(evidence, num_draws=DRAWS, seed=0)
    noise = abduction.noise.known["y"]
    assert isinstance(noise, Tensor)
    exact = stats.truncnorm(1.0, 2.0)
    assert stats.kstest(noise.flatten().numpy(), exact.cdf).pvalue > 0.001
    assert abduction.routes == {"x": "exact", "y": "truncated", "z": "prior"}
    assert "given 1.5<=y<=2.5, x=0.5" in str(abduction)
    assert chain.plan(evidence).routes == abduction.routes


def test_a_censored_time_would_have_been_longer_in_proportion() -> None:
    low, dose = torch.tensor([3.0, 90.0]), torch.tensor([0.5, 0.2])
    evidence = {"dose": dose, "time": pc.between(low, INF)}
    answer = survival.counterfactual(evidence, {"dose": 1.0}, num_draws=DRAWS, seed=0)
    # Without memory: the time that is left is exponential anew, and all time is scaled by rates.
    shrunk, scale = torch.exp(dose - 1.0), torch.exp(3.0 - dose)
    for unit in range(2):
        law = stats.expon(float(low[unit] * shrunk[unit]), float(scale[unit] * shrunk[unit]))
        assert stats.kstest(answer["time"][:, unit].numpy(), law.cdf).pvalue > 0.001
    assert bool((answer.factual["time"] >= low).all())


def test_a_rounded_count_would_have_been_what_enumeration_says() -> None:
    evidence = {"rate": 2.0, "count": pc.between(2.0, 5.0)}
    answer = clinic.counterfactual(evidence, {"rate": 3.0}, num_draws=DRAWS, seed=0)
    # Quantile coupling: u is uniform from F(1) to F(5), and the count the smallest with F >= u.
    u = np.linspace(stats.poisson(2.0).cdf(1), stats.poisson(2.0).cdf(5), 20_001)
    u = (u[1:] + u[:-1]) / 2
    for values, law in ((answer.factual["count"], 2.0), (answer["count"], 3.0)):
        expected = np.bincount(stats.poisson(law).ppf(u).astype(int), minlength=12) / len(u)
        found = np.bincount(values.long().numpy(), minlength=12) / DRAWS
        error = np.sqrt(expected * (1 - expected) / DRAWS)
        assert np.all(np.abs(found - expected) <= 4 * error + 1e-9)
    assert answer.routes["count"] == "quantile, truncated"
    assert "the coupling of the discrete variables count (quantile)" in answer.assumptions


def test_a_censored_child_tells_of_its_unknown_cause() -> None:
    abduction = survival.abduct({"time": pc.between([30.0, 200.0], INF)}, num_draws=DRAWS, seed=0)
    assert abduction.routes == {"dose": "importance", "time": "truncated"}
    dose = torch.linspace(0.0, 1.0, 10_001).double()
    for unit, low in enumerate((30.0, 200.0)):
        weight = torch.exp(-low * torch.exp(dose - 3.0))
        weight = weight / weight.sum()
        mean = float(weight @ dose)
        sd = float(weight @ (dose - mean) ** 2) ** 0.5
        assert abduction.quality is not None
        effective = 1 / (1 / float(abduction.quality.ess[unit]) + 1 / DRAWS)
        assert agrees(abduction.factual["dose"][:, 0, unit], mean, sd, effective)


@pytest.mark.parametrize("seen", [("y",), ("y", "z"), ("x", "y", "z"), ("x", "z")])
def test_a_value_within_limits_is_inferred_with_its_causes_and_effects(
    seen: tuple[str, ...],
) -> None:
    """Only y is within limits; x and z are seen or not: against a grid over x and y."""
    limits, x0, z0 = (0.4, 1.0), -0.7, 0.2
    given: dict[str, Any] = {"y": pc.between(*limits), "x": x0, "z": z0}
    evidence = {name: given[name] for name in seen} | {"y": given["y"]}
    abduction = chain.abduct(evidence, num_draws=DRAWS, seed=1)
    x = (
        torch.linspace(-5.0, 5.0, 1001).double()
        if "x" not in seen
        else torch.tensor([x0]).double()
    )
    y = torch.linspace(*limits, 401).double()
    log_joint = dist.Normal(0.0, 1.0).log_prob(x)[:, None] + dist.Normal(x[:, None], 1.0).log_prob(
        y
    )
    if "z" in seen:
        log_joint = log_joint + dist.Normal(torch.sin(y), 0.5).log_prob(torch.tensor(z0).double())
    weight = log_joint.flatten().softmax(0).reshape(log_joint.shape)
    ess = DRAWS if abduction.quality is None else float(abduction.quality.ess[0])
    for name, grid, mass in (("x", x, weight.sum(1)), ("y", y, weight.sum(0))):
        mean = float(mass @ grid)
        sd = float(mass @ (grid - mean) ** 2) ** 0.5
        drawn = abduction.factual[name].flatten()
        assert agrees(drawn, mean, sd + 1e-6, 1 / (1 / ess + 1 / DRAWS))
    assert bool(((abduction.factual["y"] >= 0.4) & (abduction.factual["y"] <= 1.0)).all())
    if "z" in seen:
        assert abduction.routes["y"] == "importance"


def test_a_count_within_limits_is_weighed_by_what_it_cost() -> None:
    abduction = clinic.abduct(
        {"rate": 2.0, "count": pc.between(2.0, INF), "cost": 7.0}, num_draws=DRAWS, seed=0
    )
    k = torch.arange(2.0, 40.0)
    joint = dist.Poisson(2.0).log_prob(k) + dist.Normal(2 * k, 1.0).log_prob(torch.tensor(7.0))
    weight = joint.softmax(0)
    mean = float(weight @ k)
    sd = float(weight @ (k - mean) ** 2) ** 0.5
    assert abduction.quality is not None
    effective = 1 / (1 / float(abduction.quality.ess[0]) + 1 / DRAWS)
    assert agrees(abduction.factual["count"], mean, sd, effective)


def test_discrete_causes_of_a_censored_value_are_enumerated() -> None:
    @pc.scm
    def two_arms() -> None:
        arm = pyro.sample("arm", dist.Bernoulli(0.5))
        pyro.sample("time", dist.Weibull(torch.where(arm > 0, 3.0, 1.0), 1.5))

    abduction = two_arms.abduct({"time": pc.between(2.0, INF)}, num_draws=DRAWS, seed=0)
    assert abduction.routes["arm"] == "gumbel-max, enumeration"
    longer, shorter = (stats.weibull_min(1.5, scale=scale).sf(2.0) for scale in (3.0, 1.0))
    share = longer / (longer + shorter)
    assert agrees(abduction.factual["arm"], share, (share * (1 - share)) ** 0.5)


def test_units_are_seen_or_censored_or_missing_each_for_itself() -> None:
    nan, times = torch.nan, torch.tensor([5.0, 1.0, 1.0, torch.nan])
    evidence = {
        "dose": torch.full((4,), 0.5),
        "time": pc.between(
            torch.tensor([nan, 7.0, 0.0, -INF]),
            torch.tensor([nan, INF, 2.0, INF]),
            values=torch.where(torch.tensor([True, False, False, False]), times, nan),
        ),
    }
    abduction = survival.abduct(evidence, num_draws=500, seed=0)
    time = abduction.factual["time"][:, 0]
    assert bool((time[:, 0] == 5.0).all())
    assert bool((time[:, 1] >= 7.0).all())
    assert bool((time[:, 2] <= 2.0).all())
    mean = float(torch.tensor(2.5).exp())
    assert agrees(time[:, 3], mean, mean, 500)
    route = "exact, truncated where it has limits, prior where missing"
    assert abduction.routes["time"] == route
    again = survival.counterfactual(evidence, {}, num_draws=500, abduction=abduction, seed=0)
    assert torch.equal(again["time"], time)
    plan = survival.plan({"time": evidence["time"]})
    assert plan.patterns == (
        "1 unit with nothing observed (unit 3): nothing inferred",
        "2 units with time within limits observed (units 1, 2): dose by importance inferred",
        "1 unit with time observed (unit 0): dose by importance inferred",
    )


def test_entries_of_plates_and_vectors_have_limits_of_their_own() -> None:
    @pc.scm
    def repeated() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("times", 2, dim=-2):
            pyro.sample("x", dist.Normal(z, 1.0))
        pyro.sample("v", dist.Normal(z[..., None] * torch.ones(3), 1.0).to_event(1))

    low = torch.tensor([[0.0, -INF], [1.0, 2.0], [-INF, -INF]])
    evidence = {"x": pc.between(low, INF), "v": pc.between(torch.tensor([-1.0, 0.0, 1.0]), 3.0)}
    abduction = repeated.abduct(evidence, num_draws=DRAWS, seed=0)
    x, v = abduction.factual["x"], abduction.factual["v"]
    assert bool((x >= low).all())
    assert bool(((v >= torch.tensor([-1.0, 0.0, 1.0])) & (v <= 3.0)).all())
    assert float((x[:, 0, 2] < 0).double().mean()) > 0.1
    grid = GRID[:, None]
    mass = torch.log(
        torch.special.ndtr(3.0 - grid) - torch.special.ndtr(torch.arange(-1, 2) - grid)
    )
    for unit in range(3):
        log_joint = dist.Normal(0.0, 1.0).log_prob(GRID) + mass.nan_to_num(neginf=-1e9).sum(1)
        log_joint = log_joint + torch.special.log_ndtr(grid - low[unit].double()).sum(1)
        weight = log_joint.softmax(0)
        mean = float(weight @ GRID)
        sd = float(weight @ (GRID - mean) ** 2) ** 0.5
        assert abduction.quality is not None
        effective = 1 / (1 / float(abduction.quality.ess[unit]) + 1 / DRAWS)
        assert agrees(abduction.factual["z"][:, 0, unit], mean, sd, effective)


def test_a_vector_without_known_probabilities_is_weighed() -> None:
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])

    @pc.scm
    def joint() -> None:
        pyro.sample("x", dist.MultivariateNormal(torch.zeros(2), covariance))

    evidence = {"x": pc.between(torch.tensor([1.0, -INF]), torch.tensor([INF, 0.0]))}
    plan = joint.plan(evidence)
    assert plan.routes["x"] == "importance"
    assert plan.reasons["x"].startswith("seen within limits; inferred: weighed proposals")
    abduction = joint.abduct(evidence, num_draws=DRAWS, seed=0)
    x = abduction.factual["x"][:, 0, 0].double()
    assert bool(((x[:, 0] >= 1) & (x[:, 1] <= 0)).all())
    a, b = torch.meshgrid(torch.linspace(1, 6, 1001), torch.linspace(-5, 0, 1001), indexing="ij")
    points = torch.stack((a, b), -1)
    density = dist.MultivariateNormal(torch.zeros(2), covariance).log_prob(points).double()
    weight = density.flatten().softmax(0)
    assert abduction.quality is not None
    effective = 1 / (1 / float(abduction.quality.ess[0]) + 1 / DRAWS)
    for column in range(2):
        grid = points[..., column].flatten().double()
        mean = float(weight @ grid)
        assert agrees(x[:, column], mean, float(weight @ (grid - mean) ** 2) ** 0.5, effective)


def test_limits_are_read_after_the_action_by_condition() -> None:
    done = survival.do(dose=0.5).condition(time=pc.between(10.0, INF)).sample(DRAWS, seed=0)
    assert done.rung == 2
    assert agrees(done["time"], 10 + float(torch.tensor(2.5).exp()), 12.2)
    seen = survival.condition(time=pc.between(10.0, INF)).sample(DRAWS, seed=0)
    assert "P(V | 10<=time)" in str(seen)
    dose = torch.linspace(0.0, 1.0, 10_001).double()
    weight = torch.exp(-10 * torch.exp(dose - 3.0))
    mean = float(weight @ dose / weight.sum())
    assert agrees(seen["dose"], mean, 0.29, DRAWS / 2)


def test_questions_take_limits_as_evidence() -> None:
    evidence = {"dose": [0.0, 0.5], "time": pc.between([3.0, 1.0], INF)}
    effect = pc.ite(survival, "dose", "time", evidence=evidence, seed=0)
    # All time, the censored part too, is divided by e; what is expected of it is low + scale.
    scale = torch.exp(3.0 - torch.tensor([0.0, 0.5]))
    time = torch.tensor([3.0, 1.0]) + scale
    expected = time * torch.exp(torch.tensor([0.0, 0.5])) * (torch.exp(torch.tensor(-1.0)) - 1)
    assert torch.allclose(torch.as_tensor(effect.value).float(), expected, rtol=0.1)


def test_limits_far_in_a_tail_lose_nothing() -> None:
    @pc.scm
    def far() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0))

    draws = far.abduct({"z": 0.0, "x": pc.between(30.0, INF)}, num_draws=DRAWS, seed=0)
    above = draws.factual["x"].flatten().double() - 30.0
    # Mill's ratio: 1/30 - 2/30^3, and about exponential.
    assert agrees(above, 1 / 30 - 2 / 30**3, 1 / 30)
    cause = far.abduct({"x": pc.between(30.0, INF)}, num_draws=DRAWS, seed=0).factual["z"]
    # z | x is Normal(x / 2, 1/2), and x about its limit 30 plus an exponential of scale 1/15.
    assert agrees(cause, 15 + 1 / 30, 0.5**0.5, DRAWS / 2)


@pytest.mark.slow
def test_a_played_query_gives_what_the_first_one_gave() -> None:
    scm = pc.SCM(survival)
    scm._core.replays.patience = 0.0
    evidence = {"dose": torch.full((50,), 0.5), "time": pc.between(torch.arange(50.0), 60.0)}
    first, *later = (
        scm.counterfactual(evidence, {"dose": 1.0}, num_draws=3, seed=4)["time"] for _ in range(4)
    )
    for again in later:
        torch.testing.assert_close(again, first)
    chunked = scm.counterfactual(evidence, {"dose": 1.0}, num_draws=3, seed=4, max_memory=20_000)
    torch.testing.assert_close(chunked["time"], first)


def test_what_an_action_sets_is_checked_against_limits() -> None:
    done = survival.do(dose=0.5)
    given = {"dose": pc.between(0.2, 0.7)}
    assert done.abduct(given, seed=0).routes["time"] == "prior"
    with pytest.raises(ValueError, match="impossible for unit 0: an intervention sets it"):
        done.abduct({"dose": pc.between(0.6, 0.7)}, seed=0)


BAD: Final[dict[str, tuple[Callable[[], Any], type[Exception], str]]] = {
    "wrong order": (
        lambda: survival.abduct({"time": pc.between([1.0, 3.0], [2.0, 3.0])}),
        ValueError,
        r"low is not below high.*got 3 and 3\.",
    ),
    "NaN": (
        lambda: survival.abduct({"time": pc.between([1.0, torch.nan], 5.0)}),
        ValueError,
        r"evidence\['time'\]: low is NaN for unit 1\. Give minus infinity",
    ),
    "outside the support": (
        lambda: survival.abduct({"dose": [0.5, 0.5], "time": pc.between(-2.0, [3.0, -1.0])}),
        ValueError,
        r"evidence\['time'\] is impossible for unit 1: Exponential has no probability from -2 to -1",
    ),
    "outside the support of what is inferred": (
        lambda: survival.abduct({"time": pc.between(-2.0, [3.0, -1.0])}),
        ValueError,
        r"impossible for unit 1: none of 1000 proposals for dose gives it .*Correct 'time'",
    ),
    "no whole number": (
        lambda: clinic.abduct({"rate": 1.0, "count": pc.between(2.2, 2.8)}),
        ValueError,
        "no whole number lies within the limits for unit 0: got 2.2 and 2.8. Widen them",
    ),
    "shapes": (
        lambda: survival.abduct({"time": pc.between(torch.zeros(2, 3), 1.0)}),
        ValueError,
        r"evidence\['time'\] has the shape \(2, 3\); expected \(units,\)",
    ),
    "differing numbers of units": (
        lambda: survival.abduct({"dose": [0.1, 0.2, 0.3], "time": pc.between([1.0, 2.0], 5.0)}),
        ValueError,
        "differing numbers of units: .*'dose': 3, 'time': 2",
    ),
    "a name that is no variable": (
        lambda: survival.abduct({"tme": pc.between(1.0, INF)}),
        pc.UnknownVariable,
        "'tme'.*Did you mean 'time'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_limits_are_refused(case: str) -> None:
    ask, kind, words = BAD[case]
    with pytest.raises(kind, match=words):
        ask()


def test_categories_have_no_limits_unless_they_are_ordered() -> None:
    def kinds() -> None:
        kind = pyro.sample("kind", dist.Categorical(torch.ones(4)))
        pyro.sample("sick", dist.Bernoulli(logits=kind - 1.0))

    scm = pc.scm(kinds)
    for name, family in (("kind", "Categorical"), ("sick", "Bernoulli")):
        with pytest.raises(ValueError, match=rf"the values of {family} have no order.*{name}"):
            scm.abduct({name: pc.between(0.5, 2.0)}, seed=0)
        with pytest.raises(ValueError, match="have no order"):
            scm.plan({name: pc.between(0.5, 2.0)})
    ordered = pc.scm(kinds, noise={"kind": "quantile"})
    kind = ordered.abduct({"kind": pc.between(1.0, 2.5)}, num_draws=200, seed=0).factual["kind"]
    assert set(kind.flatten().tolist()) == {1, 2}


def test_a_function_of_its_causes_is_checked_against_limits() -> None:
    @pc.scm
    def total() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.deterministic("double", 2 * x)

    assert total.abduct({"x": 1.0, "double": pc.between(1.5, 2.5)}).routes["x"] == "exact"
    with pytest.raises(ValueError, match=r"impossible for unit 0: its causes give it"):
        total.abduct({"x": 1.0, "double": pc.between(2.5, 3.5)})
    with pytest.raises(pc.NotAbducible, match=r"'double'.*deterministic function of 'x'"):
        total.abduct({"double": pc.between(1.5, 2.5)})


def test_an_earlier_abduction_is_one_of_the_same_limits() -> None:
    evidence = {"dose": 0.5, "time": pc.between(3.0, INF)}
    abduction = survival.abduct(evidence, seed=0)
    survival.counterfactual(evidence, {"dose": 1.0}, abduction=abduction)
    other = {"dose": 0.5, "time": pc.between(4.0, INF)}
    with pytest.raises(ValueError, match="abduction is of other evidence"):
        survival.counterfactual(other, {"dose": 1.0}, abduction=abduction)
