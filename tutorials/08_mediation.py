# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Through what? Mediation and path-specific effects
#
# A training programme raises wages. Does it teach something (people learn), or does it open doors
# (people get interviews)? Both are arrows out of the training. Mediation asks how much of an effect
# goes along which.
#
# ## The question, in words that can be computed
#
# Write `Y(x, m)` for a person's outcome with treatment `x` and mediator `m`, and `M(x)` for the value
# that the mediator takes under `x`. Then
#
# - the **natural direct effect** is `Y(1, M(0)) - Y(0, M(0))`: treat, but leave the mediator what it
#   would have been without the treatment;
# - the **natural indirect effect** is `Y(0, M(1)) - Y(0, M(0))`: don't treat, but let the mediator
#   move as if one had;
# - the **controlled direct effect** at `m` is `Y(1, m) - Y(0, m)`: hold the mediator at one value for
#   everybody.
#
# The first two mix two worlds in one person (`Y` in one, `M` in the other). They are rung 3:
# no experiment shows them without further assumptions.
#
# ## A program with an interaction

# %%
import pyro
import pyro.distributions as dist
from lesson import size
from matplotlib import pyplot

import pyrocausal as pc


@pc.scm
def training_programme():
    trained = pyro.sample("trained", dist.Bernoulli(0.5))
    skills = pyro.sample("skills", dist.Normal(1.0 * trained, 1.0))
    interviews = pyro.sample("interviews", dist.Normal(2.0 * trained + 0.5 * skills, 1.0))
    mean = 20 + 1.0 * trained + 2.0 * skills + 1.0 * interviews + 0.5 * trained * interviews
    pyro.sample("wage", dist.Normal(mean, 1.0))


_ = pc.plot.graph(training_programme)

# %% [markdown]
# An interview is worth more to those who were trained (`0.5 * trained * interviews`). With such an
# interaction there is no single number called "the indirect effect"; the definitions above say
# which one is meant. Take all mediators together first.

# %%
options = {"num_samples": size(100_000, 40_000), "seed": 0}
total = pc.ate(training_programme, "trained", "wage", **options)
direct = pc.nde(training_programme, "trained", "wage", **options)
indirect = pc.nie(training_programme, "trained", "wage", **options)
print(direct)
print(f"total {total.value:.2f}, direct {direct.value:.2f}, indirect {indirect.value:.2f}")

# %% tags=["remove-cell"]
# E[interviews] is 0 without training, 2.5 with; E[skills] is 0 and 1.
# total = 1 + 2 + 2.5 + .5 * 2.5 = 6.75; direct = 1 + .5 * 0 = 1; indirect = 2 + 2.5 = 4.5
assert abs(total.value - 6.75) < 4 * total.se + 1e-6
assert abs(direct.value - 1.0) < 4 * direct.se + 1e-6
assert abs(indirect.value - 4.5) < 4 * indirect.se + 1e-6
assert direct.rung == 3

# %% [markdown]
# The total is 6.75, and 1.00 + 4.50 is only 5.50. What is missing, 1.25, is the interaction: it
# needs both the treatment and the moved mediator. It belongs to neither part alone. What always
# holds is

# %%
backwards = pc.nie(training_programme, "trained", "wage", values=(0.0, 1.0), **options)
print(f"direct - (indirect, backwards) = {direct.value - backwards.value:.2f}")

# %% tags=["remove-cell"]
assert abs(direct.value - backwards.value - total.value) < 1e-3

# %% [markdown]
# the total effect is the direct one minus the indirect one of the *reverse* change. As a picture:

# %%
fig, ax = pyplot.subplots(figsize=(6, 3))
_ = pc.plot.waterfall(total, direct, indirect, ax=ax)

# %% [markdown]
# ## One mediator of two
#
# How much goes through the interviews? Skills also lead to interviews, so there are four ways
# from training to wage:
#
# `trained -> wage`, `trained -> skills -> wage`, `trained -> interviews -> wage`, and
# `trained -> skills -> interviews -> wage`.
#
# Naming one mediator, `mediators=["interviews"]`, asks what happens when the *interviews* take the
# value of the other world, by whichever way they got it. A mediator that is not named responds to
# the direct change of the treatment.

# %%
by_interviews = pc.nie(training_programme, "trained", "wage", mediators=["interviews"], **options)
print(f"through interviews, however they came: {by_interviews.value:.2f}")

# %% tags=["remove-cell"]
# interviews move by 2 + .5 * 1 = 2.5, worth 1 each without training
assert abs(by_interviews.value - 2.5) < 4 * by_interviews.se + 1e-6

# %% [markdown]
# A single way can be asked for by all its arrows. `trained -> interviews -> wage` leaves the skills
# alone:

# %%
way = [("trained", "interviews"), ("interviews", "wage")]
along = pc.path_effect(training_programme, "trained", "wage", edges=way, **options)
print(f"along {way}: {along.value:.2f}")

# %% tags=["remove-cell"]
assert abs(along.value - 2.0) < 4 * along.se + 1e-6

# %% [markdown]
# ## Can data answer it?
#
# Not always, even when nothing is hidden. `pc.identify` unnests the two worlds and says. If the
# mediators and the wage share no unseen cause, the natural effects are functions of what is
# observed. If they do, they are not:

# %%
arrows = [("t", "m"), ("t", "y"), ("m", "y")]
verdicts = []
for graph in (pc.CausalGraph(arrows), pc.CausalGraph(arrows, bidirected=[("m", "y")])):
    try:
        verdicts.append(str(pc.identify(graph, "P(y_{t=1, m_{t=0}})")))
    except pc.NotIdentified as error:
        verdicts.append(str(error).partition(".")[0])
print(*verdicts, sep="\n")

# %% tags=["remove-cell"]
assert verdicts[0].endswith("sum_m P(y | t=1, m) P(m | t=0)")
assert "not identified" in verdicts[1]

# %% [markdown]
# Randomizing the treatment does not help here: the unseen cause is between the mediator and the
# outcome, which nobody randomized. It is the assumption that most mediation studies don't mention.
#
# ## What to try
#
# **Exercise 1.** Compute the controlled direct effects with the mediators held at the values of an
# untrained and of a trained person. Which of the two equals the natural direct effect, and why?

# %% tags=["hide-cell"]
low, high = (
    pc.cde(
        training_programme, "trained", "wage", mediators={"interviews": m, "skills": s}, **options
    )
    for m, s in ((0.0, 0.0), (2.5, 1.0))
)
print(f"{low.value:.2f} with no interviews, {high.value:.2f} with 2.5")
assert abs(low.value - 1.0) < 1e-3
assert abs(high.value - 2.25) < 1e-3

# %% [markdown]
# **Exercise 2.** Write the natural indirect effect as a nested counterfactual yourself, with
# `pc.effect` and `pc.Y`, and check that it equals `pc.nie` (same seed).

# %% tags=["hide-cell"]
moved = {name: pc.Y(name, do={"trained": 1}) for name in ("skills", "interviews")}
expression = pc.Y("wage", do={"trained": 0, **moved}) - pc.Y("wage", do={"trained": 0})
own = pc.effect(training_programme, expression, **options)
print(own)
assert abs(own.value - indirect.value) < 1e-4

# %% [markdown]
# **Exercise 3.** Take the interaction out of the program. Now `direct + indirect` is the total. Is
# that a reason to leave interactions out of a model?

# %% tags=["hide-cell"]


@pc.scm
def additive():
    trained = pyro.sample("trained", dist.Bernoulli(0.5))
    skills = pyro.sample("skills", dist.Normal(1.0 * trained, 1.0))
    interviews = pyro.sample("interviews", dist.Normal(2.0 * trained + 0.5 * skills, 1.0))
    pyro.sample("wage", dist.Normal(20 + trained + 2 * skills + interviews, 1.0))


parts = [ask(additive, "trained", "wage", **options).value for ask in (pc.ate, pc.nde, pc.nie)]
print([round(part, 2) for part in parts])
assert abs(parts[0] - parts[1] - parts[2]) < 1e-3
# No: a model that cannot have an interaction answers as if there were none, whatever the data say.

# %% [markdown]
# ## Sources
#
# J. Pearl, *Direct and indirect effects*, UAI 2001. T. VanderWeele, *Explanation in Causal
# Inference* (2015).
