"""What schemathesis sends otherwise, and what it checks beside its own."""

import re
from urllib.parse import urlencode

import schemathesis
from schemathesis import GenerationMode

# Why a JSON body that is valid by the document may be refused: ragged rows, records of different columns, values that the
# model itself rejects. Never its syntax, its types or its numbers.
ALLOWED = {"wrong_shape", "wrong_inputs", "input_rejected"}

# The same in the words of errors below /v2, which have no codes.
ALLOWED_WORDS = re.compile(
    r"elements|dimensions|cannot have the shape|shape that came with the data|asked for twice|given twice|the model rejected"
)


# What the page at /docs is, which no document lists: it is for people.
PAGE = {"get": {
    "operationId": "Page",
    "responses": {
        "200": {
            "description": "The page.",
            "content": {"text/html": {"schema": {"type": "string"}}},
            "headers": {name: {"required": True, "schema": {"type": "string"}} for name in (
                "etag", "x-request-id", "content-security-policy", "x-content-type-options", "referrer-policy")},
        },
        "405": {"$ref": "#/components/responses/Error405"},
    },
}}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # 4.32.5 looks for resources in the answers before it sends anything, and looks each `type` up in a set
    # (`_is_interesting_schema`): the list that says "a number or null" in 3.1 is a TypeError there. The same said by `anyOf` is
    # not. Nothing else of the document is changed.
    spell_out_null(raw_schema)
    # Where the JSON of an inference request ends is said of bodies with bytes behind it: with this header, a valid body of JSON is
    # another one. The clients of Triton send it.
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if one["name"] != "inference-header-content-length"]
    for path in [path for path in raw_schema["paths"] if path.endswith("/openapi.json")]:
        raw_schema["paths"][path.removesuffix("openapi.json") + "docs"] = PAGE


def spell_out_null(schema):
    """Replaces, in place, each list of types by a choice of types."""
    if isinstance(schema, list):
        for item in schema:
            spell_out_null(item)
    elif isinstance(schema, dict):
        for value in schema.values():
            spell_out_null(value)
        if isinstance(schema.get("type"), list):
            rest = {key: value for key, value in schema.items() if key != "type"}
            schema_types = schema["type"]
            schema.clear()
            schema["anyOf"] = [{"type": "null"} if kind == "null" else {**rest, "type": kind} for kind in schema_types]


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
        error = response.json()["error"]
        if isinstance(error, str):
            assert ALLOWED_WORDS.search(error), error
        else:
            assert error["code"] in ALLOWED, f"{error['code']}: {error['message']}"


@schemathesis.check
def a_deadline_passes_only_for_those_who_asked_for_a_short_one(ctx, response, case):
    if response.status_code == 504:
        assert int(case.headers["x-scoria-timeout-ms"]) < 1_000
