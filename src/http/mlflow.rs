//! The routes of MLflow's scoring server: `/invocations`, `/ping`, `/health`, `/version`.
//!
//! They speak of the default endpoint, as that server has one model. Invocations are scored like any other request
//! (`score.rs`). Source: `mlflow/pyfunc/scoring_server`.

use hyper::{Method, Response, StatusCode};

use super::health::text;
use super::{Body, SERVER_VERSION};
use crate::deployment::RoutingTable;

/// What a request on one of these routes asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mlflow {
    Invocations,
    /// `/ping` and `/health`: whether the model can answer.
    Ping,
    Version,
}

/// The path and its methods: `None` if it is not of this API.
pub fn route(method: &Method, path: &str) -> Option<Result<Mlflow, &'static str>> {
    let asked = match path {
        "/invocations" if *method == Method::POST => return Some(Ok(Mlflow::Invocations)),
        "/invocations" => return Some(Err("POST, OPTIONS")),
        "/ping" | "/health" => Mlflow::Ping,
        "/version" => Mlflow::Version,
        _ => return None,
    };
    Some(if matches!(*method, Method::GET | Method::HEAD) { Ok(asked) } else { Err("GET, HEAD, OPTIONS") })
}

/// A line break and 200, as MLflow says that it is well; 503 while there is no model that answers.
pub fn ping(table: &RoutingTable) -> Response<Body> {
    let is_ready = table.default_endpoint().is_some_and(|entry| entry.endpoint.is_some());
    let mut response = text("\n", "application/json");
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// Which server this is: not an MLflow, whatever its clients make of that.
pub fn version() -> Response<Body> {
    text(SERVER_VERSION, "text/plain; charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_server() {
        assert_eq!(route(&Method::POST, "/invocations"), Some(Ok(Mlflow::Invocations)));
        assert_eq!(route(&Method::GET, "/invocations"), Some(Err("POST, OPTIONS")));
        assert_eq!(route(&Method::GET, "/ping"), Some(Ok(Mlflow::Ping)));
        assert_eq!(route(&Method::HEAD, "/health"), Some(Ok(Mlflow::Ping)));
        assert_eq!(route(&Method::GET, "/version"), Some(Ok(Mlflow::Version)));
        assert_eq!(route(&Method::POST, "/ping"), Some(Err("GET, HEAD, OPTIONS")));
        assert_eq!((route(&Method::GET, "/pings"), route(&Method::GET, "/ping/")), (None, None));
    }
}
