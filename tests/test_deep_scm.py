"""Deep structural causal models of images, the metrics of their counterfactuals, their guide."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

import pyrocausal as pc
from pyrocausal import datasets
from pyrocausal.errors import UnknownVariable
from pyrocausal.mechanisms import Linear, Mechanism, Parent
from pyrocausal.models import DeepSCM
from pyrocausal.models.deep_scm import DeepSCMResult
from pyrocausal.models.image_decoder import CodeGuide, ImageDecoder, encoder_of
from pyrocausal.models.image_metrics import grey_levels, score_images

# A few steps show what the model does; they don't take it to the maximum.
pytestmark = pytest.mark.filterwarnings("ignore::pyrocausal.errors.ConvergenceWarning")

# level -> width; level, width -> image, a bar of 6 columns: small enough to be learned in seconds.
SIDE = 8


def render(table: Any) -> Tensor:
    level, width = (torch.as_tensor(table[name]).float() for name in ("level", "width"))
    columns = (width[:, None] - torch.arange(float(SIDE))).clamp(0.0, 1.0)
    image = level[:, None, None] * columns[:, None, :].expand(-1, SIDE, SIDE)
    return 2 * image[:, None] - 1


def measure(images: Tensor) -> pd.DataFrame:
    light = (images[:, 0].mean(1) + 1) / 2
    level = light[:, 0]
    return pd.DataFrame({"level": level.numpy(), "width": (light.sum(1) / level).numpy()})


def bars() -> None:
    level = pyro.sample("level", dist.Uniform(0.4, 0.9))
    pyro.sample("width", dist.Normal(2.0 + 4.0 * level, 0.5))


def drawn(n: int, seed: int) -> tuple[Tensor, Any]:
    table = pc.SCM(bars).sample(n, seed=seed).to_frame().reset_index(drop=True)
    return render(table), table


@pytest.fixture(scope="module")
def trained() -> DeepSCMResult:
    images, table = drawn(600, seed=0)
    model = DeepSCM([("level", "width")], (1, SIDE, SIDE), latent=2)
    return model.fit(images, table, steps=150, batch_size=64, lr=5e-3, seed=0)


def evidence_of(images: Tensor, table: Any) -> dict[str, Any]:
    return {"image": images, "level": table["level"], "width": table["width"]}


# ---------------------------------------------------------------- counterfactuals


def test_image_answers_do_and_its_causes_follow_the_graph(trained: DeepSCMResult) -> None:
    images, table = drawn(100, seed=1)
    scores = score_images(
        trained.scm.counterfactual,
        images,
        table,
        {"level": 0.8},
        truth=pc.SCM(bars),
        measure=measure,
        render=render,
        seen=("level", "width"),
    )
    copy = score_images(
        lambda evidence, do: evidence,
        images,
        table,
        {"level": 0.8},
        truth=pc.SCM(bars),
        measure=measure,
        render=render,
        seen=("level", "width"),
    )
    for name in ("level", "width"):
        assert scores.effectiveness[name] < copy.effectiveness[name] / 2
    assert scores.truth_error is not None
    assert copy.truth_error is not None
    assert scores.truth_error < copy.truth_error / 2


def test_nothing_done_gives_the_image_back(trained: DeepSCMResult) -> None:
    images, table = drawn(20, seed=2)
    evidence = evidence_of(images, table)
    own = {"level": torch.tensor(table["level"].to_numpy(), dtype=torch.float32)}
    again = trained.scm.counterfactual(evidence, own, seed=0)
    # The noise of the pixels is what the decoder left: rounding alone is lost.
    assert (again["image"] - images).abs().max() < 1e-5
    without = trained.smooth(evidence, own, seed=0)
    assert (without["image"] - images).abs().max() > 1e-3


def test_pixels_keep_their_noise_under_the_decoder(trained: DeepSCMResult) -> None:
    images, table = drawn(10, seed=3)
    evidence = evidence_of(images, table)
    with_noise = trained.scm.counterfactual(evidence, {"level": 0.5}, seed=0)["image"]
    factual = trained.smooth(evidence, {}, seed=0)["image"]
    imagined = trained.smooth(evidence, {"level": 0.5}, seed=0)["image"]
    assert torch.allclose(with_noise - imagined, images - factual, atol=1e-5)


def test_worlds_and_draws_have_their_dimensions(trained: DeepSCMResult) -> None:
    images, table = drawn(4, seed=4)
    worlds = [{"level": 0.5}, {"width": 3.0}, {}]
    answer = trained.scm.counterfactual(evidence_of(images, table), worlds, num_draws=5)
    assert answer["image"].shape == (5, 3, 4, 1, SIDE, SIDE)
    assert torch.equal(answer["level"][:, 1], answer["level"][:, 2])
    assert trained.scm.do(level=0.5).sample(6)["image"].shape == (6, 1, SIDE, SIDE)


def test_card_says_that_the_code_is_a_guess(trained: DeepSCMResult) -> None:
    images, table = drawn(4, seed=5)
    answer = trained.scm.counterfactual(evidence_of(images, table), {"level": 0.5})
    assert "guide: z" in str(answer)
    assert "as the guide gives them, unweighed" in str(answer)
    assert answer.quality is not None
    assert answer.quality.ess.isnan().all()
    assert "taken as they are" in str(trained.scm.plan(evidence_of(images, table)))
    assert "not weighed" in repr(trained)


def test_weighed_guide_tells_how_far_it_is_from_the_posterior(trained: DeepSCMResult) -> None:
    images, table = drawn(3, seed=6)
    trained.guide.weighed = True
    try:
        answer = trained.scm.abduct(
            evidence_of(images, table), method="guide", num_draws=4, seed=0
        )
    finally:
        trained.guide.weighed = False
    assert answer.quality is not None
    assert answer.quality.khat.isfinite().all()
    assert (answer.quality.ess > 1).all()


def test_saved_model_gives_the_same_images(trained: DeepSCMResult, tmp_path: Path) -> None:
    images, table = drawn(4, seed=7)
    evidence = evidence_of(images, table)
    before = trained.scm.counterfactual(evidence, {"level": 0.5}, seed=0)["image"]
    trained.save(tmp_path / "model.safetensors")
    loaded = DeepSCM.load(tmp_path / "model.safetensors")
    after = loaded.scm.counterfactual(evidence, {"level": 0.5}, seed=0)["image"]
    assert torch.allclose(after, before, atol=1e-6)
    assert loaded.scm.counterfactual(evidence, {"level": 0.5}, seed=0).routes["z"] == "guide"
    cause = {"level": table["level"], "width": table["width"]}
    worlds = [m.causes.counterfactual(cause, {"level": 0.5}, seed=0) for m in (trained, loaded)]
    assert torch.equal(worlds[0]["width"], worlds[1]["width"])
    assert "fit: not here, loaded" in repr(loaded)


def test_file_of_another_model_is_no_deep_scm(tmp_path: Path) -> None:
    graph = pc.CausalGraph([("x", "y")])
    other = pc.SCM.from_graph(graph, {"x": dist.Normal(0.0, 1.0), "y": Linear(1)})
    other.save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no DeepSCM"):
        DeepSCM.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        DeepSCM.load(tmp_path / "none.safetensors")


def test_model_with_mechanisms_of_ones_own_says_what_to_pass_when_it_is_loaded(
    tmp_path: Path,
) -> None:
    class Own(Mechanism):
        def forward(self, *parents: Tensor) -> Any:
            return dist.Uniform(torch.zeros(()), 1.0)

    model = DeepSCM([("level", "width")], (1, SIDE, SIDE), latent=2, mechanisms={"level": Own()})
    model.fit(*drawn(30, seed=0), steps=1, seed=0).save(tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="can't tell the mechanisms of level"):
        DeepSCM.load(tmp_path / "own.safetensors")


def test_same_seed_trains_the_same_model() -> None:
    model = DeepSCM([("level", "width")], (1, SIDE, SIDE), latent=2)
    images, table = drawn(64, seed=0)
    state = torch.random.get_rng_state()
    one, two = (model.fit(images, table, steps=3, seed=4) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.decoder.noise, two.decoder.noise)
    assert one.report is not None
    assert two.report is not None
    assert torch.equal(one.report.losses, two.report.losses)


def test_discrete_causes_have_categories() -> None:
    images, table = drawn(120, seed=0)
    labels = {"kind": torch.arange(120) % 3, "level": torch.tensor(table["level"].to_numpy())}
    model = DeepSCM([("kind", "level")], (1, SIDE, SIDE), latent=2)
    result = model.fit(images, labels, steps=3, seed=0)
    assert result.scm.variables["kind"].discrete
    evidence = {"image": images[:2], "kind": [0, 1], "level": [0.5, 0.6]}
    assert result.scm.counterfactual(evidence, {"kind": 2})["image"].shape == (2, 1, SIDE, SIDE)


# ---------------------------------------------------------------- the guide


def test_codes_are_drawn_from_what_the_encoder_says() -> None:
    decoder = ImageDecoder([Parent.continuous()], 1, (1, 4, 4), channels=(8,))
    guide = CodeGuide(encoder_of(decoder, 1), decoder.encoder, ["c"], "image", "z")
    values = {"image": torch.zeros(3, 1, 4, 4), "c": torch.zeros(3)}
    posterior = guide.posterior(values)
    drawn, log_q = guide.draw(values, ["z"], 20_000, torch.Generator().manual_seed(0))
    assert drawn["z"].shape == (20_000, 3, 1)
    sd = posterior.base_dist.scale
    # Five standard errors of a mean and of a deviation of 20000 draws.
    assert ((drawn["z"].mean(0) - posterior.base_dist.loc).abs() < 5 * sd / 20_000**0.5).all()
    assert ((drawn["z"].std(0) / sd - 1).abs() < 5 / 40_000**0.5).all()
    assert torch.equal(log_q, guide.log_prob(values, drawn, ["z"]))


def test_guide_covers_the_code_of_an_image_with_all_its_causes(trained: DeepSCMResult) -> None:
    guide = trained.guide
    assert guide.covers(frozenset({"image", "level", "width"}), frozenset({"z"}))
    assert not guide.covers(frozenset({"image", "level"}), frozenset({"z"}))
    assert not guide.covers(frozenset({"image", "level"}), frozenset({"z", "width"}))


# ---------------------------------------------------------------- metrics


def perfect(evidence: Mapping[str, Tensor], do: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    seen = {name: evidence[name] for name in ("level", "width")}
    answer = pc.SCM(bars).counterfactual(seen, do)
    return {**answer, "image": render(answer)}


def test_true_counterfactuals_score_perfectly() -> None:
    images, table = drawn(50, seed=0)
    scores = score_images(
        perfect,
        images,
        table,
        {"level": 0.6},
        truth=pc.SCM(bars),
        measure=measure,
        render=render,
        seen=("level", "width"),
    )
    assert max(scores.effectiveness.values()) < 1e-4
    assert scores.composition == pytest.approx(0.0, abs=1e-3)
    assert scores.reversibility == pytest.approx(0.0, abs=1e-3)
    assert scores.truth_error == pytest.approx(0.0, abs=1e-3)


def test_wrong_mechanism_shows_in_the_descendant_alone() -> None:
    images, table = drawn(50, seed=0)

    def severed(evidence: Mapping[str, Tensor], do: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        values = {"level": evidence["level"], "width": evidence["width"], **do}
        return {**values, "image": render(values)}

    scores = score_images(
        severed,
        images,
        table,
        {"level": 0.9},
        truth=pc.SCM(bars),
        measure=measure,
        seen=("level", "width"),
    )
    moved = 4.0 * (0.9 - table["level"]).abs().mean()
    assert scores.effectiveness["level"] < 1e-5
    # Beyond the image's 8 columns a width can't be seen, and few true ones are there.
    assert scores.effectiveness["width"] == pytest.approx(moved, rel=1e-3)
    assert scores.composition == pytest.approx(0.0, abs=1e-4)


def test_what_the_truth_leaves_alone_is_a_matter_of_minimality() -> None:
    images, table = drawn(50, seed=0)

    def shaken(evidence: Mapping[str, Tensor], do: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        answer = perfect(evidence, do)
        return {**answer, "image": render({**answer, "level": answer["level"] - 0.1})}

    scores = score_images(
        shaken,
        images,
        table,
        {"width": 4.0},
        truth=pc.SCM(bars),
        measure=measure,
        seen=("level", "width"),
    )
    assert scores.minimality == {"level": pytest.approx(0.1, abs=1e-5)}
    assert "minimality: drift of level 0.1" in str(scores)


def test_grey_levels_count_from_0_to_255() -> None:
    black, white = -torch.ones(3, 2, 4, 4), torch.ones(3, 2, 4, 4)
    assert grey_levels(black, white).tolist() == [255.0] * 3
    assert grey_levels(black, black).tolist() == [0.0] * 3


# ---------------------------------------------------------------- data and bad input


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="no scikit-learn")
def test_small_digits_have_the_stated_figures() -> None:
    images, table = datasets.small_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1
    assert table["thickness"].mean() == pytest.approx(1.79, abs=0.005)
    assert table["intensity"].mean() == pytest.approx(215.4, abs=0.05)
    assert table["thickness"].corr(table["intensity"]) == pytest.approx(0.30, abs=0.005)


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is not None, reason="scikit-learn is here")
def test_small_digits_say_what_to_install() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        datasets.small_digits()


def fitted(images: Any = None, labels: Any = None, **model: Any) -> object:
    own, table = drawn(30, seed=0)
    graph = model.pop("graph", [("level", "width")])
    made = DeepSCM(graph, model.pop("image_shape", (1, SIDE, SIDE)), **model)
    return made.fit(
        own if images is None else images, table if labels is None else labels, steps=1
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fitted(graph=[("image", "level")]), ValueError, "a graph with 'image'"),
        (
            lambda: fitted(graph=pc.CausalGraph([("u", "level")], latent=["u"])),
            ValueError,
            "got latent causes, u",
        ),
        (lambda: fitted(latent=0), ValueError, "latent=0"),
        (lambda: fitted(image_shape=(8, 8)), ValueError, "expected channels, height and width"),
        (lambda: fitted(torch.zeros(30, 3, SIDE, SIDE)), ValueError, r"expected \(n, 1, 8, 8\)"),
        (
            lambda: fitted(torch.full((30, 1, SIDE, SIDE), 255.0)),
            ValueError,
            "values from 255 to 255; expected",
        ),
        (
            lambda: fitted(torch.zeros(30, 1, SIDE, SIDE, dtype=torch.uint8)),
            TypeError,
            "expected a tensor of floats",
        ),
        (lambda: fitted(labels={"level": [0.5] * 30}), UnknownVariable, "width"),
        (
            lambda: fitted(labels={"level": [0.5, 0.6], "width": [1.0, 2.5]}),
            ValueError,
            "30 images and 2 values of 'level'",
        ),
        (
            lambda: fitted(labels=drawn(30, 0)[1].assign(width=float("nan")).iloc[:30]),
            ValueError,
            "has no values",
        ),
        (
            lambda: score_images(perfect, *drawn(4, 0), {}, truth=pc.SCM(bars), measure=measure),
            ValueError,
            "expected one variable to set",
        ),
        (
            lambda: score_images(
                perfect, *drawn(4, 0), {"size": 1.0}, truth=pc.SCM(bars), measure=measure
            ),
            UnknownVariable,
            "size",
        ),
    ],
)
def test_bad_input_is_told(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_missing_label_is_told() -> None:
    images, table = drawn(30, seed=0)
    table.loc[3, "width"] = float("nan")
    with pytest.raises(ValueError, match="missing values of 'width'"):
        DeepSCM([("level", "width")], (1, SIDE, SIDE)).fit(images, table, steps=1)
