//! What the file says by itself: findings without a runtime.

use super::problem::{Code, Problem, Severity};
use crate::engine::{GraphError, Inventory, ZERO_SIZE_REMEDY};
use crate::tensor::{DType, Dim, OutputSpec, Signature, TensorSpec, ValueType};

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Problem>);

/// Domains whose operators come with the runtimes. Others are custom: each needs a library that its authors hand out.
const DOMAINS: [&str; 9] = [
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "ai.onnx.training",
    "com.microsoft",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
    "org.pytorch.aten",
];

/// ONNX Runtime promises nothing about older operator sets (onnxruntime.ai, "Compatibility").
const OLDEST_OPSET: i64 = 7;

impl Findings {
    pub(super) fn add(
        &mut self,
        code: Code,
        severity: Severity,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem { code, severity, message: message.into(), remedy: remedy.into() });
    }

    pub(super) fn has(&self, code: Code) -> bool {
        self.0.iter().any(|problem| problem.code == code)
    }

    pub(super) fn forget(&mut self, code: Code) {
        self.0.retain(|problem| problem.code != code);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All of them, the worst first, and otherwise in the order in which they were found.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.severity);
        self.0
    }

    /// Why there is no signature.
    pub(super) fn graph_error(&mut self, error: &GraphError) {
        match error {
            GraphError::Read { source, .. } => {
                let remedy =
                    "check the path and who may read it; a folder is given as such, a pipe or device not at all";
                self.add(Code::UnreadableFile, Severity::Error, format!("the file cannot be read: {source}"), remedy);
            }
            GraphError::NotOnnx { reason, .. } => {
                let remedy = "export the model to ONNX, or fetch the file again; onnx.checker.check_model(path) tells whether it is one";
                self.add(Code::NotOnnx, Severity::Error, format!("the file is not an ONNX model: {reason}"), remedy);
            }
            GraphError::TooLarge { bytes, .. } => {
                let message = format!("the file has {bytes} bytes, and an ONNX file ends at 2 GiB");
                let remedy = "keep the weights beside it: onnx.save(model, path, save_as_external_data=True)";
                self.add(Code::TooLarge, Severity::Error, message, remedy);
            }
            GraphError::Unservable { place, name, what, remedy } => {
                let message = format!("{place} '{name}' is {what}, which cannot be served");
                self.add(Code::UnservableType, Severity::Error, message, *remedy);
            }
            GraphError::ExternalData { tensor, location, reason } => self.external_data(tensor, location, reason),
            GraphError::Changed { .. } => {
                self.add(Code::UnreadableFile, Severity::Error, error.to_string(), "let nothing write to it meanwhile");
            }
        }
    }

    fn external_data(&mut self, tensor: &str, location: &str, reason: &str) {
        let message = format!("the weights '{tensor}' lie in '{location}', which is refused: {reason}");
        let remedy = "put the weights' file, as a plain file and not as a link, into the model's folder and name it by its name \
                      alone: onnx.save(model, path, save_as_external_data=True, location='weights.bin'); a link may stay where \
                      --external-data-folders names the folder that it leads into";
        self.add(Code::ExternalDataRefused, Severity::Error, message, remedy);
    }

    /// What the parts of a readable file say.
    pub(super) fn inventory(&mut self, inventory: &Inventory) {
        for data in &inventory.external_data {
            if let Err(reason) = &data.file {
                self.external_data(&data.first_tensor, &data.location, reason);
            }
        }
        let custom = inventory.operators.iter().filter(|op| !op.is_function && !DOMAINS.contains(&op.domain.as_str()));
        for operator in custom {
            let remedy = match operator.domain.as_str() {
                "ai.onnx.contrib" => {
                    "it is of onnxruntime-extensions, mostly for text: cut the model after it, and do that step in the client"
                }
                _ => {
                    "libraries of custom operators are not loaded: export the model with standard operators, or with this one as a \
                     function of the model"
                }
            };
            let message = format!("operator {} is of the custom domain '{}'", operator.name, operator.domain);
            self.add(Code::CustomOperator, Severity::Error, message, remedy);
        }
        let opset = inventory.opsets.iter().find(|(domain, _)| domain == "ai.onnx").map(|(_, version)| *version);
        if let Some(version) = opset.filter(|version| *version < OLDEST_OPSET) {
            let message = format!(
                "operator set {version} is older than {OLDEST_OPSET}, the oldest that ONNX Runtime answers for"
            );
            let remedy = "convert it: onnx.version_converter.convert_version(model, 17)";
            self.add(Code::OpsetTooOld, Severity::Warning, message, remedy);
        }
        match &inventory.signature {
            Ok(signature) => self.signature(signature),
            Err(error) => self.graph_error(error),
        }
        if inventory.ir_version >= 4 && !inventory.defaults.is_empty() {
            let message = format!(
                "the model has a value for {} of its own, so that requests do not give it",
                list(&inventory.defaults)
            );
            let remedy = "nothing, if it is a constant; else remove the initializer of that name";
            self.add(Code::InputHasDefault, Severity::Info, message, remedy);
        }
    }

    fn signature(&mut self, signature: &Signature) {
        if signature.outputs.is_empty() {
            let remedy = "export the model with its outputs; graph.output is empty";
            self.add(Code::NoOutputs, Severity::Error, "the model has no outputs: every answer would be empty", remedy);
        }
        if signature.inputs.is_empty() {
            let remedy = "if it is to take something, see that graph.input lists it and no initializer has its name";
            self.add(Code::NoInputs, Severity::Warning, "the model takes no inputs: every answer is the same", remedy);
        }
        signature.outputs.iter().for_each(|output| self.output(output));
        signature.inputs.iter().for_each(|input| self.input(input));
        for input in signature.inputs.iter().filter(|input| input.is_always_empty()) {
            let message = format!("input '{}' is {input}: with the size 0, requests can give it no value", input.name);
            self.add(Code::ZeroSize, Severity::Warning, message, ZERO_SIZE_REMEDY);
        }
        let is_unbounded = |dims: &&Vec<Dim>| dims.len() > 1 && dims.iter().all(|dim| matches!(dim, Dim::Dynamic(_)));
        let unbounded = signature.inputs.iter().filter(|input| input.dims.as_ref().filter(is_unbounded).is_some());
        let unbounded: Vec<String> = unbounded.map(|input| input.name.clone()).collect();
        if !unbounded.is_empty() {
            let message = format!(
                "every dimension of {} is dynamic, so that a request's cost is bounded by max_elements alone",
                list(&unbounded)
            );
            let remedy =
                "fix the dimensions that never differ, such as the number of features; or lower --max-elements";
            self.add(Code::UnboundedShape, Severity::Info, message, remedy);
        }
    }

    fn output(&mut self, OutputSpec { name, value }: &OutputSpec) {
        let is_map = |value: &ValueType| match value {
            ValueType::Map { .. } => true,
            ValueType::Sequence(item) => matches!(**item, ValueType::Map { .. }),
            ValueType::Tensor { .. } => false,
        };
        match value {
            ValueType::Tensor { .. } => {}
            value if is_map(value) => {
                let message =
                    format!("output '{name}' is a {value} (ZipMap): only JSON can carry it, and rows cannot be joined");
                let remedy = "export without ZipMap, for a tensor of probabilities: \
                              skl2onnx.to_onnx(…, options={'zipmap': False}), or zipmap=False in onnxmltools";
                self.add(Code::MapOutput, Severity::Warning, message, remedy);
            }
            value => {
                let message =
                    format!("output '{name}' is a {value}: only JSON can carry it, and rows cannot be joined");
                let remedy = "export with plain tensor outputs, as by ConcatFromSequence";
                self.add(Code::MapOutput, Severity::Warning, message, remedy);
            }
        }
    }

    fn input(&mut self, input: &TensorSpec) {
        let TensorSpec { name, dtype, dims } = input;
        if dims.is_none() {
            let message = format!(
                "input '{name}' does not declare its shape, so that a wrong one is found out by the model only"
            );
            let remedy = "export with shapes, or set them: onnx.tools.update_model_dims";
            self.add(Code::UnknownShape, Severity::Info, message, remedy);
        }
        match dtype {
            DType::F16 | DType::BF16 => {
                let message =
                    format!("input '{name}' is {dtype}: numbers are rounded to it, and processors compute it slowly");
                let remedy = "for processors, export with float32 inputs";
                self.add(Code::HalfPrecision, Severity::Info, message, remedy);
            }
            DType::String => {
                let message = format!("input '{name}' is of texts, which raw and safetensors bodies cannot carry");
                self.add(Code::TextInput, Severity::Info, message, "send JSON, .npy or .npz");
            }
            _ => {}
        }
    }
}

/// `'a', 'b'`, cut short after a few.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
