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
    /// That nobody could ask any more is the end.
    asked: SyncSender<()>,
}

impl Watch {
    /// Looks at the files of `ports` once in `interval`.
    pub fn start(ports: Vec<Arc<Tls>>, interval: Duration) -> io::Result<Watch> {
        let (asked, asking) = mpsc::sync_channel(1);
        // A thread of its own, because a file may lie on a disk that is slow or gone.
        thread::Builder::new().name("scoria-tls".to_owned()).spawn(move || {
            loop {
                let occasion = match asking.recv_timeout(interval) {
                    Ok(()) => Occasion::Asked,
                    Err(RecvTimeoutError::Timeout) => Occasion::Look,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                for port in &ports {
                    port.reload(occasion);
                }
            }
        })?;
        Ok(Watch { asked })
    }

    /// Has the files read now, whether they seem to have changed or not. Does not wait for it.
    pub fn ask(&self) {
        // A thread that has been asked already, or hangs at a file, will read what is there then.
        let _ = self.asked.try_send(());
    }
}
