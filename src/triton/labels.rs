//! `label_filename`: the names of an output's classes, one a line.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::{ModelConfig, inside};
use crate::pbtxt::Place;
use crate::plain_file;

/// The longest file. ImageNet's full list of 21,843 classes has 1 MB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A label file that cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    #[error("{}:{place}: label_filename: expected the name of a file in the model's folder, got \"{name}\"", config.display())]
    Outside { config: PathBuf, place: Place, name: String },
    #[error("{}:{place}: label_filename: cannot read {}: {source}", config.display(), path.display())]
    Read { config: PathBuf, place: Place, path: PathBuf, source: io::Error },
    #[error("{}:{place}: label_filename: {} is longer than {BYTES_MAX} bytes", config.display(), path.display())]
    TooLong { config: PathBuf, place: Place, path: PathBuf },
}

/// Reads the labels of each output that has some, by the output's name.
pub fn labels(config: &ModelConfig) -> Result<BTreeMap<String, Arc<[String]>>, LabelError> {
    let read = |(output, name, place): (&str, &str, Place)| {
        let Some(path) = inside(&config.folder, name) else {
            return Err(LabelError::Outside { config: config.path(), place, name: name.chars().take(200).collect() });
        };
        let mut text = String::new();
        let read = plain_file::open(&path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            Ok(length) if length as u64 > BYTES_MAX => Err(LabelError::TooLong { config: config.path(), place, path }),
            Ok(_) => Ok((output.to_owned(), text.lines().map(str::to_owned).collect())),
            Err(source) => Err(LabelError::Read { config: config.path(), place, path, source }),
        }
    };
    config.label_files().map(read).collect()
}
