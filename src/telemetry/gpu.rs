//! The metrics of GPUs, by this server's names and by Triton's.
//!
//! Nothing is counted here: the GPUs are read when somebody asks for metrics. What a GPU does not tell has no metric, and a family
//! that no GPU has a value for is left out, so that a machine without a GPU shows none. `docs/metrics.md` and `docs/triton.md` list
//! the names; tests compare them.

use std::fmt;

use prometheus::proto::MetricType;

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

/// Where readings come from.
pub struct Gpus(Box<dyn Fn() -> Vec<Gpu> + Send + Sync>);

impl Gpus {
    /// Those of this machine, by NVIDIA's library. It is looked for at the first reading; where there is none, there are no GPUs.
    pub fn of_machine() -> Gpus {
        let reader = nvml::Reader::default();
        Gpus(Box::new(move || reader.read()))
    }

    /// All of them now.
    pub fn read(&self) -> Vec<Gpu> {
        (self.0)()
    }
}

impl fmt::Debug for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gpus")
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

    #[test]
    fn readings_are_taken_when_they_are_asked_for() {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let gpus = Gpus(Box::new(move || {
            let index = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            vec![Gpu { index, ..Gpu::default() }]
        }));
        assert_eq!([gpus.read()[0].index, gpus.read()[0].index], [0, 1]);
    }
}
