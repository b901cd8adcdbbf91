//! The files of the page: Swagger UI as its makers publish it (`assets/swagger-ui/`), and the script of ours that starts it.

use std::io::Read;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::read::GzDecoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};

use crate::http::etag::{ETag, digest};

/// How the bytes of an answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Gzip where the client takes it. What else it would take, and how gladly, is not looked at.
    pub fn acceptable(request: &HeaderMap) -> Encoding {
        let lists = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let takes_gzip = lists.flat_map(|list| list.split(',')).any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let weight = weight.trim().to_ascii_lowercase();
            let weight = weight.strip_prefix("q=").map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
            weight > 0.0 && name.trim().eq_ignore_ascii_case("gzip")
        });
        if takes_gzip { Encoding::Gzip } else { Encoding::Identity }
    }
}

/// The files, under a digest of them all.
#[derive(Debug)]
pub struct Assets {
    digest: String,
    assets: Vec<Asset>,
}

impl Assets {
    pub fn new() -> Assets {
        let zipped = |bytes| Stored::Gzip { zipped: Tagged::new(Bytes::from_static(bytes)), plain: OnceLock::new() };
        let plain = |bytes| Stored::Plain(Tagged::new(Bytes::from_static(bytes)));
        let asset = |name, media_type, stored| Asset { name, media_type, stored };
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        const TEXT: &str = "text/plain; charset=utf-8";
        macro_rules! swagger_ui {
            ($name:literal) => {
                include_bytes!(concat!("../../../assets/swagger-ui/", $name))
            };
        }
        let assets = vec![
            asset("start.js", SCRIPT, plain(include_bytes!("../../../assets/docs/start.js"))),
            asset("swagger-ui-bundle.js", SCRIPT, zipped(swagger_ui!("swagger-ui-bundle.js.gz"))),
            asset("swagger-ui.css", "text/css; charset=utf-8", zipped(swagger_ui!("swagger-ui.css.gz"))),
            asset("favicon-32x32.png", "image/png", plain(swagger_ui!("favicon-32x32.png"))),
            // Whoever gets a copy gets its terms.
            asset("swagger-ui-bundle.js.LICENSE.txt", TEXT, plain(swagger_ui!("swagger-ui-bundle.js.LICENSE.txt"))),
            asset("LICENSE", TEXT, plain(swagger_ui!("LICENSE"))),
            asset("NOTICE", TEXT, plain(swagger_ui!("NOTICE"))),
        ];
        let all: Vec<u8> = assets.iter().flat_map(|asset| asset.stored.bytes()).copied().collect();
        Assets { digest: digest(&all), assets }
    }

    /// What names this set of files in a path.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub fn find(&self, name: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.name == name)
    }
}

/// A file.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    pub media_type: &'static str,
    stored: Stored,
}

impl Asset {
    /// Its bytes in an encoding that the client takes, and their tag.
    pub fn get(&self, acceptable: Encoding) -> (Bytes, Encoding, &ETag) {
        let (found, encoding) = match (&self.stored, acceptable) {
            (Stored::Plain(plain), _) => (plain, Encoding::Identity),
            (Stored::Gzip { zipped, .. }, Encoding::Gzip) => (zipped, Encoding::Gzip),
            (Stored::Gzip { zipped, plain }, Encoding::Identity) => {
                (plain.get_or_init(|| Tagged::new(inflate(&zipped.bytes))), Encoding::Identity)
            }
        };
        (found.bytes.clone(), encoding, &found.tag)
    }
}

/// A file as the binary has it.
#[derive(Debug)]
enum Stored {
    Plain(Tagged),
    /// Inflated for the first client that does not take it so, and then kept: it is rare, and the same every time.
    Gzip {
        zipped: Tagged,
        plain: OnceLock<Tagged>,
    },
}

impl Stored {
    fn bytes(&self) -> &Bytes {
        match self {
            Stored::Plain(tagged) | Stored::Gzip { zipped: tagged, .. } => &tagged.bytes,
        }
    }
}

/// Bytes and their tag.
#[derive(Debug)]
struct Tagged {
    bytes: Bytes,
    tag: ETag,
}

impl Tagged {
    fn new(bytes: Bytes) -> Tagged {
        Tagged { tag: ETag::of(&bytes), bytes }
    }
}

fn inflate(zipped: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(zipped).read_to_end(&mut plain).expect("the files in the binary are whole: a test inflates them");
    plain.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyper::header::HeaderValue;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_files_are_those_whose_digests_were_noted_when_they_were_fetched() {
        let noted: BTreeMap<_, _> = include_str!("../../../assets/swagger-ui/SHA256SUMS")
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, name)| (name, digest))
            .collect();
        let assets = Assets::new();
        for asset in assets.assets.iter().filter(|asset| asset.name != "start.js") {
            let (bytes, encoding, _) = asset.get(Encoding::Identity);
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((encoding, noted.get(asset.name).copied()), (Encoding::Identity, Some(digest.as_str())));
        }
        assert_eq!(noted.len() + 1, assets.assets.len());
    }

    #[test]
    fn each_encoding_has_a_tag_of_its_own() {
        let assets = Assets::new();
        let script = assets.find("swagger-ui-bundle.js").unwrap();
        let (zipped, encoding, zipped_tag) = script.get(Encoding::Gzip);
        let (plain, _, plain_tag) = script.get(Encoding::Identity);
        assert_eq!(encoding, Encoding::Gzip);
        assert!(zipped.len() < plain.len() / 2 && zipped_tag != plain_tag);
        assert_eq!(script.get(Encoding::Identity).0.as_ptr(), plain.as_ptr(), "inflated once");
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let taken = |value: &str| {
            let mut request = HeaderMap::new();
            request.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            Encoding::acceptable(&request)
        };
        for value in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate;q=1, gzip; q=0.001"] {
            assert_eq!(taken(value), Encoding::Gzip, "{value}");
        }
        for value in ["", "identity", "gzip;q=0", "gzip; q=0.0", "gzip;q=many", "xgzip", "*"] {
            assert_eq!(taken(value), Encoding::Identity, "{value}");
        }
        assert_eq!(Encoding::acceptable(&HeaderMap::new()), Encoding::Identity);
    }
}
