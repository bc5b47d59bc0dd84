"""How many times faster than PyTorch a training step and a score evaluation of NCSNv2 are on this machine's CPU.

    python3 cmd/bench/pytorch/compare.py                        both sizes, some minutes
    python3 cmd/bench/pytorch/compare.py --size 64,28,1,32      ngf, size, channels, batch; may be given again
    python3 cmd/bench/pytorch/compare.py --python PYTHON ...    interpreters that have PyTorch: the faster one counts
    python3 cmd/bench/pytorch/compare.py --json FILE            every window as well

Needs Go, and an interpreter with numpy and PyTorch (1.13 or later; 2.0 or later for torch.compile, which needs a C++
compiler). This script itself needs neither, so that --python may name others than the one that runs it.

The network in PyTorch is that of model/testdata/golden/golden.py, its training step that of cuda/gpucheck/ncsnv2.py:
images drawn from bytes and flipped, levels, noise, forward, loss, backward, Adam, moving average. Before anything is timed
its score is compared with a golden file. float32, channels_last, as many threads as cores.

Both sides are processes that are held open and take turns: nothing runs beside what is timed. PyTorch comes in forms:
eager and torch.compile, each with malloc as it is and with thresholds so high that memory freed is kept, as page faults may
cost it a third; Adam is fused where PyTorch has it. A few windows of each find the fastest form of a size, which then takes
turns with sigmaz. Around each window the multiply-adds that the cores can do are measured for 10 ms: a window between two of
which one is low (other jobs, a throttled core) is dropped, and with it its partner. The result is the median of the ratios
of neighbouring windows, with the lowest and the highest.
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
TASKS = ("train", "score")
PROBE = 0.01  # seconds
SETTLE = 0.1  # seconds after a window: PyTorch's threads spin for a while when they have nothing more to do
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def name(size):
    return "ngf %d %dx%dx%d b%d" % (size[0], size[1], size[1], size[2], size[3])


# ------------------------------------------------------------------------------------------------------- PyTorch's process

def worker(how):
    """Answers the requests that cmd/bench -stdin answers, for PyTorch: train and score."""
    import torch
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(ROOT, "cuda", "gpucheck"))
    import ncsnv2
    torch.set_num_threads(os.cpu_count())
    device = torch.device("cpu")
    error = ncsnv2.check_score(device)
    if not error < 1e-5:
        raise SystemExit(f"PyTorch's score differs from the golden file's by {error:.1e}")
    print(json.dumps({"torch": torch.__version__, "error": error, "threads": torch.get_num_threads()}), flush=True)
    kept = {}
    for line in sys.stdin:
        what, *size, seconds = line.split()
        size, seconds = tuple(map(int, size)), float(seconds)
        if size not in kept:
            try:
                kept[size] = ncsnv2.Case(device, how, "float32", *size, fused=True)
            except (RuntimeError, TypeError, ValueError):  # before PyTorch 2.4
                kept[size] = ncsnv2.Case(device, how, "float32", *size)
        case = kept[size]
        run = case.train if what == "train" else case.score
        if (size, what) not in kept:
            run()  # compiles
            run()
            kept[size, what] = True
        runs, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            run()
            runs += 1
        print(json.dumps({"Rate": runs * case.batch / (time.perf_counter() - start), "Runs": runs}), flush=True)


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
        return json.loads(line)

    def ask(self, what, *numbers):
        print(what, *numbers, file=self.p.stdin, flush=True)
        return self.read()

    def close(self):
        self.p.stdin.close()
        self.p.wait()
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
    parser.add_argument("--size", action="append", metavar="NGF,SIZE,CHANNELS,BATCH")
    parser.add_argument("--python", action="append", metavar="PYTHON", help="an interpreter with PyTorch (default: this one)")
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
    try:
        sizes = [tuple(map(int, s.split(","))) for s in args.size or []] or SIZES
        assert all(len(s) == 4 and min(s) > 0 for s in sizes)
    except (ValueError, AssertionError):
        parser.error("--size: expected four whole numbers, ngf,size,channels,batch")

    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "bench")
        subprocess.run(["go", "build", "-tags", "nocuda", "-o", binary, "./cmd/bench"], cwd=ROOT, check=True)
        check = subprocess.run([binary, "-check"], check=True, capture_output=True, text=True).stdout
        print(check, end="")
        sigmaz = Process("sigmaz", [binary, "-stdin"])
        processes, result = [sigmaz], []
        try:
            turns = Turns(sigmaz, args.low)
            forms = []
            for python in args.python or [sys.executable]:
                for how in ("eager", "compile"):
                    for keep in (False, True):
                        title = how + (" malloc" if keep else "")
                        if args.forms and not any(w in title.split() for w in args.forms.split(",")):
                            continue
                        p = Process(title, [python, os.path.abspath(__file__), "--worker", how], KEEP if keep else None)
                        processes.append(p)
                        try:
                            about = p.read()
                        except RuntimeError as e:
                            print(f"not measured: {python}: {e}")
                            continue
                        p.title = f"PyTorch {about['torch'].split('+')[0]} {title}"
                        p.about = about
                        forms.append(p)
            if not forms:
                raise SystemExit("no PyTorch: --python names an interpreter that has it")
            print("PyTorch's score differs from the golden file's by %.1e" % max(f.about["error"] for f in forms))
            for size in sizes:
                for task in TASKS:
                    result.append(measure(turns, task, size, forms, sigmaz, args))
            print("highest probe %.0f GFLOP/s" % (turns.highest / 1e9))
        finally:
            for p in processes:
                p.p.kill()
                p.p.wait()
            if args.json and processes:
                with open(args.json, "w") as f:
                    json.dump({"windows": turns.windows, "highest": turns.highest, "result": result}, f, indent=1)


def measure(turns, task, size, forms, sigmaz, args):
    print(f"\n{name(size)}, {task}", flush=True)
    tried, failed = {}, set()
    for _ in range(9):  # rounds, until each form has three good windows
        for f in forms:
            if f in failed or len(tried.get(f, [])) == 3:
                continue
            try:
                if f not in tried:
                    f.ask(task, *size, 0.001)  # what is done once
                    tried[f] = []
                w = turns.window(f, task, size, args.seconds)
                if turns.good(w):
                    tried[f].append(w["rate"])
            except RuntimeError as e:  # a form that fails leaves the others
                print(f"  not measured: {e}")
                failed.add(f)
    tried = {f: median(rates) for f, rates in tried.items() if rates and f not in failed}
    if not tried:
        print("  the machine was never quiet: no rate")
        return {"size": name(size), "task": task}
    for f, rate in sorted(tried.items(), key=lambda x: -x[1]):
        print(f"  {f.title:42} {rate:8.1f} images/s", flush=True)
    form = max(tried, key=tried.get)
    pairs = ratios(turns, task, size, form, sigmaz, args.pairs, args.seconds)
    if not pairs:
        print("  the machine was never quiet: no ratio")
        return {"size": name(size), "task": task}
    r = [a / b for a, b in pairs]
    ours, theirs = median([a for a, _ in pairs]), median([b for _, b in pairs])
    print(f"  sigmaz {ours:.1f}, {form.title} {theirs:.1f} images/s")
    print(f"  ratio  {median(r):.2f} ({min(r):.2f} to {max(r):.2f}, {len(r)} pairs of windows)", flush=True)
    return {"size": name(size), "task": task, "form": form.title, "sigmaz": ours, "pytorch": theirs, "ratio": median(r),
            "lowest": min(r), "highest": max(r), "pairs": len(r)}


if __name__ == "__main__":
    main()
