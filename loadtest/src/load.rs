//! Carrying out a run: threads with their connections, phases by the clock, and what was used meanwhile.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::{JoinSet, LocalSet};

use crate::lane::{self, Thread};
use crate::pacer::Pacer;
use crate::plan::{Run, Target};
use crate::record::{Record, Recorder};
use crate::schedule::Schedule;
use crate::usage::{self, Tree, UsageError};
use crate::wire::{Channel, Http2};

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("no connection to {url}: is the server up, and does it take {connections} connections?")]
    Connect { url: String, connections: u32, source: io::Error },
    #[error(
        "{connections} connections need as many file descriptors, and this process may have {limit}: see `ulimit -n`"
    )]
    Descriptors { connections: u32, limit: u64 },
    #[error("the generator's own threads could not be set up")]
    Setup(#[source] io::Error),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("a thread of the generator panicked, which is a bug")]
    Panicked,
}

/// What is asked of a run besides its figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    /// The server's process.
    pub server: Option<u32>,
    /// Later answers are no goodput.
    pub objective: Option<Duration>,
}

/// A measured phase.
#[derive(Debug)]
pub struct Measured {
    /// Which of the run's phases.
    pub phase: usize,
    pub record: Record,
    pub used: Used,
    /// Connections made after the first ones, in the whole run.
    pub reconnects: u64,
}

/// What was used between the ends of a phase.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub wall: Duration,
    /// The server's tree at the end, with what it has used in the phase.
    pub server: Option<Tree>,
    pub generator: Duration,
    pub busiest_thread: Duration,
    pub machine: Duration,
}

/// Time for all threads to hear of the begin.
const BEGINS_IN: Duration = Duration::from_millis(5);
/// How often the progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Carries out a run. `progress` is told how much time has passed, and how many exchanges are over.
pub fn carry_out(run: &Run, watch: Watch, progress: &mut dyn FnMut(Duration, u64)) -> Result<Vec<Measured>, LoadError> {
    make_room(run.target.connections)?;
    let over = Arc::new(AtomicU64::new(0));
    let crew = Crew::hire(run, watch, &over)?;
    let begin = Instant::now() + BEGINS_IN;
    crew.begin(begin)?;

    let mut uses = Vec::new();
    let mut from = None;
    for (phase, end) in run.phases.iter().zip(run.ends()) {
        // A phase that begins where another ended shares its look at the machine.
        let before = match from.take() {
            Some(snapshot) => snapshot,
            None => {
                wait_until(begin, || {});
                Snapshot::take(watch.server, &crew.thread_ids)?
            }
        };
        wait_until(begin + end, || progress(begin.elapsed(), over.load(Ordering::Relaxed)));
        let after = Snapshot::take(watch.server, &crew.thread_ids)?;
        uses.push(phase.is_measured.then(|| after.since(&before)));
        from = Some(after);
    }

    let (recorder, reconnects) = crew.dismiss()?;
    let phases = recorder.into_records().into_iter().zip(uses).enumerate();
    Ok(phases.filter_map(|(phase, (record, used))| Some(Measured { phase, record, used: used?, reconnects })).collect())
}

/// Descriptors for what is no connection: runtimes, timers, `/proc`.
const OTHER_DESCRIPTORS: u64 = 64;

/// Each connection is a descriptor; the soft limit is raised as far as the hard one allows.
fn make_room(connections: u32) -> Result<(), LoadError> {
    let needed = u64::from(connections) + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }) {
        Ok(()) => Ok(()),
        Err(_) => Err(LoadError::Descriptors { connections, limit: maximum.or(current).unwrap_or_default() }),
    }
}

/// Waits, and calls now and then.
fn wait_until(moment: Instant, mut now_and_then: impl FnMut()) {
    // A channel that nobody sends on: this thread has nothing to do but to look at the clock.
    let (_nobody, clock) = mpsc::channel::<()>();
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if clock.recv_timeout(left.min(PROGRESS_EVERY)) == Err(RecvTimeoutError::Timeout) {
            now_and_then();
        }
    }
}

struct Snapshot {
    at: Instant,
    server: Option<Tree>,
    generator: Duration,
    threads: Vec<Duration>,
    machine: Duration,
}

impl Snapshot {
    fn take(server: Option<u32>, threads: &[u32]) -> Result<Snapshot, UsageError> {
        Ok(Snapshot {
            at: Instant::now(),
            server: server.map(Tree::of).transpose()?,
            generator: usage::own_processor(),
            threads: threads.iter().map(|id| usage::thread_processor(*id).unwrap_or_default()).collect(),
            machine: usage::machine_busy()?,
        })
    }

    fn since(&self, before: &Snapshot) -> Used {
        let server = self
            .server
            .zip(before.server)
            .map(|(after, before)| Tree { processor: after.processor.saturating_sub(before.processor), ..after });
        let threads = self.threads.iter().zip(&before.threads).map(|(after, before)| after.saturating_sub(*before));
        Used {
            wall: self.at - before.at,
            server,
            generator: self.generator - before.generator,
            busiest_thread: threads.max().unwrap_or_default(),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}

/// The generator's threads.
struct Crew {
    threads: Vec<JoinHandle<Result<(Recorder, u64), io::Error>>>,
    thread_ids: Vec<u32>,
    begins: Vec<SyncSender<Instant>>,
}

impl Crew {
    /// Starts the threads, and has them connect.
    fn hire(run: &Run, watch: Watch, over: &Arc<AtomicU64>) -> Result<Crew, LoadError> {
        let (ready, readies) = mpsc::channel();
        let mut crew = Crew { threads: Vec::new(), thread_ids: Vec::new(), begins: Vec::new() };
        for index in 0..run.target.threads {
            let (begin, begins) = mpsc::sync_channel(1);
            let worker = Worker {
                run: run.clone(),
                index,
                objective: watch.objective,
                over: Arc::clone(over),
                ready: ready.clone(),
                begins,
            };
            let thread = std::thread::Builder::new().name(format!("load-{index}")).spawn(move || worker.work());
            crew.threads.push(thread.map_err(LoadError::Setup)?);
            crew.begins.push(begin);
        }
        drop(ready);
        for _ in 0..run.target.threads {
            match readies.recv() {
                Ok(Ok(id)) => crew.thread_ids.push(id),
                // The other threads end when nobody tells them to begin.
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(LoadError::Panicked),
            }
        }
        Ok(crew)
    }

    fn begin(&self, at: Instant) -> Result<(), LoadError> {
        self.begins.iter().try_for_each(|begin| begin.send(at)).map_err(|_| LoadError::Panicked)
    }

    /// Waits for the threads, and adds up what they recorded; and the connections that they made anew.
    fn dismiss(self) -> Result<(Recorder, u64), LoadError> {
        drop(self.begins);
        let mut sum: Option<(Recorder, u64)> = None;
        for thread in self.threads {
            let (recorder, reconnects) = thread.join().map_err(|_| LoadError::Panicked)?.map_err(LoadError::Setup)?;
            match &mut sum {
                None => sum = Some((recorder, reconnects)),
                Some((all, times)) => {
                    all.add(&recorder);
                    *times += reconnects;
                }
            }
        }
        sum.ok_or(LoadError::Panicked)
    }
}

/// One thread: its share of connections and arrivals.
struct Worker {
    run: Run,
    index: u32,
    objective: Option<Duration>,
    over: Arc<AtomicU64>,
    /// Told once: the thread's id, or why it can't begin.
    ready: Sender<Result<u32, LoadError>>,
    begins: Receiver<Instant>,
}

impl Worker {
    fn work(self) -> io::Result<(Recorder, u64)> {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let kind = error.kind();
                drop(self.ready.send(Err(LoadError::Setup(error))));
                return Err(kind.into());
            }
        };
        let outcome = LocalSet::new().block_on(&runtime, self.load())?;
        // The last look at what each thread has used comes before their end: nothing is sent here but the end of the channel.
        let _end = self.begins.recv();
        Ok(outcome)
    }

    async fn load(&self) -> io::Result<(Recorder, u64)> {
        let mut channels = self.channels();
        let mut connected = Ok(usage::own_thread());
        for channel in &mut channels {
            if let Err(source) = channel.connect().await {
                let Target { url, connections, .. } = self.run.target.clone();
                connected = Err(LoadError::Connect { url, connections, source });
                break;
            }
        }
        drop(self.ready.send(connected));
        let ends = self.run.ends();
        let stretches = self.run.stretches();
        let recorder = Recorder::new(ends.clone(), self.run.interval, self.objective, stretches.is_some());
        let Ok(begin) = self.begins.recv() else {
            // Another thread could not connect.
            return Ok((recorder, 0));
        };
        let schedule = |stretches| Schedule::new(stretches, self.index, self.run.target.threads, self.run.seed);
        let thread = Rc::new(Thread {
            begin,
            end: begin + ends.last().copied().unwrap_or_default(),
            cutoffs: self.run.cutoffs(),
            timeout: self.run.target.timeout,
            patience: self.run.target.patience,
            requests: Arc::clone(&self.run.target.requests),
            // Threads begin at different bodies.
            turn: Cell::new(self.index as usize * self.run.target.requests.len() / self.run.target.threads as usize),
            schedule: stretches.map(schedule).map(RefCell::new),
            pacer: Pacer::new()?,
            recorder: RefCell::new(recorder),
            over: Arc::clone(&self.over),
        });
        let mut lanes = JoinSet::new();
        let before = connects(&channels);
        for channel in channels {
            lanes.spawn_local(lane::run(Rc::clone(&thread), channel));
        }
        let channels = tokio::select! {
            channels = lanes.join_all() => channels,
            Err(error) = thread.pacer.drive() => return Err(error),
        };
        let reconnects = connects(&channels) - before;
        let thread = Rc::into_inner(thread).expect("all lanes have ended");
        Ok((thread.recorder.into_inner(), reconnects))
    }

    /// This thread's share, dealt out in turn.
    fn channels(&self) -> Vec<Channel> {
        let target = &self.run.target;
        let mut channels = Vec::new();
        for _ in (self.index..target.connections).step_by(target.threads as usize) {
            match Channel::new(target.protocol, &target.addresses) {
                Channel::Http2(connection) => {
                    channels.extend((0..target.streams).map(|_| Channel::Http2(Rc::clone(&connection))));
                }
                alone => channels.push(alone),
            }
        }
        channels
    }
}

/// Connections made so far; those that several lanes share count once.
fn connects(channels: &[Channel]) -> u64 {
    let mut sum = 0;
    let mut seen: Vec<*const Http2> = Vec::new();
    for channel in channels {
        match channel {
            Channel::Http1(connection) => sum += connection.connects(),
            Channel::Http2(connection) => {
                if !seen.contains(&Rc::as_ptr(connection)) {
                    seen.push(Rc::as_ptr(connection));
                    sum += connection.connects();
                }
            }
        }
    }
    sum
}
