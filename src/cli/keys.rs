//! `scoria keys`: which keys an endpoint has, and new ones. A key itself is shown when it is made, and never again.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::columns::{age, columns, output_flag, show};
use super::endpoints::{endpoint, operations, reason_flag};
use super::{Failure, arguments, registry};
use crate::auth::Slot;
use crate::control::operations::KeyView;
use crate::moment::Moment;

pub fn command() -> Command {
    Command::new("keys")
        .about("Show which keys an endpoint has, or replace one while clients use the other")
        .arg(Arg::new("endpoint").value_name("ENDPOINT").required(true).help("The endpoint's name"))
        .arg(
            Arg::new("verb")
                .value_name("show|rotate")
                .default_value("show")
                .value_parser(PossibleValuesParser::new(["show", "rotate"]))
                .help("show: id, age and last use of each; rotate: make a new one, which is shown this once"),
        )
        .arg(
            Arg::new("slot")
                .value_name("primary|secondary")
                .value_parser(PossibleValuesParser::new(["primary", "secondary"]))
                .help("The key to replace"),
        )
        .arg(reason_flag())
        .arg(output_flag())
}

pub fn keys(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let endpoint = endpoint(matches)?;
    let operations = operations(&arguments::config(matches)?.0)?;
    let runtime = registry::runtime()?;
    if text("verb") == Some("rotate") {
        let slot = Slot::ALL.into_iter().find(|slot| Some(slot.name()) == text("slot"));
        let slot =
            slot.ok_or_else(|| Failure::Usage("say which key: rotate primary, or rotate secondary".to_owned()))?;
        let why = text("reason").map_or_else(|| format!("{} key replaced", slot.name()), str::to_owned);
        let key = runtime.block_on(operations.rotate_key(&endpoint, slot, &registry::change(why)))?;
        let document = json!({ "slot": slot.name(), "id": key.digest().id(), "key": key.reveal() });
        return show(matches, &document, || {
            format!("{} key  {}\nIt is shown this once; the old one is no longer good.\n", slot.name(), key.reveal())
        });
    }
    let keys = runtime.block_on(operations.keys(&endpoint, Moment::now()))?;
    show(matches, &keys, || {
        let row = |key: &KeyView| {
            let used = key.last_used.map_or_else(|| "never seen".to_owned(), |used| used.to_string());
            vec![key.slot.to_owned(), key.id.clone(), key.created.to_string(), age(key.age_s), used]
        };
        columns(&["KEY", "ID", "CREATED", "AGE", "LAST USED"], &keys.iter().map(row).collect::<Vec<_>>())
    })
}
