//! `version_policy`: which of the version folders are served.

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
    pub(super) fn read(field: &Field) -> Result<VersionPolicy, Fault> {
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
                Ok(VersionPolicy::Latest(number.unwrap_or(1).max(1)))
            }
            "all" => {
                schema::ALL.of(inner)?;
                Ok(VersionPolicy::All)
            }
            _ => {
                let fields = schema::SPECIFIC.of(inner)?;
                let versions = fields.iter().map(|field| field.integer(0, i64::MAX).map(i64::unsigned_abs));
                let mut versions = versions.collect::<Result<Vec<_>, _>>()?;
                versions.sort_unstable();
                versions.dedup();
                if versions.is_empty() {
                    return Err(choice.fault("names no version: versions: [1]"));
                }
                Ok(VersionPolicy::Specific(versions))
            }
        }
    }

    /// Whether several versions may be served.
    pub fn is_several(&self) -> bool {
        match self {
            VersionPolicy::Latest(number) => *number > 1,
            VersionPolicy::All => true,
            VersionPolicy::Specific(versions) => versions.len() > 1,
        }
    }

    /// Which of the versions that there are, in ascending order, are served.
    pub fn pick(&self, mut there_are: Vec<u64>) -> Vec<u64> {
        match self {
            VersionPolicy::All => {}
            VersionPolicy::Latest(number) => {
                there_are.drain(..there_are.len().saturating_sub(*number as usize));
            }
            VersionPolicy::Specific(versions) => there_are.retain(|version| versions.contains(version)),
        }
        there_are
    }
}
