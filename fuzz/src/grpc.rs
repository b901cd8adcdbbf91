//! `ModelInferRequest`: what must hold of every message.

use bytes::Bytes;
use scoria::codec::open_inference::protobuf::{Opening, ROOM_BYTES, Receiver, encode};
use scoria::codec::open_inference::{Answering, InferRequest, NoRegions};
use scoria::codec::{DecodeError, Request};
use scoria::tensor::{Signature, Value};

use crate::body::{MAX_BYTES, bytes_allowed, check, echo, policy, signature};
use crate::bounds;

/// Reads `data` as a message, and writes the answer of a model that echoes. The first two bytes choose the model and how the
/// message is cut into pieces, the lowest bit of the second whether its length is known.
///
/// Whatever the bytes: no panic, no tensor beyond the limits, no memory beyond a multiple of the message and of the limits;
/// and how a message is cut makes no difference.
pub fn decode(data: &[u8]) {
    let [model, pieces, message @ ..] = data else { return };
    let message = &message[..message.len().min(MAX_BYTES)];
    let signature = echo(signature(*model));
    let length = (pieces & 1 == 0).then_some(message.len());
    let piece_bytes = usize::from(*pieces) + 1;
    let read = bounds::within(bytes_allowed(message.len()), || read(&signature, *model, message, piece_bytes, length));
    let whole = self::read(&signature, *model, message, MAX_BYTES, length);
    assert_eq!(read.is_ok(), whole.is_ok(), "{read:?}, and whole {whole:?}");
    let Ok(InferRequest { inputs, wanted, id, .. }) = read else { return };
    check(&inputs, &signature);
    let answering = Answering { model_name: "m", model_version: 1, id: &id, signature: &signature, labels: &[] };
    let outputs: Vec<_> = inputs.into_iter().map(Value::Tensor).collect();
    if let Ok(answer) = encode(outputs, &wanted, &answering, &NoRegions) {
        let length = answer.len();
        let parts: Vec<Bytes> =
            std::iter::once(Bytes::from(answer.head).slice(ROOM_BYTES..)).chain(answer.rest).collect();
        assert_eq!(parts.concat().len(), length);
    }
}

fn read(
    signature: &Signature,
    model: u8,
    message: &[u8],
    piece_bytes: usize,
    length: Option<usize>,
) -> Result<InferRequest, DecodeError> {
    let policy = policy(model);
    let request = Request { signature, policy, announced_bytes: length, max_bytes: MAX_BYTES, raw_shape: None };
    let mut opening = Opening::new(length);
    let mut pieces = message.chunks(piece_bytes);
    let mut rest: &[u8] = &[];
    for mut piece in pieces.by_ref() {
        if opening.push(&mut piece)? {
            rest = piece;
            break;
        }
    }
    opening.model()?;
    let mut receiver = Receiver::new(opening, request, &NoRegions)?;
    receiver.push(rest)?;
    pieces.try_for_each(|piece| receiver.push(piece))?;
    receiver.finish()
}
