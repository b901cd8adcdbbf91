//! Swaps a model for another under load, many times over, and says what became of the requests.
//!
//! `cargo run --release --example swaps -- SCORIA [SWAPS] [REQUESTS]` starts the program at the path SCORIA on a registry of its own,
//! and ends when both numbers are reached (default: 1,000 and 1,000,000). Every answer has to be of one version whole.

#![allow(clippy::print_stdout, reason = "its figures are for whoever runs it")]
#![allow(clippy::unwrap_used, reason = "it ends where it finds something wrong")]

#[path = "../tests/support/onnx.rs"]
#[allow(dead_code, reason = "written for tests, which use all of it")]
mod onnx;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use onnx::{Constant, Model, Node, tensor};
use parking_lot::Mutex;
use scoria::tensor::DType;

const CLIENTS: usize = 4;
const BODY: &str = r#"{"data": [[1, 2]]}"#;
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions to the admin port.
const PAUSE: Duration = Duration::from_millis(2);

/// What clients share.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    is_swapping: AtomicBool,
    answered: AtomicU64,
    /// The number of answers that the main thread waits for.
    due: AtomicU64,
    wrong: AtomicU64,
}

impl Tally {
    /// Counts an answer, and wakes the main thread if it is the last that was due.
    fn count(&self, main: &Thread) {
        if self.answered.fetch_add(1, Ordering::SeqCst) + 1 == self.due.load(Ordering::SeqCst) {
            main.unpark();
        }
    }

    /// Keeps the main thread, asleep, until so many were answered: awake, it would take a core from what is measured.
    fn wait_for(&self, due: u64) {
        self.due.store(due, Ordering::SeqCst);
        while self.answered.load(Ordering::SeqCst) < due {
            thread::park();
        }
    }
}

/// The server, which ends with whoever started it, by whatever way.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Has the clients end, by whatever way their maker does.
struct Stop<'a>(&'a Tally);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Latencies in microseconds: while nothing changes, and from a change until it is through.
struct Latencies {
    quiet: Histogram<u64>,
    swapping: Histogram<u64>,
}

/// `a` and `b`, both the model's version.
fn versioned(version: f32) -> Model {
    let kind = || tensor(DType::F32, "N,2");
    let model = Model::new().input("x", kind()).output("a", kind()).output("b", kind());
    let model =
        model.constant("zero", Constant::f32(&[1], &[0.0])).constant("version", Constant::f32(&[1], &[version]));
    let model = model.node(Node::new("Mul", &["x", "zero"], &["nothing"]));
    let model = model.node(Node::new("Add", &["nothing", "version"], &["a"]));
    model.node(Node::new("Add", &["version", "nothing"], &["b"]))
}

fn scoria(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).arg("--state-dir").arg(folder.join("state"));
    command
}

fn run(program: &str, folder: &Path, arguments: &[&str]) {
    let output = scoria(program, folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts the server; gives it with its two addresses.
fn serve(program: &str, folder: &Path) -> (Server, String, String) {
    let flags = ["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--auth=none", "--log-level=warn"];
    let mut child =
        scoria(program, folder, &flags).arg("--registry-poll-interval-ms=20").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        text += &line.unwrap();
        text.push('\n');
        if text.contains("admin    http") {
            break;
        }
    }
    let address = |mark: &str| text.split(mark).nth(1).unwrap().split('/').next().unwrap().to_owned();
    (Server(child), address("ready  http://"), address("admin    http://"))
}

/// One request on a connection; the answer's body.
fn ask(stream: &mut BufReader<TcpStream>, head: &str, body: &str) -> (u16, Vec<u8>) {
    stream
        .get_mut()
        .write_all(
            format!("{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        )
        .unwrap();
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the connection was closed");
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = lower.strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap();
        } else if lower.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, body)
}

fn connect(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

fn client(address: &str, main: &Thread, tally: &Tally, all: &Mutex<Latencies>) {
    let mut stream = connect(address);
    let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
    let mut own = Latencies { quiet: histogram(), swapping: histogram() };
    while !tally.stop.load(Ordering::Relaxed) {
        let began_in_swap = tally.is_swapping.load(Ordering::Relaxed);
        let started = Instant::now();
        let (status, body) = ask(&mut stream, "POST /api/v1/service/e/score", BODY);
        let took_us = started.elapsed().as_micros() as u64;
        let whole = [&b"{\"a\":[[1.0,1.0]],\"b\":[[1.0,1.0]]}"[..], b"{\"a\":[[2.0,2.0]],\"b\":[[2.0,2.0]]}"];
        if status != 200 || !whole.contains(&body.as_slice()) {
            tally.wrong.fetch_add(1, Ordering::Relaxed);
            eprintln!("{status}: {}", String::from_utf8_lossy(&body));
        }
        tally.count(main);
        let histogram = if began_in_swap { &mut own.swapping } else { &mut own.quiet };
        histogram.saturating_record(took_us);
    }
    let mut all = all.lock();
    all.quiet.add(own.quiet).unwrap();
    all.swapping.add(own.swapping).unwrap();
}

/// Waits until the admin port says that nothing but this version is there.
fn wait_for(admin: &mut BufReader<TcpStream>, version: u64) {
    let deadline = Instant::now() + PATIENCE;
    let wanted = format!(r#""states":[{{"deployment":"blue","model":"m:{version}","state":"ready"}}]"#);
    loop {
        let (_, body) = ask(admin, "GET /api/v1/service/e", "");
        if String::from_utf8_lossy(&body).contains(&wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "version {version} never came: {}", String::from_utf8_lossy(&body));
        // Asking without a pause would take a core from those that are measured.
        thread::park_timeout(PAUSE);
    }
}

fn resident_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().expect("name the program: swaps SCORIA [SWAPS] [REQUESTS]");
    let mut number = |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (swaps, requests) = (number(1_000), number(1_000_000));
    let folder = std::env::temp_dir().join(format!("scoria-swaps-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("m.onnx");
    for version in [1.0, 2.0] {
        versioned(version).write(&file);
        run(&program, &folder, &["register", "m", file.to_str().unwrap()]);
    }
    run(&program, &folder, &["deploy", "m:1", "--endpoint", "e"]);
    let (server, scoring, admin) = serve(&program, &folder);
    let mut admin = connect(&admin);
    wait_for(&mut admin, 1);

    let tally = Tally::default();
    let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
    let all = Mutex::new(Latencies { quiet: histogram(), swapping: histogram() });
    let (begun, mut early_kib, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let main = thread::current();
    thread::scope(|scope| {
        let _stop = Stop(&tally);
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&scoring, &main, &tally, &all));
        }
        for swap in 1..=swaps {
            let version = 1 + swap % 2;
            let started = Instant::now();
            let before = tally.answered.load(Ordering::Relaxed);
            tally.is_swapping.store(true, Ordering::Relaxed);
            run(&program, &folder, &["update", "e/blue", "--model", &format!("m:{version}")]);
            wait_for(&mut admin, version);
            tally.is_swapping.store(false, Ordering::Relaxed);
            slowest = slowest.max(started.elapsed());
            if swap == swaps.min(20) {
                early_kib = resident_kib(&server.0);
            }
            // As many requests in quiet as during the change, and in the end all that were asked for.
            let after = tally.answered.load(Ordering::Relaxed);
            tally.wait_for((2 * after - before).max(requests * swap / swaps));
        }
    });
    let took = begun.elapsed();
    let late_kib = resident_kib(&server.0);
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();

    let (answered, wrong) = (tally.answered.into_inner(), tally.wrong.into_inner());
    let latencies = all.into_inner();
    println!(
        "{swaps} swaps, {answered} requests in {:.0} s; lost, refused or of two versions: {wrong}",
        took.as_secs_f64()
    );
    for (what, histogram) in [("quiet", &latencies.quiet), ("during a change", &latencies.swapping)] {
        let at = |quantile| histogram.value_at_quantile(quantile);
        println!(
            "{what:>16}: {} requests, p50 {} µs, p99 {} µs, max {} µs",
            histogram.len(),
            at(0.5),
            at(0.99),
            histogram.max()
        );
    }
    println!(
        "slowest change: {} ms; resident: {early_kib} KiB after 20 swaps, {late_kib} KiB in the end",
        slowest.as_millis()
    );
    assert_eq!(wrong, 0, "some requests were not answered as they have to be");
}
