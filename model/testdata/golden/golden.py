"""Writes the golden files of this folder, and checks its own networks against golden files of others.

    python3 golden.py                   write every *.safetensors and ../state_dicts.txt beside this script
    python3 golden.py --check FILE ...  recompute FILE with the network of this script, print the worst errors and fail
                                        where one is above the tolerance of the Go test

Needs numpy and PyTorch (1.13 or later). One thread, CPU, float32; the seed is fixed.

N rows, C channels, H,W height and width, D = C*H*W, L noise levels. Tensors are N,C,H,W; convolution weights O,I,kH,kW.

    xt   = x + sigma z
    loss = 1/N sum_n 1/2 | score(xt, sigma) + z/sigma |^2 sigma^2                 (Song and Ermon 2019, eq. 5 and 6)

Networks: NCSN (Song and Ermon 2019), NCSNv2 and its larger forms (Song and Ermon 2020, "Improved Techniques for Training
Score-Based Generative Models", appendix B) and a multilayer perceptron for vectors.
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

DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}


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


# ------------------------------------------------------------------------------------------------ NCSN, NCSNv2 and larger

def conv(cin, cout, bias=True, dilation=1, kernel=3):
    return nn.Conv2d(cin, cout, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=bias)


def instance_norm(x, eps=1e-5):
    """(x - mean) / sqrt(var + eps) over the pixels; the variance is biased."""
    return F.instance_norm(x, eps=eps)


def muhat(x):
    """The channel means of one image, themselves normalised over the channels; here the variance is unbiased."""
    mu = x.mean((2, 3), keepdim=True)
    return (mu - mu.mean(1, keepdim=True)) / torch.sqrt(mu.var(1, unbiased=True, keepdim=True) + 1e-5)


class InstanceNormPlus(nn.Module):
    """gamma (instance_norm(x) + alpha muhat) + beta."""

    def __init__(self, c):
        super().__init__()
        self.alpha = nn.Parameter(1 + 0.02 * torch.randn(c))
        self.gamma = nn.Parameter(1 + 0.02 * torch.randn(c))
        self.beta = nn.Parameter(torch.zeros(c))

    def forward(self, x, y):
        alpha, gamma, beta = (p[None, :, None, None] for p in (self.alpha, self.gamma, self.beta))
        return gamma * (instance_norm(x) + alpha * muhat(x)) + beta


class InstanceNorm(nn.Module):
    """Without parameters."""

    def __init__(self, eps=1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, x, y):
        return instance_norm(x, self.eps)


class Conditional(nn.Module):
    """The same two with parameters from row y of a table: gamma, alpha, beta, or gamma, beta."""

    def __init__(self, c, levels, plus):
        super().__init__()
        self.embed = nn.Embedding(levels, (3 if plus else 2) * c)
        self.plus = plus
        with torch.no_grad():
            w = self.embed.weight
            w[:, -c:] = 0
            w[:, :-c] = 1 + 0.02 * torch.randn(levels, 2 * c) if plus else torch.rand(levels, c)

    def forward(self, x, y):
        p = [v[:, :, None, None] for v in self.embed(y).chunk(3 if self.plus else 2, 1)]
        h = instance_norm(x)
        if self.plus:
            h = h + p[1] * muhat(x)
        return p[0] * h + p[-1]


ACTIVATIONS = {"elu": F.elu, "relu": F.relu, "lrelu": lambda x: F.leaky_relu(x, 0.2), "swish": lambda x: x * torch.sigmoid(x)}


class Options:
    """What the blocks of a network have in common."""

    def __init__(self, m):
        self.conditional = m["net"] == "ncsn"
        self.plus = m["normalization"] == "InstanceNorm++"
        self.levels = int(m["levels"])
        self.act = ACTIVATIONS[m["nonlinearity"]]
        self.rescaled = m.get("rescaled") == "true"

    def norm(self, c):
        if self.conditional:
            return Conditional(c, self.levels, self.plus)
        return InstanceNormPlus(c) if self.plus else InstanceNorm()

    def last_norm(self, c):
        """Of an unconditional InstanceNorm the last one's epsilon is the number of levels: the original class passes that
        number second, where torch.nn.InstanceNorm2d has its epsilon."""
        if not self.conditional and not self.plus:
            return InstanceNorm(self.levels)
        return self.norm(c)

    def pool(self, x):
        if self.conditional:
            return F.avg_pool2d(x, 5, stride=1, padding=2)
        return F.max_pool2d(x, 5, stride=1, padding=2)


class ConvMeanPool(nn.Module):
    def __init__(self, cin, cout, kernel):
        super().__init__()
        self.conv = conv(cin, cout, kernel=kernel)

    def forward(self, x):
        return F.avg_pool2d(self.conv(x), 2)


class Residual(nn.Module):
    """conv2(act(norm2(conv1(act(norm1(x)))))) + shortcut(x); `down` halves the size unless there is a dilation."""

    def __init__(self, o, cin, cout, down=False, dilation=1):
        super().__init__()
        mid = cin if down else cout
        pool = down and dilation == 1
        self.act = o.act
        self.conv1 = conv(cin, mid, dilation=dilation)
        self.normalize2 = o.norm(mid)
        self.conv2 = ConvMeanPool(mid, cout, 3) if pool else conv(mid, cout, dilation=dilation)
        self.shortcut = None
        if pool:
            self.shortcut = ConvMeanPool(cin, cout, 1)
        elif down or cin != cout:
            self.shortcut = conv(cin, cout, dilation=dilation) if dilation > 1 else conv(cin, cout, kernel=1)
        self.normalize1 = o.norm(cin)

    def forward(self, x, y):
        h = self.conv1(self.act(self.normalize1(x, y)))
        h = self.conv2(self.act(self.normalize2(h, y)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class RCU(nn.Module):
    def __init__(self, o, c, blocks):
        super().__init__()
        self.o, self.blocks = o, blocks
        for i in range(1, blocks + 1):
            for j in (1, 2):
                if o.conditional:
                    self.add_module(f"{i}_{j}_norm", o.norm(c))
                self.add_module(f"{i}_{j}_conv", conv(c, c, bias=False))

    def forward(self, x, y):
        for i in range(1, self.blocks + 1):
            h = x
            for j in (1, 2):
                if self.o.conditional:
                    h = getattr(self, f"{i}_{j}_norm")(h, y)
                h = getattr(self, f"{i}_{j}_conv")(self.o.act(h))
            x = x + h
        return x


class MSF(nn.Module):
    def __init__(self, o, cins, c):
        super().__init__()
        self.convs = nn.ModuleList(conv(cin, c) for cin in cins)
        if o.conditional:
            self.norms = nn.ModuleList(o.norm(cin) for cin in cins)
        self.o = o

    def forward(self, xs, y, size):
        total = 0
        for i, x in enumerate(xs):
            if self.o.conditional:
                x = self.norms[i](x, y)
            total = total + F.interpolate(self.convs[i](x), size, mode="bilinear", align_corners=True)
        return total


class CRP(nn.Module):
    def __init__(self, o, c):
        super().__init__()
        self.convs = nn.ModuleList(conv(c, c, bias=False) for _ in range(2))
        if o.conditional:
            self.norms = nn.ModuleList(o.norm(c) for _ in range(2))
        self.o = o

    def forward(self, x, y):
        x = path = self.o.act(x)
        for i, f in enumerate(self.convs):
            if self.o.conditional:
                path = self.norms[i](path, y)
            path = f(self.o.pool(path))
            x = x + path
        return x


class Refine(nn.Module):
    def __init__(self, o, cins, c, end=False):
        super().__init__()
        self.adapt_convs = nn.ModuleList(RCU(o, cin, 2) for cin in cins)
        self.output_convs = RCU(o, c, 3 if end else 1)
        if len(cins) > 1:
            self.msf = MSF(o, cins, c)
        self.crp = CRP(o, c)

    def forward(self, xs, y):
        hs = [f(x, y) for f, x in zip(self.adapt_convs, xs)]
        h = self.msf(hs, y, xs[0].shape[2:]) if len(hs) > 1 else hs[0]
        return self.output_convs(self.crp(h, y), y)


SMALL = ([("res1", 1, False, 1), ("res2", 2, True, 1), ("res3", 2, True, 2), ("res4", 2, True, 4)],
         [("refine1", 2), ("refine2", 2), ("refine3", 1), ("refine4", 1)])
NETS = {  # stages: name, width in units of ngf, down, dilation; refine blocks in the order of their use: name, width
    "ncsn": SMALL,
    "ncsnv2": SMALL,
    "ncsnv2deeper": ([("res1", 1, False, 1), ("res2", 2, True, 1), ("res3", 2, True, 1), ("res4", 4, True, 2), ("res5", 4, True, 4)],
                     [("refine1", 4), ("refine2", 2), ("refine3", 2), ("refine4", 1), ("refine5", 1)]),
    "ncsnv2deepest": ([("res1", 1, False, 1), ("res2", 2, True, 1), ("res3", 2, True, 1), ("res31", 2, True, 1), ("res4", 4, True, 2), ("res5", 4, True, 4)],
                      [("refine1", 4), ("refine2", 2), ("refine31", 2), ("refine3", 2), ("refine4", 1), ("refine5", 1)]),
}


class RefineNet(nn.Module):
    def __init__(self, m):
        super().__init__()
        o, n = Options(m), int(m["ngf"])
        self.o = o
        self.stages, self.refines = NETS[m["net"]]
        self.begin_conv = conv(int(m["channels"]), n)
        self.normalizer = o.last_norm(n)
        self.end_conv = conv(n, int(m["channels"]))
        cin, widths = n, []
        for name, width, down, dilation in self.stages:
            c = width * n
            self.add_module(name, nn.ModuleList([Residual(o, cin, c, down, dilation), Residual(o, c, c, False, dilation)]))
            widths.append(c)
            cin = c
        made = {}
        for i, (name, width) in enumerate(self.refines):
            cins = [widths[-1 - i]] + ([self.refines[i - 1][1] * n] if i else [])
            made[name] = Refine(o, cins, width * n, end=i == len(self.refines) - 1)
        for name in sorted(made):  # the original registers refine3 before refine31
            self.add_module(name, made[name])

    def forward(self, x, y, sigma):  # x (N,C,H,W), y levels and sigma (N)
        h = self.begin_conv(x if self.o.rescaled else 2 * x - 1)
        outs = []
        for name, *_ in self.stages:
            for block in getattr(self, name):
                h = block(h, y)
            outs.append(h)
        for i, (name, _) in enumerate(self.refines):
            h = getattr(self, name)([outs[-1 - i]] + ([h] if i else []), y)
        h = self.end_conv(self.o.act(self.normalizer(h, y)))
        return h if self.o.conditional else h / sigma[:, None, None, None]


# ------------------------------------------------------------------------------------------------------------------- MLP

class MLP(nn.Module):
    """score = f([x / sqrt(sigma^2 + sd^2), ln sigma]) / sigma with three hidden layers and softplus; x (N,D,1,1)."""

    def __init__(self, d, hidden, sd):
        super().__init__()
        self.sd = sd
        widths = [d + 1, hidden, hidden, hidden, d]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))

    def forward(self, x, y, sigma):
        s = sigma[:, None]
        h = torch.cat([x.flatten(1) / torch.sqrt(s * s + self.sd ** 2), torch.log(s)], 1)
        for layer in self.layers[:-1]:
            h = F.softplus(layer(h))
        return (self.layers[-1](h) / s).reshape(x.shape)


# ----------------------------------------------------------------------------------------------------------------- cases

def build(m):
    if m["net"] in NETS:
        return RefineNet(m)
    if m["net"] == "mlp":
        return MLP(int(m["channels"]), int(m["hidden"]), float(m["data_sd"]))
    raise SystemExit(f"no network {m['net']} in this script")


def ladder(m):
    """Geometric or linear, in float64, rounded to float32 once."""
    if m.get("spacing") == "linear":
        return np.linspace(float(m["sigma_begin"]), float(m["sigma_end"]), int(m["levels"])).astype(np.float32)
    ends = math.log(float(m["sigma_begin"])), math.log(float(m["sigma_end"]))
    return np.exp(np.linspace(*ends, int(m["levels"]))).astype(np.float32)


def results(net, m, x, labels, z, sigmas, dtype=torch.float32):
    """Everything that a case holds beside its inputs, as a dict of numpy arrays in the order of the file."""
    net = net.to(dtype)
    y = torch.from_numpy(labels)
    x, z = torch.from_numpy(x).to(dtype), torch.from_numpy(z).to(dtype)
    sigma = torch.from_numpy(sigmas)[y].to(dtype)
    s = sigma[:, None, None, None]
    xt = x + s * z

    def loss_of():
        score = net(xt, y, sigma)
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


# What two correct float32 programs may differ by: of the largest element, and for adam and ema of lr (README.md).
TOLERANCES = {"xt": 1e-6, "score": 1e-5, "loss": 1e-5, "losses": 1e-5, "grad.": 1e-4, "adam.": 0.05, "ema.": 0.05}


def worst(m, got, want):
    """Prints the worst errors: of score and gradients relative to each tensor's largest element, of parameters in lr.
    Returns what is above its tolerance.

    A bias before an instance norm without parameters has no effect; its gradient is rounding, which Adam magnifies to any
    size up to lr: such tensors, with gradients below 1e-6 of the largest, are left out."""
    largest = max(np.abs(v).max() for k, v in want.items() if k.startswith("grad."))
    idle = {k[5:] for k, v in want.items() if k.startswith("grad.") and np.abs(v).max() < 1e-6 * largest}

    def rel(k):
        return np.abs(got[k].astype(np.float64) - want[k]).max() / np.abs(want[k]).max()

    def group(prefix):
        keys = [k for k in want if k.startswith(prefix) and k[len(prefix):] not in idle]
        if prefix in ("adam.", "ema."):
            return max(np.abs(got[k].astype(np.float64) - want[k]).max() for k in keys) / float(m["lr"])
        return max(rel(k) for k in keys)

    errors = {p: group(p) for p in TOLERANCES}
    print("  xt %.1e  score %.1e  loss %.1e  losses %.1e  grad %.1e  adam %.1e lr  ema %.1e lr%s" % (
        *errors.values(), f"  {len(idle)} tensors left out" if idle else ""))
    return [p.rstrip(".") for p, e in errors.items() if not e <= TOLERANCES[p]]  # NaN is above


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
    bad = worst(m, results(net, m, *inputs), want)
    # How well conditioned the case is: the same in float64, against which every float32 program has its own errors.
    net.load_state_dict(state)
    print("  in float64:")
    bad += worst(m, results(net, m, *inputs, dtype=torch.float64), want)
    if bad:
        raise SystemExit(f"{path}: {', '.join(dict.fromkeys(bad))} above the tolerance")


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

    # The other networks, and every option of the originals. Sizes are no squares, rows of a table are used twice or never.
    for seed, name, options in [
        (5, "ncsn-12x8", {"net": "ncsn", "height": "12", "width": "8", "channels": "1", "ngf": "3"}),
        (6, "ncsn-8x10-instancenorm-swish", {"net": "ncsn", "height": "8", "width": "10", "channels": "2", "ngf": "3", "normalization": "InstanceNorm", "nonlinearity": "swish"}),
        (7, "ncsnv2-8x12-instancenorm-lrelu", {"net": "ncsnv2", "height": "8", "width": "12", "channels": "3", "ngf": "3", "normalization": "InstanceNorm", "nonlinearity": "lrelu"}),
        (8, "ncsnv2-10x8-swish-rescaled-linear", {"net": "ncsnv2", "height": "10", "width": "8", "channels": "1", "ngf": "3", "nonlinearity": "swish", "rescaled": "true", "spacing": "linear"}),
        (9, "ncsnv2deeper-16x12-relu", {"net": "ncsnv2deeper", "height": "16", "width": "12", "channels": "1", "ngf": "3", "nonlinearity": "relu"}),
        (10, "ncsnv2deepest-32x24", {"net": "ncsnv2deepest", "height": "32", "width": "24", "channels": "2", "ngf": "3"}),
    ]:
        torch.manual_seed(seed)
        ncsn = options["net"] == "ncsn"
        m = {"levels": "5", "sigma_begin": "1.0" if ncsn else "10.0", "sigma_end": "0.01" if ncsn else "0.05", "batch": "4",
             "lr": "0.001" if ncsn else "0.0001", "normalization": "InstanceNorm++", "nonlinearity": "elu", **common, **options}
        x = rng.random((4, int(m["channels"]), int(m["height"]), int(m["width"])), np.float32)
        path = os.path.join(here, name + ".safetensors")
        write(path, m, 2 * x - 1 if "rescaled" in m else x, [1, 4, 0, 1])
        check(path)

    # The names and shapes of the published networks, as a state_dict lists them.
    with open(os.path.join(here, "..", "state_dicts.txt"), "w") as f:
        for title, options in PUBLISHED.items():
            m = {"normalization": "InstanceNorm++", "nonlinearity": "elu", **options}
            net = build(m)
            entries = [(k, list(v.shape)) for k, v in net.named_parameters()]
            count = sum(math.prod(shape) for _, shape in entries)
            if m["net"] != "ncsn":
                entries.insert(0, ("sigmas", [int(m["levels"])]))
            print(f"== {title} {count} {len(entries)}", file=f)
            for name, shape in entries:
                print(name, *shape, file=f)
            print(f"{title}: {count} parameters, {len(entries)} tensors")


PUBLISHED = {
    "ncsn-mnist": {"net": "ncsn", "ngf": "64", "channels": "1", "levels": "10"},
    "ncsn-cifar10": {"net": "ncsn", "ngf": "128", "channels": "3", "levels": "10"},
    "ncsnv2-cifar10": {"net": "ncsnv2", "ngf": "128", "channels": "3", "levels": "232"},
    "ncsnv2deeper-bedroom": {"net": "ncsnv2deeper", "ngf": "128", "channels": "3", "levels": "1086"},
    "ncsnv2deepest-ffhq": {"net": "ncsnv2deepest", "ngf": "128", "channels": "3", "levels": "2311"},
}


if __name__ == "__main__":
    main()
