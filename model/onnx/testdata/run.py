"""run.py FOLDER checks every X.onnx in a folder, runs it, and compares its output with X.score.npy."""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
bad = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    load = lambda what: np.load(f"{str(path)[:-5]}.{what}.npy")
    expected = load("score")
    # All rows together, and one row alone: N is open, and rows are independent.
    feed = {i.name: load(i.name) for i in session.get_inputs()}
    (all_rows,) = session.run(["score"], feed)
    (one_row,) = session.run(["score"], {name: v[3:4] for name, v in feed.items()})
    assert all_rows.shape == expected.shape and all_rows.dtype == np.float32, all_rows.shape
    # Each row has the size of its own noise.
    error = max(np.abs(all_rows[i] - expected[i]).max() / np.abs(expected[i]).max() for i in range(len(expected)))
    error = max(error, np.abs(one_row[0] - expected[3]).max() / np.abs(expected[3]).max())
    ok = error <= 1e-5 and np.isfinite(all_rows).all()
    print(f"{path.stem:32} {len(session.get_inputs())} inputs, error {error:.2g}{'' if ok else ' TOO LARGE'}")
    bad += not ok
sys.exit(bad > 0)
