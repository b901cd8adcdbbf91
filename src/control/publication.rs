//! From what is wanted of an endpoint and what has been loaded to the endpoint that answers.

use std::sync::Arc;

use super::controller::Governed;
use crate::auth::WatchedRing;
use crate::deployment::{Comparison, Deployment, Dice, Endpoint, Mirror, MirrorThread, Target, Traffic};
use crate::experiment::Recorder;
use crate::name::Name;
use crate::telemetry::Metrics;

/// What an endpoint is made of.
pub(super) struct Publication<'a> {
    pub governed: &'a Governed,
    /// The one that is served now.
    pub previous: Option<&'a Endpoint>,
    pub metrics: &'a Metrics,
    pub dice: &'a Arc<Dice>,
}

impl Publication<'_> {
    /// The endpoint, if any of its deployments can answer. `thread` is started when something is mirrored first.
    pub fn endpoint(&self, thread: &mut Option<MirrorThread>) -> Option<Endpoint> {
        let wanted = &self.governed.wanted;
        let slots = &self.governed.slots;
        let ready = slots.values().filter_map(|slot| slot.serving.as_ref());
        let deployments: Vec<_> = ready.map(|serving| Arc::clone(&serving.deployment)).collect();
        let names: Vec<_> = deployments.iter().map(|deployment| &deployment.name).collect();
        // Versions without shares stand in for each other by their number, as long as the one that is to answer cannot.
        let newest = || deployments.iter().max_by_key(|deployment| deployment.model.version);
        let default = wanted.default.as_ref().filter(|default| names.contains(default));
        let default =
            default.or_else(|| newest().filter(|_| wanted.traffic.is_empty()).map(|deployment| &deployment.name));
        let traffic = Traffic::new(&wanted.name, &names, &wanted.traffic, default);
        let is_default = |deployment: &&Arc<Deployment>| Some(&deployment.name) == wanted.default.as_ref();
        let first = deployments.iter().find(is_default).or(deployments.first())?;
        let absent = slots.iter().filter(|(_, slot)| slot.serving.is_none()).map(|(name, _)| name.clone());
        Some(Endpoint {
            name: wanted.name.clone(),
            keys: wanted
                .keys
                .map(|ring| WatchedRing::new(ring, self.previous.and_then(|previous| previous.keys.as_ref()))),
            signature: Arc::clone(&first.signature),
            example: first.example.clone(),
            settings: wanted.settings,
            absent: absent.collect(),
            traffic,
            sticky: wanted.sticky.clone(),
            dice: Arc::clone(self.dice),
            mirror: self.mirror(&deployments, thread).map(Arc::new),
            revision: wanted.revision,
            recorders: self.recorders(&deployments),
            statistics: Arc::clone(&self.governed.statistics),
            deployments,
        })
    }

    fn mirror(&self, deployments: &[Arc<Deployment>], thread: &mut Option<MirrorThread>) -> Option<Mirror> {
        let wanted = &self.governed.wanted;
        let targets = wanted.mirror.iter().filter_map(|(name, share)| {
            let deployment = deployments.iter().find(|deployment| deployment.name == *name)?;
            Some(Target {
                share: *share,
                comparisons: deployments.iter().map(|answering| self.comparison(answering, deployment)).collect(),
                metrics: Arc::new(self.metrics.mirror(wanted.name.as_str(), name.as_str())),
                recorder: self.recorder(name),
                tolerance: wanted.answer_tolerance,
                deployment: Arc::clone(deployment),
            })
        });
        let targets: Vec<_> = targets.filter(|target| target.share.hundredths() > 0).collect();
        if targets.is_empty() {
            return None;
        }
        if thread.is_none() {
            let started = MirrorThread::start();
            *thread = started.inspect_err(|error| tracing::error!(%error, "requests cannot be mirrored")).ok();
        }
        Some(Mirror::new(targets, thread.clone()?, Arc::clone(self.dice)))
    }

    /// One for each deployment, or none at all.
    fn recorders(&self, deployments: &[Arc<Deployment>]) -> Vec<Arc<Recorder>> {
        let recorders = deployments.iter().map(|deployment| self.recorder(&deployment.name));
        recorders.collect::<Option<_>>().unwrap_or_default()
    }

    /// Where a deployment's answers are counted. What has no revision is not part of any experiment.
    fn recorder(&self, deployment: &Name) -> Option<Arc<Recorder>> {
        self.governed.statistics.recorder(self.governed.wanted.revision?, deployment)
    }

    /// What has been measured between these two so far; anew if either is another than before.
    fn comparison(&self, answering: &Arc<Deployment>, compared: &Arc<Deployment>) -> Arc<Comparison> {
        let before = || {
            let previous = self.previous?;
            let target = previous.mirror.as_ref()?.targets.iter().find(|target| same(&target.deployment, compared))?;
            let index = previous.deployments.iter().position(|deployment| same(deployment, answering))?;
            target.comparisons.get(index).cloned()
        };
        let name = |deployment: &Deployment| -> Name { deployment.name.clone() };
        before().unwrap_or_else(|| Arc::new(Comparison::new(name(answering), name(compared))))
    }
}

/// Whether two are of the same sessions.
fn same(a: &Deployment, b: &Deployment) -> bool {
    Arc::ptr_eq(&a.scheduler, &b.scheduler)
}
