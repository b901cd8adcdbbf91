//! `scoria update`, `traffic`, `mirror`, `rollback` and `endpoints`: what is done to endpoints once they are there.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::columns::{columns, output_flag, pairs, plain, show};
use super::deploy::{given_settings, share};
use super::{Failure, arguments, registry, replicas};
use crate::config::Config;
use crate::control::operations::{Amendment, EndpointView, OperationError, Operations, RevisionView};
use crate::error::ErrorKind;
use crate::moment::Moment;
use crate::name::Name;
use crate::registry::{EndpointSpec, ModelSelector, Presence, RegistryError, Revision, Share, Sticky};

/// How many revisions `history` shows if nobody says.
const HISTORY_SHOWN: &str = "20";

fn endpoint_argument() -> Arg {
    Arg::new("endpoint").value_name("ENDPOINT").required(true).help("The endpoint's name")
}

/// `--reason`, for the history.
pub fn reason_flag() -> Arg {
    Arg::new("reason").long("reason").value_name("TEXT").help("Why, for the history")
}

/// `--set`, for settings.
pub fn settings_flag() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("SETTING=VALUE")
        .action(ArgAction::Append)
        .help("A setting that may differ between endpoints (docs/configuration.md). May be repeated")
}

pub fn update_command() -> Command {
    Command::new("update")
        .about("Have a deployment run another version, or under other settings, while it serves")
        .arg(Arg::new("deployment").value_name("ENDPOINT/DEPLOYMENT").required(true).help("As in house-prices/blue"))
        .arg(Arg::new("model").long("model").value_name("NAME[:VERSION]").help("Without a version, the latest"))
        .arg(settings_flag())
        .arg(reason_flag())
        .arg(output_flag())
}

pub fn traffic_command() -> Command {
    Command::new("traffic")
        .about("Split an endpoint's requests over its deployments; what is left goes to the default one")
        .arg(endpoint_argument())
        .arg(
            Arg::new("shares")
                .value_name("DEPLOYMENT=PERCENT")
                .num_args(1..)
                .required(true)
                .help("As in blue=90 green=10"),
        )
        .arg(reason_flag())
        .arg(output_flag())
}

pub fn mirror_command() -> Command {
    Command::new("mirror")
        .about("Have deployments run a share of the answered requests again, to compare their answers")
        .arg(endpoint_argument())
        .arg(
            Arg::new("shares")
                .value_name("DEPLOYMENT=PERCENT")
                .num_args(1..)
                .required(true)
                .help("As in green=20; green=0 ends it"),
        )
        .arg(reason_flag())
        .arg(output_flag())
}

pub fn rollback_command() -> Command {
    Command::new("rollback")
        .about("Make an endpoint again what it was before, or at a revision; keys stay as they are")
        .arg(endpoint_argument())
        .arg(Arg::new("to").long("to").value_name("REVISION").help("Default: the last one that differs"))
        .arg(reason_flag())
        .arg(output_flag())
}

/// The commands of `endpoints`; `configured` adds the flags of settings to each.
pub fn command(configured: fn(Command) -> Command) -> Command {
    let one = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(endpoint_argument()).arg(output_flag())
    };
    let history = one("history", "Show an endpoint's revisions: what, who, when and why")
        .arg(Arg::new("limit").long("limit").value_name("N").default_value(HISTORY_SHOWN).help("The latest so many"));
    let set = one("set", "Change what holds for a whole endpoint")
        .arg(settings_flag())
        .arg(Arg::new("sticky").long("sticky").value_name("BY").help("header:<name>, cookie:<name>, key, or none"))
        .arg(Arg::new("default").long("default").value_name("DEPLOYMENT").help("Who answers what the shares leave"))
        .arg(Arg::new("description").long("description").short('d').value_name("TEXT").help("What it is for"))
        .arg(reason_flag());
    let delete =
        one("delete", "Delete an endpoint, or one of its deployments (ENDPOINT/DEPLOYMENT); its history stays")
            .arg(reason_flag());
    Command::new("endpoints").about("What is served of the registry").subcommand_required(true).subcommands([
        configured(Command::new("list").about("List all endpoints").arg(output_flag())),
        configured(one("show", "Show one endpoint: what it is to be, and what every server says of it")),
        configured(history),
        configured(set),
        configured(delete),
    ])
}

pub fn update(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let (endpoint, deployment) = seat(text("deployment").unwrap_or_default())?;
    let deployment = deployment.ok_or_else(|| usage("say which deployment, as in house-prices/blue"))?;
    let parse =
        |text: &str| text.parse::<ModelSelector>().map_err(|error: RegistryError| Failure::Usage(error.to_string()));
    let model = text("model").map(parse).transpose()?;
    let settings = given_settings(matches)?;
    if model.is_none() && settings.is_empty() {
        return Err(usage("nothing to change: give --model or --set"));
    }
    let what = model.as_ref().map_or_else(|| "other settings".to_owned(), ToString::to_string);
    alter(matches, &endpoint, format!("{deployment} updated to {what}"), async |operations, change| {
        operations.update(&endpoint, &deployment, model.as_ref(), &settings, &change).await
    })
}

pub fn traffic(matches: &ArgMatches) -> Result<(), Failure> {
    let (endpoint, shares) = (endpoint(matches)?, shares(matches)?);
    alter(matches, &endpoint, format!("traffic {}", given(matches)), async |operations, change| {
        operations.traffic(&endpoint, &shares, &change).await
    })
}

pub fn mirror(matches: &ArgMatches) -> Result<(), Failure> {
    let (endpoint, shares) = (endpoint(matches)?, shares(matches)?);
    alter(matches, &endpoint, format!("mirror {}", given(matches)), async |operations, change| {
        operations.mirror(&endpoint, &shares, &change).await
    })
}

pub fn rollback(matches: &ArgMatches) -> Result<(), Failure> {
    let endpoint = endpoint(matches)?;
    let number = |text: &String| {
        let number = text.parse::<u64>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| Failure::Usage(format!("--to '{text}': expected the number of a revision")))
    };
    let to = matches.get_one::<String>("to").map(number).transpose()?;
    alter(matches, &endpoint, String::new(), async |operations, change| {
        operations.rollback(&endpoint, to, &change).await
    })
}

pub fn endpoints(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((verb, matches)) = matches.subcommand() else {
        return Err(usage("nothing to do; see scoria endpoints --help"));
    };
    match verb {
        "list" => list(matches),
        "show" => {
            let endpoint = endpoint(matches)?;
            let operations = operations(&arguments::config(matches)?.0)?;
            let view = registry::runtime()?.block_on(operations.show(&endpoint, Moment::now()))?;
            show(matches, &view, || described(&view))
        }
        "history" => history(matches),
        "set" => set(matches),
        _ => delete(matches),
    }
}

fn list(matches: &ArgMatches) -> Result<(), Failure> {
    let operations = operations(&arguments::config(matches)?.0)?;
    let views = registry::runtime()?.block_on(operations.list())?;
    show(matches, &views, || {
        let row = |view: &EndpointView| {
            let deployments: Vec<_> = view
                .deployments
                .iter()
                .map(|deployment| format!("{} {} {} %", deployment.name, deployment.model, deployment.traffic))
                .collect();
            vec![view.name.clone(), view.revision.to_string(), deployments.join(", "), view.at.clone(), view.by.clone()]
        };
        columns(&["ENDPOINT", "REVISION", "DEPLOYMENTS", "CHANGED", "BY"], &views.iter().map(row).collect::<Vec<_>>())
    })
}

fn history(matches: &ArgMatches) -> Result<(), Failure> {
    let endpoint = endpoint(matches)?;
    let limit = matches.get_one::<String>("limit").map(String::as_str).unwrap_or(HISTORY_SHOWN);
    let number = limit.parse().ok().filter(|number| *number > 0);
    let limit = number.ok_or_else(|| usage(format!("--limit '{limit}': expected a number from 1 on")))?;
    let operations = operations(&arguments::config(matches)?.0)?;
    let revisions = registry::runtime()?.block_on(operations.history(&endpoint, limit))?;
    show(matches, &revisions, || {
        let row = |view: &RevisionView| {
            vec![view.revision.to_string(), view.at.clone(), view.by.clone(), view.what.clone(), view.why.clone()]
        };
        columns(&["REVISION", "AT", "BY", "WHAT", "WHY"], &revisions.iter().map(row).collect::<Vec<_>>())
    })
}

fn set(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let endpoint = endpoint(matches)?;
    let amendment = Amendment {
        settings: given_settings(matches)?,
        tags: BTreeMap::new(),
        description: text("description").map(str::to_owned),
        sticky: text("sticky").map(sticky).transpose()?,
        default: text("default").map(name).transpose()?,
    };
    if amendment.is_empty() {
        return Err(usage("nothing to change: give --set, --sticky, --default or -d"));
    }
    alter(matches, &endpoint, "settings changed".to_owned(), async |operations, change| {
        operations.amend(&endpoint, &amendment, &change).await
    })
}

fn delete(matches: &ArgMatches) -> Result<(), Failure> {
    let (endpoint, deployment) = seat(matches.get_one::<String>("endpoint").map(String::as_str).unwrap_or_default())?;
    let what = deployment.as_ref().map_or_else(|| "deleted".to_owned(), |deployment| format!("{deployment} deleted"));
    alter(matches, &endpoint, what, async |operations, change| match &deployment {
        Some(deployment) => operations.remove(&endpoint, deployment, &change).await,
        None => operations.delete(&endpoint, &change).await,
    })
}

/// Carries an operation out and shows the endpoint as it is to be now.
fn alter(
    matches: &ArgMatches,
    endpoint: &Name,
    why: String,
    operate: impl AsyncFnOnce(&Operations, crate::registry::Change) -> Result<Revision<EndpointSpec>, OperationError>,
) -> Result<(), Failure> {
    let operations = operations(&arguments::config(matches)?.0)?;
    let why = matches.get_one::<String>("reason").cloned().unwrap_or(why);
    let revision = registry::runtime()?.block_on(operate(&operations, registry::change(why)))?;
    if revision.body.deleted {
        let view = RevisionView::of(&revision);
        return show(matches, &view, || format!("deleted endpoint {endpoint} in revision {}\n", revision.revision));
    }
    let view = EndpointView::of(endpoint, &revision);
    show(matches, &view, || described(&view))
}

/// The operations on the registry that the settings mean.
pub fn operations(config: &Config) -> Result<Operations, Failure> {
    Ok(Operations::new(registry::open(config, Presence::Expect)?, config.clone()))
}

/// An endpoint, for people.
pub fn described(view: &EndpointView) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| text += &format!("  {name:<12} {}\n", plain(value));
    field("endpoint", &view.name);
    field("revision", &format!("{} of {} by {}", view.revision, view.at, view.by));
    field("why", &view.why);
    if !view.description.is_empty() {
        field("description", &view.description);
    }
    if !view.tags.is_empty() {
        field("tags", &pairs(&view.tags));
    }
    if let Some(sticky) = &view.sticky {
        field("sticky", sticky);
    }
    if let Some(follow) = &view.follow {
        let tags = if follow.tags.is_empty() { String::new() } else { format!(" with {}", pairs(&follow.tags)) };
        field("follows", &format!("{}{tags}", follow.model));
    }
    if let Some(rollout) = &view.rollout {
        field("rollout", &format!("of {} as {} since {}", rollout.model, rollout.candidate, rollout.since));
    }
    let settings = |settings: &BTreeMap<String, serde_json::Value>| {
        let pairs: Vec<_> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if pairs.is_empty() { "-".to_owned() } else { pairs.join(" ") }
    };
    field("settings", &settings(&view.settings));
    let rows: Vec<Vec<String>> = view
        .deployments
        .iter()
        .map(|deployment| {
            let mark = if Some(&deployment.name) == view.default.as_ref() { " (default)" } else { "" };
            let mirror = if deployment.mirror > 0.0 { format!("{} %", deployment.mirror) } else { "-".to_owned() };
            vec![
                format!("{}{mark}", deployment.name),
                deployment.model.clone(),
                format!("{} %", deployment.traffic),
                mirror,
                settings(&deployment.settings),
            ]
        })
        .collect();
    text += &columns(&["DEPLOYMENT", "MODEL", "TRAFFIC", "MIRROR", "SETTINGS"], &rows);
    for deployment in view.deployments.iter().filter(|deployment| !deployment.profile.is_empty()) {
        let recommended = settings(&deployment.profile);
        text += &format!("  {} has, as profiled and where nothing else is said: {recommended}\n", deployment.name);
    }
    match &view.replicas {
        Some(replicas) => text + &replicas::described(replicas, view.revision),
        None => text,
    }
}

/// `header:<name>`, `cookie:<name>`, `key`, or `none`.
pub fn sticky(text: &str) -> Result<Option<Sticky>, Failure> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: String| Failure::Usage(format!("--sticky {error}")))
}

/// `<endpoint>[/<deployment>]`.
fn seat(text: &str) -> Result<(Name, Option<Name>), Failure> {
    match text.split_once('/') {
        None => Ok((name(text)?, None)),
        Some((endpoint, deployment)) => Ok((name(endpoint)?, Some(name(deployment)?))),
    }
}

pub fn endpoint(matches: &ArgMatches) -> Result<Name, Failure> {
    name(matches.get_one::<String>("endpoint").map(String::as_str).unwrap_or_default())
}

/// The endpoint to be called, whose server takes any letter case.
pub fn called_endpoint(matches: &ArgMatches) -> Result<Name, Failure> {
    let text = matches.get_one::<String>("endpoint").map(String::as_str).unwrap_or_default();
    Name::in_any_case(text).map_or_else(|| name(text), Ok)
}

fn name(text: &str) -> Result<Name, Failure> {
    Name::parse(text).map_err(|error| Failure::Usage(error.to_string()))
}

fn given(matches: &ArgMatches) -> String {
    matches.get_many::<String>("shares").unwrap_or_default().cloned().collect::<Vec<_>>().join(" ")
}

fn shares(matches: &ArgMatches) -> Result<BTreeMap<Name, Share>, Failure> {
    let mut shares = BTreeMap::new();
    for text in matches.get_many::<String>("shares").unwrap_or_default() {
        let (deployment, percent) = text
            .split_once('=')
            .ok_or_else(|| usage(format!("'{text}': expected DEPLOYMENT=PERCENT, as in green=10")))?;
        if shares.insert(name(deployment)?, share(percent)?).is_some() {
            return Err(usage(format!("'{deployment}' is given twice")));
        }
    }
    Ok(shares)
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Failure {
        match error.kind() {
            ErrorKind::NotFound => Failure::NotFound(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}
