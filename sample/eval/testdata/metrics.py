"""Writes metrics.json: two pairs of sets of points, and what NumPy and the package prdc say about them.

    pip install --no-deps prdc==0.2
    python metrics.py
"""

import json
import os
import sys
import types

import numpy as np


def squared_distances(x, y):
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)


# prdc takes one function of scikit-learn. NumPy's serves as well, and spares the installation.
sklearn, metrics = types.ModuleType("sklearn"), types.ModuleType("sklearn.metrics")
metrics.pairwise_distances = lambda x, y, metric, n_jobs: np.sqrt(squared_distances(x, y))
sklearn.metrics = metrics
sys.modules["sklearn"], sys.modules["sklearn.metrics"] = sklearn, metrics

from prdc import compute_prdc  # noqa: E402


def unbiased(k, x, y):
    """MMD^2 without bias, with kernel k of two sets."""
    m, n = len(x), len(y)
    xx, yy = k(x, x), k(y, y)
    return ((xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1))
            - 2 * k(x, y).mean())


def jackknife(k, x, y):
    """The estimate, and its error from leaving out each point of either set."""
    variance = 0
    for mine, without in ((x, lambda i: (np.delete(x, i, 0), y)), (y, lambda i: (x, np.delete(y, i, 0)))):
        t = np.array([unbiased(k, *without(i)) for i in range(len(mine))])
        variance += (len(t) - 1) / len(t) * ((t - t.mean()) ** 2).sum()
    return [unbiased(k, x, y), np.sqrt(variance)]


def frechet(x, y):
    """With the root of the product of the covariances, whose trace is that of its eigenvalues' roots."""
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * roots


def case(rng, m, n, d):
    mix = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    x = rng.normal(size=(m, d)).astype("f4")
    y = (rng.normal(size=(n, d)) @ mix * 0.9 + 0.3).astype("f4")
    y[3], x[5] = y[2], y[7]  # a point twice, and one that is in both sets
    a, b = x.astype("f8"), y.astype("f8")
    widths = [0.7, 2.0, 5.0]
    nearest = np.argsort(squared_distances(a, b), axis=1, kind="stable")[:, :3]
    return {
        "d": d, "x": x.ravel().tolist(), "y": y.ravel().tolist(), "widths": widths,
        "kid": jackknife(lambda p, q: (p @ q.T / d + 1) ** 3, a, b),
        "mmd": [jackknife(lambda p, q: np.exp(-squared_distances(p, q) / (2 * w * w)), a, b) for w in widths],
        "energy": jackknife(lambda p, q: -np.sqrt(squared_distances(p, q)), a, b),
        "frechet": frechet(a, b),
        "prdc": {k: compute_prdc(b, a, k) for k in (1, 3, 5)},  # the data is y, the samples are x
        "nearest": nearest.ravel().tolist(),
        "mean": [a.mean(0).tolist(), b.mean(0).tolist()],
        "sd": [a.std(0, ddof=1).tolist(), b.std(0, ddof=1).tolist()],
        "correlations": (np.corrcoef(a, rowvar=False) - np.corrcoef(b, rowvar=False))[np.tril_indices(d, -1)].tolist(),
    }


rng = np.random.default_rng(7)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "metrics.json")
with open(path, "w") as f:
    json.dump([case(rng, 60, 70, 5), case(rng, 50, 41, 40)], f)
    f.write("\n")
print(path)
