//! What servers say of themselves in the registry, as it is shown to who asks.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scoria::auth::Slot;
use scoria::control::operations::{EndpointView, OperationError, ReplicaStanding, ReplicaView};
use scoria::moment::Moment;
use serde_json::{Value as Json, json};

use crate::fleet::{BODY, Fleet, change, kills_the_runtime, name, wait_for};
use crate::server::Server;

/// Looks until what the servers say is as it should be: they say it by themselves, every now and then.
fn until<T>(fleet: &Fleet, asked: impl AsyncFn() -> Result<T, OperationError>, is_so: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let got = fleet.run(asked()).unwrap_or_else(|error| panic!("{error}"));
        if is_so(&got) {
            return got;
        }
        assert!(Instant::now() < deadline, "it never came so far: {got:#?}");
        std::thread::yield_now();
    }
}

fn replicas(view: &EndpointView) -> &[ReplicaView] {
    view.replicas.as_deref().expect("they were asked")
}

fn state_of<'a>(replica: &'a ReplicaView, model: &str) -> Option<(&'a str, Option<&'a str>)> {
    let deployment = replica.deployments.iter().find(|deployment| deployment.model == model)?;
    Some((deployment.state.as_str(), deployment.reason.as_deref()))
}

fn ask(server: &Server, path: &str) -> Json {
    let authorization = format!("Bearer {}", server.admin_key());
    let headers = [("authorization", authorization.as_str())];
    let answer = server.connect_admin().request("GET", &format!("/api/v1/endpoints{path}"), &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn every_server_says_how_far_it_has_come_and_why_not_further() {
    let fleet = Fleet::of_two_versions();
    fleet.deploy("e", "m:1");
    let start = || fleet.start_with_trial(Some(Arc::new(kills_the_runtime))).set("status_interval_ms", "100");
    let sound = fleet.start().set("status_interval_ms", "100").ready();
    let picky = start().set("auth", "key").ready();
    fleet.update("e", "blue", "m:2");

    let operations = fleet.operations();
    let endpoint = name("e");
    let show = async || operations.show(&endpoint, Moment::now()).await;
    let said = |view: &EndpointView, wanted: &str| {
        replicas(view).iter().any(|replica| {
            replica.revision == Some(2) && state_of(replica, "m:2").is_some_and(|(state, _)| state == wanted)
        })
    };
    let view = until(&fleet, show, |view| said(view, "ready") && said(view, "failed"));
    assert_eq!(replicas(&view).len(), 2);
    assert!(replicas(&view).iter().all(|replica| replica.standing == ReplicaStanding::Reporting));
    let picky_one = replicas(&view).iter().find(|replica| state_of(replica, "m:1").is_some());
    let picky_one = picky_one.expect("it goes on with what it had");
    assert_eq!(state_of(picky_one, "m:1"), Some(("ready", None)));
    let (_, reason) = state_of(picky_one, "m:2").expect("it says so");
    assert!(reason.is_some_and(|reason| reason.contains("SIGSEGV")), "{reason:?}");

    // The same over HTTP, and at a terminal.
    let over_http = ask(&picky, "/e");
    assert_eq!(over_http["replicas"].as_array().map(Vec::len), Some(2), "{over_http}");
    assert_eq!(over_http["replicas"][0]["standing"], json!("reporting"));
    let output = Command::new(env!("CARGO_BIN_EXE_scoria"))
        .args(["endpoints", "show", "e", "-o", "table", "--registry"])
        .arg(fleet.path())
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("failed") && text.contains("blue: it was tried out first: ") && text.contains("SIGSEGV"),
        "{text}"
    );

    // One that ends says so, and is not taken for one that has been killed.
    drop(sound);
    let is_ended =
        |view: &EndpointView| replicas(view).iter().any(|replica| replica.standing == ReplicaStanding::Ended);
    let ended = fleet.run(operations.show(&endpoint, Moment::now())).expect("it is there");
    assert!(is_ended(&ended), "{ended:#?}");
    // Those that only fall silent are known by it.
    let later = Moment::from_seconds(Moment::now().seconds() + 3_600);
    let silent = fleet.run(operations.show(&endpoint, later)).expect("it is there");
    let count = |standing| replicas(&silent).iter().filter(|replica| replica.standing == standing).count();
    assert_eq!((count(ReplicaStanding::Ended), count(ReplicaStanding::Stale)), (1, 1));
}

#[test]
fn the_last_use_of_a_key_is_told_by_whichever_server_saw_it() {
    let fleet = Fleet::of_two_versions();
    let begun = Moment::from_seconds(Moment::now().seconds() / 60 * 60);
    let keys = fleet.deploy("e", "m:1").keys.expect("it is new");
    let start = || fleet.start().set("auth", "key").set("status_interval_ms", "100");
    let (first, second) = (start().ready(), start().ready());
    let score = |server: &Server, key: &str| {
        let authorization = format!("Bearer {key}");
        server.request("POST", "/score", &[("authorization", &authorization)], BODY.as_bytes()).status
    };
    [&first, &second].iter().for_each(|server| wait_for(server, "e", "blue", "m:1"));
    while score(&first, keys.primary.reveal()) != 200 {
        std::thread::yield_now();
    }
    assert_eq!(score(&second, "scoria_nonsense"), 401);

    let (operations, endpoint) = (fleet.operations(), name("e"));
    let shown = async || operations.keys(&endpoint, Moment::now()).await;
    let shown = until(&fleet, shown, |keys| keys[0].last_used.is_some());
    assert!(shown[0].last_used.is_some_and(|used| used >= begun && used.seconds() % 60 == 0), "{shown:?}");
    assert_eq!((shown[1].slot, shown[1].last_used), ("secondary", None));
    let told = ask(&second, "/e/keys");
    assert!(told["keys"][0]["last_used"].is_string() && told["keys"][1]["last_used"].is_null(), "{told}");

    // It is not forgotten with the server that saw it, nor with a revision of the endpoint; but with the key.
    drop(first);
    fleet.update("e", "blue", "m:2");
    wait_for(&second, "e", "blue", "m:2");
    let kept = fleet.run(operations.keys(&endpoint, Moment::now())).expect("it has keys");
    assert_eq!(kept[0].last_used, shown[0].last_used);
    drop(second);
    let why = change("replaced");
    fleet.run(operations.rotate_key(&endpoint, Slot::Primary, &why)).expect("it is replaced");
    let fresh = fleet.run(operations.keys(&endpoint, Moment::now())).expect("it has keys");
    assert_eq!(fresh[0].last_used, None);
}
