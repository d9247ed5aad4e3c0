"""Ratios without a denominator, outcomes that are acted on, ranges of evidence, exact zeros."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc


# z -> x -> y <- z, E[y(x)] = base + 2 x
def ward(base: float = 0.0) -> pc.SCM:
    def program() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        x = pyro.sample("x", dist.Bernoulli(torch.sigmoid(z)))
        y = pyro.sample("y", dist.Normal(base + 2.0 * x + z, 1.0))
        pyro.sample("ill", dist.Bernoulli(torch.sigmoid(20.0 * (y - 6.0))))

    return pc.SCM(program)


def about_ratio(answer: pc.Effect) -> list[str]:
    return [words for words in answer.warnings if "ratio" in words]


def test_a_ratio_to_a_mean_that_is_not_told_from_zero_is_warned_of() -> None:
    answer = pc.ate(ward(), "x", "y", scale="ratio", num_samples=1000, seed=0)
    (words,) = about_ratio(answer)
    assert "the mean under control" in words
    assert "ask for the difference" in words
    assert f"warning: {words}" in str(answer)


def test_a_ratio_of_means_far_from_zero_is_not() -> None:
    answer = pc.ate(ward(5.0), "x", "y", scale="ratio", num_samples=1000, seed=0)
    assert not answer.warnings
    assert answer.value == pytest.approx(7 / 5, abs=4 * answer.se)


def test_a_ratio_of_means_of_different_signs_is_warned_of() -> None:
    (words,) = about_ratio(pc.ate(ward(-1.0), "x", "y", scale="ratio", seed=0))
    assert "different signs" in words


def test_odds_of_hardly_any_cases_are_warned_of() -> None:
    risk = {"ill": 1}
    few = pc.ate(ward(3.0), "x", risk, scale="odds ratio", num_samples=300, seed=0)
    assert "within 3 standard errors" in about_ratio(few)[0]
    many = pc.ate(ward(5.0), "x", risk, scale="odds ratio", num_samples=2000, seed=0)
    assert not many.warnings


def test_what_the_parameters_leave_open_counts_too() -> None:
    def program() -> None:
        base = pyro.param("base", torch.tensor(0.0))
        x = pyro.sample("x", dist.Bernoulli(torch.tensor(0.5)))
        pyro.sample("y", dist.Normal(base + 2.0 * x, 1.0))

    x = torch.tensor([0.0, 1.0]).repeat(50)
    model = pc.SCM(program)
    noise = torch.randn(100, generator=torch.Generator().manual_seed(0))
    y = 0.2 + 2.0 * x + noise - noise.mean()
    model.fit({"x": x, "y": y}, steps=50, lr=0.1, uncertainty="laplace", progress=False, seed=0)
    # Chance alone tells 0.2 from 0 at 20 000 draws (error 0.007); 100 rows don't (error 0.1).
    answer = pc.ate(model, "x", "y", scale="ratio", seed=0)
    assert "within 3 standard errors (0.1 each)" in about_ratio(answer)[0]
    assert not pc.ate(model, "x", "y", seed=0).warnings


def test_each_subgroup_is_looked_at() -> None:
    answer = pc.cate(ward(), "x", "y", by="z", bins=[-3, -2, 0.5, 3], scale="ratio", seed=0)
    assert len(about_ratio(answer)) == 1


ACTED: dict[str, Callable[[pc.SCM], Any]] = {
    "ate": lambda m: pc.ate(m, "x", "x"),
    "att": lambda m: pc.att(m, "x", "x"),
    "an event": lambda m: pc.ate(m, "x", {"x": 1}),
    "ite": lambda m: pc.ite(m, "x", "x", evidence={"z": 0.0, "x": 0.0, "y": 0.0, "ill": 0.0}),
    "cate": lambda m: pc.cate(m, "x", "x", by="z"),
    "a dose": lambda m: pc.dose_response(m, "z", "z", doses=[0.0, 1.0]),
    "quantiles": lambda m: pc.quantile_effect(m, "x", "x"),
    "two treatments": lambda m: pc.ate(m, ["x", "y"], "x", values=((1.0, 0.0), (0.0, 0.0))),
    "pns": lambda m: pc.pns(m, "x", "x"),
    "a policy": lambda m: pc.policy_value(m, lambda v: v["z"] > 0, "x", treatment="x"),
}


@pytest.mark.parametrize("ask", ACTED.values(), ids=ACTED)
def test_a_treatment_is_no_outcome(ask: Callable[[pc.SCM], Any]) -> None:
    with pytest.raises(ValueError, match=r"outcome [xz] is itself acted on.*lies below it"):
        ask(ward())


def test_units_are_chosen_by_a_range() -> None:
    model, between = ward(), pc.between(0.0, 1.0)
    found = pc.ate(model, "x", "y", given={"z": between}, num_samples=4000, seed=0)
    by_rule = pc.ate(
        model, "x", "y", given=lambda v: (v["z"] >= 0) & (v["z"] <= 1), num_samples=4000, seed=0
    )
    assert found.value == by_rule.value
    assert "z in [0, 1]" in found.query
    half = pc.ate(model, "x", "y", given={"z": pc.between(0.0, torch.inf), "x": 1}, seed=0)
    assert half.rung == 3


def test_a_range_beside_an_exact_value_is_evidence() -> None:
    # Given y = 4, z has the density of N(0, 1) N(4; 2 x + z, 1) s(x, z), here cut off below at 1.
    given = {"y": 4.0, "z": pc.between(1.0, torch.inf)}
    found = pc.ate(ward(), "x", {"ill": 1}, given=given, num_samples=2000, seed=0)
    factual = pc.effect(ward(), pc.Y("z"), given=given, num_samples=4000, seed=0)
    z = torch.linspace(1.0, 9.0, 8001, dtype=torch.float64)
    arms = [
        torch.exp(-(z**2) / 2 - (4 - 2 * x - z) ** 2 / 2) * torch.sigmoid(z if x else -z)
        for x in (0, 1)
    ]
    weight = torch.stack(arms).sum(0)
    assert factual.value == pytest.approx(float((z * weight).sum() / weight.sum()), abs=0.06)
    assert found.interval is not None


def test_the_chance_of_a_range_of_a_continuous_outcome() -> None:
    found = pc.ate(ward(), "x", {"y": pc.between(0.0, 2.0)}, num_samples=20_000, seed=0)
    normal = torch.distributions.Normal(0.0, 2**0.5)
    inside = [normal.cdf(torch.tensor(2.0 - m)) - normal.cdf(torch.tensor(-m)) for m in (2.0, 0.0)]
    assert found.value == pytest.approx(float(inside[0] - inside[1]), abs=4 * found.se)
    assert found.query == "P(y in [0, 2] | do(x=1)) - P(y in [0, 2] | do(x=0))"
    seen = {"z": 0.0, "x": 0.0, "y": 1.0, "ill": 0.0}
    unit = pc.ite(ward(), "x", {"y": pc.between(0.0, 2.0)}, evidence=seen, seed=0)
    assert unit.query.startswith("y(x=1) in [0, 2] - y(x=0) in [0, 2]")
    assert unit.value.tolist() == [-1.0]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((2, 1), ValueError, "low is not below high: got 2 and 1"),
        ((1.0, 1.0), ValueError, "a value that is known is given as such"),
        ((torch.tensor([0.0, 3.0]), 2.0), ValueError, "got 3 and 2"),
        (("young", "old"), TypeError, "between: low holds words, such as 'young'"),
        ((0.0, None), TypeError, "between: high is None"),
        (([0.0, 1.0], [1.0, 2.0, 3.0]), ValueError, "low has the shape"),
    ],
)
def test_limits_are_looked_at_where_they_are_written(
    given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pc.between(*given)


def test_values_in_the_place_of_limits_excuse_these() -> None:
    pc.between(torch.tensor([2.0, 0.0]), 1.0, values=torch.tensor([5.0, torch.nan]))


def test_an_error_that_is_mere_rounding_is_printed_as_zero() -> None:
    effect = pc.ate(pc.zoo.homework(), "H", "Y", seed=0)  # linear: each unit gains the same
    assert "Monte Carlo error: 0\n" in str(effect)
    assert "(sd: Monte Carlo 0)" in str(effect)
    real = pc.ate(ward(), "x", {"y": pc.between(0.0, 2.0)}, num_samples=1000, seed=0)
    assert "Monte Carlo error: 0\n" not in str(real)
