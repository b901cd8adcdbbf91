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
    /// The list of methods of a path that pages in a browser may call.
    Options {
        allow: &'static str,
    },
    /// What became of answers, reported to an endpoint or the default one.
    Feedback {
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

    /// Whether pages of the origins that are configured may read the answers.
    pub fn is_for_pages(&self) -> bool {
        match self {
            Route::Score { .. } | Route::Document(_) | Route::TensorFlow(_) | Route::Mlflow(_) => true,
            Route::V2(route) => route.is_for_pages(),
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
    Endpoints(EndpointRoute),
    Models(ModelRoute),
    WrongMethod { allow: &'static str },
    Unknown,
}

/// An operation on the endpoints of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRoute {
    /// `None`: all of them.
    pub endpoint: Option<String>,
    pub verb: EndpointVerb,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointVerb {
    Show,
    History,
    Keys,
    Deploy,
    Update,
    Traffic,
    Mirror,
    Rollback,
    Delete,
    RotateKey,
    /// How deployments compare.
    Compare,
    Promote,
    Abort,
    /// Which model is followed.
    Follow,
}

impl EndpointVerb {
    /// The path below the endpoint's, for each.
    const ALL: [(&'static str, EndpointVerb); 14] = [
        ("", EndpointVerb::Show),
        ("history", EndpointVerb::History),
        ("keys", EndpointVerb::Keys),
        ("deploy", EndpointVerb::Deploy),
        ("update", EndpointVerb::Update),
        ("traffic", EndpointVerb::Traffic),
        ("mirror", EndpointVerb::Mirror),
        ("rollback", EndpointVerb::Rollback),
        ("delete", EndpointVerb::Delete),
        ("keys/rotate", EndpointVerb::RotateKey),
        ("ab", EndpointVerb::Compare),
        ("promote", EndpointVerb::Promote),
        ("abort", EndpointVerb::Abort),
        ("follow", EndpointVerb::Follow),
    ];

    fn is_read(self) -> bool {
        matches!(self, EndpointVerb::Show | EndpointVerb::History | EndpointVerb::Keys | EndpointVerb::Compare)
    }
}

/// Something about the models of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRoute {
    /// `None`: all of them.
    pub name: Option<String>,
    /// A number, or `latest`. `None`: all of them.
    pub version: Option<String>,
    pub verb: ModelVerb,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelVerb {
    Show,
    Tag,
    Archive,
    Restore,
    Delete,
}

impl ModelVerb {
    /// The path below the version's, for each.
    const ALL: [(&'static str, ModelVerb); 4] = [
        ("tag", ModelVerb::Tag),
        ("archive", ModelVerb::Archive),
        ("restore", ModelVerb::Restore),
        ("delete", ModelVerb::Delete),
    ];
}

const SCORE_METHODS: &str = "GET, POST, OPTIONS";
const READ_METHODS: &str = "GET, HEAD";
const PROBE_METHODS: &str = "GET, HEAD, OPTIONS";
const CHANGE_METHODS: &str = "POST";

/// The endpoints of the registry.
const ENDPOINTS: &str = "/api/v1/endpoints";
const MODELS: &str = "/api/v1/models";

/// The prefix of Azure's scoring URIs.
const SERVICE_PREFIX: &str = "/api/v1/service/";

const ASSET_PREFIX: &str = "/docs/";

/// What a request on the scoring port asks for that is no preflight of a page (`super::cors`): `OPTIONS` then probes where `GET`
/// does.
pub fn route_outright(method: &Method, path: &str) -> Route {
    match route(method, path) {
        Route::Options { allow } => {
            Some(route(&Method::GET, path)).filter(Route::is_probe).unwrap_or(Route::Options { allow })
        }
        asked => asked,
    }
}

/// Routes a request on the scoring port.
pub fn route(method: &Method, path: &str) -> Route {
    if let Some(probe) = probe(method, path) {
        return if is_probing(method) { Route::Probe(probe) } else { Route::WrongMethod { allow: PROBE_METHODS } };
    }
    if let Some(asked) = tensorflow::route(method, path) {
        return asked.map_or_else(|allow| not_taken(method, allow), Route::TensorFlow);
    }
    if let Some(asked) = mlflow::route(method, path) {
        return asked.map_or_else(|allow| not_taken(method, allow), Route::Mlflow);
    }
    if let Some(rest) = path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        return match v2::route(method, rest) {
            v2::Route::Options { allow } => Route::Options { allow },
            asked => Route::V2(asked),
        };
    }
    let (endpoint, leaf) = match path.strip_prefix(SERVICE_PREFIX).and_then(|rest| rest.split_once('/')) {
        Some(("", _)) => return Route::Unknown,
        Some((name, leaf)) => (Some(name.to_owned()), leaf),
        None => (None, path.strip_prefix('/').unwrap_or_default()),
    };
    let asset = path.strip_prefix(ASSET_PREFIX).and_then(|rest| rest.split_once('/'));
    let read = match (leaf, asset) {
        ("score", _) => return score_route(method, endpoint),
        ("feedback", _) if method == Method::POST => return Route::Feedback { endpoint },
        ("feedback", _) => return Route::WrongMethod { allow: "POST" },
        ("swagger.json", _) => Route::Document(Document::Swagger { endpoint }),
        ("openapi.json", _) => Route::Document(Document::OpenApi { endpoint }),
        ("docs", _) => Route::Docs(Docs::Page { endpoint }),
        (_, Some((digest, name))) => Route::Docs(Docs::Asset { digest: digest.to_owned(), name: name.to_owned() }),
        _ => return Route::Unknown,
    };
    if is_read(method) { read } else { Route::WrongMethod { allow: READ_METHODS } }
}

/// A method that is none of those which a path of another server's API takes: pages ask for the list of them.
fn not_taken(method: &Method, allow: &'static str) -> Route {
    if *method == Method::OPTIONS { Route::Options { allow } } else { Route::WrongMethod { allow } }
}

fn score_route(method: &Method, endpoint: Option<String>) -> Route {
    match *method {
        Method::POST | Method::GET => Route::Score { endpoint },
        Method::OPTIONS => Route::Options { allow: SCORE_METHODS },
        _ => Route::WrongMethod { allow: SCORE_METHODS },
    }
}

/// Routes a request on the admin port.
pub fn admin_route(method: &Method, path: &str) -> AdminRoute {
    if let Some(rest) = path.strip_prefix(ENDPOINTS) {
        return endpoint_route(method, rest).unwrap_or(AdminRoute::Unknown);
    }
    if let Some(rest) = path.strip_prefix(MODELS) {
        return model_route(method, rest).unwrap_or(AdminRoute::Unknown);
    }
    if let Some(probe) = probe(method, path) {
        let wrong = AdminRoute::WrongMethod { allow: PROBE_METHODS };
        return if is_probing(method) { AdminRoute::Probe(probe) } else { wrong };
    }
    let route = match path {
        "/metrics" => AdminRoute::Metrics,
        "/api/v1/service" => AdminRoute::Services,
        _ => match path.strip_prefix(SERVICE_PREFIX) {
            Some(name) if !name.is_empty() && !name.contains('/') => AdminRoute::Service { endpoint: name.to_owned() },
            _ => return AdminRoute::Unknown,
        },
    };
    if is_read(method) { route } else { AdminRoute::WrongMethod { allow: READ_METHODS } }
}

/// The route of what follows `/api/v1/endpoints`.
fn endpoint_route(method: &Method, rest: &str) -> Option<AdminRoute> {
    let (endpoint, verb) = if rest.is_empty() {
        (None, EndpointVerb::Show)
    } else {
        let rest = rest.strip_prefix('/')?;
        let (name, leaf) = rest.split_once('/').map_or((rest, None), |(name, leaf)| (name, Some(leaf)));
        let verb = EndpointVerb::ALL
            .iter()
            .find(|(path, _)| leaf.map_or(path.is_empty(), |leaf| !leaf.is_empty() && *path == leaf))?;
        (Some(name).filter(|name| !name.is_empty()).map(str::to_owned), verb.1)
    };
    if endpoint.is_none() && !rest.is_empty() {
        return None;
    }
    Some(match (verb.is_read(), is_read(method), *method == Method::POST) {
        (true, true, _) | (false, _, true) => AdminRoute::Endpoints(EndpointRoute { endpoint, verb }),
        (true, ..) => AdminRoute::WrongMethod { allow: READ_METHODS },
        (false, ..) => AdminRoute::WrongMethod { allow: CHANGE_METHODS },
    })
}

/// The route of what follows `/api/v1/models`.
fn model_route(method: &Method, rest: &str) -> Option<AdminRoute> {
    let parts: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.strip_prefix('/')?.split('/').collect() };
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let (name, version, verb) = match parts.as_slice() {
        [] => (None, None, ModelVerb::Show),
        [name] => (Some(*name), None, ModelVerb::Show),
        [name, version] => (Some(*name), Some(*version), ModelVerb::Show),
        [name, version, leaf] => (Some(*name), Some(*version), ModelVerb::ALL.iter().find(|(path, _)| path == leaf)?.1),
        _ => return None,
    };
    let route = ModelRoute { name: name.map(str::to_owned), version: version.map(str::to_owned), verb };
    Some(match (verb == ModelVerb::Show, is_read(method), *method == Method::POST) {
        (true, true, _) | (false, _, true) => AdminRoute::Models(route),
        (true, ..) => AdminRoute::WrongMethod { allow: READ_METHODS },
        (false, ..) => AdminRoute::WrongMethod { allow: CHANGE_METHODS },
    })
}

/// The probe at a path; `OPTIONS *` is about the server as a whole (RFC 9110, section 9.3.7).
fn probe(method: &Method, path: &str) -> Option<Probe> {
    match path {
        "/" => Some(Probe::Root),
        "*" if *method == Method::OPTIONS => Some(Probe::Root),
        "/livez" => Some(Probe::Live),
        "/readyz" => Some(Probe::Ready),
        "/healthz" => Some(Probe::Health),
        _ => None,
    }
}

/// Balancers probe by `OPTIONS` too (HAProxy, `option httpchk`): the answer is that of `GET`, as it tells how the server is.
fn is_probing(method: &Method) -> bool {
    is_read(method) || *method == Method::OPTIONS
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
        assert_eq!(route(&Method::OPTIONS, "/api/v1/service/a/score"), Route::Options { allow: "GET, POST, OPTIONS" });
        assert_eq!(route(&Method::PUT, "/score"), Route::WrongMethod { allow: "GET, POST, OPTIONS" });
        for path in
            ["/score/", "/Score", "/api/v1/service//score", "/api/v1/service/a/b/score", "/api/v1/service/a", "//score"]
        {
            assert_eq!(route(&Method::POST, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn pages_ask_for_the_methods_of_what_they_may_call() {
        for (path, allow) in [
            ("/score", "GET, POST, OPTIONS"),
            ("/v1/models/a:predict", "POST, OPTIONS"),
            ("/v1/models/a", "GET, HEAD, OPTIONS"),
            ("/invocations", "POST, OPTIONS"),
            ("/v2/models/a/infer", "POST, OPTIONS"),
            ("/v2/models/a/versions/3/config", "GET, HEAD, OPTIONS"),
            ("/v2", "GET, HEAD, OPTIONS"),
        ] {
            assert_eq!(route(&Method::OPTIONS, path), Route::Options { allow }, "{path}");
            let wrong = match route(&Method::PUT, path) {
                Route::V2(v2::Route::WrongMethod { allow }) | Route::WrongMethod { allow } => allow,
                other => panic!("{path}: {other:?}"),
            };
            assert_eq!(wrong, allow, "{path}");
        }
        for path in ["/v2/logging", "/v2/repository/models/a/load", "/v2/systemsharedmemory/region/r/register"] {
            let asked = route(&Method::OPTIONS, path);
            assert!(matches!(asked, Route::V2(v2::Route::WrongMethod { .. })), "{path}: {asked:?}");
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
            assert_eq!(route(&Method::OPTIONS, path), Route::Probe(probe), "as HAProxy asks");
            assert_eq!(admin_route(&Method::OPTIONS, path), AdminRoute::Probe(probe));
            assert_eq!(route(&Method::POST, path), Route::WrongMethod { allow: "GET, HEAD, OPTIONS" });
            assert_eq!(admin_route(&Method::POST, path), AdminRoute::WrongMethod { allow: "GET, HEAD, OPTIONS" });
        }
        assert_eq!(route(&Method::OPTIONS, "*"), Route::Probe(Probe::Root));
        assert_eq!(admin_route(&Method::OPTIONS, "*"), AdminRoute::Probe(Probe::Root));
        assert_eq!(route(&Method::GET, "*"), Route::Unknown);
    }

    #[test]
    fn options_probes_where_get_does_unless_a_page_asks() {
        for path in ["/ping", "/health", "/v2/health/live", "/v2/health/ready", "/v2/models/m/ready"] {
            assert_eq!(route_outright(&Method::OPTIONS, path), route(&Method::GET, path), "{path}");
            assert!(matches!(route(&Method::OPTIONS, path), Route::Options { .. }), "{path}");
        }
        for path in ["/score", "/v2/models/m/infer", "/v1/models"] {
            assert!(matches!(route_outright(&Method::OPTIONS, path), Route::Options { .. }), "{path}");
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
        let endpoints = |endpoint: Option<&str>, verb| {
            AdminRoute::Endpoints(EndpointRoute { endpoint: endpoint.map(str::to_owned), verb })
        };
        assert_eq!(admin_route(&Method::GET, "/api/v1/endpoints"), endpoints(None, EndpointVerb::Show));
        assert_eq!(admin_route(&Method::GET, "/api/v1/endpoints/e"), endpoints(Some("e"), EndpointVerb::Show));
        let rotate = "/api/v1/endpoints/e/keys/rotate";
        assert_eq!(admin_route(&Method::POST, rotate), endpoints(Some("e"), EndpointVerb::RotateKey));
        assert_eq!(admin_route(&Method::GET, rotate), AdminRoute::WrongMethod { allow: "POST" });
        assert_eq!(admin_route(&Method::POST, "/api/v1/endpoints/e"), AdminRoute::WrongMethod { allow: "GET, HEAD" });
        for path in ["/api/v1/endpoints/", "/api/v1/endpoints/e/", "/api/v1/endpoints/e/x", "/api/v1/endpointsx"] {
            assert_eq!(admin_route(&Method::POST, path), AdminRoute::Unknown, "{path}");
        }
        assert_eq!(route(&Method::GET, "/metrics"), Route::Unknown);
        assert_eq!(route(&Method::GET, "/api/v1/service"), Route::Unknown);
        let models = |name: Option<&str>, version: Option<&str>, verb| {
            AdminRoute::Models(ModelRoute { name: name.map(str::to_owned), version: version.map(str::to_owned), verb })
        };
        let tag = "/api/v1/models/m/3/tag";
        assert_eq!(admin_route(&Method::GET, "/api/v1/models"), models(None, None, ModelVerb::Show));
        assert_eq!(admin_route(&Method::GET, "/api/v1/models/m/3"), models(Some("m"), Some("3"), ModelVerb::Show));
        assert_eq!(admin_route(&Method::POST, tag), models(Some("m"), Some("3"), ModelVerb::Tag));
        assert_eq!(admin_route(&Method::GET, tag), AdminRoute::WrongMethod { allow: "POST" });
        assert_eq!(admin_route(&Method::DELETE, "/api/v1/models/m/3"), AdminRoute::WrongMethod { allow: "GET, HEAD" });
        for path in [
            "/api/v1/models/",
            "/api/v1/models//3",
            "/api/v1/models/m/3/x",
            "/api/v1/models/m/3/tag/",
            "/api/v1/modelsx",
        ] {
            assert_eq!(admin_route(&Method::GET, path), AdminRoute::Unknown, "{path}");
        }
        assert_eq!(admin_route(&Method::POST, "/score"), AdminRoute::Unknown);
    }
}
