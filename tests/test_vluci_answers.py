"""What VLUCI answers: no point without an instrument, sets under a bound, the model as an SCM."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.errors import NotIdentified
from pyrocausal.models import VLUCI
from pyrocausal.models.vluci_likelihood import Likelihood
from pyrocausal.models.vluci_loadings import read_box
from pyrocausal.models.vluci_posterior import draw_posterior, grid_posterior
from pyrocausal.models.vluci_program import Rows, VLUCIProgram
from pyrocausal.models.vluci_two_stage import two_stage

Fit = Callable[..., Any]
BOX = (0.17, 0.47)
"""It holds the loadings of S2, S6 and S7: (.167, .456)."""


def read(control: str, units: int = 1000, seed: int = 1) -> tuple[pd.DataFrame, Any, Any]:
    """Return covariates, treatment and outcome of a control."""
    model = zoo.CONFOUNDED[control]
    data = model.data(units, seed)
    return pd.DataFrame({n: data[n].numpy() for n in model.covariates}), data["t"], data["y"]


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """Fit a control once for all tests of this file."""
    known: dict[str, Any] = {}

    def fit(control: str, **options: Any) -> Any:
        if control not in known:
            model = zoo.CONFOUNDED[control]
            roles: dict[str, Any] = {"instruments": model.instruments, "proxies": model.proxies}
            known[control] = VLUCI(**options).fit(*read(control), **roles)
        return known[control]

    return fit


def test_a_declared_instrument_gives_a_point_with_a_profile_interval(fitted: Fit) -> None:
    answer = fitted("S1").ate()
    assert answer.kind == "profile"
    assert answer.low < 2.0 < answer.high
    assert answer.low < answer.point < answer.high
    assert float(answer) == answer.point


@pytest.mark.parametrize("control", ["S2", pytest.param("S7", marks=pytest.mark.slow)])
def test_without_an_instrument_there_is_a_set_and_no_point(fitted: Fit, control: str) -> None:
    answer = fitted(control).ate(bound=BOX)
    assert answer.point is None
    assert answer.kind == "identified set"
    assert answer.low < 2.0 < answer.high
    assert "no point" in str(answer)
    assert "R2 of U with t at most 0.17" in str(answer)
    assert fitted(control).ate(bound=BOX, point=True).point is not None


def test_a_wider_bound_gives_a_wider_set(fitted: Fit) -> None:
    ends = [(answer.low, answer.high) for answer in map(fitted("S2").ate, [0.95] * 3, [1, 2, 3])]
    assert ends[2][0] < ends[1][0] < ends[0][0] < ends[0][1] < ends[1][1] < ends[2][1]


def test_no_confounding_at_all_leaves_the_twin(fitted: Fit) -> None:
    fit = fitted("S2")
    found = fit.identified_set((0.0, 0.5))
    assert found.low == pytest.approx(float(fit.twin.ate()), abs=1e-4)
    assert found.low == found.high
    low, high = found.interval(0.95)
    twin = fit.twin.ate().interval
    assert (low, high) == pytest.approx((float(twin.lower), float(twin.upper)), abs=1e-3)


def test_a_weak_instrument_withholds_the_point() -> None:
    x, t, y = read("S2", units=100)
    answer = VLUCI().fit(x, t, y, instruments=["x5"]).ate()
    assert answer.point is None
    assert any("weak" in text for text in answer.warnings)


def test_the_card_shows_twin_signs_strength_and_verdict(fitted: Fit) -> None:
    text = fitted("S1").summary()
    for words in ("without U (twin)", "start with +", "start with -", "first-stage F", "abstract"):
        assert words in text
    assert "not identified from observation" in text
    assert "x4 as an instrument" in text


@pytest.mark.slow
def test_several_instruments_are_withdrawn_one_by_one() -> None:
    x, t, y = read("S1", units=300)
    fit: Any = VLUCI().fit(x, t, y, instruments=["x4", "x5"])
    assert set(fit.withdrawn) == {"x4", "x5"}
    assert "with x4 withdrawn" in str(fit)


def test_units_effects_are_refused_where_the_point_is(fitted: Fit) -> None:
    with pytest.raises(NotIdentified, match="no instrument"):
        fitted("S2").cate(read("S2")[0])
    assert fitted("S2").ite(num_draws=2, point=True).shape == (2, 1000)


def test_the_program_is_an_scm_with_u_hidden(fitted: Fit) -> None:
    scm = fitted("S1").scm
    assert scm.latent == {"u"}
    assert set(scm.graph.edges) == {
        ("x", "t"), ("x", "y"), ("u", "t"), ("u", "y"), ("t", "y")
    }  # fmt: skip
    with pytest.raises(NotIdentified):
        pc.identify(scm, "y", do="t")
    worlds = scm.do([{"t": 1.0}, {"t": 0.0}]).sample(20_000, seed=0)["y"]
    effect = float((worlds[0] - worlds[1]).mean())
    assert effect == pytest.approx(fitted("S1").ate().point, abs=1e-3)
    assert scm.plan(["x", "t", "y"]).routes["u"] not in ("prior", "exact")


def test_the_program_draws_what_it_was_fitted_to(fitted: Fit) -> None:
    _, t, y = read("S1")
    drawn = fitted("S1").scm.sample(20_000, seed=1)
    # Standard errors: 0.5 / sqrt(1000) and 2.3 / sqrt(1000).
    assert float(drawn["t"].mean()) == pytest.approx(float(t.mean()), abs=0.05)
    assert float(drawn["y"].mean()) == pytest.approx(float(y.mean()), abs=0.25)
    assert float(drawn["y"].std()) == pytest.approx(float(y.std()), abs=0.2)


def test_the_factual_world_returns_the_outcome(fitted: Fit) -> None:
    fit = fitted("S1")
    units = fit.units()
    u = fit.posterior(num_draws=1)[0]
    evidence = {"x": units.x, "t": units.t, "y": units.y, "u": u.to(units.x)}
    seen = fit.program.scm(latent=False)
    worlds = seen.counterfactual(evidence, [{"t": 0.0}, {"t": 1.0}])["y"]
    factual = torch.where(units.t > 0.5, worlds[1], worlds[0])
    torch.testing.assert_close(factual, units.y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        fit.ite(num_draws=1)[0], worlds[1] - worlds[0], rtol=1e-4, atol=1e-4
    )


def test_counterfactuals_with_u_hidden_are_the_library_s_own(fitted: Fit) -> None:
    fit = fitted("S1")
    units = fit.units()
    seen = {"x": units.x[:12], "t": units.t[:12], "y": units.y[:12]}
    worlds = fit.scm.counterfactual(seen, [{"t": 0.0}, {"t": 1.0}], num_draws=20, seed=0)["y"]
    assert worlds.shape == (20, 2, 12)
    factual = torch.where(seen["t"] > 0.5, worlds[:, 1], worlds[:, 0])
    torch.testing.assert_close(factual, seen["y"].expand(20, 12), rtol=1e-4, atol=1e-4)
    effect = float((worlds[:, 1] - worlds[:, 0]).mean())
    assert effect == pytest.approx(fit.ate().point, abs=1e-3)


def test_rows_are_drawn_as_they_are() -> None:
    table = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    equation = Rows(table).structural_equation()
    v = torch.tensor([[0.1, 0.9], [0.5, 0.0], [0.99, 0.2]], dtype=torch.float64)
    drawn = equation.forward(equation.from_uniform(v))
    torch.testing.assert_close(drawn, table)
    torch.testing.assert_close(equation.forward(equation.posterior(drawn)), drawn)
    assert Rows(table).expand([4]).sample().shape == (4, 2)


def true_program(fit: Any) -> VLUCIProgram:
    """Return S2's own program, by writing its numbers into a fitted one."""
    likelihood: Likelihood = fit.twin.likelihood
    program: VLUCIProgram = fit.at(fit.profile.best)
    x = fit.columns.x
    for head, weights in (
        (program.treatment, [0.5, -0.5, 0, 0, 0]),
        (program.outcome, [1, 0.5, 0, 0, 0]),
    ):
        index = x @ torch.tensor(weights, dtype=x.dtype)
        features = torch.cat([torch.ones(len(x), 1), head.basis(x.float())], 1).double()
        scale = likelihood.scale if head is program.outcome else 1.0
        shift = likelihood.loc if head is program.outcome else 0.0
        solution = torch.linalg.lstsq(features, ((index - shift) / scale)[:, None]).solution
        with torch.no_grad():
            head.weights.copy_(solution.reshape(head.weights.shape))
            head.loading.fill_(1 / scale)
    with torch.no_grad():
        program.outcome.effect.fill_(2 / likelihood.scale)
        program.outcome.log_s.fill_(-np.log(likelihood.scale))
    return program


def test_draws_of_u_plug_in_and_means_do_not(fitted: Fit) -> None:
    fit = fitted("S2")
    units = fit.units()
    u, probabilities = grid_posterior(true_program(fit), units.x, units.t, units.y)
    draws = draw_posterior(u, probabilities, 20, seed=0)
    x, t, y = fit.columns.x, fit.columns.t, fit.columns.y
    # The standard error of the effect with U known is 0.05.
    assert two_stage(draws, x, t, y).ate == pytest.approx(2.0, abs=0.15)
    means = (probabilities @ u)[None, :, None]
    assert abs(two_stage(means, x, t, y).ate - 2.0) > 0.5


@pytest.mark.slow
def test_two_stages_find_the_effect_of_the_exact_fit() -> None:
    fit: Any = VLUCI(objective="two_stage").fit(*read("S1"), instruments=["x4"])
    answer = fit.ate()
    assert answer.point == pytest.approx(fit.profile.best.ate, abs=0.15)
    # Errors of parameters are part of it: the profile's own is 0.17.
    assert 0.1 < answer.se < 0.4


@pytest.mark.slow
def test_proxies_give_the_effect_when_asked(fitted: Fit) -> None:
    fit = fitted("S8")
    assert fit.ate().point is None
    answer = fit.ate(point=True)
    assert answer.kind == "profile"
    assert answer.low < 2.0 < answer.high
    assert answer.high - answer.low < 0.6
    assert set(fit.scm.variables) == {"x", "u", "w", "t", "y"}


@pytest.mark.slow
def test_a_binary_outcome_stays_within_what_manski_allows(fitted: Fit) -> None:
    fit = fitted("S4", outcome="bernoulli")
    answer = fit.ate()
    assert answer.low < 0.18748 < answer.high
    widest = fit.sensitivity("manski")
    assert widest.lower <= answer.low
    assert answer.high <= widest.upper
    assert fit.ite(num_draws=3, point=True).abs().max() <= 1


def test_analyses_of_sensitivity_start_from_the_twin(fitted: Fit) -> None:
    fit = fitted("S1")
    naive = float(fit.twin.ate())
    curve = fit.sensitivity("loading", shares=(0.1, 0.2), points=3)
    assert curve.ate[:, 1].numpy() == pytest.approx(naive, abs=1e-3)
    assert bool((curve.ate[:, 0] > naive).all())
    assert bool((curve.ate[1] < curve.ate[0])[2])
    assert fit.sensitivity("msm", factor=1.0, resamples=1).lower == pytest.approx(naive, abs=0.3)
    assert fit.sensitivity("evalue").point > 1
    assert fit.sensitivity("ovb", bound=(0.1, 0.1)).estimate < naive
    with pytest.raises(ValueError, match="least and greatest outcome"):
        fit.sensitivity("manski")
    with pytest.raises(ValueError, match="expected one of loading"):
        fit.sensitivity("nothing")


def test_the_loading_curve_is_drawn(fitted: Fit) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = fitted("S1").sensitivity("loading", shares=(0.1,), points=3).plot()
    assert axes.get_ylabel() == "average effect"
    assert len(axes.lines) == 3


def test_the_strongest_covariate_is_that_of_the_largest_bias() -> None:
    box = read_box(3.0, {"weak": (0.3, 0.01), "strong": (0.1, 0.4)})
    assert (box.treatment, box.outcome) == pytest.approx((0.3, 0.95))
    assert "3 times strong" in str(box)
    assert "convention" in str(read_box(3.0, {}))
