# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # When effects are not identified: bounds
#
# A trial of a cholesterol drug. Half of the men were given the drug and half a powder that does
# nothing. It tastes bad, and many who were given the drug did not take it. Did the drug work?
#
# Comparing takers with non-takers is unfair: who takes a bad-tasting powder every day is perhaps
# the healthier sort in other ways too. Comparing the two halves is fair, but answers another
# question: what *being given* the drug does. For what *taking* it would do to everybody, the data
# have no single number. They have a range. This page is about such ranges: how to get them, how
# to read them, and what each further assumption buys.
#
# ## The graph
#
# `Z` is the coin that assigned the drug, `X` whether it was taken, `Y` whether the cholesterol
# fell by 28 points or more (the paper cut both at a threshold). Something unknown makes both the
# taking and the falling: the two-headed arrow.

# %%
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc

trial = pc.CausalGraph([("Z", "X"), ("X", "Y")], bidirected=[("X", "Y")])
_ = pc.plot.graph(trial)
try:
    pc.identify(trial, "Y", do="X")
except pc.NotIdentified as refusal:
    print(refusal)

# %% tags=["remove-cell"]
try:
    pc.identify(trial, "Y", do="X")
except pc.NotIdentified:
    refused = True
assert refused

# %% [markdown]
# *Not identified* means: there are two worlds with this graph and exactly these data in which the
# effect differs. More data would not help. (We shall see two such worlds below.)
#
# The data are shares of the men, as they are printed in the paper:

# %%
# P(y, x | z): Balke and Pearl (1997), from the Lipid Research Clinics trial.
published = {"z": [0, 1], "y0x0": [0.919, 0.315], "y0x1": [0.0, 0.139]}
published |= {"y1x0": [0.081, 0.073], "y1x1": [0.0, 0.473]}
print(pd.DataFrame(published).to_string(index=False))
men = pd.DataFrame(
    {"Z": z, "X": x, "Y": y, "p": published[f"y{y}x{x}"][z] / 2}
    for z in (0, 1)
    for y in (0, 1)
    for x in (0, 1)
)
share = men.p.sum()
given = 2 * men[(men.Z == 1) & (men.Y == 1)].p.sum()
not_given = 2 * men[(men.Z == 0) & (men.Y == 1)].p.sum()
took = 2 * men[(men.Z == 1) & (men.X == 1)].p.sum()
print(f"improved: {given:.3f} of those given it, {not_given:.3f} of the others")
print(f"of those given it {took:.3f} took it")

# %% tags=["remove-cell"]
assert abs(share - 1) < 1e-9
assert abs(given - not_given - 0.465) < 1e-9
assert abs(took - 0.612) < 1e-9

# %% [markdown]
# ## Nothing assumed: Manski's bounds
#
# Suppose first that we forget the coin, and see only who took the drug and who improved. If all
# had taken it: for those who did, we know what happened. For those who did not, anything may
# have: perhaps all of them improve, perhaps none. That gives a lowest and a highest share, and
# nothing more is needed. Charles Manski wrote it down in 1990.

# %%
bow = pc.CausalGraph([("X", "Y")], bidirected=[("X", "Y")])
effect = {"outcome": "Y", "do": {"X": 1}, "versus": {"X": 0}, "weights": "p"}
forgetful = men.groupby(["X", "Y"], as_index=False).p.sum()
manski = pc.bounds(bow, forgetful, **effect)
print(manski)

# %% tags=["remove-cell"]
p = forgetful.set_index(["X", "Y"]).p
by_hand = (p[1, 1] - p[0, 1] - p[1, 1] - p[1, 0], p[1, 1] + p[0, 0] + p[0, 1] - p[0, 1])
assert abs(manski.lower - by_hand[0]) < 1e-9
assert abs(manski.upper - by_hand[1]) < 1e-9
assert abs(manski.width - 1) < 1e-9
assert abs(manski.lower + 0.1465) < 1e-6

# %% [markdown]
# From -0.15 to 0.85. The range is always exactly 1 wide, half of all there could be (from -1 to
# 1), and so it always holds zero. The card says that it is *sharp*: no cleverer method gets a
# narrower one from these data alone.
#
# ## The coin: Balke and Pearl's bounds
#
# The coin is known to be fair, and to do nothing but by way of the taking. That rules out many
# worlds. Think of each man as a *type*: would he take the drug if given it, and if not? would he
# improve with it, and without? That is 4 times 4 types. The data fix sums of their shares; the
# effect is a sum as well. The smallest and the largest effect are then a *linear program*: the
# best value of a sum, where other sums are given. The library writes it down from the graph and
# solves it.

# %%
instrument = pc.bounds(trial, men, **effect)
print(instrument)

# %% tags=["remove-cell"]
assert abs(instrument.lower - 0.392) < 1e-6
assert abs(instrument.upper - 0.780) < 1e-6
assert instrument.sharp

# %% [markdown]
# From a range that held zero to one that does not: the drug, taken by all, would improve between
# 39 and 78 in a hundred more. Nothing was assumed of why men skip it.
#
# ## Two worlds, the same data
#
# The range is not a statement about noise or about a small sample. Each end has a world in which
# it is the truth. `witnesses` gives both, as shares of types.

# %%
TAKES = {(0, 0): "never", (0, 1): "if given", (1, 1): "always", (1, 0): "if not given"}
IMPROVES = {(0, 0): "never", (0, 1): "with the drug", (1, 1): "always", (1, 0): "without it"}


def population(witness):
    """Return the share of each type: when he takes the drug (rows), when he improves (columns)."""
    types = pd.DataFrame(
        {
            "takes it": [TAKES[tuple(f)] for f in witness.functions["X"].tolist()],
            "improves": [IMPROVES[tuple(f)] for f in witness.functions["Y"].tolist()],
            "share": witness.probabilities,
        }
    )
    return types.pivot_table("share", "takes it", "improves", aggfunc="sum", fill_value=0.0)


low, high = (population(witness) for witness in instrument.witnesses)
print(low.round(3), high.round(3), sep="\n\n")

# %% tags=["remove-cell"]
for world, end in ((low, 0.392), (high, 0.780)):
    helped = world.get("with the drug", pd.Series([0.0])).sum()
    harmed = world.get("without it", pd.Series([0.0])).sum()
    assert abs(helped - harmed - end) < 1e-6
    assert abs(world.loc["if given"].sum() - 0.612) < 1e-6
assert abs(low.loc["never", "without it"] - 0.073) < 1e-6
assert abs(high.loc["never", "with the drug"] - 0.315) < 1e-6

# %% [markdown]
# Add the columns "with the drug" less "without it": 0.392 in the first world, 0.780 in the
# second. They differ in the men who never take the drug: in the first it would do them nothing or
# even harm, in the second it helps every one of them whom it can. Nobody saw one of these men
# take it. No trial of this kind can tell the two worlds apart.
#
# ## What each assumption buys
#
# An assumption is a ban on types. *Monotone response*: no man improves only without the drug. *No
# defiers*: no man takes it only if it is not given. The strongest: the drug does the same to
# everybody; then the instrumental ratio is the answer, a point.

# %%
no_defiers = pc.bounds(trial, men, **effect, assumptions=["X increases in Z"])
no_harm = pc.bounds(trial, men, **effect, assumptions=["Y increases in X"])
ratio = (given - not_given) / took
rows = [
    ("nothing: an effect is between -1 and 1", -1.0, 1.0),
    ("the data on X and Y alone (Manski)", manski.lower, manski.upper),
    ("the coin (Balke and Pearl)", instrument.lower, instrument.upper),
    ("the coin, and nobody defies", no_defiers.lower, no_defiers.upper),
    ("the coin, and nobody is harmed", no_harm.lower, no_harm.upper),
    ("the coin, and the same effect on all", ratio, ratio),
]
for name, lower, upper in rows:
    print(f"{name:40s} {lower:6.3f} to {upper:6.3f}")

# %% tags=["remove-cell"]
assert abs(no_defiers.lower - instrument.lower) + abs(no_defiers.upper - 0.780) < 1e-6
assert abs(no_harm.lower - 0.465) < 1e-6
assert abs(no_harm.upper - 0.780) < 1e-6
assert abs(ratio - 0.760) < 0.0005

# %%
fig, ax = pyplot.subplots(figsize=(7.5, 2.8))
for place, (_, lower, upper) in enumerate(rows):
    ax.plot([lower, upper], [place, place], color=PALETTE[0], lw=6, solid_capstyle="butt")
    ax.plot([lower, upper], [place, place], "|", color=PALETTE[1], ms=12, mew=2)
ax.axvline(0, color="0.6", lw=1, zorder=0)
ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
ax.invert_yaxis()
ax.set(xlabel="effect of taking the drug on P(improves)", xlim=(-1.05, 1.05))
_ = ax.set_title("What each assumption buys")

# %% [markdown]
# Read it from above. The coin buys most. That nobody defies buys nothing here, since nobody
# without the drug could take it anyway; with it, the ratio 0.76 is the effect on the *compliers*,
# the 61 % who take what they are given, which is a fair question but another one. That the drug
# harms nobody lifts the lower end to 0.465, the difference between the two halves. And the point
# at the bottom costs the most: that the men who refuse it would gain from it exactly as much as
# those who do not.
#
# ## From rows, with a known truth
#
# Real rows are a sample, so the ends are uncertain too. Here is a program with a hidden trait,
# whose truth we can ask for.

# %%


@pc.scm(latent=["trait"])
def clinic():
    trait = pyro.sample("trait", dist.Bernoulli(0.4))
    offered = pyro.sample("Z", dist.Bernoulli(torch.full(trait.shape, 0.5)))
    taken = pyro.sample("X", dist.Bernoulli(offered * (0.3 + 0.6 * trait)))
    pyro.sample("Y", dist.Bernoulli(0.2 + 0.3 * taken + 0.3 * trait))


patients = clinic.sample(size(5000, 3000), seed=0).to_frame()
truth = pc.ate(clinic, "X", "Y", seed=0)
others, takers = patients.groupby("X").Y.mean()
found = pc.bounds(clinic, patients, "Y", do={"X": 1.0}, versus={"X": 0.0})
print(f"truth {truth.value:.2f}; takers less others {takers - others:.2f}")
print(found)

# %% tags=["remove-cell"]
assert abs(truth.value - 0.3) < 4 * truth.se + 1e-6
assert takers - others > 0.36
assert found.interval[0] < truth.value < found.interval[1]
assert found.interval[0] < found.lower < found.upper < found.interval[1]

# %% [markdown]
# The comparison of takers with others says more than the truth, 0.30, since the trait does both.
# The bounds hold the truth. Their 95 % interval is wider by what a sample leaves open.
#
# Rows can also *contradict* a graph. If the coin did something to the outcome by itself, some
# tables would be impossible under the graph, and `pc.bounds` says so rather than giving a number.
#
# ## A case in court
#
# The last question is of the third rung: it asks about one man. He took a drug (`X`), and died
# (`Y`). *Would he have lived without it?* The probability of that, given what happened, is called
# the probability of necessity (PN). The figures are made up by Tian and Pearl:
#
# - In a trial, 16 of 1000 die with the drug and 14 of 1000 without.
# - Outside of the trial, of those who choose the drug 2 of 1000 die; of those who do not, 28 of
#   1000.
#
# The maker points to the trial: hardly any difference. Is that the end of it?

# %%
chosen = pd.DataFrame({"X": [1, 1, 0, 0], "Y": [1, 0, 1, 0], "p": [0.001, 0.499, 0.014, 0.486]})
asked = {"outcome": {"Y": 1}, "do": {"X": 1}, "versus": {"X": 0}, "weights": "p"}
alone = pc.causation_bounds(chosen, **asked)
both = pc.causation_bounds(chosen, **asked, effects=(0.016, 0.014))
print("what is seen alone:", f"[{alone.pn.lower:.3f}, {alone.pn.upper:.3f}]")
print("with the trial:    ", f"[{both.pn.lower:.3f}, {both.pn.upper:.3f}]")
print("what do says of everybody:", f"{0.016 - 0.014:.3f}")
print()
print(both.pn)

# %% tags=["remove-cell"]
assert abs(alone.pn.lower) < 1e-9
assert abs(alone.pn.upper - 1) < 1e-9
assert abs(both.pn.lower - 1) < 1e-9
assert both.pn.rung == 3

# %% [markdown]
# Either source alone says next to nothing. Together they say that it is *certain* that the drug
# killed him. How can that be? Those who choose the drug are a sturdy sort. In the trial, 14 of
# 1000 die without it; but among those who do not choose it 28 of 1000 do, and they are half of
# all people: that is all 14. So of those who choose it nobody would have died without it. The man
# chose it.
#
# The answer of rung 2, an effect of 0.002, was an average over the sturdy and the frail.
#
# ## What to try
#
# **Exercise 1.** In a trial of vitamin A against death of children, the table was (0.0064, 0,
# 0.9936, 0) and (0.0028, 0.0010, 0.1972, 0.7990) in the order of the columns above; `Y` is
# survival. Can the drug be harmful, by the data? And if it is assumed to harm nobody?

# %% tags=["hide-cell"]
table = np.array([[0.0064, 0.0, 0.9936, 0.0], [0.0028, 0.0010, 0.1972, 0.7990]]) / 2
children = pd.DataFrame({"Z": z, "X": x, "Y": y} for z in (0, 1) for y in (0, 1) for x in (0, 1))
children["p"] = table.ravel()
vitamin = pc.bounds(trial, children, **effect)
harmless = pc.bounds(trial, children, **effect, assumptions=["Y increases in X"])
print(vitamin, harmless, sep="\n\n")
# From 19 in a hundred killed to half in a hundred saved; with the assumption about .3 to .5 saved.
assert abs(vitamin.lower + 0.1946) < 1e-6
assert abs(vitamin.upper - 0.0054) < 1e-6
assert abs(harmless.lower - 0.0026) < 1e-6

# %% [markdown]
# **Exercise 2.** Did quitting smoking make people gain more than 5 kg? In `pc.datasets.nhefs()`,
# take `qsmk` and whether `wt82_71 > 5`. What do the data say without any assumption, and what
# does adjusting for measured causes add?

# %% tags=["hide-cell"]
people = pc.datasets.nhefs()
quitters = pd.DataFrame({"X": people.qsmk, "Y": (people.wt82_71 > 5).astype(int)})
open_range = pc.bounds(bow, quitters, "Y", do={"X": 1}, versus={"X": 0})
print(open_range)
causes = ["sex", "age", "smokeintensity", "smokeyrs", "wt71"]
frame = people[causes].assign(**quitters)
graph = pc.CausalGraph([("X", "Y"), *((c, to) for c in causes for to in "XY")])
adjusted = pc.identify(graph, "Y", do="X").estimate(frame, method="regression", seed=0)
print(adjusted)
# One wide, with zero inside. A number comes with the assumption that all common causes were measured.
assert abs(open_range.width - 1) < 1e-6
assert open_range.lower < adjusted.value < open_range.upper
assert adjusted.interval.lower > 0

# %% [markdown]
# **Exercise 3.** Add to the first graph, without the coin, a mediator that carries the whole
# effect: `X -> M -> Y`, and `X <-> Y`. Draw random rows for it, and look at the width of the
# bounds. Why?

# %% tags=["hide-cell"]


@pc.scm(latent=["trait"])
def front_door():
    trait = pyro.sample("trait", dist.Bernoulli(0.5))
    x = pyro.sample("X", dist.Bernoulli(0.2 + 0.6 * trait))
    m = pyro.sample("M", dist.Bernoulli(0.1 + 0.8 * x))
    pyro.sample("Y", dist.Bernoulli(0.2 + 0.3 * m + 0.4 * trait))


seen = front_door.sample(2000, seed=0).to_frame()
through = pc.bounds(front_door, seen, "Y", do={"X": 1.0}, versus={"X": 0.0})
print(through)
# Width 0: the front door identifies the effect, .8 * .3 = .24. Identification is a range of no width.
assert through.width < 1e-6
assert through.interval[0] < 0.24 < through.interval[1]

# %% [markdown]
# ## Sources
#
# C. Manski, *Nonparametric bounds on treatment effects*, American Economic Review 80 (1990). A.
# Balke and J. Pearl, *Bounds on treatment effects from studies with imperfect compliance*,
# Journal of the American Statistical Association 92 (1997), with both tables. J. Tian and J.
# Pearl, *Probabilities of causation: bounds and identification*, Annals of Mathematics and
# Artificial Intelligence 28 (2000).
