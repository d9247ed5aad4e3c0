"""Average effects, subgroups, units: against closed forms and brute-force enumeration."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc

N = 20_000

P_Z = 0.4
P_X = {0: 0.3, 1: 0.8}  # P(X=1 | z)
P_M = {(0, 0): 0.2, (0, 1): 0.5, (1, 0): 0.6, (1, 1): 0.9}  # P(M=1 | x, z)
P_Y = {  # P(Y=1 | x, m, z)
    key: 0.05 + 0.2 * key[0] + 0.3 * key[1] + 0.15 * key[2] + 0.2 * key[0] * key[1]
    for key in product((0, 1), repeat=3)
}


def table(chances: dict[Any, float], *keys: Tensor) -> Tensor:
    """Look a chance up by the values of its parents."""
    shape = (2,) * len(keys)
    values = torch.zeros(shape)
    for key, chance in chances.items():
        values[key if isinstance(key, tuple) else (key,)] = chance
    return values[tuple(k.long() for k in keys)]


@pc.scm
def ward() -> None:
    z = pyro.sample("z", dist.Bernoulli(P_Z))
    x = pyro.sample("x", dist.Bernoulli(table(P_X, z)))
    m = pyro.sample("m", dist.Bernoulli(table(P_M, x, z)))
    pyro.sample("y", dist.Bernoulli(table(P_Y, x, m, z)))


def bern(chance: float, value: int) -> float:
    return chance if value else 1 - chance


def states() -> Iterator[tuple[float, int, int]]:
    """Yield the probability of each state of (z, x)."""
    for z, x in product((0, 1), repeat=2):
        yield bern(P_Z, z) * bern(P_X[z], x), z, x


def mean_y(x: int, z: int) -> float:
    """``E[Y | do(X=x), z]``, by enumeration over m."""
    return sum(bern(P_M[x, z], m) * P_Y[x, m, z] for m in (0, 1))


def average(value: Callable[[int, int], float], meant: Callable[[int, int], bool]) -> float:
    chosen = [(p, z, x) for p, z, x in states() if meant(z, x)]
    return sum(p * value(z, x) for p, z, x in chosen) / sum(p for p, _, _ in chosen)


def gain(z: int, x: int) -> float:
    return mean_y(1, z) - mean_y(0, z)


def close(answer: pc.Effect, truth: float) -> bool:
    assert answer.se is not None
    return abs(float(answer.value) - truth) < 4 * float(answer.se)


def test_average_effects_of_all_the_treated_and_the_untreated() -> None:
    for question, meant in (
        (pc.ate, lambda z, x: True),
        (pc.att, lambda z, x: x == 1),
        (pc.atu, lambda z, x: x == 0),
    ):
        answer = question(ward, "x", "y", num_samples=N, seed=1)
        assert close(answer, average(gain, meant)), question
        assert answer.rung == (2 if question is pc.ate else 3)
    assert pc.ett is pc.att


@pytest.mark.parametrize("scale", ["ratio", "odds ratio"])
def test_relative_effects(scale: Any) -> None:
    one = average(lambda z, x: mean_y(1, z), lambda z, x: True)
    other = average(lambda z, x: mean_y(0, z), lambda z, x: True)
    truth = one / other if scale == "ratio" else one / (1 - one) / (other / (1 - other))
    assert close(pc.ate(ward, "x", "y", scale=scale, num_samples=N, seed=2), truth)


def test_subgroups_by_a_covariate_are_rung_2_and_by_a_mediator_rung_3() -> None:
    by = pc.cate(ward, "x", "y", by="z", num_samples=N, seed=3)
    assert by.rung == 2
    assert by.index.tolist() == [0.0, 1.0]
    truths = torch.tensor([gain(0, 0), gain(1, 0)])
    assert bool(((by.value - truths).abs() < 4 * torch.as_tensor(by.se)).all())
    assert pc.cate(ward, "x", "y", by="m", num_samples=2000, seed=3).rung == 3
    alone = pc.ate(ward, "x", "y", given={"z": 1}, num_samples=N, seed=4)
    assert alone.rung == 2
    assert close(alone, gain(1, 0))


def test_given_on_the_outcome_is_rung_3_and_counts_worlds_of_the_same_units() -> None:
    answer = pc.ate(ward, "x", "y", given={"y": 1, "x": 0}, num_samples=N, seed=5)
    assert answer.rung == 3
    # Under the monotone coupling of m and y nobody who recovers without x is harmed by x.
    assert float(answer.value) == 0.0


def test_ratio_of_monte_carlo_error_to_spread_is_one() -> None:
    found = [pc.ate(ward, "x", "y", num_samples=500, seed=seed) for seed in range(200)]
    values = torch.tensor([float(one.value) for one in found])
    errors = torch.tensor([float(one.se) for one in found if one.se is not None])
    # The sd of 200 values has a standard error of 5 %.
    assert abs(values.std() / errors.mean() - 1) < 0.2


@pc.scm
def unrolled() -> None:
    """Treatment-confounder feedback: l1 is moved by a0, and moves a1 and y."""
    a0 = pyro.sample("a0", dist.Bernoulli(0.5))
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    l1 = pyro.sample("l1", dist.Normal(0.5 * a0 + u, 1.0))
    a1 = pyro.sample("a1", dist.Bernoulli(logits=l1))
    pyro.sample("y", dist.Normal(a0 + 2.0 * a1 + l1 + u, 1.0))


def test_a_treatment_in_time_is_the_g_formula() -> None:
    answer = pc.ate(unrolled, ["a0", "a1"], "y", values=((1.0, 1.0), (0.0, 0.0)), seed=6)
    assert answer.rung == 2
    assert abs(float(answer.value) - 3.5) < 1e-4  # noise is shared, so all of it cancels


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal((2.0 + severity) * treated - severity, 0.5))


def test_each_unit_has_its_own_effect() -> None:
    import pandas as pd

    seen = pd.DataFrame(
        {"severity": [0.3, float("nan")], "treated": [0.0, 1.0]}, index=["Ann", "Bob"]
    )
    answer = pc.ite(clinic, "treated", "recovery", evidence=seen, seed=7)
    assert answer.index.tolist() == ["Ann", "Bob"]
    assert abs(float(answer.value[0]) - 2.3) < 1e-4
    assert answer.interval is not None
    lower, upper = (torch.as_tensor(end) for end in answer.interval)
    assert float(upper[1] - lower[1]) > 2.0


def test_a_continuous_condition_is_met_exactly() -> None:
    answer = pc.ate(clinic, "treated", "recovery", given={"severity": 1.0}, seed=8)
    assert abs(float(answer.value) - 3.0) < 1e-4
    assert answer.rung == 2


def test_quantiles_of_the_outcome_and_of_the_effect() -> None:
    marginal = pc.quantile_effect(clinic, "treated", "recovery", q=0.5, seed=9)
    # Median 2 treated (sd .5); 0 untreated.
    assert close(marginal, 2.0)
    effect = pc.quantile_effect(clinic, "treated", "recovery", q=0.9, of="individual", seed=9)
    assert close(effect, 2.0 + 1.2816)
    assert (marginal.rung, effect.rung) == (2, 3)


def test_doses_and_policies() -> None:
    curve = pc.dose_response(clinic, "severity", "recovery", doses=[0.0, 1.0], seed=10)
    chance = torch.sigmoid(torch.tensor([0.0, 1.5]))
    truth = (2.0 + torch.tensor([0.0, 1.0])) * chance - torch.tensor([0.0, 1.0])
    assert bool(((curve.value - truth).abs() < 4 * torch.as_tensor(curve.se)).all())
    all_severe = pc.policy_value(
        clinic, lambda v: (v["severity"] > 0).float(), "recovery", treatment="treated", seed=11
    )
    assert close(all_severe, 1.0 + (2 / torch.pi) ** 0.5 / 2)


def test_root_causes_of_a_unit_sum_to_its_distance_from_the_mean() -> None:
    slow = {"severity": 1.0, "treated": 1.0, "recovery": 5.0}
    why = pc.attribute(clinic, slow, "recovery", seed=12)
    assert abs(float(why.value.sum()) - why.details["total"]) < 1e-4
    assert why.index[int(why.value.argmax())] == "recovery"


def test_a_change_is_attributed_to_the_mechanism_that_changed() -> None:
    @pc.scm
    def later() -> None:
        severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
        treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity + 2.0))
        pyro.sample("recovery", dist.Normal((2.0 + severity) * treated - severity, 0.5))

    why = pc.attribute(clinic, later, "recovery", seed=13)
    share = dict(zip(why.index, why.value.tolist(), strict=True))
    assert abs(share["severity"]) < 1e-6
    assert abs(share["recovery"]) < 1e-6
    assert abs(share["treated"] - why.details["total"]) < 1e-6
    assert share["treated"] > 0.3


def test_an_outcome_that_does_not_descend_from_the_treatment_has_no_effect_and_says_so() -> None:
    answer = pc.ate(clinic, "treated", "severity", seed=14)
    assert float(answer.value) == 0.0
    assert "does not descend" in answer.warnings[0]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: pc.ate(clinic, "tread", "recovery"), "Did you mean"),
        (lambda: pc.ate(clinic, "treated", "recover"), "recovery"),
        (lambda: pc.att(clinic, "severity", "recovery"), "range"),
        (lambda: pc.ate(clinic, "treated", "recovery", sede=1), "seed"),  # type: ignore[call-arg]
        (lambda: pc.ate(clinic, "treated", "recovery", values=1.0), "treated and the control"),  # type: ignore[arg-type]
        (lambda: pc.ate(clinic, "treated", "recovery", given=lambda v: v["severity"]), "boolean"),
        (lambda: pc.ate(clinic, "treated", "recovery", given=lambda v: v["sev"] > 0), "severity"),
        (lambda: pc.ate(clinic, "treated", "recovery", given={"treated": 7}), "at least 30"),
        (lambda: pc.cate(clinic, "treated", "recovery", by="age"), "by"),
        (lambda: pc.ite(clinic, "treated", "recovery"), "evidence"),
        (lambda: pc.pn(clinic, "treated", "recovery"), "event"),
        (lambda: pc.ate(clinic, "treated", "recovery", scale="log"), "difference"),  # type: ignore[arg-type]
        (lambda: pc.ate(clinic, "treated", "recovery", scale="odds ratio"), "probabilities"),
        (lambda: pc.ate(clinic, "treated", "recovery", level=95), "level"),
        (lambda: pc.quantile_effect(clinic, "treated", "recovery", q=50), "between 0 and 1"),
        (lambda: pc.dose_response(clinic, "severity", "recovery", doses=[]), "doses"),
    ],
)
def test_bad_questions_are_refused_in_words(ask: Callable[[], object], words: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError), match=words):
        ask()
