//! `scoria profile`, as a program: what it reports, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

use scoria::config::File;
use serde_json::Value as Json;

use crate::server;
use crate::support::{Folder, ort_library};

fn bundled(name: &str) -> String {
    server::bundled(name).display().to_string()
}

fn profile(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scoria"));
    command.arg("profile").args(arguments).arg("--ort-lib").arg(ort_library());
    // Settings of whoever runs the tests are not those of the tests.
    command.env_remove("SCORIA_ORT_LIB").output().expect("the program runs")
}

/// The exit code, and what was written to standard output and error.
fn told(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = profile(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The keys of Azure's `Model.profile`.
const AZURE: [&str; 21] = [
    "name",
    "state",
    "error",
    "createdTime",
    "requestedCpu",
    "requestedMemoryInGB",
    "requestedQueriesPerSecond",
    "maxUtilizedCpu",
    "maxUtilizedMemoryInGB",
    "totalQueries",
    "successQueries",
    "successRate",
    "averageLatencyInMs",
    "latencyPercentile50InMs",
    "latencyPercentile90InMs",
    "latencyPercentile95InMs",
    "latencyPercentile99InMs",
    "latencyPercentile999InMs",
    "measuredQueriesPerSecond",
    "recommendedCpu",
    "recommendedMemoryInGB",
];

#[test]
fn settings_that_meet_an_objective_are_reported_with_the_keys_that_azure_users_know() {
    // Any machine answers most requests to a tiny model within seconds.
    let model = format!("mine={}", bundled("ridge"));
    let (code, out, err) = told(&[&model, "--slo", "p50=5s", "--rate", "50", "--duration", "5s"]);
    assert_eq!(code, Some(0), "{err}{out}");
    let report: Json = serde_json::from_str(&out).expect("JSON, in a pipe");
    for key in AZURE {
        assert!(report.get(key).is_some_and(|value| !value.is_null() || key == "error"), "{key}: {report:#}");
    }
    assert_eq!((&report["name"], &report["state"]), (&"mine".into(), &"Succeeded".into()));
    assert_eq!((&report["objective"], &report["objectiveMet"]), (&"p50=5s".into(), &true.into()));
    assert_eq!((&report["requestedQueriesPerSecond"], &report["successRate"]), (&50.0.into(), &100.0.into()));
    for key in ["execution", "workers", "intra_op_threads", "max_batch"] {
        assert!(!report["recommended"][key].is_null() && !report["lowestLatency"][key].is_null(), "{report:#}");
    }
    let tried = report["tried"].as_array().unwrap();
    assert!(!tried.is_empty() && tried[0]["trials"][0]["verdict"] == "met", "{report:#}");
}

#[test]
fn an_objective_that_cannot_be_met_is_exit_code_4_with_the_best_that_was_found() {
    let (code, out, err) = told(&[&bundled("ridge"), "--slo", "p99=1ns", "--duration", "5s", "-o", "table"]);
    assert_eq!(code, Some(4), "{err}{out}");
    assert!(err.contains("no settings were shown to meet the objective"), "{err}");
    assert!(out.starts_with("ridge: p99=1ns, on ") && out.contains("missed"), "{out}");
    // What is printed to be pasted is what a file may hold.
    let toml = &out[out.find("[endpoints.").expect("a table of settings")..];
    let file = File::parse(toml, Path::new("scoria.toml")).unwrap_or_else(|error| panic!("{error}: {toml}"));
    assert_eq!(file.endpoints.len(), 1);
}

#[test]
fn mistakes_are_told_before_anything_is_loaded() {
    let (model, models) = (bundled("ridge"), bundled(""));
    for (arguments, code, expected) in [
        (vec![model.as_str(), "--slo", "p99:5ms"], 2, "--slo: 'p99:5ms' is no objective"),
        (vec![&model, "--rate", "fast"], 2, "--rate: expected requests a second, as in 200, got 'fast'"),
        (vec![&model, "--duration", "1"], 2, "--duration: '1' is no time"),
        (vec![&model, "--duration", "1ms"], 2, "--duration: expected at least 1s, got 1ms"),
        (vec![&model, "--sample-input", "missing.json"], 1, "cannot read missing.json"),
        (vec!["missing.onnx"], 3, "missing.onnx"),
        (vec![&models], 2, "holds 4 models; name one of them"),
    ] {
        let (got, out, err) = told(&arguments);
        assert_eq!((got, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

#[test]
fn a_sample_that_the_model_does_not_take_is_refused() {
    let sample = Folder::new();
    let path = sample.path().join("body.json");
    std::fs::write(&path, r#"{"data": [[1, 2, 3]]}"#).unwrap();
    let (code, _, err) = told(&[&bundled("ridge"), "--sample-input", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("--sample-input is not a valid request for the model"), "{err}");
}

/// A registry in a folder, with version 1 of `ridge`.
struct Kept(Folder);

impl Kept {
    fn new() -> Kept {
        let kept = Kept(Folder::new());
        kept.done(&["register", "ridge", &bundled("ridge/1")]);
        kept
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let place = |name: &str| self.0.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_scoria"));
        command.args(arguments).env("SCORIA_REGISTRY", place("registry")).env("SCORIA_STATE_DIR", place("state"));
        command.env("SCORIA_ENGINE", "tract").output().expect("the program runs")
    }

    /// What a command that succeeds prints.
    fn done(&self, arguments: &[&str]) -> Json {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON, in a pipe")
    }
}

#[test]
fn a_registered_version_keeps_its_profile_and_is_deployed_with_it() {
    let kept = Kept::new();
    let profile = ["profile", "ridge", "--slo", "p50=5s", "--rate", "50", "--duration", "5s"];
    let dry = kept.done(&[&profile[..], &["--dry-run"]].concat());
    assert_eq!(dry["objectiveMet"], true, "{dry:#}");
    assert!(kept.done(&["models", "show", "ridge"])["profile"].is_null());

    let report = kept.done(&profile);
    assert_eq!((&report["model"], &report["objectiveMet"]), (&"ridge:1".into(), &true.into()));
    let shown = kept.done(&["models", "show", "ridge"]);
    assert_eq!((&shown["profile"]["revision"], &shown["profile"]["report"]), (&1.into(), &report));
    let table = kept.command(&["models", "show", "ridge", "-o", "table"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("p50=5s is met: ") && table.contains("recommends   execution="), "{table}");

    // Where the deployment says nothing, the profile does.
    let deployed = kept.done(&["deploy", "ridge", "-e", "house", "--set", "workers=1"]);
    let blue = |endpoint: &Json| endpoint["deployments"][0].clone();
    assert_eq!(blue(&deployed["endpoint"])["profile"], report["recommended"], "{deployed:#}");
    assert_eq!(blue(&deployed["endpoint"])["settings"], serde_json::json!({ "workers": 1 }));

    // One that was not shown to do recommends nothing; nor does a version that was never measured.
    let missed = kept.command(&["profile", "ridge:1", "--slo", "p99=1ns", "--duration", "2s"]);
    assert_eq!(missed.status.code(), Some(4));
    assert_eq!(kept.done(&["models", "show", "ridge"])["profile"]["revision"], 2);
    let deployed = kept.done(&["deploy", "ridge", "-e", "other"]);
    assert!(blue(&deployed["endpoint"])["profile"].is_null(), "{deployed:#}");
    kept.done(&["register", "ridge", &bundled("ridge/1")]);
    let updated = kept.done(&["update", "house/blue", "--model", "ridge:2"]);
    assert!(blue(&updated)["profile"].is_null(), "{updated:#}");
    let back = kept.done(&["rollback", "house"]);
    assert_eq!(blue(&back)["profile"], report["recommended"], "{back:#}");

    let missing = kept.command(&["profile", "rigde", "--aside"]);
    let error = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(3), "{error}");
    assert!(error.contains("rigde") && error.contains("scoria models list"), "{error}");
}
