"""prior.py CHECKPOINT X.npy S.npy VECTORS asks both networks through sigmaz.py; S is the score of X at level 1."""

import os
import signal
import sys

import numpy as np

from sigmaz import Model

model, x, want = Model(sys.argv[1]), np.load(sys.argv[2]), np.load(sys.argv[3])
sigma = float(model.sigmas[1])
assert model.shape == x.shape[1:] and model.info["net"] == "ncsnv2", model.info
same = lambda a, b: a.dtype == np.float32 and np.array_equal(a, b)
assert same(model.score(x, level=1), want)
assert same(model.score(x, sigma), want)
assert same(model.score(x.astype("f8"), np.full(len(x), sigma)), want)  # each row's own
assert same(model.score(x[2], level=1), want[2])  # one image
mixed = model.score(x, level=np.arange(len(x)) % 3)
assert same(mixed[1], want[1]) and not np.array_equal(mixed[0], want[0])
assert np.allclose(model.denoise(x, sigma), x + np.float32(sigma) ** 2 * want, rtol=1e-5, atol=1e-5)
for wrong in (lambda: model.score(x[:, :, 1:], sigma), lambda: model.score(x), lambda: model.score(x, level=99),
              lambda: model.score(x, sigma, label="3"), lambda: model.score(x[:, 0], sigma), lambda: model.score(x, sigma, 1),
              lambda: model.score(x, level=np.full(len(x), 1.5))):
    try:
        wrong()
    except (ValueError, TypeError) as e:
        print(e)
    else:
        raise AssertionError("no error")
child = model._child
model.close()
assert child.returncode == 0, child.returncode

vectors = Model(sys.argv[4])
y = vectors.sample(5, seed=3)
assert y.shape == (5, *vectors.shape) and np.isfinite(y).all() and same(y, vectors.sample(5, seed=3))
assert same(y[:2], vectors.sample(2, seed=3)) and not np.array_equal(y, vectors.sample(5, seed=4))
try:
    Model("nowhere")
except RuntimeError as e:
    print(e)
else:
    raise AssertionError("no error")
print("child", vectors._child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # the child must not outlive this program, however it ends
