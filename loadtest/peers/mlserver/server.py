"""MLServer: a runtime of one's own, in the server's process (no parallel workers), with its codecs for tensors."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from scorer import Scorer


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self.scorer = Scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {
            tensor.name: NumpyCodec.decode_input(tensor).astype(self.scorer.dtypes[tensor.name], copy=False)
            for tensor in payload.inputs
        }
        arrays = self.scorer.run(feeds)
        outputs = [NumpyCodec.encode_output(*pair) for pair in zip(self.scorer.outputs, arrays, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
