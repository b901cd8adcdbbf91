//! The thread on which a server of a registry reports, follows and announces, beside everything else.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Announcer, Follower, Identity, ProfileCommand, Reporter};
use crate::control::operations::{Desk, Operations};
use crate::deployment::Routing;
use crate::moment::Moment;
use crate::registry::Registry;
use crate::webhook::Webhooks;

/// How long a registry that cannot be opened is left alone.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// How long the last report may take.
const LAST_REPORT: Duration = Duration::from_secs(5);

/// How often it is looked for what killed writers have left.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What it works with.
pub struct Companion {
    /// Opens the registry; asked again if it cannot be.
    pub desk: Desk,
    pub routing: Arc<Routing>,
    pub identity: Arc<Identity>,
    /// How often it reports, and looks for what is due.
    pub interval: Duration,
    /// Who is told of what happens, and where it is kept what they have been told.
    pub webhooks: Option<(Webhooks, PathBuf)>,
    /// How versions are profiled before their rollouts begin; `None` where there is no program to do so.
    pub profile: Option<Arc<ProfileCommand>>,
}

/// A companion at work.
#[derive(Debug)]
pub struct Accompanied {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Companion {
    pub fn start(self) -> io::Result<Accompanied> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("scoria-follow".to_owned()).spawn(move || {
            runtime.block_on(self.accompany(stopped));
            // A name that is being looked up, or a disk, may take its time.
            runtime.shutdown_background();
        })?;
        Ok(Accompanied { stop, thread: Some(thread) })
    }

    async fn accompany(self, mut stopped: watch::Receiver<bool>) {
        let Companion { desk, routing, identity, interval: every, webhooks, profile } = self;
        let mut ended = stopped.clone();
        let operations = tokio::select! {
            operations = opened(&desk) => operations,
            _ = ended.wait_for(|stopped| *stopped) => return,
        };
        let registry = operations.registry().clone();
        let mut tasks = JoinSet::new();
        let mut follower =
            Follower::new(operations, Arc::clone(&routing), format!("rollout on {}", identity.name), profile);
        let waits = follower.waits();
        let swept = registry.clone();
        tasks.spawn(async move {
            let mut ticks = ticks(SWEEP_INTERVAL);
            loop {
                ticks.tick().await;
                sweep(&swept).await;
            }
        });
        tasks.spawn(async move {
            let mut ticks = ticks(every);
            loop {
                ticks.tick().await;
                follower.follow(Moment::now()).await;
            }
        });
        if let Some(mut announcer) = webhooks.and_then(|(webhooks, folder)| announcer(&registry, webhooks, &folder)) {
            tasks.spawn(async move {
                let mut ticks = ticks(every);
                loop {
                    ticks.tick().await;
                    announcer.announce(Moment::now()).await;
                }
            });
        }
        let mut reporter = Reporter::new(registry, routing, identity, waits, every);
        let mut ticks = ticks(every);
        loop {
            tokio::select! {
                _ = ticks.tick() => reporter.report(Moment::now()).await,
                // A sender that is gone wants an end, too.
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        }
        tasks.shutdown().await;
        if timeout(LAST_REPORT, reporter.end(Moment::now())).await.is_err() {
            tracing::warn!("the last counts could not be written in time");
        }
    }
}

impl Drop for Accompanied {
    /// Waits for the last report.
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn opened(desk: &Desk) -> Operations {
    loop {
        match desk.operations() {
            Ok(operations) => return operations,
            Err(error) => tracing::debug!(%error, "the registry cannot be opened for reports; it is tried again"),
        }
        sleep(OPEN_AGAIN).await;
    }
}

/// Removes what killed writers have left in the registry.
async fn sweep(registry: &Registry) {
    match registry.sweep(SystemTime::now()).await {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "what killed writers had left in the registry is removed"),
        Err(error) => tracing::debug!(%error, "what killed writers may have left stays"),
    }
}

fn announcer(registry: &Registry, webhooks: Webhooks, folder: &std::path::Path) -> Option<Announcer> {
    let opened = Announcer::open(registry.clone(), webhooks, folder);
    opened.inspect_err(|error| tracing::error!(%error, "webhooks are told nothing")).ok()
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
