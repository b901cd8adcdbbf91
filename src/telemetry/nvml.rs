//! GPUs, as NVIDIA's management library (NVML) sees them.
//!
//! The library is part of the driver and is opened at run time, under the name that the driver installs. Whatever fails here makes
//! fewer readings, never an error: metrics are asked for most when something is wrong.

use std::process;
use std::sync::OnceLock;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::gpu::Gpu;

/// The library, once it has been asked for.
#[derive(Debug, Default)]
pub(super) struct Reader(OnceLock<Option<Nvml>>);

impl Reader {
    /// Every GPU now, and none where there is no library.
    pub(super) fn read(&self) -> Vec<Gpu> {
        let Some(nvml) = self.0.get_or_init(open) else { return Vec::new() };
        let count = nvml.device_count().unwrap_or_default();
        (0..count).filter_map(|index| read(index, &nvml.device_by_index(index).ok()?)).collect()
    }
}

fn open() -> Option<Nvml> {
    match Nvml::init() {
        Ok(nvml) => Some(nvml),
        // As on any machine without such a GPU.
        Err(NvmlError::LibloadingError(error)) => {
            tracing::debug!(%error, "no metrics of GPUs: NVIDIA's management library is not there");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "no metrics of GPUs: NVIDIA's management library refuses; `nvidia-smi` may say more");
            None
        }
    }
}

/// `None` if it does not even say which it is: one that has been lost.
fn read(index: u32, device: &Device<'_>) -> Option<Gpu> {
    let memory = device.memory_info().ok();
    Some(Gpu {
        index,
        uuid: device.uuid().ok()?,
        utilization: device.utilization_rates().ok().map(|percent| f64::from(percent.gpu) / 100.0),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        own_memory_bytes: own_memory(device),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        power_watts: device.power_usage().ok().map(thousandths),
        power_limit_watts: device.enforced_power_limit().ok().map(thousandths),
        energy_joules: device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1e3),
    })
}

fn thousandths(of_a_unit: u32) -> f64 {
    f64::from(of_a_unit) / 1e3
}

/// In a container the driver may know this process by another number than it knows itself; then nobody can tell.
fn own_memory(device: &Device<'_>) -> Option<u64> {
    let own = process::id();
    let processes = device.running_compute_processes().ok()?;
    let used =
        processes.iter().filter(|process| process.pid == own).filter_map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        });
    // Once for each part of a GPU that it uses.
    used.reduce(|sum, bytes| sum.saturating_add(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_reads_as_often_as_it_is_asked_with_or_without_a_gpu() {
        let reader = Reader::default();
        let uuids = || reader.read().into_iter().map(|gpu| gpu.uuid).collect::<Vec<_>>();
        assert_eq!(uuids(), uuids());
    }
}
