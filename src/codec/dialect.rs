//! Whose clients a body comes from.

/// The server that a route imitates: it decides which forms of JSON a body may have, and the form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Our own routes: every form is taken, and answered in kind.
    #[default]
    Any,
    /// `instances` (rows) or `inputs` (columns); answered `predictions` and `outputs`. KServe's version 1 is the former alone.
    TensorFlowServing,
    /// `dataframe_split`, `dataframe_records`, `instances` or `inputs`, and CSV; always answered `predictions`.
    Mlflow,
}
