"""Gradient-boosted trees: which of three cultivars a wine was made from.

Data: scikit-learn's wine set, 178 wines of one region in Italy with 13 chemical
measurements each. Three wines in ten are held out; the score is accuracy.

The graph is ai.onnx.ml's TreeEnsembleClassifier and has two outputs: `label`, a
string, and `probabilities`, one column per class in the order class_0, class_1,
class_2.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True  # a __pycache__ would lie among the models
import finish

import numpy as np
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

FLOOR = 0.9
OPSETS = {"": finish.OPSET, "ai.onnx.ml": 3}

wine = load_wine()
# Train on float32, as the model is asked with float32: a split threshold that
# falls between two rounded values would send a row down another branch.
x = wine.data.astype(np.float32)
y = wine.target_names[wine.target].astype(str)
x_train, x_test, y_train, y_test = train_test_split(
    x, y, test_size=0.3, stratify=y, random_state=7
)

trees = GradientBoostingClassifier(
    n_estimators=25, max_depth=3, learning_rate=0.2, subsample=0.7, max_features=4, random_state=7
).fit(x_train, y_train)

model = to_onnx(
    trees,
    initial_types=[("features", FloatTensorType([None, 13]))],
    # Without zipmap the probabilities are a tensor, not a list of maps.
    options={id(trees): {"zipmap": False, "output_class_labels": False}},
    target_opset=OPSETS,
)
# The converter's names for the outputs, the batch dimension and the model are
# its own; give them ours.
names = {"output_label": "label", "output_probability": "probabilities"}
graph = model.graph
for node in graph.node:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
for value in [*graph.input, *graph.output]:
    value.name = names.get(value.name, value.name)
    value.type.tensor_type.shape.dim[0].dim_param = "N"
graph.name = "wine"
model = finish.make_model(
    graph,
    "Gradient-boosted trees on the wine data; 13 measurements in, cultivar out.",
    # Not the converter's list: it has no fixed order.
    opsets=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
)

label, probabilities = finish.session(model).run(None, {"features": x_test})
assert np.allclose(probabilities, trees.predict_proba(x_test), atol=1e-4)

finish.finish(
    __file__,
    model,
    body={"data": finish.plain(x_test[:1])},
    three_rows={"features": x_test[:3]},
    score=accuracy_score(y_test, label),
    floor=FLOOR,
)
