"""Independences that graphs claim, and tests of them whose level and power are measured."""

from collections.abc import Callable
from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pyrocausal as pc
from benchmarks.graphical import random_graph
from pyrocausal.errors import UnknownVariable
from pyrocausal.identification.independence import Column, independence

# A -> B -> C -> D
CHAIN = pc.CausalGraph([("A", "B"), ("B", "C"), ("C", "D")])


def subsets(names: frozenset[str]) -> list[tuple[str, ...]]:
    ordered = sorted(names)
    return list(chain.from_iterable(combinations(ordered, k) for k in range(len(ordered) + 1)))


def linear_rows(n: int, seed: int, extra: float = 0.0) -> pd.DataFrame:
    """Draw the chain, with an effect of A on D that it doesn't have."""
    rng = np.random.default_rng(seed)
    a, *noise = rng.standard_normal((4, n))
    b = a + noise[0]
    c = b + noise[1]
    return pd.DataFrame({"A": a, "B": b, "C": c, "D": c + extra * a + noise[2]})


def test_textbook_graphs_claim_what_the_textbook_says() -> None:
    assert str(pc.implied_independences(CHAIN)).splitlines() == [
        "A _||_ C | B",
        "A _||_ D | C",
        "B _||_ D | C",
    ]
    collider = pc.CausalGraph([("A", "C"), ("B", "C")])
    assert [str(claim) for claim in pc.implied_independences(collider)] == ["A _||_ B"]
    assert len(pc.implied_independences(pc.CausalGraph([("A", "B")]))) == 0


def test_latent_variables_take_claims_away() -> None:
    graph = pc.CausalGraph([("U", "X"), ("U", "Y"), ("Z", "X")], latent=["U"])
    assert [str(claim) for claim in pc.implied_independences(graph)] == ["Y _||_ Z"]


def test_each_separable_pair_has_one_minimal_claim() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        graph = random_graph(6, rng)
        claims = {frozenset({c.x, c.y}): c for c in pc.implied_independences(graph)}
        for x, y in combinations(sorted(graph.observed), 2):
            others = subsets(graph.observed - {x, y})
            separators = {z for z in others if graph.d_separated(x, y, z)}
            claim = claims.get(frozenset({x, y}))
            assert (claim is not None) == bool(separators)
            if claim is not None:
                assert tuple(sorted(claim.given)) in separators
                smaller = (set(z) < set(claim.given) for z in separators)
                assert not any(smaller)


def test_the_g_test_is_scipys_summed_over_strata() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(0, [[3], [2], [2]], (3, 500))
    columns = Column("x", x * 1.0, 3), Column("y", y * 1.0, 2), Column("z", z * 1.0, 2)
    result = independence(*columns[:2], columns[2:])
    tables = [pd.crosstab(x[z == k], y[z == k]) for k in (0, 1)]
    parts = [stats.chi2_contingency(t, lambda_="log-likelihood", correction=False) for t in tables]
    assert result.method == "G-test"
    assert result.statistic == pytest.approx(sum(part.statistic for part in parts))
    assert result.dof == sum(part.dof for part in parts) == 4
    assert result.p == pytest.approx(stats.chi2.sf(result.statistic, result.dof))


def test_the_partial_covariance_is_the_partial_correlation_in_large_samples() -> None:
    rows = linear_rows(20_000, seed=0, extra=0.02)
    columns = {name: Column(name, rows[name].to_numpy(), 0) for name in "ACD"}
    result = independence(columns["A"], columns["D"], [columns["C"]])
    slope = np.polynomial.polynomial.polyfit
    a, d = (
        rows[name] - np.polynomial.polynomial.polyval(rows["C"], slope(rows["C"], rows[name], 1))
        for name in "AD"
    )
    r = np.corrcoef(a, d)[0, 1]
    # Both are normal scores for the same hypothesis, which differ in order 1 / sqrt(rows).
    assert result.statistic**0.5 == pytest.approx(abs(r) * len(rows) ** 0.5, rel=0.03)


Draw = Callable[[np.random.Generator, float], dict[str, np.ndarray]]


def gaussian(rng: np.random.Generator, effect: float) -> dict[str, np.ndarray]:
    z, e, f = rng.standard_normal((3, 200))
    return {"x": z + e, "y": z + effect * e + f, "z": z}


def uneven(rng: np.random.Generator, effect: float) -> dict[str, np.ndarray]:
    """Spreads of x and y both grow with z: the classical test rejects too often."""
    z, e, f = rng.standard_normal((3, 400))
    return {"x": z + abs(z) * e, "y": z + abs(z) * (effect * e + f), "z": z}


def discrete(rng: np.random.Generator, effect: float) -> dict[str, np.ndarray]:
    """In each stratum of z another effect, of either sign."""
    z = rng.integers(0, 2, 600)
    x = (rng.random(600) < 0.3 + 0.4 * z).astype(int)
    y = (rng.random(600) < 0.5 + (x - 0.5) * effect * (1 - 2 * z)).astype(int)
    return {"x": x, "y": y, "z": z}


def sparse(rng: np.random.Generator, effect: float) -> dict[str, np.ndarray]:
    """Some four rows in a stratum."""
    z = rng.integers(0, 100, 400)
    x = (rng.random(400) < 0.2 + 0.006 * z).astype(int)
    y = (rng.random(400) < 0.3 + 0.004 * z + 0.2 * effect * (x - 0.5)).astype(int)
    return {"x": x.astype(str), "y": y.astype(str), "z": np.char.add("stratum", z.astype(str))}


def mixed(rng: np.random.Generator, effect: float) -> dict[str, np.ndarray]:
    z = rng.integers(0, 3, 300)
    x = rng.integers(0, 3, 300) * (z > 0)
    return {"x": x, "y": (z - 1.0) ** 2 + effect * x + rng.standard_normal(300), "z": z}


@pytest.mark.parametrize(
    ("draw", "method", "effect"),
    [
        (gaussian, "partial covariance", 0.3),
        (uneven, "partial covariance", 0.5),
        (discrete, "G-test", 0.4),
        (sparse, "partial covariance", 1.5),
        (mixed, "partial covariance", 0.4),
    ],
)
def test_tests_hold_their_level_and_have_power(draw: Draw, method: str, effect: float) -> None:
    graph = pc.CausalGraph([("z", "x"), ("z", "y")])
    claims, shares = pc.implied_independences(graph), []
    for strength, runs in ((0.0, 400), (effect, 100)):
        rng = np.random.default_rng(0)
        tests = [claims.check(draw(rng, strength)).tests[0].test for _ in range(runs)]
        assert {test.method for test in tests} == {method}
        shares.append(sum(test.p <= 0.05 for test in tests) / runs)
    # The level is right if the rejections are what a binomial with probability .05 gives.
    least, most = stats.binom.ppf([0.0005, 0.9995], 400, 0.05) / 400
    assert least <= shares[0] <= most
    assert shares[1] > 0.7


def test_the_data_of_a_graph_pass_and_those_of_another_name_the_false_claim() -> None:
    claims = pc.implied_independences(CHAIN)
    assert claims.check(linear_rows(500, seed=0)).rejected == ()
    wrong = claims.check(linear_rows(500, seed=0, extra=0.5))
    assert [str(claim) for claim in wrong.rejected] == ["A _||_ D | C", "B _||_ D | C"]
    card = str(wrong)
    assert card.startswith("2 of 3 independences rejected (level 0.05, all tests together, 500")
    assert "assumes means linear" in card


def test_holms_correction_is_the_textbooks() -> None:
    checked = pc.implied_independences(CHAIN).check(linear_rows(300, seed=1, extra=0.12))
    p = [test.test.p for test in checked.tests]
    assert p == sorted(p)
    first = min(1, 3 * p[0])
    second = max(first, min(1, 2 * p[1]))
    assert [test.p_holm for test in checked.tests] == [first, second, max(second, p[2])]
    frame = checked.to_frame()
    assert frame["p_holm"].tolist() == [test.p_holm for test in checked.tests]
    assert frame["rejected"].tolist() == [test.p_holm <= 0.05 for test in checked.tests]


def test_a_column_that_never_varies_contradicts_nothing() -> None:
    rows = pd.DataFrame({"A": [1.5] * 50, "B": np.arange(50.0), "C": 0, "D": np.arange(50) % 2})
    assert pc.implied_independences(CHAIN).check(rows).rejected == ()


ROWS = linear_rows(20, seed=0)


@pytest.mark.parametrize(
    ("rows", "level", "error", "match"),
    [
        (ROWS.drop(columns="B"), 0.05, UnknownVariable, r"check\(data\): .* 'B'"),
        (ROWS.assign(B=np.nan), 0.05, ValueError, "'B' has missing values"),
        (ROWS.assign(B=None), 0.05, ValueError, "'B' has missing values"),
        (ROWS, 5, ValueError, "level=5; expected a probability"),
        ({**ROWS, "B": ROWS["B"][:9]}, 0.05, ValueError, "different lengths"),
        ({**ROWS, "B": 1.0}, 0.05, ValueError, r"'B' has shape \(\)"),
    ],
)
def test_bad_input_is_refused_in_words(
    rows: pd.DataFrame, level: float, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        pc.implied_independences(CHAIN).check(rows, level=level)


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="got list; expected a CausalGraph or an SCM"):
        pc.implied_independences([("A", "B")])  # type: ignore[arg-type]
