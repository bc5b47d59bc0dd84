"""run.py FOLDER checks every X.onnx in a folder, runs it, and compares its output with X.score.npy.

Both compute in float32, and differ by rounding: by at most 1e-5 of the largest value of a row, as a rule. Where a norm divides by
the deviation of a channel that is next to constant, rounding itself is larger. So where they differ by more, the file is computed
in float64 by onnx's own reference, too, and neither may be further from that than TIMES what the other is: a file that says
something else than the network is far from the network, and as near as ever to its own values in float64.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

LIMIT, TIMES = 1e-5, 4


def in_float64(model):
    """The model with float64 in the place of float32."""
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        for a in node.attribute:
            if a.type == onnx.AttributeProto.TENSOR:
                tensors.append(a.t)
            if node.op_type == "Cast" and a.name == "to" and a.i == TensorProto.FLOAT:
                a.i = TensorProto.DOUBLE
    for t in tensors:
        if t.data_type == TensorProto.FLOAT:
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), t.name))
    for v in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        if v.type.tensor_type.elem_type == TensorProto.FLOAT:
            v.type.tensor_type.elem_type = TensorProto.DOUBLE
    return ReferenceEvaluator(model)


def distance(a, b):
    """How far rows are apart, in units of the largest value of each, which has the size of its own noise."""
    return max(np.abs(x - y).max() / np.abs(y).max() for x, y in zip(a, b))


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
    error, more = max(distance(all_rows, expected), distance(one_row, expected[3:4])), ""
    ok = error <= LIMIT and np.isfinite(all_rows).all()
    if not ok:
        doubles = {name: v.astype(np.float64) if v.dtype == np.float32 else v for name, v in feed.items()}
        (exact,) = in_float64(onnx.load(str(path))).run(["score"], doubles)
        assert exact.dtype == np.float64, exact.dtype
        ours, theirs = distance(expected, exact), max(distance(all_rows, exact), distance(one_row, exact[3:4]))
        more = f", from float64 ours {ours:.2g}, onnxruntime {theirs:.2g}"
        ok = ours <= max(LIMIT, TIMES * theirs) and theirs <= max(LIMIT, TIMES * ours)
    print(f"{path.stem:44} {len(session.get_inputs())} inputs, error {error:.2g}{more}{'' if ok else ' TOO LARGE'}")
    bad += not ok
sys.exit(bad > 0)
