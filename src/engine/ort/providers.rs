//! Registering execution providers with a session to be: each by itself, strictly.
//!
//! The runtime's own way is to leave out what fails and say so in a log. `is_available` tells what was compiled in, not what can be
//! had. So each provider of the list is registered alone and its failure kept; and as some only fail when the session is made, a
//! session that cannot be made is tried again without the first of those that were registered.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, CUDA, ExecutionProviderDispatch, TensorRT};
use ort::session::Session as RuntimeSession;
use ort::session::builder::SessionBuilder;

use super::absence;
use crate::engine::LoadError;
use crate::provider::{Provider, ProviderOptions};

/// A list of providers that shrinks by those that cannot be had.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    left: Vec<Provider>,
    /// Those that are out, each with its reason.
    missing: Vec<(Provider, String)>,
}

/// A session that was made, and with what.
pub(super) struct Made<S> {
    pub session: S,
    /// In order of preference.
    pub providers: Vec<Provider>,
    pub missing: Vec<(Provider, String)>,
}

impl Candidates {
    pub(super) fn new(asked: &[String]) -> Result<Candidates, LoadError> {
        let left = asked.iter().map(|name| Provider::parse(name)).collect::<Result<Vec<_>, _>>();
        Ok(Candidates { left: left.map_err(LoadError::Provider)?, missing: Vec::new() })
    }

    /// Makes a session by `make` with as many of these as can be had. `make` takes those that are left, and gives the session and
    /// those that it had to leave out.
    pub(super) fn make<S>(mut self, make: impl Fn(&[Provider]) -> Result<S, Refusal>) -> Result<Made<S>, LoadError> {
        loop {
            if self.left.is_empty() {
                return Err(self.nothing_left());
            }
            match make(&self.left) {
                Ok(session) => return Ok(Made { session, providers: self.left, missing: self.missing }),
                Err(Refusal::Of(provider, reason)) => self.leave_out(provider, &reason),
                Err(Refusal::OfAll(reason)) => {
                    match self.left.iter().copied().find(|provider| *provider != Provider::Cpu) {
                        Some(provider) => self.leave_out(provider, &reason),
                        // The model's own fault, or one that no other provider would not have.
                        None => return Err(super::failed(reason)),
                    }
                }
            }
        }
    }

    fn leave_out(&mut self, provider: Provider, message: &str) {
        self.left.retain(|other| *other != provider);
        self.missing.push((provider, absence::explain(provider, message)));
    }

    fn nothing_left(&self) -> LoadError {
        let missing: Vec<_> = self.missing.iter().map(|(provider, reason)| format!("{provider}: {reason}")).collect();
        let reason = if missing.is_empty() { "the list is empty".to_owned() } else { missing.join("; ") };
        LoadError::Provider(format!("{reason}; add \"cpu\" to fall back to the processor"))
    }
}

/// Why a session was not made, in the runtime's words.
pub(super) enum Refusal {
    /// This provider could not be registered.
    Of(Provider, String),
    /// All could be registered, and the session not be made.
    OfAll(String),
}

impl<R> From<ort::Error<R>> for Refusal {
    fn from(error: ort::Error<R>) -> Refusal {
        Refusal::OfAll(error.message().to_owned())
    }
}

/// Makes a session of the model at `path` on one GPU, or on the processor where the list has nothing else.
pub(super) fn make(
    mut builder: SessionBuilder,
    path: &std::path::Path,
    (providers, options, device): (&[Provider], &ProviderOptions, u32),
) -> Result<RuntimeSession, Refusal> {
    // Those behind the processor are never reached: it computes whatever there is.
    for &provider in providers.iter().take_while(|provider| **provider != Provider::Cpu) {
        let Some(registration) = registration(provider, options, device) else { continue };
        builder = builder
            .with_execution_providers([registration.error_on_failure()])
            .map_err(|error| Refusal::Of(provider, error.message().to_owned()))?;
    }
    if !providers.contains(&Provider::Cpu) {
        // Single operators would fall back to it otherwise.
        builder = builder.with_disable_cpu_fallback()?;
    }
    Ok(builder.commit_from_file(path)?)
}

fn registration(provider: Provider, options: &ProviderOptions, device: u32) -> Option<ExecutionProviderDispatch> {
    fn with<P: ArbitrarilyConfigurableExecutionProvider>(bare: P, provider: Provider, options: &ProviderOptions) -> P {
        options.of(provider).fold(bare, |registration, (name, value)| registration.with_arbitrary_config(name, value))
    }
    let device = i32::try_from(device).unwrap_or(i32::MAX);
    match provider {
        Provider::Cuda => Some(with(CUDA::default().with_device_id(device), provider, options).build()),
        Provider::TensorRt => Some(with(TensorRT::default().with_device_id(device), provider, options).build()),
        Provider::Cpu => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(names: &[&str]) -> Candidates {
        Candidates::new(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>()).expect("they are known")
    }

    #[test]
    fn each_that_cannot_be_registered_is_left_out_with_its_reason() {
        let made = candidates(&["tensorrt", "cuda", "cpu"]).make(|left| match left[0] {
            Provider::TensorRt => Err(Refusal::Of(Provider::TensorRt, "x is not enabled in this build".to_owned())),
            _ => Ok(left.len()),
        });
        let Made { session, providers, missing } = made.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((session, providers), (2, vec![Provider::Cuda, Provider::Cpu]));
        assert!(matches!(&missing[..], [(Provider::TensorRt, reason)] if reason.contains("make gpu")));
    }

    #[test]
    fn a_session_that_cannot_be_made_is_tried_without_the_best_that_is_left() {
        let made = candidates(&["tensorrt", "cuda", "cpu"]).make(|left| match left {
            [Provider::Cpu] => Ok(()),
            _ => Err(Refusal::OfAll("CUDA failure 100: no CUDA-capable device is detected".to_owned())),
        });
        let made = made.unwrap_or_else(|error| panic!("{error}"));
        let missing: Vec<_> = made.missing.iter().map(|(provider, _)| *provider).collect();
        assert_eq!((made.providers, missing), (vec![Provider::Cpu], vec![Provider::TensorRt, Provider::Cuda]));
    }

    #[test]
    fn nothing_falls_back_to_what_the_list_does_not_name() {
        let made = candidates(&["tensorrt", "cuda"])
            .make(|left| -> Result<(), _> { Err(Refusal::Of(left[0], "CUDA failure 100".to_owned())) });
        let text = made.err().expect("nothing is left").to_string();
        assert!(text.contains("tensorrt: there is no NVIDIA GPU") && text.contains("cuda: there is no"), "{text}");
        assert!(text.contains("add \"cpu\""), "{text}");
    }

    #[test]
    fn a_fault_of_the_model_is_told_as_such() {
        let made =
            candidates(&["cuda", "cpu"]).make(|_| -> Result<(), _> { Err(Refusal::OfAll("no such op".to_owned())) });
        let error = made.err().expect("the processor cannot either");
        assert!(matches!(&error, LoadError::Failed { reason, .. } if reason == "no such op"), "{error}");
    }
}
