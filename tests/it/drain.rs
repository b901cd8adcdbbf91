//! Ending in order.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::client::Connection;
use crate::server::{bundled, read_key};
use crate::support::Folder;

/// The real binary, with its banner read.
pub struct Process {
    child: Child,
    pub banner: String,
    folder: Folder,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Process {
        let folder = Folder::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_scoria"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--engine", "tract"])
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
        let mut banner = String::new();
        while !banner.contains("admin    http") {
            banner += &lines.next().expect("the banner ends with the admin line").expect("standard output is text");
            banner.push('\n');
        }
        Process { child, banner, folder }
    }

    pub fn address(&self, marker: &str) -> SocketAddr {
        let rest = self.banner.split(marker).nth(1).expect("the banner has the address");
        rest.split('/').next().expect("an address ends at a slash").parse().expect("an address")
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Its exit code and what it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("the process ends");
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("the log is text");
        (status.code(), log)
    }
}

#[test]
fn sigterm_says_not_ready_then_finishes_and_exits_0() {
    let ridge = bundled("ridge");
    let process = Process::start(&[ridge.to_str().unwrap(), "--drain-delay-ms", "400"]);
    let (scoring, admin) = (process.address("score  http://"), process.address("admin    http://"));
    let key = read_key(&process.folder.path().join("state/keys/ridge.primary.key"));
    assert!(process.banner.contains("curl -s"), "{}", process.banner);
    let mut client = Connection::open(scoring);
    let mut probe = Connection::open(admin);
    assert_eq!(probe.request("GET", "/readyz", &[], b"").status, 200);

    process.signal("TERM");
    // Readiness changes at once; until it has, nothing is known of when the signal arrived.
    while probe.request("GET", "/readyz", &[], b"").status == 200 {}
    let authorization = format!("Bearer {key}");
    let body = br#"{"data": [[1,2,3,4,5,6,7,8,9,10]]}"#;
    let mut late = Connection::open(scoring);
    for connection in [&mut client, &mut late] {
        let answer = connection.request("POST", "/score", &[("authorization", &authorization)], body);
        assert_eq!(answer.status, 200, "requests are answered during the drain delay");
    }
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#""message":"stopped""#), "a log that is no terminal is JSON: {log}");
    assert!(!log.contains(&key[7..]), "the log holds a key");
    assert!(client.is_closed());
}

#[test]
fn sigint_does_not_wait() {
    let ridge = bundled("ridge");
    let process = Process::start(&[ridge.to_str().unwrap(), "--drain-delay-ms", "3600000"]);
    process.signal("INT");
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn a_wrong_command_line_is_code_2_and_a_missing_model_code_1() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_scoria")).args(arguments).output().expect("the binary runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("messages are text"))
    };
    let (code, message) = run(&["serve"]);
    assert_eq!((code, message.contains("scoria serve model.onnx")), (Some(2), true), "{message}");
    let (code, message) = run(&["serve", "x.onnx", "--max-body-bytes", "lots"]);
    assert_eq!((code, message.contains("expected a whole number")), (Some(2), true), "{message}");
    let (code, message) = run(&["serve", "--max-body-byte", "1", "x.onnx"]);
    assert_eq!((code, message.contains("--max-body-bytes")), (Some(2), true), "{message}");
    let (code, message) = run(&["serve", "/nowhere/x.onnx", "--engine", "tract"]);
    assert_eq!((code, message.contains("/nowhere/x.onnx")), (Some(1), true), "{message}");
    let (code, message) = run(&["serve", "--listen", "0.0.0.0:0", "--auth", "none", "x.onnx"]);
    assert_eq!((code, message.contains("insecure_no_auth")), (Some(2), true), "{message}");
}
