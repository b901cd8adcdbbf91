//! Execution providers: what may compute a model, and what can be set of each, under ONNX Runtime's own names.
//!
//! Options are written `provider.option=value`. Names and values are checked here, against a closed table ([`table`]), before a
//! runtime sees them: it would take some faults for a reason to leave a provider out, and pass over others.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use self::table::{Kind, ProviderOption};

/// What computes a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    TensorRt,
    Cuda,
    Cpu,
}

impl Provider {
    pub const ALL: [Provider; 3] = [Provider::TensorRt, Provider::Cuda, Provider::Cpu];

    pub const fn name(self) -> &'static str {
        match self {
            Provider::TensorRt => "tensorrt",
            Provider::Cuda => "cuda",
            Provider::Cpu => "cpu",
        }
    }

    /// The provider of this name. The error names them all.
    pub fn parse(name: &str) -> Result<Provider, String> {
        Provider::ALL.into_iter().find(|provider| provider.name() == name).ok_or_else(|| {
            let names = Provider::ALL.map(Provider::name);
            format!("'{name}' is not a provider; {}", suggestion(name, &names))
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Options of providers, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderOptions {
    /// By provider and name, as ONNX Runtime reads them.
    values: BTreeMap<(Provider, &'static str), String>,
    /// The GPUs of each provider that names some.
    devices: BTreeMap<Provider, Vec<u32>>,
}

impl ProviderOptions {
    /// Reads `cuda.use_tf32=0, tensorrt.trt_fp16_enable=1`. Some values hold commas themselves (`cuda.device_id=0,1`): what has
    /// no `=` belongs to the value before it.
    pub fn parse(text: &str) -> Result<ProviderOptions, String> {
        let mut settings: Vec<(&str, String)> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match (item.split_once('='), settings.last_mut()) {
                (Some((key, value)), _) => settings.push((key.trim(), value.trim().to_owned())),
                (None, Some((_, value))) => *value += &format!(",{item}"),
                (None, None) => {
                    return Err(format!("expected provider.option=value, as in cuda.device_id=0, got '{item}'"));
                }
            }
        }
        let mut options = ProviderOptions::default();
        for (key, value) in settings {
            options.set(key, &value)?;
        }
        options.check_devices()?;
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some((provider, name)) = key.split_once('.') else {
            return Err(format!("'{key}' names no provider; expected provider.option=value, as in cuda.device_id=0"));
        };
        let provider = Provider::parse(provider)?;
        let option = find(provider, name)?;
        let value = option.kind.check(value).map_err(|reason| format!("{key}: {reason}"))?;
        let is_new = if matches!(option.kind, Kind::Devices) {
            let devices = value.split(',').filter_map(|device| device.parse().ok()).collect();
            self.devices.insert(provider, devices).is_none()
        } else {
            self.values.insert((provider, option.name), value).is_none()
        };
        if is_new { Ok(()) } else { Err(format!("{key} is set twice; give each option once")) }
    }

    /// What is computed by two providers is computed on one GPU.
    fn check_devices(&self) -> Result<(), String> {
        let mut lists = self.devices.iter();
        let (Some((first, a)), Some((second, b))) = (lists.next(), lists.next()) else { return Ok(()) };
        if a == b {
            return Ok(());
        }
        let text = |devices: &[u32]| devices.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        Err(format!(
            "{first}.device_id is {} and {second}.device_id is {}: both work on the same GPUs; set one of them",
            text(a),
            text(b)
        ))
    }

    /// Makes sure that each option is of a provider in the list.
    pub fn check_listed(&self, providers: &[String]) -> Result<(), String> {
        let set = self.values.keys().map(|(provider, name)| (*provider, *name));
        let mut set = set.chain(self.devices.keys().map(|provider| (*provider, "device_id")));
        match set.find(|(provider, _)| !providers.iter().any(|listed| listed == provider.name())) {
            None => Ok(()),
            Some((provider, name)) => Err(format!(
                "{provider}.{name} is set, but {provider} is not among the providers ({}); add it there, or leave the option out",
                providers.join(", ")
            )),
        }
    }

    /// The options of one provider but for its GPUs, by name.
    pub fn of(&self, provider: Provider) -> impl Iterator<Item = (&'static str, &str)> {
        let own = self.values.iter().filter(move |((of, _), _)| *of == provider);
        own.map(|((_, name), value)| (*name, value.as_str()))
    }

    /// With what TensorRT builds kept in a folder, unless something is said of that already.
    pub fn with_engine_cache(mut self, folder: &Path) -> ProviderOptions {
        let is_set = self
            .of(Provider::TensorRt)
            .any(|(name, _)| name.starts_with("trt_engine_cache_") || name.starts_with("trt_timing_cache_"));
        if let Some(folder) = folder.to_str().filter(|_| !is_set) {
            for (name, value) in [
                ("trt_engine_cache_enable", "1"),
                ("trt_engine_cache_path", folder),
                ("trt_timing_cache_enable", "1"),
                ("trt_timing_cache_path", folder),
            ] {
                self.values.insert((Provider::TensorRt, name), value.to_owned());
            }
        }
        self
    }

    /// With memory for what runs need and no more, unless something is said of that already: where a session sees runs of one size
    /// only, it never needs the rest.
    pub fn with_exact_memory(mut self) -> ProviderOptions {
        let strategy = (Provider::Cuda, "arena_extend_strategy");
        self.values.entry(strategy).or_insert_with(|| "kSameAsRequested".to_owned());
        self
    }

    /// The GPUs to compute on; at least one.
    pub fn devices(&self) -> Vec<u32> {
        self.devices.values().next().cloned().unwrap_or_else(|| vec![0])
    }

    /// Whether runs are to be recorded once and replayed.
    pub fn records_runs(&self) -> bool {
        self.values.get(&(Provider::Cuda, "enable_cuda_graph")).is_some_and(|value| value == "1")
    }

    /// The same, but for the recording.
    pub fn without_recording(mut self) -> ProviderOptions {
        self.values.remove(&(Provider::Cuda, "enable_cuda_graph"));
        self
    }

    /// Whether a session's memory on a GPU is limited.
    pub fn bounds_memory(&self) -> bool {
        self.values.contains_key(&(Provider::Cuda, "gpu_mem_limit"))
    }

    /// The first option that names a place on the server's disk. Those are the operator's to set, not a specification's.
    pub fn path(&self) -> Option<String> {
        let is_path = |provider, name| find(provider, name).is_ok_and(|option| matches!(option.kind, Kind::Path));
        let set = self.values.keys().find(|(provider, name)| is_path(*provider, name));
        set.map(|(provider, name)| format!("{provider}.{name}"))
    }
}

/// As it would be read again.
impl fmt::Display for ProviderOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.devices.iter().map(|(provider, devices)| {
            let devices: Vec<_> = devices.iter().map(u32::to_string).collect();
            format!("{provider}.device_id={}", devices.join(","))
        });
        let values = self.values.iter().map(|((provider, name), value)| format!("{provider}.{name}={value}"));
        f.write_str(&devices.chain(values).collect::<Vec<_>>().join(","))
    }
}

fn find(provider: Provider, name: &str) -> Result<&'static ProviderOption, String> {
    let options = table::options(provider);
    options.iter().find(|option| option.name == name).ok_or_else(|| {
        if options.is_empty() {
            return format!("{provider}.{name}: the processor has no options; threads are set by intra_op_threads");
        }
        let names: Vec<_> = options.iter().map(|option| option.name).collect();
        format!("'{name}' is not an option of {provider}; {}", suggestion(name, &names))
    })
}

/// The name that may have been meant, and all there are.
fn suggestion(name: &str, names: &[&str]) -> String {
    let name = name.to_ascii_lowercase();
    // Prefixes such as `trt_` are the first thing to be forgotten.
    let similarity =
        |known: &str| if !name.is_empty() && known.ends_with(&name) { 1.0 } else { strsim::jaro_winkler(&name, known) };
    let nearest = names.iter().map(|known| (similarity(known), known)).filter(|(similarity, _)| *similarity > 0.8);
    let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = nearest.map(|(_, known)| format!("did you mean '{known}'? ")).unwrap_or_default();
    format!("{meant}there are {}", names.join(", "))
}
