"""Questions that are asked in unusual ways: seen units, inputs, events made of others, refusals."""

from collections.abc import Callable

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal.queries import Y


@pc.scm
def ward() -> None:
    z = pyro.sample("z", dist.Bernoulli(0.4))
    x = pyro.sample("x", dist.Bernoulli(0.2 + 0.5 * z))
    pyro.deterministic("both", z * x)
    y = pyro.sample("y", dist.Normal(x * (1.0 + z), 1.0))
    pyro.sample("w", dist.Bernoulli(logits=y))


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    dose = pyro.sample("dose", dist.Normal(severity, 1.0))
    pyro.sample("pain", dist.Normal((1.0 + severity) * dose, 1.0))


SEEN = {"z": [0.0, 1.0, 1.0, 0.0], "x": [0.0, 1.0, 0.0, 1.0], "y": [0.0, 1.0, 2.0, 1.0]}
EXACT = {"severity": [0.0, 1.0], "dose": [0.5, 0.0], "pain": [1.0, -1.0]}


def by_age(age: torch.Tensor) -> None:
    x = pyro.sample("x", dist.Bernoulli(logits=age))
    pyro.sample("y", dist.Bernoulli(0.2 + 0.2 * age * x))


AGES = torch.linspace(0.0, 2.0, 3000)


def spread_of_z(ask: Callable[[int], pc.Effect], seeds: int = 40) -> float:
    answers = [ask(seed) for seed in range(seeds)]
    values = torch.tensor([float(answer.value) for answer in answers])
    errors = torch.tensor([float(answer.se) for answer in answers if answer.se is not None])
    return (values.std() / errors.mean()).item()


@pytest.mark.slow
# The sd of 40 values has a relative error of 0.11; so 4 of these are 0.45.
def test_monte_carlo_error_of_some_of_the_units_that_were_seen_is_that_of_the_draws() -> None:
    def ask(seed: int) -> pc.Effect:
        seen = {"z": [0.0, 1.0], "y": [-2.0, 2.0]}
        return pc.ate(ward, "x", "w", evidence=seen, given={"x": 1.0}, num_samples=200, seed=seed)

    assert abs(spread_of_z(ask) - 1) < 0.45


def test_a_quantile_over_units_whose_noise_is_known_has_no_monte_carlo_error() -> None:
    answer = pc.quantile_effect(
        clinic, "dose", "pain", q=0.5, of="individual", values=(2.0, 0.0), evidence=EXACT
    )
    assert (answer.value, answer.se) == (pytest.approx(3.0), 0.0)


def test_units_whose_noise_is_known_leave_no_monte_carlo_error_and_need_not_be_many() -> None:
    answer = pc.ate(clinic, "dose", "pain", evidence=EXACT, given=lambda v: v["severity"] > 0.5)
    assert (answer.value, answer.se) == (pytest.approx(2.0), 0.0)


def test_subgroups_of_seen_units_have_the_error_of_the_draws() -> None:
    answer = pc.cate(clinic, "dose", "pain", by="severity", bins=[-1, 0.5, 2], evidence=EXACT)
    assert torch.as_tensor(answer.value).tolist() == pytest.approx([1.0, 2.0])
    assert torch.as_tensor(answer.se).tolist() == [0.0, 0.0]


def test_an_event_made_of_others_is_a_subgroup_like_any_other() -> None:
    answer = pc.cate(ward, "x", "y", by="both", num_samples=4000, seed=0)
    assert answer.index.tolist() == [0.0, 1.0]
    told = pc.ate(ward, "x", "y", given={"both": 1.0}, num_samples=4000, seed=0)
    assert told.value == pytest.approx(2.0, abs=1e-5)
    # P(z=1 | not both) = 0.4 * 0.3 / (1 - 0.4 * 0.7) = 1/6
    errors = torch.as_tensor(answer.se)
    off = (torch.as_tensor(answer.value) - torch.tensor([1 + 1 / 6, 2.0])).abs()
    assert bool((off < 4 * errors + 1e-5).all())


@pytest.mark.parametrize("ask", [pc.ate, pc.att, pc.pn, pc.pns])
def test_the_first_question_may_bring_the_inputs(ask: Callable[..., pc.Effect]) -> None:
    answer = ask(pc.SCM(by_age), "x", "y", inputs={"age": AGES}, seed=0)
    assert 0.1 < float(answer.value) < 0.6


@pytest.mark.parametrize("ask", [pc.pns, pc.harm, pc.pn])
def test_inputs_of_numpy_may_meet_a_network(ask: Callable[..., pc.Effect]) -> None:
    net = torch.nn.Linear(1, 1)

    def program(age: torch.Tensor) -> None:
        x = pyro.sample("x", dist.Bernoulli(logits=net(age[:, None])[:, 0]))
        pyro.sample("y", dist.Bernoulli(0.3 + 0.4 * x))

    model = pc.SCM(program)
    one = ask(model, "x", "y", inputs={"age": AGES.double().numpy()}, seed=0)
    assert one.value == ask(model, "x", "y", inputs={"age": AGES}, seed=0).value


def test_inputs_that_all_units_share_leave_their_number_free() -> None:
    for age in (1.0, torch.tensor(1.0)):
        answer = pc.ate(pc.SCM(by_age), "x", "y", inputs={"age": age}, num_samples=4000, seed=0)
        assert answer.se is not None
        assert abs(float(answer.value) - 0.2) < 4 * float(answer.se)


def test_the_error_of_a_units_relative_effect_is_that_of_the_ratio() -> None:
    seen = {"z": [1.0], "x": [1.0], "y": [2.0]}
    answer = pc.ite(ward, "x", "w", evidence=seen, scale="ratio", num_samples=400, seed=0)
    one, other = torch.sigmoid(torch.tensor(2.0)).item(), 0.5  # w(0)=1 implies w(1)=1
    ratio = one / other  # of 400 draws its error is itself 9 % off, so 4 are 36 %
    variance = (one - 2 * ratio * other + ratio**2 * other) / other**2
    assert torch.as_tensor(answer.se).item() == pytest.approx((variance / 400) ** 0.5, rel=0.4)


@pytest.mark.parametrize("ask", [pc.pn, pc.pns])
def test_causation_for_seen_units_with_inputs(ask: Callable[..., pc.Effect]) -> None:
    seen, ages = {"x": [1.0, 1.0], "y": [1.0, 1.0]}, {"age": [1.0, 2.0]}
    answer = ask(pc.SCM(by_age), "x", "y", evidence=seen, inputs=ages, num_samples=200, seed=0)
    assert answer.value == pytest.approx((0.5 + 2 / 3) / 2)  # (0.2 of 0.4 and 0.4 of 0.6)


def test_rows_keep_their_labels_and_missing_values_are_drawn() -> None:
    frame = pd.DataFrame(SEEN, index=list("abcd"))
    frame.loc["b", "y"] = float("nan")
    answer = pc.ite(ward, "x", "y", evidence=frame, num_samples=400, seed=0)
    assert answer.index.tolist() == list("abcd")
    assert torch.as_tensor(answer.value).tolist() == pytest.approx([1, 2, 2, 1], abs=1e-4)


def test_a_question_of_the_factual_world_alone_is_one_of_seeing() -> None:
    given = pc.effect(ward, Y("y"), given={"x": 1.0}, num_samples=2000, seed=0)
    event = pc.effect(ward, Y("y"), given=Y("x") == 1, num_samples=2000, seed=0)
    assert (given.rung, event.rung) == (1, 1)


@pytest.mark.slow
def test_played_programs_answer_as_programs_that_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pc.ate(ward, "x", "w", given={"z": 1.0}, num_samples=1000, seed=0)
    played = pc.SCM(ward.program)
    monkeypatch.setattr(played._core.replays, "patience", 0)
    for _ in range(2):
        answer = pc.ate(played, "x", "w", given={"z": 1.0}, num_samples=1000, seed=0)
    assert answer.value == pytest.approx(run.value, abs=1e-6)


def rare() -> None:
    shift = pyro.param("shift", torch.tensor(0.0))
    x = pyro.sample("x", dist.Bernoulli(0.02))
    pyro.sample("y", dist.Bernoulli(logits=shift + x))


ROWS = {"x": torch.arange(400) % 50 == 0, "y": torch.arange(400) % 4 == 0}
DATA = {name: rows.float() for name, rows in ROWS.items()}


def test_uncertain_parameters_of_a_question_about_few_units_and_back_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyrocausal.fitting.uncertainty.DRAWS", 20)
    model = pc.SCM(rare)
    model.fit(DATA, steps=100, lr=0.1, uncertainty="sandwich", progress=False, seed=0)
    before = model._core.scope.named()["shift"].detach().clone()
    answer = pc.pn(model, "x", "y", num_samples=20_000, seed=0)
    assert answer.interval is not None
    assert float(answer.interval.sources["parameters"]) > 0
    assert torch.equal(model._core.scope.named()["shift"], before)


def fitted_by_age(age: torch.Tensor) -> None:
    slope = pyro.param("slope", torch.tensor(0.0))
    x = pyro.sample("x", dist.Bernoulli(logits=0.0 * age))
    pyro.sample("y", dist.Normal(slope * x, 1.0))


def test_uncertain_parameters_with_many_rows_of_inputs() -> None:
    model, inputs = pc.SCM(fitted_by_age), {"age": AGES}
    data = model.do({}).sample(3000, inputs=inputs, seed=0)
    model.fit(
        dict(data), inputs=inputs, steps=100, lr=0.1, uncertainty="laplace", progress=False, seed=0
    )
    answer = pc.ate(model, "x", "y", inputs=inputs, seed=0)
    assert answer.interval is not None
    told = float(answer.interval.sources["parameters"])
    # sd of a slope through 0 is 1 / sqrt(sum x^2); that of 200 draws is 5 % off, so 4 are 20 %
    assert told == pytest.approx(float(data["x"].sum()) ** -0.5, rel=0.2)


def test_a_bootstrap_that_fails_leaves_the_parameters_where_the_fit_put_them() -> None:
    def program() -> None:
        shift = pyro.param("shift", torch.zeros(2))
        x = pyro.sample("x", dist.Bernoulli(0.01))
        pyro.sample("y", dist.Normal(shift[0] + shift[1] * x, 1.0))

    model = pc.SCM(program)
    data = {"x": (torch.arange(60) == 0).float(), "y": torch.linspace(-1.0, 1.0, 60)}
    with pytest.raises(ValueError, match="no sharp maximum"):
        model.fit(data, steps=300, lr=0.1, uncertainty="bootstrap", progress=False, seed=0)
    mean = data["y"][1:].mean()  # a resample would give another
    assert model._core.scope.named()["shift"][0].item() == pytest.approx(mean.item(), abs=1e-3)


@pc.scm
def pairs() -> None:
    v = pyro.sample("v", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    x = pyro.sample("x", dist.Bernoulli(logits=v[..., 0]))
    pyro.sample("y", dist.Normal(x[..., None] + v, 1.0).to_event(1))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: pc.ate(ward, "x", lambda v: v["y"].mean()), "one number a unit"),
        (lambda: pc.ate(pairs, "x", lambda v: v["y"]), "one number a unit"),
        (
            lambda: pc.ate(pairs, "x", lambda v: v["y"].sum(-1), given=lambda v: v["v"] > 0),
            "one number a unit",
        ),
        (lambda: pc.effect(ward.condition(z=1.0), Y("y")), "without condition"),
        (lambda: pc.attribute(ward.do(z=1.0), {"z": 1.0, "x": 1.0, "y": 5.0}, "y"), "as it was"),
        (lambda: pc.cate(ward, "x", "w", by="y", bins=0), "number of ranges"),
    ],
)
def test_impossible_questions_are_refused_in_words(ask: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ask()
