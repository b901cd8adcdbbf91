//! Bearer keys: how they are made, kept and compared.
//!
//! A key is 256 random bits. The server keeps SHA-256 digests only and compares them in constant time; the key itself exists
//! in the file that hands it to its owner, which the server never reads. SHA-256 without salt or stretching suffices: there
//! is nothing to guess in 256 random bits, and a slow hash would be an invitation to exhaust the server.

mod key;
mod key_ring;
mod key_store;
mod watched_ring;

pub use key::{Key, KeyDigest};
pub use key_ring::{KeyRing, Slot};
pub use key_store::{KeyStore, KeyStoreError, Ring};
pub use watched_ring::WatchedRing;

#[cfg(test)]
mod tests;
