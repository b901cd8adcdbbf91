//! What is the same over REST, as messages.

use super::messages as proto;
use crate::codec::open_inference::{
    BatchStatistics, Counted, InferStatistics, ModelConfig, ModelMetadata, ModelStatistics, ServerMetadata,
    TensorMetadata, datatype,
};

impl From<ServerMetadata> for proto::ServerMetadataResponse {
    fn from(metadata: ServerMetadata) -> Self {
        proto::ServerMetadataResponse {
            name: metadata.name.to_owned(),
            version: metadata.version.to_owned(),
            extensions: metadata.extensions.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl From<ModelMetadata> for proto::ModelMetadataResponse {
    fn from(metadata: ModelMetadata) -> Self {
        let tensor = |tensor: TensorMetadata| proto::model_metadata_response::TensorMetadata {
            name: tensor.name,
            datatype: tensor.datatype.to_owned(),
            shape: tensor.shape,
        };
        proto::ModelMetadataResponse {
            name: metadata.name,
            versions: metadata.versions,
            platform: metadata.platform.to_owned(),
            inputs: metadata.inputs.into_iter().map(tensor).collect(),
            outputs: metadata.outputs.into_iter().map(tensor).collect(),
        }
    }
}

impl From<ModelConfig> for proto::ModelConfig {
    fn from(config: ModelConfig) -> Self {
        use proto::model_version_policy::{PolicyChoice, Specific};
        let versions = config.version_policy.specific.versions.into_iter();
        let versions = versions.map(|version| i64::try_from(version).unwrap_or(i64::MAX)).collect();
        let kind = if config.instance_group.iter().any(|group| group.kind == "KIND_GPU") {
            proto::model_instance_group::Kind::Gpu
        } else {
            proto::model_instance_group::Kind::Cpu
        };
        let inputs = config.input.into_iter().map(|input| proto::ModelInput {
            name: input.name,
            data_type: data_type(input.data_type),
            dims: input.dims,
        });
        let outputs = config.output.into_iter().map(|output| proto::ModelOutput {
            name: output.name,
            data_type: data_type(output.data_type),
            dims: output.dims,
            label_filename: output.label_filename.to_owned(),
        });
        let groups = config.instance_group.into_iter().map(|group| proto::ModelInstanceGroup {
            name: group.name,
            count: i32::try_from(group.count).unwrap_or(i32::MAX),
            kind: kind.into(),
        });
        let parameters = config.parameters.into_iter();
        proto::ModelConfig {
            name: config.name,
            platform: config.platform.to_owned(),
            version_policy: Some(proto::ModelVersionPolicy {
                policy_choice: Some(PolicyChoice::Specific(Specific { versions })),
            }),
            max_batch_size: config.max_batch_size,
            input: inputs.collect(),
            output: outputs.collect(),
            instance_group: groups.collect(),
            default_model_filename: config.default_model_filename,
            dynamic_batching: config.dynamic_batching.map(|batching| proto::ModelDynamicBatching {
                preferred_batch_size: batching.preferred_batch_size,
                max_queue_delay_microseconds: batching.max_queue_delay_microseconds,
            }),
            parameters: parameters
                .map(|(key, value)| (key, proto::ModelParameter { string_value: value.string_value }))
                .collect(),
            backend: config.backend.to_owned(),
            model_transaction_policy: Some(proto::ModelTransactionPolicy {
                decoupled: config.model_transaction_policy.decoupled,
            }),
        }
    }
}

fn data_type(config_name: &str) -> i32 {
    datatype::TABLE.iter().find(|row| row.config_name == config_name).map_or(0, |row| row.config_number)
}

impl From<ModelStatistics> for proto::ModelStatistics {
    fn from(statistics: ModelStatistics) -> Self {
        proto::ModelStatistics {
            name: statistics.name,
            version: statistics.version,
            last_inference: statistics.last_inference,
            inference_count: statistics.inference_count,
            execution_count: statistics.execution_count,
            inference_stats: Some(statistics.inference_stats.into()),
            batch_stats: statistics.batch_stats.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<InferStatistics> for proto::InferStatistics {
    fn from(statistics: InferStatistics) -> Self {
        proto::InferStatistics {
            success: duration(statistics.success),
            fail: duration(statistics.fail),
            queue: duration(statistics.queue),
            compute_input: duration(statistics.compute_input),
            compute_infer: duration(statistics.compute_infer),
            compute_output: duration(statistics.compute_output),
            cache_hit: duration(statistics.cache_hit),
            cache_miss: duration(statistics.cache_miss),
        }
    }
}

impl From<BatchStatistics> for proto::InferBatchStatistics {
    fn from(statistics: BatchStatistics) -> Self {
        proto::InferBatchStatistics {
            batch_size: statistics.batch_size,
            compute_input: duration(statistics.compute_input),
            compute_infer: duration(statistics.compute_infer),
            compute_output: duration(statistics.compute_output),
        }
    }
}

fn duration(counted: Counted) -> Option<proto::StatisticDuration> {
    Some(proto::StatisticDuration { count: counted.count, ns: counted.ns })
}
