"""KServe's own client on the bundled `ridge`, raw and typed: `kserve_client.py HOST:PORT`."""

import asyncio
import sys

import kserve
import numpy as np

ROW = np.array([[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]], np.float32)


async def main(url):
    client = kserve.InferenceGRPCClient(url=url)
    assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("ridge")
    raw = kserve.InferInput("features", [1, 10], "FP32")
    raw.set_data_from_numpy(ROW, binary_data=True)
    typed = kserve.InferInput("features", [1, 10], "FP32", data=ROW.ravel().tolist())
    answers = []
    for values in (raw, typed):
        answer = await client.infer(kserve.InferRequest(model_name="ridge", infer_inputs=[values]))
        assert list(answer.outputs[0].shape) == [1, 1], answer
        answers.append(answer.outputs[0].as_numpy())
    np.testing.assert_array_equal(*answers)
    await client.close()


asyncio.run(main(sys.argv[1]))
