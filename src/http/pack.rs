//! Answers that go out compressed: only where the client asks for it (`Accept-Encoding`, RFC 9110, section 12.5.3), the operator
//! allows it, and it makes them shorter.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use hyper::Response;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};

use super::Body;
use super::score::off_the_loop;
use super::unpack::Coding;

/// The answer, packed if it has at least `smallest` bytes in one piece and the client prefers that.
pub fn answer(mut response: Response<Body>, request: &HeaderMap, smallest: usize) -> Response<Body> {
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = preferred(request) else { return response };
    let Some(plain) = response.body().single().filter(|plain| plain.len() >= smallest).cloned() else {
        return response;
    };
    let Some(packed) = pack(coding, std::slice::from_ref(&plain)) else { return response };
    *response.body_mut() = Body::from(packed);
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Deflate => "deflate",
    };
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    response
}

/// The bytes of these parts packed; `None` if that does not make them shorter.
pub fn pack(coding: Coding, parts: &[Bytes]) -> Option<Vec<u8>> {
    let plain_bytes: usize = parts.iter().map(Bytes::len).sum();
    // Numbers as text shrink to half at once; more effort saves little.
    let (room, level) = (Vec::with_capacity(plain_bytes / 2), Compression::fast());
    let packed = off_the_loop(plain_bytes, || match coding {
        Coding::Gzip => {
            let mut packer = GzEncoder::new(room, level);
            parts.iter().try_for_each(|part| packer.write_all(part)).and_then(|()| packer.finish())
        }
        Coding::Deflate => {
            let mut packer = ZlibEncoder::new(room, level);
            parts.iter().try_for_each(|part| packer.write_all(part)).and_then(|()| packer.finish())
        }
    });
    // Writing to memory does not fail.
    packed.ok().filter(|packed| packed.len() < plain_bytes)
}

/// The coding that the client likes best; the first listed of several. Where it likes none of ours better than none at all, none.
fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let mut best: Option<(u32, Coding)> = None;
    let mut plain = 0;
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in lists.flat_map(|list| list.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))).map_or(1_000, weight);
        let coding = match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "identity" => {
                plain = weight;
                continue;
            }
            _ => continue,
        };
        if weight > best.map_or(0, |(most, _)| most) {
            best = Some((weight, coding));
        }
    }
    // `identity` by itself is acceptable and wanted by nobody in particular.
    best.filter(|(weight, _)| *weight >= plain).map(|(_, coding)| coding)
}

/// Thousandths; what is no weight is none.
fn weight(text: &str) -> u32 {
    text.trim()
        .parse::<f32>()
        .ok()
        .filter(|weight| (0.0..=1.0).contains(weight))
        .map_or(0, |weight| (weight * 1_000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred_of(list: &'static str) -> Option<Coding> {
        preferred(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(list))]))
    }

    #[test]
    fn the_clients_preference_decides() {
        assert_eq!(preferred(&HeaderMap::new()), None);
        for (list, coding) in [
            ("gzip, deflate", Some(Coding::Gzip)),
            ("deflate, gzip", Some(Coding::Deflate)),
            ("gzip;q=0.5, deflate;q=0.8", Some(Coding::Deflate)),
            ("br, GZIP;q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.4, identity;q=0.5", None),
            ("identity", None),
            ("gzip;q=x", None),
            ("*", None),
        ] {
            assert_eq!(preferred_of(list), coding, "{list}");
        }
    }

    #[test]
    fn only_what_is_long_enough_and_gets_shorter_is_packed() {
        let request = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let of = |body: Vec<u8>| answer(Response::new(Body::from(body)), &request, 100);
        assert!(!of(vec![b'0'; 99]).headers().contains_key(CONTENT_ENCODING));
        let long = of(vec![b'0'; 1_000]);
        assert_eq!(long.headers()[CONTENT_ENCODING], "gzip");
        assert!(long.body().len() < 100);
        let noise: Vec<u8> = (0..100u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert!(!of(noise).headers().contains_key(CONTENT_ENCODING));
    }
}
