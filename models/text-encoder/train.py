"""A small transformer: sentences to vectors that lie close when topics agree.

Data: sentences from the docstrings of Python's standard library, read from the
interpreter that runs this script. The network learns to tell which of sixteen
packages a sentence comes from, by the cosine between the sentence's vector and
one learned vector per package. One docstring in five is held out, whole, so
that no sentence is judged by its neighbours.

The score does not use those learned vectors, only what the model gives: each
held-out sentence is assigned to the package whose training sentences have the
nearest mean embedding. It is the mean over packages of the share assigned
right, so that guessing scores 1/16.

Text goes in as bytes: id 0 is padding and a byte is its value plus one, so there
is no tokenizer. A convolution over nine bytes gives the network both spelling
and order; there is no table of positions and hence no greatest length.
"""

import ast
import os
import re
import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True  # a __pycache__ would lie among the models
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"
import adam
import finish

import jax
import jax.numpy as jnp
import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOOR = 0.5
PACKAGES = (
    "tkinter email asyncio turtle logging _pydecimal unittest http "
    "difflib ipaddress statistics tarfile urllib xml importlib multiprocessing"
).split()
MOST_PER_PACKAGE = 400  # so that tkinter does not drown the others
LENGTH = 96  # bytes of a sentence seen in one training step
EPOCHS = 14
BATCH = 64
RATE = 2e-3

BYTES, HIDDEN, HEADS, LAYERS, KERNEL = 32, 64, 4, 2, 9
OUT = HIDDEN
EPSILON = 1e-5
FAR = 1e9  # added to the score of padding, negated: its softmax weight is then 0

rng = np.random.default_rng(7)


# --- The data ---------------------------------------------------------------


def docstrings(package):
    """The docstrings of a standard library module or package, in source order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = sorted((root / package).rglob("*.py")) or [root / f"{package}.py"]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for file in files:
        if "test" in file.parts or "tests" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                yield text


def sentences(text):
    """Sentences of prose: no short fragments, no interpreter examples."""
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split())):
            if 25 <= len(sentence) <= 300 and ">>>" not in sentence:
                yield sentence


def load():
    """[(sentence, package number)] to train on, and the same held out."""
    train, test, seen = [], [], set()
    for number, package in enumerate(PACKAGES):
        parts = [], []
        texts = list(docstrings(package))
        for i in rng.permutation(len(texts)):
            part = parts[rng.random() < 0.2]
            for sentence in sentences(texts[i]):
                # A sentence that two docstrings share must not be on both sides.
                if sentence not in seen:
                    seen.add(sentence)
                    part.append((sentence, number))
        train += parts[0][:MOST_PER_PACKAGE]
        test += parts[1][: MOST_PER_PACKAGE // 4]
    return train, test


def encode(texts):
    """Ids and mask of texts, padded to the longest of them."""
    rows = [text.encode() for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = np.frombuffer(row, np.uint8).astype(np.int64) + 1
    return ids, (ids > 0).astype(np.int64)


# --- The network, to train ---------------------------------------------------


def weights(*shape):
    """A weight of variance 1/inputs; all but the last axis are inputs."""
    return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)


def norm_weights(name):
    scale, bias = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)
    return {f"{name}.scale": scale, f"{name}.bias": bias}


def dense_weights(name, inputs, outputs):
    weight, bias = weights(inputs, outputs), np.zeros(outputs, np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": bias}


params = {
    "bytes": rng.standard_normal((257, BYTES)).astype(np.float32),
    "conv.weight": weights(KERNEL, BYTES, HIDDEN).transpose(2, 1, 0).copy(),
    "conv.bias": np.zeros(HIDDEN, np.float32),
}
for layer in range(LAYERS):
    params |= norm_weights(f"{layer}.norm1")
    for part in "query", "key", "value", "mix":
        params |= dense_weights(f"{layer}.{part}", HIDDEN, HIDDEN)
    params |= norm_weights(f"{layer}.norm2")
    params |= dense_weights(f"{layer}.up", HIDDEN, 2 * HIDDEN)
    params |= dense_weights(f"{layer}.down", 2 * HIDDEN, HIDDEN)
params |= norm_weights("last")
params |= dense_weights("out", HIDDEN, OUT)
# One vector per package and the sharpness of the choice: used in training only.
heads = {"packages": weights(len(PACKAGES), OUT), "sharpness": np.float32(10)}


def norm(p, name, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)
    return x * p[f"{name}.scale"] + p[f"{name}.bias"]


def dense(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def unit(x):
    return x / jnp.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)


def forward(p, ids, mask, drop=lambda x: x):
    n, length = ids.shape
    mask = mask.astype(jnp.float32)[..., None]
    # Padding is made zero, which is also what the convolution sees past the end.
    x = (p["bytes"][ids] * mask).transpose(0, 2, 1)
    x = jax.lax.conv_general_dilated(x, p["conv.weight"], (1,), "SAME")
    x = drop(jax.nn.relu(x + p["conv.bias"][:, None]).transpose(0, 2, 1))
    hidden_keys = (mask[:, None, None, :, 0] - 1) * FAR
    for i in range(LAYERS):
        y = norm(p, f"{i}.norm1", x)
        q, k, v = (
            dense(p, f"{i}.{part}", y).reshape(n, length, HEADS, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        attention = jax.nn.softmax(
            q @ k.transpose(0, 1, 3, 2) / np.sqrt(HIDDEN // HEADS) + hidden_keys
        )
        y = (attention @ v).transpose(0, 2, 1, 3).reshape(n, length, HIDDEN)
        x = x + drop(dense(p, f"{i}.mix", y))
        y = norm(p, f"{i}.norm2", x)
        x = x + drop(dense(p, f"{i}.down", jax.nn.relu(dense(p, f"{i}.up", y))))
    x = norm(p, "last", x) * mask
    mean = x.sum(1) / jnp.maximum(mask.sum(1), 1)
    return unit(dense(p, "out", drop(mean)))


def loss(both, ids, mask, y, key):
    p, h = both
    keys = iter(jax.random.split(key, 2 * LAYERS + 2))

    def drop(x):
        return jnp.where(jax.random.bernoulli(next(keys), 0.8, x.shape), x / 0.8, 0)

    scores = h["sharpness"] * forward(p, ids, mask, drop) @ unit(h["packages"]).T
    # Smoothed targets: some sentences could be from anywhere.
    target = 0.9 * jax.nn.one_hot(y, len(PACKAGES)) + 0.1 / len(PACKAGES)
    return -jnp.mean((target * jax.nn.log_softmax(scores)).sum(-1))


@jax.jit
def train_step(both, state, ids, mask, y, key, rate):
    value, grads = jax.value_and_grad(loss)(both, ids, mask, y, key)
    return *adam.step(both, grads, state, rate, decay=0.02), value


def crop(text):
    """A random stretch of a long text that starts at a word."""
    starts = [0] + [m.end() for m in re.finditer(" ", text) if len(text) - m.end() >= LENGTH]
    return text[rng.choice(starts) :][:LENGTH]


def fit(both, rows):
    state, key = adam.start(both), jax.random.key(7)
    steps = len(rows) // BATCH
    for epoch in range(EPOCHS):
        order = rng.permutation(len(rows))
        total = 0
        for i in range(steps):
            batch = [rows[j] for j in order[i * BATCH : (i + 1) * BATCH]]
            ids, mask = encode([crop(text) for text, _ in batch])
            # One shape for all batches, so that the step is compiled once.
            room = ((0, 0), (0, LENGTH - ids.shape[1]))
            ids, mask = np.pad(ids, room), np.pad(mask, room)
            done = (epoch * steps + i) / (EPOCHS * steps)
            rate = RATE * min(1, done * 20) * (1 + np.cos(np.pi * done)) / 2
            key, now = jax.random.split(key)
            y = np.array([number for _, number in batch])
            both, state, value = train_step(both, state, ids, mask, y, now, np.float32(rate))
            total += float(value)
        print(f"text-encoder: epoch {epoch + 1}/{EPOCHS}, loss {total / steps:.3f}", flush=True)
    return both


# --- The network, as ONNX ----------------------------------------------------


def export(p):
    nodes, constants = [], {}

    def constant(name, value):
        constants[name] = np.asarray(value)
        return name

    def op(kind, *inputs, out=None, **attributes):
        """Append a node and give the name of its output."""
        out = out or f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def weight(name):
        return constant(name, p[name])

    def dense(name, x):
        return op("Add", op("MatMul", x, weight(f"{name}.weight")), weight(f"{name}.bias"))

    def norm(name, x):
        return op(
            "LayerNormalization", x, weight(f"{name}.scale"), weight(f"{name}.bias"),
            axis=-1, epsilon=EPSILON,
        )

    # In a Reshape, 0 keeps a dimension as it is: batch and sequence stay free.
    split = constant("split", [0, 0, HEADS, HIDDEN // HEADS])
    join = constant("join", [0, 0, HIDDEN])
    axis1, axis2 = constant("axis1", [1]), constant("axis2", [2])
    one = constant("one", np.float32(1))

    mask = op("Cast", "attention_mask", to=TensorProto.FLOAT)
    tall = op("Unsqueeze", mask, axis2)
    hidden_keys = op("Mul", op("Sub", mask, one), constant("far", np.float32(FAR)))
    hidden_keys = op("Unsqueeze", hidden_keys, constant("axes12", [1, 2]))

    x = op("Mul", op("Gather", weight("bytes"), "input_ids"), tall)
    x = op("Transpose", x, perm=[0, 2, 1])
    x = op("Conv", x, weight("conv.weight"), weight("conv.bias"), pads=[KERNEL // 2] * 2)
    x = op("Transpose", op("Relu", x), perm=[0, 2, 1])
    for i in range(LAYERS):
        y = norm(f"{i}.norm1", x)

        def project(part, perm):
            return op("Transpose", op("Reshape", dense(f"{i}.{part}", y), split), perm=perm)

        q = project("query", [0, 2, 1, 3])
        k = project("key", [0, 2, 3, 1])
        v = project("value", [0, 2, 1, 3])
        scale = constant("scale", np.float32(1 / np.sqrt(HIDDEN // HEADS)))
        scores = op("Add", op("Mul", op("MatMul", q, k), scale), hidden_keys)
        y = op("MatMul", op("Softmax", scores, axis=-1), v)
        y = op("Reshape", op("Transpose", y, perm=[0, 2, 1, 3]), join)
        x = op("Add", x, dense(f"{i}.mix", y))
        y = op("Relu", dense(f"{i}.up", norm(f"{i}.norm2", x)))
        x = op("Add", x, dense(f"{i}.down", y))
    x = op("Mul", norm("last", x), tall)
    # A row that is all padding would divide by zero; it answers a constant instead.
    count = op("Max", op("ReduceSum", mask, axis1, keepdims=1), one)
    x = dense("out", op("Div", op("ReduceSum", x, axis1, keepdims=0), count))
    square = op("ReduceSum", op("Mul", x, x), axis1, keepdims=1)
    length = op("Sqrt", op("Add", square, constant("tiny", np.float32(1e-12))))
    op("Div", x, length, out="embedding")

    def ids(name):
        return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])

    graph = helper.make_graph(
        nodes,
        "text-encoder",
        [ids("input_ids"), ids("attention_mask")],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", OUT])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return finish.make_model(
        graph,
        "Text encoder: bytes plus one (0 pads) in, unit vector out; "
        "trained on the docstrings of Python's standard library.",
    )


# --- Train, measure, check ---------------------------------------------------

train, test = load()
print(f"text-encoder: {len(train)} sentences to train on, {len(test)} held out", flush=True)
params, heads = fit((params, heads), train)
model = export(params)
session = finish.session(model)


def embed(texts):
    ids, mask = encode(texts)
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def embed_all(rows):
    return np.concatenate([embed([text]) for text, _ in rows])


train_y, test_y = (np.array([number for _, number in rows]) for rows in (train, test))
packages = range(len(PACKAGES))
train_x, test_x = embed_all(train), embed_all(test)
means = np.stack([train_x[train_y == k].mean(0) for k in packages])
nearest = (test_x @ unit(means).T).argmax(1)
score = float(np.mean([(nearest[test_y == k] == k).mean() for k in packages]))

# The graph is written by hand, so it could differ from what was trained.
texts = [text for text, _ in test[:: len(test) // 3][:3]]
ids, mask = encode(texts)
assert np.allclose(embed(texts), forward(params, ids, mask), atol=1e-4)

# Padding must not show, whatever ids stand under a mask of 0.
for junk in 0, 66:
    wide_ids = np.pad(ids, ((0, 0), (0, 50)), constant_values=junk)
    wide_mask = np.pad(mask, ((0, 0), (0, 50)))
    wide = session.run(None, {"input_ids": wide_ids, "attention_mask": wide_mask})[0]
    for i, text in enumerate(texts):
        assert np.abs(wide[i] - embed([text])[0]).max() < 1e-5, "padding changes a row"
assert np.allclose(np.linalg.norm(test_x, axis=1), 1, atol=1e-5)

sample_ids, sample_mask = encode(
    ["Parse an email message.", "Return the median of the numbers in the data."]
)
finish.finish(
    __file__,
    model,
    body={"input_ids": sample_ids.tolist(), "attention_mask": sample_mask.tolist()},
    three_rows={"input_ids": ids, "attention_mask": mask},
    score=score,
    floor=FLOOR,
)
