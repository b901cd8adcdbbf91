use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::codec::DecodeError;
use crate::codec::open_inference::{Region, Regions};
use crate::error::ErrorKind;

/// A folder of objects, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("scoria-shm-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn object(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn memory(&self, max_regions: usize, max_bytes: u64) -> SharedMemory {
        SharedMemory::in_folder(Limits { max_regions, max_bytes }, &self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn part(name: &str, offset_bytes: usize, size_bytes: usize) -> Region {
    Region { name: name.to_owned(), offset_bytes, size_bytes }
}

fn read(memory: &SharedMemory, region: &Region) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    memory.read(region, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

#[test]
fn regions_are_read_and_written_where_they_were_registered() {
    let folder = Folder::new();
    let path = folder.object("object", b"0123456789");
    let memory = folder.memory(8, 100);
    memory.register("in", "/object", 2, 6).unwrap();
    memory.register("out", "object", 0, 10).unwrap();
    assert_eq!(read(&memory, &part("in", 0, 6)).unwrap(), b"234567");
    assert_eq!(read(&memory, &part("in", 4, 2)).unwrap(), b"67");
    memory.write(&part("in", 1, 5), "y", b"ab").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"012ab56789");
    let status = memory.status(None).unwrap();
    let all: Vec<_> = status.iter().map(|region| (region.name.as_str(), region.key.as_str(), region.offset)).collect();
    assert_eq!(all, [("in", "/object", 2), ("out", "object", 0)]);
    assert_eq!(memory.status(Some("in")).unwrap()[0].byte_size, 6);
    memory.unregister("in");
    memory.unregister("in");
    assert_eq!(memory.status(Some("in")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(read(&memory, &part("in", 0, 1)).unwrap_err().message.contains("there is no shared memory region 'in'"));
    memory.unregister_all();
    assert_eq!(memory.status(None).unwrap(), []);
}

#[test]
fn large_regions_come_in_pieces() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..600_001u32).map(|number| number as u8).collect();
    folder.object("large", &bytes);
    let memory = folder.memory(1, 1 << 20);
    memory.register("r", "/large", 1, 600_000).unwrap();
    assert_eq!(read(&memory, &part("r", 0, 600_000)).unwrap(), bytes[1..]);
}

#[test]
fn no_request_leaves_its_region() {
    let folder = Folder::new();
    folder.object("object", b"0123456789");
    let memory = folder.memory(8, 100);
    memory.register("r", "/object", 2, 6).unwrap();
    for (offset, size) in [(0, 7), (6, 1), (7, 0), (usize::MAX, 1), (1, usize::MAX)] {
        let error = read(&memory, &part("r", offset, size)).unwrap_err();
        assert!(error.message.contains("do not lie in shared memory region 'r', which has 6"), "{}", error.message);
    }
    let error = memory.write(&part("r", 4, 9), "y", b"abc").unwrap_err().to_string();
    assert!(error.contains("output 'y': 3 bytes from 4 do not lie in"), "{error}");
    let error = memory.write(&part("r", 0, 2), "y", b"abc").unwrap_err().to_string();
    assert!(error.contains("it has 3 bytes, 2 of shared memory region 'r' are given for it"), "{error}");
    for (offset, size) in [(5, 6), (11, 1), (u64::MAX, 2), (0, u64::MAX)] {
        assert!(matches!(memory.register("s", "/object", offset, size), Err(SharedMemoryError::OutsideObject { .. })));
    }
    assert!(matches!(memory.register("s", "/object", 0, 0), Err(SharedMemoryError::Empty)));
}

#[test]
fn an_object_that_is_cut_off_is_told_and_never_grown() {
    let folder = Folder::new();
    let path = folder.object("object", b"0123456789");
    let memory = folder.memory(8, 100);
    memory.register("r", "/object", 0, 10).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
    assert!(read(&memory, &part("r", 0, 10)).unwrap_err().message.contains("has been cut off: its object has 4 bytes"));
    assert!(memory.write(&part("r", 0, 10), "y", b"abcde").is_err());
    assert_eq!(fs::read(&path).unwrap(), b"0123");
    assert_eq!(read(&memory, &part("r", 0, 4)).unwrap(), b"0123");
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&memory, &part("r", 0, 4)).unwrap(), b"0123", "an open object lives as long as it is used");
}

#[test]
fn only_objects_are_opened_and_by_their_names_alone() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    elsewhere.object("secret", b"secret");
    symlink(elsewhere.0.join("secret"), folder.0.join("link")).unwrap();
    fs::create_dir(folder.0.join("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.0.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let memory = folder.memory(8, 100);
    for key in ["/link", "/folder", "/pipe", "/none"] {
        assert!(matches!(memory.register("r", key, 0, 1), Err(SharedMemoryError::Open { .. })), "{key}");
    }
    let long = format!("/{}", "n".repeat(256));
    for key in ["", "/", "/..", "..", ".", "/a/b", "//a", "../x", "/a\0b", &long] {
        assert!(matches!(memory.register("r", key, 0, 1), Err(SharedMemoryError::Key(_))), "{key:?}");
    }
}

#[test]
fn regions_are_bounded_by_number_and_bytes() {
    let folder = Folder::new();
    folder.object("object", b"0123456789");
    let memory = folder.memory(2, 15);
    memory.register("a", "/object", 0, 10).unwrap();
    assert!(matches!(memory.register("a", "/object", 0, 1), Err(SharedMemoryError::AlreadyRegistered(_))));
    assert!(matches!(memory.register("b", "/object", 0, 6), Err(SharedMemoryError::TooLarge { max: 15, left: 5 })));
    memory.register("b", "/object", 0, 5).unwrap();
    assert!(matches!(memory.register("c", "/object", 0, 1), Err(SharedMemoryError::TooMany { max: 2 })));
    memory.unregister("a");
    memory.register("c", "/object", 0, 10).unwrap();
    assert!(matches!(memory.register("", "/object", 0, 1), Err(SharedMemoryError::Name)));
    assert!(matches!(memory.register(&"n".repeat(256), "/object", 0, 1), Err(SharedMemoryError::Name)));
}
