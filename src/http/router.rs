//! From method and path to what is meant. Pure.

use hyper::Method;

use super::mlflow::{self, Mlflow};
use super::tensorflow::{self, TensorFlow};
use super::v2::route as v2;

/// What a request on the scoring port asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Score on an endpoint, or on the default one.
    Score {
        endpoint: Option<String>,
    },
    /// The list of methods of a scoring URI.
    ScoreOptions {
        endpoint: Option<String>,
    },
    Probe(Probe),
    TensorFlow(TensorFlow),
    Mlflow(Mlflow),
    Document(Document),
    Docs(Docs),
    /// The Open Inference Protocol.
    V2(v2::Route),
    /// A path that exists, by another method.
    WrongMethod {
        allow: &'static str,
    },
    Unknown,
}

impl Route {
    /// Whether it is asked by those who watch over servers, by the second: that says nothing of clients.
    pub fn is_probe(&self) -> bool {
        match self {
            Route::Probe(_) | Route::Mlflow(Mlflow::Ping) => true,
            Route::V2(route) => route.is_probe(),
            _ => false,
        }
    }
}

/// An OpenAPI document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// `swagger.json`, of an endpoint or the default one, in the version that the query names.
    Swagger { endpoint: Option<String> },
    /// `openapi.json`, of an endpoint or the whole server.
    OpenApi { endpoint: Option<String> },
}

/// Swagger UI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Docs {
    /// The page, of an endpoint or the whole server.
    Page { endpoint: Option<String> },
    /// A file of the page.
    Asset { digest: String, name: String },
}

/// A route for load balancers and orchestrators; the same on both ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET /`: `Healthy`, as Azure's server says it.
    Root,
    Live,
    Ready,
    Health,
}

/// What a request on the admin port asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRoute {
    Probe(Probe),
    Metrics,
    Services,
    Service { endpoint: String },
    WrongMethod { allow: &'static str },
    Unknown,
}

const SCORE_METHODS: &str = "GET, POST, OPTIONS";
const READ_METHODS: &str = "GET, HEAD";

/// The prefix of Azure's scoring URIs.
const SERVICE_PREFIX: &str = "/api/v1/service/";

const ASSET_PREFIX: &str = "/docs/";

/// Routes a request on the scoring port.
pub fn route(method: &Method, path: &str) -> Route {
    if let Some(probe) = probe(path) {
        return if is_read(method) { Route::Probe(probe) } else { Route::WrongMethod { allow: READ_METHODS } };
    }
    if let Some(asked) = tensorflow::route(method, path) {
        return asked.map_or_else(|allow| Route::WrongMethod { allow }, Route::TensorFlow);
    }
    if let Some(asked) = mlflow::route(method, path) {
        return asked.map_or_else(|allow| Route::WrongMethod { allow }, Route::Mlflow);
    }
    if let Some(rest) = path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Route::V2(v2::route(method, rest));
    }
    let (endpoint, leaf) = match path.strip_prefix(SERVICE_PREFIX).and_then(|rest| rest.split_once('/')) {
        Some(("", _)) => return Route::Unknown,
        Some((name, leaf)) => (Some(name.to_owned()), leaf),
        None => (None, path.strip_prefix('/').unwrap_or_default()),
    };
    let asset = path.strip_prefix(ASSET_PREFIX).and_then(|rest| rest.split_once('/'));
    let read = match (leaf, asset) {
        ("score", _) => return score_route(method, endpoint),
        ("swagger.json", _) => Route::Document(Document::Swagger { endpoint }),
        ("openapi.json", _) => Route::Document(Document::OpenApi { endpoint }),
        ("docs", _) => Route::Docs(Docs::Page { endpoint }),
        (_, Some((digest, name))) => Route::Docs(Docs::Asset { digest: digest.to_owned(), name: name.to_owned() }),
        _ => return Route::Unknown,
    };
    if is_read(method) { read } else { Route::WrongMethod { allow: READ_METHODS } }
}

fn score_route(method: &Method, endpoint: Option<String>) -> Route {
    match *method {
        Method::POST | Method::GET => Route::Score { endpoint },
        Method::OPTIONS => Route::ScoreOptions { endpoint },
        _ => Route::WrongMethod { allow: SCORE_METHODS },
    }
}

/// Routes a request on the admin port.
pub fn admin_route(method: &Method, path: &str) -> AdminRoute {
    let route = match path {
        "/metrics" => AdminRoute::Metrics,
        "/api/v1/service" => AdminRoute::Services,
        _ => match (probe(path), path.strip_prefix(SERVICE_PREFIX)) {
            (Some(probe), _) => AdminRoute::Probe(probe),
            (None, Some(name)) if !name.is_empty() && !name.contains('/') => {
                AdminRoute::Service { endpoint: name.to_owned() }
            }
            _ => return AdminRoute::Unknown,
        },
    };
    if is_read(method) { route } else { AdminRoute::WrongMethod { allow: READ_METHODS } }
}

fn probe(path: &str) -> Option<Probe> {
    match path {
        "/" => Some(Probe::Root),
        "/livez" => Some(Probe::Live),
        "/readyz" => Some(Probe::Ready),
        "/healthz" => Some(Probe::Health),
        _ => None,
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: Option<&str>) -> Route {
        Route::Score { endpoint: name.map(str::to_owned) }
    }

    #[test]
    fn scoring_uris() {
        assert_eq!(route(&Method::POST, "/score"), score(None));
        assert_eq!(route(&Method::GET, "/score"), score(None));
        assert_eq!(route(&Method::POST, "/api/v1/service/ridge/score"), score(Some("ridge")));
        assert_eq!(
            route(&Method::OPTIONS, "/api/v1/service/a/score"),
            Route::ScoreOptions { endpoint: Some("a".to_owned()) }
        );
        assert_eq!(route(&Method::PUT, "/score"), Route::WrongMethod { allow: "GET, POST, OPTIONS" });
        for path in
            ["/score/", "/Score", "/api/v1/service//score", "/api/v1/service/a/b/score", "/api/v1/service/a", "//score"]
        {
            assert_eq!(route(&Method::POST, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn documents_are_read() {
        let name = || Some("a".to_owned());
        for (path, document) in [
            ("/swagger.json", Document::Swagger { endpoint: None }),
            ("/openapi.json", Document::OpenApi { endpoint: None }),
            ("/api/v1/service/a/swagger.json", Document::Swagger { endpoint: name() }),
            ("/api/v1/service/a/openapi.json", Document::OpenApi { endpoint: name() }),
        ] {
            assert_eq!(route(&Method::GET, path), Route::Document(document.clone()));
            assert_eq!(route(&Method::HEAD, path), Route::Document(document));
            assert_eq!(route(&Method::POST, path), Route::WrongMethod { allow: "GET, HEAD" });
            assert_eq!(admin_route(&Method::GET, path), AdminRoute::Unknown);
        }
        for path in
            ["/swagger.json/", "/api/v1/service//swagger.json", "/api/v1/service/a/b/swagger.json", "/a/swagger.json"]
        {
            assert_eq!(route(&Method::GET, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn pages_and_their_files_are_read() {
        let page = |endpoint: Option<&str>| Route::Docs(Docs::Page { endpoint: endpoint.map(str::to_owned) });
        assert_eq!(route(&Method::GET, "/docs"), page(None));
        assert_eq!(route(&Method::HEAD, "/api/v1/service/a/docs"), page(Some("a")));
        let asset = |name: &str| Route::Docs(Docs::Asset { digest: "0f".to_owned(), name: name.to_owned() });
        assert_eq!(route(&Method::GET, "/docs/0f/start.js"), asset("start.js"));
        assert_eq!(route(&Method::GET, "/docs/0f/../x"), asset("../x"), "a name like any other, which no file has");
        for path in ["/docs", "/docs/0f/start.js"] {
            assert_eq!(route(&Method::POST, path), Route::WrongMethod { allow: "GET, HEAD" });
        }
        for path in ["/docs/", "/docs/start.js", "/docs.html", "/api/v1/service/a/docs/0f/start.js"] {
            assert_eq!(route(&Method::GET, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn probes_are_read_on_both_ports() {
        for (path, probe) in
            [("/", Probe::Root), ("/livez", Probe::Live), ("/readyz", Probe::Ready), ("/healthz", Probe::Health)]
        {
            assert_eq!(route(&Method::GET, path), Route::Probe(probe));
            assert_eq!(route(&Method::HEAD, path), Route::Probe(probe));
            assert_eq!(admin_route(&Method::GET, path), AdminRoute::Probe(probe));
            assert_eq!(route(&Method::POST, path), Route::WrongMethod { allow: "GET, HEAD" });
        }
    }

    #[test]
    fn admin_routes_are_not_on_the_scoring_port() {
        assert_eq!(admin_route(&Method::GET, "/metrics"), AdminRoute::Metrics);
        assert_eq!(admin_route(&Method::GET, "/api/v1/service"), AdminRoute::Services);
        assert_eq!(
            admin_route(&Method::GET, "/api/v1/service/ridge"),
            AdminRoute::Service { endpoint: "ridge".to_owned() }
        );
        assert_eq!(route(&Method::GET, "/metrics"), Route::Unknown);
        assert_eq!(route(&Method::GET, "/api/v1/service"), Route::Unknown);
        assert_eq!(admin_route(&Method::POST, "/score"), AdminRoute::Unknown);
    }
}
