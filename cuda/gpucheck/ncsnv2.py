"""The original network in PyTorch at the sizes that cmd/bench measures: how fast it trains and samples.

    python3 ncsnv2.py                                  on the GPU
    python3 ncsnv2.py --bench bench.json               with the numbers of `bench -gpu -json bench.json` beside them
    python3 ncsnv2.py --device cpu --quick             small, on the CPU: to try the script

The network is that of model/testdata/golden/golden.py, which the golden files come from; before anything is timed its score
is compared with a golden file on the same device. Needs numpy and PyTorch (2.0 or later for torch.compile).

A training step is what cmd/bench measures: images drawn from bytes on the device and flipped, levels, noise, forward, loss,
backward, Adam (fused), moving average. A sampling step is one evaluation of the network and one Langevin update. Nothing
is copied to the host in between, and the device is waited for before and after each repetition. Each way is

    eager | compile     as written, or through torch.compile
    float32             every product in float32: TF32 is off
    tf32                convolutions in TF32, PyTorch's default on a GPU
    bf16                autocast to bfloat16; weights, moments and moving average in float32

all with channels_last and cuDNN's benchmark mode. A number is the median of several repetitions, with the one furthest from it.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import time

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
# Beside the script in the repository; GOLDEN names another place.
GOLDEN = os.environ.get("GOLDEN") or os.path.join(HERE, "..", "..", "model", "testdata", "golden")
if not os.path.exists(os.path.join(GOLDEN, "golden.py")):
    raise SystemExit(f"{GOLDEN} holds no golden.py: set GOLDEN to the folder that does")
sys.dont_write_bytecode = True
sys.path.insert(0, GOLDEN)
import golden  # noqa: E402

# name, ngf, size, channels, batch: the names are those of cmd/bench. The most telling sizes come first, in case time runs out.
SIZES = [("ngf 128 32x32x3 b128", 128, 32, 3, 128), ("ngf 64 28x28x1 b32", 64, 28, 1, 32),
         ("ngf 128 32x32x3 b16", 128, 32, 3, 16), ("ngf 8 28x28x1 b32", 8, 28, 1, 32)]
QUICK = [("ngf 4 12x12x1 b2", 4, 12, 1, 2)]
WAYS = [(how, kind) for kind in ("float32", "tf32", "bf16") for how in ("eager", "compile")]


class Timer:
    """Seconds of one call: median, fastest, slowest."""

    def __init__(self, device, reps, target):
        self.device, self.reps, self.target = device, reps, target

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def repetition(self, f, n):
        self.wait()
        start = time.perf_counter()
        for _ in range(n):
            f()
        self.wait()
        return time.perf_counter() - start

    def __call__(self, f):
        self.repetition(f, 3)  # compiles, chooses algorithms
        n, took = 1, self.repetition(f, 1)
        while took < self.target / 4:
            n *= 4
            took = self.repetition(f, n)
        n = max(1, round(n * self.target / took))
        each = sorted(self.repetition(f, n) / n for _ in range(self.reps))
        return each[len(each) // 2], each[0], each[-1]


def check_score(device):
    """The network's score on this device against the golden file: the worst error relative to the largest value."""
    want, m = golden.load(os.path.join(GOLDEN, "ncsnv2-12x8.safetensors"))
    net = golden.build(m)
    net.load_state_dict({k[6:]: torch.from_numpy(v) for k, v in want.items() if k.startswith("param.")})
    net.to(device=device, memory_format=torch.channels_last)
    y = torch.from_numpy(want["labels"])
    sigma = torch.from_numpy(want["sigmas"])[y].to(device)
    with torch.no_grad():
        score = net(torch.from_numpy(want["xt"]).to(device), y.to(device), sigma).cpu().numpy()
    return float(abs(score - want["score"]).max() / abs(want["score"]).max())


def macs(net, channels, size):
    """Multiply-adds of the convolutions for one image."""
    total, hooks = [0], []

    def count(module, inputs, output):
        total[0] += module.weight.numel() * output.shape[2] * output.shape[3]

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            hooks.append(module.register_forward_hook(count))
    p = next(net.parameters())
    with torch.no_grad():
        net(torch.zeros(1, channels, size, size, device=p.device), None, torch.ones(1, device=p.device))
    for h in hooks:
        h.remove()
    return total[0]


class Case:
    """One size in one way. fused asks for Adam in one kernel, which every PyTorch has on a GPU."""

    def __init__(self, device, how, kind, ngf, size, channels, batch, fused=False):
        self.device, self.kind, self.batch = device, kind, batch
        torch.manual_seed(1)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        m = {"net": "ncsnv2", "ngf": ngf, "channels": channels, "levels": 40, "normalization": "InstanceNorm++", "nonlinearity": "elu"}
        self.net = golden.build(m).to(device=device, memory_format=torch.channels_last)
        self.macs = macs(self.net, channels, size)
        self.params = list(self.net.parameters())
        self.ema = [p.detach().clone() for p in self.params]
        self.adam = torch.optim.Adam(self.params, lr=1e-4, **({"fused": True} if fused or device.type == "cuda" else {}))
        self.call = self.net
        if how == "compile":
            torch.compiler.reset()  # or the compiler gives up after so many versions of one function
            self.call = torch.compile(self.net, dynamic=False)
        data = torch.randint(0, 256, (max(64, 2 * batch), channels, size, size), dtype=torch.uint8, device=device)
        self.data = data.contiguous(memory_format=torch.channels_last)
        self.sigmas = torch.logspace(1, -2, 40, device=device)
        self.x = torch.randn(batch, channels, size, size, device=device).contiguous(memory_format=torch.channels_last)
        self.sigma = torch.full((batch,), 0.1, device=device)

    def precision(self):
        if self.kind == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def train(self):
        device, n = self.device, self.batch
        with torch.no_grad():
            x = self.data[torch.randint(0, self.data.shape[0], (n,), device=device)].float() / 255
            x = torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.5, x.flip(3), x)
            sigma = self.sigmas[torch.randint(0, len(self.sigmas), (n,), device=device)]
            z = torch.randn_like(x)
            xt = x + sigma[:, None, None, None] * z
        self.adam.zero_grad(set_to_none=True)
        with self.precision():
            score = self.call(xt, None, sigma)
        s = sigma[:, None, None, None]
        loss = (0.5 * ((score.float() + z / s) ** 2).sum((1, 2, 3)) * sigma ** 2).mean()
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            torch._foreach_mul_(self.ema, 0.999)
            torch._foreach_add_(self.ema, self.params, alpha=0.001)
        return loss

    def score(self):
        with torch.no_grad(), self.precision():
            return self.call(self.x, None, self.sigma)

    def sample(self):
        a = 1e-5
        score = self.score()
        with torch.no_grad():
            self.x.add_(score.float(), alpha=a).add_(torch.randn_like(self.x), alpha=math.sqrt(2 * a))


def text(rate):
    if not rate:
        return "-"
    median, low, high = rate
    digits = f"{median:.0f}" if median >= 100 else f"{median:.3g}"
    return f"{digits} ±{100 * max(high / median - 1, 1 - low / median):.0f}%"


def ours(path):
    """Rates of cmd/bench by table and size, {} where nothing was timed."""
    if not path:
        return {}, None
    with open(path) as f:
        report = json.load(f)
    rates = {(r["Table"], r["Name"]): (r["Values"][0]["Median"], r["Values"][0]["Low"], r["Values"][0]["High"])
             for r in report["Rows"] or [] if r["Table"] in ("training", "sampling") and r["Values"][0]["Median"]}
    memory = {r["Name"]: r.get("Memory") for r in report["Rows"] or [] if r["Table"] == "training"}
    return rates, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="one small size, short measurements")
    parser.add_argument("--bench", metavar="FILE", help="what `bench -json FILE` wrote")
    parser.add_argument("--json", metavar="FILE", help="write the numbers to FILE")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--seconds", type=float, default=240, help="start no further case after that many")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no GPU")
    deadline = time.monotonic() + args.seconds
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    error = check_score(device)
    print(f"PyTorch {torch.__version__} on {name}; its score differs from the golden file's by {error:.1e}", flush=True)
    if not error < 1e-4:
        raise SystemExit("the network does not compute what the golden file says")

    timer = Timer(device, 3 if args.quick else 5, 0.02 if args.quick else 0.3)
    mine, my_memory = ours(args.bench)
    rows, skipped = [], []
    for size_name, *size in QUICK if args.quick else SIZES:
        for how, kind in WAYS:
            way = f"{how} {kind}"
            if how == "compile" and (args.no_compile or not hasattr(torch, "compile")):
                continue
            if kind == "tf32" and device.type != "cuda":
                continue
            if time.monotonic() > deadline:
                skipped.append(f"{size_name} {way}")
                continue
            try:
                case = None
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats(device)
                case = Case(device, how, kind, *size)
                images = case.batch
                rates = {}
                for what, f in (("training", case.train), ("sampling", case.sample)):
                    median, fastest, slowest = timer(f)
                    rates[what] = (images / median, images / slowest, images / fastest)
                    if what == "training":
                        memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
                rows.append({"size": size_name, "way": way, "macs": case.macs, "memory": memory, **rates})
            except Exception as e:  # a compiler that fails leaves the other ways to measure
                skipped.append(f"{size_name} {way}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"[:160])
            finally:
                del case
            r = rows[-1] if rows else None
            if r and (r["size"], r["way"]) == (size_name, way):
                print(f"  {size_name:22} {way:16} {text(r['training']):>12} images/s {text(r['sampling']):>12} scores/s", flush=True)

    print()
    head = ["", "images/s", "sigmaz", "scores/s", "sigmaz", "memory"]
    lines = [head]
    for size in dict.fromkeys(r["size"] for r in rows):
        t, s = mine.get(("training", size)), mine.get(("sampling", size))
        gib = f"{my_memory[size] / 2**30:.2f} GiB" if t and my_memory.get(size) else ""
        lines.append([size + ("  sigmaz" if t else ""), text(t) if t else "", "", text(s) if s else "", "", gib])
        for r in rows:
            if r["size"] != size:
                continue
            share = lambda a, b: f"{a[0] / b[0]:.2f}x" if a else ""
            lines.append(["  " + r["way"], text(r["training"]), share(t, r["training"]), text(r["sampling"]),
                          share(s, r["sampling"]), f"{r['memory'] / 2**30:.2f} GiB" if r["memory"] else ""])
    widths = [max(len(l[c]) for l in lines) for c in range(len(head))]
    for l in lines:
        print("  ".join(f"{cell:{'<' if c == 0 else '>'}{w}}" for c, (cell, w) in enumerate(zip(l, widths))).rstrip())
    if mine:
        print("sigmaz in float32, without tensor cores; 2.00x: sigmaz is twice as fast")
    for s in skipped:
        print("not measured:", s)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"torch": torch.__version__, "cuda": torch.version.cuda, "device": name, "score_error": error, "rows": rows,
                       "skipped": skipped}, f, indent=2)
    if not rows:
        raise SystemExit("nothing was measured")


if __name__ == "__main__":
    main()
