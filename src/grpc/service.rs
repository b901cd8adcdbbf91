//! The methods of `inference.GRPCInferenceService` but inference itself: one message in, one out.
//!
//! What they say is said over REST too, by the same functions (`http/v2/`); here it is put into messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::infer::model;
use super::messages::Messages;
use super::{Context, unknown_method};
use crate::codec::open_inference::protobuf::{Message, messages as proto};
use crate::error::ErrorKind;
use crate::http::pipeline::{
    About, ApiError, Memory, Told, all_statistics, logging, metadata, must_administer, overloaded, repository,
    shared_memory, shared_memory::Registration, tell, trace,
};
use crate::shared_memory::RegionStatus;

/// The longest message of these methods.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Answers a method that is none of inference.
pub async fn answer(context: Context<'_>, method: &str, messages: &mut Messages) -> Result<Message, ApiError> {
    let bytes = read(context, messages).await?;
    match method {
        "ServerLive" => {
            let proto::ServerLiveRequest {} = decode(&bytes)?;
            Ok(Message::of(&proto::ServerLiveResponse { live: true }))
        }
        "ServerReady" => {
            let proto::ServerReadyRequest {} = decode(&bytes)?;
            Ok(Message::of(&proto::ServerReadyResponse { ready: context.server.scoring.is_ready() }))
        }
        "ServerMetadata" => {
            let proto::ServerMetadataRequest {} = decode(&bytes)?;
            Ok(Message::of(&proto::ServerMetadataResponse::from(metadata(&context.server.scoring))))
        }
        "ModelReady" | "ModelMetadata" | "ModelConfig" | "ModelStatistics" => of_model(context, method, &bytes),
        "RepositoryIndex" | "RepositoryModelLoad" | "RepositoryModelUnload" => {
            of_repository(context, method, &bytes).await
        }
        "TraceSetting" => trace_setting(context, &bytes),
        "LogSettings" => log_settings(context, &bytes),
        _ => of_shared_memory(context, method, &bytes),
    }
}

/// Reads a method's message.
pub async fn read(context: Context<'_>, messages: &mut Messages) -> Result<Bytes, ApiError> {
    let mut permit = context.server.scoring.admission.admit(0).ok_or_else(overloaded)?;
    messages.only(MESSAGE_BYTES_MAX, &mut permit).await
}

/// A method's message.
pub fn decode<M: prost::Message + Default>(bytes: &Bytes) -> Result<M, ApiError> {
    M::decode(bytes.clone()).map_err(|error| {
        let message = format!("the message is not what the method takes: {error}");
        ApiError::new(ErrorKind::BadInput, "malformed_body", message)
    })
}

/// What is told of a model. All these requests have the same fields.
fn of_model(context: Context<'_>, method: &str, bytes: &Bytes) -> Result<Message, ApiError> {
    let proto::ModelReadyRequest { name, version } = decode(bytes)?;
    let about = match method {
        "ModelReady" => About::Ready,
        "ModelMetadata" => About::Metadata,
        "ModelConfig" => About::Config,
        _ => About::Statistics,
    };
    let scoring = &context.server.scoring;
    let told = if name.is_empty() && about == About::Statistics {
        Told::Statistics(all_statistics(scoring, context.headers)?)
    } else {
        match tell(scoring, &model(&name, &version)?, about, context.headers) {
            // As Triton has it over gRPC: what is not there is not ready.
            Err(error) if about == About::Ready && error.kind == ErrorKind::NotFound => Told::Ready(false),
            told => told?,
        }
    };
    Ok(match told {
        Told::Ready(ready) => Message::of(&proto::ModelReadyResponse { ready }),
        Told::Metadata(metadata) => Message::of(&proto::ModelMetadataResponse::from(metadata)),
        Told::Config(config) => Message::of(&proto::ModelConfigResponse { config: Some(config.into()) }),
        Told::Statistics(statistics) => Message::of(&proto::ModelStatisticsResponse {
            model_stats: statistics.model_stats.into_iter().map(Into::into).collect(),
        }),
    })
}

async fn of_repository(context: Context<'_>, method: &str, bytes: &Bytes) -> Result<Message, ApiError> {
    let (server, headers) = (&context.server.scoring, context.headers);
    if method == "RepositoryIndex" {
        let proto::RepositoryIndexRequest { repository_name, ready } = decode(bytes)?;
        check_repository(&repository_name)?;
        let listed = repository::index(server, headers, ready).await?;
        let models = listed.into_iter().map(|line| proto::repository_index_response::ModelIndex {
            name: line.name,
            version: line.version.unwrap_or_default(),
            state: line.state.unwrap_or_default().to_owned(),
            reason: line.reason.unwrap_or_default(),
        });
        return Ok(Message::of(&proto::RepositoryIndexResponse { models: models.collect() }));
    }
    // Both requests have the same fields.
    let proto::RepositoryModelLoadRequest { repository_name, model_name, parameters } = decode(bytes)?;
    check_repository(&repository_name)?;
    if method == "RepositoryModelLoad" {
        repository::load(server, headers, &model_name, parameters.keys().next().map(String::as_str)).await?;
        Ok(Message::of(&proto::RepositoryModelLoadResponse {}))
    } else {
        repository::unload(server, headers, &model_name).await?;
        Ok(Message::of(&proto::RepositoryModelUnloadResponse {}))
    }
}

/// There is one repository, which has no name.
fn check_repository(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Ok(());
    }
    let message = "there is one repository here, without a name: leave repository_name empty";
    Err(ApiError::new(ErrorKind::NotFound, "unknown_repository", message))
}

/// Reads the trace settings, and changes those that are given.
fn trace_setting(context: Context<'_>, bytes: &Bytes) -> Result<Message, ApiError> {
    use proto::trace_setting_response::SettingValue;
    // There are no settings of a model's own.
    let proto::TraceSettingRequest { settings, model_name: _ } = decode(bytes)?;
    let told = if settings.is_empty() {
        trace::show()
    } else {
        must_administer(&context.server.scoring, context.headers)?;
        let wanted: Map<_, _> = settings.into_iter().map(|(key, setting)| (key, json!(setting.value))).collect();
        trace::change(&wanted)?
    };
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let settings = members(&told).map(|(key, value)| {
        let value = value.as_array().map_or_else(|| vec![text(value)], |values| values.iter().map(text).collect());
        (key.clone(), SettingValue { value })
    });
    Ok(Message::of(&proto::TraceSettingResponse { settings: settings.collect() }))
}

/// Reads the log settings, and changes those that are given.
fn log_settings(context: Context<'_>, bytes: &Bytes) -> Result<Message, ApiError> {
    use proto::log_settings_request::setting_value::ParameterChoice as Wanted;
    use proto::log_settings_response::SettingValue;
    use proto::log_settings_response::setting_value::ParameterChoice as Shown;
    let proto::LogSettingsRequest { settings } = decode(bytes)?;
    let told = if settings.is_empty() {
        logging::show()
    } else {
        must_administer(&context.server.scoring, context.headers)?;
        let wanted = settings.into_iter().map(|(key, setting)| {
            let value = match setting.parameter_choice {
                Some(Wanted::BoolParam(value)) => json!(value),
                Some(Wanted::Uint32Param(value)) => json!(value),
                Some(Wanted::StringParam(value)) => json!(value),
                None => Json::Null,
            };
            (key, value)
        });
        logging::change(&wanted.collect())?
    };
    let settings = members(&told).map(|(key, value)| {
        let choice = match value {
            Json::Bool(value) => Shown::BoolParam(*value),
            Json::Number(value) => Shown::Uint32Param(value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)),
            value => Shown::StringParam(value.as_str().unwrap_or_default().to_owned()),
        };
        (key.clone(), SettingValue { parameter_choice: Some(choice) })
    });
    Ok(Message::of(&proto::LogSettingsResponse { settings: settings.collect() }))
}

fn members(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    object.as_object().into_iter().flatten()
}

/// The shared memory extensions. An empty name means all regions.
fn of_shared_memory(context: Context<'_>, method: &str, bytes: &Bytes) -> Result<Message, ApiError> {
    let (server, headers) = (&context.server.scoring, context.headers);
    let named = |name: &'_ str| (!name.is_empty()).then(|| name.to_owned());
    match method {
        "SystemSharedMemoryStatus" => {
            let proto::SystemSharedMemoryStatusRequest { name } = decode(bytes)?;
            let regions = shared_memory::status(server, headers, Memory::System, named(&name).as_deref())?;
            let status = |RegionStatus { name, key, offset, byte_size }: RegionStatus| {
                use proto::system_shared_memory_status_response::RegionStatus as Status;
                (name.clone(), Status { name, key, offset, byte_size })
            };
            let regions = regions.into_iter().map(status).collect();
            Ok(Message::of(&proto::SystemSharedMemoryStatusResponse { regions }))
        }
        "SystemSharedMemoryRegister" => {
            let proto::SystemSharedMemoryRegisterRequest { name, key, offset, byte_size } = decode(bytes)?;
            shared_memory::register(server, headers, &name, &Registration { key, offset, byte_size })?;
            Ok(Message::of(&proto::SystemSharedMemoryRegisterResponse {}))
        }
        "SystemSharedMemoryUnregister" => {
            let proto::SystemSharedMemoryUnregisterRequest { name } = decode(bytes)?;
            shared_memory::unregister(server, headers, Memory::System, named(&name).as_deref())?;
            Ok(Message::of(&proto::SystemSharedMemoryUnregisterResponse {}))
        }
        "CudaSharedMemoryStatus" => {
            let proto::CudaSharedMemoryStatusRequest { name } = decode(bytes)?;
            shared_memory::status(server, headers, Memory::Cuda, named(&name).as_deref())?;
            Ok(Message::of(&proto::CudaSharedMemoryStatusResponse { regions: BTreeMap::new() }))
        }
        "CudaSharedMemoryRegister" => {
            let _: proto::CudaSharedMemoryRegisterRequest = decode(bytes)?;
            let mut refused = shared_memory::register_cuda(server, headers);
            // Clients ask whether a method is implemented, where those of REST read a status.
            if refused.kind == ErrorKind::BadInput {
                refused.kind = ErrorKind::MethodNotAllowed;
            }
            Err(refused)
        }
        "CudaSharedMemoryUnregister" => {
            let proto::CudaSharedMemoryUnregisterRequest { name } = decode(bytes)?;
            shared_memory::unregister(server, headers, Memory::Cuda, named(&name).as_deref())?;
            Ok(Message::of(&proto::CudaSharedMemoryUnregisterResponse {}))
        }
        _ => Err(unknown_method()),
    }
}
