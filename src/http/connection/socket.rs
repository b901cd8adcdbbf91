//! A connection's socket, which another thread can ask whether its client is still there.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::client::Connected;

/// The socket. Only its connection reads and writes it, so that the lock is free unless somebody asks.
#[derive(Debug)]
pub(super) struct Socket(Arc<Mutex<TcpStream>>);

/// The client at the other end. It does not keep the socket open: what the socket wakes holds it.
#[derive(Debug)]
pub(super) struct Peer(Weak<Mutex<TcpStream>>);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Socket {
        Socket(Arc::new(Mutex::new(stream)))
    }

    pub(super) fn peer(&self) -> Peer {
        Peer(Arc::downgrade(&self.0))
    }
}

impl Connected for Peer {
    fn has_left(&self) -> bool {
        let Some(stream) = self.0.upgrade() else { return true };
        // Whoever is reading or writing it at this moment will find out.
        let Some(stream) = stream.try_lock() else { return false };
        let mut byte = [0];
        match recv(&*stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, count)) => count == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_client_is_there_until_it_has_closed_and_all_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::new(listener.accept().await.unwrap().0);
        let peer = socket.peer();
        assert!(!peer.has_left(), "it says nothing");
        client.write_all(b"ab").await.unwrap();
        drop(client);
        let mut word = [0];
        for _ in 0..2 {
            assert!(!peer.has_left(), "something is unread");
            socket.read_exact(&mut word).await.unwrap();
        }
        assert_eq!(socket.read(&mut word).await.unwrap(), 0);
        assert!(peer.has_left());
        let at_it = socket.0.lock();
        assert!(!peer.has_left(), "its connection will find out");
        drop(at_it);
        drop(socket);
        assert!(peer.has_left());
    }
}
