"""CEVAE: its objective against an integral, its effects where proxies reveal what is hidden."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyrocausal.models import CEVAE
from pyrocausal.models.cevae import Scaling, objective
from pyrocausal.models.cevae_program import CEVAEGuide, CEVAEProgram

RNG = np.random.default_rng(0)
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": (16,), "epochs": 3}


def confounded(units: int) -> tuple[pd.DataFrame, Any, Any]:
    """Return three good proxies of a hidden cause, treatment, outcome; the effect is 1."""
    z = RNG.standard_normal(units)
    x = pd.DataFrame({f"w{j}": z + 0.3 * RNG.standard_normal(units) for j in range(3)})
    x["sign"] = (z + 0.3 * RNG.standard_normal(units) > 0).astype(float)
    t = (RNG.uniform(size=units) < 1 / (1 + np.exp(-2 * z))).astype(float)
    return x, t, t + 2 * z + 0.5 * RNG.standard_normal(units)


def test_the_objective_is_a_bound_of_the_integral_over_z() -> None:
    torch.manual_seed(0)
    binary = torch.tensor([False, True])
    program = CEVAEProgram(1, binary, "normal", (4,), 0.5, 2.0).double()
    guide = CEVAEGuide(2, 1, "normal", (4,)).double()
    x = torch.tensor([[0.3, 1.0]], dtype=torch.float64)
    t, y = torch.ones(1, dtype=torch.float64), torch.tensor([1.2], dtype=torch.float64)
    with torch.no_grad():
        z = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
        numbers, codes = program.proxies.parts(z)
        log = numbers.log_prob(x[:, :1])[:, 0] + codes.log_prob(x[:, 1:])[:, 0]
        log = (
            log
            + program.treatments(z).log_prob(t)
            + program.outcomes(z, t.expand(4001)).log_prob(y)
        )
        log = log - z[:, 0] ** 2 / 2 - math.log(2 * math.pi) / 2
        exact = float(torch.trapezoid(log.exp(), z[:, 0]).log())
        standard = (y - 0.5) / 2
        exact += float(guide.treatments(x).log_prob(t) + guide.outcomes(x, t).log_prob(standard))
        rows = x.expand(2000, 2), t.expand(2000), y.expand(2000)
        values = objective(program, guide, *rows)
        # Importance weights of the same draws give the integral itself.
        q = guide.latents(x, t, standard)
        draws = q.sample((20_000,))[:, 0]
        numbers, codes = program.proxies.parts(draws)
        seen = numbers.log_prob(x[:, :1])[:, 0] + codes.log_prob(x[:, 1:])[:, 0]
        weight = seen + program.treatments(draws).log_prob(t)
        weight = weight + program.outcomes(draws, t.expand(20_000)).log_prob(y)
        weight = weight - draws[:, 0] ** 2 / 2 - math.log(2 * math.pi) / 2
        bound = float((weight - q.log_prob(draws)[:, 0]).mean())
        bound += float(guide.treatments(x).log_prob(t) + guide.outcomes(x, t).log_prob(standard))
    error = float(values.std()) / math.sqrt(2000)
    assert float(values.mean()) == pytest.approx(bound, abs=6 * error + 0.02)
    assert float(values.mean()) < exact + 4 * error


@pytest.mark.slow
def test_good_proxies_give_back_most_of_the_bias() -> None:
    x, t, y = confounded(1000)
    naive = y[t == 1].mean() - y[t == 0].mean()
    fit = CEVAE(latent_dim=2, hidden=(32, 32), epochs=40).fit(x, t, y)
    assert naive > 3
    assert abs(float(fit.ate()) - 1) < 0.3 * (naive - 1)


def test_binary_columns_are_told_from_numbers() -> None:
    x, *_ = confounded(50)
    coded = torch.tensor(x.assign(code=x["sign"] + 1).to_numpy())
    scaling = Scaling(coded)
    assert scaling.binary.tolist() == [False, False, False, True, True]
    found = scaling(coded)
    assert torch.equal(found[:, 3], found[:, 4])
    assert float(found[:, 0].std()) == pytest.approx(1, abs=1e-5)


def test_the_program_is_an_scm_with_z_hidden() -> None:
    x, t, y = confounded(60)
    fit = CEVAE(**SMALL).fit(x, t, y)
    assert fit.scm.latent == {"z"}
    sites = {"z", "x_numbers", "x_binary", "t", "y"}
    assert set(fit.scm.variables) == sites
    children = {b for a, b in fit.scm.graph.edges if a == "z"}
    assert children == sites - {"z"}
    drawn = fit.scm.do(t=1.0).sample(30, seed=0)
    assert bool((drawn["t"] == 1).all())
    assert {name: tuple(v.shape) for name, v in fit.evidence(x).items()} == {
        "x_numbers": (60, 3),
        "x_binary": (60, 1),
    }


def test_it_says_what_it_rests_on() -> None:
    fit = CEVAE(**SMALL).fit(*confounded(60))
    assert "identifies nothing" in str(fit)
    assert fit.ate().interval is None


def test_a_seed_gives_the_same_fit_and_leaves_the_global_generator_alone() -> None:
    x, t, y = confounded(60)
    before = torch.get_rng_state()
    first, second = (CEVAE(**SMALL).fit(x, t, y > 0, seed=2).cate(x) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="latent_dim=0"):
        CEVAE(latent_dim=0)
    with pytest.raises(ValueError, match="'normal' or 'bernoulli'"):
        CEVAE(outcome="gamma")  # type: ignore[arg-type]
    x, _, y = confounded(60)
    with pytest.raises(ValueError, match="both there"):
        CEVAE(**SMALL).fit(x, np.zeros(60), y)
