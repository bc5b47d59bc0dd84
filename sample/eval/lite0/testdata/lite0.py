"""Writes lite0.json: images, and the features that PyTorch's EfficientNet-Lite0 makes of them with weights by a formula.

    pip install --no-deps efficientnet_lite_pytorch==0.1.0
    python lite0.py
"""

import base64
import json
import os

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet


def numbers(tensor, n):
    """Numbers in [0, 1) for the values of a tensor, which the test computes as well: 24 bits of a hash of their place."""
    x = np.arange(n, dtype=np.uint64) + np.uint64(tensor << 32)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    x ^= x >> np.uint64(31)
    return ((x >> np.uint64(40)).astype("f8") / 2**24).astype("f4")


model = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()
state = model.state_dict()
names = sorted(k for k in state if not k.startswith("_fc.") and not k.endswith("num_batches_tracked"))
for i, name in enumerate(names):
    t = state[name]
    u = torch.from_numpy(numbers(i + 1, t.numel())).reshape(t.shape)
    if name.endswith("running_var"):
        v = 0.5 + u
    elif name.endswith(("running_mean", ".bias")):
        v = u - 0.5
    elif t.dim() == 1:
        v = 0.75 + 0.5 * u
    else:
        v = (2 * u - 1) * float(np.float32((6 / t[0].numel()) ** 0.5))
    state[name].copy_(v)

rng = np.random.default_rng(11)
cases = []
with torch.no_grad():
    for n, h, w in ((3, 64, 64), (1, 37, 64), (1, 64, 51)):  # of sizes that are not scaled
        images = rng.integers(0, 256, (n, h, w, 3)).astype("u1")
        images[0] = np.linspace(0, 255, w)[None, :, None] * np.linspace(0.3, 1, h)[:, None, None] * [1, 0.8, 0.5]
        x = torch.from_numpy((images.astype("f4") - 127) / 128).permute(0, 3, 1, 2)
        f = model.extract_features(x).mean((2, 3))
        cases.append({"n": n, "h": h, "w": w, "images": base64.b64encode(images.tobytes()).decode(),
                      "features": [float("%.7g" % v) for v in f.flatten()]})
        print(f.shape, float(f.std()), float((f > 0).float().mean()))
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lite0.json")
with open(path, "w") as f:
    json.dump(cases, f)
    f.write("\n")
