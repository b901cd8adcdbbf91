//! The two keys of an endpoint, as they are stored: digests only, in a log of their own, so that no rollback revives a key.

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::moment::Moment;

/// Both keys of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointKeys {
    pub primary: StoredKey,
    pub secondary: StoredKey,
}

/// One key, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// A short public name, to tell keys apart in lists and logs.
    pub id: String,
    pub sha256: Digest,
    pub created: Moment,
}
