"""Images drawn from known equations, and what measures them."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from pyrocausal import datasets
from pyrocausal.datasets.files import VARIABLE
from pyrocausal.datasets.morphometry import distance_to_border

needs_data = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set")
Frame = Any  # the stubs' frames differ in what arithmetic on them returns

DEGREES = 180 / np.pi


def pendulums() -> Frame:
    """The whole range of the four variables, length and position as if set by hand."""
    rng = np.random.default_rng(0)
    n = 400
    length = rng.uniform(3, 12.5, n)
    reach = length / 2 + 0.5
    return pd.DataFrame(
        {
            "angle": np.linspace(-40, 44, n) * np.pi / 200,
            "light": rng.permutation(np.linspace(60, 148, n)) * np.pi / 200,
            "length": length,
            "position": rng.uniform(reach, 20 - reach),
        }
    )


# ---------------------------------------------------------------- pendulum


def test_shadow_is_where_the_rays_of_light_end() -> None:
    table = datasets.pendulum_scm().sample(500, seed=0).to_frame().astype(float)
    # Rays of slope tan(light) through the pivot and through the rod's end, to the ground.
    angle, light = table["angle"], table["light"]
    feet = [
        x - (y + 0.5) / np.tan(light)
        for x, y in ((10.0, 10.5), (10 + 9.5 * np.sin(angle), 10.5 - 9.5 * np.cos(angle)))
    ]
    length = np.maximum(3.0, np.abs(feet[1] - feet[0]))
    # float32 angles; a length is at most 10 times an angle's error of 6e-8 times the slope 1.9.
    assert np.abs(length - table["length"]).max() < 2e-5
    assert np.abs((feet[0] + feet[1]) / 2 - table["position"]).max() < 2e-5
    # 39.6 % of the lengths sit at the least one; the standard error is 2.2 %.
    assert np.mean(table["length"] == 3.0) == pytest.approx(0.396, abs=0.066)


def test_parts_are_drawn_where_the_scene_has_them() -> None:
    angle, light, size = 0.5, 1.2, 110  # a pixel is 0.18 wide and 0.2 high
    scene = {"angle": [angle], "light": [light], "length": [6.0], "position": [8.0]}
    image = (datasets.render_pendulum(scene, size)[0] + 1) * 127.5

    def colour(x: float, y: float) -> list[int]:
        return image[:, int((21 - y) * size / 22), int(x * size / 20)].round().int().tolist()

    ball = 10 + 8 * np.sin(angle), 10.5 - 8 * np.cos(angle)
    assert colour(*ball) == colour(ball[0] + 1.2, ball[1]) == [178, 34, 34]
    assert colour(ball[0] + 1.8, ball[1]) == [255, 255, 255]
    rod = 10 + 3 * np.sin(angle), 10.5 - 3 * np.cos(angle)
    assert colour(*rod) == colour(10.0, 10.5) == [0, 0, 0]
    lamp = 10 + 10 / np.tan(light)
    assert colour(lamp, 20.5) == colour(lamp + 2.5, 20.5) == colour(lamp, 17.8) == [255, 165, 0]
    assert colour(lamp + 3.4, 20.5) == [255, 255, 255]
    assert colour(5.3, -0.5) == colour(10.7, -0.5) == [0, 0, 0]
    assert colour(4.7, -0.5) == colour(11.3, -0.5) == colour(8.0, 0.4) == [255, 255, 255]


@pytest.mark.parametrize(
    ("size", "mean", "worst"),
    [
        (32, [0.1, 0.1, 0.15, 0.05], [0.2, 0.1, 0.3, 0.1]),
        (64, [0.05, 0.1, 0.08, 0.03], [0.1, 0.1, 0.15, 0.05]),
    ],
)
def test_pendulum_is_read_back_over_its_whole_range(
    size: int, mean: list[float], worst: list[float]
) -> None:
    table = pendulums()
    measured = datasets.measure_pendulum(datasets.render_pendulum(table, size))
    error: Frame = (measured - table).abs() * [DEGREES, DEGREES, 1, 1]
    assert (error.mean() < mean).all(), error.mean()
    assert (error.max() < worst).all(), error.max()


def test_pendulum_is_read_back_from_its_own_law() -> None:
    images, table = datasets.pendulum(500, seed=3)
    error: Frame = (datasets.measure_pendulum(images) - table).abs() * [DEGREES, DEGREES, 1, 1]
    assert (error.mean() < [0.1, 0.1, 0.15, 0.05]).all(), error.mean()


def test_each_part_moves_with_its_own_variable_alone() -> None:
    table = pendulums()[:50].reset_index(drop=True)
    still = datasets.measure_pendulum(datasets.render_pendulum(table))
    for name, value in {"angle": 0.0, "light": 1.5, "length": 4.0, "position": 10.0}.items():
        moved = datasets.measure_pendulum(datasets.render_pendulum(table.assign(**{name: value})))
        others = [other for other in table if other != name]
        # Where shadows are cut into pixels elsewhere, their mass differs by less than a half.
        assert (moved[others] - still[others]).abs().to_numpy().max() < 0.3
        assert (moved[name] - value).abs().max() < 0.3


def test_true_counterfactual_of_the_pendulum_is_the_equation_at_the_new_light() -> None:
    images, table = datasets.pendulum(20)
    answer = datasets.pendulum_scm().counterfactual(table, do={"light": 1.2})
    length = np.maximum(3, 9.5 * np.cos(table["angle"] - 1.2).abs() / np.sin(1.2))
    assert np.abs(answer["length"].numpy() - length).max() < 1e-5
    drawn = datasets.render_pendulum(answer)
    assert (datasets.measure_pendulum(drawn)["light"] - 1.2).abs().max() < 0.002
    assert not torch.equal(drawn, images)


def test_noise_of_the_length_is_kept_in_the_counterfactual() -> None:
    scm = datasets.pendulum_scm(noise=0.3)
    units = scm.sample(50, seed=0)
    answer = scm.counterfactual(units, do={"light": 1.0})
    sine, cosine = np.sin(1.0), torch.cos(units["angle"] - 1.0)
    own = units["unclipped"] - 9.5 * torch.cos(units["angle"] - units["light"]).abs() / (
        units["light"].sin()
    )
    expected = (9.5 * cosine.abs() / sine + own).clamp_min(3.0)
    assert (answer["length"] - expected).abs().max() < 1e-5


def test_part_that_is_not_there_is_not_measured() -> None:
    white = torch.ones(1, 3, 32, 32)
    measured = datasets.measure_pendulum(white)
    assert measured[["angle", "light", "position"]].isna().all(axis=None)
    assert measured["length"].item() == pytest.approx(0.0, abs=1e-6)


# ---------------------------------------------------------------- digits


def digits(n: int = 200) -> Frame:
    """Every digit over the range of thickness and intensity, one free of the other."""
    rng = np.random.default_rng(1)
    _, table = datasets.morpho_digits(n, seed=2)
    return table.assign(
        digit=np.arange(n) % 10,
        thickness=rng.permutation(np.linspace(0.6, 7.0, n)),
        intensity=np.linspace(64, 255, n),
    )


def test_stroke_is_read_back_over_the_whole_range_of_thickness_and_intensity() -> None:
    table = digits()
    measured = datasets.measure_morpho_digits(datasets.render_morpho_digits(table), table)
    error: Frame = (measured[["thickness", "intensity"]] - table[["thickness", "intensity"]]).abs()
    assert (error.mean() < [0.03, 1.0]).all(), error.mean()
    assert (error.max() < [0.05, 1.0]).all(), error.max()
    assert measured["residual"].max() < 0.01


def test_residual_tells_another_units_line() -> None:
    images, table = datasets.morpho_digits(50)
    swapped = table.iloc[::-1].reset_index(drop=True)
    own = datasets.measure_morpho_digits(images, table)["residual"]
    other = datasets.measure_morpho_digits(images, swapped)["residual"]
    assert own.max() < 0.01
    assert other.median() > 0.5


def test_stroke_is_measured_without_its_line() -> None:
    images, table = datasets.morpho_digits(100)
    error: Frame = (
        datasets.measure_morpho_digits(images) - table[["thickness", "intensity"]]
    ).abs()
    assert (error.mean() < [0.15, 4.0]).all(), error.mean()


def test_drawn_digits_have_the_moments_of_their_law() -> None:
    table = datasets.morpho_digits_scm().sample(4000, seed=0).to_frame()
    # 0.5 + Gamma(10, rate 5): mean 2.5, variance 0.4; standard errors 0.01 and, for a kurtosis of
    # 3.6, 0.01.
    assert table["thickness"].mean() == pytest.approx(2.5, abs=0.03)
    assert table["thickness"].var() == pytest.approx(0.4, abs=0.03)
    noise = np.log((table["intensity"] - 64) / (255 - table["intensity"]))
    noise -= 2 * (table["thickness"] - 2.5)
    assert noise.mean() == pytest.approx(0.0, abs=3 * 0.5 / 4000**0.5)
    assert noise.std() == pytest.approx(0.5, abs=3 * 0.5 / 8000**0.5)


def test_distance_to_the_border_is_the_nearest_pixel_outside() -> None:
    inside = torch.rand(3, 12, 15, generator=torch.Generator().manual_seed(0)) < 0.8
    where = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij"), -1)
    for mask, distance in zip(inside, distance_to_border(inside), strict=True):
        brute = torch.cdist(where[mask], where[~mask]).amin(-1) - 0.5
        assert torch.allclose(distance[mask], brute, atol=1e-5)
        assert not bool(distance[~mask].any())


@needs_data
def test_morphomnist_is_measured_as_it_was_drawn() -> None:
    data = datasets.morphomnist("test")
    assert data.scaled.shape == (2000, 1, 28, 28)
    measured = datasets.measure_morphomnist(data.scaled[:300])
    truth = data.attributes[["thickness", "intensity"]][:300]
    error: Frame = measured - truth
    # An error has a standard deviation of 0.15 pixels: 0.01 for the mean of 300.
    assert abs(error["thickness"].mean()) < 0.04
    assert error["thickness"].abs().mean() < 0.15
    assert error["intensity"].abs().mean() < 0.6


# ---------------------------------------------------------------- bad input

SCENE = {"angle": [0.0], "light": [1.5], "length": [4.0], "position": [10.0]}
DIGIT = {
    **{"thickness": [2.0], "intensity": [200.0], "digit": [3], "slant": [0.0]},
    **{"width": [8.0], "height": [8.0], "x": [14.0], "y": [14.0]},
}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.pendulum(0), r"pendulum\(\) got n=0; expected a positive"),
        (lambda: datasets.pendulum(3, size=8), "got size=8; expected a whole number of pixels"),
        (lambda: datasets.pendulum_scm(noise=-1.0), "got noise=-1.0; expected a number of 0"),
        (lambda: datasets.render_pendulum({"angle": [1.0]}), r"got no column \['light', 'length'"),
        (
            lambda: datasets.render_pendulum({**SCENE, "light": [np.nan]}),
            "a value of 'light' that is no finite number",
        ),
        (
            lambda: datasets.render_pendulum({**SCENE, "light": [1.0, 2.0]}),
            r"got 'light' of shape \(2,\); expected one number for each unit",
        ),
        (
            lambda: datasets.measure_pendulum(torch.zeros(2, 1, 32, 32)),
            r"got images of shape \(2, 1, 32, 32\); expected \(n, 3, size, size\)",
        ),
        (
            lambda: datasets.measure_morphomnist(torch.full((1, 1, 28, 28), 255.0)),
            "got values from 255 to 255; expected images in",
        ),
        (
            lambda: datasets.render_morpho_digits({**DIGIT, "digit": [10]}),
            "got a digit that is none",
        ),
        (
            lambda: datasets.render_morpho_digits({**DIGIT, "thickness": [-1.0]}),
            "expected a thickness of 0 or more",
        ),
        (
            lambda: datasets.measure_morpho_digits(torch.zeros(2, 1, 28, 28), DIGIT),
            "got 2 images and the style of 1",
        ),
    ],
)
def test_bad_input_is_told(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 32, 32, dtype=torch.uint8), np.zeros(3)])
def test_grey_levels_are_no_images(images: Any) -> None:
    with pytest.raises(TypeError, match="expected a tensor of floats in"):
        datasets.measure_pendulum(images)


@pytest.mark.parametrize("draw", [datasets.pendulum, datasets.morpho_digits])
def test_one_seed_is_one_data_set(draw: Callable[..., tuple[Tensor, Frame]]) -> None:
    (images, table), (again, same), (others, _) = draw(4, seed=1), draw(4, seed=1), draw(4, seed=2)
    assert torch.equal(images, again)
    assert table.equals(same)
    assert not torch.equal(images, others)
    assert images.min() >= -1
    assert images.max() <= 1
