"""Tasks as a user of PyMC writes them; `run.py` runs the cells and stores what they print."""

# %% model
import numpy as np
import pymc as pm
from rows import pupils

seen = pupils()
quiet = {"progressbar": False, "random_seed": 0}
with pm.Model() as pupil:
    a, b, c = (pm.Normal(name, 0.0, 2.0) for name in "abc")
    sd = pm.HalfNormal("sd", 1.0, shape=2)
    encouraged = pm.Normal("encouraged", 0.0, 1.0, shape=len(seen))
    homework = pm.Normal("homework", a * encouraged, sd[0])
    pm.Normal("score", b * encouraged + c * homework, sd[1])

# %% posterior
with pm.observe(pupil, {name: seen[name].to_numpy() for name in seen}):
    fitted = pm.sample(1000, tune=1000, chains=2, cores=1, **quiet)
effect = fitted.posterior["c"]
print(f"effect mean = {float(effect.mean()):.4f}")
print(f"effect sd = {float(effect.std()):.4f}")

# %% do
means = []
for value in (0.0, 2.0):
    with pm.do(pupil, {"homework": np.full(len(seen), value)}):
        drawn = pm.sample_posterior_predictive(
            fitted, var_names=["encouraged", "score"], predictions=True, **quiet
        )
    means.append(drawn.predictions["score"].mean("score_dim_0"))
contrast = means[1] - means[0]
print(f"E[score | do(homework=2)] - E[score | do(homework=0)] = {float(contrast.mean()):.4f}")

# %% do for Joe
with pm.Model() as joe:  # the true coefficients, so that only the question is left
    encouraged = pm.Normal("encouraged", 0.0, 1.0)
    homework = pm.Normal("homework", 0.5 * encouraged, 0.866)
    pm.Normal("score", 0.7 * encouraged + 0.4 * homework, 0.557)
made = pm.do(joe, {"encouraged": 0.5, "homework": 2.0})
with made:
    draws = pm.sample_prior_predictive(20_000, var_names=["score"], random_seed=0)
print(f"do, then draw: mean = {float(draws.prior['score'].mean()):.3f}")
print(f"do, then draw: sd = {float(draws.prior['score'].std()):.3f}")

# %% counterfactual by hand
with pm.Model() as by_noise:  # the same model, with its noise as variables of their own
    encouraged = pm.Normal("encouraged", 0.0, 1.0)
    noise_h, noise_s = pm.Normal("noise_h", 0.0, 0.866), pm.Normal("noise_s", 0.0, 0.557)
    homework = pm.Deterministic("homework", 0.5 * encouraged + noise_h)
    pm.Deterministic("score", 0.7 * encouraged + 0.4 * homework + noise_s)
abducted = {"encouraged": 0.5, "noise_h": 1.0 - 0.25, "noise_s": 1.5 - 0.35 - 0.4}
twin = pm.do(by_noise, {**abducted, "homework": 2.0})
print(f"Joe's score = {float(twin['score'].eval()):.4f}")

# %% partial evidence
with pm.Model() as unknown_homework:
    homework = pm.Normal("homework", 0.25, 0.866)
    pm.Normal("score", 0.35 + 0.4 * homework, 0.557, observed=1.5)
    posterior = pm.sample(2000, tune=1000, chains=2, cores=1, **quiet).posterior["homework"]
imagined = 1.5 + 0.4 * (2.0 - posterior)
print(f"score mean = {float(imagined.mean()):.4f}")
print(f"score sd = {float(imagined.std()):.4f}")
