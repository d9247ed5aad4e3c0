# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Seeing, doing, imagining
#
# Joe is a pupil. He was encouraged to study, he did some homework, and he sat an exam. Three
# questions can be asked about him, and they sound alike:
#
# - **Seeing.** What score do pupils have who *did* twice the homework?
# - **Doing.** What score would pupils have if we *made* them do twice the homework?
# - **Imagining.** What score would *Joe* have had, had he done twice the homework?
#
# They are different questions, with different answers. Data can answer the first. The second asks
# for an experiment, or for a model of what causes what. The third is about one pupil and a world
# that did not happen; no experiment can show it. Judea Pearl calls them the three rungs of a
# ladder. By the end of this page you will have climbed it with one short program.
#
# ## The program
#
# A *structural causal model* says how nature makes each variable from its causes and from
# something unexplained, its *exogenous noise*. Here everything is standardized: 0 is the average
# pupil, 1 is one standard deviation above. (`dist.Normal` takes the mean and the standard deviation;
# 0.866 and 0.557 are what is left to chance, so that every variable has standard deviation 1.)

# %%
import pyro
import pyro.distributions as dist
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc


@pc.scm
def pupil():
    encouraged = pyro.sample("encouraged", dist.Normal(0.0, 1.0))
    homework = pyro.sample("homework", dist.Normal(0.5 * encouraged, 0.866))
    mean = 0.7 * encouraged + 0.4 * homework
    pyro.sample("score", dist.Normal(mean, 0.557))


print(pupil.graph)

# %% [markdown]
# Each `pyro.sample` is one variable with its mechanism. The library found the arrows by looking at
# the program: encouragement raises the score in two ways, directly (motivation, say) and through
# homework.

# %%
_ = pc.plot.graph(pupil)

# %% [markdown]
# ## Rung 1: seeing
#
# `sample` draws pupils, here 200 000. (`size` takes the second number in quick runs.) Among those
# with homework near 2, what is the average score?

# %%
pupils = pupil.sample(size(200_000, 100_000), seed=1).to_frame()
seen = pupils[(pupils.homework - 2).abs() < 0.1]
print(f"{len(seen)} pupils with homework near 2, average score {seen.score.mean():.2f}")

# %% tags=["remove-cell"]
# E[score | homework = 2] = .7 * E[encouraged | homework = 2] + .4 * 2 = .7 * .5 * 2 + .8 = 1.5
error = seen.score.std() / len(seen) ** 0.5
assert abs(seen.score.mean() - 1.5) < 4 * error

# %% [markdown]
# About 1.5. But pupils who do a lot of homework were also encouraged more, and encouragement helps
# on its own. Some of the 1.5 is not the homework's doing.
#
# ## Rung 2: doing
#
# `do` removes the mechanism of homework and puts a value in its place. The arrow from
# encouragement to homework is cut: everybody does twice the homework, whatever they were told.

# %%
made = pupil.do(homework=2.0)
print(made.graph)
done = made.sample(size(200_000, 100_000), seed=1)
print(f"average score {done['score'].mean():.2f}")

# %% tags=["remove-cell"]
assert abs(float(done["score"].mean()) - 0.8) < 0.02  # 4 * sd .9 / sqrt(100,000) = .011

# %% [markdown]
# 0.8: what homework does, 0.4 for each unit, and no more. The gap between 1.5 and 0.8 is
# *confounding*. Here are the two distributions beside what was seen of everybody.

# %%
fig, ax = pyplot.subplots(figsize=(7, 3))
for scores, name, colour in (
    (pupils.score, "everybody", PALETTE[6]),
    (seen.score, "seen: homework near 2", PALETTE[0]),
    (done["score"].numpy(), "done: homework set to 2", PALETTE[1]),
):
    ax.hist(
        scores, bins=40, range=(-4, 4), density=True, histtype="step", color=colour, label=name
    )
ax.set(xlabel="score (standard deviations)", ylabel="density", title="Seeing is not doing")
_ = ax.legend()

# %% [markdown]
# ## Rung 3: imagining
#
# Now Joe himself: encouraged 0.5, homework 1, score 1.5. What if he had done twice the homework?
#
# The average of rung 2, 0.8, is an answer about an average pupil. Joe is not average: he scored 1.5,
# more than his encouragement and homework explain. Whatever made him good (a clear head, a good
# breakfast: his noise) would have been the same in the world where he does more homework. So:
#
# 1. **Abduction**: find Joe's noise from what was seen of him.
# 2. **Action**: set homework to 2.
# 3. **Prediction**: run the program again with his noise.

# %%
joe = {"encouraged": 0.5, "homework": 1.0, "score": 1.5}
imagined = pupil.counterfactual(joe, do={"homework": 2.0}, seed=0)
print(imagined)

# %% tags=["remove-cell"]
assert abs(float(imagined["score"]) - 1.90) < 1e-5
assert imagined.rung == 3

# %% [markdown]
# Joe would have scored 1.90. You can do it by hand: his noise was $1.5 - 0.7 \cdot 0.5 - 0.4
# \cdot 1 = 0.75$, and $0.7 \cdot 0.5 + 0.4 \cdot 2 + 0.75 = 1.90$.
#
# | question | answer | rung |
# | --- | --- | --- |
# | pupils seen with homework 2 | 1.5 | 1 |
# | pupils made to do homework 2 | 0.8 | 2 |
# | Joe, had he done homework 2 | 1.90 | 3 |
#
# Read the card that was printed once more. It names the question (`V` is for all variables), the rung,
# the *route* (how the noise of each variable was found: here exactly), and what the answer assumes:
# that the program is the true mechanism of every variable. No data can check that assumption for
# Joe. That is the price of the third rung, and every answer of this library states it.
#
# ## Two worlds at once
#
# Several actions are several worlds of the *same* pupils. Since each pupil keeps the noise, the
# difference between two worlds is each pupil's own effect, without the scatter between pupils. Below,
# a row is a world and a column is a pupil.

# %%
worlds = pupil.do([{"homework": 0.0}, {"homework": 2.0}]).sample(5, seed=3)
print(worlds["score"])
print("effect on each pupil:", worlds["score"][1] - worlds["score"][0])

# %% tags=["remove-cell"]
assert float((worlds["score"][1] - worlds["score"][0] - 0.8).abs().max()) < 1e-5

# %% [markdown]
# ## What to try
#
# **Exercise 1.** What would Joe have scored had he *not been encouraged* (`encouraged=0`)? Guess
# first: does his homework stay what it was? Then ask for `imagined["homework"]` too.

# %% tags=["hide-cell"]
# His homework falls as well, from 1 to .75, since encouragement causes it: a counterfactual
# carries through everything below the action. 1.5 - .7 * .5 - .4 * .25 = 1.05.
other = pupil.counterfactual(joe, do={"encouraged": 0.0})
print(other["homework"], other["score"])
assert abs(float(other["homework"]) - 0.75) < 1e-5
assert abs(float(other["score"]) - 1.05) < 1e-5

# %% [markdown]
# **Exercise 2.** And had he not been encouraged, but *still done* the homework he did? (Set both.)

# %% tags=["hide-cell"]
# Only the direct arrow is left: 1.5 - .7 * .5 = 1.15.
direct = pupil.counterfactual(joe, do={"encouraged": 0.0, "homework": 1.0})
print(direct["score"])
assert abs(float(direct["score"]) - 1.15) < 1e-5

# %% [markdown]
# **Exercise 3.** Suppose nobody wrote down how much homework Joe did: leave it out of the
# evidence. His score would then be known only up to what his homework might have been. Ask for
# 1000 draws (`num_draws=1000`) of his score had he done homework 2, and look at their spread.

# %% tags=["hide-cell"]
# His homework is inferred from his encouragement and his score. Before the score is known (the
# prior) it is normal with mean .25 and variance .75; the score adds (1.5 - .35 - .4 h) with
# variance .31, and the result (the posterior) is normal too.
# His noise is 1.15 - .4 h, and the answer .35 + .8 + 1.15 - .4 h.
draws = pupil.counterfactual(
    {"encouraged": 0.5, "score": 1.5}, do={"homework": 2.0}, num_draws=1000, seed=0
)["score"]
precision = 1 / 0.866**2 + 0.4**2 / 0.557**2
mean = (0.25 / 0.866**2 + 0.4 * 1.15 / 0.557**2) / precision
print(f"mean {draws.mean():.2f}, sd {draws.std():.2f}")
assert abs(float(draws.mean()) - (2.3 - 0.4 * mean)) < 4 * 0.4 / (1000 * precision) ** 0.5
assert abs(float(draws.std()) / (0.4 / precision**0.5) - 1) < 0.1

# %% [markdown]
# **Exercise 4.** Find two programs with the same distribution of what is seen whose answers on
# rung 2 differ. (Hint: reverse an arrow.)

# %% tags=["hide-cell"]


@pc.scm
def reversed_pupil():
    """The same joint law of encouragement and homework, with the arrow turned round."""
    homework = pyro.sample("homework", dist.Normal(0.0, 1.0))
    encouraged = pyro.sample("encouraged", dist.Normal(0.5 * homework, 0.866))
    pyro.sample("score", dist.Normal(0.7 * encouraged + 0.4 * homework, 0.557))


other_world = reversed_pupil.do(homework=2.0).sample(size(200_000, 100_000), seed=1)
print(f"average score {other_world['score'].mean():.2f}: now doing is seeing")
assert abs(float(other_world["score"].mean()) - 1.5) < 0.02

# %% [markdown]
# ## Where the numbers come from
#
# The example is from Pearl, Glymour and Jewell, *Causal Inference in Statistics: A Primer* (2016),
# section 4.2.3, where Joe's answer is 1.90.
