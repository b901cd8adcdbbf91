//! What a version was measured to do: reports of `scoria profile`, stored with it, and what of the latest is acted on.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::{ModelRef, Models, RegistryError, Revision, RevisionLog};
use crate::moment::Moment;

/// The settings that a profile may recommend: those of the scheduler, which answer nothing otherwise, but sooner or later.
const RECOMMENDED: [&str; 4] = ["execution", "workers", "intra_op_threads", "max_batch"];

/// Settings by their keys, as a deployment has them.
pub type Recommended = BTreeMap<String, Json>;

/// A stored report, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileView<'a> {
    pub revision: u64,
    pub at: Moment,
    pub by: &'a str,
    /// As `scoria profile` has it (docs/profile.md).
    pub report: &'a Json,
}

impl Models {
    /// The measurements of a version, as reports have them.
    pub fn profile(&self, model: &ModelRef) -> RevisionLog<Json> {
        RevisionLog::new(self.store(), self.folder(model).join("profile"), format!("the profile of {model}"))
    }

    /// The settings with which a version was last measured to meet its objective; none if it was not, or never measured.
    pub async fn recommended(&self, model: &ModelRef) -> Result<Recommended, RegistryError> {
        Ok(self.profile(model).latest().await?.map(|profile| recommended(&profile.body)).unwrap_or_default())
    }
}

impl<'a> ProfileView<'a> {
    pub fn of(profile: &'a Revision<Json>) -> ProfileView<'a> {
        let Revision { revision, at, by, body, .. } = profile;
        ProfileView { revision: *revision, at: *at, by, report: body }
    }
}

/// What a report recommends. A registry may hold what others have written: nothing but settings of the scheduler is taken.
pub fn recommended(report: &Json) -> Recommended {
    if report["objectiveMet"] != Json::Bool(true) {
        return Recommended::new();
    }
    let settings =
        RECOMMENDED.iter().filter_map(|key| Some(((*key).to_owned(), report["recommended"].get(key)?.clone())));
    settings.filter(|(_, value)| !value.is_null()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_shown_to_do_and_is_the_schedulers_is_recommended() {
        let settings = json!({ "execution": "auto", "workers": 2, "max_batch": null, "scoring_timeout_ms": 1 });
        let of = |met: Json| recommended(&json!({ "objectiveMet": met, "recommended": settings }));
        let expected = [("execution".to_owned(), json!("auto")), ("workers".to_owned(), json!(2))];
        assert_eq!(of(json!(true)), expected.into());
        assert_eq!(of(json!(false)), Recommended::new());
        assert_eq!(recommended(&json!([1])), Recommended::new());
        assert_eq!(recommended(&json!({ "objectiveMet": true, "recommended": null })), Recommended::new());
    }
}
