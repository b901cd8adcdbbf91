//! One exchange outside of any run: to see that a body is answered, or to ask a server what it serves.

use std::time::Duration;

use crate::plan::Target;
use crate::wire::{Answer, Channel, Failure, Outgoing};

/// A server answers something else than it should before it is put under load.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("body {index} is answered with {status}: {text}")]
    Refused { index: usize, status: u16, text: String },
    #[error("{url} gives no answer: {}", reason(*.failure))]
    NoAnswer { url: String, failure: Failure },
    #[error("the generator's runtime could not be set up")]
    Setup(#[from] std::io::Error),
}

/// As much of an answer as an error shows.
const SHOWN_BYTES: usize = 2048;

fn reason(failure: Failure) -> &'static str {
    match failure {
        Failure::Connect => "no connection could be made; is the server up?",
        Failure::Disconnected => "it ended the connection",
        Failure::Malformed => "what came is not the protocol that was asked for (see --protocol)",
        Failure::TimedOut | Failure::Unsent => "none in time (see --timeout)",
    }
}

/// Sends each body once. Anything but 2xx is an error.
pub fn check(target: &Target) -> Result<(), CheckError> {
    for (index, request) in target.requests.iter().enumerate() {
        let channel = Channel::new(target.protocol, &target.addresses);
        let answer = alone(channel, request, SHOWN_BYTES, target.timeout)?
            .map_err(|failure| CheckError::NoAnswer { url: target.url.clone(), failure })?;
        if !(200..300).contains(&answer.status) {
            let text = String::from_utf8_lossy(&answer.beginning).trim().to_owned();
            return Err(CheckError::Refused { index, status: answer.status, text });
        }
    }
    Ok(())
}

/// One exchange, on a runtime of its own.
pub fn alone(
    mut channel: Channel,
    request: &Outgoing,
    keep_bytes: usize,
    timeout: Duration,
) -> std::io::Result<Result<Answer, Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, async {
        let exchange = tokio::time::timeout(timeout, channel.exchange(request, keep_bytes));
        exchange.await.unwrap_or(Err(Failure::TimedOut))
    }))
}
