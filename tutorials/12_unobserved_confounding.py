# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # What if something was not measured?
#
# A town offers a walking course. Who took it walks far more than who did not. Does the course do that?
# Health and age are in the table and can be adjusted for. But there is *drive*: who is full of it takes
# the course, and would walk anyway. Nobody measured drive.
#
# A common cause that was not measured is an **unobserved confounder**. With one, data give no single
# answer, and there are three honest things to do: find something that helps (an *instrument*), say
# *how strong* the confounder must be to matter (sensitivity analysis), or give a *range*. This page
# does all three, with a model called VLUCI and with the classical formulas.
#
# ## The graph

# %%
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from lesson import PALETTE, size
from matplotlib import pyplot

import pyrocausal as pc
from pyrocausal.models import VLUCI


@pc.scm(latent=["drive"])
def town():
    drive = pyro.sample("drive", dist.Normal(0.0, 1.0))
    health = pyro.sample("health", dist.Normal(0.0, 1.0))
    age = pyro.sample("age", dist.Normal(0.0, 1.0))
    letter = pyro.sample("letter", dist.Bernoulli(0.5))
    logit = 0.5 * health - 0.5 * age + 2.0 * letter - 1.0 + drive
    course = pyro.sample("course", dist.Bernoulli(logits=logit))
    pyro.sample("steps", dist.Normal(2.0 * course + health - 0.5 * age + 1.5 * drive, 1.0))


_ = pc.plot.graph(town)

# %% [markdown]
# `latent` says that drive is never seen. The town sent a *letter* with an invitation to half of the
# people, drawn by lot. Steps are in thousands a day. The truth is in the program, 2.0, and we shall
# pretend not to know it.

# %%
people = town.sample(size(2000, 600), seed=0).to_frame()
truth = pc.ate(town, "course", "steps", num_samples=1000, seed=0)
naive = people.groupby("course").steps.mean().diff().iloc[-1]
print(
    f"with the course {naive:.2f} thousand steps more than without; the truth is {truth.value:.2f}"
)
try:
    pc.identify(town.graph, "steps", do="course")
except pc.NotIdentified as error:
    print("\nidentify:", str(error).partition(".")[0])

# %% tags=["remove-cell"]
assert abs(float(truth.value) - 2.0) < 1e-4
assert naive > 3.0

# %% [markdown]
# `identify` is about the graph alone: no amount of data and no method turns what is seen into the
# effect. Whoever gets a number has put something in.
#
# ## VLUCI without help
#
# VLUCI adds the hidden variable to the model, calls it U, and infers it:
#
# $$\text{logit}\,P(t{=}1) = a(x) + \gamma u, \qquad y = b(x) + \tau t + g u + \text{noise}.$$
#
# $\gamma$ is what U does to the treatment and $g$ what it does to the outcome. (The method is from a
# paper whose equations this library had not at hand: it was rebuilt from the abstract, and says so.)
# Does that solve it? Let us leave the letter away and see.

# %%
measured = people[["health", "age"]]
blind = VLUCI().fit(measured, people.course, people.steps, seed=0)
answer = blind.ate()
print(answer)

# %% tags=["remove-cell"]
assert answer.point is None
assert answer.kind == "identified set"
assert any("no instrument" in text for text in answer.warnings)
assert answer.bounds.lower < float(blind.twin.ate().value) < answer.bounds.upper

# %% [markdown]
# *No point.* The model could produce one, its likelihood has a maximum somewhere, but the card's
# warnings say what that would be worth: the data do not ask for a U. What is printed instead is a
# **set**: all effects that are possible if U is no stronger than a stated bound. The bound is a
# convention: three times as strong as the strongest covariate that was measured. Nothing in the data
# can choose it. So look at how the set grows:

# %%
twin = blind.twin.ate()
bounds = {
    "as strong as health": 1.0,
    "three times": 3.0,
    "R² 0.25 and 0.7": (0.25, 0.7),
}
sets = {name: blind.identified_set(bound) for name, bound in bounds.items()}
fig, ax = pyplot.subplots(figsize=(7, 2.8))
for row, (name, found) in enumerate(sets.items()):
    print(f"{name}: {found}")
    ax.plot(found.interval(0.95), [row, row], color=PALETTE[0], linewidth=1)
    ax.plot([found.low, found.high], [row, row], color=PALETTE[0], linewidth=5, alpha=0.6)
ax.axvline(2.0, color="black", linewidth=0.8, label="truth")
ax.axvline(twin.value, color=PALETTE[1], linestyle=":", label="adjusted, without U")
ax.set(yticks=range(len(sets)), yticklabels=list(sets), ylim=(-0.6, 3.4))
ax.set(xlabel="effect of the course (thousand steps)", title="What a bound on U leaves open")
_ = ax.legend(loc="upper right", ncols=2, fontsize="small")

# %% tags=["remove-cell"]
assert 2.5 < float(twin.value) < 3.5
assert not sets["as strong as health"].low < 2.0 < sets["as strong as health"].high
assert sets["R² 0.25 and 0.7"].low < 2.0 < sets["R² 0.25 and 0.7"].high
widths = [found.high - found.low for found in sets.values()]
assert widths == sorted(widths)

# %% [markdown]
# Adjusted for health and age alone, the effect seems to be well above 2: too much, since drive is
# still in it. A set "as strong as health" does not hold the truth, since our U *is* stronger than
# that: in the last row it may explain a quarter of what is left of the treatment and 70 % of the
# outcome. Whoever reads such a set has to argue for the bound, from knowledge of the matter.
#
# The **loading curve** shows the same without a bound: for each strength of U, what would the effect
# be?

# %%
curve = blind.sensitivity("loading", shares=(0.05, 0.2), points=size(9, 5))
fig, ax = pyplot.subplots(figsize=(6.5, 3.6))
_ = curve.plot(ax)

# %% tags=["remove-cell"]
assert abs(curve.naive - float(twin.value)) < 1e-6
assert float(curve.ate[:, -1].max()) < curve.naive < float(curve.ate[:, 0].min())

# %% [markdown]
# To the right U raises both course and steps, as drive does, and the effect must be less than it
# seems. To the left it would raise one and lower the other. All points of these curves fit the data
# equally well, or nearly so.
#
# ## VLUCI with an instrument
#
# The letter was sent by lot, so drive has no part in it. It makes people take the course, and a letter
# does not make anyone walk. Such a variable is an **instrument**: it moves the treatment and reaches
# the outcome through it alone. The first can be seen in data. The second cannot, it is declared.

# %%
with_letter = people[["health", "age", "letter"]]
fit = VLUCI().fit(with_letter, people.course, people.steps, instruments=["letter"], seed=0)
informed = fit.ate()
print(fit.summary())

# %% tags=["remove-cell"]
assert informed.point is not None
assert informed.kind == "profile"
assert informed.low < 2.0 < informed.high
assert fit.diagnosis.f > 10
assert fit.profile.ratio > 8
assert not fit.warnings

# %% [markdown]
# Now there is a point, with an interval that holds the truth. Read the rest of the summary too.
# *Without U* is what adjusting gives. Both starts, with U pushing up and with U pushing down, end in
# one place. The log likelihood rises by far more than 2 over the model without U: now the data ask
# for it. The first-stage F says that the letter moves the course (below 10 it would be a *weak*
# instrument, and there would be no point). And the line *identification* names the price: not even
# an instrument gives the average effect, unless U leaves the effect alone (the course does as much
# for the driven as for the others) or the form of the equations is right.
#
# ## One person
#
# A fitted VLUCI is an SCM like any other, `fit.scm`, with `u` latent. Paul is of average health and
# age, had a letter, did not take the course, and walks 2000 steps more than such people do on average.
# What is his drive? And had he taken the course?

# %%
paul = {
    "x": torch.tensor([0.0, 0.0, 1.0]),
    "t": 0.0,
    "y": 2.0,
}
his = fit.scm.counterfactual(paul, do={"t": 1.0}, num_draws=size(2000, 500), seed=0)
print(his)
done = float(fit.scm.do(t=1.0).sample(size(20_000, 5000), seed=0)["y"].mean())
print(f"\nPaul with the course {his['y'].mean():.2f}; anybody with the course (do) {done:.2f}")

# %% tags=["remove-cell"]
assert his.rung == 3
assert abs(float(his["y"].mean()) - 2.0 - informed.value) < 0.05
assert abs(done - informed.value) < 0.3
assert 0.3 < float(his["u"].mean()) < 1.6
assert 0.2 < float(his["u"].std()) < 1.0

# %% [markdown]
# That he walks so much suggests drive; that he stayed away in spite of a letter speaks a little
# against. So U is inferred to be above average. His answer is higher than that of `do` by about what
# he walked more. The card names what this rests on: that U is distributed, and does, what the model
# says.
#
# ## Real data, classical yardsticks
#
# 1566 smokers were weighed in 1971 and 1982; some quit (`qsmk`). Adjusted for six covariates,
# quitting costs some kilograms. How strong would something unmeasured have to be to explain that
# away? `pc.sensitivity.report` takes an answer and holds it against four yardsticks.

# %%
nhefs = pc.datasets.nhefs()
covariates = ["sex", "race", "age", "smokeintensity", "smokeyrs", "wt71"]
graph = pc.CausalGraph(
    [(z, v) for z in covariates for v in ("qsmk", "wt82_71")] + [("qsmk", "wt82_71")]
)
effect = pc.identify(graph, "wt82_71", do="qsmk").estimate(nhefs, method="regression", seed=0)
report = pc.sensitivity.report(
    effect, nhefs, treatment="qsmk", outcome="wt82_71", covariates=covariates
)
print(report)

# %% tags=["remove-cell"]
assert len(nhefs) == 1566
assert abs(effect.value - 3.45) < 0.005
assert abs(report.robustness.point - 0.175) < 0.0005
assert abs(report.robustness.limit - 0.133) < 0.0005
assert abs(report.evalue.point - 2.34) < 0.005
assert abs(report.tipping - 1.78) < 0.005

# %% [markdown]
# - The **robustness value**, 17.5 %: a confounder that explains 17.5 % of what the covariates leave of
#   quitting, and as much of what is left of the weight, would bring the effect to zero. At 13.3 % the
#   interval would reach zero.
# - **Benchmarks** make such a number human. A confounder *three times as strong as age*, the
#   strongest covariate, would leave 2.2 of 3.3 kg.
# - The **E-value**, 2.34, is the same idea with risk ratios: what goes with quitting by a factor of
#   2.34 and with gaining weight by 2.34 could explain all of it.
# - **Odds of treatment**: from a factor of 1.78 on the odds of quitting, zero is possible.
#
# The first two fit in one picture: a confounder is a point, how much of the treatment it explains and
# how much of the outcome. The lines say what would be left of the effect, the thick one is zero.

# %%
_ = report.plot()

# %% tags=["remove-cell"]
age = report.to_frame().loc[("age", 3.0)]
assert abs(age["estimate"] - 2.23) < 0.005
assert age["lower"] > 0
assert abs(report.regression.estimate - 3.34) < 0.005
r2 = report.robustness.point
regression = report.regression
bias = regression.se * np.sqrt(regression.df * r2 * r2 / (1 - r2))
assert abs(regression.estimate - bias) < 1e-6

# %% [markdown]
# The points are age and the two next strongest, once, twice and three times. All lie far below the
# thick line. That is no proof: nobody knows that what was not measured is not stronger. It is a
# statement that can be *argued* about: name a confounder, and say how strong it is.
#
# ## What to try
#
# **Exercise 1.** The E-value by hand. Mothers who do not breastfeed lose children to infections 3.9
# times as often, 95 % interval 1.8 to 8.7. Compute $RR + \sqrt{RR(RR-1)}$ for the estimate and for the
# limit nearer to 1.

# %% tags=["hide-cell"]
found = pc.sensitivity.evalue(3.9, 1.8, 8.7)
by_hand = [ratio + np.sqrt(ratio * (ratio - 1)) for ratio in (3.9, 1.8)]
print(found)
assert abs(found.point - by_hand[0]) < 1e-9
assert abs(found.limit - by_hand[1]) < 1e-9
assert round(by_hand[0], 1) == 7.3
assert round(by_hand[1], 1) == 3.0

# %% [markdown]
# **Exercise 2.** The oldest instrument estimate is a ratio: what the letter does to the steps, over
# what it does to the course (covariances will do). Compute it. Then lie: use `health` in the place of
# the letter, though health makes people walk. Do the data protest?

# %% tags=["hide-cell"]
table = people.cov()
wald = table.loc["letter", "steps"] / table.loc["letter", "course"]
lied = table.loc["health", "steps"] / table.loc["health", "course"]
print(f"letter {wald:.2f} (VLUCI {informed.point:.2f}), health {lied:.2f}")
assert abs(wald - informed.point) < 2 * informed.se
# Far from 2, and nothing in the data says so: no data can tell an instrument from a confounder.
assert lied > 5

# %% [markdown]
# **Exercise 3.** Suppose the outcome were yes or no, "walks more than 2000 steps above average". Then
# something can be said without any assumption (`pc.sensitivity.manski_bounds`). How wide is the range?
# Could it ever exclude zero?

# %% tags=["hide-cell"]
far = (people.steps > 2).to_numpy().astype(float)
free = pc.sensitivity.manski_bounds(far, people.course.to_numpy(), 0.0, 1.0)
print(free)
# E[Y1] is known for those who took the course, and may be 0 or 1 for the others; E[Y0] likewise.
p = people.course.mean()
first, second = far[people.course == 1].mean(), far[people.course == 0].mean()
assert abs(free.lower - (p * first - ((1 - p) * second + p))) < 1e-6
assert abs(free.upper - free.lower - 1.0) < 1e-6  # always 1 wide: it always holds zero
assert free.lower < 0 < free.upper

# %% [markdown]
# **Exercise 4.** Compute what the regression on NHEFS would say with a confounder that explains 5 % of
# what is left of quitting and 10 % of what is left of the weight:
# $|\text{bias}| = \text{se}\sqrt{\text{df}\; r_y\, r_t / (1 - r_t)}$. Find the point in the picture.

# %% tags=["hide-cell"]
away = regression.se * np.sqrt(regression.df * 0.10 * 0.05 / (1 - 0.05))
adjusted = pc.sensitivity.ovb_bounds(
    regression.estimate, regression.se, regression.df, r2_treatment=0.05, r2_outcome=0.10
)
print(f"{regression.estimate - away:.3f} by hand, {adjusted.estimate:.3f} by the library")
assert abs(adjusted.estimate - (regression.estimate - away)) < 1e-9
assert adjusted.estimate > 0

# %% [markdown]
# ## Sources
#
# Y. Zhao et al., *VLUCI: Variational learning of unobserved confounders for counterfactual inference*
# (2023). C. Cinelli and C. Hazlett, *Making sense of sensitivity: extending omitted variable bias*,
# JRSS B 82 (2020). T. VanderWeele and P. Ding, *Sensitivity analysis in observational research:
# introducing the E-value*, Annals of Internal Medicine 167 (2017; the example of exercise 1).
# C. Manski, *Nonparametric bounds on treatment effects*, AER 80 (1990). NHEFS as in M. Hernán and
# J. Robins, *Causal Inference: What If* (2020). The town is made up.
