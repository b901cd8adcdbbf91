//! The way from a file to its report: read, look at what it names, try it out.

use std::io;
use std::path::PathBuf;

use super::batching::Batching;
use super::findings::Findings;
use super::problem::{Code, Severity};
use super::report::{Cost, EngineReport, FileReport, MemoryReport, Report, SampleReport};
use crate::codec::{self, Policy};
use crate::control::{Description, ModelSpec, digest_file, sample_path};
use crate::engine::Inventory;
use crate::plain_file;
use crate::probe::{ProbeReport, Stage, decode_sample};
use crate::tensor::Signature;

/// What a diagnosis needs besides the model.
pub struct Practice<'a> {
    /// The engines to try, the one that a server would use first; the others are tried only for comparison.
    pub engines: &'a [&'a EngineTrial<'a>],
    /// Whether a server would use the next engine where the first cannot be started.
    pub falls_back: bool,
    /// Those that links to a model's weights may lead into.
    pub external_data_folders: &'a [PathBuf],
    /// What bodies may hold.
    pub policy: Policy,
}

/// Tries a model out on one engine, with the sample at this path if there is one.
pub type EngineTrial<'a> = dyn Fn(&ModelSpec, Option<&PathBuf>) -> ProbeReport + 'a;

/// Finds out what a server would make of a model. The file is there; whatever else is wrong is in the report.
pub fn diagnose(spec: &ModelSpec, practice: &Practice<'_>) -> Report {
    let report = Report::new(spec.name.to_string(), spec.path.display().to_string());
    let mut diagnosis = Diagnosis { spec, practice, report, findings: Findings::default() };
    diagnosis.look();
    let Diagnosis { mut report, findings, .. } = diagnosis;
    report.servable = !findings.has_errors();
    report.problems = findings.into_problems();
    report
}

/// What has been found so far.
struct Diagnosis<'a> {
    spec: &'a ModelSpec,
    practice: &'a Practice<'a>,
    report: Report,
    findings: Findings,
}

impl Diagnosis<'_> {
    fn look(&mut self) {
        if let Description::Faulty(reason) = &self.spec.description {
            let remedy =
                "mend what the message names; the model is not loaded before, and others beside it are not affected";
            self.findings.add(Code::FaultyFolder, Severity::Error, reason.clone(), remedy);
            if !self.spec.path.is_file() {
                return;
            }
        }
        // A digest of what is no plain file may never be done.
        if self.spec.path.is_file()
            && let Ok((sha256, bytes)) = digest_file(&self.spec.path)
        {
            self.report.file = Some(FileReport { bytes, sha256, ..FileReport::default() });
        }
        let inventory = match Inventory::read_linked(&self.spec.path, self.practice.external_data_folders) {
            Ok(inventory) => inventory,
            Err(error) => return self.findings.graph_error(&error),
        };
        self.report.describe(&inventory);
        self.findings.inventory(&inventory);
        let Ok(signature) = &inventory.signature else { return };
        self.report.example = codec::json::example_body(signature);
        self.report.sample = self.sample(signature);
        if !self.findings.has(Code::ExternalDataRefused) {
            self.try_out(&inventory, signature);
        }
    }

    /// Looks at the sample beside the model, if there is one.
    fn sample(&mut self, signature: &Signature) -> Option<SampleReport> {
        let path = sample_path(&self.spec.path);
        let reason = match plain_file::read(&path) {
            Ok(body) => decode_sample(&body, signature, self.practice.policy).err().map(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = &reason {
            let message =
                format!("the sample {} is not valid for the model, and would be ignored: {reason}", path.display());
            let remedy = match &self.report.example {
                Some(example) if example.len() <= 200 => format!("mend or remove it; this would be valid: {example}"),
                _ => "mend or remove it".to_owned(),
            };
            self.findings.add(Code::SampleRejected, Severity::Warning, message, remedy);
        }
        Some(SampleReport { path: path.display().to_string(), accepted: reason.is_none(), reason })
    }

    /// Has the engines try the model, and takes in what they say.
    fn try_out(&mut self, inventory: &Inventory, signature: &Signature) {
        let sample = self.report.sample.as_ref().filter(|sample| sample.accepted);
        let sample = sample.map(|sample| PathBuf::from(&sample.path));
        let mut is_chosen = false;
        for (index, engine) in self.practice.engines.iter().enumerate() {
            let probe = engine(self.spec, sample.as_ref());
            let is_absent = probe.failure.as_ref().is_some_and(|failure| failure.stage == Stage::Start);
            let has_next = index + 1 < self.practice.engines.len();
            let is_passed_over = is_absent && has_next && self.practice.falls_back;
            let chosen = !is_chosen && !is_passed_over;
            is_chosen |= chosen;
            if chosen {
                self.findings.trial(&probe, signature);
                self.measured(&probe, inventory);
            } else {
                self.findings.other_trial(&probe);
            }
            self.report.engines.push(EngineReport { chosen, probe });
        }
    }

    /// Takes over what the engine that a server would use has shown.
    fn measured(&mut self, probe: &ProbeReport, inventory: &Inventory) {
        let external = inventory.external_data.iter().filter_map(|data| data.file.as_ref().ok());
        let files_bytes = inventory.file.bytes + external.map(|file| file.bytes).sum::<u64>();
        self.report.memory = probe.memory.map(|memory| MemoryReport {
            files_bytes,
            held_bytes: memory.held_bytes,
            peak_bytes: memory.peak_bytes,
        });
        self.report.cost = probe.run.as_ref().map(|run| Cost {
            input: run.input,
            input_shapes: run.input_shapes.clone(),
            load_us: probe.load.as_ref().map(|load| load.took_us),
            first_us: run.first_us,
            steady_us: run.steady_us,
        });
        self.report.batching = probe.joining.clone().map(Batching::new);
        if let Some(batching) = &self.report.batching {
            batching.report(&mut self.findings);
        }
    }
}
