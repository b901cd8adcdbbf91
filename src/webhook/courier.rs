//! Sends what waits in the outboxes, on a thread of its own: one task a receiver, one message at a time, in order.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio_rustls::rustls::crypto::ring;

use super::retry::{Answer, Retry};
use super::{Event, EventKind, ID_HEADER, Letter, Outbox, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use crate::moment::Moment;
use crate::telemetry::{Metrics, WebhookMetrics};

/// The time that a receiver has to accept a connection, and to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is told, of what.
#[derive(Clone)]
pub struct Receiver {
    url: Url,
    secret: Secret,
    kinds: BTreeSet<EventKind>,
}

/// The couriers. They end when this is dropped; what has not been taken by then waits for the next start.
#[derive(Debug)]
pub struct Webhooks {
    desks: Vec<Arc<Desk>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("'{0}' is no address to send events to: expected http:// or https://, a host, and no user or password")]
    Address(String),
    #[error("cannot keep events in {}: {source}", folder.display())]
    Outbox { folder: std::path::PathBuf, source: io::Error },
    #[error("cannot start the thread that sends events: {0}")]
    Start(io::Error),
    #[error("cannot make an HTTP client: {0}")]
    Client(reqwest::Error),
}

/// One receiver and what waits for it.
#[derive(Debug)]
struct Desk {
    receiver: Receiver,
    outbox: Outbox,
    counts: Counts,
    /// Told when something was put into the outbox.
    put: Notify,
}

/// What is counted of each kind of event.
#[derive(Clone, Debug)]
struct Counts([WebhookMetrics; EventKind::ALL.len()]);

impl Counts {
    fn of(&self, kind: EventKind) -> &WebhookMetrics {
        &self.0[kind as usize]
    }

    /// By an event's id. What lies in an outbox is ours, and so of a kind that there is, unless somebody had a hand in it.
    fn of_id(&self, id: &str) -> &WebhookMetrics {
        self.of(EventKind::of_id(id).unwrap_or(EventKind::ModelRegistered))
    }
}

impl Receiver {
    /// A receiver of events of these kinds.
    pub fn new(url: &str, secret: Secret, kinds: BTreeSet<EventKind>) -> Result<Receiver, WebhookError> {
        // Paths of such addresses are secrets at times; whoever wrote it knows it by its beginning.
        let refuse = || WebhookError::Address(url.chars().take(24).collect());
        let parsed = Url::parse(url).map_err(|_| refuse())?;
        let is_http = matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some();
        let has_user = !parsed.username().is_empty() || parsed.password().is_some();
        if is_http && !has_user { Ok(Receiver { url: parsed, secret, kinds }) } else { Err(refuse()) }
    }

    /// The receiver in logs: no path, no query.
    fn host(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// A folder's name for it.
    fn folder_name(&self) -> String {
        Sha256::digest(self.url.as_str()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.host())
    }
}

impl Webhooks {
    /// Opens the outboxes below `folder` and begins to send what is in them. Each try takes at most `timeout`.
    pub fn start(
        folder: &Path,
        receivers: Vec<Receiver>,
        timeout: Duration,
        retry: Retry,
        metrics: &Metrics,
    ) -> Result<Webhooks, WebhookError> {
        let counts = Counts(EventKind::ALL.map(|kind| metrics.webhook(kind.name())));
        let open = |receiver: Receiver| {
            let outbox = Outbox::open(folder, &receiver.folder_name())
                .map_err(|source| WebhookError::Outbox { folder: folder.to_owned(), source })?;
            let counts = counts.clone();
            outbox.ids().iter().for_each(|id| counts.of_id(id).waiting.inc());
            Ok(Arc::new(Desk { receiver, outbox, counts, put: Notify::new() }))
        };
        let desks = receivers.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let client = client(timeout)?;
        let (stop, stopped) = watch::channel(false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WebhookError::Start)?;
        let couriers: Vec<_> =
            desks.iter().map(|desk| Courier { desk: Arc::clone(desk), client: client.clone(), retry }).collect();
        let work = move || {
            runtime.block_on(serve(couriers, stopped));
            // A receiver's name that is being looked up may take its time.
            runtime.shutdown_background();
        };
        let thread =
            thread::Builder::new().name("scoria-webhook".to_owned()).spawn(work).map_err(WebhookError::Start)?;
        Ok(Webhooks { desks, stop, thread: Some(thread) })
    }

    /// Has an event sent to whoever wants events of its kind. It is on disk when this returns; waits for nothing else.
    pub fn post(&self, event: &Event, now: Moment) {
        for desk in self.desks.iter().filter(|desk| desk.receiver.kinds.contains(&event.kind)) {
            let letter = Letter { id: event.id.clone(), written: now, body: event.body() };
            let receiver = desk.receiver.host();
            // First, since it may have been taken by the time it has been put.
            desk.counts.of(event.kind).waiting.inc();
            match desk.outbox.put(&letter) {
                Ok(dropped) if dropped.is_empty() => {}
                Ok(dropped) => {
                    dropped.iter().for_each(|id| desk.counts.of_id(id).lose());
                    tracing::error!(receiver, ?dropped, "too many events wait for a receiver; the oldest are lost")
                }
                Err(error) => {
                    desk.counts.of(event.kind).lose();
                    tracing::error!(receiver, event = event.id, %error, "an event cannot be kept and is lost")
                }
            }
            desk.put.notify_one();
        }
    }

    /// Messages that have not been taken yet.
    pub fn waiting(&self) -> usize {
        self.desks.iter().map(|desk| desk.outbox.len()).sum()
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It ends at once: a message under way is given up, and sent again after the next start.
            drop(thread.join());
        }
    }
}

/// A client that follows no redirect: a signed message goes where the operator said, and nowhere else.
fn client(timeout: Duration) -> Result<Client, WebhookError> {
    // The client has no cryptography of its own. A second call changes nothing.
    drop(ring::default_provider().install_default());
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .user_agent(concat!("scoria/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(WebhookError::Client)
}

async fn serve(couriers: Vec<Courier>, mut stopped: watch::Receiver<bool>) {
    let mut tasks = tokio::task::JoinSet::new();
    couriers.into_iter().for_each(|courier| drop(tasks.spawn(courier.work())));
    // A sender that is gone wants an end, too.
    drop(stopped.wait_for(|stopped| *stopped).await);
    tasks.shutdown().await;
}

/// How the way of a message ends.
enum End {
    Taken,
    GivenUp,
}

struct Courier {
    desk: Arc<Desk>,
    client: Client,
    retry: Retry,
}

impl Courier {
    async fn work(self) {
        let Desk { receiver, outbox, counts, put } = &*self.desk;
        let host = receiver.host();
        loop {
            let Some((number, letter)) = outbox.first() else {
                put.notified().await;
                continue;
            };
            let counts = counts.of_id(&letter.id);
            match self.bring(&host, &letter, counts).await {
                End::Taken => counts.sent.inc(),
                End::GivenUp => counts.failed.inc(),
            }
            // One that was dropped meanwhile has been counted.
            if outbox.holds(number) {
                counts.waiting.dec();
            }
            if let Err(error) = outbox.remove(number) {
                // It would come again after a restart, which receivers have to expect.
                tracing::warn!(receiver = host, event = letter.id, %error, "a message that is done with cannot be removed");
            }
        }
    }

    /// Tries until the message is taken or too old.
    async fn bring(&self, host: &str, letter: &Letter, counts: &WebhookMetrics) -> End {
        for failures in 1.. {
            let (reason, asked_wait) = match self.send(letter).await {
                Answer::Taken => return End::Taken,
                Answer::Gone => ("the receiver wants no more of them (410)".to_owned(), None),
                Answer::Refused { reason, asked_wait }
                    if Moment::now().since(letter.written) < self.retry.give_up_after =>
                {
                    let wait = self.retry.wait(failures, asked_wait, random());
                    tracing::warn!(
                        receiver = host,
                        event = letter.id,
                        failures,
                        reason,
                        ?wait,
                        "an event was not taken; it is sent again"
                    );
                    counts.refused.inc();
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Answer::Refused { reason, asked_wait } => (reason, asked_wait),
            };
            tracing::error!(
                receiver = host,
                event = letter.id,
                failures,
                reason,
                ?asked_wait,
                "an event was not taken and is given up"
            );
            return End::GivenUp;
        }
        End::GivenUp
    }

    /// Sends the message once. Of the answer, only the head is looked at.
    async fn send(&self, letter: &Letter) -> Answer {
        let Receiver { url, secret, .. } = &self.desk.receiver;
        let now = Moment::now();
        let request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header(ID_HEADER, &letter.id)
            .header(TIMESTAMP_HEADER, now.seconds())
            .header(SIGNATURE_HEADER, sign(secret, &letter.id, now, &letter.body))
            .body(letter.body.clone());
        match request.send().await {
            Ok(response) if response.status().is_success() => Answer::Taken,
            Ok(response) if response.status() == StatusCode::GONE => Answer::Gone,
            Ok(response) => {
                let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                let reason = format!("it answered {}", response.status().as_u16());
                Answer::Refused { reason, asked_wait: asked.map(Duration::from_secs) }
            }
            Err(error) => Answer::Refused { reason: describe(error), asked_wait: None },
        }
    }
}

/// What went wrong, with the causes but without the address, whose path may be a secret.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Between 0 and 1. Without randomness, couriers wait alike, and no worse comes of it.
fn random() -> f64 {
    getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1u64 << 53) as f64)
}
