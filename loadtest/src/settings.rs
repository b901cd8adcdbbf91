//! Settings of a run, each declared once: a flag of `loadtest run`, and a key of a scenario.
//!
//! Nothing here is checked but its type; `build` turns settings into a checked run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::body::{InputSpec, Kind, Range};
use crate::plan::Protocol;
use crate::schedule::Arrivals;
use crate::span::Span;

/// What may be said about a run. What is not said has its default.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A name for the results
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Where requests go, as http://host:port/path
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// A body to send as it is; several are sent in rotation
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<PathBuf>,

    /// Its Content-Type [default: application/json]
    #[arg(long, value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,

    /// Make bodies of this kind, from --input or --describe-from [default: data]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,

    /// An input of the model, as NAME:TYPE:SHAPE (features:float32:1x10), possibly with a range of its own (ids:int64:1x32=1..256)
    #[arg(long, value_name = "INPUT")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<InputSpec>,

    /// Take the inputs from the model's metadata (Open Inference, …/v2/models/NAME), or the body from an OpenAPI document
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub describe_from: Option<String>,

    /// Rows of a body, where the metadata leave a first dimension open [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,

    /// How many different bodies to make, and to send in rotation [default: 8]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bodies: Option<u32>,

    /// The range of made-up numbers, LOW..HIGH without HIGH [default: -1..1 for floats, 0..100 for integers]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,

    /// Digits after the point of made-up floats [default: as many as tell the number]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,

    /// A header for every request, as 'name: value'
    #[arg(long, value_name = "HEADER")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,

    /// A file with a key, sent as `Authorization: Bearer …`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<PathBuf>,

    /// What connections speak [default: http1]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,

    /// How many connections [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,

    /// Requests at a time on one HTTP/2 connection [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,

    /// Threads of the generator [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,

    /// Requests per second, sent whether or not others were answered (an open loop); without it, each connection sends when it
    /// has its answer (a closed loop)
    #[arg(long, value_name = "PER_SECOND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,

    /// How the requests of an open loop follow each other [default: poisson]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,

    /// How long to measure [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,

    /// How long to send before measuring [default: 2s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Span>,

    /// How long an answer may take, from the intended time in an open loop [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,

    /// How long a request of an open loop waits for a free connection before it is given up [default: as long as --timeout]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<Span>,

    /// Answers that take longer are no goodput
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Span>,

    /// What the timeline counts by [default: 1s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,

    /// The server's process, to report what it and its descendants use
    #[arg(long, value_name = "PID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<u32>,

    /// What made-up numbers and Poisson arrivals are drawn from [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,

    /// Do not send each body once first to see that it is answered with 2xx
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_check: Option<bool>,
}

impl Settings {
    /// The names of all settings, as a scenario spells them.
    pub fn keys() -> Vec<String> {
        let command = <Settings as clap::Args>::augment_args(clap::Command::new("run"));
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
    }
}
