//! The path of a file within a model: relative, downward, and plain on every system.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path such as `weights/part-1.bin`. Whoever joins it to a folder stays in that folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// A text that is no [`FilePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' cannot be a file of a model: {reason}")]
pub struct InvalidFilePath {
    text: String,
    reason: &'static str,
}

impl FilePath {
    /// The longest path, in bytes, and its most parts.
    pub const MAX_BYTES: usize = 512;
    pub const MAX_PARTS: usize = 16;

    pub fn parse(text: &str) -> Result<FilePath, InvalidFilePath> {
        let refuse = |reason| InvalidFilePath { text: text.escape_debug().take(200).collect(), reason };
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(refuse("it has to have 1 to 512 bytes"));
        }
        // A backslash and a colon separate on some systems; nobody can tell control characters apart.
        if text.contains(['\\', ':']) || text.chars().any(char::is_control) {
            return Err(refuse("it holds a backslash, a colon or a control character"));
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > Self::MAX_PARTS {
            return Err(refuse("it goes down more than 16 folders"));
        }
        if parts.iter().any(|part| part.is_empty() || *part == "." || *part == ".." || part.len() > 255) {
            return Err(refuse("it has to be relative, with names of 1 to 255 bytes other than '.' and '..'"));
        }
        Ok(FilePath(text.to_owned()))
    }

    /// From a path of this system that is relative to the model's folder.
    pub fn from_relative(path: &Path) -> Result<FilePath, InvalidFilePath> {
        let refuse = |reason| InvalidFilePath { text: path.display().to_string(), reason };
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?),
                Component::CurDir => {}
                _ => return Err(refuse("it leads out of the model's folder")),
            }
        }
        FilePath::parse(&parts.join("/"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the file is in `folder`.
    pub fn in_folder(&self, folder: &Path) -> PathBuf {
        self.0.split('/').fold(folder.to_owned(), |path, part| path.join(part))
    }
}

impl TryFrom<String> for FilePath {
    type Error = InvalidFilePath;

    fn try_from(text: String) -> Result<FilePath, InvalidFilePath> {
        FilePath::parse(&text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> String {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_folder() {
        for good in ["model.onnx", "weights/a b.bin", "a/b/c/d", ".hidden", "模型.onnx"] {
            let path = FilePath::parse(good).unwrap();
            assert_eq!(path.in_folder(Path::new("/srv")), Path::new("/srv").join(good));
            assert_eq!(FilePath::from_relative(Path::new(good)).unwrap(), path);
        }
        let deep = "a/".repeat(16) + "b";
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "C:x", "a\nb", "a\0b", &deep] {
            assert!(FilePath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(FilePath::from_relative(Path::new("../x")).is_err());
    }
}
