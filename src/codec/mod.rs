//! The dialects of request and reply bodies: bytes in, tensors out, and back. Knows nothing of HTTP.
