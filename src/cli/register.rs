//! `scoria register`: a file or folder becomes the next version of a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::columns::{output_flag, show, size};
use super::meter::Meter;
use super::models::describe;
use super::probe::{policy, try_out};
use super::{Failure, arguments, registry};
use crate::config::{Config, EngineChoice};
use crate::name::Name;
use crate::publish::{EngineTrial, Practice, Step, Submission, prepare};
use crate::registry::{Draft, ModelMeta, ModelVersion, Presence};

pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("register")
        .about("Publish a model as the next version of its name")
        .arg(Arg::new("name").value_name("NAME").required(true).help("The model's name"))
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .required(true)
                .help("An ONNX file, with the weights that it keeps beside it, or a folder with one"),
        )
        .arg(
            option("tag", "KEY=VALUE")
                .short('t')
                .action(ArgAction::Append)
                .help("A tag; tags can be changed later. May be repeated"),
        )
        .arg(
            option("property", "KEY=VALUE")
                .action(ArgAction::Append)
                .help("A property; properties can be added later, never changed. May be repeated"),
        )
        .arg(option("description", "TEXT").short('d').help("What it is"))
        .arg(
            option("sample-input", "FILE")
                .help("A JSON body that the model takes; default: the sample beside the model"),
        )
        .arg(option("sample-output", "FILE").help("What the model answers to it"))
        .arg(option("golden", "FOLDER").help(
            "Requests and the answers that the model has to give: <case>.request.json, <case>.response.json; \
             default: the folder golden in the model's folder",
        ))
        .arg(output_flag())
}

pub fn register(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let path = |name| matches.get_one::<String>(name).map(PathBuf::from);
    let config = arguments::config(matches)?.0;
    let name = Name::parse(text("name").unwrap_or_default()).map_err(|error| Failure::Usage(error.to_string()))?;
    let submission = Submission {
        name,
        path: path("path").unwrap_or_default(),
        sample_input: path("sample-input"),
        sample_output: path("sample-output"),
        golden: path("golden"),
        tags: given_pairs(matches, "tag")?,
        properties: given_pairs(matches, "property")?,
        description: text("description").unwrap_or_default().to_owned(),
    };
    // A slip in the URL is cheaper to find before gigabytes are read.
    let url = registry::url(&config)?;
    let meter = Meter::new();
    let draft = prepared(&config, submission, &meter)?;
    meter.begin("uploading", draft.files.iter().map(|file| file.stored.bytes).sum());
    let models = registry::open(&config, Presence::Create)?.models();
    let change = registry::change("registered");
    let manifest = registry::runtime()?.block_on(models.publish(draft, &change, &|bytes| meter.advance(bytes)))?;
    drop(meter);
    let meta = ModelMeta::of(&manifest);
    let version = ModelVersion { manifest, meta, meta_revision: 0 };
    show(matches, &version.view(), || {
        let content = &version.manifest.content;
        let model = version.manifest.model_ref();
        format!("registered {model} in {url} ({})\n{}", size(content.bytes()), describe(&version))
    })
}

/// Checks the model, as a server would use it.
fn prepared(config: &Config, submission: Submission, meter: &Meter) -> Result<Draft, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program cannot be found, to try models out with: {error}")))?;
    let ort = |model: &Path, sample: Option<&Path>| try_out(&program, config, "ort", model, sample);
    let tract = |model: &Path, sample: Option<&Path>| try_out(&program, config, "tract", model, sample);
    // As a server does, which falls back only where the operator has not named a library.
    let falls_back = cfg!(feature = "tract") && config.ort_lib.is_none();
    let engines: &[&EngineTrial<'_>] = match config.engine {
        EngineChoice::Tract => &[&tract],
        EngineChoice::Auto if falls_back => &[&ort, &tract],
        EngineChoice::Ort | EngineChoice::Auto => &[&ort],
    };
    let external_data_folders = &config.weights_folders();
    let practice = Practice { engines, external_data_folders, policy: policy(config) };
    let tell = |step: Step| match step {
        Step::Reading { bytes, .. } => meter.begin("reading", bytes),
        Step::Read { bytes } => meter.advance(bytes),
        Step::Trying => meter.wait("trying"),
    };
    Ok(prepare(submission, &practice, &tell)?)
}

/// The `key=value` pairs of a flag, each key once.
pub fn given_pairs(matches: &ArgMatches, flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut pairs = BTreeMap::new();
    for text in matches.get_many::<String>(flag).unwrap_or_default() {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("--{flag} '{text}': expected KEY=VALUE")));
        };
        if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::Usage(format!("--{flag}: '{key}' is given twice")));
        }
    }
    Ok(pairs)
}
