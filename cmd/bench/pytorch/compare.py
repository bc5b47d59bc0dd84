"""How many times faster than PyTorch a training step and a score evaluation are on this machine's CPU: of NCSNv2, and of U-Nets.

    python3 cmd/bench/pytorch/compare.py                        two sizes of NCSNv2, some minutes
    python3 cmd/bench/pytorch/compare.py --size 64,28,1,32      ngf, size, channels, batch; may be given again
    python3 cmd/bench/pytorch/compare.py --size digits,16,28,1,16 --size ncsnpp-cifar10,32,32,3,16
                                                                the U-Nets of presets, at another width
    python3 cmd/bench/pytorch/compare.py --python PYTHON ...    interpreters that have PyTorch: the faster one counts
    python3 cmd/bench/pytorch/compare.py --json FILE            every window as well

Needs Go, and an interpreter with numpy and PyTorch (1.13 or later; 2.0 or later for torch.compile, which needs a C++
compiler). This script itself needs neither, so that --python may name others than the one that runs it.

The network in PyTorch is that of model/testdata/golden/golden.py, or of unet.py beside this script, its training step that of
cuda/gpucheck/ncsnv2.py: images drawn from bytes and flipped, levels, noise, forward, loss, backward, Adam, moving average.
Before anything is timed its score is compared with a golden file. float32, as many threads as cores.

PyTorch comes in forms: eager and torch.compile, each with malloc as it is and with thresholds so high that memory freed is
kept, as page faults may cost it a third; channels_last, of U-Nets PyTorch's usual layout (nchw) too; Adam is fused where PyTorch
has it. Three windows of each find the fastest form,
which then takes turns with sigmaz: both are processes that are held open, and nothing runs beside what is timed. Around each
window the multiply-adds that the cores can do are measured for 10 ms: a window between two of which one is low (other jobs,
a throttled core) is dropped, and with it its partner. The result is the median of the ratios of neighbouring windows, with
the lowest and the highest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
SIZES = [(64, 28, 1, 32), (128, 32, 3, 16)]
UNETS = ("digits", "ncsnpp-cifar10")  # those of unet.py
TASKS = ("train", "score")
PROBE = 0.01  # seconds
SETTLE = 0.1  # seconds after a window: PyTorch's threads spin for a while when they have nothing more to do
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def parse(text):
    """The network of a size, "" for NCSNv2, and its four numbers as they are asked for."""
    *network, ngf, size, channels, batch = text.split(",")
    numbers = tuple(map(int, (ngf, size, channels, batch)))
    if min(numbers) < 1 or network not in [[], *([n] for n in UNETS)]:
        raise ValueError(text)
    return (*network, *numbers)


def name(size):
    *network, ngf, side, channels, batch = size
    return "%sngf %d %dx%dx%d b%d" % ("".join(n + " " for n in network), ngf, side, side, channels, batch)


# ------------------------------------------------------------------------------------------------------- PyTorch's process

def worker(how):
    """Answers the requests that cmd/bench -stdin answers, for PyTorch: train and score."""
    import functools
    import torch
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(ROOT, "cuda", "gpucheck"))
    import ncsnv2
    import unet
    torch.set_num_threads(os.cpu_count())
    error = unet.check()
    if not error < 1e-5:
        raise SystemExit(f"the score of unet.py differs from the golden file's by {error:.1e}: expected less than 1e-5")
    ncsnv2.NETWORKS.update((n, functools.partial(unet.build, n)) for n in UNETS)
    ncsnv2.serve(torch.device("cpu"), how, tolerance=1e-5)


class Process:
    def __init__(self, title, command, env=None):
        self.title = title
        self.log = tempfile.TemporaryFile("w+")
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                  env={**os.environ, **(env or {})})

    def read(self):
        line = self.p.stdout.readline()
        if not line:
            self.p.wait()
            self.log.seek(0)
            last = self.log.read().strip().splitlines()
            raise RuntimeError(f"{self.title}: {last[-1] if last else 'ended'}")
        answer = json.loads(line)
        if "Error" in answer:
            raise RuntimeError(f"{self.title}: {answer['Error']}")
        return answer

    def ask(self, what, *numbers):
        print(what, *numbers, file=self.p.stdin, flush=True)
        return self.read()

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()
        self.log.close()


# -------------------------------------------------------------------------------------------------------------- measuring

class Turns:
    """Windows that take turns, with the probe around them."""

    def __init__(self, bench, low):
        self.bench, self.low, self.highest, self.windows = bench, low, 0, []
        for _ in range(10):
            self.probe()

    def probe(self):
        flops = self.bench.ask("peak", PROBE)["Rate"]
        self.highest = max(self.highest, flops)
        return flops

    def quiet(self):
        """The probe, once the machine has been waited for; not forever."""
        for _ in range(40):
            flops = self.probe()
            if flops >= self.low * self.highest:
                break
            time.sleep(0.25)
        return flops

    def window(self, process, task, size, seconds):
        before = self.quiet()
        rate = process.ask(task, *size, seconds)["Rate"]
        time.sleep(SETTLE)
        w = {"by": process.title, "task": task, "size": name(size), "rate": rate, "probes": (before, self.probe())}
        self.windows.append(w)
        return w

    def good(self, *windows):
        return all(min(w["probes"]) >= self.low * self.highest for w in windows)


def median(values):
    values = sorted(values)
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2


def ratios(turns, task, size, form, sigmaz, pairs, seconds):
    """Ratios of neighbouring windows; the order changes from pair to pair. Ends when enough were good or three times as many
    were tried."""
    out = []
    for i in range(3 * pairs):
        order = (form, sigmaz) if i % 2 else (sigmaz, form)
        w = {p: turns.window(p, task, size, seconds) for p in order}
        if turns.good(*w.values()):
            out.append((w[sigmaz]["rate"], w[form]["rate"]))
        if len(out) == pairs:
            break
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", action="append", metavar="[UNET,]NGF,SIZE,CHANNELS,BATCH")
    parser.add_argument("--python", action="append", metavar="PYTHON", help="an interpreter with PyTorch (default: this one)")
    parser.add_argument("--task", action="append", choices=TASKS, dest="tasks", help="this one alone (default: both)")
    parser.add_argument("--pairs", type=int, default=7, help="windows of each side (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a window (default %(default)s)")
    parser.add_argument("--low", type=float, default=0.9, help="of the highest probe: below it a window is dropped (default %(default)s)")
    parser.add_argument("--forms", help="only forms that contain one of these words, by commas")
    parser.add_argument("--json", metavar="FILE", help="write every window to FILE")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker)
        return
    args.tasks = args.tasks or TASKS
    try:
        sizes = [parse(s) for s in args.size or []] or SIZES
    except ValueError:
        parser.error(f"--size: expected four whole numbers, ngf,size,channels,batch, and before them one of {', '.join(UNETS)} or nothing")

    forms = [Form(python, how, keep) for python in args.python or [sys.executable]
             for how in ("eager", "compile", "eager-nchw", "compile-nchw") for keep in (False, True)]
    if args.forms:
        forms = [f for f in forms if any(w in f.title.split() for w in args.forms.split(","))]
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "bench")
        subprocess.run(["go", "build", "-tags", "nocuda", "-o", binary, "./cmd/bench"], cwd=ROOT, check=True)
        print(subprocess.run([binary, "-check"], check=True, capture_output=True, text=True).stdout, end="")
        result = []
        sigmaz = Process("sigmaz", [binary, "-stdin"])
        turns = Turns(sigmaz, args.low)
        try:
            for size in sizes:  # NCSNv2 has convolutions alone, which channels_last suits
                result += measure(turns, size, [f for f in forms if len(size) == 5 or "nchw" not in f.how], sigmaz, args)
        finally:
            sigmaz.kill()
            if args.json:
                with open(args.json, "w") as f:
                    json.dump({"windows": turns.windows, "highest": turns.highest, "result": result}, f, indent=1)
        print("highest probe %.0f GFLOP/s" % (turns.highest / 1e9))
    if not any("ratio" in r for r in result):
        raise SystemExit("nothing was measured")


class Form:
    """A way to run PyTorch."""

    def __init__(self, python, how, keep):
        self.python, self.how, self.keep = python, how, keep
        self.title = how + (" malloc" if keep else "")

    def open(self):
        p = Process(f"{self.python}, {self.title}", [self.python, os.path.abspath(__file__), "--worker", self.how], KEEP if self.keep else None)
        try:
            about = p.read()
        except RuntimeError:
            p.kill()
            raise
        p.title = f"PyTorch {about['torch'].split('+')[0]} {self.title}"
        p.error = about["difference"]
        return p


def trial(turns, form, size, tasks, seconds):
    """The median of three good windows for each task, where there were so many; the process ends."""
    rates = {}
    p = form.open()
    try:
        for task in tasks:
            p.ask(task, *size, 0.001)  # what is done once
            good = []
            for _ in range(9):
                w = turns.window(p, task, size, seconds)
                if turns.good(w):
                    good.append(w["rate"])
                if len(good) == 3:
                    break
            if good:
                rates[task] = median(good)
        return p.title, p.error, rates
    finally:
        p.kill()


def measure(turns, size, forms, sigmaz, args):
    print(f"\n{name(size)}", flush=True)
    tried = []  # form, title, rates
    for f in forms:
        try:
            title, error, rates = trial(turns, f, size, args.tasks, args.seconds)
        except (RuntimeError, OSError) as e:  # a form that fails leaves the others
            print(f"  not measured: {e}", flush=True)
            continue
        tried.append((f, title, rates))
        print(f"  {title:36}", *(f"{task} {rates[task]:7.1f} images/s  " if task in rates else f"{task} never quiet  " for task in args.tasks),
              f"score off by {error:.0e}", flush=True)
    out, p, opened = [], None, None
    try:
        for task in args.tasks:
            r = {"size": name(size), "task": task}
            out.append(r)
            good = [t for t in tried if task in t[2]]
            if not good:
                print(f"  {task}: no form of PyTorch was measured", flush=True)
                continue
            form, title, _ = max(good, key=lambda t: t[2][task])
            if opened is not form:
                if p:
                    p.kill()
                p, opened = form.open(), form
            for side in (p, sigmaz):
                side.ask(task, *size, 0.001)
            pairs = ratios(turns, task, size, p, sigmaz, args.pairs, args.seconds)
            if not pairs:
                print(f"  {task}: the machine was never quiet", flush=True)
                continue
            each = [a / b for a, b in pairs]
            r.update(form=title, sigmaz=median([a for a, _ in pairs]), pytorch=median([b for _, b in pairs]),
                     ratio=median(each), lowest=min(each), highest=max(each), pairs=len(each))
            print(f"  {task}: sigmaz {r['sigmaz']:.1f}, {title} {r['pytorch']:.1f} images/s")
            print(f"  {task}: {r['ratio']:.2f} times as fast ({r['lowest']:.2f} to {r['highest']:.2f}, {len(each)} pairs of windows)", flush=True)
    finally:
        if p:
            p.kill()
    return out


if __name__ == "__main__":
    main()
