//! What happened to the requests of one phase: counts, and histograms of time.
//!
//! Each thread keeps its own records, one a phase, which are added up at the end; nothing is shared while requests fly.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::wire::Failure;

/// A request, from the moment it was meant for to the moment it was over. Times are since the run's begin.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// Open loop: when it was to be sent. Closed loop: when it was sent.
    pub intended: Duration,
    pub sent: Duration,
    pub done: Duration,
    pub outcome: Result<Answered, Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body_bytes: u64,
}

/// Failures by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failures {
    pub connect: u64,
    pub disconnected: u64,
    pub malformed: u64,
    pub timeout: u64,
    pub unsent: u64,
}

/// One phase's record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Of the requests that belong to the phase.
    pub by_status: BTreeMap<u16, u64>,
    pub failures: Failures,
    pub received_bytes: u64,
    /// 2xx, nanoseconds: from the intended time, and from the send.
    pub latency: Histogram<u64>,
    pub service_time: Histogram<u64>,
    /// Answers of other statuses, from the intended time.
    pub refused_latency: Histogram<u64>,
    /// Open loop: how late requests were sent for which a connection was free.
    pub send_lag: Histogram<u64>,
    /// Closed loop: in flight when time was up.
    pub unfinished: u64,
    /// What was over within the phase, whenever it was begun.
    pub timeline: Vec<Interval>,
}

/// A short piece of a phase.
#[derive(Debug, Clone)]
pub struct Interval {
    pub ok: u64,
    pub ok_in_time: u64,
    pub refused: u64,
    pub failed: u64,
    pub latency: Histogram<u32>,
}

/// Times above an hour are counted as an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, LONGEST_NS, 3).expect("bounds in order, digits in range")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(LONGEST_NS)
}

impl Record {
    fn new(intervals: usize) -> Record {
        let interval = Interval {
            ok: 0,
            ok_in_time: 0,
            refused: 0,
            failed: 0,
            latency: Histogram::new_with_bounds(1_000, LONGEST_NS, 2).expect("bounds in order, digits in range"),
        };
        Record {
            by_status: BTreeMap::new(),
            failures: Failures::default(),
            received_bytes: 0,
            latency: histogram(),
            service_time: histogram(),
            refused_latency: histogram(),
            send_lag: histogram(),
            unfinished: 0,
            timeline: vec![interval; intervals],
        }
    }

    fn add(&mut self, other: &Record) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.failures.connect += other.failures.connect;
        self.failures.disconnected += other.failures.disconnected;
        self.failures.malformed += other.failures.malformed;
        self.failures.timeout += other.failures.timeout;
        self.failures.unsent += other.failures.unsent;
        self.received_bytes += other.received_bytes;
        self.unfinished += other.unfinished;
        for (mine, others) in [
            (&mut self.latency, &other.latency),
            (&mut self.service_time, &other.service_time),
            (&mut self.refused_latency, &other.refused_latency),
            (&mut self.send_lag, &other.send_lag),
        ] {
            mine.add(others).expect("the same bounds");
        }
        for (mine, others) in self.timeline.iter_mut().zip(&other.timeline) {
            mine.ok += others.ok;
            mine.ok_in_time += others.ok_in_time;
            mine.refused += others.refused;
            mine.failed += others.failed;
            mine.latency.add(&others.latency).expect("the same bounds");
        }
    }

    fn count(&mut self, exchange: &Exchange) {
        match exchange.outcome {
            Ok(answered) => {
                *self.by_status.entry(answered.status).or_default() += 1;
                self.received_bytes += answered.body_bytes;
                let latency = nanos(exchange.done.saturating_sub(exchange.intended));
                if is_ok(answered.status) {
                    self.latency.saturating_record(latency);
                    self.service_time.saturating_record(nanos(exchange.done.saturating_sub(exchange.sent)));
                } else {
                    self.refused_latency.saturating_record(latency);
                }
            }
            Err(failure) => {
                *match failure {
                    Failure::Connect => &mut self.failures.connect,
                    Failure::Disconnected => &mut self.failures.disconnected,
                    Failure::Malformed => &mut self.failures.malformed,
                    Failure::TimedOut => &mut self.failures.timeout,
                    Failure::Unsent => &mut self.failures.unsent,
                } += 1;
            }
        }
    }

    pub fn ok(&self) -> u64 {
        self.by_status.iter().filter(|(status, _)| is_ok(**status)).map(|(_, count)| count).sum()
    }

    pub fn refused(&self) -> u64 {
        self.by_status.values().sum::<u64>() - self.ok()
    }

    pub fn failed(&self) -> u64 {
        let Failures { connect, disconnected, malformed, timeout, unsent } = self.failures;
        connect + disconnected + malformed + timeout + unsent
    }
}

fn is_ok(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The records of a run's phases.
#[derive(Debug)]
pub struct Recorder {
    ends: Vec<Duration>,
    interval: Duration,
    objective: Option<Duration>,
    is_open: bool,
    records: Vec<Record>,
}

impl Recorder {
    /// For phases that end at these times.
    pub fn new(ends: Vec<Duration>, interval: Duration, objective: Option<Duration>, is_open: bool) -> Recorder {
        let mut begin = Duration::ZERO;
        let mut records = Vec::with_capacity(ends.len());
        for end in &ends {
            let intervals = (*end - begin).as_nanos().div_ceil(interval.as_nanos());
            records.push(Record::new(usize::try_from(intervals).expect("a run's time is bounded")));
            begin = *end;
        }
        Recorder { ends, interval, objective, is_open, records }
    }

    /// The phase that a moment is in; none after the last.
    fn phase_of(&self, at: Duration) -> Option<usize> {
        let phase = self.ends.partition_point(|end| *end <= at);
        (phase < self.ends.len()).then_some(phase)
    }

    /// A request is over. In an open loop it belongs to the phase that it was meant for, however late it is over; in a closed
    /// one, where a slow server is asked less, to the phase in which it is over.
    pub fn over(&mut self, exchange: &Exchange) {
        let over_in = self.phase_of(exchange.done);
        let belongs_to = if self.is_open { self.phase_of(exchange.intended) } else { over_in };
        match belongs_to {
            Some(phase) => self.records[phase].count(exchange),
            None => self.unfinished(),
        }
        if let Some(phase) = over_in {
            let begin = if phase == 0 { Duration::ZERO } else { self.ends[phase - 1] };
            let index = (exchange.done - begin).as_nanos() / self.interval.as_nanos();
            let interval = &mut self.records[phase].timeline[usize::try_from(index).expect("within the phase")];
            match exchange.outcome {
                Ok(answered) if is_ok(answered.status) => {
                    let latency = exchange.done.saturating_sub(exchange.intended);
                    interval.ok += 1;
                    interval.ok_in_time += u64::from(self.objective.is_none_or(|objective| latency <= objective));
                    interval.latency.saturating_record(nanos(latency));
                }
                Ok(_) => interval.refused += 1,
                Err(_) => interval.failed += 1,
            }
        }
    }

    /// Open loop: a request that a connection was free for was sent so late.
    pub fn lag(&mut self, intended: Duration, lag: Duration) {
        if let Some(phase) = self.phase_of(intended) {
            self.records[phase].send_lag.saturating_record(nanos(lag));
        }
    }

    /// Closed loop: a request was in flight when time was up.
    pub fn unfinished(&mut self) {
        if let Some(last) = self.records.last_mut() {
            last.unfinished += 1;
        }
    }

    /// Takes in what another thread recorded of the same run.
    pub fn add(&mut self, other: &Recorder) {
        for (mine, others) in self.records.iter_mut().zip(&other.records) {
            mine.add(others);
        }
    }

    pub fn into_records(self) -> Vec<Record> {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answer(intended: u64, sent: u64, done: u64, status: u16) -> Exchange {
        let outcome = Ok(Answered { status, body_bytes: 31 });
        Exchange { intended: at(intended), sent: at(sent), done: at(done), outcome }
    }

    /// A server that answers in 1 ms but for a stall of one second; one connection, 100 requests a second for 10 s.
    #[test]
    fn a_stall_counts_for_every_request_that_it_kept_waiting() {
        let mut recorder = Recorder::new(vec![at(10_000)], SECOND, None, true);
        let mut free_at = 0;
        for intended in (0..10_000).step_by(10) {
            let sent = free_at.max(intended);
            let done = if (5_000..6_000).contains(&sent) { 6_001 } else { sent + 1 };
            free_at = done;
            recorder.over(&answer(intended, sent, done, 200));
        }
        let record = recorder.into_records().remove(0);
        assert_eq!(record.ok(), 1_000);
        // One request met the stall, as a closed loop would see it; 99 % and even 99.8 % are fast.
        let close =
            |found: u64, ms: u64| assert!(found.abs_diff(ms * 1_000_000) <= ms * 2_000, "{found} ns, not {ms} ms");
        close(record.service_time.value_at_quantile(0.998), 1);
        close(record.service_time.max(), 1_001);
        // From the intended times, all of that second waited, and those who came while they were answered: the k-th request of
        // the stall was answered k ms after it and was meant for 10 k ms after its begin, so that it took 1,001 - 9 k ms.
        let waited = record.latency.count_between(10_000_000, u64::MAX);
        assert_eq!(waited, 111);
        close(record.latency.value_at_quantile(0.95), 551);
        close(record.latency.max(), 1_001);
    }

    #[test]
    fn open_loops_count_by_the_intended_time_closed_ones_by_the_answer() {
        for (is_open, first, second) in [(true, 2, 1), (false, 1, 1)] {
            let mut recorder = Recorder::new(vec![at(1_000), at(2_000)], SECOND, None, is_open);
            recorder.over(&answer(100, 100, 200, 200));
            recorder.over(&answer(900, 900, 1_100, 200));
            recorder.over(&answer(1_900, 1_900, 2_100, 200));
            let records = recorder.into_records();
            assert_eq!((records[0].ok(), records[1].ok()), (first, second));
            // What is answered per second is counted by when it was answered.
            assert_eq!((records[0].timeline[0].ok, records[1].timeline[0].ok), (1, 1));
        }
    }

    #[test]
    fn outcomes_are_kept_apart_and_threads_add_up() {
        let thread = || {
            let mut recorder = Recorder::new(vec![at(2_500)], SECOND, Some(at(50)), true);
            recorder.over(&answer(0, 0, 40, 200));
            recorder.over(&answer(0, 0, 60, 201));
            recorder.over(&answer(2_400, 2_400, 2_401, 429));
            for failure in [Failure::TimedOut, Failure::Unsent, Failure::Connect] {
                recorder.over(&Exchange { intended: at(1), sent: at(1), done: at(1_500), outcome: Err(failure) });
            }
            recorder
        };
        let mut sum = thread();
        sum.add(&thread());
        let record = sum.into_records().remove(0);
        assert_eq!((record.ok(), record.refused(), record.failed()), (4, 2, 6));
        assert_eq!(record.failures, Failures { connect: 2, timeout: 2, unsent: 2, ..Failures::default() });
        assert_eq!((record.latency.len(), record.refused_latency.len()), (4, 2));
        assert_eq!(record.received_bytes, 6 * 31);
        let counts: Vec<_> = record.timeline.iter().map(|i| (i.ok, i.ok_in_time, i.refused, i.failed)).collect();
        assert_eq!(counts, [(4, 2, 0, 0), (0, 0, 0, 6), (0, 0, 2, 0)]);
    }
}
