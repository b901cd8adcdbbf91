//! Endpoints of a registry while they change: swaps under load, replicas, outages, models that kill the runtime.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use scoria::deployment::State;

use crate::client::Connection;
use crate::fleet::{
    Away, BODY, Fleet, change, is_second, kills_the_runtime, name, percent, versioned, wait_for, wait_until,
};
use crate::server::Server;

/// Enough to meet every moment of a swap many times.
const SWAPS: u64 = 150;

/// The version that an answer is of. Both outputs have to be of one.
fn version(answer: &[u8]) -> u64 {
    let json: serde_json::Value = serde_json::from_slice(answer).expect("an answer is JSON");
    let outputs = [&json["a"][0][0], &json["b"][0][0]].map(|value| value.as_f64().expect("a number") as u64);
    assert_eq!(outputs[0], outputs[1], "answered by two versions: {json}");
    outputs[0]
}

/// Swaps version 1 for 2 and back, again and again.
fn swap(fleet: &Fleet, server: &Server) {
    for swap in 0..SWAPS {
        let model = format!("m:{}", 2 - swap % 2);
        fleet.update("e", "blue", &model);
        wait_for(server, "e", "blue", &model);
    }
}

/// Tells an end to clients when it goes, by whatever way.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn swaps_under_load_lose_nothing_over_http_1() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let server = fleet.start().ready();
    let (stop, seen) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = server.connect();
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.request("POST", "/api/v1/service/e/score", &[], BODY.as_bytes());
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.header("azureml-model-deployment"), Some("blue"));
                    seen[version(&answer.body) as usize].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        swap(&fleet, &server);
    });
    assert!(seen[1..].iter().all(|count| count.load(Ordering::Relaxed) > 100), "{seen:?}");
}

#[test]
fn swaps_under_load_lose_nothing_over_http_2() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let server = fleet.start().ready();
    let (address, stop) = (server.address(), Arc::new(AtomicBool::new(false)));
    let load = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(streams(address, &stop))
        })
    };
    {
        let _stop = Stop(&stop);
        swap(&fleet, &server);
    }
    let seen = load.join().expect("every request is answered");
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

/// Eight streams of one connection, each with a request at a time. Gives the answers of each version.
async fn streams(address: std::net::SocketAddr, stop: &AtomicBool) -> [usize; 2] {
    use http_body_util::{BodyExt, Full};
    let io = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.expect("it accepts"));
    let executor = hyper_util::rt::TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let mut seen = [0; 2];
    while !stop.load(Ordering::Relaxed) {
        let ask = || async {
            let request = hyper::Request::post("http://test/api/v1/service/e/score")
                .body(Full::new(bytes::Bytes::from_static(BODY.as_bytes())))
                .expect("a request");
            let answer = client.clone().send_request(request).await.expect("no stream is reset");
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.expect("no answer is cut off").to_bytes();
            version(&body)
        };
        let answers = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
        let answers = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5, answers.6, answers.7];
        answers.iter().for_each(|version| seen[*version as usize - 1] += 1);
    }
    seen
}

#[test]
fn shares_pins_and_users_go_where_they_belong() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    fleet.deploy_as("e", "m:2", Some("green"), Some(50.0)).unwrap();
    let sticky = scoria::control::operations::Amendment {
        sticky: Some(Some("header:x-scoria-sticky".parse().unwrap())),
        ..Default::default()
    };
    fleet.run(fleet.operations().amend(&name("e"), &sticky, &change("sticky"))).unwrap();
    let server = fleet.start().ready();
    let mut connection = server.connect();
    let mut ask = |headers: &[(&str, &str)]| {
        let answer = connection.request("POST", "/api/v1/service/e/score", headers, BODY.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        (version(&answer.body), answer.header("azureml-model-deployment").unwrap().to_owned())
    };
    let mut of_users = BTreeMap::new();
    for user in 0..40 {
        let user = format!("user-{user}");
        let first = ask(&[("x-scoria-sticky", &user)]);
        assert_eq!(ask(&[("x-scoria-sticky", &user)]), first, "a user stays");
        of_users.insert(user, first.0);
    }
    assert!(of_users.values().any(|version| *version == 1) && of_users.values().any(|version| *version == 2));
    assert_eq!(ask(&[("azureml-model-deployment", "green")]), (2, "green".to_owned()));
    let drawn: Vec<_> = (0..60).map(|_| ask(&[]).0).collect();
    assert!(drawn.contains(&1) && drawn.contains(&2), "without a user it is drawn");

    // A share that rises keeps its users; one of nothing can still be pinned.
    fleet
        .run(fleet.operations().traffic(&name("e"), &BTreeMap::from([(name("green"), percent(80.0))]), &change("more")))
        .unwrap();
    let share = |server: &Server| {
        let table = server.app().routing.table();
        let endpoint = table.find("e").and_then(|entry| entry.endpoint.clone()).expect("it is served");
        endpoint.traffic.lengths(2)[1]
    };
    while share(&server) != 8_000 {
        thread::yield_now();
    }
    for (user, version) in of_users.iter().filter(|(_, version)| **version == 2) {
        assert_eq!(ask(&[("x-scoria-sticky", user)]).0, *version, "{user}");
    }
    fleet.run(fleet.operations().traffic(&name("e"), &BTreeMap::new(), &change("all back"))).unwrap();
    while share(&server) != 0 {
        thread::yield_now();
    }
    assert_eq!(ask(&[]).0, 1);
    assert_eq!(ask(&[("azureml-model-deployment", "green")]).0, 2);
    let unknown =
        server.request("POST", "/api/v1/service/e/score", &[("azureml-model-deployment", "red")], BODY.as_bytes());
    assert_eq!((unknown.status, unknown.json()["error"]["expected"].as_str()), (404, Some("blue, green")));
}

#[test]
fn mirrored_requests_are_compared_and_pinned_ones_are_not() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    fleet.deploy_as("e", "m:2", Some("green"), None).unwrap();
    fleet
        .run(fleet.operations().mirror(&name("e"), &BTreeMap::from([(name("green"), percent(100.0))]), &change("m")))
        .unwrap();
    let server = fleet.start().ready();
    let mut connection = server.connect();
    for _ in 0..5 {
        let pinned = [("azureml-model-deployment", "blue")];
        for headers in [&[][..], &pinned] {
            let answer = connection.request("POST", "/api/v1/service/e/score", headers, BODY.as_bytes());
            assert_eq!(version(&answer.body), 1, "the mirror never answers");
        }
    }
    let labels = r#"deployment="green",endpoint="e""#;
    server.wait_for_metric(&format!(r#"scoria_mirrored_requests_total{{{labels},outcome="compared"}}"#), 5.0);
    assert_eq!(server.metric(&format!("scoria_mirror_max_absolute_difference{{{labels}}}")), Some(1.0));
    let told = server.admin("/api/v1/service/e").json();
    let comparison = &told["mirror"][0]["comparisons"][0];
    assert_eq!((&comparison["answering"], &comparison["requests"]), (&"blue".into(), &5.into()), "{told}");
    assert_eq!(comparison["max_relative_difference"], 0.5);
}

#[test]
fn what_cannot_be_had_leaves_what_serves_in_place() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let server = fleet.start().ready();
    // The bytes of version 2 are gone from the store.
    let blobs = fleet.path().join("blobs/sha256");
    let hidden = Away::take(&blobs);
    fleet.update("e", "blue", "m:2");
    wait_until(&server, "e", "the failure shows", |states| {
        states.iter().any(|(_, model, state)| model == "m:2" && matches!(state, State::Failed { .. }))
    });
    let told = server.admin("/api/v1/service/e").json();
    assert_eq!((&told["state"], &told["states"][0]["state"]), (&"ready".into(), &"ready".into()));
    assert!(told["states"][1]["reason"].as_str().unwrap().contains("m:2 cannot be had"), "{told}");
    assert_eq!(version(&server.post("/api/v1/service/e/score", BODY).body), 1);
    assert_eq!(server.admin("/readyz").status, 200, "what serves is not taken out of service");
    drop(hidden);
    // A new revision has it tried again.
    fleet.update("e", "blue", "m:1");
    wait_for(&server, "e", "blue", "m:1");
    fleet.update("e", "blue", "m:2");
    wait_for(&server, "e", "blue", "m:2");
    assert_eq!(version(&server.post("/api/v1/service/e/score", BODY).body), 2);
}

#[test]
fn a_model_that_kills_the_runtime_kills_only_its_trial() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let trial = move |model: &Path, sample: Option<&Path>| {
        count.fetch_add(usize::from(is_second(model)), Ordering::Relaxed);
        kills_the_runtime(model, sample)
    };
    let server = fleet.start_with_trial(Some(Arc::new(trial))).ready();
    for attempt in 0..2 {
        fleet.update("e", "blue", "m:2");
        wait_until(&server, "e", "the failure shows", |states| {
            states.iter().any(|(.., state)| matches!(state, State::Failed { reason } if reason.contains("SIGSEGV")))
        });
        assert_eq!(version(&server.post("/api/v1/service/e/score", BODY).body), 1);
        fleet.update("e", "blue", "m:1");
        wait_for(&server, "e", "blue", "m:1");
        assert_eq!(tried.load(Ordering::Relaxed), 1, "attempt {attempt}: the verdict is remembered");
    }
}

#[test]
fn replicas_converge_and_serve_on_without_the_registry() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let state = crate::support::Folder::new();
    let start = || fleet.start().set("state_dir", state.path().display().to_string());
    let (first, second) = (start().ready(), fleet.start().ready());
    fleet.update("e", "blue", "m:2");
    for server in [&first, &second] {
        wait_for(server, "e", "blue", "m:2");
        assert_eq!(version(&server.post("/score", BODY).body), 2);
    }
    let away = Away::take(&fleet.path());
    assert_eq!(version(&first.post("/score", BODY).body), 2);
    drop(first);
    // It starts from what it knew, and from its cache.
    let again = start().ready();
    assert_eq!(version(&again.post("/score", BODY).body), 2);
    drop(away);
    fleet.update("e", "blue", "m:1");
    for server in [&again, &second] {
        wait_for(server, "e", "blue", "m:1");
    }
    fleet.run(fleet.operations().delete(&name("e"), &change("over"))).unwrap();
    while again.app().routing.table().find("e").is_some() {
        thread::yield_now();
    }
    assert_eq!(again.post("/api/v1/service/e/score", BODY).status, 404);
}

#[test]
fn an_empty_registry_is_ready_and_a_missing_one_is_an_error() {
    let fleet = Fleet::new();
    let missing = fleet.start().try_now().err().expect("there is nothing to serve").to_string();
    assert!(missing.contains("registry"), "{missing}");
    fleet.register("m", &versioned(1.0));
    let server = fleet.start().ready();
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.post("/api/v1/service/e/score", BODY).status, 404);
    fleet.deploy("e", "m");
    wait_for(&server, "e", "blue", "m:1");
    let mut connection = Connection::open(server.address());
    assert_eq!(version(&connection.request("POST", "/score", &[], BODY.as_bytes()).body), 1);
}
