use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;
use crate::telemetry::Metrics;

/// A folder with a certificate in `cert.pem` and its key in `key.pem`; removed when dropped.
struct Files {
    folder: PathBuf,
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

fn pair(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

impl Files {
    fn new(certificate: &str, key: &str) -> Files {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("scoria-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Files { folder };
        files.write("cert.pem", certificate);
        files.write("key.pem", key);
        std::fs::set_permissions(files.folder.join("key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    fn settings(&self, client_ca: Option<&str>) -> TlsSettings {
        let path = |name| self.folder.join(name);
        let files = TlsFiles { certificate: path("cert.pem"), key: path("key.pem"), client_ca: client_ca.map(path) };
        TlsSettings {
            port: "scoring",
            files,
            min_version: TlsVersion::V1_2,
            handshake_timeout: Duration::from_secs(10),
        }
    }

    fn open(&self) -> Result<Tls, TlsError> {
        Tls::open(self.settings(None), Metrics::new("test").unwrap().tls("scoring"))
    }

    fn error(&self) -> String {
        self.open().err().expect("the files cannot be used").to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

#[test]
fn files_that_hold_something_else_are_told_by_what_they_hold() {
    let Pair { certificate, key } = pair(&["localhost"], |_| {});
    assert_says(&Files::new(&key, &certificate).error(), &["cert.pem: expected a certificate", "swapped?"]);
    assert_says(&Files::new(&certificate, &certificate).error(), &["key.pem: expected a private key", "swapped?"]);
    assert_says(&Files::new("", &key).error(), &["an empty file"]);
    assert_says(&Files::new("hello", &key).error(), &["no PEM of a known kind"]);
    assert_says(&Files::new(&certificate[..certificate.len() / 2], &key).error(), &["cert.pem", "may be cut off"]);
    assert_says(&Files::new(&certificate, &format!("{key}{key}")).error(), &["one private key, found 2"]);
    let files = Files::new(&certificate, &key);
    std::fs::remove_file(files.folder.join("key.pem")).unwrap();
    assert_says(&files.error(), &["cannot read", "key.pem", "No such file"]);
    std::fs::create_dir(files.folder.join("key.pem")).unwrap();
    assert_says(&files.error(), &["key.pem: expected a file"]);
    std::fs::remove_dir(files.folder.join("key.pem")).unwrap();
    files.write("key.pem", &"x".repeat(2 << 20));
    assert_says(&files.error(), &["key.pem: expected a file of at most 1048576 bytes"]);
}

#[test]
fn a_key_that_is_encrypted_or_of_another_kind_is_told_so() {
    let Pair { certificate, .. } = pair(&["localhost"], |_| {});
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        assert_says(&Files::new(&certificate, encrypted).error(), &["is encrypted", "openssl pkey -in"]);
    }
    let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_says(&Files::new(&certificate, other).error(), &["this key cannot be used", "P-256"]);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let Pair { key, .. } = pair(&["localhost"], |_| {});
    assert_says(&Files::new(broken, &key).error(), &["certificate 1 of the file cannot be read"]);
}

#[test]
fn a_key_has_to_belong_to_the_first_certificate() {
    let (own, other) = (pair(&["localhost"], |_| {}), pair(&["localhost"], |_| {}));
    let error = Files::new(&own.certificate, &other.key).error();
    assert_says(&error, &["the key in", "key.pem does not belong to the certificate in", "cert.pem"]);
    let backwards = format!("{}{}", other.certificate, own.certificate);
    assert_says(&Files::new(&backwards, &own.key).error(), &["belongs to certificate 2", "must come first"]);
    let chain = format!("{}{}", own.certificate, other.certificate);
    assert!(Files::new(&chain, &own.key).open().is_ok());
}

#[test]
fn a_certificate_says_how_long_it_is_valid_and_what_it_names() {
    let dated = pair(&["scoria.test", "127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let files = Files::new(&dated.certificate, &dated.key);
    let tls = files
        .open()
        .expect("an expired certificate is served: most clients refuse it, a server that is down serves none");
    let validity = tls.current.load().identity.validity;
    assert_eq!((validity.from, validity.until), (Some(1_577_836_800), Some(1_609_459_200)));
    assert_eq!(tls.metrics.expiry.get(), 1_609_459_200);
    assert_eq!(tls.called(IpAddr::V4(Ipv4Addr::LOCALHOST)), Called::Address);
    assert_eq!(tls.called([10, 0, 0, 1].into()), Called::Name("scoria.test".to_owned()));

    let named = pair(&["*.scoria.test", "a.test", "localhost"], |_| {});
    let tls = Files::new(&named.certificate, &named.key).open().unwrap();
    assert_eq!(tls.called(IpAddr::V4(Ipv4Addr::LOCALHOST)), Called::Name("localhost".to_owned()));
    assert_eq!(tls.called([10, 0, 0, 1].into()), Called::Name("a.test".to_owned()));
    let nameless = pair(&[], |_| {});
    let tls = Files::new(&nameless.certificate, &nameless.key).open().unwrap();
    assert_eq!(tls.called(IpAddr::V4(Ipv4Addr::LOCALHOST)), Called::Nothing);
}

#[test]
fn a_certificate_that_signs_itself_as_an_authority_can_be_served() {
    // `openssl req -x509` makes such ones.
    let own = pair(&["localhost"], |params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let tls = Files::new(&own.certificate, &own.key).open().unwrap();
    assert!(tls.current.load().identity.validity.until.is_some());
}

#[test]
fn a_reload_happens_when_the_content_changes_and_keeps_the_old_pair_until_the_new_one_is_whole() {
    let (old, new) = (pair(&["old.test"], |_| {}), pair(&["new.test"], |_| {}));
    let files = Files::new(&old.certificate, &old.key);
    let tls = files.open().unwrap();
    let name = || tls.called([10, 0, 0, 1].into());
    assert_eq!(tls.reload(Occasion::Look), Reload::Unchanged);
    files.write("cert.pem", &new.certificate);
    assert_eq!((tls.reload(Occasion::Look), name()), (Reload::Kept, Called::Name("old.test".to_owned())));
    assert_eq!(tls.reload(Occasion::Look), Reload::Unchanged, "a failure is told once");
    assert_eq!(tls.reload(Occasion::Asked), Reload::Kept, "unless somebody asks");
    files.write("key.pem", &new.key);
    assert_eq!((tls.reload(Occasion::Look), name()), (Reload::Loaded, Called::Name("new.test".to_owned())));
    std::fs::remove_file(files.folder.join("cert.pem")).unwrap();
    assert_eq!((tls.reload(Occasion::Look), name()), (Reload::Kept, Called::Name("new.test".to_owned())));
    files.write("cert.pem", &new.certificate);
    assert_eq!((tls.reload(Occasion::Look), tls.reload(Occasion::Asked)), (Reload::Loaded, Reload::Loaded));
    assert_eq!((tls.metrics.reloaded.get(), tls.metrics.kept.get()), (3, 3));
}

#[test]
fn a_folder_exchanged_by_symbolic_link_is_noticed() {
    // The way of Kubernetes: `cert.pem` → `..data/cert.pem`, and `..data` → a dated folder.
    let (old, new) = (pair(&["old.test"], |_| {}), pair(&["new.test"], |_| {}));
    let files = Files::new("", "");
    for (dated, pair) in [("2026_1", &old), ("2026_2", &new)] {
        std::fs::create_dir(files.folder.join(dated)).unwrap();
        files.write(&format!("{dated}/cert.pem"), &pair.certificate);
        files.write(&format!("{dated}/key.pem"), &pair.key);
    }
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, files.folder.join("next")).unwrap();
        std::fs::rename(files.folder.join("next"), files.folder.join(name)).unwrap();
    };
    link("2026_1", "..data");
    link("..data/cert.pem", "cert.pem");
    link("..data/key.pem", "key.pem");
    let tls = files.open().unwrap();
    link("2026_2", "..data");
    assert_eq!(tls.reload(Occasion::Look), Reload::Loaded);
    assert_eq!(tls.called([10, 0, 0, 1].into()), Called::Name("new.test".to_owned()));
}

#[test]
fn authorities_of_clients_have_to_be_certificates() {
    let own = pair(&["localhost"], |_| {});
    let files = Files::new(&own.certificate, &own.key);
    let open = || Tls::open(files.settings(Some("ca.pem")), Metrics::new("test").unwrap().tls("admin"));
    assert_says(&open().err().unwrap().to_string(), &["cannot read", "ca.pem"]);
    files.write("ca.pem", &own.key);
    assert_says(&open().err().unwrap().to_string(), &["ca.pem: expected a certificate"]);
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    files.write("ca.pem", &authority.pem());
    assert!(open().unwrap().asks_for_certificates());
}

#[test]
fn the_answer_to_plain_http_is_as_long_as_it_says() {
    let (head, body) = HTTPS_REQUIRED.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with(&format!("content-length: {}", body.len())));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], "https_required");
}
