//! Commands and flags. The flags of settings come from the table of settings.

use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Configured, Failure, deploy, endpoints, health, keys, models, profile, register};
use crate::config::{Config, File, Origin, SETTINGS, Setting, env};

/// The whole command line.
pub fn command() -> Command {
    Command::new("scoria")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Turns ONNX models into production scoring endpoints")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_settings(Command::new("serve").about("Serve models over HTTP")).arg(model_arguments().num_args(0..)),
        )
        .subcommand(
            with_settings(
                Command::new("doctor")
                    .about("Say what a server would make of a model's file, and what is wrong with it"),
            )
            .arg(model_arguments().num_args(1..).required(true))
            .arg(
                Arg::new("output")
                    .short('o')
                    .long("output")
                    .value_name("FORMAT")
                    .value_parser(PossibleValuesParser::new(["table", "json"]))
                    .help("table or json; default: table on a terminal, json otherwise"),
            ),
        )
        .subcommand(with_settings(register::command()))
        .subcommand(models::command(with_settings))
        .subcommand(with_settings(deploy::command()))
        .subcommand(with_settings(endpoints::update_command()))
        .subcommand(with_settings(endpoints::traffic_command()))
        .subcommand(with_settings(endpoints::mirror_command()))
        .subcommand(with_settings(endpoints::rollback_command()))
        .subcommand(endpoints::command(with_settings))
        .subcommand(with_settings(keys::command()))
        .subcommand(with_settings(profile::command()))
        .subcommand(
            // What `doctor` starts to have a model tried out; it tells events as lines of JSON.
            with_settings(Command::new("probe").about("Try one model out on one engine, under limits").hide(true))
                .arg(Arg::new("sample").long("sample").value_name("FILE"))
                .arg(Arg::new("model").value_name("FILE").required(true)),
        )
        .subcommand(with_settings(health::command()))
        .subcommand(
            Command::new("runtime").about("The engine that runs models").subcommand_required(true).subcommand(
                with_settings(Command::new("info").about("Show which engine would be used, and its version")).arg(
                    Arg::new("output")
                        .short('o')
                        .long("output")
                        .value_name("FORMAT")
                        .value_parser(PossibleValuesParser::new(["text", "json"]))
                        .help("text or json; default: text on a terminal, json otherwise"),
                ),
            ),
        )
        .subcommand(
            Command::new("config")
                .about("Settings")
                .subcommand_required(true)
                .subcommand(
                    Command::new("reference").about("Print the reference of all settings (docs/configuration.md)"),
                )
                .subcommand(
                    Command::new("schema")
                        .about("Print the JSON Schema of the configuration file (schemas/config.schema.json)"),
                ),
        )
}

fn model_arguments() -> Arg {
    Arg::new("models")
        .value_name("MODEL")
        .help("file.onnx, name=file.onnx, a folder of .onnx files, or a repository (<name>/<version>/model.onnx)")
}

fn with_settings(command: Command) -> Command {
    let file =
        Arg::new("config").long("config").value_name("FILE").help("A TOML file of settings [env: SCORIA_CONFIG]");
    command.arg(file).args(SETTINGS.iter().map(flag))
}

fn flag(setting: &'static Setting) -> Arg {
    let default = match (setting.default)() {
        empty if empty.is_empty() => String::new(),
        text => format!(" [default: {text}]"),
    };
    let doc = setting.doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(if setting.is_switch() { "true|false" } else { "VALUE" })
        .action(ArgAction::Set)
        .help(format!("{doc} [env: {}]{default}", setting.variable()));
    if setting.is_switch() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg.allow_hyphen_values(true)
    }
}

/// The settings of a command: flag, else environment, else file, else default.
pub fn config(matches: &ArgMatches) -> Result<Configured, Failure> {
    let path = matches.get_one::<String>("config").cloned().or_else(|| env::variable("SCORIA_CONFIG"));
    let file = path.map(|path| File::read(Path::new(&path))).transpose()?.unwrap_or_default();
    let layers = |setting: &Setting| {
        let flag = matches.get_one::<String>(setting.key);
        if let Some(text) = flag {
            return Some((text.clone(), Origin::Flag(format!("--{}", setting.flag()))));
        }
        let variable = setting.variable();
        if let Some(text) = env::variable(&variable) {
            return Some((text, Origin::Environment(variable)));
        }
        file.text(setting.key).map(|text| (text.to_owned(), Origin::File(file.path.clone())))
    };
    let config = Config::resolve(&layers)?.with_endpoints(&file, &layers)?;
    Ok((config, file.models))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_switch_stands_alone_and_does_not_swallow_the_model() {
        let matches = command().get_matches_from(["scoria", "serve", "--strict-readiness", "model.onnx"]);
        let matches = matches.subcommand_matches("serve").unwrap();
        assert_eq!(matches.get_one::<String>("strict_readiness").unwrap(), "true");
        assert_eq!(matches.get_one::<String>("models").unwrap(), "model.onnx");
    }
}
