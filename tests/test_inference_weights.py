"""Importance weights: smoothing, what they are worth, and the draws that are made of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.errors import UnreliableWarning
from pyrocausal.inference.weighting import fit_pareto, resample, smooth

# What arviz-stats 0.8 gives for the log weights of `log_weights`, in their order.
KHATS: Final = (0.2368083, 0.49663018, 0.84321863, 1.36315761, -0.79449661)


def log_weights() -> Tensor:
    """Return log weights of light to heavy tails, a column each, the same on every machine."""
    p = (np.arange(1000) + 0.5) / 1000
    exponential = -np.log1p(-p)
    columns = [0.2 * exponential, 0.5 * exponential, 0.9 * exponential, 1.5 * exponential, p]
    return torch.tensor(np.stack(columns, 1))


def test_khat_is_that_of_a_reference_implementation() -> None:
    smoothed = smooth(log_weights())
    torch.testing.assert_close(
        smoothed.khat, torch.tensor(KHATS, dtype=torch.float64), rtol=1e-6, atol=1e-6
    )


def test_smoothed_weights_are_those_of_arviz() -> None:
    diagnostics = pytest.importorskip("arviz_stats.base.diagnostics")
    raw = log_weights()
    smoothed = smooth(raw)
    for column in range(raw.shape[1]):
        reference = diagnostics._DiagnosticsBase()._psislw(-raw[:, column].numpy(), 1.0)
        np.testing.assert_allclose(smoothed.log_weights[:, column], reference[0], atol=1e-8)
        assert float(smoothed.khat[column]) == pytest.approx(float(reference[1]), abs=1e-8)


def test_the_shape_of_a_pareto_tail_is_found() -> None:
    random = np.random.default_rng(0)
    for shape in (-0.3, 0.2, 0.6, 1.0):
        excess = np.sort((random.random((2000, 50)) ** -shape - 1) / shape, 0)
        found, scale = fit_pareto(torch.tensor(excess), torch.ones(2000, 50, dtype=torch.bool))
        # The standard error of the maximum likelihood estimate is (1 + k) / sqrt(n).
        error = max(1 + shape, 0.7) / (2000 * 50) ** 0.5
        pull = 10 * (0.5 - shape) / 2010  # of the fit's prior
        assert float(found.mean()) == pytest.approx(shape + pull, abs=4 * error + 1e-3)
        assert float(scale.mean()) == pytest.approx(1.0, abs=0.03)


def test_units_are_smoothed_apart() -> None:
    raw = log_weights()
    together = smooth(raw)
    for column in range(raw.shape[1]):
        alone = smooth(raw[:, [column]])
        assert torch.allclose(alone.khat, together.khat[[column]])
        assert torch.allclose(alone.log_weights[:, 0], together.log_weights[:, column])


def test_equal_weights_are_perfect_and_a_single_one_is_worthless() -> None:
    raw = torch.zeros(1000, 2)
    raw[1:, 1] = -torch.inf
    khat, ess = smooth(raw).khat, smooth(raw).ess
    assert float(khat[0]) == -torch.inf
    assert float(ess[0]) == pytest.approx(1000)
    assert float(khat[1]) == torch.inf
    assert float(ess[1]) == pytest.approx(1)


def test_each_proposal_is_drawn_as_often_as_its_weight_says_up_to_one() -> None:
    weights = torch.rand(50, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = weights / weights.sum(0)
    start = torch.rand(20, generator=torch.Generator().manual_seed(1))
    order = torch.rand(200, 20, generator=torch.Generator().manual_seed(2))
    chosen = resample(weights.log(), 200, start, order)
    counts = torch.zeros(50, 20).scatter_add_(0, chosen, torch.ones(200, 20))
    assert float((counts - 200 * weights).abs().max()) < 1
    assert not bool((chosen.diff(dim=0) >= 0).all()), "draws stand in the order of the proposals"


class Lost:
    """A guide that is right for some units, and far off for the others."""

    def __init__(self, lost: Tensor, found: Tensor, sorted_y: Tensor) -> None:
        self.lost, self.found, self.sorted = lost, found, sorted_y

    def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
        return missing == {"x"}

    def draw(
        self,
        values: Mapping[str, Tensor],
        missing: Sequence[str],
        num_draws: int,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor]:
        # By x ~ Normal(0, 1), y ~ Normal(x^3 + x, 0.1)
        lost = self.lost[self._units(values["y"])]
        law = dist.Normal(self.found[self._units(values["y"])] + 1.5 * lost, 0.1)
        noise = torch.randn(num_draws, len(lost), generator=generator)
        x = law.loc + law.scale * noise
        return {"x": x}, law.log_prob(x)

    def check(self, owner: Any) -> None:
        """It fits whatever it is attached to."""

    def _units(self, y: Tensor) -> Tensor:
        return torch.searchsorted(self.sorted, y)


def _cubic() -> None:
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(x**3 + x, 0.1))


def _guided() -> tuple[pc.SCM, Tensor, Tensor, Tensor]:
    scm = pc.SCM(_cubic)
    sample = scm.sample(200, seed=0)
    order = sample["y"].argsort()
    x, y = sample["x"][order], sample["y"][order]
    guide = Lost(torch.arange(200) % 2, x, y)
    scm._core.amortized = guide
    return scm, x, y, guide.lost == 1


def test_a_bad_guide_is_found_out_for_the_units_that_it_gets_wrong() -> None:
    scm, _, y, lost = _guided()
    with pytest.warns(UnreliableWarning, match=r"can't be relied on for units .*1, 3, 5"):
        abduction = scm.abduct({"y": y}, method="guide", num_draws=20, seed=0)
    quality = abduction.quality
    assert quality is not None
    assert float(quality.unreliable[lost].float().mean()) > 0.95
    assert "NOT RELIABLE" in str(abduction)
    assert quality.weights["x",].to_tensor().shape == (400, 200)


def test_units_that_a_guide_fails_are_inferred_another_way() -> None:
    scm, x, y, lost = _guided()
    abduction = scm.abduct({"y": y}, num_draws=200, seed=0)
    assert "guide" in abduction.routes["x"]
    assert "importance" in abduction.routes["x"]
    quality = abduction.quality
    assert quality is not None
    assert not bool(quality.unreliable.any())
    # x is known to .1 / (3 x^2 + 1): the posterior mean lies within a few of that of the truth.
    error = (abduction.factual["x"].mean((0, 1)) - x) * (3 * x**2 + 1)
    assert float(error[lost].square().mean()) < 0.1**2 * (1 + 5 * (2 / 100) ** 0.5)


def test_a_guide_that_does_not_cover_is_refused_where_it_is_asked_for() -> None:
    scm = pc.SCM(_cubic)
    with pytest.raises(ValueError, match=r"method='guide' can't infer 'x'.*no guide is attached"):
        scm.abduct({"y": 1.0}, method="guide")

    class Other(Lost):
        def covers(self, observed: Any, missing: Any) -> bool:
            return False

    scm._core.amortized = Other(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="the guide doesn't cover x given y"):
        scm.abduct({"y": 1.0}, method="guide")
    assert scm.abduct({"y": 1.0}, seed=0).routes["x"] == "importance"


def test_weights_in_steps_are_no_false_alarm() -> None:
    # An attached guide that proposes the wrong share of a binary variable: weights of two sizes.
    @pc.scm
    def coin() -> None:
        x = pyro.sample("x", dist.Bernoulli(0.5))
        z = pyro.sample("z", dist.Normal(x, 1.0))
        pyro.sample("y", dist.Normal(z, 1.0))

    class Shares:
        def covers(self, observed: frozenset[str], missing: frozenset[str]) -> bool:
            return True

        def draw(
            self,
            values: Mapping[str, Tensor],
            missing: Sequence[str],
            num_draws: int,
            generator: torch.Generator,
        ) -> tuple[dict[str, Tensor], Tensor]:
            shape = num_draws, len(values["y"])
            x = (torch.rand(shape, generator=generator) < 0.25).float()
            law = dist.Normal((x + values["y"]) / 2, 0.5**0.5)
            z = law.loc + 0.5**0.5 * torch.randn(shape, generator=generator)
            log_x = torch.where(x == 1, 0.25, 0.75).log()
            return {"x": x, "z": z}, log_x + law.log_prob(z)

        def check(self, owner: Any) -> None:
            """It fits whatever it is attached to."""

    coin._core.amortized = Shares()
    abduction = coin.abduct({"y": [0.5] * 50}, method="guide", num_draws=200, seed=0)
    assert abduction.quality is not None
    assert not bool(abduction.quality.unreliable.any())
    # P(x = 1 | y = 1/2) is 1/2 by symmetry; 50 units of about 750 effective proposals.
    share = float(abduction.factual["x"].mean())
    assert share == pytest.approx(0.5, abs=4 * 0.5 * (1 / (50 * 500)) ** 0.5)
