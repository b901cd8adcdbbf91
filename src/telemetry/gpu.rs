//! The metrics of GPUs, by this server's names and by Triton's.
//!
//! Nothing is counted here: the GPUs are read when somebody asks for metrics, by a thread of their own. What a GPU does not tell has no
//! metric, and a family that no GPU has a value for is left out, so that a machine without a GPU shows none. `docs/metrics.md` and
//! `docs/triton.md` list the names; tests compare them.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::proto::MetricType;
use tokio::sync::watch;
use tokio::time::timeout;

use super::exposition::{counter, family, gauge, pair, text};
use super::nvml;

/// One GPU at one moment, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    /// In the driver's order, which CUDA's `device_id` follows only where `CUDA_DEVICE_ORDER` is `PCI_BUS_ID`.
    pub index: u32,
    pub uuid: String,
    /// The part of the last sampling period, 1 s at most, in which something ran on it: 0 to 1.
    pub utilization: Option<f64>,
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    /// What this process has of it.
    pub own_memory_bytes: Option<u64>,
    pub temperature_celsius: Option<u32>,
    pub power_watts: Option<f64>,
    /// What the driver lets it draw.
    pub power_limit_watts: Option<f64>,
    /// Since the driver was loaded.
    pub energy_joules: Option<f64>,
}

/// How long whoever asks for metrics waits for a reading.
const READING_MAX: Duration = Duration::from_millis(75);

/// How old the last reading may be where a new one takes longer than that.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Where readings come from: a thread of their own, because a driver may hang.
#[derive(Debug)]
pub struct Gpus {
    ask: SyncSender<()>,
    readings: watch::Receiver<Reading>,
}

/// All GPUs at one moment.
#[derive(Clone, Debug)]
struct Reading {
    gpus: Vec<Gpu>,
    /// `None` before the first one.
    taken: Option<Instant>,
}

impl Gpus {
    /// Those of this machine, by NVIDIA's library, which is looked for at once; where there is none, there are no GPUs.
    pub fn of_machine() -> io::Result<Gpus> {
        let reader = nvml::Reader::default();
        Gpus::read_by(move || reader.read())
    }

    /// Starts the thread, and a first reading. It ends with what this gives.
    fn read_by(read: impl Fn() -> Vec<Gpu> + Send + 'static) -> io::Result<Gpus> {
        let (ask, asked) = sync_channel(1);
        let (publish, readings) = watch::channel(Reading { gpus: Vec::new(), taken: None });
        thread::Builder::new().name("scoria-gpu".to_owned()).spawn(move || {
            loop {
                let gpus = read();
                publish.send_replace(Reading { gpus, taken: Some(Instant::now()) });
                if asked.recv().is_err() {
                    return;
                }
            }
        })?;
        Ok(Gpus { ask, readings })
    }

    /// All of them now. If the driver does not tell in time, what it told last; none if that is too old to be true.
    pub async fn read(&self) -> Vec<Gpu> {
        self.read_within(READING_MAX, AGE_MAX).await
    }

    async fn read_within(&self, reading_max: Duration, age_max: Duration) -> Vec<Gpu> {
        let mut readings = self.readings.clone();
        let asked = Instant::now();
        // Whoever has asked already has done so for us.
        let _ = self.ask.try_send(());
        let is_new = |reading: &Reading| reading.taken.is_some_and(|taken| taken >= asked);
        drop(timeout(reading_max, readings.wait_for(is_new)).await);
        let reading = readings.borrow();
        let is_fresh = reading.taken.is_some_and(|taken| asked.saturating_duration_since(taken) <= age_max);
        if is_fresh { reading.gpus.clone() } else { Vec::new() }
    }
}

/// Whose names metrics have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuNames {
    Own,
    /// Source: Triton's `docs/user_guide/metrics.md`.
    Triton,
}

struct Family {
    own: &'static str,
    triton: Option<&'static str>,
    help: &'static str,
    kind: MetricType,
    value: fn(&Gpu) -> Option<f64>,
}

const FAMILIES: [Family; 8] = [
    Family {
        own: "scoria_gpu_utilization_ratio",
        triton: Some("nv_gpu_utilization"),
        help: "The part of the last second, or less, in which the GPU was at work: 0 to 1.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.utilization,
    },
    Family {
        own: "scoria_gpu_memory_used_bytes",
        triton: Some("nv_gpu_memory_used_bytes"),
        help: "Memory of the GPU in use, by whatever process.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.memory_used_bytes.map(|bytes| bytes as f64),
    },
    Family {
        own: "scoria_gpu_memory_total_bytes",
        triton: Some("nv_gpu_memory_total_bytes"),
        help: "Memory of the GPU.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.memory_total_bytes.map(|bytes| bytes as f64),
    },
    Family {
        own: "scoria_gpu_process_memory_used_bytes",
        triton: None,
        help: "Memory of the GPU in use by this server.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.own_memory_bytes.map(|bytes| bytes as f64),
    },
    Family {
        own: "scoria_gpu_temperature_celsius",
        triton: None,
        help: "The GPU's temperature.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.temperature_celsius.map(f64::from),
    },
    Family {
        own: "scoria_gpu_power_watts",
        triton: Some("nv_gpu_power_usage"),
        help: "What the GPU draws now, in watts.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.power_watts,
    },
    Family {
        own: "scoria_gpu_power_limit_watts",
        triton: Some("nv_gpu_power_limit"),
        help: "What the GPU may draw, in watts.",
        kind: MetricType::GAUGE,
        value: |gpu| gpu.power_limit_watts,
    },
    Family {
        own: "scoria_gpu_energy_joules_total",
        triton: Some("nv_energy_consumption"),
        help: "What the GPU has used since its driver was loaded, in joules.",
        kind: MetricType::COUNTER,
        value: |gpu| gpu.energy_joules,
    },
];

/// The exposition, in Prometheus' text format; empty where there are no GPUs.
pub fn render_gpus(gpus: &[Gpu], names: GpuNames) -> prometheus::Result<Vec<u8>> {
    let families = FAMILIES.iter().filter_map(|described| {
        let name = match names {
            GpuNames::Own => described.own,
            GpuNames::Triton => described.triton?,
        };
        let metric = |gpu: &Gpu, value| {
            let index = || pair("gpu", &gpu.index.to_string());
            match (names, described.kind) {
                (GpuNames::Own, MetricType::COUNTER) => counter([index(), pair("uuid", &gpu.uuid)], value),
                (GpuNames::Own, _) => gauge([index(), pair("uuid", &gpu.uuid)], value),
                (GpuNames::Triton, MetricType::COUNTER) => counter([pair("gpu_uuid", &gpu.uuid)], value),
                (GpuNames::Triton, _) => gauge([pair("gpu_uuid", &gpu.uuid)], value),
            }
        };
        let metrics = gpus.iter().filter_map(|gpu| Some(metric(gpu, (described.value)(gpu)?)));
        Some(family(name, described.help, described.kind, metrics.collect()))
    });
    text(&families.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(gpus: &[Gpu], names: GpuNames) -> String {
        String::from_utf8(render_gpus(gpus, names).unwrap()).unwrap()
    }

    fn whole() -> Gpu {
        Gpu {
            index: 1,
            uuid: "GPU-1".to_owned(),
            utilization: Some(0.75),
            memory_used_bytes: Some(3 << 30),
            memory_total_bytes: Some(8 << 30),
            own_memory_bytes: Some(1 << 30),
            temperature_celsius: Some(54),
            power_watts: Some(312.5),
            power_limit_watts: Some(700.0),
            energy_joules: Some(123.456),
        }
    }

    #[test]
    fn a_machine_without_gpus_has_no_families() {
        assert_eq!(text_of(&[], GpuNames::Own), "");
        assert_eq!(text_of(&[], GpuNames::Triton), "");
    }

    #[test]
    fn what_a_gpu_tells_is_shown_by_our_names() {
        let text = text_of(&[whole()], GpuNames::Own);
        for line in [
            "# TYPE scoria_gpu_utilization_ratio gauge",
            "scoria_gpu_utilization_ratio{gpu=\"1\",uuid=\"GPU-1\"} 0.75",
            "scoria_gpu_memory_used_bytes{gpu=\"1\",uuid=\"GPU-1\"} 3221225472",
            "scoria_gpu_memory_total_bytes{gpu=\"1\",uuid=\"GPU-1\"} 8589934592",
            "scoria_gpu_process_memory_used_bytes{gpu=\"1\",uuid=\"GPU-1\"} 1073741824",
            "scoria_gpu_temperature_celsius{gpu=\"1\",uuid=\"GPU-1\"} 54",
            "scoria_gpu_power_watts{gpu=\"1\",uuid=\"GPU-1\"} 312.5",
            "scoria_gpu_power_limit_watts{gpu=\"1\",uuid=\"GPU-1\"} 700",
            "# TYPE scoria_gpu_energy_joules_total counter",
            "scoria_gpu_energy_joules_total{gpu=\"1\",uuid=\"GPU-1\"} 123.456",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("nv_"), "{text}");
    }

    #[test]
    fn and_by_tritons() {
        let text = text_of(&[whole()], GpuNames::Triton);
        for line in [
            "nv_gpu_utilization{gpu_uuid=\"GPU-1\"} 0.75",
            "nv_gpu_power_limit{gpu_uuid=\"GPU-1\"} 700",
            "# TYPE nv_energy_consumption counter",
            "nv_energy_consumption{gpu_uuid=\"GPU-1\"} 123.456",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("scoria_") && !text.contains("temperature"), "{text}");
    }

    #[test]
    fn what_a_gpu_does_not_tell_is_left_out() {
        let silent = Gpu { uuid: "GPU-0".to_owned(), memory_total_bytes: Some(1), ..Gpu::default() };
        let text = text_of(&[silent, whole()], GpuNames::Own);
        assert!(text.contains("scoria_gpu_memory_total_bytes{gpu=\"0\",uuid=\"GPU-0\"} 1\n"), "{text}");
        assert!(!text.contains("scoria_gpu_power_watts{gpu=\"0\""), "{text}");
        assert_eq!(text.matches("# TYPE").count(), FAMILIES.len());
        let silent = Gpu { uuid: "GPU-0".to_owned(), ..Gpu::default() };
        assert_eq!(text_of(&[silent], GpuNames::Own), "");
    }

    /// Readings that count themselves, each begun when the test says so.
    fn counted() -> (Gpus, std::sync::mpsc::Sender<()>) {
        let (begin, begun) = std::sync::mpsc::channel();
        let index = std::cell::Cell::new(0);
        let read = move || {
            let _ = begun.recv();
            index.set(index.get() + 1);
            vec![Gpu { index: index.get(), ..Gpu::default() }]
        };
        (Gpus::read_by(read).unwrap(), begin)
    }

    #[tokio::test]
    async fn a_reading_is_taken_when_it_is_asked_for() {
        const LONG: Duration = Duration::from_secs(60);
        let (gpus, begin) = counted();
        // The one that is taken at the start may be the answer to the first, too.
        (0..2).for_each(|_| begin.send(()).unwrap());
        let first = gpus.read_within(LONG, LONG).await[0].index;
        (0..2).for_each(|_| begin.send(()).unwrap());
        let second = gpus.read_within(LONG, LONG).await[0].index;
        assert!(first >= 1 && second > first, "{first}, {second}");
    }

    #[tokio::test]
    async fn a_driver_that_hangs_holds_up_nobody() {
        const LONG: Duration = Duration::from_secs(60);
        let (gpus, begin) = counted();
        assert_eq!(gpus.read_within(Duration::ZERO, LONG).await, [], "it has never told anything");
        begin.send(()).unwrap();
        gpus.readings.clone().wait_for(|reading| reading.taken.is_some()).await.unwrap();
        let index = |gpus: Vec<Gpu>| gpus.into_iter().map(|gpu| gpu.index).collect::<Vec<_>>();
        assert_eq!(index(gpus.read_within(Duration::ZERO, LONG).await), [1], "what it told last");
        assert!(gpus.read_within(Duration::ZERO, Duration::ZERO).await.is_empty(), "unless that is too old");
    }
}
