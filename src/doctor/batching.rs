//! Whether rows of several requests could share a run, in words.

use serde::Serialize;

use super::findings::Findings;
use super::problem::{Code, Severity};
use crate::engine::RowWise;
use crate::probe::joining::{Evidence, Joining, Obstacle, ObstacleKind, Place};

/// The verdict on joining rows, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Batching {
    /// Declared or proven so, and shown so.
    pub safe: bool,
    /// A sentence.
    pub reason: String,
    #[serde(flatten)]
    pub found: Joining,
}

const DYNAMIC_REMEDY: &str = "export with a dynamic first dimension for every input and output, for requests of any number of rows: \
    torch.onnx.export(…, dynamic_axes={'x': {0: 'batch'}, …}), FloatTensorType([None, n]) in skl2onnx";

const NAME_REMEDY: &str = "name it when exporting (dynamic_axes={'x': {0: 'batch'}, …} in torch.onnx.export), or in the exported model: \
    for v in [*model.graph.input, *model.graph.output]: v.type.tensor_type.shape.dim[0].dim_param = 'batch'";

impl Batching {
    pub(super) fn new(found: Joining) -> Batching {
        let reason = match (found.objection(), &found.evidence) {
            (Some(obstacle), Some(evidence)) => {
                format!("{}{}; tried all the same, {}", declared(obstacle), unproven(&found.row_wise), shown(evidence))
            }
            (Some(obstacle), None) => declared(obstacle),
            (None, Some(evidence)) => format!("{}, and {}", proven(&found), shown(evidence)),
            (None, None) => "it was not tried".to_owned(),
        };
        Batching { safe: found.is_safe(), reason, found }
    }

    /// What is to be said about it, with remedies.
    pub(super) fn report(&self, findings: &mut Findings) {
        if let Some(obstacle) = self.found.objection() {
            let message = format!("rows of several requests will not share a run: {}", declared(obstacle));
            match obstacle.kind {
                ObstacleKind::FixedRows(_) => {
                    findings.add(Code::FixedBatch, Severity::Warning, message, DYNAMIC_REMEDY);
                }
                ObstacleKind::UnnamedRows => findings.add(Code::UnnamedBatch, Severity::Info, message, NAME_REMEDY),
                ObstacleKind::OtherRows { .. } => {
                    let remedy = "if they are the same, give them one name when exporting, or rename them in the file \
                                  (dim_param)";
                    findings.add(Code::BatchNamesDiffer, Severity::Info, message, remedy);
                }
                // Told as findings of their own.
                ObstacleKind::None | ObstacleKind::NotATensor | ObstacleKind::UnknownRank | ObstacleKind::Scalar => {}
            }
        }
        let Some(evidence) = &self.found.evidence else { return };
        let message = shown(evidence);
        match evidence {
            Evidence::Same | Evidence::Rounded { .. } | Evidence::NotRun { .. } => {}
            Evidence::Differs { .. } => {
                let remedy = "export the model for inference (model.eval(), training=TrainingMode.EVAL): batch normalisation in \
                              training mode mixes rows; else send one request's rows at a time, as they belong together";
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

/// Why it is believed that rows stay apart, where nothing speaks against it.
fn proven(found: &Joining) -> &'static str {
    match found.row_wise {
        RowWise::Proven => "every operator keeps rows apart",
        RowWise::Unknown | RowWise::Unproven { .. } => "every input and output has the same dynamic first dimension",
    }
}

/// The operator that keeps an obstacle from being refuted.
fn unproven(row_wise: &RowWise) -> String {
    match row_wise {
        RowWise::Unproven { operator } => format!(", and {operator} may mix rows"),
        RowWise::Proven | RowWise::Unknown => String::new(),
    }
}

fn declared(Obstacle { place, name, kind }: &Obstacle) -> String {
    let place = match place {
        Place::Input => "input",
        Place::Output => "output",
    };
    match kind {
        ObstacleKind::None => format!("there is no {place}"),
        ObstacleKind::NotATensor => format!("{place} '{name}' is a sequence or a map, not a tensor"),
        ObstacleKind::UnknownRank => format!("{place} '{name}' does not declare how many dimensions it has"),
        ObstacleKind::Scalar => format!("{place} '{name}' is a scalar, which has no rows"),
        ObstacleKind::FixedRows(rows) => format!("the first dimension of {place} '{name}' is always {rows}"),
        ObstacleKind::UnnamedRows => {
            format!(
                "the first dimension of {place} '{name}' has no name, so that nothing says it is that of the others"
            )
        }
        ObstacleKind::OtherRows { symbol, expected } => {
            format!("the first dimension of {place} '{name}' is called '{symbol}', others' is called '{expected}'")
        }
    }
}

fn shown(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Same => "joined rows give the same bits as separate ones".to_owned(),
        Evidence::Rounded { absolute, .. } => {
            format!("joined rows give what separate ones do but for rounding, {absolute:.1e} at most")
        }
        Evidence::Differs { output, absolute: Some(absolute) } => {
            format!("joined rows give other answers than separate ones: output '{output}' differs by {absolute:.1e}")
        }
        Evidence::Differs { output, absolute: None } => {
            format!("joined rows give other answers than separate ones in output '{output}'")
        }
        Evidence::OtherRowCount { output, rows, got: Some(got) } => {
            format!("output '{output}' has {got} rows for {rows}")
        }
        Evidence::OtherRowCount { output, rows, got: None } => format!("output '{output}' has no rows, for {rows}"),
        Evidence::NotRepeatable { output } => format!("output '{output}' is another one each time for the same input"),
        Evidence::JoinedFails { reason } => {
            format!("the model runs on some numbers of rows and not on others: {reason}")
        }
        Evidence::NotRun { reason } => format!("the model did not run on made-up rows: {reason}"),
    }
}
