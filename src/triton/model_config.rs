//! One `config.pbtxt`: read, checked against the model, and said in settings.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::tensors::{Batch, TensorConfig, unlisted_outputs};
use super::versions::VersionPolicy;
use super::warm_up::Sample;
use super::{CONFIG_FILE, Notice, Setting, batching, inside, instances, schema};
use crate::pbtxt::{self, Fault, Field, Place};
use crate::plain_file;
use crate::tensor::Signature;

/// What a model's folder says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// The model's folder: the one that holds the file and the version folders.
    pub folder: PathBuf,
    /// The name that the file gives the model.
    pub name: Option<(String, Place)>,
    /// The model's file in a version folder, where it is not called `model.onnx`.
    pub model_file: Option<String>,
    pub versions: VersionPolicy,
    /// In the file's order, each key once.
    pub settings: Vec<Setting>,
    /// What has no effect.
    pub notices: Vec<Notice>,
    pub(super) inputs: Vec<TensorConfig>,
    pub(super) outputs: Vec<TensorConfig>,
    pub(super) batch: Batch,
    pub(super) samples: Vec<Sample>,
}

/// A `config.pbtxt` that cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{fault}", path.display())]
    Fault { path: PathBuf, fault: Fault },
}

impl ModelConfig {
    /// Reads the configuration in a model's folder; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<ModelConfig>, ConfigFileError> {
        let path = folder.join(CONFIG_FILE);
        let text = match bounded(&path) {
            Ok(text) => text,
            // A link that leads nowhere is not there either, and is meant.
            Err(source) if source.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
                return Ok(None);
            }
            Err(source) => return Err(ConfigFileError::Read { path, source }),
        };
        match ModelConfig::parse(&text) {
            Ok(config) => Ok(Some(ModelConfig { folder: folder.to_owned(), ..config })),
            Err(fault) => Err(ConfigFileError::Fault { path, fault }),
        }
    }

    /// Reads a text of the format.
    pub fn parse(text: &[u8]) -> Result<ModelConfig, Fault> {
        let message = pbtxt::parse(text)?;
        let fields = schema::MODEL_CONFIG.of(&message)?;
        let find = |name: &str| fields.iter().find(|field| field.name == name);
        let all = |name: &'static str| fields.iter().filter(move |field| field.name == name);
        let mut draft = Draft::default();

        check_runnable(fields)?;
        let size = find("max_batch_size").map(|field| field.integer(0, i32::MAX.into()).map(|size| (field, size)));
        let size = size.transpose()?;
        let batch = match size {
            None => Batch::Unsaid,
            Some((_, 0)) => Batch::None,
            Some(_) => Batch::Left,
        };
        batching::read(size, find("dynamic_batching"), &mut draft)?;
        instances::read_groups(&all("instance_group").collect::<Vec<_>>(), &mut draft)?;
        let inputs = all("input").map(|field| TensorConfig::read_input(field, &mut draft)).collect::<Result<_, _>>()?;
        let outputs =
            all("output").map(|field| TensorConfig::read_output(field, &mut draft)).collect::<Result<_, _>>()?;
        for field in all("parameters") {
            instances::read_parameter(field, &mut draft)?;
        }
        if let Some(field) = find("optimization") {
            instances::read_optimization(field, &mut draft)?;
        }
        let versions = find("version_policy").map(VersionPolicy::read).transpose()?;
        let samples = all("model_warmup").map(|field| Sample::read(field, batch)).collect::<Result<_, _>>()?;
        let name = find("name").map(|field| field.text().map(|name| (name.to_owned(), field.place))).transpose()?;
        note_the_rest(fields, &mut draft)?;
        // In the order of the file, whatever the order in which it was looked at.
        draft.notices.sort_by_key(|notice| (notice.place.line, notice.place.column));
        Ok(ModelConfig {
            folder: PathBuf::new(),
            name: name.filter(|(name, _)| !name.is_empty()),
            model_file: find("default_model_filename").map(model_file).transpose()?.flatten(),
            versions: versions.unwrap_or_default(),
            settings: draft.settings,
            notices: draft.notices,
            inputs,
            outputs,
            batch,
            samples,
        })
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(CONFIG_FILE)
    }

    /// Compares with the model's own signature, which the configuration may not contradict.
    pub fn check(&self, signature: &Signature) -> Result<Vec<Notice>, ConfigFileError> {
        let inputs = self.inputs.iter().map(|input| input.check_input(signature, self.batch));
        let outputs = self.outputs.iter().map(|output| output.check_output(signature, self.batch));
        match inputs.chain(outputs).collect::<Result<(), Fault>>() {
            Ok(()) => Ok(unlisted_outputs(&self.outputs, signature).into_iter().collect()),
            Err(fault) => Err(ConfigFileError::Fault { path: self.path(), fault }),
        }
    }

    /// The files with the names of outputs' classes, by output.
    pub(super) fn label_files(&self) -> impl Iterator<Item = (&str, &str, Place)> {
        self.outputs.iter().filter_map(|output| Some((output.name.as_str(), output.labels.as_deref()?, output.place)))
    }
}

/// The file's bytes; one more than may be read is enough to refuse it.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    plain_file::open(path)?.take(pbtxt::MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Refuses what would have the model answer otherwise than the configuration promises.
fn check_runnable(fields: &[Field]) -> Result<(), Fault> {
    for field in fields {
        match field.name.as_str() {
            "platform" => {
                let text = field.text()?;
                if !matches!(text, "" | "onnxruntime_onnx" | "onnx_onnxv1") {
                    return Err(field.fault(format_args!(
                        "expected \"onnxruntime_onnx\", got \"{text}\": only ONNX models are served"
                    )));
                }
            }
            "backend" => {
                let text = field.text()?;
                if !matches!(text, "" | "onnxruntime") {
                    return Err(field
                        .fault(format_args!("expected \"onnxruntime\", got \"{text}\": only ONNX models are served")));
                }
            }
            "sequence_batching" => {
                return Err(
                    field.fault("state is not kept between requests: without it the model would answer wrongly")
                );
            }
            "ensemble_scheduling" => {
                return Err(field
                    .fault("ensembles are not served: export the steps as one ONNX model, or serve each by itself"));
            }
            "batch_input" | "batch_output" => {
                return Err(field.fault("ragged batches are not made, so the model would lack this input"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Names the other fields, none of which has an effect.
fn note_the_rest(fields: &[Field], draft: &mut Draft) -> Result<(), Fault> {
    for field in fields {
        match field.name.as_str() {
            "model_transaction_policy" => {
                for decoupled in schema::TRANSACTION_POLICY.of(field.message()?)? {
                    if decoupled.flag()? {
                        draft.notice(decoupled, "an ONNX model gives one answer to each request");
                    }
                }
            }
            "response_cache" => {
                for enable in schema::RESPONSE_CACHE.of(field.message()?)? {
                    if enable.flag()? {
                        draft.notice(enable, "answers are not cached: each request is run");
                    }
                }
            }
            "metric_tags" => draft.notice(field, "labels of metrics are the server's own names"),
            "model_metrics" => draft.notice(field, "histograms of durations are always there (docs/metrics.md)"),
            "cc_model_filenames" => draft.notice(field, "the same file is loaded on every device"),
            "model_operations" => draft.notice(field, "libraries of custom operators are not loaded"),
            "model_repository_agents" => draft.notice(field, "agents are not run"),
            "runtime" => draft.notice(field, "engines are chosen by the setting `engine`"),
            _ => {}
        }
    }
    Ok(())
}

fn model_file(field: &Field) -> Result<Option<String>, Fault> {
    let name = field.text()?;
    if name.is_empty() || name == "model.onnx" {
        return Ok(None);
    }
    let is_plain = !name.contains('/') && inside(Path::new(""), name).is_some();
    if is_plain {
        Ok(Some(name.to_owned()))
    } else {
        Err(field.fault("expected the name of a file in the version folder"))
    }
}
