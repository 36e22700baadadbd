"""Libraries that take an Executor, or its `map`: scipy, emcee, nevergrad, adaptive."""

import numpy as np
import scipy.integrate
import scipy.optimize
from _cases import case, end, executor_type


def valley(x):
    return float(sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0))


def powers(x):
    return np.array([x, x**2])


def distances(x):
    return x - np.arange(len(x))


def log_probability(x):
    return float(-0.5 * np.sum(x**2))


def peak(x):
    return x + 0.01 / (0.01 + x**2)


def bowl(x):
    return float(np.sum((x - 0.5) ** 2))


def evolve(executor):
    bounds = [(0, 2)] * 2
    found = scipy.optimize.differential_evolution(
        valley, bounds, workers=executor.map, updating="deferred", maxiter=3, popsize=5, rng=1
    )
    alone = scipy.optimize.differential_evolution(valley, bounds, updating="deferred", maxiter=3, popsize=5, rng=1)
    return found.fun == alone.fun


def sample(executor):
    import emcee

    start = np.random.RandomState(0).rand(8, 2)
    sampler = emcee.EnsembleSampler(8, 2, log_probability, pool=executor)
    return sampler.run_mcmc(start, 3).coords.shape == (8, 2)


def learn(executor):
    import adaptive

    learner = adaptive.Learner1D(peak, bounds=(-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=20, executor=executor)
    return learner.npoints >= 20


def search(executor):
    import nevergrad

    optimizer = nevergrad.optimizers.RandomSearch(parametrization=2, budget=10, num_workers=2)
    return optimizer.minimize(bowl, executor=executor, batch_mode=False).value.shape == (2,)


CASES = {
    "differential_evolution": evolve,
    "brute": lambda ex: scipy.optimize.brute(valley, ((0, 2), (0, 2)), Ns=4, workers=ex.map, finish=None).shape == (2,),
    "quad_vec": lambda ex: bool(np.allclose(scipy.integrate.quad_vec(powers, 0, 1, workers=ex.map)[0], [1 / 2, 1 / 3])),
    "least_squares": lambda ex: bool(
        np.allclose(scipy.optimize.least_squares(distances, np.zeros(3), workers=ex.map).x, [0, 1, 2])
    ),
    "minimize": lambda ex: (
        scipy.optimize.minimize(valley, [0, 0], method="BFGS", options={"workers": ex.map, "maxiter": 3}).nit == 3
    ),
    "shgo": lambda ex: scipy.optimize.shgo(valley, [(0, 2)] * 2, n=10, workers=ex.map).fun < 1e-3,
    "emcee": sample,
    "adaptive": learn,
    "nevergrad": search,
}

if __name__ == "__main__":
    for name, act in CASES.items():
        with executor_type()(2) as executor:
            case(name, lambda act=act, executor=executor: act(executor), True)
    end()
