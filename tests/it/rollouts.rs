//! Experiments and rollouts from outside: commands at a terminal, requests to servers of one registry, and nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scoria::app::{App, Offer, RegistryOffer};
use scoria::config::{Config, Origin, Setting};
use scoria::control::operations::Operations;
use scoria::engine::tract::TractEngine;
use scoria::experiment::Level;
use scoria::follow::ProfileCommand;
use scoria::name::Name;
use scoria::registry::{Access, EndpointSpec, Presence, Registry, RegistryUrl, Revision, StoreLimits};
use serde_json::{Value as Json, json};

use crate::client::Connection;
use crate::server::bundled;
use crate::support::Folder;

const BODY: &[u8] = br#"{"data": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}"#;
const SCORE: &str = "/api/v1/service/ridge/score";
const FEEDBACK: &str = "/api/v1/service/ridge/feedback";

/// Long enough for anything that happens, and the end of a test in which it does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry in a folder, and who uses it.
struct Site {
    folder: Folder,
    runtime: tokio::runtime::Runtime,
}

/// One server of it. It ends in order when dropped.
struct Replica(Option<App>);

impl Site {
    /// With `ridge:1` deployed as `blue`.
    fn new() -> Site {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let site = Site { folder: Folder::new(), runtime };
        site.register(&[]);
        site.run(&["deploy", "ridge:1", "--endpoint", "ridge", "--name", "blue"]);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> RegistryUrl {
        RegistryUrl::folder(&self.path("registry"))
    }

    /// A command that is to succeed.
    fn run(&self, arguments: &[&str]) -> Json {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_scoria"))
            .args(arguments)
            .env("SCORIA_REGISTRY", self.path("registry"))
            .env("SCORIA_STATE_DIR", self.path("terminal"))
            .env("SCORIA_ENGINE", "tract")
            .output()
            .unwrap()
    }

    /// How a server of it has versions profiled: without giving way, since other tests leave nothing of a small machine.
    fn profile(&self) -> Arc<ProfileCommand> {
        let (registry, state) = (self.path("registry"), self.path("terminal"));
        Arc::new(move |model, objective, time| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_scoria"));
            command.args(["profile", "--engine", "tract", &format!("--slo={objective}"), &model.to_string()]);
            command.arg(format!("--duration={}s", time.as_secs()));
            command.env("SCORIA_REGISTRY", &registry).env("SCORIA_STATE_DIR", &state);
            command
        })
    }

    /// Another version of the same model.
    fn register(&self, more: &[&str]) {
        let model = bundled("ridge").join("1").display().to_string();
        self.run(&[&["register", "ridge", &model], more].concat());
    }

    /// A version that is said to have answered otherwise.
    fn register_changed(&self) {
        let golden = self.path("golden");
        std::fs::create_dir_all(&golden).unwrap();
        std::fs::write(golden.join("case.request.json"), BODY).unwrap();
        std::fs::write(golden.join("case.response.json"), "[[1.5]]").unwrap();
        self.register(&["--golden", golden.to_str().unwrap()]);
    }

    fn follow(&self, guard: &[&str]) {
        let guard = guard.iter().flat_map(|text| ["--guard", text]);
        self.run(&["follow", "ridge", "ridge"].into_iter().chain(guard).collect::<Vec<_>>());
    }

    fn serve(&self, state: &str, more: &[(&str, &str)]) -> Replica {
        let state = self.path(state).display().to_string();
        let usual = [
            ("listen", "127.0.0.1:0"),
            ("admin_listen", "127.0.0.1:0"),
            ("auth", "none"),
            ("state_dir", &state),
            ("registry_poll_interval_ms", "10"),
            ("status_interval_ms", "100"),
        ];
        let layers = |setting: &Setting| {
            let found = more.iter().chain(&usual).find(|(key, _)| *key == setting.key)?;
            Some((found.1.to_owned(), Origin::Default))
        };
        let config = Config::resolve(&layers).unwrap();
        let limits = StoreLimits::within(Duration::from_secs(10));
        let access = Access { limits, presence: Presence::Expect, variables: Vec::new() };
        let offer =
            Offer::Registry(RegistryOffer { url: self.url(), access, trial: None, profile: Some(self.profile()) });
        let app = App::start(&config, offer, Arc::new(TractEngine)).unwrap();
        app.block_on(app.loaded());
        Replica(Some(app))
    }

    fn registry(&self) -> Registry {
        let limits = StoreLimits::within(Duration::from_secs(10));
        let access = Access { limits, presence: Presence::Expect, variables: Vec::new() };
        Registry::open(&self.url(), &access).unwrap()
    }

    fn latest(&self) -> Revision<EndpointSpec> {
        self.runtime.block_on(self.registry().endpoint(&ridge()).latest()).unwrap().unwrap()
    }

    /// Goes on with `work` until a revision is as it should be.
    fn until(&self, mut work: impl FnMut(), is_so: impl Fn(&Revision<EndpointSpec>) -> bool) -> Revision<EndpointSpec> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let latest = self.latest();
            if is_so(&latest) {
                return latest;
            }
            assert!(Instant::now() < deadline, "still at revision {}: {}", latest.revision, latest.why);
            work();
        }
    }

    /// Outcomes of all deployments, and answers, since the experiment began.
    fn counted(&self) -> (u64, u64) {
        let operations = Operations::new(self.registry(), Config::resolve(&|_| None).unwrap());
        let report = self.runtime.block_on(operations.compare(&ridge(), Level::USUAL)).unwrap();
        report.deployments.iter().fold((0, 0), |(trials, answered), arm| (trials + arm.trials, answered + arm.answered))
    }
}

impl Replica {
    fn connect(&self) -> Connection {
        let address: SocketAddr = self.0.as_ref().unwrap().listen;
        Connection::open(address)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(app) = self.0.take() {
            app.drain(Duration::ZERO);
        }
    }
}

fn ridge() -> Name {
    Name::parse("ridge").unwrap()
}

fn deployments(revision: &Revision<EndpointSpec>) -> Vec<&str> {
    revision.body.deployments.keys().map(Name::as_str).collect()
}

#[test]
fn a_new_version_takes_over_by_itself_and_one_that_answers_otherwise_does_not() {
    let site = Site::new();
    let replica = site.serve("one", &[]);
    site.follow(&["hold_s=0", "min_requests=20", "steps=[20, 100]"]);
    let mut connection = replica.connect();
    let mut score = || {
        let answer = connection.request("POST", SCORE, &[], BODY);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    site.register(&[]);
    let done = site.until(&mut score, |latest| latest.why.contains("has taken over"));
    assert_eq!(deployments(&done), ["v2"]);
    assert!(done.by.starts_with("rollout on r"), "{}", done.by);
    let history = site.runtime.block_on(site.registry().endpoint(&ridge()).history(10)).unwrap();
    let reasons: Vec<_> = history.iter().rev().map(|revision| revision.why.as_str()).collect();
    assert!(reasons[3].starts_with("ridge:2 gets 20 % of the traffic: it has no golden requests"), "{reasons:?}");
    assert!(reasons[4].starts_with("ridge:2 gets 100 % of the traffic: no guardrail is broken by "), "{reasons:?}");

    site.register_changed();
    let back = site.until(&mut score, |latest| latest.why.contains("golden answers changed"));
    assert_eq!(deployments(&back), ["v2"]);
    assert!(back.why.starts_with("ridge:3: 1 of 1 golden answers changed by more than 0.0001"), "{}", back.why);
    assert!(back.body.follow.as_ref().unwrap().refused.contains(&3));
}

#[test]
fn a_candidate_runs_as_its_version_was_profiled() {
    let site = Site::new();
    site.register(&[]);
    let report = site.run(&["profile", "ridge:2", "--slo", "p50=5s", "--rate", "50", "--duration", "5s"]);
    let replica = site.serve("one", &[]);
    let mut connection = replica.connect();
    site.follow(&["hold_s=0", "min_requests=1", "steps=[50, 100]"]);
    assert_eq!(site.run(&["endpoints", "show", "ridge"])["follow"]["model"], "ridge");
    let done = site
        .until(|| drop(connection.request("POST", SCORE, &[], BODY)), |latest| latest.why.contains("has taken over"));
    let candidate = done.body.deployments.values().next().unwrap();
    let recommended: std::collections::BTreeMap<_, _> = serde_json::from_value(report["recommended"].clone()).unwrap();
    assert_eq!((candidate.model.version, &candidate.profile), (2, &recommended), "{done:?}");
}

#[test]
fn a_version_is_profiled_against_the_objective_before_its_rollout_begins() {
    let site = Site::new();
    let replica = site.serve("one", &[]);
    let mut connection = replica.connect();
    site.follow(&["objective=p50=5s", "profile_s=5", "hold_s=0", "min_requests=1", "steps=[100]"]);
    site.register(&[]);
    let begun = site.until(|| (), |latest| latest.body.rollout.is_some());
    let profile = site.run(&["models", "show", "ridge:2"])["profile"].clone();
    let report = &profile["report"];
    assert_eq!((&profile["revision"], &report["objective"]), (&1.into(), &"p50=5s".into()), "{profile:#}");
    let candidate = begun.body.deployments.values().find(|deployment| deployment.model.version == 2).unwrap();
    assert_eq!(json!(candidate.profile), report["recommended"]);
    let score = || drop(connection.request("POST", SCORE, &[], BODY));
    site.until(score, |latest| latest.why.contains("has taken over"));
}

#[test]
fn an_operator_can_go_back_and_nothing_begins_again_by_itself() {
    let site = Site::new();
    let replica = site.serve("one", &[]);
    site.follow(&["hold_s=0", "min_requests=1", "steps=[50, 100]"]);
    let mut connection = replica.connect();
    let mut score = || drop(connection.request("POST", SCORE, &[], BODY));
    site.register(&[]);
    site.until(&mut score, |latest| latest.why.contains("has taken over"));
    site.run(&["rollback", "ridge"]);
    let back = site.latest();
    assert_eq!((deployments(&back), &back.body.rollout), (vec!["blue"], &None));
    site.register(&[]);
    let next = site.until(&mut score, |latest| latest.body.rollout.is_some());
    assert_eq!(next.body.rollout.unwrap().model.version, 3, "version 2 is not tried again");
    let output = site.try_run(&["ab", "ridge", "abort", "--why", "not today"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let aborted = site.until(&mut score, |latest| latest.why == "the candidate is aborted: not today");
    assert_eq!(deployments(&aborted), ["blue"]);
}

#[test]
fn outcomes_are_counted_once_at_any_replica_and_outlive_restarts() {
    let site = Site::new();
    site.register(&[]);
    site.run(&["deploy", "ridge:2", "--endpoint", "ridge", "--name", "green", "--traffic", "50"]);
    let (one, other) = (site.serve("one", &[]), site.serve("other", &[]));
    let mut ids = Vec::new();
    for replica in [&one, &other] {
        let mut connection = replica.connect();
        for _ in 0..40 {
            let answer = connection.request("POST", SCORE, &[], BODY);
            ids.push(answer.header("x-request-id").unwrap().to_owned());
        }
    }
    let reports = |ids: &[String]| -> Vec<u8> {
        let reports: Vec<_> = ids.iter().map(|id| json!({"request_id": id, "outcome": true})).collect();
        serde_json::to_vec(&reports).unwrap()
    };
    // All of them at one replica, and again, as by a client that heard no answer.
    for (counted, again) in [(80, 0), (0, 80)] {
        let answer = other.connect().request("POST", FEEDBACK, &[], &reports(&ids));
        assert_eq!(answer.json(), json!({"counted": counted, "again": again, "unknown": 0}));
    }
    // The last report comes with an orderly end.
    drop((one, other));
    assert_eq!(site.counted(), (80, 80));
    let again = site.serve("one", &[]);
    let answer = again.connect().request("POST", SCORE, &[], BODY);
    let report = json!({"request_id": answer.header("x-request-id"), "outcome": false}).to_string();
    assert_eq!(again.connect().request("POST", FEEDBACK, &[], report.as_bytes()).status, 200);
    drop(again);
    assert_eq!(site.counted(), (81, 81));

    let told = site.run(&["ab", "ridge", "-o", "json"]);
    assert_eq!((&told["baseline"], &told["since_revision"]), (&json!("blue"), &json!(2)));
    let success =
        told["comparisons"].as_array().unwrap().iter().find(|found| found["metric"] == "success_rate").unwrap();
    let sentence = success["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("no difference between green's success rate and blue's is shown: "), "{sentence}");
    site.run(&["ab", "ridge", "promote"]);
    let promoted = site.latest();
    assert_eq!(promoted.body.default.as_ref().map(Name::as_str), Some("green"));
}

#[test]
fn feedback_that_cannot_be_counted_is_refused_with_what_would_do() {
    let site = Site::new();
    let replica = site.serve("one", &[]);
    let post = |body: &str| replica.connect().request("POST", FEEDBACK, &[], body.as_bytes());
    for (body, status, code) in [
        ("", 400, "bad_feedback"),
        ("{\"request_id\": \"x\"", 400, "bad_feedback"),
        ("{\"request_id\": \"x\", \"outcome\": \"good\"}", 400, "bad_feedback"),
        ("{\"request_id\": \"x\", \"outcome\": true, \"more\": 1}", 400, "bad_feedback"),
        ("{\"request_id\": \"x\", \"outcome\": true}", 404, "unknown_request"),
        ("{\"request_id\": \"x\", \"outcome\": true, \"deployment\": \"grey\"}", 404, "unknown_request"),
    ] {
        let answer = post(body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    // A client that makes its own ids says who answered.
    let own = post("{\"request_id\": \"mine-1\", \"outcome\": 12.5, \"deployment\": \"blue\"}");
    assert_eq!(own.json(), json!({"counted": 1, "again": 0, "unknown": 0}));
    assert_eq!(replica.connect().request("GET", FEEDBACK, &[], b"").status, 405);
    let document = replica.connect().request("GET", "/api/v1/service/ridge/openapi.json", &[], b"").json();
    assert_eq!(document["paths"][FEEDBACK]["post"]["operationId"], "ReportOutcomes");
    assert_eq!(replica.connect().request("POST", "/api/v1/service/nobody/feedback", &[], b"{}").status, 404);
    let many = vec![json!({"request_id": "x", "outcome": true}); 1_001];
    assert_eq!(post(&serde_json::to_string(&many).unwrap()).code(), "bad_feedback");
}

#[test]
fn the_admin_port_compares_and_decides_like_the_terminal() {
    let site = Site::new();
    site.register(&[]);
    site.run(&["deploy", "ridge:2", "--endpoint", "ridge", "--name", "green", "--traffic", "50"]);
    let replica = site.serve("one", &[]);
    let admin = replica.0.as_ref().unwrap().admin_listen;
    let ask = |method: &str, path: &str, body: &str| {
        let path = format!("/api/v1/endpoints/ridge/{path}");
        let headers = [("Content-Type", "application/json")];
        Connection::open(admin).request(method, &path, &headers, body.as_bytes())
    };
    let compared = ask("GET", "ab?confidence=99", "").json();
    assert_eq!((&compared["baseline"], &compared["deployments"][1]["traffic_percent"]), (&json!("blue"), &json!(50.0)));
    assert_eq!(ask("GET", "ab?confidence=100", "").code(), "bad_operation");
    let guarded = ask("POST", "follow", r#"{"follow": {"model": "ridge", "guard": {"steps": [1]}}}"#);
    assert!(guarded.status == 400 && guarded.text().contains("rising shares that end with 100"), "{}", guarded.text());
    assert_eq!(ask("POST", "follow", r#"{"follow": {"model": "ridge"}}"#).status, 200);
    assert_eq!(site.latest().body.follow.unwrap().model, ridge());
    assert_eq!(ask("POST", "follow", r#"{"follow": null}"#).status, 200);
    assert_eq!(ask("POST", "promote", r#"{"candidate": "grey"}"#).status, 412);
    assert_eq!(ask("POST", "promote", r#"{"candidate": "green", "reason": "it is better"}"#).status, 200);
    let promoted = site.latest();
    assert_eq!((promoted.why.as_str(), promoted.body.default.unwrap().as_str()), ("it is better", "green"));
}

#[test]
fn webhooks_need_a_secret_that_is_where_it_is_said_to_be() {
    let site = Site::new();
    let start = |more: &[(&str, &str)]| {
        let state = site.path("hooks").display().to_string();
        let usual =
            [("auth", "none"), ("listen", "127.0.0.1:0"), ("admin_listen", "127.0.0.1:0"), ("state_dir", &state)];
        let layers = |setting: &Setting| {
            let found = more.iter().chain(&usual).find(|(key, _)| *key == setting.key)?;
            Some((found.1.to_owned(), Origin::Default))
        };
        let limits = StoreLimits::within(Duration::from_secs(10));
        let access = Access { limits, presence: Presence::Expect, variables: Vec::new() };
        let offer = Offer::Registry(RegistryOffer { url: site.url(), access, trial: None, profile: None });
        App::start(&Config::resolve(&layers).unwrap(), offer, Arc::new(TractEngine)).err().unwrap().to_string()
    };
    let urls = ("webhook_urls", "http://127.0.0.1:9/");
    for (more, complaint) in [
        (vec![urls], "say where the secret is"),
        (vec![urls, ("webhook_secret", "whsec_c2VjcmV0")], "never the secret itself"),
        (vec![urls, ("webhook_secret", "env:SCORIA_TEST_NO_SUCH_VARIABLE")], "is not set"),
        (vec![urls, ("webhook_secret", "file:/no/such/file")], "cannot read /no/such/file"),
    ] {
        let error = start(&more);
        assert!(error.contains(complaint) && !error.contains("c2VjcmV0"), "{error}");
    }
}

/// The block of a document that begins with a line.
fn snippet(document: &Path, begin: &str) -> String {
    let text = std::fs::read_to_string(document).unwrap();
    let after = text.split_once(begin).unwrap_or_else(|| panic!("{} has no {begin}", document.display())).1;
    after.split("\n```").next().unwrap().to_owned()
}

#[test]
fn the_documented_receiver_believes_what_is_sent_and_nothing_else() {
    use scoria::moment::Moment;
    use scoria::webhook::{Secret, sign};
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webhooks.md");
    let folder = Folder::new();
    let program = folder.path().join("receiver.py");
    let call = "\nimport sys\nprint(verify(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5].encode())['type'])\n";
    std::fs::write(&program, snippet(&document, "```python\n") + call).unwrap();
    let body = r#"{"type":"RolledBack"}"#;
    let verdict = |at: Moment, header: &str, body: &str| {
        let at = at.seconds().to_string();
        let output = Command::new("python3").arg(&program).args([SECRET, "id-1", &at, header, body]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned() + if output.status.success() { "" } else { "refused" }
    };
    let secret = Secret::parse(SECRET).unwrap();
    let now = Moment::now();
    let header = sign(&secret, "id-1", now, body);
    assert_eq!(verdict(now, &header, body), "RolledBack");
    assert_eq!(verdict(now, &format!("v1,AAAA {header}"), body), "RolledBack");
    assert_eq!(verdict(now, &header, r#"{"type":"ModelDeployed"}"#), "refused");
    let old = Moment::from_seconds(now.seconds() - 600);
    assert_eq!(verdict(old, &sign(&secret, "id-1", old, body), body), "refused");
}
