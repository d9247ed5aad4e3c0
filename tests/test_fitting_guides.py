"""Guides: the posterior of what all units share, and guides that fit no program."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from fitted_programs import conjugate, hierarchy, latent_chain, mu_guide, param
from pyro.infer.autoguide import AutoDelta, AutoMultivariateNormal, AutoNormal

import pyrocausal as pc
from pyrocausal.fitting.guiding import posterior_draws


@pytest.mark.parametrize(
    "make",
    [
        lambda scm: AutoNormal,
        lambda scm: partial(AutoNormal, init_scale=0.05),
        lambda scm: AutoNormal(scm),
        lambda scm: AutoNormal(scm.program),
        lambda scm: AutoMultivariateNormal(pyro.poutine.block(scm, hide=["nothing"])),
        lambda scm: mu_guide,
    ],
    ids=["class", "partial", "on-scm", "on-program", "on-handled-scm", "function"],
)
def test_a_shared_sites_posterior_counts_all_units_in_a_minibatch(
    make: Callable[[pc.SCM], Any],
) -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    scm.fit({"x": x}, make(scm), steps=600, lr=0.05, batch_size=20, validation=0, seed=0)
    mu = posterior_draws(scm._core, 0, 400)["mu"]
    mean, sd = conjugate(x)
    # Without scaling by N/B the standard deviation would be 3 times as large.
    assert mu.shape == (400,)
    assert mu.mean().item() == pytest.approx(mean, abs=4 * sd / 20 + 0.02)
    assert mu.std().item() == pytest.approx(sd, rel=0.25)


def test_autodelta_finds_the_posterior_mode() -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    scm.fit({"x": x}, AutoDelta, steps=300, lr=0.05, batch_size=50, validation=0, seed=0)
    mode = posterior_draws(scm._core, 0, 1)["mu"]
    assert mode.item() == pytest.approx(conjugate(x)[0], abs=5e-3)


def test_held_out_units_do_not_sharpen_the_posterior() -> None:
    x = 1 + torch.randn(200)
    scm = pc.SCM(hierarchy)
    report = scm.fit({"x": x}, mu_guide, steps=600, lr=0.05, validation=0.75, seed=0, patience=99)
    assert report.units == 50
    assert posterior_draws(scm._core, 0, 400)["mu"].std().item() == pytest.approx(
        (1 / 4 + 50) ** -0.5, rel=0.25
    )


def test_latents_without_a_guide_are_named() -> None:
    with pytest.raises(pc.IncompleteEvidence, match=r"'z'.*guide"):
        pc.SCM(latent_chain).fit({"x": torch.randn(9)}, steps=1)


def test_a_guide_that_does_not_fit_the_program_is_refused() -> None:
    def both(batch: Any) -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(0.0, 1.0))

    def outside(batch: Any) -> None:
        mu_guide(batch)
        pyro.sample("z", dist.Normal(param("loc"), 1.0))

    def in_units() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pc.units():
            z = pyro.sample("z", dist.Normal(mu, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0))

    x = torch.randn(9)
    with pytest.raises(ValueError, match="draws 'x', which"):
        pc.SCM(latent_chain).fit({"x": x}, both, steps=1)
    with pytest.raises(ValueError, match=r"pc\.units"):
        pc.SCM(in_units).fit({"x": x}, outside, steps=1)
    with pytest.raises(pc.IncompleteEvidence, match="'z'"):
        pc.SCM(in_units).fit({"x": x}, mu_guide, steps=1)
    with pytest.raises(TypeError, match="guide"):
        pc.SCM(latent_chain).fit({"x": x}, 3, steps=1)


def test_a_guide_with_parameters_for_each_unit_leaves_no_units_out() -> None:
    x = torch.randn(300)
    report = pc.SCM(latent_chain).fit({"x": x}, AutoNormal, steps=5, batch_size=10, seed=0)
    assert (report.units, report.held_out) == (300, 0)
    assert "parameters for each unit" in repr(report)
    few = pc.SCM(latent_chain).fit({"x": x[:50]}, AutoNormal, steps=5, seed=0)
    assert "fewer than 20" in repr(few)


def test_a_new_guide_starts_afresh_and_the_same_one_goes_on() -> None:
    data = {"x": 1 + torch.randn(50)}
    scm = pc.SCM(hierarchy)
    guide = AutoNormal(scm)
    scm.fit(data, guide, steps=200, lr=0.1, seed=0)
    reached = posterior_draws(scm._core, 0, 1)["mu"].item()
    scm.fit(data, guide, steps=1, lr=1e-9, seed=0)
    assert posterior_draws(scm._core, 0, 1)["mu"].item() == pytest.approx(reached, abs=1e-4)
    scm.fit(data, AutoNormal(scm), steps=1, lr=1e-9, seed=0)
    assert abs(posterior_draws(scm._core, 0, 1)["mu"].item() - reached) > 0.1


def test_there_are_no_posterior_draws_before_a_fit_with_a_guide() -> None:
    with pytest.raises(pc.IncompleteEvidence, match="no fitted guide"):
        posterior_draws(pc.SCM(hierarchy)._core, 0, 1)
