"""Pictures: what stands in them, where, and under which label."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib import pyplot as plt
from pictures import bars, drawn, legend, rendered, words

import pyrocausal as pc
from pyrocausal import plot
from pyrocausal.plot.style import INK, PALETTE

# severity -> treated, recovery, visits; treated -> recovery, visits
GRAPH: Final = pc.CausalGraph([("z", "x"), ("z", "y"), ("x", "y")])


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))
    pyro.sample("visits", dist.Poisson(torch.exp(0.5 + 0.3 * severity - 0.3 * treated)))


WORLDS: Final = [{"treated": 0.0}, {"treated": 1.0}]


pytestmark = pytest.mark.usefixtures("no_window")


# Graphs


def test_a_graph_is_drawn_in_inches_under_its_interventions() -> None:
    ax = plot.graph(clinic.do(treated=1.0))
    figure = rendered(ax.figure)
    assert words(ax) == {"severity", "treated", "recovery", "visits"}
    assert sum(text.get_text() == "✂" for text in ax.texts) == 1
    # One unit of the axes is an inch, so that names fit their nodes.
    width, height = figure.get_size_inches()
    assert (width, height) == pytest.approx((np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())))


def test_a_twin_network_has_the_fact_above_and_the_counterfactual_below() -> None:
    ax = drawn(plot.twin(GRAPH, do={"x": 1.0}))
    at = {text.get_text(): text.get_position() for text in ax.texts}
    assert at["x"][1] == at["y"][1] == at["factual"][1] > 0
    assert at["x*"][1] == at["y*"][1] == at["counterfactual"][1] < 0
    assert at["z"][1] == at["U_x"][1] == at["U_z"][1] == at["shared"][1] == 0
    # A variable, its noise and its copy share a column.
    assert at["x"][0] == at["U_x"][0] == at["x*"][0] < at["y"][0] == at["y*"][0]
    # z and U_x no longer reach x*.
    assert sum(text.get_text() == "✂" for text in ax.texts) == 2


def test_the_twin_of_a_latent_cause_stands_between_the_worlds() -> None:
    graph = pc.CausalGraph([("x", "y")], bidirected=[("x", "y")])
    at = {text.get_text(): text.get_position() for text in plot.twin(graph, "x").texts}
    assert at["U_x_y"][1] == 0
    assert at["U_x_y"][0] < at["x"][0]


def test_a_single_world_graph_splits_what_is_set_in_two() -> None:
    ax = drawn(plot.swig(GRAPH, {"x": 1}))
    assert words(ax) == {"z", "x", "x=1", "y(x=1)"}
    at = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert at["z"] < at["x"] < at["x=1"] < at["y(x=1)"]
    halves = [p.get_xy() for p in ax.patches if hasattr(p, "get_xy") and len(p.get_xy()) > 50]
    assert len(halves) == 2
    left, right = sorted(halves, key=lambda corners: float(np.mean(corners[:, 0])))
    assert left[:, 0].max() < right[:, 0].min()


def test_what_causes_a_split_variable_ends_at_its_random_half() -> None:
    from pyrocausal.graph.layered import _curve
    from pyrocausal.plot.graphs import _halves

    graph = pc.CausalGraph([("x", "y")], bidirected=[("x", "y")])
    places = _halves(graph, graph.swig("x"))
    for bend in (0.35, -0.35):
        start = _curve(places["x"], places["y(x')"], bend)[0]
        offset = (start - places["x"].centre) / places["x"].axes
        assert start[0] < places["x"].centre[0]
        assert np.linalg.norm(offset) == pytest.approx(1.0)


def test_a_graph_fits_into_axes_that_are_given() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(6, 2))
    assert plot.graph(GRAPH, axes[0]) is axes[0]
    plot.twin(GRAPH, "x", ax=axes[1])
    rendered(figure)
    assert tuple(figure.get_size_inches()) == (6, 2)
    sizes = [
        {text.get_fontsize() for text in ax.texts if len(text.get_text()) == 1} for ax in axes
    ]
    assert max(sizes[1]) < max(sizes[0])


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an SCM or a CausalGraph"):
        plot.graph(type("Other", (), {"graph": 1})())
    with pytest.raises(pc.UnknownVariable):
        plot.swig(GRAPH, "w")


# What the verbs return


def test_the_rungs_stand_side_by_side_on_one_scale() -> None:
    seen = clinic.sample(300, seed=0)
    done = clinic.do(WORLDS).sample(300, seed=0)
    imagined = clinic.counterfactual(dict(seen), WORLDS, seed=0)
    figure = rendered(plot.ladder([seen, done, imagined], "recovery"))
    titles = [ax.get_title("left").splitlines()[0] for ax in figure.axes]
    assert titles == ["rung 1 (seeing)", "rung 2 (doing)", "rung 3 (imagining)"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"recovery"}
    assert figure.axes[0].get_ylabel() == "density"
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    both = ["treated=0", "treated=1"]
    assert [legend(ax) for ax in figure.axes] == [[], both, ["factual", *both]]


def test_counts_are_bars_whose_heights_are_shares() -> None:
    seen = clinic.sample(400, seed=0)
    (ax,) = rendered(plot.ladder([seen], "visits")).axes
    assert ax.get_ylabel() == "probability"
    shares = seen["visits"].unique(return_counts=True)[1] / 400
    assert [height for _, height in bars(ax)] == pytest.approx(shares.tolist())


def test_densities_have_the_area_one() -> None:
    figure = plot.distributions(clinic.do(treated=1.0).sample(500, seed=0), "recovery")
    closed: Any = figure.axes[0].patches[0].get_path().vertices
    area = 0.5 * np.abs(np.sum(closed[:-1, 0] * closed[1:, 1] - closed[1:, 0] * closed[:-1, 1]))
    assert area == pytest.approx(1.0, abs=1e-6)


def test_one_unit_is_a_line_with_its_value() -> None:
    unit = {"severity": 0.3, "treated": 0.0, "recovery": -0.1, "visits": 1.0}
    imagined = clinic.counterfactual(unit, {"treated": 1.0}, seed=0)
    seen = clinic.sample(100, seed=0)
    figure = rendered(plot.ladder([seen, imagined], "recovery"))
    assert legend(figure.axes[1]) == ["factual: -0.1", "treated=1: 1.9"]


def test_samples_show_every_variable_and_say_where_worlds_agree() -> None:
    figure = rendered(clinic.do(WORLDS).sample(200, seed=0).plot())
    labels = {ax.get_xlabel(): legend(ax) for ax in figure.axes}
    assert labels["severity"] == ["all worlds"]
    assert labels["recovery"] == ["treated=0", "treated=1"]
    assert list(labels) == ["severity", "treated", "recovery", "visits"]
    assert len(clinic.sample(50, seed=0).plot("visits", "recovery").axes) == 2


def test_slopes_lead_each_unit_from_the_fact_to_the_counterfactual() -> None:
    rows = pd.DataFrame(
        {"severity": [0.3, 1.0, -0.5], "treated": [0, 1, 0], "recovery": [-0.1, 1.0, 0.2]},
        index=["Ann", "Bob", "Cid"],
    )
    answer = clinic.counterfactual(rows.assign(visits=[1, 2, 0]), {"treated": 1.0}, seed=0)
    ax = drawn(plot.slopes(answer, "recovery"))
    lines = [(line.get_ydata().tolist(), line.get_color()) for line in ax.lines]
    rises = [ends for ends, color in lines if color == PALETTE[0]]
    assert sorted(rises) == [pytest.approx([-0.1, 1.9]), pytest.approx([0.2, 2.2])]
    assert [ends for ends, color in lines if color == INK] == [pytest.approx([1.0, 1.0])]
    assert legend(ax) == ["higher: 2", "the same: 1"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["factual", "treated=1"]
    assert {word.strip() for word in words(ax)} == {"Ann", "Bob", "Cid"}
    assert ax.get_ylabel() == "recovery"
    assert plot.slopes(answer, "recovery", unit="days").get_ylabel() == "recovery (days)"


def test_a_counterfactual_shows_what_the_action_moves() -> None:
    seen = dict(clinic.sample(100, seed=0))
    figure = rendered(clinic.counterfactual(seen, {"treated": 1.0}, seed=0).plot())
    assert [ax.get_ylabel() for ax in figure.axes] == ["recovery", "visits"]
    title = figure.axes[0].get_legend().get_title().get_text()
    assert title == "treated=1 against the fact, 60 of 100 units"
    assert len(figure.axes[0].lines) == 60


def test_draws_are_averaged_and_their_spread_is_drawn() -> None:
    unit = {"severity": [0.3], "treated": [1.0], "recovery": [2.0], "visits": [3.0]}
    answer = clinic.counterfactual(unit, {"treated": 0.0}, num_draws=200, seed=0)
    ax = drawn(plot.slopes(answer, "visits"))
    (line,) = ax.lines
    assert line.get_ydata()[1] == pytest.approx(answer["visits"].mean().item())
    (bar,) = ax.collections
    low, high = np.quantile(answer["visits"].numpy(), [0.05, 0.95])
    assert bar.get_segments()[0][:, 1].tolist() == pytest.approx([low, high])


def test_what_can_not_be_drawn_is_told() -> None:
    model = pc.SCM(lambda: pyro.sample("x", dist.Normal(torch.zeros(3), 1.0).to_event(1)))
    answer = model.sample(5, seed=0)
    with pytest.raises(ValueError, match="several numbers for each unit"):
        plot.distributions(answer, "x")
    with pytest.raises(ValueError, match="no variable that is one number a unit"):
        answer.plot()
    with pytest.raises(pc.UnknownVariable, match="'w'"):
        plot.ladder([clinic.sample(5, seed=0)], "w")
    with pytest.raises(ValueError, match="got no answers"):
        plot.ladder([], "x")
    with pytest.raises(TypeError, match="expected what counterfactual"):
        plot.slopes(answer, "x")  # type: ignore[arg-type]
