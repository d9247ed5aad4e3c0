"""The encoder of the parents: units, codes, and parents that don't fit."""

import pyro
import pytest
import torch
from small_mechanisms import build, share_parameters

from pyrocausal.mechanisms import Linear, Parent, ParentEncoder, heads


def test_the_encoder_standardizes_flattens_and_codes() -> None:
    encoder = ParentEncoder(
        [
            Parent.continuous(loc=1.0, scale=2.0),
            Parent.continuous(shape=(2, 2), loc=torch.arange(4.0).reshape(2, 2), scale=10.0),
            Parent.binary(),
            Parent.categorical(3),
            Parent.count(loc=1.0, scale=0.5),
        ]
    )
    image = torch.tensor([[[10.0, 21.0], [32.0, 43.0]]])
    features = encoder(
        torch.tensor([5.0]), image, torch.tensor([True]), torch.tensor([1]), torch.tensor([7])
    )
    expected = [2.0, 1.0, 2.0, 3.0, 4.0, 1.0, 0.0, 1.0, 0.0, (torch.tensor(8.0).log() - 1) / 0.5]
    torch.testing.assert_close(features, torch.tensor([expected]))


@pytest.mark.parametrize("mechanism", ["linear normal", "mlp mixture", "flow", "flow of a vector"])
def test_declared_units_of_parents_equal_standardizing_them_by_hand(mechanism: str) -> None:
    ours = build(mechanism, [Parent.continuous(loc=5.0, scale=3.0), Parent.count(0.5, 2.0)])
    plain = build(mechanism, 2)
    share_parameters(ours, plain)
    a, b = torch.randn(30), torch.arange(30.0)
    x = ours(a, b).sample()
    by_hand = plain((a - 5) / 3, ((1 + b).log() - 0.5) / 2).log_prob(x)
    torch.testing.assert_close(ours(a, b).log_prob(x), by_hand)


def test_a_wrong_number_or_shape_of_parents_is_an_error() -> None:
    mechanism = Linear([Parent.binary(), Parent.continuous(shape=2)])
    with pytest.raises(ValueError, match="Got 1 parents, expected 2: binary, continuous"):
        mechanism(torch.zeros(5))
    with pytest.raises(ValueError, match=r"Parent 1: .* shape \(5, 3\), .* event \(2,\)"):
        mechanism(torch.zeros(5), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="Parent 1"):
        mechanism(torch.zeros(5), torch.tensor(0.0))


def test_a_category_out_of_range_is_an_error_under_validation_only() -> None:
    mechanism = Linear([Parent.categorical(3)])
    with pytest.raises(ValueError, match=r"Parent 0: got the value 3, .* from 0 to 2"):
        mechanism(torch.tensor([0, 3]))
    with pyro.validation_enabled(False):
        assert mechanism(torch.tensor([0, 3])).batch_shape == (2,)


def test_a_scale_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected positive"):
        Linear([Parent.continuous(scale=0.0)])
    with pytest.raises(ValueError, match="expected positive"):
        heads.Normal(scale=-1.0)
