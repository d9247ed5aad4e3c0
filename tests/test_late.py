"""The effect on compliers, in a model and from data, and the instrumental inequality."""

from typing import Any

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

import pyrocausal as pc
from pyrocausal.estimation.compliers import late
from pyrocausal.estimation.instrumental_inequality import instrumental_inequality


# kind -> X, Y; Z -> X -> Y: .5 comply, .2 always and .3 never take; effects 2, 1, 0
def three_kinds() -> None:
    kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.5, 0.2, 0.3])))
    z = pyro.sample("Z", dist.Bernoulli(torch.full(kind.shape, 0.5)))
    x = pyro.deterministic("X", torch.where(kind == 0, z, (kind == 1).to(z)))
    effect = torch.tensor([2.0, 1.0, 0.0])[kind]
    pyro.sample("Y", dist.Normal(effect * x + kind, 1.0))


# the same, and a tenth of the units does the opposite of what it is told
def with_defiers() -> None:
    kind = pyro.sample("kind", dist.Categorical(torch.tensor([0.5, 0.2, 0.2, 0.1])))
    z = pyro.sample("Z", dist.Bernoulli(torch.full(kind.shape, 0.5)))
    told = torch.where(kind == 3, 1 - z, (kind == 1).to(z))
    x = pyro.deterministic("X", torch.where(kind == 0, z, told))
    pyro.sample("Y", dist.Normal(torch.tensor([2.0, 1.0, 0.0, 4.0])[kind] * x, 1.0))


def rows_of_three_kinds(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    kind = rng.choice(3, size=rows, p=[0.5, 0.2, 0.3])
    z = rng.integers(0, 2, size=rows)
    x = np.where(kind == 0, z, kind == 1)
    y = np.array([2.0, 1.0, 0.0])[kind] * x + kind + rng.normal(size=rows)
    return pd.DataFrame({"Z": z, "X": x, "Y": y})


def within(found: Any, truth: float) -> bool:
    return bool(abs(found.value - truth) < 4 * found.se)


def test_the_effect_on_compliers_in_a_model_differs_from_the_average_effect() -> None:
    scm = pc.SCM(three_kinds, latent=["kind"])
    answer: Any = late(scm, "X", "Y", instrument="Z", seed=0)
    assert answer.value == pytest.approx(2.0, abs=1e-5)  # the same for each complier
    assert within(pc.ate(scm, "X", "Y", seed=0), 1.2)
    error = (0.25 / 20_000) ** 0.5
    for who, share in {"compliers": 0.5, "always-takers": 0.2, "never-takers": 0.3}.items():
        assert answer.details[f"share of {who}"] == pytest.approx(share, abs=4 * error)
    assert answer.details["share of defiers"] == 0
    assert answer.warnings == ()
    assert answer.rung == 3
    assert "E[Y(X=1) - Y(X=0) | X(Z=1)=1, X(Z=0)=0]" in str(answer)


def test_defiers_in_a_model_are_counted_and_warned_of() -> None:
    answer: Any = late(pc.SCM(with_defiers, latent=["kind"]), "X", "Y", instrument="Z", seed=0)
    assert answer.value == pytest.approx(2.0, abs=1e-5)
    assert answer.details["share of defiers"] == pytest.approx(0.1, abs=4 * (0.09 / 20_000) ** 0.5)
    assert "defy: the Wald ratio" in answer.warnings[0]


def test_the_zoo_has_the_effect_on_compliers_that_it_says() -> None:
    answer: Any = late(pc.zoo.noncompliance(), "X", "Y", instrument="Z", seed=0)
    assert within(answer, 2.2)
    assert "the coupling of X (gumbel-max, monotone)" in answer.assumptions[-1]


def test_who_complies_rests_on_the_coupling() -> None:
    scm = pc.SCM(pc.zoo.noncompliance().program, latent=["U"], noise={"X": "independent"})
    answer: Any = late(scm, "X", "Y", instrument="Z", seed=0)
    # P(x(1)=1) P(x(0)=0): .5 * .9 of the unmotivated and .9 * .7 of the motivated
    unmotivated, motivated = 0.5 * 0.9, 0.9 * 0.7
    assert within(answer, (unmotivated + 3 * motivated) / (unmotivated + motivated))
    assert answer.details["share of defiers"] > 0


def test_an_event_is_an_outcome_of_a_model() -> None:
    answer: Any = late(pc.SCM(three_kinds), "X", {"X": 1}, instrument="Z", seed=0)
    assert answer.value == 1.0
    assert answer.query.startswith("P(X(X=1)=1 | ")


def test_turning_the_instrument_round_leaves_no_compliers() -> None:
    scm = pc.SCM(three_kinds)
    with pytest.raises(ValueError, match="0 of 20000 units comply"):
        late(scm, "X", "Y", instrument="Z", instrument_values=(0.0, 1.0), seed=0)


def test_a_treatment_of_many_values_has_no_compliers_in_a_model() -> None:
    with pytest.raises(ValueError, match="who complies is told by two values"):
        late(pc.zoo.instrument(), "X", "Y", instrument="Z", seed=0)


def test_the_wald_ratio_of_data_is_the_effect_on_compliers() -> None:
    rows = rows_of_three_kinds(np.random.default_rng(0), 4000)
    card: Any = late(rows, "X", "Y", instrument="Z")
    mean = rows.groupby("Z").mean()
    wald = (mean.Y[1] - mean.Y[0]) / (mean.X[1] - mean.X[0])
    assert card.value == pytest.approx(wald, rel=1e-9)
    assert within(card, 2.0)
    assert abs(card.value - 1.2) > 4 * card.se
    assert card.details["share of always-takers"] == pytest.approx(mean.X[0])
    assert card.details["share of never-takers"] == pytest.approx(1 - mean.X[1])
    assert card.details["share of compliers"].startswith(f"{mean.X[1] - mean.X[0]:.3g} (se 0.01")
    assert card.details["claims"] == "the effect on compliers (LATE), under monotonicity"
    assert "nobody defies: no unit has X=0 with Z=1 and X=1 with Z=0" in card.assumptions
    assert not card.details["instrumental inequality"].rejected


def test_the_error_of_the_wald_ratio_is_that_of_the_delta_method() -> None:
    rows = rows_of_three_kinds(np.random.default_rng(1), 1000)
    card: Any = late(rows, "X", "Y", instrument="Z")
    residual = rows.Y - card.value * rows.X
    variance = sum(residual[at].var(ddof=0) / at.sum() for at in (rows.Z.eq(0), rows.Z.eq(1)))
    mean = rows.groupby("Z").X.mean()
    assert card.se == pytest.approx(variance**0.5 / (mean[1] - mean[0]), rel=2e-3)


def test_values_may_be_words_and_the_instrument_may_push_the_other_way() -> None:
    rows = rows_of_three_kinds(np.random.default_rng(2), 500)
    plain: Any = late(rows, "X", "Y", instrument="Z")
    named = rows.assign(X=np.where(rows.X == 1, "drug", "none"), Z=1 - rows.Z)
    card: Any = late(named, "X", "Y", instrument="Z", values=("drug", "none"))
    assert card.value == pytest.approx(plain.value, rel=1e-9)
    assert card.details["share of compliers"] == plain.details["share of compliers"]
    assert "X(Z=0)=drug, X(Z=1)=none" in card.query


def test_with_covariates_it_is_the_weighted_average_that_the_card_names() -> None:
    rng = np.random.default_rng(3)
    n = 200_000
    w = rng.integers(0, 2, n)
    z = rng.random(n) < np.where(w == 1, 0.5, 0.1)
    complies = rng.random(n) < np.where(w == 1, 0.4, 0.8)
    x = (z & complies) * 1.0
    effect = np.where(w == 1, 3.0, 1.0)
    rows = pd.DataFrame({"Z": z, "X": x, "Y": effect * x + 5 * w + rng.normal(size=n), "W": w})
    card: Any = late(rows, "X", "Y", instrument="Z", covariates="W")
    weights = np.array([0.8 * 0.1 * 0.9, 0.4 * 0.5 * 0.5])
    assert within(card, weights @ [1.0, 3.0] / weights.sum())
    assert "weights proportional to P(complier | W) Var(Z | W)" in card.details["claims"]
    assert "instrumental inequality" not in card.details
    assert abs(late(rows, "X", "Y", instrument="Z").value - card.value) > 1  # W confounds


@pytest.mark.slow
def test_intervals_of_the_effect_on_compliers_cover() -> None:
    runs, hits, rng = 500, 0, np.random.default_rng(5)
    for _ in range(runs):
        rows = rows_of_three_kinds(rng, 300)
        # A constant covariate adds no column, and spares the test of the inequality.
        card: Any = late(rows.assign(W=1.0), "X", "Y", instrument="Z", covariates="W")
        hits += 2.0 in card.interval
    low, high = stats.binom.ppf([0.005, 0.995], runs, 0.95) / runs
    assert low <= hits / runs <= high


GRAPH = pc.CausalGraph(
    [("C", "Z"), ("C", "Y"), ("Z", "X"), ("X", "M"), ("M", "Y"), ("D", "Y")],
    bidirected=[("X", "Y")],
)
ROWS = rows_of_three_kinds(np.random.default_rng(4), 200).assign(
    C=np.tile([0.0, 1.0], 100), D=np.repeat([0.0, 1.0], 100), M=0.0
)


@pytest.mark.parametrize(
    ("instrument", "covariates", "why"),
    [
        ("Z", (), "Z reaches Y, or shares a cause with it, other than through X.*Z given {C}"),
        ("Z", "D", "other than through X while D is held fixed"),
        ("D", (), "D reaches Y"),
        ("M", (), "M lies on, or below, a causal path"),
        ("Z", ("C", "M"), "M lies on, or below, a causal path"),
    ],
)
def test_a_variable_that_is_no_instrument_in_the_graph_is_refused(
    instrument: str, covariates: tuple[str, ...] | str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        late(GRAPH, "X", "Y", instrument=instrument, covariates=covariates, data=ROWS)


def test_an_instrument_that_tells_nothing_of_the_treatment_is_refused() -> None:
    graph = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
    graph.add_node("Z")
    with pytest.raises(ValueError, match="Z tells nothing of X"):
        late(graph, "X", "Y", instrument="Z", data=ROWS)


def test_an_instrument_of_the_graph_gives_what_the_data_alone_give() -> None:
    checked: Any = late(GRAPH, "X", "Y", instrument="Z", covariates="C", data=ROWS)
    assert checked.value == late(ROWS, "X", "Y", instrument="Z", covariates="C").value
    by_model: Any = late(pc.zoo.noncompliance(), "X", "Y", instrument="Z", data=ROWS)
    assert by_model.value == late(ROWS, "X", "Y", instrument="Z").value


def test_data_that_make_no_sense_are_refused() -> None:
    for changed, error, message in (
        ({"X": ROWS.X * 2}, ValueError, "the column 'X' holds 0, 2; expected 1 and 0 alone"),
        ({"Z": 1}, ValueError, "instrument 'Z' is 1 in all 200 complete rows"),
        ({"X": 0}, ValueError, "treatment 'X' is 0 in all 200 complete rows"),
        ({"Y": "high"}, TypeError, "'Y'.* holds words, such as 'high'"),
    ):
        with pytest.raises(error, match=message):
            late(ROWS.assign(**changed), "X", "Y", instrument="Z")
    with pytest.raises(pc.UnknownVariable, match="Q"):
        late(ROWS, "X", "Y", instrument="Q")
    with pytest.raises(TypeError, match="Give data="):
        late(GRAPH, "X", "Y", instrument="Z")
    with pytest.raises(ValueError, match="whose worlds need none"):
        late(pc.zoo.noncompliance(), "X", "Y", instrument="Z", covariates="U")
    holed = ROWS.assign(Z=ROWS.Z.where(np.arange(200) > 9))
    assert any("10 more rows" in text for text in late(holed, "X", "Y", instrument="Z").warnings)


def table(probabilities: Any, rows: int) -> pd.DataFrame:
    """Rows in proportion to P(y, x | z), by z and then (y, x)."""
    parts = [
        (z, x, y)
        for z, given in enumerate(probabilities)
        for (y, x), p in given.items()
        for _ in range(round(p * rows))
    ]
    return pd.DataFrame(parts, columns=["Z", "X", "Y"])


INVALID = (
    {(1, 1): 0.7, (0, 1): 0.1, (1, 0): 0.1, (0, 0): 0.1},
    {(1, 1): 0.1, (0, 1): 0.7, (1, 0): 0.1, (0, 0): 0.1},
)


def test_an_impossible_instrument_has_the_sum_of_the_literature() -> None:
    found = instrumental_inequality(table(INVALID, 200), "X", "Y", "Z")
    assert found.value == pytest.approx(1.4)
    assert found.at == 1
    assert found.rejected
    assert found.p_value < 1e-6
    assert found.feasible is False
    assert "the data contradict the instrument: 1.4" in str(found)


def test_the_card_of_an_impossible_instrument_warns() -> None:
    rows = table(INVALID, 200)
    rows.loc[0, "X"] = 0  # so that the first stage is not exactly 0
    card: Any = late(rows, "X", "Y", instrument="Z")
    assert "the data contradict the instrument: 1.39" in card.warnings[0]
    assert "weak instrument" in card.warnings[1]


def test_the_same_sum_in_few_rows_is_no_evidence() -> None:
    found = instrumental_inequality(table(INVALID, 10), "X", "Y", "Z")
    assert found.value == pytest.approx(1.4)
    assert not found.rejected


@pytest.mark.slow
def test_valid_instruments_are_rejected_no_more_often_than_said() -> None:
    runs = 200
    alarms = sum(
        instrumental_inequality(
            rows_of_three_kinds(np.random.default_rng(seed), 100), "X", "Y", "Z", monotone=True
        ).rejected
        for seed in range(runs)
    )
    assert alarms <= stats.binom.ppf(0.995, runs, 0.05)


def test_the_linear_program_sees_defiers_that_the_inequality_does_not() -> None:
    # X = 1 - Z for those with Y = 1, X = Z for the others: P(y=1, x=1 | z) falls with z.
    probabilities = (
        {(1, 1): 0.5, (0, 1): 0.0, (1, 0): 0.0, (0, 0): 0.5},
        {(1, 1): 0.0, (0, 1): 0.5, (1, 0): 0.5, (0, 0): 0.0},
    )
    rows = table(probabilities, 200)
    free = instrumental_inequality(rows, "X", "Y", "Z")
    assert free.value == pytest.approx(1.0)
    assert not free.rejected
    assert instrumental_inequality(rows, "X", "Y", "Z", monotone=True).feasible is False


def test_without_scipy_the_inequality_is_tested_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("pyrocausal.bounding.sampling_error.import_scipy", gone)
    found = instrumental_inequality(table(INVALID, 200), "X", "Y", "Z")
    assert found.feasible is None
    assert found.rejected
    assert "scipy is not installed" in str(found)


def test_the_inequality_needs_few_values_of_treatment_and_instrument() -> None:
    rows = ROWS.assign(many=np.linspace(0.01, 2.0, 200))
    with pytest.raises(ValueError, match="the treatment 'many' has 200 different values"):
        instrumental_inequality(rows, "many", "Y", "Z")
    with pytest.raises(ValueError, match="the instrument 'M' has 1 different values"):
        instrumental_inequality(rows, "X", "Y", "M")
