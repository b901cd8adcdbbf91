//! `scoria deploy`: a registered version answers at an endpoint.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::columns::{output_flag, show};
use super::endpoints::{described, operations, reason_flag, settings_flag, sticky};
use super::{Failure, arguments, registry};
use crate::config::{Overrides, override_of};
use crate::control::operations::azure::{self, Mapped};
use crate::control::operations::{Addition, Amendment, Deployed, EndpointView};
use crate::name::Name;
use crate::registry::{ModelSelector, RegistryError, Share};

pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("deploy")
        .about("Have a registered version answer at an endpoint, which is made if it is not there")
        .arg(Arg::new("model").value_name("NAME[:VERSION]").required(true).help("Without a version, the latest"))
        .arg(option("endpoint", "ENDPOINT").short('e').required(true).help("The endpoint's name"))
        .arg(option("name", "DEPLOYMENT").help("The deployment's name; default: blue, then green, then the version's"))
        .arg(option("traffic", "PERCENT").help(
            "Its share of the requests, taken from the default deployment; default: all for the first, none for others",
        ))
        .arg(settings_flag())
        .arg(option("sticky", "BY").help("What keeps a user on one deployment: header:<name>, cookie:<name> or key"))
        .arg(option("description", "TEXT").short('d').help("What the endpoint is for"))
        .arg(
            option("deployment-config", "FILE")
                .help("A deploymentconfig.json of Azure's (AKS, ACI or local), read as it is"),
        )
        .arg(option("inference-config", "FILE").help("An inferenceconfig.json of Azure's, read as it is"))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only say what would be made of the files and flags"),
        )
        .arg(reason_flag())
        .arg(output_flag())
}

pub fn deploy(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let usage = |error: String| Failure::Usage(error);
    let name = |text: &str| Name::parse(text).map_err(|error| Failure::Usage(error.to_string()));
    let config = arguments::config(matches)?.0;
    let model: ModelSelector =
        text("model").unwrap_or_default().parse().map_err(|error: RegistryError| usage(error.to_string()))?;
    let endpoint = name(text("endpoint").unwrap_or_default())?;
    let azure = [text("deployment-config"), text("inference-config")];
    let azure: Vec<Mapped> = azure.into_iter().flatten().map(mapped).collect::<Result<_, _>>()?;
    let notes: Vec<String> = azure.iter().flat_map(|mapped| mapped.notes.clone()).collect();
    let mut settings: Overrides = azure.iter().flat_map(|mapped| mapped.settings.clone()).collect();
    settings.extend(given_settings(matches)?);
    let deployment = text("name").map(name).transpose()?;
    let deployment = deployment.or_else(|| azure.iter().find_map(|mapped| mapped.name.clone()));
    let traffic = text("traffic").map(share).transpose()?;
    let traffic = traffic.or_else(|| azure.iter().find_map(|mapped| mapped.traffic));
    let mut amendment = azure.iter().fold(Amendment::default(), |amendment, mapped| {
        let Amendment { tags, description, .. } = mapped.amendment();
        Amendment {
            tags: amendment.tags.into_iter().chain(tags).collect(),
            description: amendment.description.or(description),
            ..amendment
        }
    });
    amendment.description = text("description").map(str::to_owned).or(amendment.description);
    amendment.sticky = text("sticky").map(sticky).transpose()?;

    if matches.get_flag("dry-run") {
        let document =
            json!({ "endpoint": endpoint, "model": model.to_string(), "settings": settings, "notes": notes });
        return show(matches, &document, || format!("{document:#}\n"));
    }
    let change = registry::change(text("reason").map_or_else(|| format!("deployed {model}"), str::to_owned));
    let operations = operations(&config)?;
    let addition =
        |model, profile| Addition { name: deployment.clone(), model, profile, traffic, settings: settings.clone() };
    let deployed =
        registry::runtime()?.block_on(operations.deploy(&endpoint, &model, addition, &amendment, &change))?;
    tell(matches, &endpoint, &deployed, &notes)
}

fn tell(matches: &ArgMatches, endpoint: &Name, deployed: &Deployed, notes: &[String]) -> Result<(), Failure> {
    let view = EndpointView::of(endpoint, &deployed.revision);
    let keys = deployed
        .keys
        .as_ref()
        .map(|keys| json!({ "primary": keys.primary.reveal(), "secondary": keys.secondary.reveal() }));
    let document = json!({ "deployment": deployed.deployment, "endpoint": view, "keys": keys, "notes": notes });
    show(matches, &document, || {
        let mut text =
            format!("deployed {endpoint}/{} in revision {}\n", deployed.deployment, deployed.revision.revision);
        text += &described(&view);
        for note in notes {
            text += &format!("  note         {note}\n");
        }
        if let Some(keys) = &deployed.keys {
            text += &format!(
                "\n  primary key    {}\n  secondary key  {}\n  These are shown this once; keep them where clients find them.\n",
                keys.primary.reveal(),
                keys.secondary.reveal()
            );
        }
        text
    })
}

fn mapped(path: &str) -> Result<Mapped, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::Failed(format!("{path} cannot be read: {error}")))?;
    azure::read(&text, path).map_err(|error| Failure::Failed(error.to_string()))
}

/// The settings of `--set key=value`.
pub fn given_settings(matches: &ArgMatches) -> Result<Overrides, Failure> {
    let mut settings = Overrides::new();
    for text in matches.get_many::<String>("set").unwrap_or_default() {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Failure::Usage(format!("--set '{text}': expected SETTING=VALUE")))?;
        let value = override_of(key, value).map_err(|error| Failure::Usage(format!("--set: {error}")))?;
        settings.insert(key.to_owned(), value);
    }
    Ok(settings)
}

/// A percentage.
pub fn share(text: &str) -> Result<Share, Failure> {
    let percent: f64 = text
        .trim_end_matches('%')
        .trim()
        .parse()
        .map_err(|_| Failure::Usage(format!("'{text}': expected a percentage, such as 12.5")))?;
    Share::from_percent(percent).map_err(|error| Failure::Usage(error.to_string()))
}
