"""No answer depends on anybody else's request: many clients on all wires at once, each answer as of the request run alone."""

import os
import shutil

import numpy as np
import pytest

import mix

CLIENTS = 24
# Of a client. `make mix` sets more.
REQUESTS = int(os.environ.get("SCORIA_MIX_REQUESTS", "150"))

# Their rows stay apart, so that they are joined; and those whose rows do not, which never are.
JOINED = {"mlp", "softmax", "table", "two", "conv", "ridge", "digits", "text-encoder", "wine"}
ALONE = {"maximum", "dynamic", "batch-softmax", "batch-mean"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The folder of all models, and requests to each with what they give alone."""
    folder = tmp_path_factory.mktemp("mixed")
    models = mix.generated(folder)
    root = mix.ROOT / "models"
    for path in sorted(root.glob("*/1/model.onnx")):
        name = path.parts[-3]
        models[name] = mix.bundled_inputs(path)
        shutil.copy(path, folder / f"{name}.onnx")
    rng = np.random.default_rng(1)
    return folder, {
        name: mix.requests_of(name, folder / f"{name}.onnx", inputs, rng) for name, inputs in models.items()
    }


@pytest.mark.parametrize("delay_us", [0, 3000])
def test_each_answer_is_that_of_the_request_alone(everything, serve, delay_us):
    folder, requests = everything
    settings = {"max_batch_delay_us": delay_us} if delay_us else {}
    with serve(folder, **settings) as server:
        traffic = mix.Traffic(server, requests)
        traffic.run(CLIENTS, REQUESTS)
        joined = traffic.joined()
        print(f"\n{sum(traffic.sent.values())} requests, {dict(traffic.sent)}; answers and runs: {joined}")
        assert not traffic.differences, "\n".join(
            [f"{len(traffic.differences)} differences", *traffic.differences[:20]]
        )
        assert len(traffic.sent) == len(mix.WIRES), f"wires that were not used: {traffic.sent}"
        for name in ALONE:
            answers, runs = joined[name]
            assert answers == runs, f"{name} mixes rows and was joined: {answers} answers of {runs} runs"
        if delay_us:
            # A worker waits for what comes, so that joining is no matter of luck.
            for name in JOINED:
                answers, runs = joined[name]
                assert runs < answers, f"{name} was never joined in {answers} answers"
        assert server.is_alive()
