//! Tells webhooks what happens in the registry, whoever did it.
//!
//! Where it has come to is kept on disk, so that what happens while this server is away is told when it is back. Each server
//! that has webhooks tells everything; the ids of events are the same, by which receivers know what they have seen.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::events;
use crate::moment::Moment;
use crate::name::Name;
use crate::private_file;
use crate::registry::{ModelRef, Registry, RegistryError};
use crate::webhook::Webhooks;

/// Reads the registry's logs as they grow.
#[derive(Debug)]
pub struct Announcer {
    registry: Registry,
    webhooks: Webhooks,
    path: PathBuf,
    /// `None` until it has been found out where to begin.
    come_to: Option<Marks>,
    /// Whether it has been told that the registry cannot be read.
    is_away: bool,
}

/// The newest revision of each endpoint, and the newest version of each model, that has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Marks {
    endpoints: BTreeMap<Name, u64>,
    models: BTreeMap<Name, u64>,
}

impl Announcer {
    /// Goes on where a former start under this folder left off; a first one begins with what happens from now on.
    pub fn open(registry: Registry, webhooks: Webhooks, folder: &Path) -> io::Result<Announcer> {
        let path = folder.join("told.json");
        let come_to = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(marks) => Some(marks),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "what has been told is not known any more; it begins anew");
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Announcer { registry, webhooks, path, come_to, is_away: false })
    }

    /// Tells what is new. What cannot be read now is told next time.
    pub async fn announce(&mut self, now: Moment) {
        let outcome = match &self.come_to {
            Some(marks) => self.tell_since(marks.clone(), now).await,
            None => self.present().await,
        };
        match outcome {
            Ok(marks) => {
                self.is_away = false;
                if self.come_to.as_ref() == Some(&marks) {
                    return;
                }
                // First on disk: an event that is told twice has the same id, one that is not told is lost.
                let text = serde_json::to_vec(&marks).expect("names and numbers always serialize");
                if let Err(error) = private_file::write(&self.path, &text) {
                    tracing::warn!(path = %self.path.display(), %error, "what has been told cannot be kept");
                }
                self.come_to = Some(marks);
            }
            Err(error) if !self.is_away => {
                tracing::warn!(%error, "the registry cannot be read for webhooks; it is tried again");
                self.is_away = true;
            }
            Err(_) => {}
        }
    }

    async fn tell_since(&self, mut marks: Marks, now: Moment) -> Result<Marks, RegistryError> {
        for name in self.registry.models().names().await? {
            let told = marks.models.entry(name.clone()).or_default();
            while let Some(version) =
                self.registry.models().find(&ModelRef { name: name.clone(), version: *told + 1 }).await?
            {
                self.webhooks.post(&events::of_model(&version), now);
                *told += 1;
            }
        }
        for name in self.registry.endpoints().await? {
            let told = marks.endpoints.entry(name.clone()).or_default();
            let log = self.registry.endpoint(&name);
            let mut before = None;
            while let Some(revision) = log.read(*told + 1).await? {
                if before.is_none() {
                    before = log.read(*told).await?;
                }
                let spec = before.as_ref().map(|revision| &revision.body);
                events::of_endpoint(&name, spec, &revision).iter().for_each(|event| self.webhooks.post(event, now));
                *told += 1;
                before = Some(revision);
            }
        }
        Ok(marks)
    }

    /// Where the registry is now.
    async fn present(&self) -> Result<Marks, RegistryError> {
        let mut marks = Marks::default();
        for name in self.registry.models().names().await? {
            let newest = *self.registry.models().version_numbers(&name).await?.end();
            marks.models.insert(name, newest);
        }
        for name in self.registry.endpoints().await? {
            let newest = self.registry.endpoint(&name).latest_number().await?;
            marks.endpoints.insert(name, newest);
        }
        Ok(marks)
    }
}
