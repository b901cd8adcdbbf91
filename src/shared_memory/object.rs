//! One object of POSIX shared memory: a file below `/dev/shm`, where Linux keeps them (shm_overview(7)).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// The longest name of an object, in bytes (shm_open(3)).
const NAME_BYTES_MAX: usize = 255;

/// The folder of the objects.
pub(super) const FOLDER: &str = "/dev/shm";

/// A key that names no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no shared memory object: expected '/' and a name without another one, as shm_open has it")]
pub struct InvalidKey(String);

/// An open object.
#[derive(Debug)]
pub(super) struct Object {
    file: File,
}

/// The name of the object that a key means: `/name`, or `name`, as some clients leave the slash out.
pub(super) fn name(key: &str) -> Result<&str, InvalidKey> {
    let name = key.strip_prefix('/').unwrap_or(key);
    let is_plain = !matches!(name, "" | "." | "..") && name.len() <= NAME_BYTES_MAX && !name.contains(['/', '\0']);
    if is_plain {
        return Ok(name);
    }
    let shown = key.chars().take(80).collect::<String>().replace(char::is_control, " ");
    Err(InvalidKey(shown))
}

impl Object {
    /// Opens an object in `folder`. It must be a plain file: no link is followed, and no pipe or device is waited for.
    pub fn open(folder: &Path, name: &str) -> io::Result<Object> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(openat(CWD, folder.join(name), flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(Object { file })
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no shared memory object"))
        }
    }

    /// Its size now.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills `bytes` from an offset. An object that has become too short is an error.
    pub fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Writes at an offset.
    pub fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
}
