"""Writes digits.json: images, and the features, the logits and the gradients of the loss that PyTorch computes with
../weights.f16.

    python digits.py
"""

import base64
import json
import os

import numpy as np
import torch
from torch import nn

here = os.path.dirname(os.path.abspath(__file__))
w = torch.from_numpy(np.fromfile(os.path.join(here, "..", "weights.f16"), "<f2").astype("f4"))
features = nn.Sequential(
    nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(48, 64, 3, padding=1), nn.ReLU())
linear1, linear2 = nn.Linear(7 * 7 * 64, 128), nn.Linear(128, 10)
at = 0
for m in [*features, linear1, linear2]:
    if not hasattr(m, "weight"):
        continue
    shape = list(m.weight.shape)
    stored = [shape[0], *shape[2:], shape[1]]  # output, height, width, input
    n = m.weight.numel()
    part = w[at:at + n].reshape(stored)
    m.weight.data = part.permute(0, 3, 1, 2).contiguous() if len(shape) == 4 else part.reshape(shape)
    at += n
    m.bias.data = w[at:at + len(m.bias)].clone()
    at += len(m.bias)
assert at == len(w)

# A digit is a few strokes; these are random ones, and an image that is all noise.
rng = np.random.default_rng(3)
images = np.zeros((6, 28, 28), "u1")
for m in images[:5]:
    p, step = rng.uniform(8, 20, 2), rng.normal(size=2)
    for _ in range(60):
        step = 0.8 * step + rng.normal(size=2) * 0.5
        p = np.clip(p + step * 0.6, 2, 25)
        i, j = p.astype(int)
        m[i:i + 2, j:j + 2] = np.maximum(m[i:i + 2, j:j + 2], rng.integers(120, 256, (2, 2)))
images[5] = rng.integers(0, 256, (28, 28))

x = torch.from_numpy(images.astype("f4") / 255)[:, None]
h = torch.relu(linear1(features(x).permute(0, 2, 3, 1).reshape(len(x), -1)))
z = linear2(h)
labels = [3, 1, 4, 1, 5, 9]
loss = nn.functional.cross_entropy(z, torch.tensor(labels))
loss.backward()
gradients = []  # of each weight and bias in the order of the file: the norm, and every 97th value of the first 1,000
for m in [*features, linear1, linear2]:
    if hasattr(m, "weight"):
        g = m.weight.grad
        for part in (g.permute(0, 2, 3, 1) if g.dim() == 4 else g), m.bias.grad:
            part = part.flatten()
            gradients.append([part.norm().item(), *part[:1000:97].tolist()])
with open(os.path.join(here, "digits.json"), "w") as f:
    json.dump({"images": base64.b64encode(images.tobytes()).decode(), "features": h.flatten().tolist(),
               "logits": z.flatten().tolist(), "labels": labels, "loss": loss.item(), "gradients": gradients}, f)
    f.write("\n")
