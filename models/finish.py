"""The last step every train.py shares: check the graph, try it, write the files.

`finish` refuses a model that scores below its floor or that fails a check
*before* it writes anything, so a bad training run never replaces a good model.
It writes, under `<name>/1/`:

    model.onnx           the model
    sample_input.json    a body the scoring route accepts
    sample_output.json   what ONNX Runtime answers to it
"""

import json
import os
from pathlib import Path

# Must be set before the import: the runtime reads it when it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime as ort

PRODUCER = "scoria-models"

# Opset 17 and IR 8 are old enough for every runtime of the last few years and
# new enough to have LayerNormalization.
OPSET = 17
IR_VERSION = 8

# A batched matrix product may add its terms in another order than a single
# row's, so batches are compared to within float32 rounding, not bit for bit.
TOLERANCE = 1e-5


def session(model):
    """An ONNX Runtime session for `model`, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def make_model(graph, doc, opsets=None):
    """Wrap `graph` in a model with our producer, documentation and versions."""
    model = onnx.helper.make_model(
        graph,
        opset_imports=opsets or [onnx.helper.make_opsetid("", OPSET)],
        producer_name=PRODUCER,
        doc_string=doc,
    )
    model.ir_version = IR_VERSION
    return model


def plain(array):
    """`array` as nested lists whose numbers are the shortest that round-trip.

    A float32 0.1 becomes 0.1 and not 0.10000000149011612.
    """
    array = np.asarray(array)
    if array.dtype == np.float32:
        # Through text: numpy prints a float32 in the fewest digits it takes.
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def same(a, b):
    """Equal for labels and integers; within TOLERANCE for float32."""
    if a.dtype == np.float32:
        return a.shape == b.shape and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
    return np.array_equal(a, b)


def check_batch(run, feeds):
    """Three rows scored together must answer as three rows scored one by one."""
    assert all(len(x) == 3 for x in feeds.values())
    together = run(feeds)
    for i in range(3):
        alone = run({name: x[i : i + 1] for name, x in feeds.items()})
        for a, b in zip(alone, together):
            assert same(a, b[i : i + 1]), f"row {i} changes when it is batched"


def finish(script, model, body, three_rows, score, floor):
    """Check `model` and write its files next to the train.py at `script`.

    body        the sample request: {"data": rows} or {input name: rows, ...}
    three_rows  {input name: array of three rows} for the batch check
    score       the held-out score, measured on what the ONNX model answers
    floor       the least score accepted
    """
    folder = Path(script).resolve().parent
    print(f"{folder.name}: held-out score {score:.4f} (floor {floor})")
    if not score >= floor:
        raise SystemExit(f"{folder.name}: the score is below the floor; nothing written")

    onnx.checker.check_model(model, full_check=True)
    sess = session(model)
    dtypes = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    inputs = {i.name: dtypes[i.type] for i in sess.get_inputs()}
    outputs = [o.name for o in sess.get_outputs()]

    def run(feeds):
        return sess.run(None, feeds)

    check_batch(run, three_rows)

    def answer(request):
        named = request if "data" not in request else {next(iter(inputs)): request["data"]}
        got = run({name: np.array(named[name], dtype) for name, dtype in inputs.items()})
        if len(outputs) == 1:
            return plain(got[0])
        return {name: plain(value) for name, value in zip(outputs, got)}

    version = folder / "1"
    version.mkdir(exist_ok=True)
    onnx.save(model, version / "model.onnx")
    (version / "sample_input.json").write_text(json.dumps(body) + "\n")
    (version / "sample_output.json").write_text(json.dumps(answer(body)) + "\n")

    # Read everything back: what counts is what the files say.
    sess = session(onnx.load(version / "model.onnx"))
    asked = json.loads((version / "sample_input.json").read_text())
    told = json.loads((version / "sample_output.json").read_text())
    assert answer(asked) == told, "sample_output.json is not the runtime's answer"
    print(f"{folder.name}: {(version / 'model.onnx').stat().st_size} bytes, checks passed")
