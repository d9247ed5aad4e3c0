"""Questions that can't be meant: each is refused in words, before anything is drawn."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.model import SCM


# z -> x -> m -> y, x -> y, z -> y; x -> r
@pc.scm
def ward() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    x = pyro.sample("x", dist.Bernoulli(logits=z))
    m = pyro.sample("m", dist.Normal(x, 1.0))
    pyro.sample("y", dist.Normal(x + m + z, 1.0))
    pyro.sample("r", dist.Bernoulli(0.2 + 0.5 * x))


UNIT = {"z": 0.0, "x": 1.0, "m": 1.0, "y": 3.0, "r": 1.0}


def ate(**options: Any) -> Callable[[], object]:
    return lambda: pc.ate(ward, **{"treatment": "x", "outcome": "y", **options})


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "given a word": (
        ate(given={"x": "a"}),
        r"given\['x'\] holds words, such as 'a'; expected numbers",
    ),
    "given a list": (ate(given={"x": [1, 0]}), r"given\['x'\] got \[1, 0\]"),
    "given nothing": (ate(given={"x": None}), r"given\['x'\] got None"),
    "given a rule": (ate(given={"z": lambda v: v > 0}), r"given\['z'\] got <function"),
    "given text": (ate(given="x=1"), "mapping from variable to value"),
    "level in words": (ate(level="a"), "level got 'a'; expected a probability"),
    "no level": (ate(level=None), "level got None"),
    "level in percent": (ate(level=95), "level got 95"),
    "no treatment": (ate(treatment=None), "treatment got None; expected the name"),
    "a number as treatment": (ate(treatment=3), "treatment got 3"),
    "a mapping as treatment": (ate(treatment={"x": 1.0}), "treatment got {'x': 1.0}"),
    "outcome a word": (ate(outcome={"r": "high"}), r"outcome\['r'\] holds words, such as 'high'"),
    "outcome of probability 0": (ate(outcome={"y": 1.0}), "'y' is continuous: y=1.0 has prob"),
    "outcome of an unknown": (ate(outcome=lambda v: v["q"]), "outcome: there is no variable 'q'"),
    "inputs without names": (ate(inputs=[1.0]), "inputs is a list; expected a mapping"),
    "treatment of a program": (lambda: pc.att("ward", "x", "y"), "Expected an SCM; got str"),  # type: ignore[arg-type]
    "a dose": (lambda: pc.dose_response(ward, "z", "y", doses=1.0), "doses got 1.0; expected a"),  # type: ignore[arg-type]
    "a word as dose": (
        lambda: pc.dose_response(ward, "z", "y", doses=["a"]),  # type: ignore[list-item]
        "doses holds words, such as 'a'",
    ),
    "doses of two": (
        lambda: pc.dose_response(ward, ["z"], "y", doses=[1.0]),  # type: ignore[arg-type]
        r"treatment got \['z'\]; expected the name of one",
    ),
    "q a word": (lambda: pc.quantile_effect(ward, "x", "y", q="a"), "q got 'a'"),  # type: ignore[arg-type]
    "no q": (lambda: pc.quantile_effect(ward, "x", "y", q=None), "q got None"),  # type: ignore[arg-type]
    "by several": (lambda: pc.cate(ward, "x", "y", by=["z"]), "by got"),  # type: ignore[arg-type]
    "bins a word": (lambda: pc.cate(ward, "x", "y", by="z", bins="a"), "bins got 'a'"),  # type: ignore[arg-type]
    "one limit": (lambda: pc.cate(ward, "x", "y", by="z", bins=[0.0]), "two or more that rise"),
    "falling limits": (lambda: pc.cate(ward, "x", "y", by="z", bins=[1, 0]), "that rise"),
    "a number as mediator": (lambda: pc.nde(ward, "x", "y", mediators=3), "mediators got 3"),  # type: ignore[arg-type]
    "outcome of mediation": (lambda: pc.nde(ward, "x", "q"), "outcome: there is no variable 'q'"),
    "treatment as mediator": (
        lambda: pc.cde(ward, "x", "y", mediators={"x": 1.0}),
        "'x' as treatment and as mediator",
    ),
    "edges a word": (lambda: pc.path_effect(ward, "x", "y", edges="xy"), "expected pairs"),  # type: ignore[arg-type]
    "one edge": (lambda: pc.path_effect(ward, "x", "y", edges=("x", "y")), "expected pairs"),  # type: ignore[arg-type]
    "edges a number": (lambda: pc.path_effect(ward, "x", "y", edges=1), "expected pairs"),  # type: ignore[arg-type]
    "event a word": (
        lambda: pc.pn(ward, "x", {"r": "a"}),
        r"outcome\['r'\] holds words, such as 'a'",
    ),
    "cause of a density": (lambda: pc.pns(ward, "x", {"y": 1.0}), "'y' is continuous"),
    "necessity of a dose": (lambda: pc.pn(ward, "z", "r"), "one value of the treatment, but 'z'"),
    "att of two": (lambda: pc.att(ward, ["x"], "y"), "treatment got"),  # type: ignore[arg-type]
    "atu of a number": (lambda: pc.atu(ward, "x", "y", given=3), "given got int"),
    "a grid of worlds": (
        lambda: pc.contrast(ward, "y", {"x": pc.grid([0.0, 1.0])}, {"x": 0.0}),
        "about single worlds; got x=0 | x=1",
    ),
    "a grid in an expression": (
        lambda: pc.effect(ward, pc.Y("y", do={"x": pc.grid([0.0, 1.0])})),
        "single worlds",
    ),
    "cause of a program": (lambda: pc.attribute("ward", UNIT, "y"), "Expected an SCM"),  # type: ignore[arg-type]
    "two targets": (lambda: pc.attribute(ward, UNIT, ["y"]), "target got"),  # type: ignore[arg-type]
    "level of shares": (lambda: pc.attribute(ward, UNIT, "y", level=95), "level got 95"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_question_that_cannot_be_meant_is_refused_in_words(name: str) -> None:
    ask, words = REFUSALS[name]
    with pytest.raises((ValueError, TypeError, KeyError), match=words):
        ask()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the verbs that a question calls."""
    noted: list[str] = []
    for verb in ("abduct", "sample"):
        own = getattr(SCM, verb)

        def watched(self: Any, *args: Any, verb: str = verb, own: Any = own, **kw: Any) -> Any:
            noted.append(verb)
            return own(self, *args, **kw)

        monkeypatch.setattr(SCM, verb, watched)
    return noted


def test_what_was_seen_is_abducted_once_random_noise_or_not(calls: list[str]) -> None:
    pc.ite(ward, "x", "y", evidence={"z": [0.0], "x": [1.0]}, num_samples=200, seed=0)
    assert calls == ["abduct"]
    calls.clear()
    answer = pc.ite(ward, "x", "y", evidence=UNIT, seed=0)
    assert calls == ["abduct"]
    # The noise of x, which is set, and of r, which the outcome does not hang on, has no part in it.
    assert "units: 1 seen\n" in str(answer)
    assert (answer.value.tolist(), answer.se.tolist()) == ([pytest.approx(2.0)], [0.0])


def test_noise_that_the_action_moves_is_drawn(calls: list[str]) -> None:
    answer = pc.ate(ward, "x", "r", evidence=UNIT, num_samples=200, seed=0)
    assert "1 seen, 200 draws of each" in str(answer)
    # r(1) = 1 was seen; r(0) = 1 has the chance .2 / .7 under the monotone coupling.
    assert answer.value == pytest.approx(1 - 2 / 7, abs=4 * (2 / 7 * 5 / 7 / 200) ** 0.5)
    assert calls == ["abduct"]


def test_arguments_are_introduced_once_and_only_where_they_are_needed(calls: list[str]) -> None:
    def by_age(age: torch.Tensor) -> None:
        x = pyro.sample("x", dist.Bernoulli(logits=age))
        pyro.sample("y", dist.Bernoulli(0.2 + 0.2 * age * x))

    model, inputs = pc.SCM(by_age), {"age": torch.linspace(0.0, 2.0, 500)}
    pc.pns(model, "x", "y", inputs=inputs, seed=0)
    # Once to know the variables, once to see that y is 0 or 1, once for the two worlds.
    assert calls == ["sample"] * 3
    calls.clear()
    pc.ate(model, "x", "y", inputs=inputs, seed=0)
    assert calls == ["sample"]


def test_mediation_may_bring_the_first_inputs() -> None:
    def chain(dose: torch.Tensor) -> None:
        x = pyro.sample("x", dist.Normal(dose, 1.0))
        m = pyro.sample("m", dist.Normal(2.0 * x, 1.0))
        pyro.sample("y", dist.Normal(x + m, 1.0))

    inputs = {"dose": torch.zeros(50)}
    direct = pc.nde(pc.SCM(chain), "x", "y", inputs=inputs, seed=0)
    path = pc.path_effect(pc.SCM(chain), "x", "y", edges=[("x", "y")], inputs=inputs, seed=0)
    assert (direct.value, path.value) == (pytest.approx(1.0, abs=1e-5),) * 2


# x -> m -> y, x -> y, all of two values
@pc.scm
def chances() -> None:
    x = pyro.sample("x", dist.Bernoulli(0.5))
    m = pyro.sample("m", dist.Bernoulli(0.2 + 0.5 * x))
    y = pyro.sample("y", dist.Bernoulli(0.1 + 0.3 * x + 0.4 * m))
    pyro.deterministic("both", m * y)


def test_answers_of_a_coupling_name_it_and_others_do_not() -> None:
    settings: dict[str, Any] = {"num_samples": 200, "seed": 0}
    coupled = "the coupling of m (gumbel-max, monotone), y (gumbel-max, monotone)"
    joint = (pc.Y("y", do={"x": 1}) == 1) & (pc.Y("y", do={"x": 0}) == 0)
    for answer in (
        pc.harm(chances, "x", "y", **settings),
        pc.ate(chances, "x", "y", given={"y": 1}, **settings),
        pc.effect(chances, joint, **settings),
        pc.quantile_effect(chances, "x", "y", of="individual", **settings),
    ):
        assert coupled in answer.assumptions
        assert answer.rung == 3
    for answer in (
        pc.ate(chances, "x", "y", **settings),
        pc.att(chances, "x", "y", **settings),
        pc.nde(chances, "x", "y", **settings),
    ):
        assert not any("coupling" in words for words in answer.assumptions)


def test_bounds_say_what_they_keep_of_the_model() -> None:
    notes = {
        outcome: pc.harm(chances, "x", outcome, num_samples=200, seed=0).bounds
        for outcome in ("m", "y", "both")
    }
    said = {outcome: bounds.note for outcome, bounds in notes.items() if bounds is not None}
    assert said == {
        "m": "any coupling of m; no data can narrow this",
        "y": "any coupling of y with the noise of m shared by the worlds; no data can narrow this",
        "both": "a function of its causes with the noise of m, y shared by the worlds",
    }
