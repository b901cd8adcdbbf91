//! `scoria models`: what is registered.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value as Json, json};

use super::columns::{columns, output_flag, pairs, plain, plain_long, show, size};
use super::meter::Meter;
use super::register::given_pairs;
use super::{Failure, arguments, registry};
use crate::registry::{
    Archived, MetaEdit, ModelMeta, ModelQuery, ModelRef, ModelSelector, ModelVersion, ModelView, Models, Only, Pair,
    Presence, ProfileView, RegistryError, recommended,
};
use crate::tensor::{Dim, OutputSpec, TensorSpec, ValueType};

/// The commands; `configured` adds the flags of settings to each.
pub fn command(configured: fn(Command) -> Command) -> Command {
    let one = |name: &'static str, about: &'static str| {
        let model = Arg::new("model").value_name("NAME[:VERSION]").required(true).help("Without a version, the latest");
        Command::new(name).about(about).arg(model).arg(output_flag())
    };
    let repeated =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value).action(ArgAction::Append);
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let list = Command::new("list")
        .about("List registered models")
        .arg(Arg::new("name").value_name("NAME").help("Only this model's versions"))
        .arg(repeated("tag", "KEY[=VALUE]").short('t').help("Only versions with this tag. May be repeated"))
        .arg(repeated("property", "KEY[=VALUE]").help("Only versions with this property. May be repeated"))
        .arg(flag("latest").help("Only the latest version of each model that is found"))
        .arg(flag("archived").help("Archived versions too"))
        .arg(output_flag());
    let tag = one("tag", "Change what is said of a version")
        .arg(repeated("tag", "KEY=VALUE").short('t').help("Set a tag. May be repeated"))
        .arg(repeated("remove", "KEY").help("Remove a tag. May be repeated"))
        .arg(repeated("property", "KEY=VALUE").help("Add a property, which then stays. May be repeated"))
        .arg(Arg::new("description").long("description").short('d').value_name("TEXT").help("What it is"));
    let download = one("download", "Write a version's files into a new folder")
        .arg(Arg::new("folder").value_name("FOLDER").help("Default: <name>-<version> in the folder where you are"));
    Command::new("models").about("What is registered").subcommand_required(true).subcommands([
        configured(list),
        configured(one("show", "Show all that is known of a version")),
        configured(tag),
        configured(one("archive", "Hide a version from lists and from `latest`; it stays usable")),
        configured(one("restore", "Take a version out of the archive")),
        configured(one("delete", "Delete a version that no endpoint uses; its number is never used again")),
        configured(download),
    ])
}

pub fn models(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((verb, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("nothing to do; see scoria models --help".to_owned()));
    };
    let config = arguments::config(matches)?.0;
    let models = registry::open(&config, Presence::Expect)?.models();
    let runtime = registry::runtime()?;
    match verb {
        "list" => runtime.block_on(list(&models, matches)),
        "show" => {
            let version = runtime.block_on(models.select(&selector(matches)?))?;
            let profile = runtime.block_on(models.profile(&version.manifest.model_ref()).latest())?;
            let profile = profile.as_ref().map(ProfileView::of);
            let told = profile.as_ref().map(profile_text).unwrap_or_default();
            show(matches, &ModelView { profile, ..version.view() }, || describe(&version) + &told)
        }
        "tag" => {
            let edit = edit(matches)?;
            runtime.block_on(change(&models, matches, "described", &|meta, model| edit.apply(meta, model)))
        }
        "archive" => runtime.block_on(change(&models, matches, "archived", &|meta, _| {
            meta.archived = true;
            Ok(())
        })),
        "restore" => runtime.block_on(change(&models, matches, "restored", &|meta, _| {
            meta.archived = false;
            Ok(())
        })),
        "delete" => runtime.block_on(delete(&models, matches)),
        _ => runtime.block_on(download(&models, matches)),
    }
}

fn selector(matches: &ArgMatches) -> Result<ModelSelector, Failure> {
    let text = matches.get_one::<String>("model").map(String::as_str).unwrap_or_default();
    text.parse().map_err(|error: RegistryError| Failure::Usage(error.to_string()))
}

async fn list(models: &Models, matches: &ArgMatches) -> Result<(), Failure> {
    let usage = |error: RegistryError| Failure::Usage(error.to_string());
    let pairs_of = |flag| {
        matches.get_many::<String>(flag).unwrap_or_default().map(|text| text.parse::<Pair>()).collect::<Result<_, _>>()
    };
    let name =
        matches.get_one::<String>("name").map(|name| name.parse::<ModelSelector>()).transpose().map_err(usage)?;
    let query = ModelQuery {
        name: name.map(|selector| selector.name),
        tags: pairs_of("tag").map_err(usage)?,
        properties: pairs_of("property").map_err(usage)?,
        only: if matches.get_flag("latest") { Only::Latest } else { Only::All },
        archived: if matches.get_flag("archived") { Archived::Included } else { Archived::LeftOut },
    };
    let found = models.search(&query).await?;
    let views: Vec<_> = found.iter().map(ModelVersion::view).collect();
    show(matches, &views, || {
        let rows: Vec<Vec<String>> = found.iter().map(row).collect();
        columns(&["NAME", "VERSION", "SIZE", "REGISTERED", "BY", "TAGS", "DESCRIPTION"], &rows)
    })
}

fn row(version: &ModelVersion) -> Vec<String> {
    let ModelVersion { manifest, meta, .. } = version;
    let archived = if meta.archived { " (archived)" } else { "" };
    vec![
        manifest.name.to_string(),
        format!("{}{archived}", manifest.version),
        size(manifest.content.bytes()),
        manifest.registered.to_string(),
        manifest.by.clone(),
        pairs(&meta.tags),
        meta.description.clone(),
    ]
}

/// What `models tag` is to change.
fn edit(matches: &ArgMatches) -> Result<MetaEdit, Failure> {
    let edit = MetaEdit {
        tags: given_pairs(matches, "tag")?,
        remove: matches.get_many::<String>("remove").unwrap_or_default().cloned().collect(),
        properties: given_pairs(matches, "property")?,
        description: matches.get_one::<String>("description").cloned(),
    };
    if edit.is_empty() {
        return Err(Failure::Usage("nothing to change: give -t, --remove, --property or -d".to_owned()));
    }
    Ok(edit)
}

type Alteration<'a> = dyn Fn(&mut ModelMeta, &ModelRef) -> Result<(), RegistryError> + 'a;

async fn change(models: &Models, matches: &ArgMatches, why: &str, alter: &Alteration<'_>) -> Result<(), Failure> {
    // Of what is archived, the latest is not what is meant by a name alone.
    let model = models.select(&selector(matches)?).await?.manifest.model_ref();
    let version = models.describe(&model, &registry::change(why), |meta| alter(meta, &model)).await?;
    show(matches, &version.view(), || describe(&version))
}

async fn delete(models: &Models, matches: &ArgMatches) -> Result<(), Failure> {
    let selector = selector(matches)?;
    if selector.version.is_none() {
        return Err(Failure::Usage(format!("say which version to delete, as in {}:1", selector.name)));
    }
    let model = models.select(&selector).await?.manifest.model_ref();
    let collected = models.delete(&model, &registry::change("deleted")).await?;
    let document = json!({ "deleted": model.to_string(), "collected": collected });
    show(matches, &document, || {
        format!("deleted {model}; {} files collected, {}\n", collected.blobs, size(collected.bytes))
    })
}

async fn download(models: &Models, matches: &ArgMatches) -> Result<(), Failure> {
    let version = models.select(&selector(matches)?).await?;
    let model = version.manifest.model_ref();
    let default = || PathBuf::from(format!("{}-{}", model.name, model.version));
    let folder = matches.get_one::<String>("folder").map_or_else(default, PathBuf::from);
    let meter = Meter::new();
    meter.begin("fetching", version.manifest.content.all_files().map(|file| file.bytes).sum());
    let path = models.download(&version, Path::new(&folder), &|bytes| meter.advance(bytes)).await?;
    drop(meter);
    let document = json!({ "model": model.to_string(), "folder": folder, "path": path });
    show(matches, &document, || format!("{}\n", path.display()))
}

/// All that is known of a version, for people.
pub fn describe(version: &ModelVersion) -> String {
    let ModelVersion { manifest, meta, .. } = version;
    let content = &manifest.content;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| text += &format!("  {name:<12} {}\n", plain_long(value));
    field("model", &format!("{}{}", manifest.model_ref(), if meta.archived { " (archived)" } else { "" }));
    if !meta.description.is_empty() {
        field("description", &meta.description);
    }
    field("tags", &pairs(&meta.tags));
    field("properties", &pairs(&meta.properties));
    field("registered", &format!("{} by {}", manifest.registered, manifest.by));
    field("sha256", content.digest.as_str());
    for file in &content.files {
        let mark = if file.path == content.model { " (the model)" } else { "" };
        field("file", &format!("{}  {}{mark}", file.path, size(file.bytes)));
    }
    content.signature.inputs.iter().for_each(|input| field("input", &input_text(input)));
    content.signature.outputs.iter().for_each(|output| field("output", &output_text(output)));
    let opsets: Vec<String> = content.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    field("opsets", &opsets.join(", "));
    let run = content.trial.run_us.map_or_else(|| "not run".to_owned(), |run_us| format!("a run takes {run_us} us"));
    field("tried on", &format!("{} {}, {run}", content.trial.engine, content.trial.version));
    if let Some(sample) = &content.sample_input {
        field("sample", &format!("{}  {}", sample.path, size(sample.bytes)));
    }
    if !content.golden.is_empty() {
        field("golden", &format!("{} requests", content.golden.len() / 2));
    }
    text
}

/// The latest profile in a few lines.
fn profile_text(profile: &ProfileView<'_>) -> String {
    let report = profile.report;
    let text = |key: &str| report[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| report[key].as_f64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let met = match (report["objective"].as_str(), &report["objectiveMet"]) {
        (None, _) => "the highest rate".to_owned(),
        (Some(objective), Json::Bool(true)) => format!("{objective} is met"),
        (Some(objective), _) => format!("{objective} is not met"),
    };
    let measured = format!(
        "{met}: {}/s, p50 {} ms, p99 {} ms, on {} cores with {}",
        number("measuredQueriesPerSecond"),
        number("latencyPercentile50InMs"),
        number("latencyPercentile99InMs"),
        number("requestedCpu"),
        text("engine"),
    );
    let recommended = recommended(report);
    let settings: Vec<_> = recommended.iter().map(|(key, value)| format!("{key}={}", plain_value(value))).collect();
    let settings = if settings.is_empty() { "nothing".to_owned() } else { settings.join(" ") };
    let at = format!("{} by {}", profile.at, profile.by);
    [("profile", measured), ("recommends", settings), ("profiled", at)]
        .map(|(name, value)| format!("  {name:<12} {}\n", plain_long(&value)))
        .concat()
}

fn plain_value(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn input_text(input: &TensorSpec) -> String {
    format!("{}  {}{}", plain(&input.name), input.dtype, dims_text(input.dims.as_deref()))
}

fn output_text(output: &OutputSpec) -> String {
    let kind = match &output.value {
        ValueType::Tensor { dtype, dims } => format!("{dtype}{}", dims_text(dims.as_deref())),
        ValueType::Sequence(_) => "a sequence".to_owned(),
        ValueType::Map { .. } => "a map".to_owned(),
    };
    format!("{}  {kind}", plain(&output.name))
}

fn dims_text(dims: Option<&[Dim]>) -> String {
    let Some(dims) = dims else { return "[…]".to_owned() };
    format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}
