//! `version_policy`: which of the version folders are served.

use super::draft::Draft;
use super::schema;
use crate::pbtxt::{Fault, Field};

/// Which versions of a model are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// So many of the highest ones; at least 1.
    Latest(u32),
    All,
    /// In ascending order, at least one.
    Specific(Vec<u64>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        VersionPolicy::Latest(1)
    }
}

impl VersionPolicy {
    pub(super) fn read(field: &Field, draft: &mut Draft) -> Result<VersionPolicy, Fault> {
        let choices = schema::VERSION_POLICY.of(field.message()?)?;
        let [choice] = choices else {
            return Err(
                field.fault("expected one of latest { num_versions: N }, all {} and specific { versions: […] }")
            );
        };
        let inner = choice.message()?;
        match choice.name.as_str() {
            "latest" => {
                let number = schema::LATEST.of(inner)?.first().map(|field| field.count(u32::MAX)).transpose()?;
                let number = number.unwrap_or(1).max(1);
                if number > 1 {
                    draft.notice(choice, SINGLE);
                }
                Ok(VersionPolicy::Latest(number))
            }
            "all" => {
                schema::ALL.of(inner)?;
                draft.notice(choice, SINGLE);
                Ok(VersionPolicy::All)
            }
            _ => {
                let fields = schema::SPECIFIC.of(inner)?;
                let versions = fields.iter().map(|field| field.integer(0, i64::MAX).map(i64::unsigned_abs));
                let mut versions = versions.collect::<Result<Vec<_>, _>>()?;
                versions.sort_unstable();
                versions.dedup();
                match versions.len() {
                    0 => Err(choice.fault("names no version: versions: [1]")),
                    1 => Ok(VersionPolicy::Specific(versions)),
                    _ => {
                        draft.notice(choice, SINGLE);
                        Ok(VersionPolicy::Specific(versions))
                    }
                }
            }
        }
    }

    /// Which of the versions that there are is served; `None` if the policy leaves none.
    pub fn pick(&self, there_are: impl IntoIterator<Item = u64>) -> Option<u64> {
        there_are.into_iter().filter(|version| self.allows(*version)).max()
    }

    fn allows(&self, version: u64) -> bool {
        match self {
            VersionPolicy::Latest(_) | VersionPolicy::All => true,
            VersionPolicy::Specific(versions) => versions.contains(&version),
        }
    }
}

const SINGLE: &str = "one version of a folder is served, the highest that the policy allows; serve another one under a name of \
                      its own: `scoria serve name=<folder>/<version>/model.onnx`";
