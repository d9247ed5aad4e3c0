"""What the page of ``pyrocausal explore`` computes, without a browser."""

import time
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

import pyrocausal as pc
from pyrocausal import zoo
from pyrocausal.exploring import Explorer
from pyrocausal.exploring.views import bins


@pc.scm
def clinic() -> None:
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - severity, 0.5))


@pytest.fixture
def explorer() -> Explorer:
    return Explorer(clinic, units=1000, seed=0)


def test_a_range_is_what_was_seen_and_few_whole_values_are_a_choice(explorer: Explorer) -> None:
    severity, treated, recovery = explorer.controls
    seen = clinic.sample(1000, seed=0)
    assert treated.levels == (0.0, 1.0)
    assert (severity.levels, recovery.levels) == ((), ())
    for control in (severity, recovery):
        values = seen[control.name]
        assert control.low <= values.min() < control.low + control.step
        assert control.high - control.step < values.max() <= control.high
        assert control.low <= control.middle <= control.high
    assert severity.snap(0.30000000000000004) == 0.3


def test_no_control_is_an_intervention_until_it_is_moved(explorer: Explorer) -> None:
    view = explorer.look({}, "recovery", 7)
    seen = clinic.sample(1000, seed=0)["recovery"].double().numpy()
    np.testing.assert_array_equal(view.seeing.values, seen)
    np.testing.assert_array_equal(view.doing.values, seen)
    assert view.graph.edges == clinic.graph.edges
    assert not view.graph.cut
    assert {row.role for row in view.rows} == {"kept"}
    np.testing.assert_allclose(view.imagining.values, seen[7], atol=1e-5)


def test_seeing_chooses_units_and_doing_changes_them(explorer: Explorer) -> None:
    # severity confounds: of the seen, the treated are those who were worse to begin with.
    view = explorer.look({"treated": 1.0}, "recovery", 0)
    seen = clinic.sample(1000, seed=0)
    chosen = seen["recovery"][seen["treated"] == 1].double().numpy()
    np.testing.assert_array_equal(view.seeing.values, chosen)
    done = clinic.do(treated=1.0).sample(1000, seed=0)["recovery"].double().numpy()
    np.testing.assert_array_equal(view.doing.values, done)
    assert f"mean {done.mean():.4g}" in view.doing.words
    assert done.mean() - chosen.mean() > 0.3
    assert sorted(view.graph.cut) == [("severity", "treated")]
    # E[recovery | do(treated=1)] = 2; sd sqrt(1.25).
    assert abs(done.mean() - 2.0) < 4 * (1.25 / 1000) ** 0.5


def test_units_seen_near_a_value_of_a_range_count_as_seen_with_it(explorer: Explorer) -> None:
    severity = explorer.controls[0]
    view = explorer.look({"severity": 0.5}, "recovery", 0)
    seen = clinic.sample(1000, seed=0)
    near = (seen["severity"].double() - 0.5).abs() <= 0.05 * (severity.high - severity.low)
    assert len(view.seeing.values) == int(near.sum())
    far = explorer.look({"severity": 9.0}, "recovery", 0)
    assert far.seeing.words == "none of 1000 units was seen so"
    assert not len(far.seeing.values)


def test_the_twin_is_the_counterfactual_of_what_was_seen_of_the_unit(explorer: Explorer) -> None:
    seen, unit = clinic.sample(1000, seed=0), 17
    view = explorer.look({"treated": 1.0 - seen["treated"][unit].item()}, "recovery", unit)
    rows = {row.variable: row for row in view.rows}
    # By hand: only the term of the treatment changes, the noise of recovery stays.
    change = 2.0 * (1.0 - 2.0 * seen["treated"][unit].item())
    np.testing.assert_allclose(
        rows["recovery"].twin, seen["recovery"][unit].item() + change, atol=1e-5
    )
    roles = {name: row.role for name, row in rows.items()}
    assert roles == {"severity": "kept", "treated": "set", "recovery": "moved"}
    # And what `counterfactual` says of this row.
    answer = clinic.counterfactual(
        {name: seen[name][unit] for name in seen}, {"treated": rows["treated"].twin[0]}, seed=0
    )
    assert rows["recovery"].told == f"{answer['recovery'].item():.4g}"


def test_all_units_move_as_each_one_s_own_twin_does(explorer: Explorer) -> None:
    views = [explorer.look({"treated": 1.0}, "recovery", unit) for unit in range(5)]
    for unit, view in enumerate(views):
        np.testing.assert_allclose(view.imagining.values, view.pairs[1, unit], atol=1e-5)


def test_what_the_evidence_leaves_open_is_told_as_a_range() -> None:
    # The number of claims by night and by day is coupled by a quantile, known up to an interval.
    explorer = Explorer(zoo.counts(), units=300)
    twins = [explorer.look({"night": 0.0}, "claims", unit).rows[1] for unit in range(8)]
    told = [row.told for row in twins if row.role == "moved"]
    assert any(" to " in words for words in told)
    for row in twins:
        assert (row.twin == row.twin.round()).all()


@pytest.mark.parametrize("name", sorted(zoo.MODELS))
def test_every_model_of_the_zoo_is_shown_on_all_rungs(name: str) -> None:
    scm = zoo.MODELS[name].scm()
    explorer = Explorer(scm, units=200, seed=1)
    first, last = explorer.controls[0], explorer.controls[-1]
    view = explorer.look({first.name: first.middle}, last.name, 5)
    assert not {control.name for control in explorer.controls} & scm.latent
    expected = scm.do({first.name: first.middle}).sample(200, seed=1)[last.name].double()
    np.testing.assert_array_equal(view.doing.values, expected.numpy())
    assert len(view.imagining.values)
    assert {row.role for row in view.rows if row.variable == first.name} == {"set"}
    bars = bins([explorer.seen[last.name], view.doing.values])
    assert bars.shares(view.doing.values).sum() == pytest.approx(1.0)


def test_arguments_of_the_program_go_into_every_rung() -> None:
    scm = pc.SCM(lambda age: pyro.sample("risk", dist.Normal(age, 1.0)), name="cohort")
    explorer = Explorer(scm, units=50, inputs={"age": torch.tensor(50.0)})
    view = explorer.look({}, "risk", 3)
    assert abs(view.doing.values.mean() - 50.0) < 4 / 50**0.5
    np.testing.assert_allclose(view.imagining.values, view.seeing.values[3], rtol=1e-6)


def test_a_question_without_an_answer_says_why_and_the_rest_stays() -> None:
    def program() -> None:
        scale = pyro.sample("scale", dist.Normal(1.0, 0.01))
        pyro.sample("y", dist.Normal(torch.log(scale), 1.0))

    explorer = Explorer(pc.SCM(program), units=20)
    view = explorer.look({"scale": -1.0}, "y", 0)
    assert view.doing.words.startswith("no answer: ")
    assert view.imagining.words.startswith("no answer: ")
    assert (len(view.doing.values), view.rows, view.pairs.shape) == (0, (), (2, 0))
    assert view.action == "do(scale=-1)"


def test_a_model_without_a_number_to_set_is_refused() -> None:
    scm = pc.SCM(lambda: pyro.sample("v", dist.Normal(torch.zeros(3), 1.0).to_event(1)))
    with pytest.raises(ValueError, match="has no observed variable that is one number a unit"):
        Explorer(scm)


def test_bars_hold_all_values_and_few_levels_have_a_bar_each() -> None:
    normal = np.random.default_rng(0).normal(size=500)
    assert bins([normal, normal + 3]).shares(normal).sum() == pytest.approx(1.0)
    coins = bins([np.array([0.0, 1.0, 1.0, 1.0])])
    assert coins.levels.tolist() == [0.0, 1.0]
    assert coins.shares(np.empty(0)).tolist() == [0.0, 0.0]


def test_an_update_of_a_thousand_units_takes_a_fraction_of_a_second() -> None:
    document = pytest.importorskip("bokeh.document", reason="no Bokeh, the extra explore")
    from pyrocausal.exploring.page import Page

    page = Page(Explorer(clinic, units=1000), document.Document())
    times = []
    for place in range(7):
        start = time.process_time()  # other processes may have the cores
        page.act("treated", 1.0)
        page.act("severity", 0.1 * place)
        page.update()
        times.append(time.process_time() - start)
    assert page.view.action == "do(severity=0.6, treated=1)"
    assert sorted(times)[3] < 0.3


def test_the_command_refuses_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyrocausal.__main__ import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(
        "import pyro, pyro.distributions as dist, pyrocausal as pc\n"
        "def cohort(age):\n    pyro.sample('risk', dist.Normal(age, 1.0))\n"
        "graph = pc.CausalGraph([('x', 'y')])\n"
    )
    for arguments, words in (
        (["nothing.py:scm"], "There is no file 'nothing.py'"),
        (["models.py:nothing"], "has no 'nothing'. It has: graph."),
        (["pyrocausal.zoo:tringle"], "It has: "),
        (["models.py:graph"], "is a graph; expected a model"),
        (["models.py:cohort"], "Give typical values: --input age=1."),
        (["models.py:cohort", "--port", "zero"], "expected a number from 1 to 65535"),
        (["models.py:cohort", "--n", "0"], "expected a positive whole number"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["explore", *arguments])
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
