//! What can be wrong with a model. Codes are a contract: `docs/doctor.md` lists them, a test compares.

use serde::Serialize;

/// A finding, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: Code,
    pub severity: Severity,
    /// What is the matter, with names and numbers.
    pub message: String,
    /// What mends it.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The model cannot be served.
    Error,
    /// It can, but not as well as it could, or not with the answers that are expected.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of finding it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the document.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    UnreadableFile = "unreadable_file",
    FaultyFolder = "faulty_folder",
    NotOnnx = "not_onnx",
    TooLarge = "too_large",
    ExternalDataRefused = "external_data_refused",
    UnservableType = "unservable_type",
    NoOutputs = "no_outputs",
    NoInputs = "no_inputs",
    CustomOperator = "custom_operator",
    UnknownOperator = "unknown_operator",
    OperatorNotImplemented = "operator_not_implemented",
    OpsetTooNew = "opset_too_new",
    OpsetTooOld = "opset_too_old",
    IrVersionTooNew = "ir_version_too_new",
    InvalidGraph = "invalid_graph",
    NotLoaded = "not_loaded",
    Environment = "environment",
    EngineUnavailable = "engine_unavailable",
    KillsEngine = "kills_engine",
    TakesTooLong = "takes_too_long",
    LacksMemory = "lacks_memory",
    DoesNotRun = "does_not_run",
    RunsOnOtherInput = "runs_on_other_input",
    SampleRejected = "sample_rejected",
    WrongOutputShape = "wrong_output_shape",
    MapOutput = "map_output",
    FixedBatch = "fixed_batch",
    RowsMayMix = "rows_may_mix",
    RowsAffectEachOther = "rows_affect_each_other",
    RowsNotKept = "rows_not_kept",
    BatchFails = "batch_fails",
    BatchUnknown = "batch_unknown",
    RandomOutput = "random_output",
    ZeroSize = "zero_size",
    UnknownShape = "unknown_shape",
    UnboundedShape = "unbounded_shape",
    HalfPrecision = "half_precision",
    TextInput = "text_input",
    InputHasDefault = "input_has_default",
    OtherEngineCannot = "other_engine_cannot",
}
