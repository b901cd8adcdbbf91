//! What killed writers have left on a disk: files under temporary names, which nobody sees and nobody else removes.
//!
//! A store in a network shows nothing of an upload that was not completed. On a disk, the backend writes `<object>#<n>` beside an
//! object and gives it its name when it is whole; a writer that is killed in between leaves it there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::blobs::blocking;
use super::{Registry, RegistryError};

/// A temporary file that nobody has written to for so long is nobody's: a record takes moments, and a large file is written to all
/// the while.
pub(super) const LEFT_OVER_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Where objects lie. A folder that a registry shares with something else is looked at no further.
const FOLDERS: [&str; 6] = ["blobs", "models", "endpoints", "status", "uploads", "collections"];

impl Registry {
    /// Removes what killed writers have left; gives how many files that were.
    pub async fn sweep(&self, now: SystemTime) -> Result<usize, RegistryError> {
        let Some(disk) = self.store().disk() else { return Ok(0) };
        let folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| disk.join(folder)).collect();
        let swept = blocking(move || {
            let sweep = |folder: &PathBuf| sweep(folder, now, is_temporary);
            folders.iter().map(sweep).sum()
        });
        swept.await.map_err(|source| RegistryError::File { path: disk.to_owned(), source })
    }
}

/// A backend's temporary name. No object's name ends so.
fn is_temporary(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Removes files below a folder that have such a name and are left over; links are not followed.
pub(super) fn sweep(folder: &Path, now: SystemTime, is_temporary: fn(&str) -> bool) -> io::Result<usize> {
    let mut swept = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_temporary(&entry.file_name().to_string_lossy()) {
                // It may just have been given its name, or another sweeper may have been faster.
                let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
                let is_left_over = now.duration_since(modified).is_ok_and(|age| age > LEFT_OVER_AFTER);
                swept += usize::from(is_left_over && fs::remove_file(entry.path()).is_ok());
            }
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_backends_temporary_names_are_temporary() {
        for (name, expected) in [
            ("0000000001.json#1", true),
            ("a#b#12", true),
            ("0000000001.json", false),
            ("a#", false),
            ("a#1.json", false),
        ] {
            assert_eq!(is_temporary(name), expected, "{name}");
        }
    }
}
