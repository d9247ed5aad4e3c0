# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # A tour in ten minutes
#
# In the records of a clinic, patients who got the drug did *worse* than those who didn't. Should one
# stop giving it? Should Ann, who didn't get it, be glad? These are causal questions. This page asks
# them all, of one small program; the pages after it take their time.
#
# ## Say what causes what
#
# A *model* here is a Python function. Each `pyro.sample` draws one variable, from a distribution
# whose parameters may depend on the variables before it. That is: each variable is made by its
# causes, and by chance. (Pyro is a library for programs with random numbers; `dist` holds its
# distributions: `Normal(mean, standard deviation)`, and `Bernoulli` for what is 1 or 0. You need to
# know no more of it than you see here. Numbers come back as tensors, which behave as numpy's arrays
# do. `size(20_000, 10_000)` is 20 000; the second number is for quick runs.)

# %%
import pyro
import pyro.distributions as dist
from lesson import size

import pyrocausal as pc


@pc.scm
def clinic():
    severity = pyro.sample("severity", dist.Normal(0.0, 1.0))
    treated = pyro.sample("treated", dist.Bernoulli(logits=1.5 * severity))
    pyro.sample("recovery", dist.Normal(2.0 * treated - 3.0 * severity, 1.0))


_ = pc.plot.graph(clinic)

# %% [markdown]
# Some patients are more ill than others: `severity` is 0 for the average patient. The more ill
# someone is, the more likely the doctor gives the drug: `logits` is the logarithm of the odds. And
# `recovery` is how much better the patient feels after a week: the drug adds 2 points, each
# degree of severity takes 3 away. The line `@pc.scm` makes a *structural causal model* of the
# function, and the library found the arrows by looking at the program.
#
# ## Seeing: what do the records say?

# %%
records = clinic.sample(size(20_000, 10_000), seed=0).to_frame()
print(records.head(3).round(2))
by_drug = records.groupby("treated").recovery.mean()
print(f"with the drug {by_drug[1]:.1f}, without {by_drug[0]:.1f}")

# %% tags=["remove-cell"]
seen = by_drug[1] - by_drug[0]
assert -1.4 < seen < -1.0

# %% [markdown]
# Those with the drug recover by more than a point less. But look at who gets it: the severely ill.
# Severity is a *common cause* of drug and recovery, a **confounder**, and it makes the drug look bad.
#
# ## Doing: what if we gave it to everybody?
#
# `do` reaches into the program and sets a variable, whatever its causes say: the arrow from
# severity to the drug is cut. `pc.ate` compares two such worlds. (ATE is the *average treatment
# effect*.)

# %%
effect = pc.ate(clinic, "treated", "recovery", seed=0)
print(effect)

# %% tags=["remove-cell"]
assert abs(effect.value - 2) < 1e-5
assert effect.rung == 2

# %% [markdown]
# The drug *helps*, by 2 points. Every answer of the library is such a card: first the question in
# symbols and the number (`E` is for the mean), then how sure it is, and last what it *assumes*. Here
# that the program is true, which is much.
#
# ## Imagining: what about Ann?
#
# Ann was rather ill, got no drug, and lost 2 points. How would she have been *with* the drug? This is
# a question about a world that did not happen, a **counterfactual**.

# %%
ann = {"severity": 1.0, "treated": 0.0, "recovery": -2.0}
imagined = clinic.counterfactual(ann, do={"treated": 1.0}, seed=0)
print(imagined)

# %% tags=["remove-cell"]
assert abs(float(imagined["recovery"])) < 1e-5
assert imagined.rung == 3

# %% [markdown]
# 0 points. By hand: patients as ill as Ann who get no drug have -3 points on average. She has -2, so
# there is something in her, 1 point, that the program calls *noise*: sound sleep, maybe. It would
# have been there with the drug as well: `2 - 3 + 1 = 0`. Compare the average over all patients:

# %%
everybody = clinic.do(treated=1.0).sample(size(20_000, 10_000), seed=0)
print(f"everybody, given the drug: {everybody['recovery'].mean():.1f}")
some = clinic.sample(size(20_000, 10_000), seed=0)
untreated = {name: column[some["treated"] == 0][:2000] for name, column in some.items()}
twins = clinic.counterfactual(untreated, do={"treated": 1.0}, seed=0)
_ = pc.plot.ladder([some, everybody, twins], "recovery")

# %% tags=["remove-cell"]
n = len(everybody["recovery"])
assert abs(float(everybody["recovery"].mean()) - 2) < 4 * 10**0.5 / n**0.5
gains = twins["recovery"] - untreated["recovery"]
assert float((gains - 2).abs().max()) < 1e-5

# %% [markdown]
# The average over all is 2, but Ann is not the average. In the picture: what is seen of everybody,
# what would be seen if everybody got the drug, and 2000 patients who didn't get it, each as they were
# (dark) and as *they* would have been. Seeing, doing and imagining are three different questions. They
# are called the three **rungs** of a ladder, since each needs more than the one below.
#
# ## With your own table
#
# You will not know the numbers 2 and -3. You have a table, and you know (or suppose) which arrows there
# are. Then the library can learn how each variable depends on its causes:

# %%
arrows = [("severity", "treated"), ("severity", "recovery"), ("treated", "recovery")]
table = records.iloc[:2000]
model = pc.SCM.from_graph(arrows, data=table, steps=150, lr=0.05, progress=False, seed=0)
learned = pc.ate(model, "treated", "recovery", seed=0)
again = model.counterfactual(ann, do={"treated": 1.0}, seed=0)
print(f"effect {learned.value:.1f}; Ann, with the drug {float(again['recovery']):.1f}")

# %% tags=["remove-cell"]
assert abs(learned.value - 2) < 0.25  # 4 standard errors of the effect in 2000 rows
assert abs(float(again["recovery"])) < 0.3

# %% [markdown]
# Nearly the same answers, from 2000 rows and three arrows.
#
# ## Can my data answer it?
#
# For the average effect one needn't model everything. `pc.identify` looks at the arrows alone and
# writes down a formula in what can be *seen* that equals the effect of *doing*; `estimate` computes
# it from the table, with an interval.

# %%
formula = pc.identify(pc.CausalGraph(arrows), "recovery", do="treated")
print(formula)
estimate = formula.estimate(table, method="regression")
print(f"{estimate.value:.2f} points, 95 % interval {estimate.interval}")

# %% tags=["remove-cell"]
assert abs(estimate.value - 2) < 4 * estimate.se
assert 2.0 in estimate.interval

# %% [markdown]
# In words: compare patients who are *equally ill*, then average over how ill patients are. And if
# nobody had written down how ill they were? Then there is no such formula, and the library says
# so rather than guess:

# %%
try:
    pc.identify(pc.CausalGraph(arrows, latent=["severity"]), "recovery", do="treated")
except pc.NotIdentified as error:
    print(error)

# %% tags=["remove-cell"]
refused = False
try:
    pc.identify(pc.CausalGraph(arrows, latent=["severity"]), "recovery", do="treated")
except pc.NotIdentified as error:
    refused = "not identified from observation" in str(error)
assert refused

# %% [markdown]
# The first sentence is the verdict. The middle is the proof (you may skip it: two programs with
# these arrows can agree in all that is seen and differ in what the drug does). The last sentence is
# advice: limits for the effect, an experiment, or to measure severity after all.
#
# ## Is the model right?
#
# No table can prove a model right, but it can prove one wrong. `pc.check` makes a list of what the
# model claims and holds it against the data:

# %%
report = pc.check(clinic, table, treatment="treated", units=200, seed=0)
print(report)

# %% tags=["remove-cell"]
assert not report.failures

# %% [markdown]
# Each line is one claim with its verdict; `p` is how often a right model looks as odd as this. For
# instance, *noise given causes* asks whether what the model leaves to chance looks like chance, and
# *overlap* whether patients of every severity are seen with and without the drug. Nothing is wrong
# here, and no wonder, since the program made the table.
#
# ## What to try
#
# **Exercise 1.** Bob was as ill as Ann, *got* the drug, and feels the same as before (0 points). Would
# he have been worse without?

# %% tags=["hide-cell"]
bob = {"severity": 1.0, "treated": 1.0, "recovery": 0.0}
without = clinic.counterfactual(bob, do={"treated": 0.0}, seed=0)
print(without["recovery"])
assert abs(float(without["recovery"]) + 2) < 1e-5

# %% [markdown]
# **Exercise 2.** Run a trial: let a coin decide who gets the drug. (An action may be a distribution:
# `clinic.do(treated=dist.Bernoulli(0.5))`.) Compare the two groups of the trial, by seeing alone.

# %% tags=["hide-cell"]
trial = clinic.do(treated=dist.Bernoulli(0.5)).sample(size(20_000, 10_000), seed=1).to_frame()
arms = trial.groupby("treated").recovery.mean()
print(f"difference in the trial: {arms[1] - arms[0]:.2f}")
# Each arm has the standard deviation sqrt(9 + 1).
assert abs(arms[1] - arms[0] - 2) < 4 * (4 * 10 / len(trial)) ** 0.5

# %% [markdown]
# **Exercise 3.** The drug is short: only patients with severity above 1 are to get it. An action may
# be a rule, `pc.policy(lambda v: (v["severity"] > 1.0).float())`. How do patients fare on average, and
# does it matter *who* gets it in this clinic?

# %% tags=["hide-cell"]
rule = pc.policy(lambda v: (v["severity"] > 1.0).float())
ruled = clinic.do(treated=rule).sample(size(20_000, 10_000), seed=0)
got = float(ruled["treated"].mean())
print(f"{100 * got:.0f} % get it, average recovery {ruled['recovery'].mean():.2f}")
# The drug adds 2 to each, whoever gets it: 2 * P(severity > 1) = .32, the same as for a lottery.
assert abs(got - 0.159) < 4 * (0.159 * 0.841 / n) ** 0.5
assert abs(float(ruled["recovery"].mean()) - 0.317) < 4 * (10 / n) ** 0.5

# %% [markdown]
# ## Where to go from here
#
# | page | question |
# | --- | --- |
# | 01 | what are seeing, doing and imagining, and how do they differ? |
# | 02 | how can a treatment help every kind of patient and look harmful in the whole? |
# | 03 | what must be adjusted for, and what must not? |
# | 04 | how is it done on real people, and how sure can one be? |
# | 05 | what if the confounder was never measured? |
# | 06 | how is a counterfactual computed, step by step? |
#
# ## Sources
#
# The ladder is from J. Pearl and D. Mackenzie, *The Book of Why* (2018), chapter 1; structural causal
# models are from J. Pearl, *Causality* (2009), chapters 1 and 7. The clinic is invented.
