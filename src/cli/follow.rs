//! `scoria follow`: has an endpoint take up new versions of a model by itself.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use super::register::given_pairs;
use super::{Failure, arguments, print, registry};
use crate::control::operations::Operations;
use crate::name::Name;
use crate::registry::{Follow, Guard, Presence};

pub fn command() -> Command {
    Command::new("follow")
        .about("Deploy new versions of a model by themselves, step by step, and take them back if they do harm")
        .arg(Arg::new("endpoint").value_name("ENDPOINT").required(true))
        .arg(Arg::new("model").value_name("MODEL").help("The model whose newest version the endpoint is to serve"))
        .arg(
            Arg::new("tag")
                .long("tag")
                .short('t')
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("Follow only versions with this tag. May be repeated"),
        )
        .arg(Arg::new("guard").long("guard").value_name("KEY=VALUE").action(ArgAction::Append).help(
            "What a new version has to show, as in hold_s=60, steps=[10,100] or objective=p99=50ms. May be repeated; \
             docs/continuous-deployment.md has all keys",
        ))
        .arg(Arg::new("stop").long("stop").action(ArgAction::SetTrue).help("Follow nothing any more"))
}

pub fn follow(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let name = |text: &str| Name::parse(text).map_err(|error| Failure::Usage(error.to_string()));
    let config = arguments::config(matches)?.0;
    let endpoint = name(text("endpoint").unwrap_or_default())?;
    let follow = match (text("model"), matches.get_flag("stop")) {
        (Some(model), false) => {
            let guard = guard(matches.get_many::<String>("guard").unwrap_or_default())?;
            let tags = given_pairs(matches, "tag")?;
            Some(Follow { model: name(model)?, tags, guard, refused: Default::default() })
        }
        (None, true) => None,
        _ => return Err(Failure::Usage("name the model to follow, or give --stop".to_owned())),
    };
    let why = follow.as_ref().map_or_else(
        || "follows no model any more".to_owned(),
        |follow| format!("follows the newest version of {}", follow.model),
    );
    let registry = registry::open(&config, Presence::Expect)?;
    let operations = Operations::new(registry, config);
    let change = registry::change(why);
    let made = registry::runtime()?.block_on(operations.follow(&endpoint, follow.as_ref(), &change))?;
    print(&format!("{endpoint}: revision {}: {}\n", made.revision, made.why))
}

/// A guard with some keys set: each value as JSON, or as the text that it is.
fn guard<'a>(given: impl Iterator<Item = &'a String>) -> Result<Guard, Failure> {
    let usage = |error: String| Failure::Usage(format!("--guard: {error}"));
    let mut fields = serde_json::Map::new();
    for text in given {
        let (key, value) = text.split_once('=').ok_or_else(|| usage(format!("expected key=value, got '{text}'")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        fields.insert(key.to_owned(), value);
    }
    let guard: Guard = serde_json::from_value(Value::Object(fields)).map_err(|error| usage(error.to_string()))?;
    guard.check().map_err(|error| usage(error.to_string()))?;
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_given_key_by_key() {
        let given = |texts: &[&str]| guard(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().iter());
        let made = given(&["hold_s=1", "steps=[10, 100]", "objective=p99=50ms"]).unwrap();
        assert_eq!((made.hold_s, made.steps.len(), made.objective.to_string().as_str()), (1, 2, "p99=50ms"));
        for text in ["hold_s", "hold=1", "hold_s=x", "steps=[100,10]"] {
            assert!(given(&[text]).is_err(), "{text}");
        }
    }
}
