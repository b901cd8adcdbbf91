"""Ridge regression: how far diabetes progresses in a year, from ten measurements.

Data: scikit-learn's diabetes set, 442 patients, in the original units (age in
years, sex as 1 or 2, body mass index, mean blood pressure, six blood serum
measurements). One patient in five is held out; the score is R².

The graph is MatMul and Add rather than ai.onnx.ml's LinearRegressor, so that
engines which know only the standard operators run it too.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True  # a __pycache__ would lie among the models
import finish

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

FLOOR = 0.35

x, y = load_diabetes(return_X_y=True, scaled=False)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=7)

scaler = StandardScaler().fit(x_train)
ridge = Ridge(alpha=10.0).fit(scaler.transform(x_train), y_train)

# Scaling is linear as well, so it folds into the weights: the graph takes the
# measurements as they are.
weight = ridge.coef_ / scaler.scale_
bias = ridge.intercept_ - weight @ scaler.mean_

graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["features", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["progression"]),
    ],
    "ridge",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 10])],
    [helper.make_tensor_value_info("progression", TensorProto.FLOAT, ["N", 1])],
    [
        numpy_helper.from_array(weight.astype(np.float32).reshape(10, 1), "weight"),
        numpy_helper.from_array(np.array([bias], np.float32), "bias"),
    ],
)
model = finish.make_model(
    graph, "Ridge regression on the diabetes data; ten measurements in, progression out."
)

x_test = x_test.astype(np.float32)
(predicted,) = finish.session(model).run(None, {"features": x_test})

finish.finish(
    __file__,
    model,
    body={"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]},
    three_rows={"features": x_test[:3]},
    score=r2_score(y_test, predicted[:, 0]),
    floor=FLOOR,
)
