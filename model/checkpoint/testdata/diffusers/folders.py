"""Writes folders in the form of diffusers, with seeded weights, for diffusers_test.go: what diffusers itself saves.

    python folders.py            writes them anew beside this file (diffusers 0.21 and PyTorch)
    python folders.py FOLDER     loads a model's folder with the weights of skip, and compares keys and values

skip is a UNet2DModel of Skip blocks, which is NCSN++ with input and output skips: its weights in safetensors and in the
pickle of .bin, an input, a sigma for each row, and what the network makes of them.
"""

import math
import os
import shutil
import sys

import safetensors.torch
import torch
from diffusers import UNet2DModel

here = os.path.dirname(os.path.abspath(__file__))


def skip():
    torch.manual_seed(1)
    net = UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, center_input_sample=True, time_embedding_type="fourier",
        norm_eps=1e-6, mid_block_scale_factor=math.sqrt(2), norm_num_groups=None, block_out_channels=(8, 16),
        layers_per_block=1, attention_head_dim=None, down_block_types=("SkipDownBlock2D",) * 2,
        up_block_types=("SkipUpBlock2D",) * 2)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim == 1 and "time_proj" not in name:  # or norms and biases would be 1 and 0
                p.add_(0.1 * torch.randn(p.shape))
    return net.eval()


def write(net, name):
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    net.save_pretrained(folder, safe_serialization=False)
    g = torch.Generator().manual_seed(2)
    sigma = torch.tensor([0.3, 20.0])
    x = torch.rand(2, 3, 8, 8, generator=g) + sigma[:, None, None, None] * torch.randn(2, 3, 8, 8, generator=g)
    with torch.no_grad():
        out = net(x, sigma).sample
    safetensors.torch.save_file({"x": x, "sigma": sigma, "out": out}, os.path.join(here, name + ".safetensors"))
    del net.time_proj.W  # the same tensor as time_proj.weight, which safetensors does not take twice
    net.save_pretrained(folder, safe_serialization=True)


def show(folder):
    net, info = UNet2DModel.from_pretrained(folder, output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v and v != ["time_proj.W"]}
    if wrong:
        sys.exit(f"{folder}: {wrong}")
    case = safetensors.torch.load_file(os.path.join(here, "skip.safetensors"))
    with torch.no_grad():
        out = net.eval()(case["x"], case["sigma"]).sample
    error = (out - case["out"]).abs().max().item() / case["out"].abs().max().item()
    print(f"{folder}: all keys fit; the network's values differ by {error:.1e} of the largest")
    if not error < 1e-6:
        sys.exit(1)


if len(sys.argv) > 1:
    show(sys.argv[1])
else:
    write(skip(), "skip")
