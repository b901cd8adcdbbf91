"""Whether an answer is the expected one: types, shapes, integers and texts exactly, floats by their precision."""

import numpy as np

from zoo import BFLOAT16, type_name

TOLERANCES = {"float64": 1e-5, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}


def check_binary(got, expected, exact, scale=1.0):
    """Compares arrays by name."""
    assert list(got) == list(expected), f"outputs {list(got)}, expected {list(expected)}"
    for name, array in expected.items():
        check_array(name, got[name], array, exact, scale)


def check_array(name, got, expected, exact, scale=1.0):
    types = type_name(got), type_name(expected)
    assert types[0] == types[1], f"{name}: got type {types[0]}, expected {types[1]}"
    assert got.shape == expected.shape, f"{name}: got shape {got.shape}, expected {expected.shape}"
    if types[1] not in TOLERANCES:
        assert np.array_equal(got, expected), f"{name}: got {got}, expected {expected}"
    elif exact:
        assert got.tobytes() == expected.tobytes(), f"{name}: got {got}, expected {expected}, to the bit"
    else:
        # float64 holds all of them; NaN is NaN, and an infinity has its sign.
        tolerance = TOLERANCES[types[1]] * scale
        close = np.isclose(got.astype(np.float64), expected.astype(np.float64), tolerance, tolerance, equal_nan=True)
        assert close.all(), f"{name}: got {got[~close]}, expected {expected[~close]}"


def check_json(name, got, expected, exact, scale=1.0):
    """Compares parsed JSON with an array, a sequence or a map."""
    if isinstance(expected, list):
        assert isinstance(got, list) and len(got) == len(expected), f"{name}: got {got}, expected {len(expected)} items"
        for index, (item, wanted) in enumerate(zip(got, expected)):
            check_json(f"{name}[{index}]", item, wanted, exact, scale)
    elif isinstance(expected, dict):
        assert list(got) == [str(key) for key in expected], f"{name}: got keys {list(got)}, expected {list(expected)}"
        for key, value in expected.items():
            check_json(f"{name}.{key}", got[str(key)], np.float32(value), exact, scale)
    else:
        expected = np.asarray(expected)
        check_array(name, array_of_json(name, got, expected), as_json_shows(expected), exact, scale)


def as_json_shows(array):
    """The array with everything that JSON writes as `null` made one and the same NaN."""
    if type_name(array) not in TOLERANCES:
        return array
    return np.where(np.isfinite(array.astype(np.float64)), array, np.array(np.nan, array.dtype))


def array_of_json(name, value, like):
    """Nested lists as an array of the expected type; they must have the expected shape and JSON types."""
    flat = []
    _flatten(name, value, like.shape, flat)
    kind = type_name(like)
    allowed = {"string": str, "bool": bool}.get(kind, float if kind in TOLERANCES else int)
    for element in flat:
        null = element is None and allowed is float
        assert null or type(element) is allowed, f"{name}: {element!r} is no {allowed.__name__}"
    flat = [np.nan if element is None else element for element in flat]
    if like.dtype == BFLOAT16:
        return np.array(flat, np.float64).astype(BFLOAT16).reshape(like.shape)
    return np.array(flat, dtype=object if kind == "string" else like.dtype).reshape(like.shape)


def _flatten(name, value, shape, flat):
    if not shape:
        assert not isinstance(value, (list, dict)), f"{name}: nested too deep: {value}"
        flat.append(value)
        return
    assert isinstance(value, list), f"{name}: {value!r} is no list"
    assert len(value) == shape[0], f"{name}: a list of {len(value)}, expected {shape[0]}"
    for item in value:
        _flatten(name, item, shape[1:], flat)
