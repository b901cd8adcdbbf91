//! Signatures by which a receiver knows that a message is ours, and new: Standard Webhooks 1.0 (standardwebhooks.com), whose
//! libraries verify them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;
use crate::moment::Moment;

/// The event's id; the same each time that it is sent.
pub const ID_HEADER: &str = "webhook-id";
/// When it is sent, in seconds since 1970; signed along, so that an old message cannot be sent again later.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// One signature per key: `v1,<base64>`, with spaces between.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Why a message is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("no signature is by a key of the secret")]
    Signature,
    #[error("the message is too old, or from the future")]
    Time,
}

/// The signature header of a message that is sent at a time: HMAC-SHA256 of `<id>.<timestamp>.<body>`, by each key.
pub fn sign(secret: &Secret, id: &str, at: Moment, body: &str) -> String {
    let signature = |key: &[u8]| format!("v1,{}", STANDARD.encode(mac(key, id, at, body).finalize().into_bytes()));
    secret.keys().map(signature).collect::<Vec<_>>().join(" ")
}

/// What a receiver does: some signature has to be by some key, and the time within `window` of now.
pub fn verify(
    secret: &Secret,
    (id, at, header): (&str, Moment, &str),
    body: &str,
    (now, window): (Moment, Duration),
) -> Result<(), Unverified> {
    if now.since(at) > window || at.since(now) > window {
        return Err(Unverified::Time);
    }
    let given: Vec<_> = header.split(' ').filter_map(|part| STANDARD.decode(part.strip_prefix("v1,")?).ok()).collect();
    // `verify_slice` takes the same time whatever the answer.
    let is_by = |key: &[u8]| given.iter().any(|signature| mac(key, id, at, body).verify_slice(signature).is_ok());
    secret.keys().any(is_by).then_some(()).ok_or(Unverified::Signature)
}

fn mac(key: &[u8], id: &str, at: Moment, body: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(format!("{id}.{}.", at.seconds()).as_bytes());
    mac.update(body.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"test": 2432232314}"#;
    const WINDOW: Duration = Duration::from_secs(300);

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn the_signature_is_that_of_the_standards_libraries() {
        // The example that the standard's libraries are tested with.
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = Moment::from_seconds(1_614_265_330);
        let header = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, BODY);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(verify(&secret, ("msg_p5jXN8AQM9LWM0D4loKWxJek", at, &header), BODY, (at, WINDOW)), Ok(()));
    }

    #[test]
    fn what_was_changed_or_is_old_or_by_others_is_not_believed() {
        let ours = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let others = secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let at = Moment::from_seconds(1_700_000_000);
        let later = |seconds: u64| Moment::from_seconds(1_700_000_000 + seconds);
        let header = sign(&ours, "a", at, BODY);
        let judge = |secret: &Secret, id, sent, header: &str, body, now| {
            verify(secret, (id, sent, header), body, (now, WINDOW))
        };
        assert_eq!(judge(&ours, "a", at, &header, BODY, later(300)), Ok(()));
        assert_eq!(judge(&ours, "a", at, &header, BODY, later(301)), Err(Unverified::Time));
        assert_eq!(judge(&ours, "a", later(301), &header, BODY, at), Err(Unverified::Time));
        for (secret, id, sent, header, body) in [
            (&others, "a", at, header.as_str(), BODY),
            (&ours, "b", at, &header, BODY),
            (&ours, "a", later(1), &header, BODY),
            (&ours, "a", at, &header, "{}"),
            (&ours, "a", at, "v1,", BODY),
            (&ours, "a", at, "v2,g0hM9SsE", BODY),
        ] {
            assert_eq!(judge(secret, id, sent, header, body, at), Err(Unverified::Signature));
        }
        // While a secret is exchanged, whoever has the old one or the new one believes it.
        let both = secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let header = sign(&both, "a", at, BODY);
        assert_eq!(header.split(' ').count(), 2);
        assert!([&ours, &others].iter().all(|secret| judge(secret, "a", at, &header, BODY, at).is_ok()));
    }
}
