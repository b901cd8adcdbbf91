use std::path::{Path, PathBuf};

use super::*;
use crate::name::Name;

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("scoria-auth-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn key_in(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn a_key_is_found_by_its_digest_and_a_near_miss_is_not() {
    let (first, second) = (Key::generate().unwrap(), Key::generate().unwrap());
    let ring = KeyRing { primary: first.digest(), secondary: second.digest() };
    assert_eq!(ring.find(&KeyDigest::of(first.reveal())), Some(Slot::Primary));
    assert_eq!(ring.find(&KeyDigest::of(second.reveal())), Some(Slot::Secondary));
    assert_eq!(ring.find(&KeyDigest::of(&first.reveal()[..first.reveal().len() - 1])), None);
    assert_eq!(ring.find(&KeyDigest::of("")), None);
}

#[test]
fn a_key_never_shows_in_its_debug_form() {
    let key = Key::generate().unwrap();
    assert!(!format!("{key:?}").contains(&key.reveal()[7..]));
}

#[test]
fn a_digest_reads_back_from_its_hexadecimal_form() {
    let digest = KeyDigest::of("abc");
    assert_eq!(digest.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(KeyDigest::from_hex(&digest.to_hex()).unwrap().matches(&digest));
    assert!(KeyDigest::from_hex("ba78").is_none());
    assert!(KeyDigest::from_hex(&"zz".repeat(32)).is_none());
}

#[test]
fn keys_are_made_once_handed_over_in_private_files_and_kept_as_digests() {
    let folder = Folder::new("made-once");
    let name = Name::parse("ridge").unwrap();
    let store = KeyStore::open(&folder.0).unwrap();
    let ring = store.load_or_create(Ring::Endpoint(&name)).unwrap();
    let key_path = store.key_path(Ring::Endpoint(&name), Slot::Primary);
    let key = key_in(&key_path);
    assert_eq!(ring.find(&KeyDigest::of(&key)), Some(Slot::Primary));
    assert_eq!(key.len(), "scoria_".len() + 43);

    let kept = std::fs::read_to_string(folder.0.join("keys/ridge.json")).unwrap();
    assert!(!kept.contains(&key[7..]), "the ring holds a key");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for path in [key_path, folder.0.join("keys/ridge.json")] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    let again = KeyStore::open(&folder.0).unwrap().load_or_create(Ring::Endpoint(&name)).unwrap();
    assert_eq!(again.find(&KeyDigest::of(&key)), Some(Slot::Primary));
}

#[test]
fn the_admin_ring_is_apart_from_an_endpoint_called_admin() {
    let folder = Folder::new("admin");
    let name = Name::parse("admin").unwrap();
    let store = KeyStore::open(&folder.0).unwrap();
    let admin = store.load_or_create(Ring::Admin).unwrap();
    store.load_or_create(Ring::Endpoint(&name)).unwrap();
    let endpoint_key = key_in(&store.key_path(Ring::Endpoint(&name), Slot::Primary));
    assert_eq!(admin.find(&KeyDigest::of(&endpoint_key)), None);
}

#[test]
fn a_damaged_ring_is_named_and_not_replaced_in_silence() {
    let folder = Folder::new("damaged");
    let name = Name::parse("ridge").unwrap();
    let store = KeyStore::open(&folder.0).unwrap();
    std::fs::write(folder.0.join("keys/ridge.json"), "{}").unwrap();
    let error = store.load_or_create(Ring::Endpoint(&name)).unwrap_err().to_string();
    assert!(error.contains("ridge.json is damaged"), "{error}");
}

#[test]
fn a_crash_before_the_ring_was_written_leads_to_new_keys() {
    let folder = Folder::new("crash");
    let name = Name::parse("ridge").unwrap();
    let store = KeyStore::open(&folder.0).unwrap();
    store.load_or_create(Ring::Endpoint(&name)).unwrap();
    std::fs::remove_file(folder.0.join("keys/ridge.json")).unwrap();
    let ring = store.load_or_create(Ring::Endpoint(&name)).unwrap();
    let key = key_in(&store.key_path(Ring::Endpoint(&name), Slot::Secondary));
    assert_eq!(ring.find(&KeyDigest::of(&key)), Some(Slot::Secondary));
}
