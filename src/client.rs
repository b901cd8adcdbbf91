//! The client of the request that is being served, for a thread that has to know whether it is still there.
//!
//! While a model is run on the thread that serves a connection, nobody reads from that connection, and so nobody notices that its
//! client leaves. The connection says how to find out, and whoever runs the model takes it along.

use std::fmt;
use std::sync::Arc;

tokio::task_local! {
    static CLIENT: Option<Client>;
}

/// A client, as others than its connection see it.
#[derive(Clone)]
pub struct Client(Arc<dyn Connected>);

/// A connection that knows whether its client is there.
pub trait Connected: Send + Sync {
    /// Whether it has closed the connection and everything that it sent has been read. Does not wait. A client that cannot be seen
    /// at the moment is there.
    fn has_left(&self) -> bool;
}

impl Client {
    pub fn new(connected: impl Connected + 'static) -> Client {
        Client(Arc::new(connected))
    }

    pub fn has_left(&self) -> bool {
        self.0.has_left()
    }

    /// The client whose request this task serves, if its connection can tell.
    pub fn of_request() -> Option<Client> {
        CLIENT.try_with(Option::clone).ok().flatten()
    }

    /// Serves a request of `client`. No `async fn`: that would hold the request's future twice.
    pub fn serving<F: Future>(client: Option<Client>, request: F) -> impl Future<Output = F::Output> {
        CLIENT.scope(client, request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(bool);

    impl Connected for Gone {
        fn has_left(&self) -> bool {
            self.0
        }
    }

    #[tokio::test]
    async fn a_request_knows_its_client_and_other_tasks_do_not() {
        for gone in [false, true] {
            let client = Some(Client::new(Gone(gone)));
            let seen = Client::serving(client, async { Client::of_request().map(|client| client.has_left()) }).await;
            assert_eq!(seen, Some(gone));
        }
        assert!(Client::of_request().is_none());
        assert!(Client::serving(None, async { Client::of_request().is_none() }).await);
    }
}
