//! A gRPC client that sends exactly what a test says: messages as bytes, well formed or not.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A server that never answers fails its test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub struct Channel {
    runtime: Runtime,
    sender: SendRequest<Pieces>,
}

/// What came of a call: its answer's messages, and its status.
#[derive(Debug)]
pub struct Outcome {
    pub code: u16,
    pub message: String,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub messages: Vec<Bytes>,
}

/// A call whose messages are sent and read one by one.
pub struct Call<'c> {
    channel: &'c Channel,
    send: Option<mpsc::UnboundedSender<Bytes>>,
    response: Response<Incoming>,
    unread: BytesMut,
}

/// A body that the test writes.
struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A message as it stands in a body.
pub fn framed(message: &[u8]) -> Bytes {
    prefixed(0, message)
}

/// The same, with the byte that says whether it is packed.
pub fn prefixed(packed: u8, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[packed][..], &length, message].concat().into()
}

impl Channel {
    pub fn open(address: SocketAddr) -> Channel {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("the server accepts");
            let (sender, connection) =
                handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("the server speaks HTTP/2");
            tokio::spawn(connection);
            sender
        });
        Channel { runtime, sender }
    }

    /// A call with one message, to its end.
    pub fn call(&self, method: &str, headers: &[(&str, &str)], message: &impl Message) -> Outcome {
        self.call_with(method, headers, &[framed(&message.encode_to_vec())])
    }

    /// A call with a body in these pieces, to its end.
    pub fn call_with(&self, method: &str, headers: &[(&str, &str)], pieces: &[Bytes]) -> Outcome {
        let (send, response) = self.launch(method, headers, pieces);
        drop(send);
        self.answered(None, response).outcome()
    }

    /// A unary call that is answered.
    pub fn ask<R: Message + Default>(&self, method: &str, message: &impl Message) -> R {
        let outcome = self.call(method, &[], message);
        outcome.answer().unwrap_or_else(|| panic!("{method}: {outcome:?}"))
    }

    /// Begins a call, and waits for the answer's headers.
    pub fn begin(&self, method: &str, headers: &[(&str, &str)], pieces: &[Bytes]) -> Call<'_> {
        let (send, response) = self.launch(method, headers, pieces);
        self.answered(Some(send), response)
    }

    fn answered(
        &self,
        send: Option<mpsc::UnboundedSender<Bytes>>,
        response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    ) -> Call<'_> {
        let response = self.block_on(response).expect("an answer");
        Call { channel: self, send, response, unread: BytesMut::new() }
    }

    /// Begins a call and does not wait. What is returned first must live for as long as the call is to.
    pub fn launch(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        pieces: &[Bytes],
    ) -> (mpsc::UnboundedSender<Bytes>, impl Future<Output = hyper::Result<Response<Incoming>>> + use<>) {
        let (send, receive) = mpsc::unbounded_channel();
        pieces.iter().for_each(|piece| send.send(piece.clone()).expect("the body is there"));
        let mut request = Request::post(format!("http://localhost/{method}")).header("te", "trailers");
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.sender.clone().send_request(request.body(Pieces(receive)).expect("a request"));
        (send, response)
    }

    /// Lets a future go on by itself.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(future)
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(async { timeout(PATIENCE, future).await.expect("something happens in time") })
    }
}

impl Call<'_> {
    pub fn send(&self, piece: Bytes) {
        self.send.as_ref().expect("not ended").send(piece).expect("the server reads");
    }

    /// There is no more to send.
    pub fn end(&mut self) {
        self.send = None;
    }

    /// The next message; `None` at the end.
    pub fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = take_message(&mut self.unread) {
                return Some(message);
            }
            let frame = self.channel.block_on(self.response.body_mut().frame())?;
            match frame.expect("the stream goes on").into_data() {
                Ok(data) => self.unread.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().expect("neither data nor trailers");
                    self.response.headers_mut().extend(trailers);
                    return None;
                }
            }
        }
    }

    /// Reads to the end.
    pub fn outcome(mut self) -> Outcome {
        let mut messages = VecDeque::new();
        let headers = self.response.headers().clone();
        while let Some(message) = self.next() {
            messages.push_back(message);
        }
        let trailers = self.response.headers().clone();
        assert_eq!(self.response.status(), 200, "gRPC's status is in the trailers");
        assert_eq!(headers["content-type"], "application/grpc");
        let text = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Outcome {
            code: text("grpc-status").expect("a status").parse().unwrap(),
            message: text("grpc-message").unwrap_or_default(),
            headers,
            messages: messages.into(),
            trailers,
        }
    }
}

/// A whole message, taken off; as it is, packed or not.
fn take_message(unread: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(unread.get(1..5)?.try_into().unwrap()) as usize;
    if unread.len() < 5 + length {
        return None;
    }
    unread.advance(5);
    Some(unread.split_to(length).freeze())
}

impl Outcome {
    /// The only message, if the call succeeded.
    pub fn answer<R: Message + Default>(&self) -> Option<R> {
        (self.code == 0 && self.messages.len() == 1).then(|| R::decode(self.messages[0].clone()).expect("a message"))
    }

    /// The stable code of the failure.
    pub fn error_code(&self) -> &str {
        self.trailers.get("x-scoria-error-code").map_or("", |value| value.to_str().unwrap())
    }
}
