"""A network of sigmaz as a function of NumPy arrays.

    from sigmaz import Model
    model = Model("runs/glyphs-1")         # starts the program, which ends with this one
    s = model.score(x, 0.5)                # the score s(x, sigma), an estimate of grad log p_sigma(x)
    d = model.denoise(x, 0.5)              # x + sigma^2 s, the mean of the data given x
    y = model.sample(16, seed=1)           # samples

x is images (N, C, H, W) or vectors (N, D), or one of them without N, in the units that the network was trained in. The noise
is one sigma or one level of the ladder (0 is the largest sigma) for all rows, or an array with one for each row.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy as np


class Model:
    """The network of a run or an export. program is sigmaz: else $SIGMAZ, or the one on PATH or beside the interpreter.
    More flags go to `sigmaz score`, such as "-raw" or "-gpu"."""

    def __init__(self, run, *flags, program=None):
        program = (program or os.environ.get("SIGMAZ") or shutil.which("sigmaz")
                   or shutil.which("sigmaz", path=os.path.dirname(sys.executable)))
        if not program:
            raise FileNotFoundError("there is no program sigmaz: give program=PATH, set SIGMAZ, or put it on PATH")
        self._child = subprocess.Popen([program, "score", str(run), "-serve", "127.0.0.1:0", "-until-eof", *flags],
                                       text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = iter(self._child.stdout.readline, "")
        self.url = next((m[1] for line in lines if (m := re.match(r"(http://\S+/): ", line))), None)
        if self.url is None:
            raise RuntimeError(self._child.communicate()[1].strip() or "sigmaz ended before it served")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # never through a proxy
        self.info = json.loads(self._ask("model"))
        self.shape, self.sigmas = tuple(self.info["shape"]), np.array(self.info["sigmas"], np.float32)

    def score(self, x, sigma=None, level=None, label=None):
        return self._apply("score", x, sigma, level, label)

    def denoise(self, x, sigma=None, level=None, label=None):
        return self._apply("denoise", x, sigma, level, label)

    def sample(self, n, seed=1, label=None):
        return np.load(io.BytesIO(self._ask("sample", b"", {"n": n, "seed": seed, "class": label})))

    def close(self):
        """Ends the program. It ends with Python, too, however that ends."""
        self._child.terminate()
        self._child.communicate()

    def _apply(self, route, x, sigma, level, label):
        x = np.asarray(x, np.float32)
        body, query = io.BytesIO(), {"class": label}
        np.save(body, x[None] if x.shape == self.shape else x)
        if sigma is not None and level is not None:
            raise ValueError("sigma and level are both given")
        for name, value, kind in (("sigma", sigma, np.float64), ("level", level, np.int64)):
            if np.ndim(value) == 0:
                query[name] = value
            else:  # each row has its own: a second array; a level of 1.5 is an error
                np.save(body, np.asarray(value).astype(kind, casting="same_kind"))
        return np.load(io.BytesIO(self._ask(route, body.getvalue(), query))).reshape(x.shape)

    def _ask(self, route, body=None, query={}):
        query = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None})
        try:
            with self._open(urllib.request.Request(self.url + route + "?" + query, data=body)) as answer:
                return answer.read()
        except urllib.error.HTTPError as e:
            raise ValueError(e.read().decode().strip()) from None
