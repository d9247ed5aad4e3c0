"""The demo: does quitting smoking change body weight? Seeing, doing, imagining on real people."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyro
import torch
from pyro.nn import PyroModule
from torch import Tensor
from tqdm import tqdm

from pyrocausal import datasets
from pyrocausal.engine.tracing import quiet_seed
from pyrocausal.mechanisms import MLP, Linear, Parent, heads
from pyrocausal.model import SCM
from pyrocausal.results import Samples

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Smoking", "fitted", "main"]

REFITS: Final = 40

# What each confounder is, and the units in which the networks see it.
CONFOUNDERS: Final = {
    "sex": Parent.binary(),
    "race": Parent.binary(),
    "age": Parent.continuous(loc=44, scale=12),
    "education": Parent.continuous(loc=3, scale=1),
    "smokeintensity": Parent.continuous(loc=20, scale=12),
    "smokeyrs": Parent.continuous(loc=25, scale=12),
    "exercise": Parent.categorical(3),
    "active": Parent.categorical(3),
    "wt71": Parent.continuous(loc=71, scale=16),
}


class Smoking(PyroModule):
    """Who quits, and how weight changes.

    The confounders are inputs of the program: taken as they are observed, not modelled.

    Example:
        >>> Smoking().quits(*torch.zeros(9, 5)).batch_shape
        torch.Size([5])
    """

    def __init__(self) -> None:
        super().__init__()
        known = list(CONFOUNDERS.values())
        self.quits = Linear(known, head="bernoulli")
        # 16 hidden units: of none, 4, 8, 16 and twice 32 they predict held-out people best.
        kilograms = heads.Normal(loc=2.6, scale=7.9)
        self.changes = MLP([Parent.binary(), *known], hidden=(16,), head=kilograms)

    def forward(self, **confounders: Tensor) -> None:
        """Describe one person; a tensor holds a batch of them."""
        person = [confounders[name] for name in CONFOUNDERS]
        qsmk = pyro.sample("qsmk", self.quits(*person))
        pyro.sample("wt82_71", self.changes(qsmk, *person))


def fitted(people: pd.DataFrame, seed: int) -> SCM:
    """Fit the program to people; a seed gives the same fit again.

    Example:
        >>> model = fitted(datasets.nhefs(), seed=0)
        >>> sorted(model.graph.parents("qsmk")) == sorted(CONFOUNDERS)
        True
    """
    with quiet_seed(seed):
        model = SCM(Smoking(), name="smoking")
    observed = people[["qsmk", "wt82_71"]]
    model.fit(observed, inputs=inputs_of(people), steps=200, lr=0.02, progress=False, seed=seed)
    return model


def inputs_of(people: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Return the columns that are inputs of the program."""
    return {name: people[name] for name in CONFOUNDERS}


def doing(model: SCM, people: pd.DataFrame) -> tuple[float, Samples]:
    """Return the average effect of quitting on these people, and the answer it comes from."""
    worlds = model.do([{"qsmk": 0.0}, {"qsmk": 1.0}])
    answer = worlds.sample(len(people), inputs=inputs_of(people), seed=0)
    without, with_quitting = answer["wt82_71"].mean(-1).tolist()
    return with_quitting - without, answer


def imagining(model: SCM, person: pd.DataFrame) -> tuple[float, Samples]:
    """Return the weight change a person would have had on quitting, and the answer it is in."""
    seen = person[["qsmk", "wt82_71"]]
    answer = model.counterfactual(seen, {"qsmk": 1.0}, inputs=inputs_of(person), seed=0)
    return answer["wt82_71"].item(), answer


def main(folder: str = "pyrocausal-demo") -> int:
    """Run the demo: text on the terminal, a picture in ``folder``.

    Returns:
        0, the exit status.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)  # before the work, should it not be allowed
    people = datasets.nhefs()
    person = people[people["qsmk"] == 0].iloc[[0]]
    with _one_thread():
        print(_question(people), flush=True)
        model = fitted(people, seed=0)
        print(_graph(model, Path(folder)))
        print(_seeing(people), flush=True)
        effect, two_worlds = doing(model, people)
        change, imagined = imagining(model, person)
        effects, changes = _refits(people, person)
    print(_doing(effect, effects, two_worlds))
    print(_imagining(person, change, changes, imagined))
    return 0


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: on tensors as small as these, others cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refits(people: pd.DataFrame, person: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Return both answers after each of the refits on people drawn with replacement."""
    answers = []
    for number in tqdm(range(1, REFITS + 1), desc="refitting on resampled people"):
        again = people.sample(len(people), replace=True, random_state=number)
        model = fitted(again, seed=number)
        answers.append((doing(model, again)[0], imagining(model, person)[0]))
    effects, changes = torch.tensor(answers).unbind(1)
    return effects, changes


def _question(people: pd.DataFrame) -> str:
    quitters = int(people["qsmk"].sum())
    forward = textwrap.dedent(inspect.getsource(Smoking.forward))
    return f"""\
DOES QUITTING SMOKING CHANGE BODY WEIGHT?

NHEFS followed {len(people)} smokers from 1971 to 1982. Two variables are modelled:
  qsmk      1 for the {quitters} who quit in between, 0 for those who kept smoking
  wt82_71   change of weight over these years, in kg
Nine confounders, which may sway both, are given as they are.

The model is an ordinary Pyro program (`quits` is a logistic regression,
`changes` a neural network):

{textwrap.indent(forward, "    ")}"""


def _graph(model: SCM, folder: Path) -> str:
    path = folder / "graph.svg"
    try:
        model.render(str(path))
        drawn = f"drawn in {path}"
    except ModuleNotFoundError as error:
        drawn = f"not drawn: {error}"
    arrows = "\n".join(f"  {part}" for part in str(model.graph).split("; "))
    return (
        textwrap.fill(f"Its causal graph, read off the program ({drawn}):", 80) + f"\n{arrows}\n"
    )


def _seeing(people: pd.DataFrame) -> str:
    groups = people.groupby("qsmk")["wt82_71"].agg(["mean", "var", "size"])
    error = float((groups["var"] / groups["size"]).sum() ** 0.5)
    difference = float(groups["mean"].diff().iloc[-1])
    return f"""\
RUNG 1, SEEING: the naive difference is {_with_interval(difference, error)}.
  Those who quit gained so much more than those who kept smoking. This is not
  yet the effect of quitting: quitters differed to begin with, in age for one.
  route:   difference of the two observed means
  assumes: that people are a random sample; nothing about causes
"""


def _doing(effect: float, effects: Tensor, answer: Samples) -> str:
    return f"""\
RUNG {answer.rung}, DOING: the effect of quitting is {_with_interval(effect, effects.std().item())}.
  Had all of them quit, they would have gained so much more, on average, than
  had none. All are run in both worlds, with the same confounders and noise.
  Published analyses of these data, adjusted for the same confounders, find 3.4
  to 3.5 kg (Hernan and Robins, Causal Inference: What If).
  route:   the fitted program under do(qsmk=0) and under do(qsmk=1); the
           interval is +- 1.96 standard deviations of {REFITS} refits on resampled
           people (bootstrap), which found {effects.min():.2f} to {effects.max():.2f} kg
{_assumes(answer, "there is no other common cause of qsmk and wt82_71")}
"""


def _imagining(person: pd.DataFrame, change: float, changes: Tensor, answer: Samples) -> str:
    row = person.iloc[0]
    low, high = _interval(change, changes.std().item())
    return f"""\
RUNG {answer.rung}, IMAGINING: person {row["seqn"]:.0f} would have changed by \
{change:+.2f} kg had they quit,
  95% in [{low:+.2f}, {high:+.2f}].
  This person (by seqn), {row["age"]:.0f} years old and {row["wt71"]:.0f} kg in 1971, kept smoking \
and
  changed by {row["wt82_71"]:+.2f} kg. The noise that explains this is kept, and the person is
  made to quit.
  route:   abduction of the noise (wt82_71: {answer.routes["wt82_71"]}), then do(qsmk=1); the
           interval is that of the same {REFITS} refits
{_assumes(answer, "no other common cause, and an effect that adds to one's noise")}"""


def _assumes(answer: Samples, also: str) -> str:
    first, *others = [*answer.assumptions, also]
    lines = [f"  assumes: {first}", *(f"           {other}" for other in others)]
    return "\n".join(lines)


def _with_interval(value: float, error: float) -> str:
    low, high = _interval(value, error)
    return f"{value:.2f} kg, 95% in [{low:.2f}, {high:.2f}]"


def _interval(value: float, error: float) -> tuple[float, float]:
    return value - 1.96 * error, value + 1.96 * error
