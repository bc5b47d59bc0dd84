"""Writes the golden files of this folder, and checks its own networks against golden files of others.

    python3 golden.py                   write ncsnv2-12x8.safetensors and mlp-2.safetensors beside this script
    python3 golden.py --check FILE ...  recompute FILE with the network of this script and print the worst errors

Needs numpy and PyTorch (1.13 or later). One thread, CPU, float32; the seed is fixed.

N rows, C channels, H,W height and width, D = C*H*W, L noise levels. Tensors are N,C,H,W; convolution weights O,I,kH,kW.

    xt   = x + sigma z
    loss = 1/N sum_n 1/2 | score(xt, sigma) + z/sigma |^2 sigma^2                 (Song and Ermon 2019, eq. 5 and 6)

Networks: NCSNv2 (Song and Ermon 2020, "Improved Techniques for Training Score-Based Generative Models", appendix B) and
a multilayer perceptron for vectors.
"""

import argparse
import json
import math
import os
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


# ---------------------------------------------------------------------------------------------------------- safetensors

DTYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


def save(path, tensors, metadata):
    """tensors: dict name -> numpy array, written in its order."""
    header, offset = {"__metadata__": metadata}, 0
    for name, a in tensors.items():
        dtype = next(k for k, v in DTYPES.items() if v == a.dtype)
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for a in tensors.values():
            f.write(np.ascontiguousarray(a).tobytes())


def load(path):
    with open(path, "rb") as f:
        raw = f.read()
    n, = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + n])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, h in sorted(header.items(), key=lambda e: e[1]["data_offsets"]):
        s, e = h["data_offsets"]
        tensors[name] = np.frombuffer(raw[8 + n + s:8 + n + e], DTYPES[h["dtype"]]).reshape(h["shape"]).copy()
    return tensors, metadata


# ---------------------------------------------------------------------------------------------------------------- NCSNv2

def conv(cin, cout, bias=True, dilation=1, kernel=3):
    return nn.Conv2d(cin, cout, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=bias)


class Norm(nn.Module):
    """InstanceNorm++: gamma (instance_norm(x) + alpha muhat) + beta, muhat = the channel means of one image, themselves
    normalised over the channels. The variance over pixels is biased, that over channels unbiased."""

    def __init__(self, c):
        super().__init__()
        self.alpha = nn.Parameter(1 + 0.02 * torch.randn(c))
        self.gamma = nn.Parameter(1 + 0.02 * torch.randn(c))
        self.beta = nn.Parameter(torch.zeros(c))

    def forward(self, x):
        mu = x.mean((2, 3), keepdim=True)
        var = x.var((2, 3), unbiased=False, keepdim=True)
        muhat = (mu - mu.mean(1, keepdim=True)) / torch.sqrt(mu.var(1, unbiased=True, keepdim=True) + 1e-5)
        alpha, gamma, beta = (p[None, :, None, None] for p in (self.alpha, self.gamma, self.beta))
        return gamma * ((x - mu) / torch.sqrt(var + 1e-5) + alpha * muhat) + beta


class ConvMeanPool(nn.Module):
    def __init__(self, cin, cout, kernel):
        super().__init__()
        self.conv = conv(cin, cout, kernel=kernel)

    def forward(self, x):
        return F.avg_pool2d(self.conv(x), 2)


class Residual(nn.Module):
    """conv2(act(norm2(conv1(act(norm1(x)))))) + shortcut(x); `down` halves the size unless there is a dilation."""

    def __init__(self, cin, cout, down=False, dilation=1):
        super().__init__()
        mid = cin if down else cout
        pool = down and dilation == 1
        self.conv1 = conv(cin, mid, dilation=dilation)
        self.normalize2 = Norm(mid)
        self.conv2 = ConvMeanPool(mid, cout, 3) if pool else conv(mid, cout, dilation=dilation)
        self.shortcut = None
        if pool:
            self.shortcut = ConvMeanPool(cin, cout, 1)
        elif down or cin != cout:
            self.shortcut = conv(cin, cout, dilation=dilation) if dilation > 1 else conv(cin, cout, kernel=1)
        self.normalize1 = Norm(cin)

    def forward(self, x):
        h = self.conv1(F.elu(self.normalize1(x)))
        h = self.conv2(F.elu(self.normalize2(h)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class RCU(nn.Module):
    def __init__(self, c, blocks):
        super().__init__()
        self.blocks = blocks
        for i in range(1, blocks + 1):
            for j in (1, 2):
                self.add_module(f"{i}_{j}_conv", conv(c, c, bias=False))

    def forward(self, x):
        for i in range(1, self.blocks + 1):
            h = x
            for j in (1, 2):
                h = getattr(self, f"{i}_{j}_conv")(F.elu(h))
            x = x + h
        return x


class MSF(nn.Module):
    def __init__(self, cins, c):
        super().__init__()
        self.convs = nn.ModuleList(conv(cin, c) for cin in cins)

    def forward(self, xs, size):
        return sum(F.interpolate(f(x), size, mode="bilinear", align_corners=True) for f, x in zip(self.convs, xs))


class CRP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.convs = nn.ModuleList(conv(c, c, bias=False) for _ in range(2))

    def forward(self, x):
        x = path = F.elu(x)
        for f in self.convs:
            path = f(F.max_pool2d(path, 5, stride=1, padding=2))
            x = x + path
        return x


class Refine(nn.Module):
    def __init__(self, cins, c, end=False):
        super().__init__()
        self.adapt_convs = nn.ModuleList(RCU(cin, 2) for cin in cins)
        self.output_convs = RCU(c, 3 if end else 1)
        if len(cins) > 1:
            self.msf = MSF(cins, c)
        self.crp = CRP(c)

    def forward(self, xs, size):
        hs = [f(x) for f, x in zip(self.adapt_convs, xs)]
        h = self.msf(hs, size) if len(hs) > 1 else hs[0]
        return self.output_convs(self.crp(h))


class NCSNv2(nn.Module):
    def __init__(self, channels, n):
        super().__init__()
        self.begin_conv = conv(channels, n)
        self.normalizer = Norm(n)
        self.end_conv = conv(n, channels)
        self.res1 = nn.Sequential(Residual(n, n), Residual(n, n))
        self.res2 = nn.Sequential(Residual(n, 2 * n, down=True), Residual(2 * n, 2 * n))
        self.res3 = nn.Sequential(Residual(2 * n, 2 * n, down=True, dilation=2), Residual(2 * n, 2 * n, dilation=2))
        self.res4 = nn.Sequential(Residual(2 * n, 2 * n, down=True, dilation=4), Residual(2 * n, 2 * n, dilation=4))
        self.refine1 = Refine([2 * n], 2 * n)
        self.refine2 = Refine([2 * n, 2 * n], 2 * n)
        self.refine3 = Refine([2 * n, 2 * n], n)
        self.refine4 = Refine([n, n], n, end=True)

    def forward(self, x, sigma):  # x (N,C,H,W), sigma (N)
        h1 = self.res1(self.begin_conv(2 * x - 1))
        h2 = self.res2(h1)
        h3 = self.res3(h2)
        h4 = self.res4(h3)
        r = self.refine1([h4], h4.shape[2:])
        r = self.refine2([h3, r], h3.shape[2:])
        r = self.refine3([h2, r], h2.shape[2:])
        r = self.refine4([h1, r], h1.shape[2:])
        return self.end_conv(F.elu(self.normalizer(r))) / sigma[:, None, None, None]


# ------------------------------------------------------------------------------------------------------------------- MLP

class MLP(nn.Module):
    """score = f([x / sqrt(sigma^2 + sd^2), ln sigma]) / sigma with three hidden layers and softplus; x (N,D,1,1)."""

    def __init__(self, d, hidden, sd):
        super().__init__()
        self.sd = sd
        widths = [d + 1, hidden, hidden, hidden, d]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))

    def forward(self, x, sigma):
        s = sigma[:, None]
        h = torch.cat([x.flatten(1) / torch.sqrt(s * s + self.sd ** 2), torch.log(s)], 1)
        for layer in self.layers[:-1]:
            h = F.softplus(layer(h))
        return (self.layers[-1](h) / s).reshape(x.shape)


# ----------------------------------------------------------------------------------------------------------------- cases

def build(m):
    if m["net"] == "ncsnv2":
        return NCSNv2(int(m["channels"]), int(m["ngf"]))
    if m["net"] == "mlp":
        return MLP(int(m["channels"]), int(m["hidden"]), float(m["data_sd"]))
    raise SystemExit(f"no network {m['net']} in this script")


def ladder(m):
    """Geometric, in float64, rounded to float32 once."""
    ends = math.log(float(m["sigma_begin"])), math.log(float(m["sigma_end"]))
    return np.exp(np.linspace(*ends, int(m["levels"]))).astype(np.float32)


def results(net, m, x, labels, z, sigmas, dtype=torch.float32):
    """Everything that a case holds beside its inputs, as a dict of numpy arrays in the order of the file."""
    net = net.to(dtype)
    x, z = torch.from_numpy(x).to(dtype), torch.from_numpy(z).to(dtype)
    sigma = torch.from_numpy(sigmas)[torch.from_numpy(labels)].to(dtype)
    s = sigma[:, None, None, None]
    xt = x + s * z

    def loss_of():
        score = net(xt, sigma)
        return score, (0.5 * ((score + z / s) ** 2).sum((1, 2, 3)) * sigma ** 2).mean()

    copy = lambda t: t.detach().numpy().copy()
    params = dict(net.named_parameters())
    out = {"param." + k: copy(p) for k, p in params.items()}
    net.zero_grad()
    score, loss = loss_of()
    loss.backward()
    out.update(xt=copy(xt), score=copy(score), loss=copy(loss).reshape(1))
    out.update({"grad." + k: copy(p.grad) for k, p in params.items()})

    rate = float(m["ema_rate"])
    ema = {k: p.detach().clone() for k, p in params.items()}
    adam = torch.optim.Adam(params.values(), lr=float(m["lr"]), betas=(0.9, 0.999), eps=float(m["adam_eps"]))
    losses = []
    for _ in range(int(m["adam_steps"])):
        adam.zero_grad()
        _, loss = loss_of()
        losses.append(copy(loss))
        loss.backward()
        adam.step()
        for k, p in params.items():
            ema[k] = rate * ema[k] + (1 - rate) * p.detach()
    out["losses"] = np.stack(losses)
    out.update({"adam." + k: copy(p) for k, p in params.items()})
    out.update({"ema." + k: copy(e) for k, e in ema.items()})
    return out


def worst(m, got, want):
    """Prints the worst errors: of score and gradients relative to each tensor's largest element, of parameters in lr."""
    def rel(k):
        return np.abs(got[k].astype(np.float64) - want[k]).max() / np.abs(want[k]).max()

    def group(prefix):
        keys = [k for k in want if k.startswith(prefix)]
        if prefix in ("adam.", "ema."):
            return max(np.abs(got[k].astype(np.float64) - want[k]).max() for k in keys) / float(m["lr"])
        return max(rel(k) for k in keys)

    print("  xt %.1e  score %.1e  loss %.1e  losses %.1e  grad %.1e  adam %.1e lr  ema %.1e lr" % tuple(
        group(p) for p in ("xt", "score", "loss", "losses", "grad.", "adam.", "ema.")))


def check(path):
    want, m = load(path)
    net = build(m)
    names = [k[6:] for k in want if k.startswith("param.")]
    assert names == [k for k, _ in net.named_parameters()], "the parameters have other names or another order"
    state = {k: torch.from_numpy(want["param." + k]) for k in names}
    net.load_state_dict(state)
    assert np.array_equal(ladder(m), want["sigmas"]), "the ladder differs"
    inputs = [want[k] for k in ("x", "labels", "z", "sigmas")]
    print(path)
    worst(m, results(net, m, *inputs), want)
    # How well conditioned the case is: the same in float64, against which every float32 program has its own errors.
    net.load_state_dict(state)
    print("  in float64:")
    worst(m, results(net, m, *inputs, dtype=torch.float64), want)


def write(path, m, x, labels):
    sigmas = ladder(m)
    z = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)
    labels = np.array(labels, np.int64)
    tensors = {"x": x, "labels": labels, "z": z, "sigmas": sigmas}
    tensors.update(results(build(m), m, x, labels, z, sigmas))
    save(path, tensors, {"format": "golden-1", **m})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", nargs="+", metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.check:
        for path in args.check:
            check(path)
        return

    here = os.path.dirname(os.path.abspath(__file__))
    rng = np.random.default_rng(1)
    common = {"adam_eps": "1e-08", "adam_steps": "3", "ema_rate": "0.999"}

    # A rectangle, so that height and width cannot be mixed up; 6x4 after the pooling, smaller than dilation and pooling reach.
    torch.manual_seed(3)
    m = {"net": "ncsnv2", "ngf": "4", "channels": "1", "height": "12", "width": "8", "levels": "5", "sigma_begin": "10.0",
         "sigma_end": "0.05", "batch": "3", "lr": "0.0001", "normalization": "InstanceNorm++", "nonlinearity": "elu", **common}
    path = os.path.join(here, "ncsnv2-12x8.safetensors")
    write(path, m, rng.random((3, 1, 12, 8), np.float32), [0, 2, 4])
    check(path)

    torch.manual_seed(4)
    m = {"net": "mlp", "hidden": "16", "data_sd": "1.5", "channels": "2", "height": "1", "width": "1", "levels": "6", "sigma_begin": "8.0",
         "sigma_end": "0.1", "batch": "5", "lr": "0.001", "nonlinearity": "softplus", **common}
    path = os.path.join(here, "mlp-2.safetensors")
    write(path, m, (1.5 * rng.standard_normal((5, 2, 1, 1))).astype(np.float32), [0, 1, 3, 5, 5])
    check(path)


if __name__ == "__main__":
    main()
