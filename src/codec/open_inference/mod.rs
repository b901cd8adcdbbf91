//! The Open Inference Protocol (KServe v2) with Triton's extensions, as far as it is the same over REST and gRPC.
//!
//! Pure: what the protocol calls an element type, what a server, a model and its counters look like in it, what a request may
//! ask for, and how its tensors come in and go out. The plain structures serialize as the REST form; gRPC has messages of
//! its own. [`Receiver`] and [`encode`] are the bodies of REST's `infer`. Callers: `http/v2/` and the gRPC service.
//!
//! Sources: KServe's `open-inference-protocol` specification and Triton's `docs/protocol/extension_*.md`.

mod carried;
mod classification;
mod config;
pub mod datatype;
mod example;
mod extensions;
mod head;
mod intake;
mod metadata;
mod parameters;
pub mod protobuf;
mod raw_body;
mod receive;
mod region;
mod reply;
mod statistics;
mod wanted;

pub use carried::{Carried, carried_spec, into_tensor, output_bytes};
pub use classification::classify;
pub use config::{
    DynamicBatching, InstanceGroup, ModelConfig, ModelFacts, ModelInput, ModelOutput, Specific, StringParameter,
    TransactionPolicy, VersionPolicy, is_batched,
};
pub use example::{DOCUMENT_ELEMENTS_MAX, ERROR_ELEMENTS_MAX, example};
pub use extensions::{Capabilities, extensions};
pub use intake::{Intake, Place};
pub use metadata::{ModelMetadata, ServerMetadata, TensorMetadata, platform};
pub use parameters::{InputParameters, OutputParameters, Parameter, RequestParameters};
pub use receive::{InferRequest, JSON_LENGTH_HEADER, Receiver};
pub use region::{NoRegions, Region, Regions};
pub use reply::{Answering, InferReply, encode};
pub use statistics::{BatchStatistics, Counted, InferStatistics, ModelStatistics, StatisticsReply};
pub use wanted::{Wanted, WantedOutput};

#[cfg(test)]
mod tests;
