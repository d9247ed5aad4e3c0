"""Numbers of units and draws, sizes, and seeds that are none: a clear error."""

from typing import Any, Final

import pytest
from refusals import Case, check_refused
from small_programs import CLINIC, TREAT, UNIT, clinic

import pyrocausal as pc


def a_number_of_units(n: Any) -> Case:
    return lambda: CLINIC.sample(n), ValueError, "number of units.*expected a positive whole"


def a_number_of_draws(n: Any) -> Case:
    return (
        lambda: CLINIC.counterfactual(UNIT, TREAT, num_draws=n),
        ValueError,
        "num_draws is .*expected a positive whole number",
    )


COUNTS: Final[dict[str, Case]] = {
    **{f"{n!r} units": a_number_of_units(n) for n in (0, -1, True, 2.0, "3", None)},
    **{f"{n!r} draws": a_number_of_draws(n) for n in (0, -1, True, 2.0, "3")},
    "a seed of text": (
        lambda: CLINIC.sample(3, seed="a"),  # type: ignore[arg-type]
        TypeError,
        "seed is 'a'; expected a whole number",
    ),
    "half a seed": (
        lambda: CLINIC.sample(3, seed=1.5),  # type: ignore[arg-type]
        TypeError,
        "seed is 1.5; expected a whole number",
    ),
    "no size of pc.units": (lambda: pc.units(0), ValueError, r"size of pc\.units\(\) is 0"),
    "no size of pc.worlds": (
        lambda: pc.worlds(clinic, [TREAT], size=0),
        ValueError,
        r"size of pc\.worlds\(\) is 0",
    ),
}


@pytest.mark.parametrize("case", COUNTS.values(), ids=COUNTS)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
