"""A mechanism that can't be made is refused at once, and the message says what is expected."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from pyrocausal.mechanisms import MLP, Flow, Linear, Parent, Table, heads

Case = tuple[Callable[[], Any], type[Exception], str]

REFUSED: dict[str, Case] = {
    "parents that are a word": (lambda: MLP("ab"), TypeError, "parents='ab'.*Parent.binary"),  # type: ignore[arg-type]
    "a word among the parents": (lambda: MLP([1, "a"]), TypeError, "parents='a'"),  # type: ignore[list-item]
    "half a parent": (lambda: Linear(1.5), TypeError, "parents=1.5"),  # type: ignore[arg-type]
    "fewer parents than none": (lambda: MLP(-1), ValueError, "parents=-1, expected at least 0"),
    "a parent without categories": (
        lambda: Parent.categorical(0),
        ValueError,
        "categories=0, expected at least 1",
    ),
    "a variable without categories": (
        lambda: heads.Categorical(0),
        ValueError,
        "categories=0, expected at least 2",
    ),
    "categories that can't be counted": (
        lambda: heads.Categorical(2.5),  # type: ignore[arg-type]
        TypeError,
        "categories=2.5, expected a whole number",
    ),
    "an order of one": (lambda: heads.Ordinal(1), ValueError, "categories=1, expected at least 2"),
    "a mixture of none": (lambda: heads.Mixture(0), ValueError, "components=0, expected at least"),
    "an empty hidden layer": (lambda: MLP(1, (8, 0)), ValueError, r"hidden\[1\]=0"),
    "a width for widths": (lambda: MLP(1, 5), TypeError, r"hidden=5, expected.*\(5,\)"),  # type: ignore[arg-type]
    "a head's class": (lambda: MLP(1, head=heads.Normal), ValueError, "Got head="),  # type: ignore[arg-type]
    "a head that can't be hashed": (lambda: MLP(1, head=[]), ValueError, r"Got head=\[\]"),  # type: ignore[arg-type]
    "a vector of length zero": (lambda: Flow(1, 0), ValueError, "size=0, expected at least 1"),
    "a flow without bins": (lambda: Flow(1, bins=0), ValueError, "bins=0, expected at least 1"),
    "a flow without splines": (lambda: Flow(1, splines=0), ValueError, "splines=0"),
    "a table of words": (lambda: Table("ab"), TypeError, "table of type str"),
    "a ragged table": (lambda: Table([[0.5, 0.5], [1.0]]), TypeError, "all of one length"),
    "an empty table": (lambda: Table(torch.zeros(0)), ValueError, r"table of shape \(0,\)"),
    "a table that is a number": (lambda: Table(torch.tensor(1.0)), ValueError, r"shape \(\)"),
    "a parent without values": (
        lambda: Table.uniform([0], 3),
        ValueError,
        r"cardinalities\[0\]=0",
    ),
    "a uniform table of nothing": (lambda: Table.uniform([2], 0), ValueError, "categories=0"),
    "a cardinality for several": (
        lambda: Table.uniform(2, 2),  # type: ignore[arg-type]
        TypeError,
        "cardinalities=2, expected a sequence",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_makes_no_mechanism_is_refused(case: Case) -> None:
    make, kind, words = case
    with pytest.raises(kind, match=words):
        make()


@pytest.mark.parametrize("probs", [[[0.25, 0.75], [1, 0]], ((0.25, 0.75), (1.0, 0.0))])
def test_a_table_of_nested_lists_is_one_of_a_tensor(probs: Sequence[Any]) -> None:
    expected = Table(torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    parent = torch.tensor([1.0, 0.0])
    assert torch.equal(Table(probs)(parent).probs, expected(parent).probs)


def test_a_parent_alone_stands_for_a_list_of_one() -> None:
    assert Linear(Parent.binary()).encoder.parents == (Parent.binary(),)
