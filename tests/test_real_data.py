"""Real people, from the fit to the picture: quitting smoking, and college by way of schooling.

Linear models, so that each answer has a closed form in least squares; its interval too.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from pictures import drawn
from torch import Tensor

import pyrocausal as pc
from pyrocausal import plot

Array = npt.NDArray[np.float64]

NUMBERS: Final = ["age", "smokeintensity", "smokeyrs", "wt71"]
CODES: Final = ["education", "exercise", "active"]
PEOPLE: Final = pc.datasets.nhefs()
MEN: Final = pc.datasets.close_college()


def least_squares(x: Array, y: Array) -> tuple[Array, Array]:
    """Return coefficients, and their covariance that holds whatever the noise."""
    beta = np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)
    inverse = np.asarray(np.linalg.inv(x.T @ x), dtype=np.float64)
    scores = x * (y - x @ beta)[:, None]
    return beta, inverse @ scores.T @ scores @ inverse


def parameters(answer: Any) -> float:
    return float(answer.interval.sources["parameters"])


# Does quitting smoking change body weight?


def covariates() -> Array:
    """The other confounders of the book: numbers with their squares, and codes."""
    numbers = (PEOPLE[NUMBERS] - PEOPLE[NUMBERS].mean()) / PEOPLE[NUMBERS].std()
    codes = pd.get_dummies(PEOPLE[CODES].astype(int).astype("category"), drop_first=True)
    columns = [PEOPLE[["race"]], numbers, numbers**2, codes]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in columns], axis=1)


Z: Final = covariates()


@pc.scm
def quitting(z: Tensor) -> None:
    size = z.shape[-1]
    sex = pyro.sample("sex", dist.Bernoulli(pyro.param("women", torch.tensor(0.5))))
    leaning = pyro.param("by sex", torch.zeros(2))[sex.long()] + z @ pyro.param(
        "by z", torch.zeros(size)
    )
    qsmk = pyro.sample("qsmk", dist.Bernoulli(logits=leaning))
    level, gain = pyro.param("levels", torch.zeros(2)), pyro.param("gains", torch.zeros(2))
    mean = (level + qsmk[..., None] * gain).gather(-1, sex.long()[..., None])[..., 0]
    scale = pyro.param("scale", torch.tensor(7.0), constraint=dist.constraints.positive)
    pyro.sample("wt82_71", dist.Normal(mean + z @ pyro.param("slopes", torch.zeros(size)), scale))


SEEN: Final = PEOPLE[["sex", "qsmk", "wt82_71"]]
INPUTS: Final = {"z": torch.tensor(Z, dtype=torch.float32)}
SOME: Final = slice(0, 120)  # the people whom the questions about those who were seen are about
ASK: Final[dict[str, Any]] = {
    "evidence": SEEN.iloc[SOME],
    "inputs": {"z": INPUTS["z"][SOME]},
    "seed": 0,
}


@pytest.fixture(scope="module")
def smokers() -> pc.SCM:
    report = {"steps": 300, "lr": 0.1, "progress": False, "compile": False, "seed": 0}
    quitting.fit(SEEN, inputs=INPUTS, uncertainty="sandwich", **report)
    model: pc.SCM = quitting
    return model


@pytest.mark.slow
def test_quitting_on_all_on_quitters_and_by_sex_is_what_least_squares_say(
    smokers: pc.SCM,
) -> None:
    sex, qsmk = PEOPLE.sex.to_numpy(float), PEOPLE.qsmk.to_numpy(float)
    x = np.column_stack([1 - sex, sex, qsmk * (1 - sex), qsmk * sex, Z])
    beta, covariance = least_squares(x, PEOPLE.wt82_71.to_numpy(float))
    average = pc.ate(smokers, "qsmk", "wt82_71", inputs=INPUTS, seed=0)
    treated = pc.att(smokers, "qsmk", "wt82_71", **ASK)
    quitters = sex[SOME][qsmk[SOME] == 1]
    for answer, women in ((average, sex.mean()), (treated, quitters.mean())):
        weights = np.zeros(len(beta))
        weights[2:4] = 1 - women, women
        assert abs(answer.value - weights @ beta) < 4 * answer.se + 0.01
        # 200 draws of the parameters: their deviation has a relative error of 5 %.
        assert parameters(answer) == pytest.approx(
            (weights @ covariance @ weights) ** 0.5, rel=0.2
        )
    # The book: 3.4 to 3.5 kg, with an interval of about 2.4 to 4.5.
    assert 3.3 < average.value < 3.6
    assert "95 % interval" in str(average)
    by_sex = pc.cate(smokers, "qsmk", "wt82_71", by="sex", **ASK)
    assert by_sex.value.tolist() == pytest.approx(beta[2:4].tolist(), abs=0.01)
    ax = drawn(plot.forest({"all": average, "quitters": treated, "by": by_sex}, unit="kg"))
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ["all", "quitters", "by, sex=0", "by, sex=1"]
    assert ax.get_xlabel() == "effect (kg), with 95 % interval"


# Does a college nearby raise wages by way of schooling?

BACKGROUND: Final = ["black", "south", "smsa", "age"]


def men() -> pd.DataFrame:
    age = MEN.educ + MEN.exper + 6
    rows = MEN.assign(age=age, educ=MEN.educ - 13.0, lwage=MEN.lwage - 6.0)
    rows[BACKGROUND] = (rows[BACKGROUND] - rows[BACKGROUND].mean()) / rows[BACKGROUND].std()
    return rows[["nearc4", "educ", "lwage", *BACKGROUND]]


@pc.scm
def schooling(background: Tensor) -> None:
    size, positive = len(BACKGROUND), dist.constraints.positive
    near = pyro.sample("nearc4", dist.Bernoulli(pyro.param("share", torch.tensor(0.5))))
    years = pyro.param("level", torch.tensor(0.0)) + pyro.param("a", torch.tensor(0.0)) * near
    years = years + background @ pyro.param("of years", torch.zeros(size))
    one = pyro.param("spread", torch.tensor(2.0), constraint=positive)
    educ = pyro.sample("educ", dist.Normal(years, one))
    wage = pyro.param("base", torch.tensor(0.0)) + pyro.param("b", torch.tensor(0.0)) * educ
    wage = wage + pyro.param("c", torch.tensor(0.0)) * near
    wage = wage + background @ pyro.param("of wages", torch.zeros(size))
    other = pyro.param("noise", torch.tensor(0.5), constraint=positive)
    pyro.sample("lwage", dist.Normal(wage, other))


@pytest.mark.slow
def test_what_schooling_carries_of_a_college_nearby_is_the_product_of_coefficients() -> None:
    rows = men().iloc[::3]
    background = torch.tensor(rows[BACKGROUND].to_numpy(), dtype=torch.float32)
    report = {"steps": 300, "lr": 0.05, "progress": False, "compile": False, "seed": 0}
    seen = rows[["nearc4", "educ", "lwage"]]
    schooling.fit(seen, inputs={"background": background}, uncertainty="sandwich", **report)
    ask: dict[str, Any] = {"inputs": {"background": background}, "seed": 0}
    total = pc.ate(schooling, "nearc4", "lwage", **ask)
    direct = pc.nde(schooling, "nearc4", "lwage", **ask)
    indirect = pc.nie(schooling, "nearc4", "lwage", **ask)

    ones, near = np.ones(len(rows)), rows.nearc4.to_numpy(float)
    around = rows[BACKGROUND].to_numpy(float)
    years, by_years = least_squares(np.column_stack([ones, near, around]), rows.educ.to_numpy())
    x = np.column_stack([ones, near, rows.educ, around])
    wages, by_wages = least_squares(x, rows.lwage.to_numpy(float))
    a, b, c = years[1], wages[2], wages[1]
    product = (a**2 * by_wages[2, 2] + b**2 * by_years[1, 1]) ** 0.5
    assert indirect.value == pytest.approx(a * b, abs=1e-3)
    assert direct.value == pytest.approx(c, abs=1e-3)
    assert total.value == pytest.approx(a * b + c, abs=1e-3)
    assert parameters(indirect) == pytest.approx(product, rel=0.2)
    assert parameters(direct) == pytest.approx(by_wages[1, 1] ** 0.5, rel=0.2)
    ax = drawn(plot.waterfall(total, direct, indirect, unit="log wage"))
    assert ax.get_ylabel() == "effect (log wage), with 95 % interval"
