"""Writes checkpoints of PyTorch beside golden files, in the form of the original repositories: NAME.pth in the zip container,
NAME-legacy.pth in the stream that PyTorch before 1.6 wrote.

    python3 pth.py NAME ...        by default the two that are kept here

The list [model, Adam] for ncsn, [model, Adam, epoch, step, EMA] for the others, after the Adam steps of NAME.safetensors. The
legacy files also count Adam's steps in plain numbers, as PyTorch before 1.12 did, and that of ncsn numbers Adam's state by
objects, as PyTorch before 1.5 did.
"""

import os
import sys

import torch

import golden

here = os.path.dirname(os.path.abspath(__file__))


def write(name):
    t, m = golden.load(os.path.join(here, name + ".safetensors"))
    net = golden.build(m)
    net.load_state_dict({k[6:]: torch.from_numpy(v) for k, v in t.items() if k.startswith("param.")})
    y, xt, z = (torch.from_numpy(t[k]) for k in ("labels", "xt", "z"))
    sigma = torch.from_numpy(t["sigmas"])[y]
    adam = torch.optim.Adam(net.parameters(), lr=float(m["lr"]), betas=(0.9, 0.999), eps=float(m["adam_eps"]))
    rate, ema = float(m["ema_rate"]), {k: p.detach().clone() for k, p in net.named_parameters()}
    for _ in range(int(m["adam_steps"])):
        adam.zero_grad()
        s = net(xt, y, sigma)
        (0.5 * ((s + z / sigma[:, None, None, None]) ** 2).sum((1, 2, 3)) * sigma ** 2).mean().backward()
        adam.step()
        for k, p in net.named_parameters():
            ema[k] = rate * ema[k] + (1 - rate) * p.detach()
    # The golden file's values themselves, should this PyTorch sum in another order than that which wrote them.
    with torch.no_grad():
        for k, p in net.named_parameters():
            p.copy_(torch.from_numpy(t["adam." + k]))
            ema[k] = torch.from_numpy(t["ema." + k])
    if m["net"] != "ncsn":
        net.register_buffer("sigmas", torch.from_numpy(t["sigmas"]))
    for legacy in (False, True):
        state = adam.state_dict()
        if legacy:
            for s in state["state"].values():
                s["step"] = int(s["step"])
        if legacy and m["net"] == "ncsn":
            number = {i: 140_000_000_000_000 + 72 * (997 * i % 256) for i in state["state"]}
            state["state"] = {number[i]: s for i, s in state["state"].items()}
            state["param_groups"][0]["params"] = [number[i] for i in state["param_groups"][0]["params"]]
        tree = [torch.nn.DataParallel(net).state_dict(), state]
        if m["net"] != "ncsn":
            tree += [0, int(m["adam_steps"]), ema]
        torch.save(tree, os.path.join(here, name + ("-legacy" if legacy else "") + ".pth"), _use_new_zipfile_serialization=not legacy)


torch.set_num_threads(1)
for name in sys.argv[1:] or ["ncsn-12x8", "ncsnv2-10x8-swish-rescaled-linear"]:
    write(name)
