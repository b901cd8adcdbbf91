//! Noticing that certificate files have changed.
//!
//! The files are read every few seconds and compared by what they hold. That sees whatever a change looks like from outside: a
//! file written in place, one renamed over it, a symbolic link to a folder exchanged as Kubernetes does it; and it needs no
//! event that a network file system might not send.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use super::{Occasion, Tls};

/// A thread that looks at the files of some ports until this is dropped.
#[derive(Debug)]
pub struct Watch {
    _stop: SyncSender<()>,
}

impl Watch {
    /// Looks at the files of `ports` once in `interval`.
    pub fn start(ports: Vec<Arc<Tls>>, interval: Duration) -> io::Result<Watch> {
        // Nothing is ever sent; that nobody could any more is the message.
        let (stop, stopped) = mpsc::sync_channel(0);
        // A thread of its own, because a file may lie on a disk that is slow or gone.
        thread::Builder::new().name("scoria-tls".to_owned()).spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                for port in &ports {
                    port.reload(Occasion::Look);
                }
            }
        })?;
        Ok(Watch { _stop: stop })
    }
}
