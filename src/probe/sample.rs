//! The sample request beside a model, as its inputs.

use crate::codec::{self, Policy};
use crate::tensor::{Signature, Tensor};

/// Decodes a JSON body as the scoring route would.
pub fn decode_sample(body: &[u8], signature: &Signature, policy: Policy) -> Result<Vec<Tensor>, codec::DecodeError> {
    let request =
        codec::Request { signature, policy, announced_bytes: Some(body.len()), max_bytes: body.len(), raw_shape: None };
    codec::json::decode(body, request).map(|decoded| decoded.inputs)
}
