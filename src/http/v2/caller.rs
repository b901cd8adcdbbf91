//! Who asks, on the routes that are not an endpoint's scoring: the operator, a client with an endpoint's key, or nobody known.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, ORIGIN};

use crate::auth::{KeyDigest, KeyRing};
use crate::deployment::{Endpoint, RoutingTable};
use crate::error::ErrorKind;
use crate::http::error::ApiError;
use crate::http::score::bearer;

/// Who may administer by way of the scoring port.
#[derive(Clone, Copy, Debug, Default)]
pub enum AdminAccess {
    #[default]
    Nobody,
    /// The server runs without keys.
    Everyone,
    Keys(KeyRing),
}

/// One who asks.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    Administrator,
    /// A page in a browser, where no key is asked for: its user has not asked for what it does.
    Page,
    /// Some endpoint's key, or one that is not known here.
    Key(KeyDigest),
    Nobody,
}

impl Caller {
    /// Told by the key in the headers, if there is one.
    pub fn of(headers: &HeaderMap, access: &AdminAccess) -> Result<Caller, ApiError> {
        if matches!(access, AdminAccess::Everyone) {
            return Ok(if headers.contains_key(ORIGIN) { Caller::Page } else { Caller::Administrator });
        }
        if !headers.contains_key(AUTHORIZATION) {
            return Ok(Caller::Nobody);
        }
        let digest = KeyDigest::of(bearer(headers)?);
        let is_admin = matches!(access, AdminAccess::Keys(ring) if ring.find(&digest).is_some());
        Ok(if is_admin { Caller::Administrator } else { Caller::Key(digest) })
    }

    /// Whether this one may see what belongs to the endpoint.
    pub fn may_see(&self, endpoint: &Endpoint) -> bool {
        match (self, &endpoint.keys) {
            (Caller::Administrator, _) | (_, None) => true,
            (Caller::Key(digest), Some(keys)) => keys.knows(digest),
            (Caller::Page | Caller::Nobody, Some(_)) => false,
        }
    }

    /// Refuses whoever may not see the endpoint.
    pub fn check_sees(&self, endpoint: &Endpoint, table: &RoutingTable) -> Result<(), ApiError> {
        if self.may_see(endpoint) {
            return Ok(());
        }
        Err(match self {
            Caller::Key(digest) if table.knows_key(digest) => {
                ApiError::new(ErrorKind::Forbidden, "wrong_endpoint", "this key is for another model")
            }
            Caller::Key(_) => unknown_key(),
            Caller::Page | Caller::Nobody | Caller::Administrator => key_required("this model needs a key"),
        })
    }

    /// Refuses whoever has no key of this server.
    pub fn check_known(&self, table: &RoutingTable) -> Result<(), ApiError> {
        match self {
            Caller::Administrator => Ok(()),
            Caller::Key(digest) if table.knows_key(digest) => Ok(()),
            Caller::Key(_) => Err(unknown_key()),
            Caller::Page => Err(cross_origin()),
            Caller::Nobody => Err(key_required("this needs a key")),
        }
    }

    /// Refuses whoever is not the operator.
    pub fn check_administers(&self, table: &RoutingTable) -> Result<(), ApiError> {
        match self {
            Caller::Administrator => Ok(()),
            Caller::Key(digest) if table.knows_key(digest) => Err(ApiError::new(
                ErrorKind::Forbidden,
                "admin_key_required",
                "this key is for scoring; the server is changed with the admin key",
            )),
            Caller::Key(_) => Err(unknown_key()),
            Caller::Page => Err(cross_origin()),
            Caller::Nobody => Err(key_required("this needs the server's admin key")),
        }
    }
}

fn cross_origin() -> ApiError {
    let message = "pages in a browser cannot change a server that asks for no key";
    ApiError::new(ErrorKind::Forbidden, "cross_origin", message)
}

fn unknown_key() -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, "unknown_key", "the key is not known here")
}

fn key_required(message: &str) -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, "key_required", message).with_expected("Authorization: Bearer <key>")
}
