"""What schemathesis sends otherwise, and what it checks beside its own."""

from urllib.parse import urlencode

import schemathesis
from schemathesis import GenerationMode

# Why a JSON body that is valid by the document may be refused: ragged rows, records of different columns, values that the
# model itself rejects. Never its syntax, its types or its numbers.
ALLOWED = {"wrong_shape", "wrong_inputs", "input_rejected"}


@schemathesis.hook
def filter_case(context, case):
    # A head beyond `max_header_bytes` is refused by the HTTP library, in a bare 431 without a body: no document can say so.
    return len(urlencode(case.query or {})) < 16_000


@schemathesis.hook
def before_call(context, case, kwargs):
    # A header that no document names is no violation of it: proxies add them, and servers ignore what they do not know.
    case.headers.pop("x-schemathesis-unknown-property", None)


@schemathesis.check
def valid_json_is_refused_for_its_shape_only(ctx, response, case):
    is_positive = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if is_positive and case.media_type == "application/json" and response.status_code == 400:
        code = response.json()["error"]["code"]
        assert code in ALLOWED, f"{code}: {response.json()['message']}"


@schemathesis.check
def a_deadline_passes_only_for_those_who_asked_for_a_short_one(ctx, response, case):
    if response.status_code == 504:
        assert int(case.headers["x-scoria-timeout-ms"]) < 1_000
