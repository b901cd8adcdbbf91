//! What a server is asked to make of an endpoint: its specification, with everything resolved that this server decides.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{ModelSpec, Seat};
use crate::auth::KeyRing;
use crate::deployment::EndpointSettings;
use crate::name::Name;
use crate::provider::ProviderOptions;
use crate::registry::{Guard, ModelRef, Share, Sticky};
use crate::schedule::{Cores, Limits, Wishes};

/// One endpoint as it is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: Name,
    /// The revision of the registry that says so, if one does.
    pub revision: Option<u64>,
    /// `None` when scoring needs no key.
    pub keys: Option<KeyRing>,
    pub settings: EndpointSettings,
    pub deployments: BTreeMap<Name, WantedDeployment>,
    /// Who answers requests that pin no deployment; what is left goes to `default`.
    pub traffic: BTreeMap<Name, Share>,
    pub default: Option<Name>,
    pub mirror: BTreeMap<Name, Share>,
    /// Numbers of mirrored answers that differ by no more than this agree (see [`Guard`]).
    pub answer_tolerance: f64,
    pub sticky: Option<Sticky>,
}

/// One deployment as it is to be.
#[derive(Clone, Debug)]
pub struct WantedDeployment {
    pub source: Source,
    pub settings: Settings,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator's own file.
    File(ModelSpec),
    /// A version of the registry.
    Published(ModelRef),
    /// Nothing can be made of what is asked for.
    Unusable { reason: String },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(spec) => write!(f, "{}", spec.path.display()),
            Source::Published(model) => write!(f, "{model}"),
            Source::Unusable { .. } => f.write_str("-"),
        }
    }
}

/// What applies to one deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    pub providers: Vec<String>,
    pub provider_options: ProviderOptions,
    /// Those that links to a model's weights may lead into.
    pub external_data_folders: Vec<PathBuf>,
    pub wishes: Wishes,
    /// Whether requests are joined although no proof says that their rows stay apart.
    pub allow_rows_to_mix: bool,
    pub queue: Limits,
    pub cores: Arc<Cores>,
    pub endpoint: EndpointSettings,
}

impl WantedDeployment {
    /// Whether a model that was loaded for `other` serves for this one too: only what is applied when it is loaded has it loaded
    /// again.
    pub fn loads_like(&self, other: &WantedDeployment) -> bool {
        let (own, others) = (&self.settings, &other.settings);
        self.source == other.source
            && own.providers == others.providers
            && own.provider_options == others.provider_options
            && own.wishes == others.wishes
            && own.allow_rows_to_mix == others.allow_rows_to_mix
            && own.endpoint.max_elements == others.endpoint.max_elements
    }
}

impl Wanted {
    /// An endpoint of the operator's own file, with one deployment; or of several versions, with one for each, named by it. Of
    /// these the highest is the default.
    pub fn alone(mut spec: ModelSpec, settings: Settings, keys: Option<KeyRing>) -> Wanted {
        let earlier = std::mem::take(&mut spec.earlier);
        // Where a second version may come, the first has its name already, and goes on under it.
        let is_several = spec.description.config().is_some_and(|config| config.versions.is_several());
        let default = if is_several { named(spec.version) } else { Seat::only(spec.name.clone()).deployment };
        let of_file = |spec| WantedDeployment { source: Source::File(spec), settings: settings.clone() };
        let earlier = earlier
            .into_iter()
            .map(|(version, path)| (named(version), of_file(ModelSpec { version, path, ..spec.clone() })));
        let mut deployments: BTreeMap<_, _> = earlier.collect();
        deployments.insert(default.clone(), of_file(spec.clone()));
        Wanted {
            name: spec.name,
            revision: None,
            keys,
            settings: settings.endpoint,
            deployments,
            traffic: BTreeMap::new(),
            default: Some(default),
            mirror: BTreeMap::new(),
            answer_tolerance: Guard::default().answer_tolerance,
            sticky: None,
        }
    }
}

/// A version's deployment.
fn named(version: u64) -> Name {
    Name::parse(&version.to_string()).expect("digits are a name")
}
