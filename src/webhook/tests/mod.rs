//! Outboxes on a real disk, couriers to a real server.

mod courier;
mod outbox;

use std::path::PathBuf;

use super::*;
use crate::moment::Moment;

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("scoria-webhook-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn letter(id: &str) -> Letter {
    Letter { id: id.to_owned(), written: Moment::from_seconds(1), body: format!("{{\"id\":\"{id}\"}}") }
}
