"""Writes inception.json: images, and what each block of pytorch-fid's network makes of them with weights by a formula.

    pip install --no-deps pytorch-fid==0.3.0 torchvision==0.15.1        # beside NumPy, Pillow, and SciPy for fid.py
    python inception.py

Of torchvision the Python code alone is used, so it need not be the one that belongs to the PyTorch that is there.
"""

import base64
import json
import os
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore", message="Failed to load image Python extension")

from pytorch_fid import inception  # noqa: E402


def numbers(tensor, n):
    """Numbers in [0, 1) for the values of a tensor, which the test computes as well: 24 bits of a hash of their place."""
    x = np.arange(n, dtype=np.uint64) + np.uint64(tensor << 32)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    x ^= x >> np.uint64(31)
    return ((x >> np.uint64(40)).astype("f8") / 2**24).astype("f4")


def network():
    """Returns the network of the file for FID, with weights by the formula."""
    kept = []
    load = torch.nn.Module.load_state_dict
    inception.load_state_dict_from_url = lambda *a, **k: None
    torch.nn.Module.load_state_dict = lambda self, state, *a, **k: kept.append(self)
    try:
        inception.fid_inception_v3()
    finally:
        torch.nn.Module.load_state_dict = load
    net = kept[0].eval()
    state = net.state_dict()
    for i, name in enumerate(sorted(k for k in state if not k.endswith("num_batches_tracked"))):
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
        t.copy_(v)
    return net


def features(net):
    """Returns pytorch-fid's own module around a network."""
    inception.fid_inception_v3 = lambda: net
    return inception.InceptionV3([0, 1, 2, 3]).eval()


# The places whose outputs are kept: two poolings and all blocks.
PLACES = ["pool1", "pool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
          "Mixed_7a", "Mixed_7b", "Mixed_7c"]
MOST = 2048  # values that are kept of an output: each step-th of (n, h, w, c)


def text(t):
    """An output as text, its every step-th value."""
    if t.dim() == 4:
        t = t.permute(0, 2, 3, 1)
    step = (t.numel() + MOST - 1) // MOST | 1
    x = t.contiguous().flatten()[::step].numpy().astype("<f4")
    return {"shape": list(t.shape), "step": step, "values": base64.b64encode(x.tobytes()).decode()}


def case(net, wrapped, images, places):
    seen = {}
    hooks = [getattr(net, name).register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o.clone()))
             for name in PLACES if name.startswith("Mixed")]
    wrapped.resize_input = images.shape[1] == images.shape[2] == 40
    x = torch.from_numpy(images.astype("f4") / 255).permute(0, 3, 1, 2)
    with torch.no_grad():
        outputs = wrapped(x)
        pooled = outputs[3][:, :, 0, 0]
        seen.update(pool1=outputs[0], pool2=outputs[1], features=pooled, logits=net.fc(pooled))
    for h in hooks:
        h.remove()
    for name in places:
        print(name, tuple(seen[name].shape), float(seen[name].abs().max()), float((seen[name] > 0).float().mean()))
    n, h, w, c = images.shape
    return {"n": n, "h": h, "w": w, "c": c, "resized": wrapped.resize_input, "images": base64.b64encode(images.tobytes()).decode(),
            "blocks": {name: text(seen[name]) for name in places}}


def smooth(rng, n, h, w, roughness=3):
    """Images of a few waves a channel, of any contrast."""
    y, x = np.mgrid[:h, :w] / max(h, w)
    out = np.empty((n, h, w, 3), "u1")
    for i in range(n):
        image = np.zeros((h, w, 3))
        for _ in range(6):
            f = rng.normal(size=2) * roughness
            image += np.cos(2 * np.pi * (f[0] * x + f[1] * y)[..., None] + rng.uniform(0, 6.28, 3)) * rng.uniform(0, 1, 3)
        out[i] = np.clip(127.5 + image * rng.uniform(10, 90) + rng.normal(size=3) * 30, 0, 255)
    return out


def main():
    net = network()
    wrapped = features(net)
    rng = np.random.default_rng(11)
    last = ["Mixed_7a", "Mixed_7b", "Mixed_7c", "features", "logits"]
    cases = [
        case(net, wrapped, smooth(rng, 2, 75, 75), PLACES + ["features", "logits"]),
        case(net, wrapped, smooth(rng, 1, 139, 107), last),  # 3x2 pixels at the end, where mean and maximum differ
        case(net, wrapped, smooth(rng, 2, 40, 40), ["pool2", "features", "logits"]),  # brought to 299x299
    ]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inception.json")
    with open(path, "w") as f:
        json.dump(cases, f)
        f.write("\n")


if __name__ == "__main__":
    main()
