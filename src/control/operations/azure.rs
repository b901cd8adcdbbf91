//! Azure Machine Learning's deployment files, read as they are: `deploymentconfig.json` (AKS, ACI or local) and
//! `inferenceconfig.json`, with the names of the SDK (`scoring_timeout_ms`) or of the CLI (`scoringTimeoutMs`).
//!
//! What has a meaning here becomes one of our settings; everything else is named in a note that says why it has none.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::change::Amendment;
use crate::config::Overrides;
use crate::name::Name;
use crate::registry::Share;

/// What of a file applies here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    /// For the deployment.
    pub settings: Overrides,
    pub tags: BTreeMap<String, String>,
    pub description: Option<String>,
    /// Of an `AksEndpoint`: the version's name and share.
    pub name: Option<Name>,
    pub traffic: Option<Share>,
    /// What was left out, each with the reason.
    pub notes: Vec<String>,
}

/// A file that is not what it should be. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct InvalidFile {
    pub file: String,
    pub reason: String,
}

/// What a key means.
enum Meaning {
    /// A number above 0, for this setting of ours.
    Setting(&'static str),
    Tags,
    Description,
    Name,
    Percentile,
    /// It is so already, or says nothing more.
    Implied,
    /// So by default; what else was asked for has this answer.
    ImpliedIf(bool, &'static str),
    /// The reason why it has no meaning here.
    None(&'static str),
}

/// Keys in lower case without `_`, so that the names of SDK and CLI are one; those of groups lead with the group's.
const MEANINGS: &[(&str, Meaning)] = &[
    ("computetype", Meaning::Implied),
    ("scoringtimeoutms", Meaning::Setting("scoring_timeout_ms")),
    ("replicamaxconcurrentrequests", Meaning::Setting("workers")),
    ("maxconcurrentrequestspercontainer", Meaning::Setting("workers")),
    ("maxrequestwaittime", Meaning::Setting("queue_max_wait_ms")),
    ("maxqueuewaitms", Meaning::Setting("queue_max_wait_ms")),
    ("tags", Meaning::Tags),
    ("properties", Meaning::Tags),
    ("description", Meaning::Description),
    ("versionname", Meaning::Name),
    ("trafficpercentile", Meaning::Percentile),
    ("isdefault", Meaning::None("`scoria traffic` says who answers")),
    ("iscontrolversiontype", Meaning::None("`scoria ab` compares any two deployments")),
    ("authenabled", Meaning::ImpliedIf(true, "whether keys are needed is the server's setting `auth`")),
    ("tokenauthenabled", Meaning::ImpliedIf(false, "clients show keys; there are no tokens")),
    ("primarykey", Meaning::None("keys are made for you and shown once; `scoria keys` replaces them")),
    ("secondarykey", Meaning::None("keys are made for you and shown once; `scoria keys` replaces them")),
    ("keys", Meaning::None("keys are made for you and shown once; `scoria keys` replaces them")),
    ("collectmodeldata", Meaning::ImpliedIf(false, "data are not collected by deploying")),
    ("datacollection", Meaning::None("data are not collected by deploying")),
    ("enableappinsights", Meaning::ImpliedIf(false, "metrics are at /metrics of the admin port, always")),
    ("appinsightsenabled", Meaning::ImpliedIf(false, "metrics are at /metrics of the admin port, always")),
    ("autoscaleenabled", Meaning::ImpliedIf(false, REPLICAS)),
    ("autoscaleminreplicas", Meaning::None(REPLICAS)),
    ("autoscalemaxreplicas", Meaning::None(REPLICAS)),
    ("autoscalerefreshseconds", Meaning::None(REPLICAS)),
    ("autoscaletargetutilization", Meaning::None(REPLICAS)),
    ("autoscaler", Meaning::None(REPLICAS)),
    ("numreplicas", Meaning::None(REPLICAS)),
    ("cpucores", Meaning::None(RESOURCES)),
    ("cpucoreslimit", Meaning::None(RESOURCES)),
    ("memorygb", Meaning::None(RESOURCES)),
    ("memorygblimit", Meaning::None(RESOURCES)),
    ("containerresourcerequirements", Meaning::None(RESOURCES)),
    ("gpucores", Meaning::None("the server's setting `providers` says what computes")),
    ("livenessprobe", Meaning::None(PROBES)),
    ("livenessproberequirements", Meaning::None(PROBES)),
    ("periodseconds", Meaning::None(PROBES)),
    ("initialdelayseconds", Meaning::None(PROBES)),
    ("timeoutseconds", Meaning::None(PROBES)),
    ("successthreshold", Meaning::None(PROBES)),
    ("failurethreshold", Meaning::None(PROBES)),
    ("namespace", Meaning::None(CLUSTER)),
    ("computetargetname", Meaning::None(CLUSTER)),
    ("computename", Meaning::None(CLUSTER)),
    ("blobfuseenabled", Meaning::None("models come from the registry, into a cache of the server's")),
    ("port", Meaning::None("where a server listens is its own setting `listen`")),
    ("location", Meaning::None(CLUSTER)),
    ("dnsnamelabel", Meaning::None(CLUSTER)),
    ("vnetname", Meaning::None(CLUSTER)),
    ("subnetname", Meaning::None(CLUSTER)),
    ("sslenabled", Meaning::ImpliedIf(false, TLS)),
    ("sslcertpemfile", Meaning::None(TLS)),
    ("sslkeypemfile", Meaning::None(TLS)),
    ("sslcname", Meaning::None(TLS)),
    ("cmkvaultbaseurl", Meaning::None(CLUSTER)),
    ("cmkkeyname", Meaning::None(CLUSTER)),
    ("cmkkeyversion", Meaning::None(CLUSTER)),
    // inferenceconfig.json
    ("entryscript", Meaning::None(SCRIPT)),
    ("sourcedirectory", Meaning::None(SCRIPT)),
    ("runtime", Meaning::None(SCRIPT)),
    ("condafile", Meaning::None(SCRIPT)),
    ("extradockerfilesteps", Meaning::None(SCRIPT)),
    ("baseimage", Meaning::None(SCRIPT)),
    ("baseimageregistry", Meaning::None(SCRIPT)),
    ("environment", Meaning::None(SCRIPT)),
    ("enablegpu", Meaning::ImpliedIf(false, "the server's setting `providers` says what computes")),
    ("cudaversion", Meaning::None("the CUDA libraries are those of the ONNX Runtime that the server uses")),
];

const REPLICAS: &str = "any number of servers on one registry serve the same; start as many as you like";
const RESOURCES: &str = "a server takes what its machine or container has; bound it there";
const PROBES: &str = "whoever runs the server asks /livez and /readyz as it likes";
const CLUSTER: &str = "it speaks of Azure's machines";
const TLS: &str = "TLS is the server's own (`tls_cert`, `tls_key`), for all endpoints";
const SCRIPT: &str = "no script is run: the ONNX model is served as it is, without Python";

/// Reads a file's text; `file` is its name, for messages.
pub fn read(text: &str, file: &str) -> Result<Mapped, InvalidFile> {
    let refuse = |reason: String| InvalidFile { file: file.to_owned(), reason };
    let value: Value = serde_json::from_str(text).map_err(|error| refuse(format!("it is not JSON: {error}")))?;
    let Value::Object(object) = value else { return Err(refuse("expected a JSON object".to_owned())) };
    let mut mapped = Mapped::default();
    take(&object, &mut mapped).map_err(refuse)?;
    Ok(mapped)
}

fn take(object: &Map<String, Value>, mapped: &mut Mapped) -> Result<(), String> {
    for (key, value) in object {
        // SDK files state what was not set as null.
        if value.is_null() {
            continue;
        }
        let plain: String = key.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
        match MEANINGS.iter().find(|(known, _)| *known == plain).map(|(_, meaning)| meaning) {
            Some(meaning) => apply(meaning, key, value, mapped)?,
            None => mapped.notes.push(format!("{key}: not a setting of Azure's that is known here; left out")),
        }
    }
    Ok(())
}

fn apply(meaning: &Meaning, key: &str, value: &Value, mapped: &mut Mapped) -> Result<(), String> {
    match meaning {
        Meaning::Implied => {}
        Meaning::ImpliedIf(usual, _) if value.as_bool() == Some(*usual) => {}
        Meaning::ImpliedIf(_, reason) | Meaning::None(reason) => {
            mapped.notes.push(format!("{key}: left out, since {reason}"))
        }
        Meaning::Setting(setting) => {
            let number = value.as_u64().filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("{key}: expected a whole number above 0, got {value}"))?;
            mapped.settings.insert((*setting).to_owned(), number.into());
        }
        Meaning::Tags => {
            let pairs = value.as_object().ok_or_else(|| format!("{key}: expected an object of texts, got {value}"))?;
            for (name, value) in pairs {
                mapped.tags.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        Meaning::Description => {
            let text = value.as_str().ok_or_else(|| format!("{key}: expected a text, got {value}"))?;
            mapped.description = Some(text.to_owned());
        }
        Meaning::Name => {
            let text = value.as_str().ok_or_else(|| format!("{key}: expected a name, got {value}"))?;
            mapped.name = Some(Name::parse(text).map_err(|error| format!("{key}: {error}"))?);
        }
        Meaning::Percentile => {
            let percent = value.as_f64().ok_or_else(|| format!("{key}: expected a percentage, got {value}"))?;
            mapped.traffic = Some(Share::from_percent(percent).map_err(|error| format!("{key}: {error}"))?);
        }
    }
    Ok(())
}

impl Mapped {
    /// What of it is the endpoint's.
    pub fn amendment(&self) -> Amendment {
        Amendment { tags: self.tags.clone(), description: self.description.clone(), ..Amendment::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_sdk_and_cli_mean_the_same() {
        let sdk = r#"{"scoring_timeout_ms": 1000, "replica_max_concurrent_requests": 2, "max_request_wait_time": 50,
                      "auth_enabled": true, "num_replicas": null}"#;
        let cli = r#"{"computeType": "AKS", "scoringTimeoutMs": 1000, "maxConcurrentRequestsPerContainer": 2,
                      "maxQueueWaitMs": 50, "authEnabled": true}"#;
        let (sdk, cli) = (read(sdk, "a").unwrap(), read(cli, "b").unwrap());
        assert_eq!(sdk, cli);
        let settings: Vec<_> = sdk.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(settings, ["queue_max_wait_ms=50", "scoring_timeout_ms=1000", "workers=2"]);
        assert_eq!(sdk.notes, Vec::<String>::new());
    }

    #[test]
    fn what_has_no_meaning_here_is_named_with_the_reason() {
        let text = r#"{"computeType": "aks", "autoScaler": {"autoscaleEnabled": true, "minReplicas": 1},
                       "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0}, "authEnabled": false, "typo": 1,
                       "tags": {"a": "b", "n": 1}, "description": "d"}"#;
        let mapped = read(text, "deploymentconfig.json").unwrap();
        assert_eq!(mapped.notes.len(), 4, "{:?}", mapped.notes);
        assert!(mapped.notes.iter().any(|note| note.starts_with("autoScaler: left out, since any number of servers")));
        assert!(mapped.notes.iter().any(|note| note.starts_with("typo: not a setting")));
        assert_eq!((mapped.tags.len(), mapped.description.as_deref()), (2, Some("d")));
        let script = read(r#"{"entryScript": "score.py", "runtime": "python", "condaFile": "env.yml"}"#, "i").unwrap();
        assert_eq!(script.notes.len(), 3);
    }

    #[test]
    fn a_version_of_an_endpoint_brings_its_name_and_share() {
        let mapped = read(r#"{"version_name": "versiona", "traffic_percentile": 20}"#, "f").unwrap();
        assert_eq!(mapped.name, Some(Name::parse("versiona").unwrap()));
        assert_eq!(mapped.traffic, Some(Share::from_percent(20.0).unwrap()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_file_and_the_key() {
        for (text, part) in [
            ("[1]", "expected a JSON object"),
            ("{", "it is not JSON"),
            (r#"{"scoring_timeout_ms": 0}"#, "scoring_timeout_ms: expected a whole number above 0, got 0"),
            (r#"{"maxQueueWaitMs": "soon"}"#, "maxQueueWaitMs"),
            (r#"{"traffic_percentile": 101}"#, "traffic_percentile"),
            (r#"{"version_name": "../x"}"#, "version_name"),
        ] {
            let error = read(text, "f.json").unwrap_err().to_string();
            assert!(error.starts_with("f.json: ") && error.contains(part), "{error}");
        }
    }
}
