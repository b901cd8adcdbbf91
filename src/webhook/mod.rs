//! Telling other systems what happened: signed messages over HTTP, sent until they are taken.
//!
//! An [`Event`] is written into an [`Outbox`] on disk before anybody is told of it, and leaves it when its receiver has answered
//! 2xx, so that neither a restart nor a dead receiver loses one. Each receiver has a queue and a courier of its own; a slow one
//! delays nobody else. `docs/webhooks.md` is for receivers.

mod courier;
mod event;
mod outbox;
mod retry;
mod secret;
mod signature;
#[cfg(test)]
mod tests;

pub use courier::{Receiver, WebhookError, Webhooks};
pub use event::{Event, EventKind};
pub use outbox::{Letter, Outbox};
pub use retry::{Answer, Retry};
pub use secret::{Secret, SecretError, SecretPlace};
pub use signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Unverified, sign, verify};
