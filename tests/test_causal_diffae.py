"""Tests of CausalDiffAE: mechanisms, resuming, and the image as an ordinary variable."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal.errors import UnknownVariable, UnreliableWarning
from pyrocausal.models import CausalDiffAE
from pyrocausal.models.causal_latents import CausalLatents
from pyrocausal.models.image_training import Schedule, Training

SHAPE = (1, 8, 8)
CHAIN = [("a", "b"), ("b", "c")]
SMALL: dict[str, Any] = {"widths": (8, 32), "channels": (8, 16), "steps": 3}


def draw(n: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images whose thirds are as bright as a, b and c; a -> b -> c."""
    generator = torch.Generator().manual_seed(seed)
    a, u, v = 2 * torch.rand(3, n, generator=generator) - 1
    b = a.square() + 0.3 * u
    c = b.sin() + 0.3 * v
    return paint(a, b, c), {"a": 10 * a, "b": b, "c": c}


def paint(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    images = torch.zeros(len(a), *SHAPE)
    for rows, value in ((slice(0, 3), a), (slice(3, 6), b / 1.4), (slice(6, 8), c / 1.4)):
        images[:, :, rows] = value[:, None, None, None]
    return images


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, dict[str, Tensor]]:
    return draw(512)


@pytest.fixture(scope="module")
def model(data: tuple[Tensor, dict[str, Tensor]]) -> CausalDiffAE:
    made = CausalDiffAE(CHAIN, SHAPE, **SMALL)
    return made.fit(*data, steps=4, batch_size=8, encoder_steps=250, progress=False)


@pytest.fixture
def latents() -> CausalLatents:
    torch.manual_seed(0)
    return CausalLatents(pc.CausalGraph([("a", "b"), ("b", "c"), ("a", "d")]))


def test_a_mechanism_sees_its_parents_alone(latents: CausalLatents) -> None:
    # a -> b -> c, a -> d
    z = torch.randn(5, 4, requires_grad=True)
    names = latents.names
    for i, parents in ((names.index("b"), "a"), (names.index("c"), "b"), (names.index("d"), "a")):
        (slope,) = torch.autograd.grad(latents.mean(i, z, 0 * z).sum(), z)
        seen = {name for name, column in zip(names, slope.unbind(1), strict=True) if column.any()}
        assert seen == {parents}


def test_an_intervention_goes_down_the_whole_chain() -> None:
    # a -> b -> c: z_c = f_c(f_b(a) + u_b) + u_c
    torch.manual_seed(0)
    chain = CausalLatents(pc.CausalGraph(CHAIN))
    u, value = torch.randn(5, 3), torch.full((5,), 2.0)
    z = chain.settle(u, {0: value})
    zero = torch.zeros(5)
    b = chain.mean(1, torch.stack([value, zero, zero], 1), u) + u[:, 1]
    c = chain.mean(2, torch.stack([zero, b, zero], 1), u) + u[:, 2]
    torch.testing.assert_close(z[:, 2], c)
    assert bool((z[:, 2] != chain.settle(u, {})[:, 2]).all())


def test_the_released_order_does_not_reach_a_grandchild() -> None:
    torch.manual_seed(0)
    chain = CausalLatents(pc.CausalGraph(CHAIN), "released")
    u = torch.randn(5, 3)
    before, after = chain.settle(u, {}), chain.settle(u, {0: torch.full((5,), 2.0)})
    assert bool((before[:, 1] != after[:, 1]).all())
    torch.testing.assert_close(before[:, 2], after[:, 2])


def test_encoder_and_mechanisms_answer_do(model: CausalDiffAE) -> None:
    images, labels = draw(200, seed=1)
    value = torch.full((200,), 8.0)
    answer = model.scm.counterfactual({"image": images}, {"a": value})
    b = labels["b"] - (labels["a"] / 10).square() + 0.64
    c = labels["c"] - labels["b"].sin() + b.sin()
    for name, true in (("b", b), ("c", c)):
        error, moved = (answer[name] - true).abs().mean(), (labels[name] - true).abs().mean()
        assert error < 0.35 * moved
    read = model.encode(images)
    assert (torch.tensor(read["a"].to_numpy()) - labels["a"]).abs().mean() < 1.6  # of 20


def test_the_released_prior_halves_a_root(data: tuple[Tensor, dict[str, Tensor]]) -> None:
    released = CausalDiffAE(CHAIN, SHAPE, mechanism="released", **SMALL)
    released.fit(*data, steps=1, encoder_steps=150, progress=False)
    a, read = data[1]["a"], torch.tensor(released.encode(data[0])["a"].to_numpy())
    slope = ((a - a.mean()) * (read - read.mean())).mean() / a.var()
    assert slope == pytest.approx(0.5, abs=0.1)  # u^2 / 2 + (u - y)^2 / 2 is least at y / 2


def test_answers_have_draws_worlds_and_units(model: CausalDiffAE) -> None:
    images = draw(5, seed=2)[0]
    ask = model.scm.counterfactual
    assert ask({"image": images}, {"a": 1.0})["image"].shape == (5, *SHAPE)
    worlds = [{"a": 1.0}, {"b": 0.5}, {"c": 0.0}]
    answer = ask({"image": images}, worlds, num_draws=2)
    assert answer["image"].shape == (2, 3, 5, *SHAPE)
    assert answer["a"].shape == (2, 3, 5)
    assert answer.routes["a"] == "guide"
    assert answer.routes["image"] == "exact to inversion error"
    assert ask({"image": images[0]}, {"a": 1.0})["image"].shape == SHAPE


def test_all_worlds_are_denoised_in_one_pass(
    model: CausalDiffAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, rows = draw(5, seed=2)[0], list[int]()
    diffusion = model.program.painter.diffusion
    decode = diffusion.decode

    def counted(x: Tensor, *args: Any) -> Tensor:
        rows.append(len(x))
        return decode(x, *args)

    monkeypatch.setattr(diffusion, "decode", counted)
    model.scm.graph  # noqa: B018 - found first, by drawing a few images
    rows.clear()
    model.scm.counterfactual({"image": images}, [{"a": 1.0}, {"b": 0.5}, {"c": 0.0}])
    assert rows == [15]


def test_without_a_change_the_image_stays(model: CausalDiffAE) -> None:
    images = draw(5, seed=3)[0]
    answer = model.scm.counterfactual({"image": images}, {"a": 3.0})
    again = model.scm.counterfactual({"image": images}, {"a": answer.factual["a"]})
    assert (again["image"] - images).abs().max() < 0.02
    torch.testing.assert_close(
        127.5 * (again["image"] - images).abs().mean((1, 2, 3)),
        model.inversion_error(images),
        atol=0.01,
        rtol=0.05,
    )


def test_labels_beside_the_image_are_taken_for_what_they_are(model: CausalDiffAE) -> None:
    images, labels = draw(5, seed=2)
    seen = {"image": images, "a": labels["a"], "b": torch.tensor([0.5, torch.nan, 0.5, 0.5, 0.5])}
    answer = model.scm.counterfactual(seen, {"c": 0.0})
    assert torch.equal(answer["a"], labels["a"])
    assert answer["b"][0] == 0.5
    assert answer["b"][1].isfinite()
    assert answer.routes["a"] == "exact"


def test_images_are_drawn_and_acted_on_without_evidence(model: CausalDiffAE) -> None:
    samples = model.scm.do(a=5.0).sample(4, seed=0)
    assert samples["image"].shape == (4, *SHAPE)
    assert bool((samples["a"] == 5.0).all())
    assert bool(samples["image"].isfinite().all())


def test_the_graph_of_the_scm_is_that_of_the_labels_and_the_image(model: CausalDiffAE) -> None:
    edges = {*CHAIN, ("a", "image"), ("b", "image"), ("c", "image")}
    assert set(model.scm.graph.edges) == edges


def test_a_saved_model_answers_alike(model: CausalDiffAE, tmp_path: Path) -> None:
    images = draw(3, seed=2)[0]
    model.save(tmp_path / "model.safetensors")
    loaded = CausalDiffAE.load(tmp_path / "model.safetensors")
    one, other = (m.scm.counterfactual({"image": images}, {"a": 1.0}) for m in (model, loaded))
    assert torch.equal(one["image"], other["image"])
    model.save(tmp_path / "half.safetensors", torch.float16)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "model")]
    assert sizes[0] < 0.7 * sizes[1]
    assert CausalDiffAE.load(tmp_path / "half.safetensors").names == ("a", "b", "c")


class Killed(Exception):
    """The process is gone."""


def test_training_goes_on_after_a_kill_bit_by_bit(
    data: tuple[Tensor, dict[str, Tensor]], tmp_path: Path
) -> None:
    images, labels = data[0][:64], {name: column[:64] for name, column in data[1].items()}
    how: dict[str, Any] = {"steps": 7, "encoder_steps": 5, "batch_size": 4, "every": 3}

    def fitted(checkpoint: Path | None, **more: Any) -> CausalDiffAE:
        made = CausalDiffAE(CHAIN, SHAPE, **SMALL)
        return made.fit(images, labels, progress=False, checkpoint=checkpoint, **{**how, **more})

    whole = fitted(None)
    file = tmp_path / "checkpoint.safetensors"
    step = Training._step

    def dies(self: Training, number: int) -> None:
        if self.checkpoint is not None and number == 4:
            raise Killed
        step(self, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_step", dies)
        with pytest.raises(Killed):
            fitted(file)
    resumed = fitted(file)
    assert resumed.losses == whole.losses
    for one, other in zip(whole.program.parameters(), resumed.program.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="steps 7 there, 9 here"):
        fitted(file, steps=9)


def test_a_checkpoint_is_replaced_at_once_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = torch.nn.Linear(2, 1)
    file = tmp_path / "checkpoint.safetensors"
    training = Training(
        module, lambda g: module(torch.ones(1, 2)).sum(), Schedule(2), checkpoint=file
    )
    training.run(every=1, progress=False)
    before = file.read_bytes()

    def dies(tensors: Any, path: Path, notes: Any) -> None:
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr("safetensors.torch.save_file", dies)
    with pytest.raises(Killed):
        training._pause(None)
    assert file.read_bytes() == before


def test_pictures_are_drawn_while_it_trains(
    data: tuple[Tensor, dict[str, Tensor]], tmp_path: Path
) -> None:
    made = CausalDiffAE(CHAIN, SHAPE, **SMALL)
    made.fit(*data, steps=2, encoder_steps=2, batch_size=4, progress=False, pictures=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "samples.png"}


def test_labels_of_a_part_of_the_images_are_enough() -> None:
    images, labels = draw(256)
    few = {name: column.clone() for name, column in labels.items()}
    for column in few.values():
        column[64:] = torch.nan
    made = CausalDiffAE(CHAIN, SHAPE, **SMALL)
    made.fit(images, few, steps=1, encoder_steps=100, progress=False)
    read = torch.tensor(made.encode(images)["a"].to_numpy())
    assert (read - labels["a"])[64:].abs().mean() < 1.5  # of 20; the mean would be off by 5


@pytest.fixture
def fresh() -> CausalDiffAE:
    return CausalDiffAE(CHAIN, SHAPE, **SMALL)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(4, 1, 8, 9), r"expected \(n, 1, 8, 8\)"),
        (torch.zeros(4, 3, 8, 8), r"expected \(n, 1, 8, 8\)"),
        (127.0 + torch.zeros(4, 1, 8, 8), "expected \\[-1, 1\\]"),
        (torch.full((4, 1, 8, 8), torch.nan), "NaN"),
    ],
)
def test_images_of_another_size_or_range_are_refused(
    fresh: CausalDiffAE, images: Tensor, message: str
) -> None:
    labels = {name: torch.arange(4.0) for name in "abc"}
    with pytest.raises(ValueError, match=message):
        fresh.fit(images, labels, steps=1)


def test_bytes_are_refused_with_the_cure(fresh: CausalDiffAE) -> None:
    with pytest.raises(TypeError, match=r"images / 127.5 - 1"):
        fresh.fit(torch.zeros(4, *SHAPE, dtype=torch.uint8), {}, steps=1)


def test_labels_that_do_not_match_the_graph_are_refused(fresh: CausalDiffAE) -> None:
    images, labels = draw(8)
    with pytest.raises(ValueError, match="no column c; d, not in the graph"):
        fresh.fit(images, {"a": labels["a"], "b": labels["b"], "d": labels["c"]}, steps=1)
    with pytest.raises(ValueError, match=r"expected \(8,\)"):
        fresh.fit(images, {**labels, "c": labels["c"][:4]}, steps=1)
    with pytest.raises(ValueError, match="has 0 known values"):
        fresh.fit(images, {**labels, "c": torch.full((8,), torch.nan)}, steps=1)


def test_graphs_that_are_no_graph_of_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        CausalDiffAE([("a", "b"), ("b", "a")], SHAPE)
    with pytest.raises(ValueError, match="hidden common causes"):
        CausalDiffAE(pc.CausalGraph([("a", "b")], bidirected=[("a", "b")]), SHAPE)
    with pytest.raises(ValueError, match="variable 'image'"):
        CausalDiffAE([("a", "image")], SHAPE)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="steps=0"):
        CausalDiffAE(CHAIN, SHAPE, steps=0)


def test_an_intervention_out_of_the_trained_range_warns_with_the_range(
    model: CausalDiffAE,
) -> None:
    images = draw(3, seed=2)[0]
    with pytest.warns(UnreliableWarning, match=r"a is 50, trained on \[-9\.\d+, 9\.\d+\]"):
        model.scm.counterfactual({"image": images}, {"a": 50.0})


def test_evidence_of_another_range_or_name_is_refused(model: CausalDiffAE) -> None:
    with pytest.raises(ValueError, match="expected \\[-1, 1\\]"):
        model.scm.counterfactual({"image": 255 * torch.ones(3, *SHAPE)}, {"a": 1.0})
    with pytest.raises(UnknownVariable, match="light"):
        model.scm.counterfactual({"image": torch.zeros(3, *SHAPE)}, {"light": 1.0})
