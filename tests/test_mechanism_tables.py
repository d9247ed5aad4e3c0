"""Tables of probabilities: their rows, enumeration by hand, frequencies, wrong entries."""

from itertools import product

import pyro.distributions as dist
import pytest
import torch
from small_mechanisms import maximize_likelihood

from pyrocausal.mechanisms import Table


@pytest.mark.parametrize("learn", [False, True])
def test_a_table_returns_each_of_its_rows(learn: bool) -> None:
    probs = dist.Dirichlet(torch.ones(4)).sample((2, 3))
    table = Table(probs, learn=learn)
    for a, b in product(range(2), range(3)):
        row = table(torch.tensor(float(a)), torch.tensor(b)).probs
        torch.testing.assert_close(row, probs[a, b])
    first, second = torch.randint(2, (5, 1)), torch.randint(3, (7,))
    expected = probs[first.expand(5, 7), second.expand(5, 7)]
    torch.testing.assert_close(table(first, second).probs, expected)


def test_tables_of_a_program_agree_with_enumeration_by_hand() -> None:
    # rain -> sprinkler, rain -> wet <- sprinkler
    p_rain, p_sprinkler = torch.tensor(0.2), torch.tensor([0.4, 0.01])
    p_wet = torch.tensor([[0.0, 0.9], [0.8, 0.99]])
    tables = [Table(p, binary=True) for p in (p_rain, p_sprinkler, p_wet)]
    total = 0.0
    for rain, sprinkler in product((0.0, 1.0), repeat=2):
        r, s, w = torch.tensor(rain), torch.tensor(sprinkler), torch.tensor(1.0)
        ds = (tables[0](), tables[1](r), tables[2](r, s))
        total += sum(d.log_prob(x) for d, x in zip(ds, (r, s, w), strict=True)).exp().item()
    expected = 0.8 * (0.6 * 0.0 + 0.4 * 0.9) + 0.2 * (0.99 * 0.8 + 0.01 * 0.99)
    # Pyro clamps the probability 0 to 1.2e-7 in log_prob; the table itself keeps it.
    assert total == pytest.approx(expected, abs=1e-6)
    assert tables[2](torch.tensor(0), torch.tensor(0)).probs == 0


def test_a_learned_table_is_the_table_of_frequencies() -> None:
    a, x = torch.randint(3, (400,)), torch.randint(4, (400,))
    table = Table.uniform([3], categories=4)
    maximize_likelihood(table, x, a)
    counts = torch.zeros(3, 4).index_put_((a, x), torch.ones(()), accumulate=True)
    frequencies = counts / counts.sum(-1, keepdim=True)
    torch.testing.assert_close(table(torch.arange(3)).probs, frequencies, rtol=0, atol=1e-4)


def test_a_uniform_binary_table_starts_at_one_half() -> None:
    d = Table.uniform([2, 2])(torch.zeros(5), torch.ones(5))
    assert isinstance(d, dist.Bernoulli)
    torch.testing.assert_close(d.probs, torch.full((5,), 0.5))


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, float("nan")])
def test_a_code_that_no_row_has_is_an_error(value: float) -> None:
    table = Table(torch.full((3, 2), 0.5), binary=True)
    with pytest.raises(ValueError, match=f"Parent 1: got the value {value}, .* from 0 to 1"):
        table(torch.zeros(2), torch.tensor([0.0, value]))


def test_a_wrong_number_of_parents_of_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="Got 1 parents, expected 2"):
        Table(torch.full((3, 2), 0.5), binary=True)(torch.zeros(2))


@pytest.mark.parametrize(
    ("probs", "options", "message"),
    [
        ([0.5, 0.4], {}, "summing to 1"),
        ([1.5, -0.5], {}, "expected probabilities"),
        ([float("nan"), 0.5], {"binary": True}, "expected probabilities"),
        ([0.0, 1.0], {"learn": True}, "learn=False"),
    ],
)
def test_entries_that_are_no_probabilities_are_an_error(
    probs: list[float], options: dict[str, bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Table(torch.tensor(probs), **options)
