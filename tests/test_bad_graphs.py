"""Graphs that can't be made: the error names the edges at fault."""

from typing import Final

import pytest
from refusals import Case, check_refused

import pyrocausal as pc

GRAPHS: Final[dict[str, Case]] = {
    "a cycle": (
        lambda: pc.CausalGraph([("a", "b"), ("b", "c"), ("c", "a")]),
        ValueError,
        "cycle a -> b -> c -> a.*Drop or turn one",
    ),
    "a self loop": (lambda: pc.CausalGraph([("a", "a")]), ValueError, "a -> a is a self loop"),
    "an edge of one name": (
        lambda: pc.CausalGraph(["ab"]),  # type: ignore[list-item]
        ValueError,
        "pair of names such as .*got 'ab'",
    ),
    "numbers for nodes": (
        lambda: pc.CausalGraph([(1, 2)]),  # type: ignore[list-item]
        TypeError,
        "named by strings, got 1",
    ),
    "misspelt in a graph's do": (
        lambda: pc.CausalGraph([("dose", "effect")]).do("doze"),
        pc.UnknownVariable,
        "do: .*'doze'. Did you mean 'dose'",
    ),
}


@pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
def test_bad_input_is_a_clear_error(case: Case) -> None:
    check_refused(case)
