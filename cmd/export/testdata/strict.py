"""Shows in PyTorch that an exported file is a state_dict of the original class, and that both programs compute the same with it.

    python3 strict.py NET FILE.safetensors [x.npy levels.npy s.npy]

NET is ncsn, ncsnv2, ncsnv2deeper or ncsnv2deepest. The class is the twin of model/testdata/golden/golden.py, written from the
papers, with the names, shapes and order of the original and its buffer sigmas. x, levels and s are what score read and wrote:

    sigmaz score FILE.safetensors -input x.npy -level-file levels.npy -o s.npy

Fails where the state_dict does not fit, or the scores differ by 1e-5 of the largest or more. Needs numpy, PyTorch and
safetensors.
"""

import os
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "model", "testdata", "golden"))
import golden  # noqa: E402

name, path, *arrays = sys.argv[1:]
state = load_file(path)
module = all(k.startswith("module.") for k in state)
plain = {k[len("module."):] if module else k: v for k, v in state.items()}
ngf, channels = plain["begin_conv.weight"].shape[:2]
levels = len(plain["sigmas"]) if "sigmas" in plain else len(plain["normalizer.embed.weight"])
net = golden.build({"net": name, "ngf": ngf, "channels": channels, "levels": levels, "normalization": "InstanceNorm++", "nonlinearity": "elu"})
if name != "ncsn":
    net.register_buffer("sigmas", torch.zeros(levels))
print(f"{path}: {len(state)} tensors, {sum(v.numel() for v in state.values())} values, first of the class {list(net.state_dict())[0]}")
print("load_state_dict, strict:", (torch.nn.DataParallel(net) if module else net).load_state_dict(state, strict=True))
with safe_open(path, "pt") as f:
    print("metadata:", {k: v if len(v) < 40 else v[:37] + "..." for k, v in f.metadata().items()})
if arrays:
    x, y, s = (np.load(a) for a in arrays)
    y = torch.from_numpy(y)
    sigma = net.sigmas[y] if name != "ncsn" else torch.ones(len(x))  # ncsn does not divide by it
    with torch.no_grad():
        want = net(torch.from_numpy(x.astype(np.float32)), y, sigma).numpy()
    worst = np.abs(s - want).max() / np.abs(want).max()
    print("score of %s: %s, worst difference %.1e of the largest" % (arrays[0], s.shape, worst))
    if not worst < 1e-5:  # NaN is not
        raise SystemExit("the scores differ")
