"""Amortized guides: densities that are what was drawn from, spaces, patterns, bad input."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from small_programs import SHARED, kinds
from torch import Tensor

import pyrocausal as pc
from pyrocausal.guides import Amortized

HEADS = ("gaussian", "diagonal", "mixture", "flow")


# z -> every other variable but dose; dose -> share
def every_kind() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("code", dist.Categorical(logits=torch.stack([z, -z, 0 * z], -1)))
    pyro.sample("hot", dist.OneHotCategorical(logits=torch.stack([z, -z, 0 * z], -1)))
    pyro.sample("visits", dist.Poisson(torch.exp(z)))
    pyro.sample("out of ten", dist.Binomial(10, torch.sigmoid(z)))
    pyro.sample("of 100", dist.Binomial(100, torch.sigmoid(z)))
    dose = pyro.sample("dose", dist.Gamma(2.0, 1.0))
    pyro.sample("share", dist.Beta(2.0, 1.0 + dose))
    pyro.sample("angle", dist.Uniform(-torch.ones(()), 1.0))
    pyro.sample("below", dist.Uniform(torch.zeros(()), 1.0 + dose))
    pyro.sample("vector", dist.Normal(z[..., None] * torch.ones(2), 1.0).to_event(1))
    pyro.sample("parts", dist.Dirichlet(torch.tensor([1.0, 2.0, 3.0])))
    with pyro.plate("times", 3, dim=-2):
        pyro.sample("repeated", dist.LogNormal(z, 1.0))
    pyro.sample("image", dist.Normal(z[..., None, None] * torch.ones(8, 8), 1.0).to_event(2))
    pyro.deterministic("total", z + dose, event_dim=0)


# cause -> effect
def pair() -> None:
    cause = pyro.sample("cause", dist.Normal(0.0, 1.0))
    pyro.sample("effect", dist.Normal(cause, 0.5))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(guide: Amortized, seed: int = 0) -> Amortized:
    """Give an untrained guide weights that let all of its parts count."""
    source = generator(seed)
    with torch.no_grad():
        for weight in guide.output.parameters():
            weight.normal_(0.0, 0.15, generator=source)
    return guide


@pytest.mark.parametrize("encoder", ["mlp", "transformer"])
@pytest.mark.parametrize("head", HEADS)
def test_the_density_of_draws_is_the_one_that_they_are_returned_with(
    head: str, encoder: str
) -> None:
    scm = pc.scm(every_kind)
    guide = moved(Amortized.of(scm, head=head, encoder=encoder, hidden=8, layers=1, seed=0))
    units = scm.sample(4, seed=1)
    for observed in ([], ["visits", "image", "of 100"], ["hot", "parts", "repeated", "share"]):
        missing = [name for name in guide.names if name not in observed]
        evidence = {name: units[name] for name in observed}
        values, log_q = guide.draw(evidence, missing, 3, generator())
        again = guide.log_prob(evidence, values, missing)
        assert log_q.shape == (3, 4 if observed else 1)
        torch.testing.assert_close(again, log_q, rtol=1e-4, atol=1e-3)
        for name in missing:
            assert values[name].dtype == units[name].dtype
            assert values[name].shape[2:] == units[name].shape[1:]
            assert bool(values[name].isfinite().all())


def test_draws_are_possible_values() -> None:
    scm = pc.scm(every_kind)
    guide = moved(Amortized.of(scm, head="mixture", hidden=8, layers=1, seed=0))
    values, _ = guide.draw({}, guide.names, 200, generator())
    assert bool(((values["share"] > 0) & (values["share"] < 1)).all())
    assert bool(((values["angle"] >= -1) & (values["angle"] <= 1)).all())
    assert bool((values["dose"] > 0).all())
    assert bool((values["below"] > 0).all())
    torch.testing.assert_close(values["parts"].sum(-1), torch.ones(200, 1))
    assert set(values["out of ten"].unique().tolist()) <= set(range(11))
    assert values["of 100"].max() <= 100
    assert bool((values["hot"].sum(-1) == 1).all())


GRIDS: dict[str, Callable[[], Tensor]] = {
    "z": lambda: torch.linspace(-30.0, 30.0, 60_001),
    "dose": lambda: torch.linspace(-14.0, 8.0, 60_001).exp(),
    "share": lambda: torch.linspace(-16.0, 16.0, 60_001, dtype=torch.float64).sigmoid().float(),
    "angle": lambda: torch.linspace(-1.0, 1.0, 60_001)[1:-1],
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("head", HEADS)
def test_a_density_integrates_to_one(head: str, name: str) -> None:
    guide = moved(Amortized.of(pc.scm(every_kind), head=head, hidden=8, layers=1, seed=0))
    x = GRIDS[name]()
    density = guide.log_prob({"visits": torch.tensor([3.0])}, {name: x[:, None]}, [name]).exp()
    assert torch.trapezoid(density[:, 0].double(), x.double()).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(("name", "count"), [("visits", 4000), ("of 100", 101), ("code", 3)])
def test_probabilities_of_discrete_values_sum_to_one(name: str, count: int) -> None:
    scm = pc.scm(every_kind)
    guide = moved(Amortized.of(scm, hidden=8, layers=1, seed=0))
    x = torch.arange(count).to(scm.sample(1, seed=0)[name].dtype)
    log_q = guide.log_prob({"z": torch.tensor([0.5])}, {name: x[:, None]}, [name])
    assert log_q.double().exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_a_joint_density_is_that_of_the_chain_of_conditionals() -> None:
    guide = moved(Amortized.of(pc.scm(every_kind), hidden=8, layers=1, seed=0))
    seen, x = (
        {"share": torch.tensor([0.4])},
        {"z": torch.tensor([0.7]), "dose": torch.tensor([2.0])},
    )
    first = guide.log_prob(seen, {"z": x["z"]}, ["z"])
    second = guide.log_prob({**seen, "z": x["z"]}, {"dose": x["dose"]}, ["dose"])
    joint = guide.log_prob(seen, x, ["dose", "z"])
    torch.testing.assert_close(joint, first + second)


def test_draws_come_from_the_generator_and_leave_others_alone() -> None:
    guide = Amortized.of(pc.scm(pair), hidden=8, layers=1, seed=0)
    seen, before = {"effect": torch.zeros(2)}, torch.get_rng_state()
    one, two, other = (
        guide.draw(seen, ["cause"], 5, generator(seed))[0]["cause"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_many_draws_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrocausal.guides.amortized.ROWS", 10)
    guide = moved(Amortized.of(pc.scm(pair), hidden=8, layers=1, seed=0))
    seen = {"effect": torch.linspace(-1.0, 1.0, 7)}
    values, log_q = guide.draw(seen, ["cause"], 4, generator())
    torch.testing.assert_close(guide.log_prob(seen, values, ["cause"]), log_q)


def test_it_covers_the_patterns_that_it_was_made_for() -> None:
    def covers(guide: Amortized, observed: str, missing: str) -> bool:
        return guide.covers(frozenset(observed.split()), frozenset(missing.split()))

    anything = Amortized.of(pc.scm(every_kind, latent=["z"]), hidden=8, layers=1, seed=0)
    assert covers(anything, "visits", "z dose")
    assert covers(anything, "visits total", "z")
    assert not covers(anything, "z", "visits")
    assert not covers(anything, "visits", "visits")
    assert not covers(anything, "visits", "total")
    assert not covers(anything, "visits", "nobody")
    listed = Amortized.of(pc.scm(pair), patterns=[["effect"]], hidden=8, layers=1, seed=0)
    assert covers(listed, "effect", "cause")
    assert not covers(listed, "cause", "effect")
    assert not covers(listed, "", "cause")


def test_variables_without_a_density_are_evidence_only() -> None:
    def program() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("copy", dist.Delta(z))
        pyro.sample("votes", dist.Multinomial(5, torch.tensor([0.2, 0.3, 0.5])))

    guide = Amortized.of(pc.scm(program), hidden=8, layers=1, seed=0)
    assert not guide.covers(frozenset({"z"}), frozenset({"copy"}))
    assert not guide.covers(frozenset({"z"}), frozenset({"votes"}))
    assert guide.covers(frozenset({"copy", "votes"}), frozenset({"z"}))


BAD: dict[str, tuple[Callable[[Amortized], Any], str]] = {
    "no pattern": (
        lambda g: g.draw({"cause": torch.zeros(1)}, ["effect"], 1, generator()),
        "patt",
    ),
    "no name": (lambda g: g.draw({"efect": torch.zeros(1)}, ["cause"], 1, generator()), "efect"),
    "nothing": (lambda g: g.draw({"effect": torch.zeros(1)}, [], 1, generator()), "nothing"),
    "a name twice": (
        lambda g: g.draw({"effect": torch.zeros(1)}, ["cause", "cause"], 1, generator()),
        "doesn't infer",
    ),
    "not finite": (
        lambda g: g.draw({"effect": torch.tensor([torch.nan])}, ["cause"], 1, generator()),
        "no finite numbers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_question_that_it_was_not_made_for_is_refused(case: str) -> None:
    guide = Amortized.of(pc.scm(pair), patterns=[["effect"]], hidden=8, layers=1, seed=0)
    ask, words = BAD[case]
    with pytest.raises((ValueError, pc.UnknownVariable), match=words):
        ask(guide)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head": "normal"}, "expected one of diagonal, gaussian"),
        ({"encoder": "cnn"}, "expected one of mlp"),
        ({"hidden": 0}, "hidden=0"),
        ({"layers": 1.5}, "layers=1.5"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"lr": -1.0}, "lr=-1.0"),
        ({"compile": "yes"}, "compile='yes'"),
        ({"patterns": "some"}, "patterns='some'"),
        ({"patterns": []}, "patterns is empty"),
        ({"patterns": ["effect"]}, "holds the name"),
        ({"patterns": [["efect"]]}, "Did you mean 'effect'"),
        ({"patterns": [["cause", "effect"]]}, "nothing to infer"),
        ({"seed": 1.5}, "seed=1.5"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError, pc.UnknownVariable), match=words):
        pc.scm(pair).amortize(**{"steps": 1, **options})


def test_a_latent_variable_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="'cause' is latent"):
        pc.scm(pair, latent=["cause"]).amortize(patterns=[["cause"]], steps=1)


def test_programs_that_no_guide_stands_over_are_refused() -> None:
    def dosed(dose: Tensor) -> None:
        pyro.sample("x", dist.Normal(dose, 1.0))

    scm = pc.scm(dosed)
    scm.sample(2, inputs={"dose": torch.zeros(2)}, seed=0)
    with pytest.raises(ValueError, match="takes dose"):
        scm.amortize(steps=1)
    with pytest.raises(ValueError, match="all units share"):
        SHARED.amortize(steps=1)
    with pytest.raises(ValueError, match="without interventions"):
        pc.scm(pair).do(cause=1.0).amortize(steps=1)


def test_a_simulation_that_is_not_finite_is_an_error() -> None:
    def endless() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.where(x > 0, torch.inf, 0.0), 1.0))

    with pytest.raises(ValueError, match="not finite"):
        pc.scm(endless).amortize(steps=3, hidden=8, layers=1, seed=0)


def test_one_seed_is_one_guide_and_the_report_tells_how_it_went() -> None:
    first, second = pc.scm(kinds), pc.scm(kinds)
    before = torch.get_rng_state()
    report = first.amortize(steps=20, hidden=8, layers=1, seed=3, progress=False)
    again = second.amortize(steps=20, hidden=8, layers=1, seed=3, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(report.losses, again.losses)
    assert report.loss == again.loss
    assert (report.steps, report.seed, report.simulated) == (20, 3, 20 * 512)
    assert "on 10000 fresh units" in str(report)
    assert report.gain == pytest.approx(report.baseline - report.loss)
