//! From an endpoint's name to the endpoint: immutable, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Endpoint;
use crate::auth::KeyDigest;
use crate::name::Name;

/// Every endpoint the server was asked to serve.
#[derive(Debug, Default)]
pub struct RoutingTable {
    entries: BTreeMap<Name, Entry>,
    default: Option<Name>,
    beginning: Beginning,
}

/// How far a server's start has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// What is to be served is not known yet.
    #[default]
    Unknown,
    /// What was wanted at first is being loaded.
    Loading,
    /// It has been loaded, or has failed. What is wanted later is loaded while the rest is served.
    Over,
}

/// An endpoint in one of its states.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `Ready` if any of its deployments can answer.
    pub state: State,
    /// Present when the state is `Ready`.
    pub endpoint: Option<Arc<Endpoint>>,
    /// The revision of the registry that is wanted, if it came from one.
    pub revision: Option<u64>,
    /// Its deployments: those that are wanted, and those that are being taken down.
    pub deployments: Vec<Standing>,
}

/// Where one deployment is in its life. A deployment that is being replaced is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub name: Name,
    /// `ridge:3` for a model of the registry, else the file.
    pub model: String,
    pub state: State,
    /// What has failed may pass, as an outage of the registry does.
    pub is_tried_again: bool,
    /// What is being done for it beside, or could not be. For the operator.
    pub note: Option<String>,
}

/// Where an endpoint or a deployment is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Loading,
    Ready,
    /// It takes no more requests; those in progress are being finished.
    Draining,
    /// The reason is for the operator.
    Failed {
        reason: String,
    },
}

impl Entry {
    /// An endpoint whose deployments are being loaded.
    pub fn loading() -> Entry {
        Entry { state: State::Loading, endpoint: None, revision: None, deployments: Vec::new() }
    }
}

impl State {
    pub const fn name(&self) -> &'static str {
        match self {
            State::Loading => "loading",
            State::Ready => "ready",
            State::Draining => "draining",
            State::Failed { .. } => "failed",
        }
    }
}

impl RoutingTable {
    /// A table; `default` is what `POST /score` means.
    pub fn new(entries: BTreeMap<Name, Entry>, default: Option<Name>, beginning: Beginning) -> Self {
        RoutingTable { entries, default, beginning }
    }

    pub fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// The endpoint of a name, which may be written with the letter case of its model's file.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.find_named(name).map(|(_, entry)| entry)
    }

    /// [`RoutingTable::find`], with the endpoint's own name.
    pub fn find_named(&self, name: &str) -> Option<(&Name, &Entry)> {
        // Whoever asks for a text that is no name in any case asks for nothing we have.
        Name::in_any_case(name).and_then(|name| self.entries.get_key_value(&name))
    }

    /// The name under which a model is served whose file or folder has this one, if it is another.
    pub fn called(&self, file_stem: &str) -> Option<&Name> {
        self.entries.get_key_value(&Name::from_file_stem(file_stem)).map(|(name, _)| name)
    }

    /// The endpoint of `POST /score`: the one named so by the operator, or else the only one.
    pub fn default_endpoint(&self) -> Option<&Entry> {
        match &self.default {
            Some(name) => self.entries.get(name),
            None if self.entries.len() == 1 => self.entries.values().next(),
            None => None,
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter()
    }

    /// Whether there is an endpoint and all of them need a key.
    pub fn needs_key(&self) -> bool {
        let mut endpoints = self.entries.values().filter_map(|entry| entry.endpoint.as_ref()).peekable();
        endpoints.peek().is_some() && endpoints.all(|endpoint| endpoint.keys.is_some())
    }

    /// Whether some endpoint has this key. It tells a wrong key from one that has no right here.
    pub fn knows_key(&self, presented: &KeyDigest) -> bool {
        let endpoints = self.entries.values().filter_map(|entry| entry.endpoint.as_ref());
        endpoints.filter_map(|endpoint| endpoint.keys.as_ref()).any(|keys| keys.knows(presented))
    }
}

/// The table in force.
#[derive(Debug, Default)]
pub struct Routing(ArcSwap<RoutingTable>);

impl Routing {
    /// The table as it is now. Wait-free; whoever publishes meanwhile does not disturb the holder.
    pub fn table(&self) -> Guard<Arc<RoutingTable>> {
        self.0.load()
    }

    /// Puts a new table in force.
    pub fn publish(&self, table: RoutingTable) {
        self.0.store(Arc::new(table));
    }
}
