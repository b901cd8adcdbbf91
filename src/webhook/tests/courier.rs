use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Heard, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::telemetry::Metrics;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Long enough for anything that happens, and the end of a test in which it does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver that hears requests and gives the answers that it is told to, one a connection; then 200.
struct Server {
    url: String,
    heard: Heard<String>,
}

impl Server {
    fn start(answers: &[&'static str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks/T0K3N?x=1", listener.local_addr().unwrap());
        let (tell, heard) = channel();
        let answers = answers.to_vec();
        thread::spawn(move || {
            let later = std::iter::repeat("200 OK");
            for (stream, answer) in listener.incoming().zip(answers.into_iter().chain(later)) {
                let Ok(stream) = stream else { return };
                answer_once(stream, answer, &tell);
            }
        });
        Server { url, heard }
    }

    fn next(&self) -> String {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    fn webhooks(&self, folder: &Folder, kinds: &[EventKind]) -> Webhooks {
        let retry = Retry { first: Duration::from_millis(1), ..Retry::default() };
        let receiver = Receiver::new(&self.url, secret(), kinds.iter().copied().collect()).unwrap();
        Webhooks::start(&folder.0, vec![receiver], Duration::from_secs(5), retry, &metrics()).unwrap()
    }
}

fn answer_once(mut stream: TcpStream, answer: &str, tell: &Sender<String>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        let length = header(&text, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    // Nobody listens any more once a test has seen what it wanted.
    drop(tell.send(String::from_utf8(request).unwrap()));
    if answer != "none" {
        drop(write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    }
}

fn header(request: &str, name: &str) -> Option<String> {
    let mut lines = request.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn metrics() -> Metrics {
    Metrics::new("0").unwrap()
}

fn secret() -> Secret {
    Secret::parse(SECRET).unwrap()
}

fn event(kind: EventKind, number: &str) -> Event {
    let source = "/endpoints/ridge".to_owned();
    Event::new(kind, source, number, "ridge:5".to_owned(), Moment::from_seconds(1_700_000_000), json!({"n": 1}))
}

#[test]
fn a_message_is_signed_and_sent_until_it_is_taken() {
    let folder = Folder::new("retry");
    let server =
        Server::start(&["500 Oops", "none", "307 Elsewhere\r\nLocation: http://127.0.0.1:1/", "204 No Content"]);
    let webhooks = server.webhooks(&folder, &EventKind::ALL);
    let event = event(EventKind::ModelDeployed, "12");
    webhooks.post(&event, Moment::now());
    let tries: Vec<String> = (0..4).map(|_| server.next()).collect();
    for request in &tries {
        assert!(request.starts_with("POST /hooks/T0K3N?x=1 HTTP/1.1\r\n"), "{request}");
        let of = |name: &str| header(request, name).unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!((body, of(ID_HEADER)), (event.body().as_str(), event.id.clone()));
        assert_eq!(of("content-type"), "application/cloudevents+json; charset=utf-8");
        let at = Moment::from_seconds(of(TIMESTAMP_HEADER).parse().unwrap());
        let message = (event.id.as_str(), at, of(SIGNATURE_HEADER));
        let window = (Moment::now(), Duration::from_secs(300));
        verify(&secret(), (message.0, message.1, &message.2), body, window).unwrap();
    }
    // The next one comes after the first one has left the outbox.
    webhooks.post(&self::event(EventKind::RolledBack, "13"), Moment::now());
    assert!(server.next().contains("endpoints.ridge.13.RolledBack"));
}

#[test]
fn only_the_kinds_that_are_wanted_are_sent() {
    let folder = Folder::new("kinds");
    let server = Server::start(&[]);
    let webhooks = server.webhooks(&folder, &[EventKind::RolledBack]);
    webhooks.post(&event(EventKind::ModelDeployed, "1"), Moment::now());
    webhooks.post(&event(EventKind::RolledBack, "2"), Moment::now());
    assert!(server.next().contains("endpoints.ridge.2.RolledBack"));
}

#[test]
fn what_a_dead_receiver_has_not_taken_is_sent_after_a_restart() {
    let folder = Folder::new("restart");
    let server = Server::start(&[]);
    let kinds = EventKind::ALL.into_iter().collect();
    let retry = Retry { first: Duration::from_secs(3_600), longest: Duration::from_secs(3_600), ..Retry::default() };
    let nobody = Receiver::new("http://127.0.0.1:1/hook", secret(), kinds).unwrap();
    // Both receivers' messages lie where the address says; the second start has the address of one who listens.
    let dead = Webhooks::start(&folder.0, vec![nobody.clone()], Duration::from_secs(5), retry, &metrics()).unwrap();
    (0..3).for_each(|n| dead.post(&event(EventKind::ModelDeployed, &n.to_string()), Moment::now()));
    assert_eq!(dead.waiting(), 3);
    drop(dead);
    let again = Webhooks::start(&folder.0, vec![nobody], Duration::from_secs(5), retry, &metrics()).unwrap();
    assert_eq!(again.waiting(), 3, "a restart loses none");
    drop(again);

    let stopped = server.webhooks(&folder, &EventKind::ALL);
    drop(stopped);
    let place = std::fs::read_dir(folder.0.join("0")).unwrap().map(|entry| entry.unwrap().path());
    let (full, empty): (Vec<_>, Vec<_>) = place.partition(|path| std::fs::read_dir(path).unwrap().count() > 1);
    std::fs::read_dir(&full[0]).unwrap().map(|entry| entry.unwrap().path()).for_each(|path| {
        std::fs::copy(&path, empty[0].join(path.file_name().unwrap())).unwrap();
    });
    let _alive = server.webhooks(&folder, &EventKind::ALL);
    for n in 0..3 {
        assert!(server.next().contains(&format!("endpoints.ridge.{n}.ModelDeployed")));
    }
}

#[test]
fn a_message_that_is_too_old_or_unwanted_makes_way() {
    let folder = Folder::new("old");
    let server = Server::start(&["500 Oops", "410 Gone"]);
    let webhooks = server.webhooks(&folder, &EventKind::ALL);
    webhooks.post(&event(EventKind::ModelDeployed, "old"), Moment::from_seconds(1));
    webhooks.post(&event(EventKind::ModelDeployed, "unwanted"), Moment::now());
    webhooks.post(&event(EventKind::ModelDeployed, "new"), Moment::now());
    for id in ["old", "unwanted", "new"] {
        assert!(server.next().contains(&format!("endpoints.ridge.{id}.ModelDeployed")));
    }
}

#[test]
fn what_becomes_of_messages_is_counted_by_event() {
    let folder = Folder::new("counts");
    let server = Server::start(&["503 Busy", "200 OK", "410 Gone"]);
    let retry = Retry { first: Duration::from_millis(1), ..Retry::default() };
    let receiver = |url: &str| Receiver::new(url, secret(), EventKind::ALL.into_iter().collect()).unwrap();
    let start = |url: &str, metrics: &Metrics| {
        Webhooks::start(&folder.0, vec![receiver(url)], Duration::from_secs(5), retry, metrics).unwrap()
    };
    let metrics = metrics();
    let webhooks = start(&server.url, &metrics);
    webhooks.post(&event(EventKind::ModelDeployed, "1"), Moment::now());
    webhooks.post(&event(EventKind::RolledBack, "2"), Moment::now());
    (0..3).for_each(|_| drop(server.next()));
    let (deployed, back) = (metrics.webhook("ModelDeployed"), metrics.webhook("RolledBack"));
    let deadline = Instant::now() + PATIENCE;
    // Answers are on their way when they have been given.
    while back.failed.get() == 0 || back.waiting.get() != 0 {
        assert!(Instant::now() < deadline, "the last answer never came");
        thread::yield_now();
    }
    assert_eq!((deployed.refused.get(), deployed.sent.get(), deployed.waiting.get()), (1, 1, 0));
    assert_eq!((back.refused.get(), back.sent.get(), back.failed.get(), back.dropped.get()), (0, 0, 1, 0));

    // What waits at a start is known from the beginning.
    let nobody = "http://127.0.0.1:1/hook";
    let dead = start(nobody, &metrics);
    (0..3).for_each(|n| dead.post(&event(EventKind::ModelRegistered, &n.to_string()), Moment::now()));
    assert_eq!(metrics.webhook("ModelRegistered").waiting.get(), 3);
    drop(dead);
    let later = self::metrics();
    let _again = start(nobody, &later);
    assert_eq!(later.webhook("ModelRegistered").waiting.get(), 3);
}

#[test]
fn addresses_are_checked_and_not_shown() {
    let receiver = |url: &str| Receiver::new(url, secret(), EventKind::ALL.into_iter().collect());
    for url in ["", "ftp://a/", "http:", "https://user:pass@a/", "http://user@a/", "a/b"] {
        assert!(receiver(url).is_err(), "{url}");
    }
    assert_eq!(format!("{:?}", receiver("https://hooks.example/T0K3N").unwrap()), "Receiver(https://hooks.example)");
    let shown = receiver("https+x://hooks.example/a/very/long/T0K3N").unwrap_err().to_string();
    assert!(!shown.contains("T0K3N"), "{shown}");
}
