//! `scoria invoke`: one request to an endpoint, as a client would make it. The key comes from a file or the environment.

use std::io::{Read, Write};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio_rustls::rustls::crypto::ring;

use super::endpoints::called_endpoint;
use super::{Failure, arguments, registry};
use crate::config::env;
use crate::name::Name;

/// The variable that holds the key, if no file does.
const KEY: &str = "SCORIA_KEY";

/// How long an answer may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("invoke")
        .about("Send one request to an endpoint, and print the answer")
        .arg(Arg::new("endpoint").value_name("ENDPOINT").required(true).help("The endpoint's name"))
        .arg(option("file", "FILE").short('f').required(true).help("The body; - for standard input"))
        .arg(option("url", "URL").help("Where the server is; default: where this configuration has it listen"))
        .arg(option("content-type", "TYPE").default_value("application/json").help("What the body is"))
        .arg(option("deployment", "DEPLOYMENT").help("The deployment that is to answer, whatever its share"))
        .arg(
            option("key-file", "FILE").help(
                "A file with the key; default: the key that the server on this machine handed over, or SCORIA_KEY",
            ),
        )
}

pub fn invoke(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let config = arguments::config(matches)?.0;
    let endpoint = called_endpoint(matches)?;
    let body = body(text("file").unwrap_or_default())?;
    let base =
        text("url").map_or_else(|| format!("http://{}", config.listen), |url| url.trim_end_matches('/').to_owned());
    let url = format!("{base}/api/v1/service/{endpoint}/score");
    let key = key(text("key-file"), &config, &endpoint)?;
    // The HTTP client has no cryptography of its own. A second call changes nothing.
    drop(ring::default_provider().install_default());
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(|error| Failure::Failed(format!("no HTTP client can be made: {error}")))?;
    let mut request = client.post(&url).body(body).header(CONTENT_TYPE, text("content-type").unwrap_or_default());
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    if let Some(deployment) = text("deployment") {
        request = request.header("azureml-model-deployment", deployment);
    }
    let outcome = registry::runtime()?.block_on(async {
        let answer = request.send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.bytes().await?))
    });
    // Its own text has the URL, and the cause only further down.
    let (status, answer) =
        outcome.map_err(|error| Failure::Failed(format!("{url} does not answer: {}", cause(&error))))?;
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(&answer).and_then(|()| if answer.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") });
    written.map_err(|error| Failure::Failed(error.to_string()))?;
    match status.as_u16() {
        200..300 => Ok(()),
        404 => Err(Failure::NotFound(format!("{url}: {status}"))),
        _ => Err(Failure::Failed(format!("{url}: {status}"))),
    }
}

fn body(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        path => std::fs::read(path),
    };
    read.map_err(|error| Failure::Failed(format!("{path} cannot be read: {error}")))
}

/// The key from where it is said to be, or where the server on this machine would have put it.
fn key(file: Option<&str>, config: &crate::config::Config, endpoint: &Name) -> Result<Option<String>, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Failed(format!("{path} cannot be read: {error}")))?;
        return Ok(Some(text.trim().to_owned()));
    }
    if let Some(key) = env::variable(KEY) {
        return Ok(Some(key.trim().to_owned()));
    }
    let handed_over =
        crate::app::state_dir(config).ok().map(|state| state.join("keys").join(format!("{endpoint}.primary.key")));
    Ok(handed_over.and_then(|path| std::fs::read_to_string(path).ok()).map(|text| text.trim().to_owned()))
}

/// What was at the bottom of a failure.
fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
