"""Gradient-boosted trees of LightGBM: 30 features, 100 trees of 31 leaves, fitted to a noisy function of drawn numbers."""

from pathlib import Path

import lightgbm
import numpy as np
import onnx
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from graph import BATCH, IR_VERSION

SEED = 31
ROWS = 20_000
FEATURES = 30
TREES = 100
LEAVES = 31
OPSET = 15


def make(path: Path) -> None:
    generator = np.random.default_rng(SEED)
    x = generator.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + x @ generator.normal(size=FEATURES) + generator.normal(size=ROWS) / 10
    trees = lightgbm.LGBMRegressor(
        n_estimators=TREES,
        num_leaves=LEAVES,
        random_state=SEED,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbosity=-1,
    )
    trees.fit(x, y)
    model = convert_lightgbm(
        trees, initial_types=[("features", FloatTensorType([None, FEATURES]))], target_opset=OPSET, zipmap=False
    )
    model.ir_version = IR_VERSION
    # The converter leaves the batch's dim without a name, or without anything.
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
