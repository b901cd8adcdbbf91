//! `scoria ab`: how an endpoint's deployments compare, and who is to have the traffic.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};

use super::columns::{columns, output_flag, show};
use super::{Failure, arguments, print, registry};
use crate::control::operations::{Arm, Decision, Experiment, Operations};
use crate::experiment::{Level, percent, time};
use crate::name::Name;
use crate::registry::{Presence, Rollout, Stage};

pub fn command() -> Command {
    Command::new("ab")
        .about("Compare an endpoint's deployments by what they have answered, and decide between them")
        .arg(Arg::new("endpoint").value_name("ENDPOINT").required(true))
        .arg(
            Arg::new("decision")
                .value_name("promote|abort")
                .value_parser(PossibleValuesParser::new(["promote", "abort"]))
                .help("promote: the candidate gets all traffic; abort: it loses what it has. Default: only compare"),
        )
        .arg(
            Arg::new("candidate")
                .long("candidate")
                .value_name("DEPLOYMENT")
                .help("Which deployment is promoted or aborted; default: the one that is not the endpoint's default"),
        )
        .arg(
            Arg::new("confidence")
                .long("confidence")
                .value_name("PERCENT")
                .default_value("95")
                .help("How sure each interval is to hold, whenever it is looked at"),
        )
        .arg(Arg::new("why").long("why").value_name("TEXT").help("The reason of a decision, for the history"))
        .arg(output_flag())
}

pub fn ab(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let name = |text: &str| Name::parse(text).map_err(|error| Failure::Usage(error.to_string()));
    let config = arguments::config(matches)?.0;
    let endpoint = name(text("endpoint").unwrap_or_default())?;
    let candidate = text("candidate").map(name).transpose()?;
    let level = level(text("confidence").unwrap_or("95"))?;
    let operations = Operations::new(registry::open(&config, Presence::Expect)?, config);
    let runtime = registry::runtime()?;
    let decision = match text("decision") {
        None => {
            let experiment = runtime.block_on(operations.compare(&endpoint, level))?;
            return show(matches, &experiment, || render(&experiment));
        }
        Some("promote") => Decision::Promote,
        Some(_) => Decision::Abort,
    };
    let verb = if decision == Decision::Promote { "promoted" } else { "aborted" };
    let what = candidate.as_ref().map_or_else(|| "the candidate".to_owned(), Name::to_string);
    let why = text("why").map_or_else(|| format!("{what} is {verb} by hand"), |why| format!("{what} is {verb}: {why}"));
    let change = registry::change(why);
    let made = runtime.block_on(operations.decide(&endpoint, decision, candidate.as_ref(), &change))?;
    print(&format!("{endpoint}: revision {}: {}\n", made.revision, made.why))
}

fn level(text: &str) -> Result<Level, Failure> {
    let level = Level::from_confidence(text);
    level.ok_or_else(|| {
        Failure::Usage(format!("--confidence: expected a percentage from 50 to below 100, got '{text}'"))
    })
}

fn render(report: &Experiment) -> String {
    let Experiment { endpoint, revision, since_revision, since, .. } = report;
    let mut text = format!("{endpoint}, revision {revision}; compared since revision {since_revision} ({since})\n");
    if let Some(rollout) = &report.rollout {
        text += &rollout_line(rollout);
    }
    if let Some(waits_for) = &report.waits_for {
        text += &format!("now: {waits_for}\n");
    }
    let head = ["DEPLOYMENT", "MODEL", "TRAFFIC", "ANSWERED", "5XX", "4XX", "P50", "P99", "SUCCESS", "MEAN"];
    let rows: Vec<_> = report.deployments.iter().map(|arm| row(arm, arm.deployment == report.baseline)).collect();
    text += &format!("\n{}", columns(&head, &rows));
    let comparisons = report.comparisons.iter().map(|comparison| &comparison.sentence);
    let sentences: Vec<_> = comparisons.chain(report.agreements.iter().map(|agreement| &agreement.sentence)).collect();
    text += "\n";
    if sentences.is_empty() {
        text += "There is nothing to compare yet: only one deployment has answered.\n";
    }
    sentences.iter().for_each(|sentence| text += &format!("{sentence}\n"));
    text
}

fn rollout_line(rollout: &Rollout) -> String {
    let Rollout { model, candidate, baseline, since, .. } = rollout;
    let stage = match rollout.stage {
        Stage::Checking => "being tried".to_owned(),
        Stage::Step(index) => format!("at step {}", index + 1),
    };
    format!("rollout of {model} as {candidate} in place of {baseline}: {stage} since {since}\n")
}

fn row(arm: &Arm, is_baseline: bool) -> Vec<String> {
    let cell = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mark = if is_baseline { " *" } else { "" };
    let success = (arm.trials > 0).then(|| percent(arm.successes as f64 / arm.trials as f64));
    vec![
        format!("{}{mark}", arm.deployment),
        arm.model.clone(),
        format!("{} %", arm.traffic_percent),
        arm.answered.to_string(),
        arm.failed.to_string(),
        arm.refused.to_string(),
        cell(arm.latency_p50_s.map(time)),
        cell(arm.latency_p99_s.map(time)),
        cell(success),
        cell(arm.mean_outcome.map(crate::experiment::number)),
    ]
}
