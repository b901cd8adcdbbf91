//! What a request id says of who answered: the endpoint's revision and the deployment, so that any replica can count what became
//! of the request.
//!
//! A made id is a UUID. Once the deployment is known its last group becomes the tag, and its version 8 ("custom", RFC 9562,
//! section 5.8): 20 bits of the revision, 16 that tell the endpoint's deployments apart, and 12 over everything, by which ids of
//! other endpoints and of clients' own making are known. It is no signature: who can report holds the endpoint's key.

use crate::name::Name;
use crate::splitmix::{fnv1a, mix};

/// Bytes of a UUID's text, and where its version and its last group are.
pub const ID_BYTES: usize = 36;
const VERSION_AT: usize = 14;
const TAG_AT: usize = 24;

const REVISION_BITS: u32 = 20;
const CHECK_BITS: u32 = 12;

/// What an id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTag {
    pub revision: u64,
    /// Of the deployment's name; see [`RequestTag::is_of`].
    deployment: u16,
}

impl RequestTag {
    /// The tag of what this deployment answers; `None` of a revision that does not fit, after a million of them.
    pub fn new(revision: u64, deployment: &Name) -> Option<RequestTag> {
        (revision < 1 << REVISION_BITS).then(|| RequestTag { revision, deployment: fold(deployment) })
    }

    pub fn is_of(self, deployment: &Name) -> bool {
        self.deployment == fold(deployment)
    }

    /// Puts the tag into the text of a UUID.
    pub fn put(self, id: &mut [u8; ID_BYTES], endpoint: &Name) {
        id[VERSION_AT] = b'8';
        let bits = self.revision << 16 | u64::from(self.deployment);
        let tag = bits << CHECK_BITS | check(id, bits, endpoint);
        for (index, digit) in id[TAG_AT..].iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(tag >> (44 - 4 * index) & 0xf) as usize];
        }
    }

    /// Reads the tag of an id that was made for this endpoint.
    pub fn read(id: &str, endpoint: &Name) -> Option<RequestTag> {
        let text: &[u8; ID_BYTES] = id.as_bytes().try_into().ok()?;
        let digits = id.get(TAG_AT..).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        let tag = u64::from_str_radix(digits, 16).ok()?;
        let bits = tag >> CHECK_BITS;
        let is_ours = text[VERSION_AT] == b'8' && tag & ((1 << CHECK_BITS) - 1) == check(text, bits, endpoint);
        is_ours.then_some(RequestTag { revision: bits >> 16, deployment: bits as u16 })
    }
}

/// Over the tag, the rest of the id and the endpoint.
fn check(id: &[u8; ID_BYTES], bits: u64, endpoint: &Name) -> u64 {
    let word = |at: usize| id[at..at + 8].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let mixed = [word(0), word(8), word(16), bits]
        .into_iter()
        .fold(fnv1a(endpoint.as_str().as_bytes(), 0), |sum, word| mix(sum ^ word));
    mixed >> (64 - CHECK_BITS)
}

fn fold(deployment: &Name) -> u16 {
    (mix(fnv1a(deployment.as_str().as_bytes(), 0)) >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn tagged(tag: RequestTag, endpoint: &str) -> String {
        let mut id = *b"1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        tag.put(&mut id, &name(endpoint));
        String::from_utf8(id.to_vec()).unwrap()
    }

    #[test]
    fn a_tag_comes_back_from_a_uuid() {
        for revision in [0, 1, 12, (1 << 20) - 1] {
            for deployment in ["blue", "green", "v5"].map(name) {
                let tag = RequestTag::new(revision, &deployment).unwrap();
                let id = tagged(tag, "ridge");
                assert_eq!(RequestTag::read(&id, &name("ridge")), Some(tag), "{id}");
                assert!(id.starts_with("1b4e28ba-2fa1-81d2-883f-") && id.len() == ID_BYTES, "{id}");
                assert!(tag.is_of(&deployment) && !tag.is_of(&name("red")));
            }
        }
        assert_eq!(RequestTag::new(1 << 20, &name("blue")), None);
    }

    #[test]
    fn ids_of_others_are_not_taken_for_ours() {
        let id = tagged(RequestTag::new(12, &name("blue")).unwrap(), "ridge");
        assert_eq!(RequestTag::read(&id, &name("wine")), None);
        for other in ["", "mine", "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "1b4e28ba-2fa1-81d2-883f-0016d3cca42\u{e9}"] {
            assert_eq!(RequestTag::read(other, &name("ridge")), None, "{other}");
        }
        let changed = (TAG_AT..ID_BYTES).filter(|at| {
            let mut id = id.clone().into_bytes();
            id[*at] = if id[*at] == b'0' { b'1' } else { b'0' };
            RequestTag::read(std::str::from_utf8(&id).unwrap(), &name("ridge")).is_none()
        });
        assert_eq!(changed.count(), 12);
    }
}
