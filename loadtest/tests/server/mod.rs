//! Servers for the tests, each on a thread and a port of its own, for as long as it is held.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A server, which ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    bodies: RwLock<Vec<Bytes>>,
    connections: AtomicUsize,
}

impl Server {
    /// Runs what `serve` makes of a listener.
    pub fn start<F: Future<Output = ()>>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> Server {
        let (bound, address) = mpsc::channel();
        let (end, ends) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener) => {}
                    _ = ends => {}
                }
            });
        });
        Server { address: address.recv().unwrap(), seen: Arc::default(), end: Some(end), thread: Some(thread) }
    }

    /// Speaks HTTP, either version: `answer` gets each body and gives the status.
    pub fn http<F>(answer: impl Fn(Bytes) -> F + Send + Sync + 'static) -> Server
    where
        F: Future<Output = u16> + Send + 'static,
    {
        let seen = Arc::<Seen>::default();
        let answer = Arc::new(answer);
        let mut server = Server::start({
            let seen = Arc::clone(&seen);
            move |listener| async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    seen.connections.fetch_add(1, Ordering::Relaxed);
                    let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                        async move {
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            seen.bodies.write().unwrap().push(body.clone());
                            let status = answer(body).await;
                            let text = Full::new(Bytes::from(format!("answered {status}")));
                            Ok::<_, Infallible>(Response::builder().status(status).body(text).unwrap())
                        }
                    });
                    tokio::spawn(async move {
                        drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
                    });
                }
            }
        });
        server.seen = seen;
        server
    }

    /// Has a conversation in bytes on each connection, which ends with it.
    pub fn raw<F>(converse: impl Fn(Conversation) -> F + Send + 'static) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Server::start(move |listener| async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(Conversation { stream }));
            }
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}/score", self.address)
    }

    /// The bodies that have come, in order.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.seen.bodies.read().unwrap().clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has failed the test by what it did not answer.
            drop(thread.join());
        }
    }
}

/// One connection, in bytes.
pub struct Conversation {
    stream: TcpStream,
}

impl Conversation {
    /// Reads a head, byte by byte so as not to take anything of the body, and gives it.
    pub async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a head and its body.
    pub async fn read_request(&mut self) {
        let head = self.read_head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        // A client that leaves early ends the conversation as well.
        drop(self.stream.read_exact(&mut body).await);
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    pub async fn until_client_leaves(&mut self) {
        let mut rest = [0; 65536];
        while matches!(self.stream.read(&mut rest).await, Ok(read) if read > 0) {}
    }
}
