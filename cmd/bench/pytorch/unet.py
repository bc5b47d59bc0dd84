"""NCSN++ in PyTorch, in the form that the timed U-Nets have: to be timed by compare.py.

    python3 unet.py NETWORK NGF STATE_DICT.safetensors X.npy SIGMA SCORE.npy

loads the weights that `sigmaz export` wrote, evaluates the network on x and prints how far its score is from the one that
`sigmaz score` wrote, relative to the largest value. NETWORK is one of NETWORKS below.

Written from the formulas of Song et al. 2021, appendix H: residual blocks of BigGAN with group norms, swish and resampling by
the filter 1,3,3,1; self-attention at some widths; Fourier embedding of ln sigma; a residual pyramid of the input. Parameters
have the names of the original class. Layers are those that PyTorch is fastest with: depthwise convolutions as filters, its
fused attention where it has that, products over the last axis in place of 1x1 convolutions in attention.
"""

import math
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

# Of the presets whose names they are: channels of each level in units of ngf, blocks a level, widths with attention, dropout.
NETWORKS = {"digits": ((1, 2, 2), 1, (7,), 0.0), "ncsnpp-cifar10": ((1, 2, 2, 2), 4, (16,), 0.1)}


def build(name, ngf, size, channels):
    return UNet(ngf, size, channels, *NETWORKS[name])


def join(a, b):
    return (a + b) * math.sqrt(0.5)


class Filter(nn.Module):
    """The filter 1,3,3,1 along both axes: halves, doubles, or leaves an image one larger, with zeros outside."""

    def __init__(self, channels):
        super().__init__()
        k = torch.tensor([1.0, 3, 3, 1]) / 8
        self.register_buffer("k", torch.outer(k, k).expand(channels, 1, 4, 4).contiguous(), persistent=False)
        self.register_buffer("k4", 4 * self.k, persistent=False)

    def halve(self, x):
        return F.conv2d(x, self.k, stride=2, padding=1, groups=x.shape[1])

    def double(self, x):
        return F.conv_transpose2d(x, self.k4, stride=2, padding=1, groups=x.shape[1])

    def smooth(self, x):
        return F.conv2d(x, self.k, padding=2, groups=x.shape[1])


def norm(c):
    return nn.GroupNorm(min(c // 4, 32), c, eps=1e-6)


class Block(nn.Module):
    def __init__(self, cin, cout, nf, dropout, to=None):
        super().__init__()
        self.to, self.dropout = to, dropout
        self.GroupNorm_0 = norm(cin)
        self.Conv_0 = nn.Conv2d(cin, cout, 3, padding=1)
        self.Dense_0 = nn.Linear(4 * nf, cout)
        self.GroupNorm_1 = norm(cout)
        self.Conv_1 = nn.Conv2d(cout, cout, 3, padding=1)
        if cin != cout or to:
            self.Conv_2 = nn.Conv2d(cin, cout, 1)
        if to:
            self.filter = Filter(cin)

    def forward(self, x, temb):
        h = F.silu(self.GroupNorm_0(x))
        if self.to:
            resample = getattr(self.filter, self.to)
            h, x = resample(h), resample(x)
        h = self.Conv_0(h) + self.Dense_0(temb)[:, :, None, None]
        h = F.silu(self.GroupNorm_1(h))
        if self.dropout:
            h = F.dropout(h, self.dropout, self.training)
        h = self.Conv_1(h)
        return join(self.Conv_2(x) if hasattr(self, "Conv_2") else x, h)


class NIN(nn.Module):
    """y = x W + b over the last axis."""

    def __init__(self, c):
        super().__init__()
        self.W = nn.Parameter(torch.randn(c, c) * math.sqrt(0.1 / c))
        self.b = nn.Parameter(torch.zeros(c))

    def forward(self, x):
        return F.linear(x, self.W.t(), self.b)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.GroupNorm_0 = norm(c)
        self.NIN_0, self.NIN_1, self.NIN_2, self.NIN_3 = (NIN(c) for _ in range(4))

    def forward(self, x, temb):
        n, c, height, width = x.shape
        h = self.GroupNorm_0(x).permute(0, 2, 3, 1).reshape(n, 1, height * width, c)
        q, k, v = self.NIN_0(h), self.NIN_1(h), self.NIN_2(h)
        if hasattr(F, "scaled_dot_product_attention"):
            h = F.scaled_dot_product_attention(q, k, v)
        else:  # before PyTorch 2.0
            h = torch.softmax(q @ k.transpose(2, 3) * c ** -0.5, 3) @ v
        return join(x, self.NIN_3(h).reshape(n, height, width, c).permute(0, 3, 1, 2))


class Fourier(nn.Module):
    def __init__(self, nf):
        super().__init__()
        self.W = nn.Parameter(16 * torch.randn(nf), requires_grad=False)

    def forward(self, sigma):
        phase = torch.log(sigma)[:, None] * self.W * 2 * math.pi
        return torch.cat([torch.sin(phase), torch.cos(phase)], 1)


class Pyramid(nn.Module):
    """Smooths, and halves by a strided convolution."""

    def __init__(self, cin, cout):
        super().__init__()
        self.Conv2d_0 = nn.Conv2d(cin, cout, 3, stride=2)
        self.filter = Filter(cin)

    def forward(self, x):
        return self.Conv2d_0(self.filter.smooth(x))


class UNet(nn.Module):
    def __init__(self, nf, width, channels, mult, blocks, attention, dropout):
        super().__init__()
        self.mult, self.blocks, self.attention = mult, blocks, attention
        m = [Fourier(nf), nn.Linear(2 * nf, 4 * nf), nn.Linear(4 * nf, 4 * nf), nn.Conv2d(channels, nf, 3, padding=1)]
        c, pyramid, kept = nf, channels, [nf]
        for level, by in enumerate(mult):
            for _ in range(blocks):
                m.append(Block(c, by * nf, nf, dropout))
                c = by * nf
                if width >> level in attention:
                    m.append(Attention(c))
                kept.append(c)
            if level < len(mult) - 1:
                m += [Block(c, c, nf, dropout, "halve"), Pyramid(pyramid, c)]
                pyramid = c
                kept.append(c)
        m += [Block(c, c, nf, dropout), Attention(c), Block(c, c, nf, dropout)]
        for level in reversed(range(len(mult))):
            for _ in range(blocks + 1):
                m.append(Block(c + kept.pop(), mult[level] * nf, nf, dropout))
                c = mult[level] * nf
            if width >> level in attention:
                m.append(Attention(c))
            if level:
                m.append(Block(c, c, nf, dropout, "double"))
        m += [norm(c), nn.Conv2d(c, channels, 3, padding=1)]
        self.all_modules = nn.ModuleList(m)

    def forward(self, x, _, sigma):
        modules = iter(self.all_modules)
        take = modules.__next__
        temb = take()(sigma)
        temb = take()(temb)
        temb = F.silu(take()(F.silu(temb)))
        pyramid = x = 2 * x - 1
        h = take()(x)
        kept = [h]
        for level in range(len(self.mult)):
            for _ in range(self.blocks):
                h = take()(h, temb)
                if h.shape[3] in self.attention:
                    h = take()(h, temb)
                kept.append(h)
            if level < len(self.mult) - 1:
                h = take()(h, temb)
                h = pyramid = join(take()(pyramid), h)
                kept.append(h)
        for _ in range(3):
            h = take()(h, temb)
        for level in reversed(range(len(self.mult))):
            for _ in range(self.blocks + 1):
                h = take()(torch.cat([h, kept.pop()], 1), temb)
            if h.shape[3] in self.attention:
                h = take()(h, temb)
            if level:
                h = take()(h, temb)
        h = F.silu(take()(h))
        return take()(h) / sigma[:, None, None, None]


def load(net, tensors):
    """The parameters by their names; none may be missing, none be left over but the table of levels, which is not used."""
    net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items() if k != "sigmas"})
    return net.eval()


def difference(net, x, sigma, want):
    """How far the score is from another's, relative to its largest value."""
    with torch.no_grad():
        score = net(torch.from_numpy(x).contiguous(memory_format=torch.channels_last), None, torch.from_numpy(sigma)).numpy()
    return float(abs(score - want).max() / abs(want).max())


HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")


def golden_module():
    sys.path.insert(0, os.path.join(ROOT, "model", "testdata", "golden"))
    import golden
    return golden


def check():
    """The difference from what the original computed for a golden file of another size of the same network."""
    want, m = golden_module().load(os.path.join(ROOT, "model", "testdata", "score_sde", "ncsnpp-16x3-ve.safetensors"))
    numbers = [tuple(map(int, m[k].split(","))) for k in ("ch_mult", "attn_resolutions")]
    net = UNet(int(m["nf"]), int(m["width"]), int(m["channels"]), numbers[0], int(m["num_res_blocks"]), numbers[1], 0.0)
    load(net, {k[6:]: v for k, v in want.items() if k.startswith("param.")})
    return difference(net, want["xt"], want["cond"], want["score"])


def main():
    import numpy as np
    if len(sys.argv) != 7:
        raise SystemExit(__doc__)
    name, ngf, weights, x, sigma, score = sys.argv[1:]
    x = np.load(x).astype("f4")
    net = load(build(name, int(ngf), *x.shape[3:0:-2]), golden_module().load(weights)[0])
    sigma = np.full(len(x), float(sigma), "f4")
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    print(f"{parameters} parameters, score off by {difference(net, x, sigma, np.load(score)):.1e}")


if __name__ == "__main__":
    main()
