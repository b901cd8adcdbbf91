//! The paths of the Open Inference Protocol and of Triton's extensions, below `/v2`. Pure.

use hyper::Method;

use crate::http::percent::decoded;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Server,
    Live,
    Ready,
    Model {
        model: Model,
        about: About,
    },
    /// The statistics of all models.
    Statistics,
    Index,
    Load {
        name: String,
    },
    Unload {
        name: String,
    },
    /// A repository by its name: there is only the one without.
    NamedRepository,
    Logging {
        change: bool,
    },
    /// Of a model, or of the server.
    TraceSetting {
        change: bool,
    },
    RegionStatus {
        memory: Memory,
        region: Region,
    },
    RegisterRegion {
        memory: Memory,
        name: String,
    },
    UnregisterRegion {
        memory: Memory,
        region: Region,
    },
    /// The list of methods of a path that is for pages.
    Options {
        allow: &'static str,
    },
    WrongMethod {
        allow: &'static str,
    },
    Unknown,
}

/// Whose shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    System,
    Cuda,
}

/// One region of shared memory, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    pub name: Option<String>,
}

/// A model as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// `None` where the path names no version.
    pub version: Option<u64>,
}

/// What of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Metadata,
    Ready,
    Config,
    Statistics,
    Infer,
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

impl Route {
    /// Whether it is asked by those who watch over servers, by the second.
    pub fn is_probe(&self) -> bool {
        matches!(self, Route::Live | Route::Ready | Route::Model { about: About::Ready, .. })
    }

    /// Whether it only infers or reads: pages of the origins that are configured may call it.
    pub fn is_for_pages(&self) -> bool {
        matches!(self, Route::Server | Route::Live | Route::Ready | Route::Model { .. } | Route::Statistics)
    }
}

/// The route of a path whose `/v2` has been cut off.
pub fn route(method: &Method, rest: &str) -> Route {
    let mut segments = [""; 8];
    let mut count = 0;
    for segment in rest.split('/').skip(1) {
        if count == segments.len() || segment.is_empty() {
            return Route::Unknown;
        }
        segments[count] = segment;
        count += 1;
    }
    let (route, allow) = match segments[..count] {
        [] => (Route::Server, READ),
        ["health", "live"] => (Route::Live, READ),
        ["health", "ready"] => (Route::Ready, READ),
        ["models", "stats"] => (Route::Statistics, READ),
        ["repository", "index"] => (Route::Index, WRITE),
        ["repository", "models", name, "load"] => (Route::Load { name: name.to_owned() }, WRITE),
        ["repository", "models", name, "unload"] => (Route::Unload { name: name.to_owned() }, WRITE),
        ["repository", _, "index"] | ["repository", _, "models", _, "load" | "unload"] => {
            (Route::NamedRepository, WRITE)
        }
        ["logging"] => (Route::Logging { change: *method == Method::POST }, BOTH),
        ["trace", "setting"] | ["models", _, "trace", "setting"] => {
            (Route::TraceSetting { change: *method == Method::POST }, BOTH)
        }
        ["systemsharedmemory", ref rest @ ..] => return memory_route(method, Memory::System, rest),
        ["cudasharedmemory", ref rest @ ..] => return memory_route(method, Memory::Cuda, rest),
        ["models", name, ref rest @ ..] => return model_route(method, name, rest),
        _ => return Route::Unknown,
    };
    checked(method, route, allow)
}

fn model_route(method: &Method, name: &str, rest: &[&str]) -> Route {
    let (version, rest) = match rest {
        // One spelling for each: a proxy's rule for `1` is not got around by `01`.
        ["versions", version, rest @ ..] if is_version(version) => {
            // What is more than can be counted is a version that nobody has.
            (Some(version.parse().unwrap_or(u64::MAX)), rest)
        }
        rest => (None, rest),
    };
    let (about, allow) = match rest {
        [] => (About::Metadata, READ),
        ["ready"] => (About::Ready, READ),
        ["config"] => (About::Config, READ),
        ["stats"] => (About::Statistics, READ),
        ["infer"] => (About::Infer, WRITE),
        _ => return Route::Unknown,
    };
    checked(method, Route::Model { model: Model { name: name.to_owned(), version }, about }, allow)
}

fn memory_route(method: &Method, memory: Memory, rest: &[&str]) -> Route {
    let region = |name: Option<&&str>| Region { name: name.map(|name| decoded(name)) };
    let (route, allow) = match rest {
        ["status"] => (Route::RegionStatus { memory, region: region(None) }, READ),
        ["region", name, "status"] => (Route::RegionStatus { memory, region: region(Some(name)) }, READ),
        ["region", name, "register"] => (Route::RegisterRegion { memory, name: decoded(name) }, WRITE),
        ["unregister"] => (Route::UnregisterRegion { memory, region: region(None) }, WRITE),
        ["region", name, "unregister"] => (Route::UnregisterRegion { memory, region: region(Some(name)) }, WRITE),
        _ => return Route::Unknown,
    };
    checked(method, route, allow)
}

/// A whole number without leading zeros.
fn is_version(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

fn checked(method: &Method, route: Route, allow: &'static str) -> Route {
    let is_allowed = match *method {
        Method::GET | Method::HEAD => allow != WRITE,
        Method::POST => allow != READ,
        _ => false,
    };
    if is_allowed {
        return route;
    }
    let allow = match allow {
        READ if route.is_for_pages() => "GET, HEAD, OPTIONS",
        WRITE if route.is_for_pages() => "POST, OPTIONS",
        allow => allow,
    };
    if *method == Method::OPTIONS && route.is_for_pages() {
        Route::Options { allow }
    } else {
        Route::WrongMethod { allow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(rest: &str) -> Route {
        route(&Method::GET, rest)
    }

    fn post(rest: &str) -> Route {
        route(&Method::POST, rest)
    }

    fn model(name: &str, version: Option<u64>, about: About) -> Route {
        Route::Model { model: Model { name: name.to_owned(), version }, about }
    }

    #[test]
    fn every_route_of_the_protocol() {
        assert_eq!(get(""), Route::Server);
        assert_eq!(get("/health/live"), Route::Live);
        assert_eq!(get("/health/ready"), Route::Ready);
        assert_eq!(get("/models/m"), model("m", None, About::Metadata));
        assert_eq!(get("/models/m/versions/3"), model("m", Some(3), About::Metadata));
        assert_eq!(get("/models/m/ready"), model("m", None, About::Ready));
        assert_eq!(get("/models/m/versions/3/config"), model("m", Some(3), About::Config));
        assert_eq!(get("/models/m/stats"), model("m", None, About::Statistics));
        assert_eq!(get("/models/stats"), Route::Statistics);
        assert_eq!(post("/models/m/infer"), model("m", None, About::Infer));
        assert_eq!(post("/models/m/versions/99999999999999999999/infer"), model("m", Some(u64::MAX), About::Infer));
        assert_eq!(post("/repository/index"), Route::Index);
        assert_eq!(post("/repository/models/m/load"), Route::Load { name: "m".to_owned() });
        assert_eq!(post("/repository/models/m/unload"), Route::Unload { name: "m".to_owned() });
        assert_eq!(post("/repository/r/models/m/load"), Route::NamedRepository);
        assert_eq!(get("/logging"), Route::Logging { change: false });
        let (memory, all) = (Memory::System, || Region { name: None });
        let one = || Region { name: Some("a/ b".to_owned()) };
        assert_eq!(get("/systemsharedmemory/status"), Route::RegionStatus { memory, region: all() });
        assert_eq!(get("/systemsharedmemory/region/a%2F%20b/status"), Route::RegionStatus { memory, region: one() });
        let register = Route::RegisterRegion { memory: Memory::Cuda, name: "r%".to_owned() };
        assert_eq!(post("/cudasharedmemory/region/r%/register"), register);
        assert_eq!(post("/systemsharedmemory/unregister"), Route::UnregisterRegion { memory, region: all() });
        assert_eq!(
            post("/systemsharedmemory/region/a%2f+b/unregister"),
            Route::UnregisterRegion { memory, region: Region { name: Some("a/+b".to_owned()) } }
        );
        assert_eq!(get("/systemsharedmemory/region/r/register"), Route::WrongMethod { allow: "POST" });
        assert_eq!(get("/systemsharedmemory"), Route::Unknown);
        assert_eq!(post("/models/m/trace/setting"), Route::TraceSetting { change: true });
    }

    #[test]
    fn what_is_none_of_them() {
        for rest in
            ["/", "/health", "/models", "/models/", "/models//infer", "/models/m/", "/models/m/versions/v/infer"]
        {
            assert_eq!(post(rest), Route::Unknown, "{rest}");
        }
        assert_eq!(get("/models/m/versions/x"), Route::Unknown);
        assert_eq!(get("/models/m/versions/01"), Route::Unknown);
        assert_eq!(get(&"/x".repeat(9)), Route::Unknown);
        assert_eq!(get("/models/m/infer"), Route::WrongMethod { allow: "POST, OPTIONS" });
        assert_eq!(post("/health/live"), Route::WrongMethod { allow: "GET, HEAD, OPTIONS" });
        assert_eq!(route(&Method::PUT, "/logging"), Route::WrongMethod { allow: "GET, HEAD, POST" });
    }
}
