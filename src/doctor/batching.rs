//! Whether rows of several requests could share a run, in words.

use std::fmt::Display;

use serde::Serialize;

use super::findings::Findings;
use super::problem::{Code, Severity};
use crate::probe::joining::{Evidence, Joining, ObstacleKind, PROVEN, doubt};

/// The verdict on joining rows, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Batching {
    /// Proven so, and shown so.
    pub safe: bool,
    /// A sentence.
    pub reason: String,
    #[serde(flatten)]
    pub found: Joining,
}

const DYNAMIC_REMEDY: &str = "export with a dynamic first dimension for every input and output, for requests of any number of rows: \
    torch.onnx.export(…, dynamic_axes={'x': {0: 'batch'}, …}), FloatTensorType([None, n]) in skl2onnx";

const MIX_REMEDY: &str = "nothing, if requests may run one by one; dynamic quantisation takes its scale from all rows of a run: quantise \
    statically (onnxruntime.quantization.quantize_static) instead; if you know that the operator keeps rows apart, set \
    allow_rows_to_mix for the endpoint: answers then depend on other clients' rows if you are mistaken";

impl Batching {
    pub(super) fn new(found: Joining) -> Batching {
        let reason = match (&found.obstacle, doubt(&found.row_wise), &found.evidence) {
            (Some(obstacle), ..) => obstacle.to_string(),
            (None, Some(doubt), Some(evidence)) => format!("{doubt}; tried all the same, {evidence}"),
            (None, None, Some(evidence)) => format!("{PROVEN}, and {evidence}"),
            (None, _, None) => "it was not tried".to_owned(),
        };
        Batching { safe: found.is_safe(), reason, found }
    }

    /// What is to be said about it, with remedies.
    pub(super) fn report(&self, findings: &mut Findings) {
        let alone = |why: &dyn Display| format!("rows of several requests will not share a run: {why}");
        if let Some(obstacle) = &self.found.obstacle {
            // Others are told as findings of their own.
            if let ObstacleKind::FixedRows(_) = obstacle.kind {
                findings.add(Code::FixedBatch, Severity::Warning, alone(obstacle), DYNAMIC_REMEDY);
            }
        } else if let Some(doubt) = doubt(&self.found.row_wise).filter(|_| self.found.is_shown()) {
            findings.add(Code::RowsMayMix, Severity::Info, alone(&doubt), MIX_REMEDY);
        }
        let Some(evidence) = &self.found.evidence else { return };
        let message = evidence.to_string();
        match evidence {
            Evidence::Same | Evidence::Rounded { .. } | Evidence::NotRun { .. } => {}
            Evidence::Differs { .. } => {
                let remedy = "export the model for inference (model.eval(), training=TrainingMode.EVAL): batch normalisation in \
                              training mode mixes rows, as does dynamic quantisation; else send one request's rows at a time, as they belong together";
                findings.add(Code::RowsAffectEachOther, Severity::Warning, message, remedy);
            }
            Evidence::OtherRowCount { .. } => {
                let remedy = "nothing, if the model sums its rows up on purpose; else declare the output's first dimension as \
                              what it is";
                findings.add(Code::RowsNotKept, Severity::Warning, message, remedy);
            }
            Evidence::NotRepeatable { .. } => {
                let remedy = "export the model for inference (model.eval()), which leaves out dropout, sampling and the training \
                              mode of batch normalisation; else expect \
                              another answer each time";
                findings.add(Code::RandomOutput, Severity::Warning, message, remedy);
            }
            Evidence::JoinedFails { .. } => {
                let remedy = "the model has a size built in that its inputs do not declare, often by a Reshape to fixed numbers: \
                              export with dynamic axes, or declare the first dimension as fixed";
                findings.add(Code::BatchFails, Severity::Warning, message, remedy);
            }
        }
    }
}
