"""A thousand small models that the server has never seen, made here and now, from fixed seeds."""

from . import elements, graphs, operators
from .case import BFLOAT16, Case, numpy_dtype, type_name

__all__ = ["BFLOAT16", "Case", "cases", "numpy_dtype", "type_name"]


def cases():
    """Every case, by name."""
    found = {}
    for module in (elements, operators, graphs):
        for case in module.cases():
            assert case.name not in found, f"two cases are called {case.name}"
            found[case.name] = case
    return found
