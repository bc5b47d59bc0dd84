"""The original network in PyTorch, which trains and samples when asked to: to be timed in turn with `sigmaz bench -stdin`.

    python3 ncsnv2.py                    on the GPU
    python3 ncsnv2.py --device cpu       on the CPU, to try it

The network is that of model/testdata/golden/golden.py, which the golden files come from. Its score is first compared with a
golden file on the same device. Needs numpy and PyTorch (2.0 or later for torch.compile).

The first line that is written says what answers. Then each line of standard input is a request, answered by a line of JSON:

    way HOW KIND                             how the following ones compute; networks of another KIND are forgotten
    train NGF SIZE CHANNELS BATCH SECONDS    training steps, images/s
    score NGF SIZE CHANNELS BATCH SECONDS    evaluations of the score, images/s; before NGF may stand one of NETWORKS
    copy SECONDS                             a copy in the device's memory, B/s read and written
    matmul SECONDS                           a product of two large matrices, FLOP/s

HOW is eager, or compile: through torch.compile; -nchw behind it takes PyTorch's usual layout. KIND is

    float32    every product in float32: TF32 is off
    tf32       convolutions in TF32, PyTorch's default on a GPU
    bf16       autocast to bfloat16; weights, moments and moving average in float32

all with cuDNN's benchmark mode, and channels_last unless HOW says otherwise. A request that fails, as a compiler may, is
answered with its error, and the next one is read.

A training step is that of `sigmaz bench`: images drawn from bytes on the device and flipped, levels, noise, forward, loss,
backward, Adam (fused), moving average. Nothing is copied to the host, and the device is waited for a few times in a window.
"""

import argparse
import contextlib
import json
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


def ncsnv2(ngf, size, channels):
    return golden.build({"net": "ncsnv2", "ngf": ngf, "channels": channels, "levels": 40, "normalization": "InstanceNorm++",
                         "nonlinearity": "elu"})


# What makes a network of NGF, SIZE and CHANNELS, called with images, labels and sigma; who imports this may add more.
NETWORKS = {"ncsnv2": ncsnv2}


class Case:
    """One size in one way."""

    def __init__(self, device, how, kind, name, ngf, size, channels, batch):
        self.device, self.kind, self.batch = device, kind, batch
        torch.manual_seed(1)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        layout = torch.contiguous_format if how.endswith("-nchw") else torch.channels_last
        self.net = NETWORKS[name](ngf, size, channels).to(device=device, memory_format=layout)
        self.params = [p for p in self.net.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.params]
        try:
            self.adam = torch.optim.Adam(self.params, lr=1e-4, fused=True)
        except (RuntimeError, TypeError, ValueError):  # on a CPU before PyTorch 2.4
            self.adam = torch.optim.Adam(self.params, lr=1e-4)
        self.call = self.net
        if how.startswith("compile"):
            (torch.compiler if hasattr(torch, "compiler") else torch._dynamo).reset()  # or the compiler gives up after so many versions of one function
            self.call = torch.compile(self.net, dynamic=False)
        data = torch.randint(0, 256, (max(64, 2 * batch), channels, size, size), dtype=torch.uint8, device=device)
        self.data = data.contiguous(memory_format=layout)
        self.sigmas = torch.logspace(1, -2, 40, device=device)
        self.x = torch.randn(batch, channels, size, size, device=device).contiguous(memory_format=layout)
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


class Server:
    """Answers requests. Networks are kept for the next one, and run before they are first timed."""

    def __init__(self, device, how, kind):
        self.device, self.how, self.kind = device, how, kind
        self.cases, self.ran = {}, set()

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def window(self, run, seconds):
        """How many runs took how many seconds."""
        runs, times = 0, 1
        self.wait()
        start = now = time.perf_counter()
        while now - start < seconds:
            for _ in range(times):
                run()
            self.wait()
            runs += times
            before, now = now, time.perf_counter()
            if now - before < seconds / 16:
                times *= 2
        return runs, now - start

    def rate(self, run, work, seconds, warm):
        for _ in range(warm):
            run()
        runs, took = self.window(run, seconds)
        return {"Rate": runs * work / took, "Runs": runs}

    def forget(self):
        self.cases.clear()
        self.ran.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def answer(self, what, *words):
        if what == "way":
            how, kind = words
            if kind != self.kind:
                self.forget()
            self.how, self.kind = how, kind
            return {}
        *size, seconds = words
        seconds = float(seconds)
        cuda = self.device.type == "cuda"
        if what == "copy":
            x = torch.randn((1 << 29) if cuda else 1 << 20, device=self.device)
            y = torch.empty_like(x)
            return self.rate(lambda: y.copy_(x), 2 * x.numel() * x.element_size(), seconds, 3)
        if what == "matmul":
            n, dtype = 8192 if cuda else 64, torch.bfloat16 if self.kind == "bf16" else torch.float32
            torch.backends.cuda.matmul.allow_tf32 = self.kind == "tf32"
            a, b = (torch.randn(n, n, device=self.device, dtype=dtype) for _ in range(2))
            return self.rate(lambda: a @ b, 2 * n ** 3, seconds, 3)
        name = "ncsnv2" if size[0].isdigit() else size.pop(0)
        size = name, *map(int, size)
        key = self.how, size
        if key not in self.cases:
            self.cases[key] = Case(self.device, self.how, self.kind, *size)
        case = self.cases[key]
        case.net.train(what == "train")
        run = {"train": case.train, "score": case.score}[what]
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        out = self.rate(run, case.batch, seconds, 0 if (key, what) in self.ran else 3)  # compiles, chooses algorithms
        self.ran.add((key, what))
        if cuda:
            out["Memory"] = torch.cuda.max_memory_allocated(self.device)
        return out


def serve(device, how="eager", kind="float32", tolerance=1e-4):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    error = check_score(device)
    if not error < tolerance:
        raise SystemExit(f"PyTorch's score differs from the golden file's by {error:.1e}: expected less than {tolerance:g}")
    print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "compile": hasattr(torch, "compile"),
                      "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                      "threads": torch.get_num_threads(), "difference": error}), flush=True)
    server = Server(device, how, kind)
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            out = server.answer(*line.split())
        except Exception as e:  # the other requests can be answered
            server.forget()  # out of memory, perhaps
            first = str(e).strip().splitlines()
            out = {"Error": f"{type(e).__name__}: {first[0] if first else ''}"[:200]}
        print(json.dumps(out), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} sees no GPU")
    serve(device)


if __name__ == "__main__":
    main()
