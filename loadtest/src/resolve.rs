//! From settings to a checked run: addresses looked up, files read, bodies made, numbers within their limits.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Method;
use hyper::http::uri::{Authority, PathAndQuery, Uri};

use crate::body::{Body, BodyError, Kind, Recipe};
use crate::describe::{DescribeError, Described, describe};
use crate::load::Watch;
use crate::plan::{Pace, Phase, Protocol, Run, Target};
use crate::schedule::Arrivals;
use crate::settings::Settings;
use crate::wire::Outgoing;

/// A run, and what its results are called.
#[derive(Debug, Clone)]
pub struct Job {
    pub run: Run,
    pub watch: Watch,
    /// The name and the warm-up of each measured phase.
    pub measured: Vec<(Option<String>, Duration)>,
    /// Whether each body is tried first.
    pub is_checked: bool,
}

/// What is wrong with settings. Each says what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("no URL to send to: give --url http://host:port/path, or `url` in the scenario")]
    NoUrl,
    #[error("expected a URL as http://host:port/path, got '{0}'; https is not spoken")]
    Url(String),
    #[error("the host of '{url}' has no address")]
    Address { url: String, source: std::io::Error },
    #[error("{} could not be read", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    #[error("expected a header as 'name: value', got '{0}'")]
    Header(String),
    #[error("expected a key of printable characters in {}", .0.display())]
    Key(PathBuf),
    #[error("expected {name} of {least} to {most}, got {got}")]
    OutOfRange { name: &'static str, least: f64, most: f64, got: f64 },
    #[error("'streams' are HTTP/2's; with HTTP/1.1 a connection carries one request at a time")]
    Streams,
    #[error("'arrivals' are an open loop's: give a rate with them")]
    ArrivalsWithoutRate,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Describe(#[from] DescribeError),
}

const DURATION: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(1);
const BODIES: u32 = 8;

/// The runs that settings mean, in order. Neighbours that are open loops and differ in nothing but rate and time are phases of
/// one run.
pub fn jobs(steps: &[Settings]) -> Result<Vec<Job>, ResolveError> {
    let mut jobs: Vec<(Settings, Job)> = Vec::new();
    for step in steps {
        let target = without_pace(step);
        let (name, warm_up) = (step.name.clone(), span(step.warm_up, WARM_UP));
        match jobs.last_mut() {
            Some((before, job)) if *before == target && step.rate.is_some() && job.run.stretches().is_some() => {
                job.run.phases.extend(phases(step)?);
                job.measured.push((name, warm_up));
            }
            _ => {
                let run = Run {
                    target: resolve_target(step)?,
                    phases: phases(step)?,
                    seed: step.seed.unwrap_or(1),
                    interval: bounded("interval", span(step.interval, INTERVAL), Duration::from_millis(10))?,
                };
                let watch = Watch { server: step.server_pid, objective: step.objective.map(|objective| objective.0) };
                let is_checked = !step.skip_check.unwrap_or(false);
                jobs.push((target, Job { run, watch, measured: vec![(name, warm_up)], is_checked }));
            }
        }
    }
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

fn without_pace(step: &Settings) -> Settings {
    Settings { name: None, rate: None, arrivals: None, duration: None, warm_up: None, ..step.clone() }
}

fn span(given: Option<crate::span::Span>, default: Duration) -> Duration {
    given.map_or(default, |span| span.0)
}

fn phases(step: &Settings) -> Result<Vec<Phase>, ResolveError> {
    let pace = match (step.rate, step.arrivals) {
        (None, None) => Pace::Closed,
        (None, Some(_)) => return Err(ResolveError::ArrivalsWithoutRate),
        (Some(rate), arrivals) => {
            in_range("rate", rate, 0.01, 10_000_000.0)?;
            Pace::Open { rate, arrivals: arrivals.unwrap_or(Arrivals::Poisson) }
        }
    };
    let warm_up = Phase { pace, lasts: span(step.warm_up, WARM_UP), is_measured: false };
    let lasts = bounded("duration", span(step.duration, DURATION), Duration::from_millis(1))?;
    let measured = Phase { pace, lasts, is_measured: true };
    Ok([warm_up, measured].into_iter().filter(|phase| !phase.lasts.is_zero()).collect())
}

fn bounded(name: &'static str, time: Duration, least: Duration) -> Result<Duration, ResolveError> {
    in_range(name, time.as_secs_f64(), least.as_secs_f64(), 24.0 * 3600.0)?;
    Ok(time)
}

fn in_range(name: &'static str, got: f64, least: f64, most: f64) -> Result<(), ResolveError> {
    if (least..=most).contains(&got) { Ok(()) } else { Err(ResolveError::OutOfRange { name, least, most, got }) }
}

fn count(name: &'static str, given: Option<u32>, default: u32, most: u32) -> Result<u32, ResolveError> {
    let got = given.unwrap_or(default);
    in_range(name, got.into(), 1.0, most.into())?;
    Ok(got)
}

fn resolve_target(settings: &Settings) -> Result<Target, ResolveError> {
    let url = settings.url.clone().ok_or(ResolveError::NoUrl)?;
    let address = Address::parse(&url)?;
    let protocol = settings.protocol.unwrap_or(Protocol::Http1);
    let connections = count("connections", settings.connections, 1, 100_000)?;
    let streams = count("streams", settings.streams, 1, 10_000)?;
    if streams > 1 && protocol == Protocol::Http1 {
        return Err(ResolveError::Streams);
    }
    let threads = count("threads", settings.threads, 1, 1024)?.min(connections);
    let headers = headers(settings)?;
    let timeout = bounded("timeout", span(settings.timeout, TIMEOUT), Duration::from_millis(1))?;
    let requests = bodies(settings)?.into_iter().map(|body| post(&address, &headers, body));
    Ok(Target {
        addresses: address.look_up(&url)?,
        url,
        protocol,
        connections,
        streams,
        threads,
        requests: requests.collect::<Result<_, _>>()?,
        timeout,
        patience: span(settings.patience, timeout).min(timeout),
    })
}

/// The parts of a URL that go into a request.
#[derive(Debug, Clone)]
pub struct Address {
    pub authority: Authority,
    pub path: PathAndQuery,
}

impl Address {
    pub fn parse(url: &str) -> Result<Address, ResolveError> {
        let refusal = || ResolveError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refusal())?;
        let parts = uri.into_parts();
        if parts.scheme.is_none_or(|scheme| scheme.as_str() != "http") {
            return Err(refusal());
        }
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@')).ok_or_else(refusal)?;
        Ok(Address { authority, path: parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")) })
    }

    pub fn look_up(&self, url: &str) -> Result<Arc<[std::net::SocketAddr]>, ResolveError> {
        // An IPv6 address has brackets in a URL, and none here.
        let host = self.authority.host().trim_matches(['[', ']']);
        let found = (host, self.authority.port_u16().unwrap_or(80)).to_socket_addrs();
        Ok(found.map_err(|source| ResolveError::Address { url: url.to_owned(), source })?.collect())
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, ResolveError> {
    let mut headers = HeaderMap::new();
    for text in &settings.header {
        let refusal = || ResolveError::Header(text.clone());
        let (name, value) = text.split_once(':').ok_or_else(refusal)?;
        let name: HeaderName = name.trim().parse().map_err(|_| refusal())?;
        headers.append(name, value.trim().parse().map_err(|_| refusal())?);
    }
    if let Some(path) = &settings.bearer_file {
        let key = read(path)?;
        let value = [b"Bearer ", key.trim_ascii()].concat();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(&value).map_err(|_| ResolveError::Key(path.clone()))?);
    }
    Ok(headers)
}

fn read(path: &Path) -> Result<Vec<u8>, ResolveError> {
    std::fs::read(path).map_err(|error| ResolveError::File(path.to_owned(), error))
}

fn bodies(settings: &Settings) -> Result<Vec<Body>, ResolveError> {
    let content_type = settings.content_type.as_deref().unwrap_or("application/json");
    let verbatim =
        |content: Bytes| Body { content, headers: vec![("content-type".to_owned(), content_type.to_owned())] };
    if !settings.body.is_empty() {
        return settings.body.iter().map(|path| Ok(verbatim(read(path)?.into()))).collect();
    }
    let mut inputs = settings.input.clone();
    if let Some(url) = settings.describe_from.as_deref().filter(|_| inputs.is_empty()) {
        match describe(url, &headers(settings)?, settings.rows.unwrap_or(1))? {
            Described::Inputs(found) => inputs = found,
            Described::Example(content) => return Ok(vec![verbatim(content)]),
        }
    }
    let kind = settings.kind.unwrap_or(Kind::Data);
    let recipe = Recipe { kind, inputs, range: settings.range, decimals: settings.decimals };
    Ok(recipe.make(count("bodies", settings.bodies, BODIES, 10_000)?, settings.seed.unwrap_or(1))?)
}

/// A POST of this body. Headers of the settings take the place of those of the body.
fn post(address: &Address, headers: &HeaderMap, body: Body) -> Result<Outgoing, ResolveError> {
    let mut all = HeaderMap::new();
    for (name, value) in &body.headers {
        let refusal = || ResolveError::Header(format!("{name}: {value}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refusal())?;
        all.insert(name, value.parse().map_err(|_| refusal())?);
    }
    for name in headers.keys() {
        all.remove(name);
    }
    all.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(outgoing(Method::POST, address, all, body.content))
}

/// A GET with these headers.
pub fn get(address: &Address, headers: &HeaderMap) -> Outgoing {
    outgoing(Method::GET, address, headers.clone(), Bytes::new())
}

fn outgoing(method: Method, address: &Address, mut headers: HeaderMap, body: Bytes) -> Outgoing {
    headers.remove(CONTENT_LENGTH);
    let mut bytes = format!("{method} {} HTTP/1.1\r\n", address.path).into_bytes();
    if !headers.contains_key(HOST) {
        bytes.extend(format!("host: {}\r\n", address.authority).bytes());
    }
    if method == Method::POST {
        bytes.extend(format!("content-length: {}\r\n", body.len()).bytes());
    }
    for (name, value) in &headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(&body);

    // HTTP/2 has the host in `:authority`, and hyper writes the body's length.
    headers.remove(HOST);
    let uri = Uri::builder().scheme("http").authority(address.authority.clone()).path_and_query(address.path.clone());
    let mut request = hyper::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().expect("parts of a valid URL");
    *request.version_mut() = hyper::Version::HTTP_2;
    *request.headers_mut() = headers;
    Outgoing { bytes: bytes.into(), head: request.into_parts().0, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Settings {
        toml::from_str(&format!("url = 'http://127.0.0.1:9/score'\ninput = ['x:float32:1x2']\n{toml}")).unwrap()
    }

    fn refusal(toml: &str) -> String {
        jobs(&[settings(toml)]).unwrap_err().to_string()
    }

    #[test]
    fn a_request_is_bytes_made_beforehand() {
        let job = jobs(&[settings("header = ['X-One: 1', 'content-type: text/x']\nbodies = 2")]).unwrap().remove(0);
        let requests = &job.run.target.requests;
        assert_eq!(requests.len(), 2);
        let body = String::from_utf8(requests[0].body.to_vec()).unwrap();
        let expected = format!(
            "POST /score HTTP/1.1\r\nhost: 127.0.0.1:9\r\ncontent-length: {}\r\nx-one: 1\r\ncontent-type: text/x\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(String::from_utf8(requests[0].bytes.to_vec()).unwrap(), expected);
        let head = &requests[0].head;
        assert_eq!((head.uri.to_string().as_str(), head.headers.len()), ("http://127.0.0.1:9/score", 2));
    }

    #[test]
    fn open_neighbours_on_one_target_are_one_run() {
        let steps = ["rate = 10.0", "rate = 20.0\nwarm_up = '0s'", "rate = 20.0\nconnections = 3", "connections = 3"]
            .map(settings);
        let jobs = jobs(&steps).unwrap();
        let phases: Vec<Vec<bool>> =
            jobs.iter().map(|job| job.run.phases.iter().map(|phase| phase.is_measured).collect()).collect();
        assert_eq!(phases, [vec![false, true, true], vec![false, true], vec![false, true]]);
        assert_eq!(jobs[0].measured.len(), 2);
        assert_eq!(jobs[2].run.stretches(), None);
    }

    #[test]
    fn what_cannot_be_done_is_said_before_anything_is_sent() {
        assert!(matches!(jobs(&[Settings::default()]), Err(ResolveError::NoUrl)));
        assert!(refusal("connections = 0").contains("expected connections of 1 to 100000, got 0"));
        assert!(refusal("rate = -5.0").contains("expected rate of 0.01"));
        assert!(refusal("streams = 4").contains("HTTP/2's"));
        assert!(refusal("arrivals = 'poisson'").contains("give a rate"));
        assert!(refusal("duration = '0s'").contains("expected duration"));
        assert!(refusal("header = ['novalue']").contains("'name: value'"));
        assert!(refusal("body = ['does/not/exist']").contains("does/not/exist could not be read"));
        for url in ["https://x/", "localhost:80", "http:///x", "http://user@host/", ""] {
            assert!(matches!(Address::parse(url), Err(ResolveError::Url(_))), "{url}");
        }
    }

    #[test]
    fn threads_are_at_most_as_many_as_connections() {
        let job = jobs(&[settings("connections = 2\nthreads = 8")]).unwrap().remove(0);
        assert_eq!(job.run.target.threads, 2);
    }
}
