"""`pc.check` lets right models pass, and flags each kind of broken one by the check made for it."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pictures import rendered
from scipy import stats
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.checking import CheckReport
from pyrocausal.noise.location_scale import NormalEquation

ROWS: Final = 1000


def ward_program() -> None:
    # age -> treated, score; treated -> visits, score; visits -> score
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=age))
    visits = pyro.sample("visits", dist.Poisson(torch.exp(0.5 * treated)))
    pyro.sample("score", dist.Normal(age + treated + 0.2 * visits, 1.0))


def ward() -> pc.SCM:
    return pc.SCM(ward_program, name="ward")


def rows(seed: int = 1) -> dict[str, Tensor]:
    return dict(ward().sample(ROWS, seed=seed))


def failed(report: CheckReport) -> set[tuple[str, str]]:
    return {(found.check, found.variable) for found in report.failures}


def test_a_right_model_passes_each_check_and_prints_one_table() -> None:
    report = pc.check(ward(), rows(), seed=0, units=100)
    assert report.passed, report
    assert {found.check for found in report.findings} == {
        "calibration of abduction",
        "marginal law",
        "noise given causes",
        "independent noises",
        "implied independences",
        "overlap",
        "composition",
        "effectiveness",
        "reversibility",
    }
    lines = str(report).splitlines()
    assert lines[0].startswith("ward: ")
    assert lines[0].endswith("nothing wrong")
    assert lines[1].split() == ["check", "variable", "figure", "verdict"]
    assert len(lines) == 2 + len(report.findings) + len(report.warnings)
    frame = report.to_frame()
    assert len(frame) == len(report.findings)
    assert not frame["failed"].any()
    assert "<td>overlap</td>" in report._repr_html_()


def test_without_data_only_what_needs_none_is_checked() -> None:
    report = pc.check(ward(), seed=0, units=100)
    assert {found.check for found in report.findings} == {
        "calibration of abduction",
        "composition",
        "effectiveness",
        "reversibility",
    }
    assert report.passed


def test_a_seed_gives_the_same_report_and_data_of_that_seed_are_not_met_again() -> None:
    data = rows(seed=3)
    first, second = (pc.check(ward(), data, seed=3, units=50) for _ in range(2))
    assert str(first) == str(second)
    # Data simulated over again would have a distance of about zero.
    distances = [f.value for f in first.findings if f.check == "marginal law"]
    assert min(d for d in distances if d is not None) > 5e-3


@pytest.mark.slow
def test_right_models_are_rejected_as_rarely_as_the_level_says() -> None:
    level, runs = 0.1, 20
    counts: dict[str, int] = {}
    for seed in range(runs):
        data = dict(ward().sample(300, seed=1000 + seed))
        report = pc.check(ward(), data, seed=seed, units=40, level=level)
        for name in {found.check for found in report.failures}:
            counts[name] = counts.get(name, 0) + 1
    # The 99.9 % quantile of a binomial, for each of six checks that are tests.
    assert max(counts.values(), default=0) <= stats.binom.ppf(0.999, runs, level)


# A broken model for each check


def test_a_wrong_marginal_is_flagged() -> None:
    data = rows()
    data["age"] = data["age"] * 1.3 + 0.2
    report = pc.check(ward(), data, seed=0, units=50)
    assert ("marginal law", "age") in failed(report)
    assert "DATA DIFFER: mean 0.2" in str(report)


def test_a_count_with_a_wrong_rate_is_flagged() -> None:
    data = rows()
    data["visits"] = torch.poisson(
        torch.exp(0.9 * data["treated"]), torch.Generator().manual_seed(0)
    )
    found = failed(pc.check(ward(), data, seed=0, units=50))
    assert ("noise given causes", "visits") in found


def test_a_wrong_mean_function_is_flagged_where_the_marginal_is_right() -> None:
    # y has the standard normal law in both, and depends on |x| in the data alone.
    def flat() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.001 * x, 1.0))

    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, ROWS))
    y = stats.norm.ppf(stats.norm.cdf(np.abs(x) + 0.5 * e).argsort().argsort() / ROWS + 0.5 / ROWS)
    report = pc.check(pc.SCM(flat), {"x": x, "y": y}, seed=0, units=50)
    found = failed(report)
    assert ("noise given causes", "y") in found
    assert ("marginal law", "y") not in found
    assert "given x p = " in str(report)


def test_a_spread_that_moves_with_a_cause_is_flagged() -> None:
    data = rows()
    mean = data["age"] + data["treated"] + 0.2 * data["visits"]
    data["score"] = mean + (data["score"] - mean) * (0.5 + data["treated"])
    found = failed(pc.check(ward(), data, seed=0, units=50))
    assert ("noise given causes", "score") in found


def pair_program() -> None:
    pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(0.0, 1.0))


def test_dependent_noise_is_flagged_and_so_is_the_independence_it_breaks() -> None:
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, ROWS))
    report = pc.check(pc.SCM(pair_program), {"x": x, "y": 0.3 * x + np.sqrt(0.91) * e}, seed=0)
    assert failed(report) == {
        ("independent noises", "x, y"),
        ("implied independences", "x _||_ y"),
    }


def test_a_common_cause_that_the_model_lacks_shows_in_the_noises() -> None:
    # x -> m -> y in the model; in the data x and y share a cause too.
    def chain() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        m = pyro.sample("m", dist.Normal(x, 1.0))
        pyro.sample("y", dist.Normal(m, 1.0))

    rng = np.random.default_rng(0)
    u, a, b, c = rng.normal(size=(4, ROWS))
    x = (u + a) / np.sqrt(2)
    m = x + b
    y = m + (u + c) / np.sqrt(2)
    found = failed(pc.check(pc.SCM(chain), {"x": x, "m": m, "y": y}, seed=0))
    assert ("independent noises", "x, y") in found
    assert ("implied independences", "x _||_ y | m") in found


def chooser(strength: float) -> pc.SCM:
    def program() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        t = pyro.sample("t", dist.Bernoulli(logits=strength * x))
        pyro.sample("y", dist.Normal(t + x, 1.0))

    return pc.SCM(program)


@pytest.mark.parametrize(("strength", "weak"), [(1.0, False), (5.0, True)])
def test_treatment_without_overlap_is_flagged(strength: float, weak: bool) -> None:
    scm = chooser(strength)
    data = dict(scm.sample(ROWS, seed=1))
    report = pc.check(scm, data, seed=0, units=50)
    (found,) = (f for f in report.findings if f.check == "overlap")
    chance = torch.sigmoid(strength * data["x"].double())
    rare = float((torch.minimum(chance, 1 - chance) < 0.01).double().mean())
    assert found.value == pytest.approx(rare, abs=1e-9)
    assert found.failed is weak
    assert f"from {float(chance.min()):.3g} to {float(chance.max()):.3g}" in found.figure


class Forgetful(NormalEquation):
    """An equation whose noise is not that of the value."""

    def posterior(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        return 0.9 * super().posterior(x, v)


def test_an_equation_that_does_not_give_the_value_back_breaks_the_laws() -> None:
    scm = pc.SCM(pair_chain, noise={"y": lambda d: Forgetful(d, d.loc, d.scale)})
    report = pc.check(scm, seed=0, units=50)
    assert "composition" in {found.check for found in report.failures}
    assert pc.check(pc.SCM(pair_chain), seed=0, units=50).passed


def pair_chain() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(torch.tanh(2.0 * x), 0.5))


class Deaf(pc.SCM):
    """Does not do what it is told."""

    def counterfactual(self, evidence: Any = None, do: Any = None, **options: Any) -> Any:
        return super().counterfactual(evidence, [{} for _ in do], **options)


class Cyclic(pc.SCM):
    """Solves ``y = x + e`` for x, where y is set."""

    def counterfactual(self, evidence: Any = None, do: Any = None, **options: Any) -> Any:
        answer = dict(super().counterfactual(evidence, do, **options))
        for place, world in enumerate(do):
            if "y" in world:
                answer["x"][place] = world["y"] - (evidence["y"] - evidence["x"])
        return answer


def summed() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x, 1.0))


@pytest.mark.parametrize(("kind", "law"), [(Deaf, "effectiveness"), (Cyclic, "reversibility")])
def test_a_world_that_breaks_one_law_is_flagged_by_that_law(kind: type[pc.SCM], law: str) -> None:
    report = pc.check(kind(summed), seed=0, units=50)
    assert [found.check for found in report.failures] == [law]
    assert pc.check(pc.SCM(summed), seed=0, units=50).passed


def test_data_that_the_model_holds_for_impossible_are_named() -> None:
    data = rows()
    data["visits"] = data["visits"] - 1.0
    report = pc.check(ward(), data, seed=0, units=50)
    assert "THE DATA ARE IMPOSSIBLE: evidence['visits'] is impossible" in str(report)
    assert not report.passed


# Kinds of programs and of data


def test_inputs_and_shared_variables_are_taken_along() -> None:
    def program(dose: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(1.0, 0.0001))
        with pc.units():
            x = pyro.sample("x", dist.Normal(slope * dose, 1.0))
            pyro.sample("y", dist.Normal(x, 1.0))

    scm = pc.SCM(program)
    inputs = {"dose": torch.linspace(-2.0, 2.0, ROWS)}
    data = {n: scm.sample(ROWS, inputs=inputs, seed=1)[n] for n in ("x", "y")}
    report = pc.check(scm, data, inputs=inputs, seed=0)
    assert report.passed, report
    assert "all units share it, and each rank would take a fit" in str(report)
    data["x"] = data["x"] + 0.5 * inputs["dose"].sin()
    assert ("noise given causes", "x") in failed(pc.check(scm, data, inputs=inputs, seed=0))


def test_missing_values_and_latent_variables_are_allowed_for() -> None:
    scm = zoo.MODELS["instrument"].scm()
    data = scm.sample(400, seed=1).to_frame()
    data.loc[data.index % 5 == 0, "Y"] = np.nan
    report = pc.check(scm, data, seed=1)
    assert report.passed, report
    data["Y"] = 0.5 * data["Y"]
    assert not pc.check(scm, data, seed=1).passed


def test_vectors_and_deterministic_variables_are_allowed_for() -> None:
    for name in ("vector", "firing_squad"):
        scm = zoo.MODELS[name].scm()
        assert pc.check(scm, dict(scm.sample(400, seed=1)), seed=0, units=100).passed


def test_of_many_rows_some_are_looked_at_and_the_report_says_so() -> None:
    report = pc.check(ward(), rows(), rows=300, units=50, seed=0)
    assert "warning: 300 of 1000 rows were looked at, chosen at random" in str(report)


def test_neither_the_data_nor_the_global_generators_are_touched() -> None:
    data = pd.DataFrame({n: v.numpy() for n, v in rows().items()})
    before, state = data.copy(), torch.get_rng_state()
    pc.check(ward(), data, units=50, seed=0)
    pd.testing.assert_frame_equal(data, before)
    assert torch.equal(torch.get_rng_state(), state)


# Refuters


def test_refuters_join_the_table() -> None:
    scm = chooser(1.0)
    data = dict(scm.sample(300, seed=1))
    report = pc.check(scm, data, treatment="t", outcome="y", refute=True, units=50, seed=0)
    found = {f.check: f for f in report.findings if f.variable == "t -> y"}
    assert set(found) == {"placebo treatment", "random common cause", "data subset"}
    assert all(f.verdict.startswith("passed") for f in found.values())
    bow = zoo.MODELS["bow"].scm()
    unidentified = pc.check(
        bow, bow.sample(100, seed=0), treatment="X", outcome="Y", refute=True, units=50, seed=0
    )
    assert "not checked: P(y | do(x)) is not identified" in str(unidentified)


# Pictures


@pytest.mark.usefixtures("no_window")
def test_the_picture_has_a_histogram_for_each_variable_that_was_ranked() -> None:
    report = pc.check(ward(), rows(), seed=0, units=100)
    figure = rendered(report.plot())
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [*report.ranks]
    assert "age" in titles
    assert "noise of score" in titles
    assert sum(p.get_height() for p in figure.axes[0].patches[-20:]) == 100
    with pytest.raises(ValueError, match="nothing was ranked"):
        pc.check(ward(), evidence=["age"], seed=0).plot()


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scm": ward_program}, TypeError, "expected an SCM"),
        ({"scm": ward().do(age=1.0)}, ValueError, "without do"),
        ({"level": 0.0}, ValueError, "expected a probability"),
        ({"units": 0}, ValueError, "positive whole number"),
        ({"evidence": ["sex"]}, pc.UnknownVariable, "sex"),
        ({"treatment": "sex"}, pc.UnknownVariable, "sex"),
        ({"data": {"sex": [0.0] * 50}}, pc.UnknownVariable, "sex"),
        ({"data": {"age": [0.0] * 5}}, ValueError, "5 rows of data; expected 20"),
        ({"data": {"age": [0.0] * 50, "score": [0.0] * 40}}, ValueError, "differing numbers"),
        (
            {"refute": True, "treatment": "treated"},
            ValueError,
            "give data, treatment= and outcome=",
        ),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    chosen: dict[str, Any] = {"scm": ward(), "data": None, "seed": 0} | options
    with pytest.raises(error, match=message):
        pc.check(chosen.pop("scm"), chosen.pop("data"), **chosen)


def test_ages_in_whole_years_may_be_modelled_as_continuous() -> None:
    def cohort() -> None:
        age = pyro.sample("age", dist.Normal(50.0, 10.0))
        pyro.sample("weight", dist.Normal(60.0 + 0.2 * age, 5.0))

    model = pc.SCM(cohort)
    data = model.sample(1500, seed=0).to_frame()
    years = data.assign(age=data["age"].round())
    assert pc.check(model, years, units=50, seed=1).passed
    report = pc.check(model, years.assign(age=years["age"] + 3), units=50, seed=1)
    assert "age" in {f.variable for f in report.failures if f.check == "marginal law"}


def test_columns_that_are_no_variables_are_left_out_and_named() -> None:
    def cohort() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0))

    model = pc.SCM(cohort)
    data = model.sample(200, seed=0).to_frame()
    report = pc.check(model, data.assign(id=range(200), ward="north"), units=50, seed=1)
    assert "warning: columns that are no variables were left out: id, ward" in str(report)
    plain = pc.check(model, data, units=50, seed=1)
    assert report.to_frame().equals(plain.to_frame())
    with pytest.raises(pc.UnknownVariable, match="'id'"):
        pc.check(model, data[[]].assign(id=range(200)), seed=1)
