//! Golden requests: bodies with the answers that a model has to give, `<case>.request.json` and `<case>.response.json`.

use std::fs;
use std::path::{Path, PathBuf};

use super::PublishError;
use crate::codec::Policy;
use crate::probe::decode_sample;
use crate::registry::FilePath;
use crate::tensor::Signature;

const REQUEST: &str = ".request.json";
const RESPONSE: &str = ".response.json";

/// The most cases of a version, and the most bytes of one file.
const CASES_MAX: usize = 1_000;
const BYTES_MAX: u64 = 16 << 20;

/// The files of a folder of golden requests, checked against the model.
pub fn files(folder: &Path, signature: &Signature, policy: Policy) -> Result<Vec<(FilePath, PathBuf)>, PublishError> {
    let refuse = |reason: String| PublishError::Golden { path: folder.to_owned(), reason };
    let failed = |source| PublishError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = FilePath::from_relative(Path::new(&entry.file_name()))?;
        if name.as_str().starts_with('.') {
            continue;
        }
        let is_case = name.as_str().ends_with(REQUEST) || name.as_str().ends_with(RESPONSE);
        if !is_case || !entry.file_type().map_err(failed)?.is_file() {
            return Err(refuse(format!("{name} is neither <case>{REQUEST} nor <case>{RESPONSE}")));
        }
        if files.len() == 2 * CASES_MAX {
            return Err(refuse(format!("there are more than {CASES_MAX} cases")));
        }
        files.push((name, entry.path()));
    }
    files.sort();
    if files.is_empty() {
        return Err(refuse(format!("there is no <case>{REQUEST}")));
    }
    for (name, path) in &files {
        let (case, other) = match name.as_str().strip_suffix(REQUEST) {
            Some(case) => (case, RESPONSE),
            None => (name.as_str().trim_end_matches(RESPONSE), REQUEST),
        };
        if !files.iter().any(|(file, _)| file.as_str() == format!("{case}{other}")) {
            return Err(refuse(format!("{name} has no {case}{other} beside it")));
        }
        let body = read(path)?;
        let verdict = match other {
            RESPONSE => decode_sample(&body, signature, policy).map(drop).map_err(|error| error.to_string()),
            _ => is_json(&body),
        };
        verdict.map_err(|reason| refuse(format!("{name}: {reason}")))?;
    }
    Ok(files)
}

/// A JSON file that is short enough to be kept.
pub fn read(path: &Path) -> Result<Vec<u8>, PublishError> {
    let failed = |source| PublishError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > BYTES_MAX {
        let reason = format!("has {bytes} bytes; a sample or golden request has at most {BYTES_MAX}");
        return Err(PublishError::Package { path: path.to_owned(), reason });
    }
    fs::read(path).map_err(failed)
}

/// Whether a body is JSON.
pub fn is_json(body: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).map(drop).map_err(|error| format!("it is no JSON: {error}"))
}
