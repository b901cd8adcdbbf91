"""`loadtest/gpu.sh`: the whole server on a GPU, beside ONNX Runtime called in-process on the same GPU."""
