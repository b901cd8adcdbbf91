//! The methods of `inference.GRPCInferenceService` but inference itself: one message in, one out.

use bytes::Bytes;

use super::messages::Messages;
use super::{Context, unknown_method};
use crate::codec::open_inference::protobuf::{Message, messages as proto};
use crate::codec::open_inference::{Capabilities, ServerMetadata};
use crate::error::ErrorKind;
use crate::http::pipeline::{ApiError, overloaded};

/// The longest message of these methods.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Answers a method that is none of inference.
pub async fn answer(context: Context<'_>, method: &str, messages: &mut Messages) -> Result<Message, ApiError> {
    let bytes = read(context, messages).await?;
    Ok(match method {
        "ServerLive" => {
            let proto::ServerLiveRequest {} = decode(&bytes)?;
            Message::of(&proto::ServerLiveResponse { live: true })
        }
        "ServerReady" => {
            let proto::ServerReadyRequest {} = decode(&bytes)?;
            Message::of(&proto::ServerReadyResponse { ready: context.server.scoring.is_ready() })
        }
        "ServerMetadata" => {
            let proto::ServerMetadataRequest {} = decode(&bytes)?;
            Message::of(&proto::ServerMetadataResponse::from(ServerMetadata::new(Capabilities::default())))
        }
        _ => return Err(unknown_method()),
    })
}

/// Reads a method's message.
pub async fn read(context: Context<'_>, messages: &mut Messages) -> Result<Bytes, ApiError> {
    let mut permit = context.server.scoring.admission.admit(0).ok_or_else(overloaded)?;
    messages.only(MESSAGE_BYTES_MAX, &mut permit).await
}

/// A method's message.
pub fn decode<M: prost::Message + Default>(bytes: &Bytes) -> Result<M, ApiError> {
    M::decode(bytes.clone()).map_err(|error| {
        let message = format!("the message is not what the method takes: {error}");
        ApiError::new(ErrorKind::BadInput, "malformed_body", message)
    })
}
