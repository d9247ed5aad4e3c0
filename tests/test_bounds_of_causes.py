"""Bounds on the probabilities of causation against Tian and Pearl's closed forms and tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from bounded import MANSKI, ends, pair

from pyrocausal.bounding import causation_bounds

CAUSES = [
    ((0.001, 0.499, 0.014, 0.486), (0.016, 0.014)),
    ((0.30, 0.20, 0.10, 0.40), (0.60, 0.20)),
    ((0.12, 0.33, 0.25, 0.30), (0.51, 0.37)),
]


def tian_pearl(p: Sequence[float], effects: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Return the closed forms of Tian and Pearl (2000)."""
    xy, xn, oy, on = p
    a, b = effects
    y = xy + oy
    return {
        "pns": (max(0, a - b, y - b, a - y), min(a, 1 - b, xy + on, a - b + xn + oy)),
        "pn": (max(0, (y - b) / xy), min(1, (1 - b - on) / xy)),
        "ps": (max(0, (a - y) / on), min(1, (a - xy) / on)),
    }


@pytest.mark.parametrize(("p", "effects"), CAUSES)
def test_probabilities_of_causation_have_the_bounds_of_tian_and_pearl(
    p: Sequence[float], effects: tuple[float, float]
) -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    found = causation_bounds(pair(*p), **query, effects=effects, weights="p")
    for name, expected in tian_pearl(p, effects).items():
        assert ends(getattr(found, name)) == pytest.approx(expected, abs=1e-8), name


@pytest.mark.parametrize(("p", "effects"), CAUSES)
@pytest.mark.parametrize("known", [False, True])
def test_a_population_attains_each_end(
    p: Sequence[float], effects: tuple[float, float], known: bool
) -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    found = causation_bounds(pair(*p), **query, effects=effects if known else None, weights="p")
    for name, answer in found._asdict().items():
        assert answer.witnesses
        assert answer.sharp
        for witness, end in zip(answer.witnesses, (answer.lower, answer.upper), strict=True):
            # A population of types: X as it comes, and Y without and with it.
            share, x = witness.probabilities, witness.functions["X"]
            y0, y1 = witness.functions["Y"].T
            y = np.where(x == 1, y1, y0)
            seen = [share[(x == a) & (y == b)].sum() for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]
            np.testing.assert_allclose(seen, p, atol=1e-9)
            if known:
                np.testing.assert_allclose([share @ y1, share @ y0], effects, atol=1e-9)
            needed = (y1 == 1) & (y0 == 0)
            among = {"pn": (x == 1) & (y == 1), "ps": (x == 0) & (y == 0), "pns": share > 0}[name]
            assert share[among & needed].sum() / share[among].sum() == pytest.approx(end, abs=1e-8)


@pytest.mark.parametrize(("p", "effects"), CAUSES[:2])
def test_under_monotonicity_they_are_the_lower_ends(
    p: Sequence[float], effects: tuple[float, float]
) -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    rising = causation_bounds(
        pair(*p), **query, effects=effects, assumptions=["Y increases in X"], weights="p"
    )
    for name, (lower, _) in tian_pearl(p, effects).items():
        assert ends(getattr(rising, name)) == pytest.approx((lower, lower), abs=1e-8), name


def test_published_digits_of_the_probabilities_of_causation() -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    (p, effects) = CAUSES[0]
    found = causation_bounds(pair(*p), **query, effects=effects, weights="p")
    assert ends(found.pns) == pytest.approx((0.002, 0.016), abs=1e-8)
    assert ends(found.pn) == pytest.approx((1, 1), abs=1e-7)
    assert ends(found.ps) == pytest.approx((0.00206, 0.03086), abs=5e-6)
    assert "rung: 3" in str(found.pn)


def test_effects_that_no_population_can_have_are_refused() -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    with pytest.raises(ValueError, match="lies between"):
        causation_bounds(pair(*MANSKI), **query, effects=(0.9, 0.2), weights="p")


def test_rows_give_causes_an_interval_around_the_bounds() -> None:
    query: Any = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}}
    rows = pair(*MANSKI).sample(400, weights="p", replace=True, random_state=0)
    found = causation_bounds(rows.drop(columns="p"), **query, effects=(0.6, 0.2))
    for answer, truth in zip(found, ((2 / 3, 1), (0.5, 0.75), (0.4, 0.6)), strict=True):
        assert answer.interval is not None
        assert answer.interval[0] <= min(answer.lower, truth[0])
        assert answer.interval[1] >= max(answer.upper, truth[1]) - 1e-9
