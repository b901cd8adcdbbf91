//! Where a registry is: a folder, or a place in a store of S3, Azure Blob or Google Cloud Storage.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio_rustls::rustls::crypto::ring;

use super::store::{Store, sync_folder};
use super::{RegistryError, StoreLimits};

/// The place of a registry, checked for its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryUrl {
    text: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Bucket { service: Service, prefix: ObjectPath },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    S3,
    Azure,
    Google,
}

/// What to do where there is no folder of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Make it.
    Create,
    /// Say so: it is more likely a slip than a registry without models.
    Expect,
}

/// How a registry is opened.
#[derive(Clone, Debug)]
pub struct Access {
    pub limits: StoreLimits,
    pub presence: Presence,
    /// The environment's `AWS_…`, `AZURE_…` and `GOOGLE_…` variables: who we are, and where the service is.
    pub variables: Vec<(String, String)>,
}

impl Access {
    /// Without credentials, which a folder does not need.
    pub fn to_folder(limits: StoreLimits, presence: Presence) -> Access {
        Access { limits, presence, variables: Vec::new() }
    }
}

impl FromStr for RegistryUrl {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<RegistryUrl, RegistryError> {
        let refuse = |reason: String| RegistryError::Url { url: text.to_owned(), reason };
        let Some((scheme, rest)) = text.split_once("://") else {
            if text.is_empty() {
                return Err(refuse("it is empty".to_owned()));
            }
            return Ok(RegistryUrl { text: text.to_owned(), place: Place::Folder(text.into()) });
        };
        let service = match scheme {
            "file" if rest.starts_with('/') => {
                return Ok(RegistryUrl { text: text.to_owned(), place: Place::Folder(rest.into()) });
            }
            "file" => return Err(refuse("a file:// URL has an absolute path, as in file:///srv/registry".to_owned())),
            "s3" | "s3a" => Service::S3,
            "az" | "azure" | "adl" | "abfs" | "abfss" => Service::Azure,
            "gs" => Service::Google,
            _ => {
                return Err(refuse(
                    "give a folder, file:///…, s3://bucket/…, az://container/… or gs://bucket/…".to_owned(),
                ));
            }
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refuse(format!("name a bucket, as in {scheme}://models/registry")));
        }
        let prefix = ObjectPath::parse(path).map_err(|error| refuse(error.to_string()))?;
        Ok(RegistryUrl { text: text.to_owned(), place: Place::Bucket { service, prefix } })
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl RegistryUrl {
    /// A folder.
    pub fn folder(path: &Path) -> RegistryUrl {
        RegistryUrl { text: path.display().to_string(), place: Place::Folder(path.to_owned()) }
    }

    /// Whether it is a folder that exists; of a store in a network nobody knows.
    pub fn is_there(&self) -> bool {
        match &self.place {
            Place::Folder(folder) => folder.is_dir(),
            Place::Bucket { .. } => true,
        }
    }

    /// Opens the store. Reaches for it only where it is a folder.
    pub fn open(&self, access: &Access) -> Result<Store, RegistryError> {
        let refuse = |reason: String| RegistryError::Url { url: self.text.clone(), reason };
        match &self.place {
            Place::Folder(folder) => self.open_folder(folder, access),
            Place::Bucket { service, prefix } => {
                // The HTTP client has no cryptography of its own. A second call changes nothing.
                drop(ring::default_provider().install_default());
                let backend = service.connect(&self.text, access).map_err(|error| refuse(error.to_string()))?;
                Ok(Store::new(backend, prefix.clone(), None, access.limits))
            }
        }
    }

    fn open_folder(&self, folder: &Path, access: &Access) -> Result<Store, RegistryError> {
        let refuse = |reason: String| RegistryError::Url { url: self.text.clone(), reason };
        match access.presence {
            Presence::Create => create_folder(folder).map_err(|error| refuse(format!("it cannot be made: {error}")))?,
            Presence::Expect if !folder.is_dir() => {
                return Err(RegistryError::NotFound {
                    what: format!("registry at {}; `scoria register` makes one", folder.display()),
                });
            }
            Presence::Expect => {}
        }
        let root = folder.canonicalize().map_err(|error| refuse(error.to_string()))?;
        let backend = LocalFileSystem::new_with_prefix(&root).map_err(|error| refuse(error.to_string()))?;
        Ok(Store::new(Arc::new(backend.with_fsync(true)), ObjectPath::ROOT, Some(root), access.limits))
    }
}

impl Service {
    fn connect(self, url: &str, access: &Access) -> object_store::Result<Arc<dyn ObjectStore>> {
        // What fails for longer is tried again by `Store`, which knows what may be tried again.
        let retries = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: access.limits.pause,
                max_backoff: StoreLimits::PAUSE_MAX,
                base: 2.0,
            },
            max_retries: 2,
            retry_timeout: access.limits.attempt,
        };
        let options = ClientOptions::new().with_timeout(access.limits.attempt).with_connect_timeout(CONNECT_TIMEOUT);
        let variables = access.variables.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        Ok(match self {
            Service::S3 => {
                let known =
                    variables.filter_map(|(name, value)| Some((name.parse::<AmazonS3ConfigKey>().ok()?, value)));
                let builder = AmazonS3Builder::new().with_client_options(options).with_retry(retries).with_url(url);
                Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
            Service::Azure => {
                let known = variables.filter_map(|(name, value)| Some((name.parse::<AzureConfigKey>().ok()?, value)));
                let builder =
                    MicrosoftAzureBuilder::new().with_client_options(options).with_retry(retries).with_url(url);
                Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
            Service::Google => {
                let known = variables.filter_map(|(name, value)| Some((name.parse::<GoogleConfigKey>().ok()?, value)));
                let builder = GoogleCloudStorageBuilder::new().with_client_options(options);
                let builder = builder.with_retry(retries).with_url(url);
                Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
        })
    }
}

/// The time to a connection; what takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes a folder and those above it, to stay.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let folder = std::path::absolute(folder)?;
    std::fs::create_dir_all(&folder)?;
    folder.ancestors().take_while(|above| above.parent().is_some()).try_for_each(sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_by_its_scheme() {
        let bucket = |service, prefix: &str| Place::Bucket { service, prefix: ObjectPath::parse(prefix).unwrap() };
        for (text, place) in [
            ("/srv/registry", Place::Folder("/srv/registry".into())),
            ("registry", Place::Folder("registry".into())),
            ("file:///srv/a b", Place::Folder("/srv/a b".into())),
            ("s3://models", bucket(Service::S3, "")),
            ("s3://models/team/a/", bucket(Service::S3, "team/a")),
            ("az://models/team", bucket(Service::Azure, "team")),
            ("abfss://models@account.dfs.core.windows.net/team", bucket(Service::Azure, "team")),
            ("gs://models/team", bucket(Service::Google, "team")),
        ] {
            assert_eq!(text.parse::<RegistryUrl>().unwrap().place, place, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_is() {
        for text in ["", "http://127.0.0.1/", "s3://", "s3:///x", "file://srv", "az://c/../d", "gs://b/a//b", "ftp://x"]
        {
            let error = text.parse::<RegistryUrl>().unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::BadInput, "{text}: {error}");
        }
    }
}
