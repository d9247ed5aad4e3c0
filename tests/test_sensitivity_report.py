"""The report on an effect: real data, benchmarks against regressions, cards, pictures."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

import pyrocausal as pc
from pyrocausal import sensitivity as s
from pyrocausal.answers import Answer, Estimate, normal_interval

NUMBERS = ["age", "smokeintensity", "smokeyrs", "wt71"]
CODES = ["sex", "race", "education", "exercise", "active"]


def effect(value: float = 3.44, se: float = 0.5) -> Answer:
    return Estimate(value, se, normal_interval(value, {"sampling": se}), "ATE", rung=2)


def smokers(**options: Any) -> s.SensitivityReport:
    """Report on the effect of quitting on weight, adjusted as the book does."""
    data = pc.datasets.nhefs()
    data = data.astype(dict.fromkeys(["education", "exercise", "active"], "category"))
    data = data.assign(**{f"{name} squared": data[name] ** 2 for name in NUMBERS})
    both = {name: [name, f"{name} squared"] for name in NUMBERS}
    return s.report(
        effect(),
        data,
        treatment="qsmk",
        outcome="wt82_71",
        covariates=[*CODES, *NUMBERS, *(f"{name} squared" for name in NUMBERS)],
        benchmarks={name: [name] for name in CODES} | both,
        **options,
    )


def small(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z, noise, more = rng.normal(size=(4, rows))
    t = (x + noise > 0).astype(float)
    return pd.DataFrame({"t": t, "x": x, "z": z, "y": 2 * t + x + 0.3 * z + more})


def ask(data: Any = None, answer: Any = None, **options: Any) -> s.SensitivityReport:
    chosen = {"treatment": "t", "outcome": "y", "covariates": ["x", "z"]} | options
    return s.report(
        effect(2.0) if answer is None else answer, small() if data is None else data, **chosen
    )


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_report_on_quitting_smoking_has_the_books_numbers() -> None:
    found = smokers()
    assert found.regression.estimate == pytest.approx(3.46, abs=5e-3)  # outcome regression
    weighted = found.marginal[0]  # Lambda 1: inverse probability weighting
    assert weighted.lower == pytest.approx(3.44, abs=5e-3)
    assert weighted.upper == pytest.approx(3.44, abs=5e-3)
    assert found.warnings == ()
    assert found.benchmarks[0].covariate == "age"
    assert "would leave an effect of this sign" in found.verdict
    for text in ("sensitivity to an unmeasured confounder of ATE = 3.44", "as strong as age"):
        assert text in str(found)
        assert text in found._repr_html_()


def test_a_benchmark_is_what_regressions_say_of_the_covariate() -> None:
    data = small()
    found = ask(data, benchmarks=["x"], times=[1.0])

    def left(y: str, *names: str) -> Any:
        design = np.column_stack([np.ones(len(data)), *(data[n] for n in names)])
        residuals = data[y] - design @ np.linalg.lstsq(design, data[y], rcond=None)[0]
        return float(residuals @ residuals)

    r2_treatment = 1 - left("t", "z", "x") / left("t", "z")
    r2_outcome = 1 - left("y", "t", "z", "x") / left("y", "t", "z")
    (row,) = found.benchmarks
    assert row.adjusted is not None
    assert (row.adjusted.r2_treatment, row.adjusted.r2_outcome) == pytest.approx(
        tuple(s.benchmark(r2_treatment, r2_outcome))
    )
    assert found.to_frame().loc[("x", 1.0), "estimate"] == row.adjusted.estimate


def test_categories_count_as_one_covariate_of_several_columns() -> None:
    data = small().assign(g=lambda d: pd.cut(d["x"], 3, labels=["low", "mid", "high"]))
    found = ask(data, covariates=["g", "z"])
    dummies = data.assign(mid=(data["g"] == "mid") * 1.0, high=(data["g"] == "high") * 1.0)
    same = ask(dummies, covariates=["mid", "high", "z"], benchmarks={"g": ["mid", "high"]})
    assert found.regression.estimate == pytest.approx(same.regression.estimate)
    once = next(row for row in found.benchmarks if row.covariate == "g")
    assert once.adjusted is not None
    assert same.benchmarks[0].adjusted is not None
    assert once.adjusted.estimate == pytest.approx(same.benchmarks[0].adjusted.estimate)


def test_a_confounder_that_would_explain_all_of_the_treatment_is_said_to_overturn() -> None:
    data = small().assign(x=lambda d: d["t"] + 0.1 * d["x"])
    found = ask(data)
    row = next(row for row in found.benchmarks if row.covariate == "x")
    assert row.adjusted is None
    assert row.overturns
    assert found.verdict == "a confounder 1 times as strong as x could explain the effect away"
    assert "1 x: would explain all of the treatment" in str(found)


def test_the_evalue_is_that_of_the_effects_scale() -> None:
    sd = float(small()["y"].std())
    found, same = ask().evalue, s.evalue(2.0 / sd, scale="difference", se=0.5 / sd)
    assert found is not None
    assert (found.point, found.limit) == pytest.approx((same.point, same.limit))
    data = small().assign(y=lambda d: (d["y"] > 1).astype(float))
    ratio = Estimate(2.0, 0.2, normal_interval(2.0, {"sampling": 0.2}), "RR", rung=2)
    lower, upper = (float(limit) for limit in ratio.interval or ())
    assert ask(data, ratio, scale="ratio").evalue == s.evalue(2.0, lower, upper)
    common = s.evalue(2.0, lower, upper, scale="odds ratio", rare=False)
    assert ask(data, ratio, scale="odds ratio").evalue == common
    risks = ask(data, effect(0.2, 0.05))
    control = float((data["y"] - risks.regression.estimate * data["t"]).mean())
    assert risks.evalue is not None
    assert risks.evalue.risk_ratio == pytest.approx((control + 0.2) / control)
    assert risks.manski is not None  # the range of a binary outcome is known


def test_a_dose_has_neither_odds_nor_manskis_bounds() -> None:
    found = ask(small().assign(t=lambda d: d["t"] + 0.1 * d["z"] ** 2))
    assert (found.marginal, found.tipping, found.manski) == ((), None, None)
    with pytest.raises(ValueError, match="need a treatment that is 0 or 1"):
        found.plot("odds")


def test_an_effect_far_from_the_regression_and_lack_of_overlap_are_warned_of() -> None:
    assert "linear regression says" in ask(answer=effect(9.0)).warnings[0]
    data = small().assign(x=lambda d: d["x"] + 20 * d["t"])
    assert "overlap: 1e+02 % of the units" in " ".join(ask(data, covariates=["x"]).warnings)


@pytest.mark.parametrize("of", ["estimate", "t"])
def test_contours_show_the_strengths_that_overturn_and_the_benchmarks(of: Any) -> None:
    found = smokers()
    ax = found.plot(of)
    assert ax.get_xlabel() == "partial R² of the confounder with qsmk"
    assert ax.get_ylabel() == "partial R² of the confounder with wt82_71"
    texts = [text.get_text() for text in ax.texts]
    assert {"3 x age", "3 x wt71", "3 x sex"} <= set(texts)
    assert len(ax.lines) == 3
    critical = ax.collections[-1]
    turning = 0.0 if of == "estimate" else 1.96
    assert critical.levels == pytest.approx([turning], abs=2e-3)  # type: ignore[attr-defined]
    (line,) = (np.asarray(path.vertices) for path in critical.get_paths() if len(path))
    for x, y in line[::20]:
        there = s.ovb_bounds(
            found.regression.estimate, found.regression.se, found.regression.df, x, y
        )
        assert getattr(there, of) == pytest.approx(turning, abs=0.05)


def test_the_range_over_the_odds_is_drawn_into_given_axes() -> None:
    found = ask(resamples=5, seed=0)
    ax = plt.subplots()[1]
    assert found.plot("odds", ax) is ax
    assert ax.get_xlabel().startswith("factor Λ")
    legend = ax.get_legend()
    assert legend is not None
    assert {"bounds", "95 % interval"} <= {text.get_text() for text in legend.get_texts()}


def test_without_matplotlib_a_picture_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[plot\]'"):
        ask().plot()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"treatment": "tt"}, pc.UnknownVariable, "no column 'tt'. Did you mean 't'"),
        ({"covariates": ["x", "w"]}, pc.UnknownVariable, "no column 'w'"),
        ({"benchmarks": ["w"]}, pc.UnknownVariable, "no covariate 'w'"),
        ({"covariates": "x"}, TypeError, "expected a list of names"),
        ({"covariates": ["x", "t"]}, ValueError, "expected each name once"),
        ({"scale": "log"}, ValueError, "expected one of difference, ratio, odds ratio"),
        ({"answer": 2.0}, TypeError, "expected an answer"),
        ({"data": small(5)}, ValueError, "at least two more units"),
        ({"data": small().assign(z=1.0)}, ValueError, "one is constant"),
        ({"data": small().assign(y=1.0)}, ValueError, "'y' is 1 in all units"),
        ({"data": small().assign(x=np.nan)}, ValueError, "x has 60 missing"),
        ({"data": small().assign(y="a")}, TypeError, "y holds words"),
        ({"outcome_range": (0.0, 1.0)}, ValueError, "outside of"),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ask(**options)


def test_an_answer_without_a_point_is_refused() -> None:
    none = Estimate(float("nan"), None, None, "ATE", rung=2)
    with pytest.raises(ValueError, match=r"ATE without a number.*twin"):
        s.report(none, {}, treatment="t", outcome="y", covariates=[])


def test_an_answer_of_several_numbers_is_refused() -> None:
    several = Estimate(
        torch.ones(2),
        None,
        None,
        "CATE",
        rung=2,
        index=pd.Index([0, 1]),
    )
    with pytest.raises(ValueError, match="CATE, which is several numbers"):
        ask(answer=several)


def test_a_report_answers_an_estimand_of_this_library() -> None:
    data = small(400)
    graph = pc.CausalGraph([(z, v) for z in "xz" for v in "ty"] + [("t", "y")])
    found = ask(data, pc.identify(graph, "y", do="t").estimate(data))
    assert found.robustness.limit > 0.2
