"""Checks that schemathesis makes beside its own."""

import schemathesis
from schemathesis import GenerationMode

# Why a JSON body that is valid by the document may be refused: ragged rows, records of different columns, values that the
# model itself rejects, integers or floats that JSON's readers widen. Never its syntax, and never its types.
ALLOWED = {"wrong_shape", "wrong_inputs", "input_rejected"}


@schemathesis.check
def valid_json_is_refused_for_its_shape_only(ctx, response, case):
    is_positive = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if is_positive and case.media_type == "application/json" and response.status_code == 400:
        code = response.json()["error"]["code"]
        assert code in ALLOWED, f"{code}: {response.json()['message']}"
