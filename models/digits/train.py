"""A small convolutional network: which digit a 28x28 image shows.

Data: scikit-learn's digits, 1797 handwritten digits of 8x8 pixels, enlarged to
28x28 with bilinear interpolation and scaled to 0..1 (1 is ink). One image in
five is held out; the score is accuracy.

The output `scores` holds logits, one column per digit: the greatest wins, and a
softmax over them gives probabilities.
"""

import os
import sys
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
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

FLOOR = 0.95
EPOCHS = 12
BATCH = 50
RATE = 2e-3

digits = load_digits()
images = jax.image.resize(digits.images[:, None] / 16, (len(digits.images), 1, 28, 28), "bilinear")
images = np.clip(np.asarray(images, np.float32), 0, 1)
x_train, x_test, y_train, y_test = train_test_split(
    images, digits.target, test_size=0.2, stratify=digits.target, random_state=7
)

rng = np.random.default_rng(7)


def weights(*shape):
    """He initialisation; all but the first axis feed one output."""
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


# Stored as ONNX wants them: [out, in, height, width], and [out, in] for Gemm.
params = {
    "conv1.weight": weights(8, 1, 3, 3),
    "conv1.bias": np.zeros(8, np.float32),
    "conv2.weight": weights(16, 8, 3, 3),
    "conv2.bias": np.zeros(16, np.float32),
    "dense.weight": weights(10, 16 * 7 * 7),
    "dense.bias": np.zeros(10, np.float32),
}


def conv_block(x, weight, bias):
    """Convolution with zero padding, ReLU, and the greatest of each 2x2 square."""
    x = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME")
    x = jax.nn.relu(x + bias[:, None, None])
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def forward(p, x):
    x = conv_block(x, p["conv1.weight"], p["conv1.bias"])
    x = conv_block(x, p["conv2.weight"], p["conv2.bias"])
    return x.reshape(len(x), -1) @ p["dense.weight"].T + p["dense.bias"]


def loss(p, x, y):
    return -jnp.mean(jax.nn.log_softmax(forward(p, x))[jnp.arange(len(y)), y])


@jax.jit
def train_step(p, state, x, y):
    return adam.step(p, jax.grad(loss)(p, x, y), state, RATE, decay=0.01)


state = adam.start(params)
for _ in range(EPOCHS):
    order = rng.permutation(len(x_train))
    for i in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[i : i + BATCH]
        params, state = train_step(params, state, x_train[rows], y_train[rows])

node = helper.make_node
graph = helper.make_graph(
    [
        node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv1"], ["relu1"]),
        node("MaxPool", ["relu1"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pool1", "conv2.weight", "conv2.bias"], ["conv2"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv2"], ["relu2"]),
        node("MaxPool", ["relu2"], ["pool2"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool2"], ["flat"]),
        node("Gemm", ["flat", "dense.weight", "dense.bias"], ["scores"], transB=1),
    ],
    "digits",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in params.items()],
)
model = finish.make_model(graph, "Convolutional network on 28x28 digits; logits out.")

(scores,) = finish.session(model).run(None, {"image": x_test})
# The graph is written by hand, so it could differ from what was trained.
assert np.allclose(scores, forward(params, x_test), atol=1e-3)

finish.finish(
    __file__,
    model,
    body={"data": finish.plain(x_test[:1].round(3))},
    three_rows={"image": x_test[:3]},
    score=accuracy_score(y_test, scores.argmax(axis=1)),
    floor=FLOOR,
)
