"""The report of a fit: scores of held-out units beside the best fit without parents."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import latent_chain, line_data, param, positive
from torch import Tensor

import pyrocausal as pc
from pyrocausal.fitting.fit_report import FitReport, Score


def scores(report: FitReport) -> dict[str, Score]:
    return {score.variable: score for score in report.scores}


def test_scores_are_those_of_held_out_units_beside_the_best_fit_without_parents() -> None:
    torch.manual_seed(0)
    held: list[Tensor] = []

    def program() -> None:
        a = pyro.sample("a", dist.Bernoulli(logits=param("logit")))
        if not torch.is_grad_enabled():
            held.append(a)
        pyro.sample("y", dist.Normal(2 * a + param("b"), positive("scale")))

    # Every unit has its own y, so that the units held out can be told.
    a = torch.bernoulli(torch.full((500,), 0.3))
    y = 2 * a + torch.randn(500)
    scm = pc.SCM(program)
    report = scm.fit({"a": a, "y": y}, steps=300, lr=0.05, validation=0.2, seed=0)
    assert report.total is not None
    table = scores(report)
    assert list(table) == ["a", "y"]
    assert (report.units, report.held_out, report.parameters) == (400, 100, 3)
    # The baselines depend on the split only through sums that the held-out a gives.
    ones = held[-1].sum().item()
    share = (a.sum().item() - ones + 1) / 402
    bernoulli = (ones * math.log(share) + (100 - ones) * math.log(1 - share)) / 100
    assert table["a"].baseline == pytest.approx(bernoulli, abs=1e-5)
    # y is a mixture of two normals two standard deviations apart: what a tells is its variance.
    gain = 0.5 * math.log(1 + 4 * 0.3 * 0.7)
    assert abs(table["y"].gain - gain) < 4 * table["y"].se
    assert abs(table["a"].gain) < 0.02
    assert report.total.log_prob == pytest.approx(report.to_frame()["log_prob"].sum(), abs=1e-4)
    assert "stopped:" in repr(report)
    assert "gain" in repr(report)


def test_scores_agree_with_log_prob_and_skip_what_is_missing() -> None:
    seen: list[Tensor] = []

    def program() -> None:
        x = pyro.sample("x", dist.Normal(param("loc"), 1.0))
        if not torch.is_grad_enabled():
            seen.append(x)
        pyro.sample("y", dist.Normal(2 * x, 1.0))

    data = line_data(200)
    data["y"][::2] = torch.nan
    scm = pc.SCM(program)
    report = scm.fit(data, steps=20, validation=0.25, seed=0)
    table = scores(report)
    where = (data["x"][None] == seen[-1][:, None]).nonzero()[:, 1]
    x, y = data["x"][where], data["y"][where]
    there = ~y.isnan()
    density = dist.Normal(2 * x, 1.0).log_prob(torch.nan_to_num(y)) * there
    assert table["y"].log_prob == pytest.approx(density.mean().item(), abs=1e-5)
    train = data["y"][[i for i in range(200) if i not in set(where.tolist())]]
    train = train[~train.isnan()]
    dull = dist.Normal(train.mean(), train.std(correction=0)).log_prob(torch.nan_to_num(y)) * there
    assert table["y"].baseline == pytest.approx(dull.mean().item(), abs=1e-4)


def test_the_cost_of_latents_is_scored_too() -> None:
    def guide(batch: Any) -> None:
        pyro.sample("z", dist.Normal(param("g") * batch["x"], positive("s")))

    report = pc.SCM(latent_chain).fit({"x": torch.randn(200)}, guide, steps=100, seed=0)
    table = scores(report)
    assert list(table) == ["(latents)", "x"]
    assert table["(latents)"].baseline == 0
