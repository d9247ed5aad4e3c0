"""Pictures of answers and of covariates: what stands in them, where, and under which label."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from pictures import bars, drawn, legend, words

import pyrocausal as pc
from pyrocausal import plot
from pyrocausal.answers import Answer, Effect, Interval
from pyrocausal.plot.style import PALETTE

pytestmark = pytest.mark.usefixtures("no_window")


# Answers


def effect(value: float, low: float, high: float, **more: Any) -> Answer:
    return Effect(value, 0.1, Interval(low, high), "E[Y]", rung=2, **more)


BY_SEX: Final = Effect(
    torch.tensor([2.0, 4.0]),
    None,
    Interval(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 5.0])),
    "E[Y]",
    rung=2,
    index=pd.Index(["male", "female"], name="sex"),
)


def segments(ax: Any) -> list[list[float]]:
    return [s[:, 0].tolist() for c in ax.collections for s in c.get_segments()]


def test_a_forest_has_a_row_for_each_number() -> None:
    bounds = Effect(1.0, None, None, "E[Y]", rung=2, bounds=Interval(-8.0, 9.0))
    ax = drawn(plot.forest({"ate": effect(3.0, 2.0, 4.0), "cate": BY_SEX, "any": bounds}))
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == ["ate", "cate, sex=male", "cate, sex=female", "any"]
    assert ax.lines[-1].get_xdata().tolist() == [3.0, 2.0, 4.0, 1.0]
    assert segments(ax) == [[2.0, 4.0], [1.0, 3.0], [3.0, 5.0]]
    (bar,) = ax.patches
    assert (bar.get_x(), bar.get_width()) == (-8.0, 17.0)
    assert set(legend(ax)) == {"value", "interval", "bounds"}
    first, _ = plot.forest([BY_SEX], ["by"]).get_yticklabels()
    assert first.get_text() == "by, sex=male"
    with pytest.raises(ValueError, match="1 answers and 2 labels"):
        plot.forest([BY_SEX], ["a", "b"])


def test_one_answer_alone_has_its_query_and_unit_below_the_axis() -> None:
    ax = drawn(BY_SEX.plot(unit="kg"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["sex=male", "sex=female"]
    assert ax.get_xlabel() == "E[Y] (kg), with 95 % interval"
    ax = drawn(effect(3.0, 2.0, 4.0).plot())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [""]
    both = drawn(plot.forest({"ate": effect(3.0, 2.0, 4.0), "cate": BY_SEX}, unit="kg"))
    assert both.get_xlabel() == "effect (kg), with 95 % interval"
    long = Effect(
        1.0, None, None, "E[Y | do(a long name=1)] - E[Y | do(a long name=0)] and much more", 2
    )
    assert drawn(long.plot()).get_xlabel().count("\n") == 1


def test_a_dose_response_runs_over_the_sorted_doses() -> None:
    doses = pd.Index([2.0, 0.0, 1.0], name="dose")
    value = torch.tensor([4.0, 0.0, 1.0])
    answer = Effect(value, None, Interval(value - 1, value + 1), "E[Y]", rung=2, index=doses)
    ax = drawn(plot.dose_response(answer))
    assert ax.lines[0].get_xydata().tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 4.0]]
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (-1.0, 5.0)
    assert legend(ax) == ["95 % interval"]
    assert plot.dose_response(answer, unit="kg").get_ylabel() == "E[Y] (kg)"
    for other in (effect(1.0, 0.0, 2.0), BY_SEX):
        with pytest.raises(ValueError, match="one number for each of several doses"):
            plot.dose_response(other)


def test_a_waterfall_ends_at_the_total() -> None:
    parts = [effect(3.0, 2.5, 3.5), effect(1.0, 0.5, 1.5), effect(-0.5, -1.0, 0.0)]
    total, direct, indirect = parts
    ax = drawn(plot.waterfall(total, direct, indirect))
    assert np.array(bars(ax)) == pytest.approx(np.array([[0, 1], [1, -0.5], [0.5, 2.5], [0, 3]]))
    assert words(ax) == {"+1", "-0.5", "+2.5", "+3"}
    limits = [s[:, 1].tolist() for c in ax.collections for s in c.get_segments()]
    assert limits == [[0.5, 1.5], [0.0, 1.0], [2.5, 3.5]]
    assert to_hex(ax.patches[1].get_facecolor()).upper() == PALETTE[1]
    assert (
        plot.waterfall(total, direct, indirect, unit="kg").get_ylabel()
        == "effect (kg), with 95 % interval"
    )
    even = [effect(value, 0.0, 1.0) for value in (0.3, 0.1 + 1e-9, 0.2)]
    assert "+0" in words(drawn(plot.waterfall(even[0], even[1], even[2])))
    with pytest.raises(ValueError, match="an answer with 2 numbers"):
        plot.waterfall(BY_SEX, direct, indirect)


def test_probabilities_stand_in_their_bounds_from_0_to_1() -> None:
    pn = Effect(0.6, 0.01, None, "PN", rung=3, bounds=Interval(0.4, 1.0))
    harm = Effect(0.0, 0.0, None, "harm", rung=3, bounds=Interval(0.0, 0.2))
    ax = drawn(plot.probabilities([pn, harm]))
    spans = [(p.get_x(), p.get_width()) for p in ax.patches]
    assert np.array(spans) == pytest.approx(np.array([[0.4, 0.6], [0.0, 0.2]]))
    assert ax.get_xlim() == (0.0, 1.0)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["PN", "harm"]
    with pytest.raises(ValueError, match="expected numbers from 0 to 1"):
        plot.probabilities(effect(3.0, 2.0, 4.0))


# Whether groups compare


def confounded(units: int = 400) -> tuple[dict[str, Any], Any]:
    rng = np.random.default_rng(0)
    age, noise = rng.normal(50, 10, units), rng.normal(size=units)
    propensity = 1 / (1 + np.exp(-(age - 50) / 10))
    treated = (rng.random(units) < propensity).astype(float)
    return {"x": treated, "age": age, "noise": noise}, propensity


def test_standardised_differences_are_those_of_the_formula_and_weights_remove_them() -> None:
    data, e = confounded(4000)
    x, age = data["x"] == 1, data["age"]
    found = plot.standardized_differences(pd.DataFrame(data), "x", ["age", "noise"])
    spread = np.sqrt((age[x].var(ddof=1) + age[~x].var(ddof=1)) / 2)
    assert found["age"] == pytest.approx((age[x].mean() - age[~x].mean()) / spread)
    weights = np.where(x, 1 / e, 1 / (1 - e))
    after = plot.standardized_differences(data, "x", ["age"], weights)
    # Unweighted about 0.9; weighted, 0 up to a standard error of about 2 / sqrt(4000) ~ 0.03,
    # inflated by the weights.
    assert found["age"] > 0.7
    assert abs(after["age"]) < 0.15
    assert plot.standardized_differences({"x": [0, 0, 1, 1], "a": [1, 1, 1, 1]}, "x", ["a"]) == {
        "a": 0.0
    }


def test_a_love_plot_shows_both_differences_of_each_covariate() -> None:
    data, e = confounded()
    data["w"] = np.where(data["x"] == 1, 1 / e, 1 / (1 - e))
    ax = drawn(plot.balance(data, "x", ["age", "noise"], weights="w"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "noise",
        "age",
    ]  # the worst on top
    before = plot.standardized_differences(data, "x", ["noise", "age"])
    after = plot.standardized_differences(data, "x", ["noise", "age"], data["w"])
    found = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert found["unweighted"] == pytest.approx([*before.values()])
    assert found["weighted"] == pytest.approx([*after.values()])
    assert "x=1 less x=0" in ax.get_xlabel()


def test_overlap_counts_who_has_nobody_to_be_compared_with() -> None:
    ax = drawn(plot.overlap([0.1, 0.2, 0.5, 0.5, 0.6, 0.9], [0, 0, 0, 1, 1, 1]))
    assert ax.get_title("left") == "outside the common range: 4 of 6 units"
    heights = [height for _, height in bars(ax) if abs(height) < 1]
    up, down = [h for h in heights if h > 0], [h for h in heights if h < 0]
    assert (sum(up), sum(down)) == pytest.approx((1.0, -1.0))
    assert ax.get_xlim() == (0.0, 1.0)
    assert {"treated: 3", "others: 3"} <= set(legend(ax))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [0, 1, 2, 1]}, "x has the values 0, 1, 2"),
        ({"x": [1, 1, 1, 1]}, "at least two of each"),
        ({"age": [1, 2, 3, float("nan")]}, "age has the shape .* 1 missing"),
        ({"w": [1, 2, 3, -1]}, "got 4 weights, the least -1"),
    ],
)
def test_what_is_no_table_of_two_groups_is_told(change: dict[str, Any], message: str) -> None:
    data = {"x": [0, 0, 1, 1], "age": [1, 2, 3, 4], "w": [1, 1, 1, 1]} | change
    with pytest.raises(ValueError, match=message):
        plot.balance(data, "x", ["age"], weights="w")
    with pytest.raises(pc.UnknownVariable, match="'height'"):
        plot.balance(data, "x", ["height"])


def test_propensities_are_probabilities_of_as_many_units() -> None:
    for scores in ([0.1, 0.2, 1.5, 0.3], [0.1, 0.2]):
        with pytest.raises(ValueError, match="expected a probability for each unit"):
            plot.overlap(scores, [0, 0, 1, 1])


def test_pictures_open_a_figure_where_none_is_given_and_use_the_axes_that_are() -> None:
    before = len(plt.get_fignums())
    _, ax = plt.subplots()
    assert plot.forest([BY_SEX], ax=ax) is ax
    assert len(plt.get_fignums()) == before + 1
    assert isinstance(plot.forest([BY_SEX]).figure, Figure)
    assert len(plt.get_fignums()) == before + 2


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pyrocausal\[plot\]'"):
        plot.forest([BY_SEX])
