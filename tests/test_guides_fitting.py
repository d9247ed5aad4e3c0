"""Amortized guides with fit, save and load: one guide of one SCM, at its parameters."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import pyrocausal as pc
from pyrocausal.guides import Amortized, train

LOADINGS, SCALES = torch.tensor([1.0, -0.8, 0.6]), torch.tensor([0.5, 0.7, 0.9])


# u -> x0, x1, x2
def factor() -> None:
    w = pyro.param("w", torch.full((3,), 0.5))
    s = pyro.param("s", torch.ones(3), constraint=dist.constraints.positive)
    u = pyro.sample("u", dist.Normal(0.0, 1.0))
    for j in range(3):
        pyro.sample(f"x{j}", dist.Normal(w[j] * u, s[j]))


# cause -> effect
def pair() -> None:
    slope = pyro.param("slope", torch.tensor(1.0))
    cause = pyro.sample("cause", dist.Normal(0.0, 1.0))
    pyro.sample("effect", dist.Normal(slope * cause, 0.5))


def measured(units: int) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(0)
    u = torch.randn(units, generator=source)
    noise = torch.randn(3, units, generator=source)
    return {f"x{j}": LOADINGS[j] * u + SCALES[j] * noise[j] for j in range(3)}


def parameters(scm: pc.SCM) -> tuple[Tensor, Tensor]:
    named = scm._core.scope.named()
    return named["w"].detach(), named["s"].detach().exp()


def check_posterior(scm: pc.SCM, guide: Amortized, rms: float) -> None:
    """Compare draws of u with its exact posterior at the fitted parameters."""
    w, s = parameters(scm)
    units, generator = scm.sample(50, seed=3), torch.Generator().manual_seed(0)
    seen = {name: units[name] for name in ("x0", "x1", "x2")}
    values, _ = guide.draw(seen, ["u"], 4000, generator)
    precision = 1 + (w**2 / s**2).sum()
    mean = (torch.stack(list(seen.values())).T * w / s**2).sum(1) / precision
    away = (values["u"].mean(0) - mean) * precision.sqrt()
    assert away.square().mean().sqrt() < rms
    assert (values["u"].std(0) * precision.sqrt() - 1).abs().max() < 0.1


@pytest.mark.slow
def test_a_guide_is_trained_along_with_the_mechanisms_by_fit() -> None:
    scm, data = pc.scm(factor, latent=["u"]), measured(2000)
    guide = Amortized.of(scm, hidden=16, layers=1, seed=0)
    scm.fit(data, guide=guide, steps=700, lr=0.01, seed=0, compile=False, progress=False)
    w, s = parameters(scm)
    implied = torch.outer(w, w) + torch.diag(s**2)
    # Three variables and a factor: at its best the model has the covariance of the data, and the
    # units that are trained on are nine tenths. The standard error of an entry is 0.02 to 0.04.
    torch.testing.assert_close(
        implied, torch.cov(torch.stack(list(data.values()))), atol=0.08, rtol=0
    )
    check_posterior(scm, guide, rms=0.08)
    scm.amortized = guide
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guide.check(scm._core)


def test_a_guide_gives_values_that_are_missing_above_observed_ones() -> None:
    source = torch.Generator().manual_seed(1)
    cause = torch.randn(1500, generator=source)
    effect = 2.0 * cause + 0.5 * torch.randn(1500, generator=source)
    hidden = torch.rand(1500, generator=source) < 0.4
    data = {"cause": torch.where(hidden, torch.nan, cause), "effect": effect}
    scm = pc.scm(pair)
    guide = Amortized.of(scm, hidden=16, layers=1, seed=0)
    scm.fit(data, guide=guide, steps=500, lr=0.01, seed=0, compile=False, progress=False)
    slope = scm._core.scope.named()["slope"].item()
    assert slope == pytest.approx(2.0, abs=0.06)  # four standard errors
    values, _ = guide.draw({"effect": torch.tensor([1.0])}, ["cause"], 4000, source)
    precision = 1 + slope**2 / 0.25
    assert values["cause"].mean().item() == pytest.approx(slope / 0.25 / precision, abs=0.03)
    assert values["cause"].std().item() == pytest.approx(precision**-0.5, rel=0.12)


def test_a_trained_guide_is_refined_by_more_training() -> None:
    scm = pc.scm(factor, latent=["u"])
    first = scm.amortize(steps=30, hidden=16, layers=1, seed=0, progress=False)
    assert scm.amortized is not None
    second = train(scm.amortized, scm, steps=200, seed=1, progress=False)
    assert second.loss < first.loss


@pytest.mark.parametrize("head", ["gaussian", "mixture"])
def test_a_guide_is_saved_and_loaded_with_its_scm(tmp_path: Path, head: str) -> None:
    scm = pc.scm(factor, latent=["u"])
    scm.amortize(steps=20, hidden=8, layers=1, head=head, seed=0, progress=False)
    scm.save(tmp_path / "scm.st")
    again = pc.SCM.load(tmp_path / "scm.st", factor)
    assert scm.amortized is not None
    assert again.amortized is not None
    assert again.amortized.config() == scm.amortized.config()
    seen = {"x1": torch.tensor([0.3, -2.0])}
    one, two = (
        m.amortized.draw(seen, ["u", "x0"], 5, torch.Generator().manual_seed(0))  # type: ignore[union-attr]
        for m in (scm, again)
    )
    assert torch.equal(one[1], two[1])
    assert torch.equal(one[0]["u"], two[0]["u"])


def test_a_guide_of_some_patterns_still_covers_these_after_loading(tmp_path: Path) -> None:
    scm = pc.scm(pair)
    scm.amortize(steps=2, patterns=[["effect"]], hidden=8, layers=1, seed=0, progress=False)
    scm.save(tmp_path / "scm.st")
    guide = pc.SCM.load(tmp_path / "scm.st", pair).amortized
    assert guide is not None
    assert guide.covers(frozenset({"effect"}), frozenset({"cause"}))
    assert not guide.covers(frozenset({"cause"}), frozenset({"effect"}))


def test_a_fitted_guide_that_is_kept_is_in_the_file_without_a_warning(tmp_path: Path) -> None:
    scm = pc.scm(factor, latent=["u"])
    guide = Amortized.of(scm, hidden=8, layers=1, seed=0)
    scm.fit(measured(100), guide=guide, steps=5, seed=0, compile=False, progress=False)
    scm.amortized = guide
    scm.save(tmp_path / "scm.st")
    again = pc.SCM.load(tmp_path / "scm.st", factor)
    assert again.amortized is not None
    np.testing.assert_array_equal(
        again.amortized.output.weight.numpy(force=True), guide.output.weight.numpy(force=True)
    )


def rewrite(path: Path, change: Any) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
        header = json.loads(file.metadata()["pyrocausal"])
    change(header, tensors)
    save_file(tensors, path, {"pyrocausal": json.dumps(header)})


def test_a_file_of_the_format_before_guides_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scm.st"
    pc.scm(pair).save(path)
    rewrite(path, lambda header, _: (header.update(format=2), header.pop("amortized")))
    assert pc.SCM.load(path, pair).amortized is None


def test_a_file_that_lacks_a_part_of_the_guide_is_damaged(tmp_path: Path) -> None:
    scm = pc.scm(pair)
    scm.amortize(steps=2, hidden=8, layers=1, seed=0, progress=False)
    scm.save(tmp_path / "scm.st")
    rewrite(tmp_path / "scm.st", lambda _, tensors: tensors.pop("amortized output.bias"))
    with pytest.raises(ValueError, match="damaged"):
        pc.SCM.load(tmp_path / "scm.st", pair)


def test_a_guide_of_another_scm_is_refused() -> None:
    def other() -> None:
        cause = pyro.sample("cause", dist.Bernoulli(0.5))
        pyro.sample("outcome", dist.Normal(cause, 0.5))

    scm = pc.scm(pair)
    scm.amortize(steps=2, hidden=8, layers=1, seed=0, progress=False)
    stranger = pc.scm(other)
    with pytest.raises(
        ValueError, match=r"another SCM: cause is .*outcome is no variable in the guide"
    ):
        stranger.amortized = scm.amortized
    assert stranger.amortized is None
    with pytest.raises(TypeError, match="Got a int"):
        stranger.amortized = 3


def test_an_untrained_guide_is_refused() -> None:
    scm = pc.scm(pair)
    with pytest.raises(ValueError, match="has not been trained"):
        scm.amortized = Amortized.of(scm, hidden=8, layers=1, seed=0)


def test_parameters_that_have_moved_since_are_warned_of() -> None:
    scm = pc.scm(pair)
    scm.amortize(steps=2, hidden=8, layers=1, seed=0, progress=False)
    guide = scm.amortized
    assert guide is not None
    guide.check(scm._core)
    data = {"cause": torch.linspace(-1.0, 1.0, 50), "effect": torch.linspace(-2.0, 2.0, 50)}
    scm.fit(data, steps=3, seed=0, compile=False, progress=False)
    with pytest.warns(UserWarning, match="have moved since its guide was trained"):
        guide.check(scm._core)


def test_a_guide_can_be_let_go() -> None:
    scm = pc.scm(pair)
    scm.amortize(steps=2, hidden=8, layers=1, seed=0, progress=False)
    scm.amortized = None
    assert scm.amortized is None


def test_a_program_with_plates_inside_a_unit_needs_another_guide_for_fit() -> None:
    def repeated() -> None:
        s = pyro.param("s", torch.tensor(1.0), constraint=dist.constraints.positive)
        u = pyro.sample("u", dist.Normal(0.0, 1.0))
        with pyro.plate("times", 2, dim=-2):
            pyro.sample("x", dist.Normal(u, s))

    scm = pc.scm(repeated, latent=["u"])
    guide = Amortized.of(scm, hidden=8, layers=1, seed=0)
    with pytest.raises(ValueError, match="plate inside the unit"):
        scm.fit({"x": torch.zeros(30, 2)}, guide=guide, steps=1, compile=False, progress=False)
