"""Writes ddpm-8x3.safetensors beside this script: the network of DDPM (Ho et al. 2020) as diffusers has it.

    python3 ddpm.py

Needs PyTorch (1.13 or later), NumPy and diffusers 0.21.4, whose UNet2DModel in the form of google/ddpm-cifar10-32 is that network.
One thread, CPU, float32.

The original of the class here, models/ddpm.py of score_sde_pytorch, differs in one thing: on the way up a level with attention has
it once, behind the level's last block, and diffusers behind every block. So the others are taken out here. all_modules.K numbers the
modules in the order in which they are used.

Weights follow from a formula, so that the file need not hold them: value i of the t-th tensor, t counted from 1 in the order of the
file, is made of u(t, i), a hash in [0, 1) (see made). Of gradients and of tensors after Adam the file holds some values: those at
places 0, step, 2 step and so on, step being floor(n/places) of n values, or the next number below that neither 2 nor 3 divides.
"""

import copy
import os
import sys

import diffusers
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
from golden import save  # noqa: E402

MULT, BLOCKS, WIDTH, SIZE, CHANNELS, BATCH = (1, 1), 1, 64, 8, 3, 3
LEVELS, BETA_MIN, BETA_MAX = 1000, 0.1, 20.0
LR, EPS, BETAS, CLIP, WARMUP, RATE, STEPS = 2e-4, 1e-8, (0.9, 0.999), 1.0, 2, 0.9999, 4
PLACES = 32


def made(t, n):
    """u(t, 0) to u(t, n-1)."""
    x = np.arange(n, dtype=np.uint64) + (np.uint64(t) << np.uint64(32))
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def weight(t, shape):
    """A tensor: a row is near 1 where it scales, as the weights of norms do, and around 0 where it shifts; a matrix is uniform
    with the variance 1/inputs."""
    u = made(t, int(np.prod(shape[0]))).reshape(shape[0])
    kind = shape[1]
    if kind == "scale":
        return np.float32(0.75) + np.float32(0.5) * u
    if kind == "shift":
        return np.float32(0.2) * (u - np.float32(0.5))
    return (np.float32(2) * u - np.float32(1)) * np.float32(np.sqrt(3 / shape[2]))


def network():
    """The network, and its parameters as (name here, parameter there, transposed), in the order in which they are used."""
    n = len(MULT)
    down = ["DownBlock2D"] * n
    up = ["UpBlock2D"] * n
    down[1], up[n - 2] = "AttnDownBlock2D", "AttnUpBlock2D"  # at half of the size
    net = diffusers.UNet2DModel(
        sample_size=SIZE, in_channels=CHANNELS, out_channels=CHANNELS, center_input_sample=False, time_embedding_type="positional",
        freq_shift=1, flip_sin_to_cos=False, down_block_types=tuple(down), up_block_types=tuple(up),
        block_out_channels=tuple(WIDTH * m for m in MULT), layers_per_block=BLOCKS, mid_block_scale_factor=1, downsample_padding=0,
        act_fn="silu", attention_head_dim=None, norm_num_groups=32, norm_eps=1e-6)
    modules = []

    def add(*parts):
        modules.append(parts)

    def resnet(r):
        parts = [("GroupNorm_0", r.norm1), ("Conv_0", r.conv1), ("Dense_0", r.time_emb_proj), ("GroupNorm_1", r.norm2),
                 ("Conv_1", r.conv2)]
        if r.conv_shortcut is not None:
            parts.append(("NIN_0", r.conv_shortcut))
        add(*parts)

    def attention(a):
        add(("GroupNorm_0", a.group_norm), ("NIN_0", a.to_q), ("NIN_1", a.to_k), ("NIN_2", a.to_v), ("NIN_3", a.to_out[0]))

    add(("", net.time_embedding.linear_1))
    add(("", net.time_embedding.linear_2))
    add(("", net.conv_in))
    for block in net.down_blocks:
        for i, r in enumerate(block.resnets):
            resnet(r)
            if hasattr(block, "attentions"):
                attention(block.attentions[i])
        for d in block.downsamplers or []:
            add(("Conv_0", d.conv))
    resnet(net.mid_block.resnets[0])
    attention(net.mid_block.attentions[0])
    resnet(net.mid_block.resnets[1])
    for block in net.up_blocks:
        for r in block.resnets:
            resnet(r)
        if hasattr(block, "attentions"):
            for i in range(len(block.attentions) - 1):
                block.attentions[i] = Left()
            attention(block.attentions[-1])
        for u in block.upsamplers or []:
            add(("Conv_0", u.conv))
    add(("", net.conv_norm_out))
    add(("", net.conv_out))
    named = []
    for k, parts in enumerate(modules):
        for part, layer in parts:
            path = ".".join(p for p in ("all_modules", str(k), part) if p)
            nin = part.startswith("NIN")
            named.append((path + (".W" if nin else ".weight"), layer.weight, nin))
            named.append((path + (".b" if nin else ".bias"), layer.bias, False))
    known = {id(p) for _, p, _ in named}
    assert known == {id(p) for p in net.parameters()}, "parameters without a name"
    return net, named


class Left(torch.nn.Module):
    """In place of an attention that is taken out."""

    def forward(self, x, *_, **__):
        return x


def here(v, transposed):
    """A parameter or its gradient in the layout of this project: NIN has (in, out)."""
    a = v.detach().numpy()
    return np.ascontiguousarray(a.reshape(a.shape[:2]).T) if transposed else a.copy()


def some(a):
    step = max(1, a.size // PLACES)
    while step > 1 and (step % 2 == 0 or step % 3 == 0):
        step -= 1
    return a.reshape(-1)[::step].copy()


def batch():
    g = torch.Generator().manual_seed(23)
    x = 2 * torch.rand(BATCH, CHANNELS, SIZE, SIZE, generator=g) - 1
    z = torch.randn(BATCH, CHANNELS, SIZE, SIZE, generator=g)
    k = np.array([3, 420, 871])  # step of the table, 0 the least noise
    beta = (BETA_MIN + np.arange(LEVELS) / (LEVELS - 1) * (BETA_MAX - BETA_MIN)) / LEVELS
    alpha = np.cumprod(1 - beta)
    m, std = np.sqrt(alpha[k]), np.sqrt(1 - alpha[k])
    return x, z, k, m, std, np.sqrt(1 / alpha - 1)[::-1]


def loss_of(net, xt, z, k):
    out = net(xt, torch.from_numpy(k).to(xt.dtype)).sample
    return out, ((out - z) ** 2).mean()


def train(net, named, xt, z, k):
    """STEPS of Adam with a warm-up, gradients clipped, and an average that warms up; gradients are of the first."""
    params = [p for _, p, _ in named]
    adam = torch.optim.Adam(params, lr=LR, betas=BETAS, eps=EPS)
    ema = [p.detach().clone() for p in params]
    losses, norms, lrs, grads = [], [], [], None
    for step in range(STEPS):
        adam.zero_grad()
        out, loss = loss_of(net, xt, z, k)
        loss.backward()
        if step == 0:
            grads, first = [p.grad.detach().clone() for p in params], out.detach()
        losses.append(loss.item())
        lrs.append(LR * min(step / WARMUP, 1))
        adam.param_groups[0]["lr"] = lrs[-1]
        norms.append(torch.nn.utils.clip_grad_norm_(params, CLIP).item())
        adam.step()
        n = step + 1
        rate = min(RATE, (1 + n) / (10 + n))
        with torch.no_grad():
            for e, p in zip(ema, params):
                e -= (1 - rate) * (e - p)
    return first, grads, losses, norms, lrs, [p.detach() for p in params], ema


def main():
    torch.set_num_threads(1)
    net, named = network()
    shapes = {}
    with torch.no_grad():
        for t, (name, p, transposed) in enumerate(named, 1):
            shape = here(p, transposed).shape
            kind, inputs = "matrix", 0
            if len(shape) == 1:
                kind = "scale" if name.endswith("weight") else "shift"
            else:
                inputs = shape[0] if transposed else int(np.prod(shape[1:]))
            a = weight(t, (shape, kind, inputs))
            shapes[name] = list(shape)
            p.copy_(torch.from_numpy(a.T.copy() if transposed else a).reshape(p.shape))
    x, z, k, m, std, sigmas = batch()
    row = lambda v: torch.from_numpy(v.astype(np.float32))[:, None, None, None]
    xt = row(m) * x + row(std) * z
    exact = copy.deepcopy(net).double()
    order = {id(p): i for i, p in enumerate(net.parameters())}
    doubles = list(exact.parameters())
    named64 = [(name, doubles[order[id(p)]], transposed) for name, p, transposed in named]
    out, grads, losses, norms, lrs, after, ema = train(net, named, xt, z, k)
    out64, grads64, _, _, _, after64, _ = train(exact, named64, xt.double(), z.double(), k)
    largest = max(g.abs().max() for g in grads)
    idle = [name for (name, _, _), g in zip(named, grads) if g.abs().max() < 1e-6 * largest]
    live = [i for i, (name, _, _) in enumerate(named) if name not in idle]
    v = lambda p: p.detach().double().numpy()
    worst = lambda a, b: ((a - b).abs().max() / b.abs().max()).item()
    meta = {
        "format": "golden-1", "net": "ddpm", "sde": "vpsde", "continuous": "false", "reduce_mean": "true",
        "likelihood_weighting": "false", "centered": "true", "channels": CHANNELS, "height": SIZE, "width": SIZE, "batch": BATCH,
        "nf": WIDTH, "ch_mult": ",".join(map(str, MULT)), "num_res_blocks": BLOCKS, "attn_resolutions": SIZE // 2,
        "resamp_with_conv": "true", "conditional": "true", "init_scale": "1.0", "scale_by_sigma": "false", "nonlinearity": "swish",
        "num_scales": LEVELS, "beta_min": BETA_MIN, "beta_max": BETA_MAX, "dropout": "0.0", "lr": LR, "adam_eps": EPS,
        "warmup": WARMUP, "grad_clip": CLIP, "ema_rate": RATE, "adam_steps": STEPS, "adam_beta1": BETAS[0], "adam_beta2": BETAS[1],
        "ema_warmup": "true", "idle": ",".join(idle),
        "shapes": " ".join(f"{name}={','.join(map(str, shape))}" for name, shape in shapes.items()), "places": PLACES,
        "source": f"diffusers {diffusers.__version__}, torch {torch.__version__.split('+')[0]} cpu float32",
        "float64_out": f"{worst(out.double(), out64):.1e}",
        "float64_grad": f"{max(worst(grads[i].double(), grads64[i]) for i in live):.1e}",
        # where the file has values
        "float64_adam_lr": f"{max(abs(some(v(after[i])) - some(v(after64[i]))).max() for i in live) / LR:.1e}",
    }
    f32 = lambda v: np.asarray(v, dtype=np.float32)
    tensors = {
        "labels": LEVELS - 1 - k.astype(np.int64), "sigmas": np.ascontiguousarray(sigmas), "x": x.numpy(), "z": z.numpy(),
        "mean_coeff": f32(m), "std": f32(std), "cond": f32(k), "xt": xt.numpy(), "out": out.numpy(),
        "score": (-out / row(std)).numpy(), "loss": f32(losses[:1]), "losses": f32(losses), "grad_norms": f32(norms),
        "lrs": f32(lrs),
    }
    for prefix, group in (("grad.", grads), ("adam.", after), ("ema.", ema)):
        for (name, _, transposed), v in zip(named, group):
            tensors[prefix + name] = some(here(v, transposed))
    path = os.path.join(HERE, "ddpm-8x3.safetensors")
    save(path, tensors, {k: str(v) for k, v in meta.items()})
    print(path, os.path.getsize(path), "bytes,", sum(p.numel() for p in net.parameters()), "parameters")
    print({k: v for k, v in meta.items() if k.startswith("float64") or k == "idle"})


if __name__ == "__main__":
    main()
