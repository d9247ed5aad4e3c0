"""Every verb gives on a device what it gives on the CPU, and leaves its answer there."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import zoo

UNITS: Final = 6
Values = Mapping[Any, Tensor]
Check = Callable[[Callable[[torch.device], Values]], None]
on_cuda_too = pytest.mark.parametrize(
    "device", ["pretend", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)


# severity -> treated, site, scan, visit, risk; treated -> visit, risk, recovery; risk -> stays
def ward() -> None:
    """A positive number, a binary, a class, a vector, a plate, a deterministic site, a count."""
    severity = pyro.sample("severity", dist.LogNormal(0.0, 0.5))
    treated = pyro.sample("treated", dist.Bernoulli(logits=severity - 1))
    odds = torch.stack([severity, 1 - severity, torch.zeros_like(severity)], -1)
    site = pyro.sample("site", dist.Categorical(logits=odds))
    mean = severity[..., None] * torch.tensor([1.0, -1.0, 0.5])
    scan = pyro.sample("scan", dist.MultivariateNormal(mean, torch.eye(3)))
    with pyro.plate("visits", 2):
        pyro.sample("visit", dist.Normal(treated - severity, torch.tensor([[0.5], [1.0]])))
    risk = pyro.deterministic("risk", torch.sigmoid(severity - treated + 0.1 * site))
    pyro.sample("recovery", dist.Laplace(scan.sum(-1) + treated, 0.5))
    pyro.sample("stays", dist.Geometric(risk))


@cache
def ward_on(device: torch.device) -> pc.SCM:
    """The ward, which is probed once on each device."""
    return pc.SCM(ward).to(device)


@cache
def patients() -> dict[str, Tensor]:
    return dict(pc.SCM(ward).sample(UNITS, seed=5))


def some(*names: str) -> dict[str, Tensor]:
    return {name: patients()[name] for name in names}


def with_gaps() -> dict[str, Tensor]:
    seen = {name: value.float().clone() for name, value in patients().items()}
    for name in ("visit", "recovery", "stays"):
        seen[name][-2:] = torch.nan
    return seen


def named(**groups: Values) -> Values:
    """Join answers under names of two parts."""
    return {(group, name): v for group, values in groups.items() for name, v in values.items()}


ACTIONS: Final[dict[str, Callable[[], Any]]] = {
    "number": lambda: {"treated": 1.0},
    "tensor": lambda: {"severity": torch.linspace(0.5, 2.0, UNITS)},
    "list": lambda: {"site": [0, 1, 2, 0, 1, 2]},
    "array": lambda: {"recovery": np.linspace(0.0, 1.0, UNITS)},
    "vector": lambda: {"scan": torch.tensor([0.5, 0.0, -0.5])},
    "plate": lambda: {"visit": torch.tensor([0.0, 1.0])},
    "grid": lambda: {"treated": pc.grid([0.0, 1.0])},
    "grid of a tensor": lambda: {"severity": pc.grid(torch.linspace(0.5, 2.0, 3))},
    "shift": lambda: {"severity": pc.shift(torch.linspace(0.5, 2.0, UNITS))},
    "edit": lambda: {"scan": pc.edit(lambda x: x * torch.tensor([1.0, 0.0, 2.0]))},
    "policy": lambda: {"treated": pc.policy(lambda values: (values["severity"] > 1).float())},
    "distribution": lambda: {"severity": dist.LogNormal(0.5, 1.0)},
    "distribution of a vector": lambda: {"scan": dist.Normal(torch.zeros(3), 1.0).to_event(1)},
    "distribution of a class": lambda: {"site": dist.Categorical(torch.tensor([0.2, 0.3, 0.5]))},
    "inverse transform": lambda: {
        "recovery": dist.TransformedDistribution(
            dist.LogNormal(torch.zeros(1), 1.0), [dist.transforms.ExpTransform().inv]
        )
    },
    "mechanism": lambda: {
        "recovery": pc.mechanism(lambda values: dist.Normal(values["severity"], 0.5))
    },
    "mechanism of the same noise": lambda: {
        "treated": pc.mechanism(lambda values: dist.Bernoulli(logits=1 - values["severity"]))
    },
    "edge": lambda: pc.edge("severity", "risk", 1.0),
    "edge and site": lambda: (pc.edge("treated", "recovery", 0.0), {"severity": 0.5}),
    "worlds": lambda: [
        {"treated": 0.0},
        {"severity": pc.shift(1.0)},
        {},
        pc.edge("site", "risk", 2),
    ],
}
EVIDENCE: Final[dict[str, Callable[[], Any]]] = {
    "everything": patients,
    "a root": lambda: some("severity"),
    "gaps": with_gaps,
    "one unit": lambda: {name: value[0] for name, value in patients().items()},
    "lists": lambda: {name: value.tolist() for name, value in some("severity", "site").items()},
    "arrays": lambda: {name: value.numpy() for name, value in some("severity", "treated").items()},
}
each_action = pytest.mark.parametrize("action", ACTIONS)


@on_cuda_too
@each_action
def test_samples_under_an_intervention(action: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        found = ward_on(device).do(ACTIONS[action]()).sample(UNITS, seed=1)
        return named(values=found, natural=found.natural)

    check_same(ask)


@on_cuda_too
@each_action
def test_counterfactuals_under_an_intervention(action: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = ward_on(device)
        found = scm.counterfactual(with_gaps(), ACTIONS[action](), num_draws=2, seed=1)
        return named(values=found, natural=found.natural, factual=found.factual)

    check_same(ask)


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_abduction_from_evidence_of_any_pattern(evidence: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm, seen = ward_on(device), EVIDENCE[evidence]()
        known = scm.abduct(seen, num_draws=2, seed=1)
        after = scm.counterfactual(seen, {"treated": 1.0}, abduction=known, num_draws=2)
        return named(noise=known.noise.known, factual=known.factual, after=after)  # type: ignore[arg-type]

    check_same(ask)


def test_evidence_and_values_may_lie_on_the_device(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        seen = {name: value.to(device) for name, value in patients().items()}
        return ward_on(device).counterfactual(seen, {"severity": seen["severity"] + 1}, seed=0)

    check_same(ask)


@pytest.mark.parametrize("action", [None, "number", "distribution", "mechanism"])
def test_densities(action: str | None, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        # What is set, and what follows from it alone, need not be given.
        settled = ("treated", "risk") if action == "number" else ()
        scm = ward_on(device)
        seen = {name: value for name, value in patients().items() if name not in settled}
        return {"log_prob": (scm.do(ACTIONS[action]()) if action else scm).log_prob(seen)}

    check_same(ask)


def test_conditioned_samples(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = ward_on(device)
        before = scm.condition(severity=1.0).sample(UNITS, seed=0)
        after = scm.do(treated=1.0).condition(severity=[0.5] * UNITS).sample(UNITS, seed=0)
        return named(before=before, after=after)

    check_same(ask)


@on_cuda_too
@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_model_of_the_zoo(name: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm = pc.SCM(zoo.MODELS[name].program).to(device)
        sample = scm.sample(UNITS, seed=1)
        first, value = next(iter(sample.items()))
        after = scm.counterfactual(sample, {first: value.roll(1, 0)}, seed=2)
        return named(seen=sample, after=after, log_prob={"": scm.log_prob(sample)})

    check_same(ask)


def test_a_question_that_is_asked_again_and_again(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        scm, found = pc.SCM(zoo.MODELS["mediator"].program).to(device), {}
        for seed in range(4):
            sample = scm.sample(UNITS, seed=seed)
            first, value = next(iter(sample.items()))
            found[f"seen {seed}"] = sample
            found[f"after {seed}"] = scm.counterfactual(
                sample, {first: value.roll(seed, 0)}, seed=seed
            )
        return named(**found)

    check_same(ask)


def test_what_is_known_without_data_is_the_same(device: torch.device) -> None:
    scm = ward_on(device)
    assert scm.graph.edges == pc.SCM(ward).graph.edges
    assert repr(scm.plan(with_gaps())) == repr(pc.SCM(ward).plan(with_gaps()))


def test_an_answer_is_printed_and_tabulated_from_the_device(device: torch.device) -> None:
    found, expected = (ward_on(d).sample(UNITS, seed=0) for d in (device, torch.device("cpu")))
    assert repr(found) == repr(expected)
    assert np.allclose(found.to_frame(), expected.to_frame(), atol=1e-5)


def test_gradients_of_a_counterfactual(check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        dose = torch.tensor(1.0, device=device, requires_grad=True)
        answer = ward_on(device).counterfactual(patients(), {"severity": dose}, grad=True, seed=0)
        return {"": torch.autograd.grad(answer["scan"].sum() + answer["risk"].sum(), dose)[0]}

    check_same(ask)


def test_inputs_and_shared_sites(check_same: Check) -> None:
    def program(x: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(1.0, 1.0))
        with pc.units():
            pyro.sample("y", dist.Normal(slope * x, 1.0))

    def ask(device: torch.device) -> Values:
        scm, x = pc.SCM(program).to(device), torch.linspace(0.0, 1.0, UNITS)
        sample = scm.do(y=pc.shift(1.0)).sample(UNITS, inputs={"x": x}, seed=0)
        seen = {"slope": 2.0, "y": x.tolist()}
        after = scm.counterfactual(seen, {"y": pc.shift(1.0)}, inputs={"x": x.numpy()})
        return named(sample=sample, after=after)

    check_same(ask)


# ---------------------------------------------------------------- handlers without an SCM

PLACES: Final[dict[str, Callable[[torch.device], Any]]] = {
    "default device": lambda device: torch.device(device),
    "device of a parameter": lambda device: torch.device("cpu"),
}
HANDLED: Final[dict[str, Callable[[Any], Any]]] = {
    "do a tensor": lambda program: pc.do(program, x=torch.linspace(0.0, 1.0, UNITS)),
    "do a distribution": lambda program: pc.do(program, x=dist.Normal(torch.zeros(UNITS), 1.0)),
    "do a policy": lambda program: pc.do(program, k=pc.policy(lambda values: values["b"])),
    "condition": lambda program: pc.condition(program, x=[0.5] * UNITS, b=torch.ones(UNITS)),
    "condition on what was set": lambda program: pc.condition(
        pc.do(program, x=torch.ones(UNITS)), x=torch.ones(UNITS)
    ),
    "exogenous": pc.exogenous,
    "noise of evidence": lambda program: pc.exogenous(
        pc.condition(program, k=torch.arange(UNITS) % 2)
    ),
    "units": lambda program: pc.units(program, UNITS),
    "worlds": lambda program: pc.worlds(
        program, [{"x": torch.ones(UNITS)}, {"x": dist.Normal(0.0, 1.0)}], size=UNITS, seed=0
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("handler", HANDLED)
def test_handlers_used_bare(handler: str, place: str, check_same: Check) -> None:
    def ask(device: torch.device) -> Values:
        loc = torch.zeros(1 if handler == "worlds" else UNITS, device=device)

        def program() -> None:
            x = pyro.sample("x", dist.Normal(loc, loc + 1))
            b = pyro.sample("b", dist.Bernoulli(logits=x))
            pyro.sample("k", dist.Categorical(logits=torch.stack([x, b], -1)))

        pyro.set_rng_seed(0)
        with PLACES[place](device):
            handled = HANDLED[handler](program)
            sites = pyro.poutine.trace(handled).get_trace()
        sites.compute_log_prob()
        found = {name: sites.nodes[name] for name in ("x", "b", "k")}
        return named(
            value={name: site["value"] for name, site in found.items()},
            log_prob={name: torch.as_tensor(site["log_prob"]) for name, site in found.items()},
        )

    check_same(ask)
