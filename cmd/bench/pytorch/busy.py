"""How many times faster than PyTorch a training step of the U-Nets is, on a machine that other jobs share.

    python3 cmd/bench/pytorch/busy.py

One thread on both sides, and the processor time that each spends in place of the time that passes: threads that wait for each
other while other jobs run distort what compare.py measures, and one thread waits for nobody. The programs take turns, three
times. PyTorch is eager, in both layouts; what is timed is as in compare.py.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
SIZES = [("digits", 16, 28, 1, 16, 3), ("ncsnpp-cifar10", 32, 32, 3, 16, 8)]  # with the seconds of a window


def spent(pid):
    """The processor time of a process so far, in seconds; Linux."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    import torch
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(ROOT, "cuda", "gpucheck"))
    import ncsnv2
    import unet
    torch.set_num_threads(1)
    error = unet.check()
    if not error < 1e-5:
        raise SystemExit(f"the score of unet.py differs from the golden file's by {error:.1e}: expected less than 1e-5")
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "bench")
        subprocess.run(["go", "build", "-tags", "nocuda", "-o", binary, "./cmd/bench"], cwd=ROOT, check=True)
        with subprocess.Popen([binary, "-workers", "1", "-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bench:
            def sigmaz(*words):
                before = spent(bench.pid)
                print("train", *words, file=bench.stdin, flush=True)
                runs = json.loads(bench.stdout.readline())["Runs"]
                return runs / (spent(bench.pid) - before)

            def pytorch(case, seconds):
                runs, start, before = 0, time.perf_counter(), time.process_time()
                while time.perf_counter() - start < seconds:
                    case.train()
                    runs += 1
                return runs / (time.process_time() - before)

            for name, *size, seconds in SIZES:
                ncsnv2.NETWORKS[name] = functools.partial(unet.build, name)
                cases = {how: ncsnv2.Case(torch.device("cpu"), how, "float32", name, *size) for how in ("eager", "eager-nchw")}
                for case in cases.values():
                    pytorch(case, 1)
                sigmaz(name, *size, 0.01)
                for _ in range(3):
                    ours = sigmaz(name, *size, seconds)
                    theirs = {how: pytorch(case, seconds) for how, case in cases.items()}
                    print(name, *(f"{how} {rate * size[3]:.1f}" for how, rate in {"sigmaz": ours, **theirs}.items()),
                          f"images a second of one core: {ours / max(theirs.values()):.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
