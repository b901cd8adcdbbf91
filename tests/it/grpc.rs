//! gRPC: the contract, who may, what is refused, streams, and how they end.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use scoria::codec::open_inference::protobuf::messages as proto;
use scoria::engine::fake::FakeEngine;
use scoria::tensor::DType;

use crate::grpc_client::{Channel, Outcome, framed, prefixed};
use crate::scheduling::gated;
use crate::server::{Server, Start, identity};
use crate::support::onnx::{Model, Node, tensor};

const INFER: &str = "inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "inference.GRPCInferenceService/ModelStreamInfer";
const CHECK: &str = "grpc.health.v1.Health/Check";
const WATCH: &str = "grpc.health.v1.Health/Watch";

/// gRPC's numbers.
const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const NOT_FOUND: u16 = 5;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

fn start() -> Start {
    Start::with(FakeEngine::echo()).model("echo", &identity())
}

fn channel(server: &Server) -> Channel {
    Channel::open(server.address())
}

/// Rows of two floats for `echo`.
fn request(rows: &[[f32; 2]]) -> proto::ModelInferRequest {
    proto::ModelInferRequest {
        model_name: "echo".to_owned(),
        inputs: vec![proto::model_infer_request::InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![rows.len() as i64, 2],
            ..Default::default()
        }],
        raw_input_contents: vec![rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()],
        ..Default::default()
    }
}

fn good() -> Bytes {
    framed(&request(&[[1.0, 2.0]]).encode_to_vec())
}

fn answer(outcome: &Outcome) -> proto::ModelInferResponse {
    outcome.answer().unwrap_or_else(|| panic!("{outcome:?}"))
}

#[track_caller]
fn refused(outcome: &Outcome, code: u16, error_code: &str) {
    assert_eq!((outcome.code, outcome.error_code()), (code, error_code), "{}", outcome.message);
    assert!(!outcome.message.is_empty() && outcome.messages.is_empty());
    assert!(outcome.headers.contains_key("x-request-id"));
}

#[test]
fn inference_answers_raw_and_with_ids() {
    let server = start().ready();
    let channel = channel(&server);
    let mut asked = request(&[[1.0, 2.0], [3.0, 4.0]]);
    asked.id = "mine".to_owned();
    let outcome = channel.call(INFER, &[("x-request-id", "r1")], &asked);
    assert_eq!(outcome.headers["x-request-id"], "r1");
    let got = answer(&outcome);
    assert_eq!((got.model_name.as_str(), got.model_version.as_str(), got.id.as_str()), ("echo", "1", "mine"));
    assert_eq!((got.outputs[0].name.as_str(), &got.outputs[0].shape), ("y", &vec![2, 2]));
    assert_eq!(got.raw_output_contents, asked.raw_input_contents);
    let typed = proto::InferTensorContents { fp32_contents: vec![0.5, -1.0], ..Default::default() };
    let mut asked = request(&[[0.5, -1.0]]);
    let raw = std::mem::take(&mut asked.raw_input_contents);
    asked.inputs[0].contents = Some(typed);
    assert_eq!(answer(&channel.call(INFER, &[], &asked)).raw_output_contents, raw);
    let requests = r#"scoria_requests_total{code="200",deployment="default",endpoint="echo"}"#;
    assert_eq!(server.metric(requests), Some(2.0));
}

#[test]
fn http_is_served_beside_it_on_one_port() {
    let server = start().ready();
    assert_eq!(answer(&channel(&server).call(INFER, &[], &request(&[[1.0, 2.0]]))).outputs.len(), 1);
    assert_eq!(server.post("/score", br#"{"data": [[1, 2]]}"#).status, 200);
    let outcome = channel(&server).call(INFER, &[("content-type", "application/grpc+proto")], &request(&[[1.0, 2.0]]));
    assert_eq!(outcome.code, OK);
}

#[test]
fn messages_of_any_size_up_to_the_limit_come_in_pieces() {
    let server = start().set("max_body_bytes", "1000000").ready();
    let channel = channel(&server);
    let rows: Vec<[f32; 2]> = (0..100_000u32).map(|row| [row as f32, -1.0]).collect();
    let asked = request(&rows);
    let body = framed(&asked.encode_to_vec());
    for piece_bytes in [10_007, body.len()] {
        let pieces: Vec<_> = body.chunks(piece_bytes).map(Bytes::copy_from_slice).collect();
        let outcome = channel.call_with(INFER, &[], &pieces);
        assert!(answer(&outcome).raw_output_contents == asked.raw_input_contents);
    }
    let small: Vec<_> = good().chunks(1).map(Bytes::copy_from_slice).collect();
    assert_eq!(channel.call_with(INFER, &[], &small).code, OK);
    // What is too long is refused by its length, before it comes.
    let outcome = channel.begin(INFER, &[], &[Bytes::from_static(&[0, 0x7f, 0xff, 0xff, 0xff])]).outcome();
    refused(&outcome, RESOURCE_EXHAUSTED, "body_too_large");
}

#[test]
fn a_key_is_checked_before_a_message_is_read_and_again_when_its_model_is_known() {
    let server = start().model("other", &identity()).set("auth", "key").ready();
    let channel = channel(&server);
    // Nothing of the message has come yet.
    for headers in [&[][..], &[("authorization", "Bearer nobodys")]] {
        for method in [INFER, STREAM] {
            let outcome = channel.begin(method, headers, &[]).outcome();
            assert_eq!(outcome.code, UNAUTHENTICATED, "{}", outcome.message);
        }
    }
    let bearer = |endpoint| format!("Bearer {}", server.key(endpoint));
    let asked = request(&[[1.0, 2.0]]);
    assert_eq!(channel.call(INFER, &[("authorization", &bearer("echo"))], &asked).code, OK);
    let outcome = channel.call(INFER, &[("authorization", &bearer("other"))], &asked);
    refused(&outcome, PERMISSION_DENIED, "wrong_endpoint");
    // Metadata belongs to those who may score; probes to everybody.
    let metadata = proto::ModelMetadataRequest { name: "echo".to_owned(), ..Default::default() };
    let method = "inference.GRPCInferenceService/ModelMetadata";
    assert_eq!(channel.call(method, &[], &metadata).code, UNAUTHENTICATED);
    assert_eq!(channel.call(method, &[("authorization", &bearer("echo"))], &metadata).code, OK);
    let live: proto::ServerLiveResponse =
        channel.ask("inference.GRPCInferenceService/ServerLive", &proto::ServerLiveRequest {});
    assert!(live.live);
}

#[test]
fn failures_have_the_codes_of_grpc() {
    let server = start().ready();
    let channel = channel(&server);
    let mut unknown = request(&[[1.0, 2.0]]);
    unknown.model_name = "nobody".to_owned();
    refused(&channel.call(INFER, &[], &unknown), NOT_FOUND, "unknown_endpoint");
    let mut version = request(&[[1.0, 2.0]]);
    version.model_version = "7".to_owned();
    refused(&channel.call(INFER, &[], &version), NOT_FOUND, "unknown_model_version");
    version.model_version = "latest".to_owned();
    refused(&channel.call(INFER, &[], &version), INVALID_ARGUMENT, "bad_version");
    let mut shape = request(&[[1.0, 2.0]]);
    shape.inputs[0].shape = vec![1, 3];
    let outcome = channel.call(INFER, &[], &shape);
    refused(&outcome, INVALID_ARGUMENT, "wrong_shape");
    assert!(outcome.message.contains("dimension 1 must be 2, got 3"), "{}", outcome.message);
    let nothing = proto::ServerLiveRequest {};
    for method in ["inference.GRPCInferenceService/Nothing", "other.Service/ModelInfer"] {
        refused(&channel.call(method, &[], &nothing), UNIMPLEMENTED, "unknown_method");
    }
    refused(&channel.call(INFER, &[("grpc-encoding", "snappy")], &nothing), UNIMPLEMENTED, "unsupported_grpc_encoding");
    refused(&channel.call(INFER, &[("grpc-timeout", "soon")], &nothing), INVALID_ARGUMENT, "bad_timeout");
    refused(
        &channel.call(INFER, &[("x-scoria-priority", "first")], &request(&[[1.0, 2.0]])),
        INVALID_ARGUMENT,
        "bad_priority",
    );
    refused(&channel.call(INFER, &[], &nothing), INVALID_ARGUMENT, "malformed_body");
    for (engine, code, error_code) in [
        (FakeEngine::failing("cosmic rays"), INTERNAL, "model_failed"),
        (FakeEngine::rejecting("cosmic rays"), INVALID_ARGUMENT, "input_rejected"),
    ] {
        let server = Start::with(engine).model("echo", &identity()).ready();
        let outcome = Channel::open(server.address()).call(INFER, &[], &request(&[[1.0, 2.0]]));
        refused(&outcome, code, error_code);
        assert!(!outcome.message.contains("cosmic"), "{}", outcome.message);
    }
}

#[test]
fn hostile_messages_are_refused_and_the_connection_serves_on() {
    let server = start().ready();
    let channel = channel(&server);
    let whole = request(&[[1.0, 2.0]]).encode_to_vec();
    let mut huge = whole.clone();
    huge.extend([0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let nested = [vec![0x2a, 50], [0x2a, 48].repeat(25)].concat();
    let shape = [&whole[..6], &[0x2a, 0x10, 0x0a, 1, b'x', 0x1a, 0x0b], &[0xff; 10], &[1]].concat();
    for (body, why) in [
        (framed(&[]), "empty"),
        (framed(&huge), "a length beyond the message"),
        (framed(&whole[..whole.len() - 1]), "cut off inside"),
        (framed(&[&whole[..6], &nested].concat()), "nested"),
        (framed(&shape), "a size of more than 64 bits"),
        (framed(&[0x0b, 0x0b, 0x0b]), "groups"),
        (framed(&[&whole[..6], &[0x28, 1]].concat()), "an input that is a number"),
        (prefixed(1, &whole), "packed without an encoding"),
        (prefixed(2, &whole), "neither packed nor not"),
        (Bytes::from_static(&[0, 0, 0]), "cut off in the prefix"),
        (framed(&whole).slice(..20), "cut off in the message"),
        (Bytes::new(), "nothing"),
        ([framed(&whole), framed(&whole)].concat().into(), "two"),
    ] {
        let outcome = channel.call_with(INFER, &[], &[body]);
        assert_eq!(outcome.code, INVALID_ARGUMENT, "{why}: {outcome:?}");
    }
    assert_eq!(channel.call_with(INFER, &[], &[good()]).code, OK);
}

#[test]
fn packed_messages_are_read_and_answered_so_and_bombs_are_not() {
    let server = start().set("max_body_bytes", "100000").ready();
    let channel = channel(&server);
    let pack = |message: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(message).and_then(|()| encoder.finish()).unwrap()
    };
    let asked = request(&[[1.0, 2.0]; 1_000]);
    let packed = prefixed(1, &pack(&asked.encode_to_vec()));
    let headers = [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity, gzip")];
    let outcome = channel.call_with(INFER, &headers, std::slice::from_ref(&packed));
    assert_eq!(outcome.headers["grpc-encoding"], "gzip");
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&*outcome.messages[0]), &mut plain).unwrap();
    assert_eq!(proto::ModelInferResponse::decode(&*plain).unwrap().raw_output_contents, asked.raw_input_contents);
    // Packed for nobody who has not asked.
    let outcome = channel.call_with(INFER, &headers[..1], &[packed]);
    assert_eq!(answer(&outcome).raw_output_contents, asked.raw_input_contents);
    let outcome = channel.call_with(INFER, &headers, &[prefixed(1, &pack(&vec![0; 50 << 20]))]);
    assert_ne!(outcome.code, OK);
    // A field that nobody knows, of ten million bytes.
    let padded =
        [&request(&[[1.0, 2.0]]).encode_to_vec()[..], &[0xa2, 0x06, 0x80, 0xad, 0xe2, 0x04], &vec![0; 10_000_000]];
    let outcome = channel.call_with(INFER, &headers, &[prefixed(1, &pack(&padded.concat()))]);
    refused(&outcome, RESOURCE_EXHAUSTED, "body_too_large");
}

#[test]
fn a_deadline_of_the_client_ends_its_call() {
    let (server, gate, _) = gated(&[]);
    let channel = channel(&server);
    refused(
        &channel.call(INFER, &[("grpc-timeout", "20m")], &request(&[[1.0, 2.0]])),
        DEADLINE_EXCEEDED,
        "deadline_exceeded",
    );
    // Also while the message is still coming.
    let outcome = channel.begin(INFER, &[("grpc-timeout", "20m")], &[good().slice(..20)]).outcome();
    refused(&outcome, DEADLINE_EXCEEDED, "deadline_exceeded");
    gate.open();
    assert_eq!(channel.call(INFER, &[("grpc-timeout", "1H")], &request(&[[1.0, 2.0]])).code, OK);
}

#[test]
fn a_call_that_is_cancelled_while_it_waits_is_not_run() {
    let (server, gate, engine) = gated(&[]);
    let channel = channel(&server);
    let before = engine.runs();
    let (_running_body, running) = channel.launch(INFER, &[], &[good()]);
    let running = channel.spawn(running);
    gate.wait_for_arrivals(1);
    let (body, leaving) = channel.launch(INFER, &[], &[good()]);
    let leaving = channel.spawn(leaving);
    server.wait_for_metric(r#"scoria_queue_depth{deployment="default",endpoint="echo"}"#, 1.0);
    leaving.abort();
    drop(body);
    server.wait_for_metric(r#"scoria_requests_abandoned_total{deployment="default",endpoint="echo"}"#, 1.0);
    gate.open();
    assert_eq!(channel.block_on(running).unwrap().unwrap().status(), 200);
    assert_eq!(channel.call_with(INFER, &[], &[good()]).code, OK);
    assert_eq!(engine.runs(), before + 2);
}

#[test]
fn too_many_requests_are_refused_with_a_time_to_come_back() {
    let (server, gate, _) = gated(&[("max_in_flight", "1")]);
    let channel = channel(&server);
    let (_body, running) = channel.launch(INFER, &[], &[good()]);
    let running = channel.spawn(running);
    gate.wait_for_arrivals(1);
    let outcome = channel.call_with(INFER, &[], &[good()]);
    refused(&outcome, RESOURCE_EXHAUSTED, "overloaded");
    assert_eq!(outcome.trailers["grpc-retry-pushback-ms"], "1000");
    gate.open();
    assert_eq!(channel.block_on(running).unwrap().unwrap().status(), 200);
}

fn streamed(message: &Bytes) -> proto::ModelStreamInferResponse {
    proto::ModelStreamInferResponse::decode(message.clone()).unwrap()
}

fn with_id(id: usize) -> proto::ModelInferRequest {
    proto::ModelInferRequest { id: id.to_string(), ..request(&[[id as f32, 0.0]]) }
}

#[test]
fn a_stream_answers_in_order_and_goes_on_after_what_it_refuses() {
    let server = start().ready();
    let channel = channel(&server);
    let mut call = channel.begin(STREAM, &[], &[]);
    for id in 0..100 {
        let mut asked = with_id(id);
        if id % 10 == 3 {
            asked.inputs[0].shape = vec![1, 3];
        }
        call.send(framed(&asked.encode_to_vec()));
    }
    for id in 0..100 {
        let got = streamed(&call.next().unwrap());
        let response = got.infer_response.unwrap();
        assert_eq!(response.id, id.to_string());
        assert_eq!(got.error_message.contains("dimension 1"), id % 10 == 3, "{}", got.error_message);
        assert_eq!(response.raw_output_contents.len(), usize::from(id % 10 != 3));
    }
    // One of another model, and one that is no request at all.
    let mut unknown = with_id(100);
    unknown.model_name = "nobody".to_owned();
    call.send(framed(&unknown.encode_to_vec()));
    assert!(streamed(&call.next().unwrap()).error_message.contains("unknown model: 'nobody'"));
    call.send(framed(&[0x0a]));
    assert!(streamed(&call.next().unwrap()).error_message.contains("ModelInferRequest"));
    call.send(good());
    assert!(streamed(&call.next().unwrap()).error_message.is_empty());
    call.end();
    assert_eq!(call.outcome().code, OK);
}

#[test]
fn a_stream_whose_messages_cannot_be_told_apart_ends() {
    let server = start().ready();
    let channel = channel(&server);
    for (bytes, code) in [
        (Bytes::from_static(&[9, 0, 0, 0, 0]), INVALID_ARGUMENT),
        (Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]), RESOURCE_EXHAUSTED),
    ] {
        let mut call = channel.begin(STREAM, &[], &[good()]);
        assert!(streamed(&call.next().unwrap()).error_message.is_empty());
        call.send(bytes);
        let outcome = call.outcome();
        assert_eq!((outcome.code, outcome.messages.len()), (code, 0), "{}", outcome.message);
    }
    let mut call = channel.begin(STREAM, &[], &[good().slice(..9)]);
    call.end();
    refused_stream(call.outcome(), INVALID_ARGUMENT, "incomplete_body");
}

#[track_caller]
fn refused_stream(outcome: Outcome, code: u16, error_code: &str) {
    assert_eq!((outcome.code, outcome.error_code()), (code, error_code), "{}", outcome.message);
}

#[test]
fn a_stream_is_ended_when_nothing_comes_or_its_deadline_passes() {
    let server = start().set("keep_alive_timeout_ms", "300").ready();
    let channel = channel(&server);
    let outcome = channel.begin(STREAM, &[], &[good()]).outcome();
    assert_eq!(outcome.messages.len(), 1);
    refused_stream(outcome, UNAVAILABLE, "stream_idle");
    let server = start().ready();
    let outcome = Channel::open(server.address()).begin(STREAM, &[("grpc-timeout", "50m")], &[]).outcome();
    refused_stream(outcome, DEADLINE_EXCEEDED, "deadline_exceeded");
}

#[test]
fn a_message_that_comes_too_slowly_ends_its_call() {
    let server = start().set("body_timeout_ms", "100").ready();
    let channel = channel(&server);
    for method in [INFER, STREAM] {
        let outcome = channel.begin(method, &[], &[good().slice(..9)]).outcome();
        refused_stream(outcome, DEADLINE_EXCEEDED, "body_timeout");
    }
}

#[test]
fn a_stream_is_read_only_as_far_as_it_is_answered() {
    let (server, gate, _) = gated(&[("execution", "pooled")]);
    let channel = channel(&server);
    let mut call = channel.begin(STREAM, &[], &[]);
    for id in 0..40 {
        call.send(framed(&with_id(id).encode_to_vec()));
    }
    gate.wait_for_arrivals(1);
    // One runs and fifteen wait for it; the others have not been read.
    server.wait_for_metric(r#"scoria_requests_in_flight{deployment="default",endpoint="echo"}"#, 16.0);
    gate.open();
    for id in 0..40 {
        assert_eq!(streamed(&call.next().unwrap()).infer_response.unwrap().id, id.to_string());
    }
}

#[test]
fn a_client_that_does_not_read_its_stream_is_cut_off() {
    let server = start().set("write_timeout_ms", "200").set("min_transfer_bytes_per_s", "1000000000").ready();
    let channel = channel(&server);
    let call = channel.begin(STREAM, &[], &[]);
    let large = framed(&request(&vec![[1.0, 2.0]; 20_000]).encode_to_vec());
    // More than the client's windows hold.
    for _ in 0..60 {
        call.send(large.clone());
    }
    server.wait_for_metric(r#"scoria_connections_closed_total{port="scoring",reason="slow_client"}"#, 1.0);
    assert_eq!(server.post("/score", br#"{"data": [[1, 2]]}"#).status, 200);
}

#[test]
fn a_stream_that_waits_for_its_client_makes_room_for_others() {
    let server = start().set("max_connections", "1").ready();
    let channel = channel(&server);
    let mut call = channel.begin(STREAM, &[], &[good()]);
    assert!(call.next().is_some());
    assert_eq!(server.post("/score", br#"{"data": [[1, 2]]}"#).status, 200);
    assert_eq!(server.metric(r#"scoria_connections_closed_total{port="scoring",reason="made_room"}"#), Some(1.0));
}

#[test]
fn streams_end_with_the_server() {
    let mut server = Some(start().ready());
    let channel = channel(server.as_ref().unwrap());
    let mut call = channel.begin(STREAM, &[], &[good()]);
    assert!(call.next().is_some());
    let check = scoria_health::HealthCheckRequest::default();
    let mut watch = channel.begin(WATCH, &[], &[framed(&check.encode_to_vec())]);
    watch.end();
    assert!(watch.next().is_some());
    server.take();
    refused_stream(call.outcome(), UNAVAILABLE, "draining");
    refused_stream(watch.outcome(), UNAVAILABLE, "draining");
}

/// The health service's messages, by their documented numbers.
mod scoria_health {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct HealthCheckRequest {
        #[prost(string, tag = "1")]
        pub service: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct HealthCheckResponse {
        #[prost(int32, tag = "1")]
        pub status: i32,
    }
}

#[test]
fn health_is_told_of_the_server_its_services_and_its_models() {
    use scoria_health::{HealthCheckRequest, HealthCheckResponse};
    let start = start();
    let broken = start.file("broken.onnx", "no model");
    let server = start.argument(format!("gone={broken}")).ready();
    let channel = channel(&server);
    for (service, status) in [("", 1), ("inference.GRPCInferenceService", 1), ("echo", 1), ("gone", 2)] {
        let got: HealthCheckResponse = channel.ask(CHECK, &HealthCheckRequest { service: service.to_owned() });
        assert_eq!(got.status, status, "{service}");
    }
    let unknown = HealthCheckRequest { service: "nobody".to_owned() };
    refused(&channel.call(CHECK, &[], &unknown), NOT_FOUND, "unknown_service");
    let mut watch = channel.begin(WATCH, &[], &[framed(&unknown.encode_to_vec())]);
    assert_eq!(HealthCheckResponse::decode(watch.next().unwrap()).unwrap().status, 3);
}

#[test]
fn the_other_methods_say_what_rest_says() {
    let server = start().ready();
    let channel = channel(&server);
    let service = |method: &str| format!("inference.GRPCInferenceService/{method}");
    let ready: proto::ServerReadyResponse = channel.ask(&service("ServerReady"), &proto::ServerReadyRequest {});
    let of = |name: &str| proto::ModelReadyRequest { name: name.to_owned(), ..Default::default() };
    let model: proto::ModelReadyResponse = channel.ask(&service("ModelReady"), &of("echo"));
    assert!(ready.ready && model.ready);
    let metadata: proto::ModelMetadataResponse = channel.ask(&service("ModelMetadata"), &of("echo"));
    assert_eq!((metadata.inputs[0].datatype.as_str(), &metadata.inputs[0].shape), ("FP32", &vec![-1, 2]));
    let rest = server.request("GET", "/v2/models/echo", &[], b"").json();
    assert_eq!(rest["platform"], metadata.platform.as_str());
    let config: proto::ModelConfigResponse = channel.ask(&service("ModelConfig"), &of("echo"));
    let config = config.config.unwrap();
    assert_eq!((config.input[0].data_type(), config.input[0].dims.as_slice()), (proto::DataType::TypeFp32, &[2][..]));
    channel.ask::<proto::ModelInferResponse>(INFER, &request(&[[1.0, 2.0]; 3]));
    for name in ["echo", ""] {
        let statistics: proto::ModelStatisticsResponse = channel.ask(&service("ModelStatistics"), &of(name));
        assert_eq!(statistics.model_stats[0].inference_stats.unwrap().success.unwrap().count, 1);
    }
    let index: proto::RepositoryIndexResponse =
        channel.ask(&service("RepositoryIndex"), &proto::RepositoryIndexRequest::default());
    assert_eq!((index.models[0].name.as_str(), index.models[0].state.as_str()), ("echo", "READY"));
    let load = proto::RepositoryModelLoadRequest { model_name: "echo".to_owned(), ..Default::default() };
    refused(&channel.call(&service("RepositoryModelLoad"), &[], &load), UNAVAILABLE, "repository_closed");
    let trace: proto::TraceSettingResponse =
        channel.ask(&service("TraceSetting"), &proto::TraceSettingRequest::default());
    assert_eq!(trace.settings["trace_level"].value, ["OFF"]);
    let log: proto::LogSettingsResponse = channel.ask(&service("LogSettings"), &proto::LogSettingsRequest::default());
    assert!(log.settings.contains_key("log_verbose_level"));
    // As clients that measure ask: all regions forgotten, though there are none.
    for (method, of_all) in [("SystemSharedMemoryUnregister", ""), ("CudaSharedMemoryUnregister", "")] {
        let request = proto::SystemSharedMemoryUnregisterRequest { name: of_all.to_owned() };
        assert_eq!(channel.call(&service(method), &[], &request).code, OK);
    }
    let register = proto::CudaSharedMemoryRegisterRequest { name: "r".to_owned(), ..Default::default() };
    refused(&channel.call(&service("CudaSharedMemoryRegister"), &[], &register), UNIMPLEMENTED, "shared_memory_off");
}

#[test]
fn texts_and_half_floats_pass_unchanged() {
    let kinds = [("t", DType::String), ("h", DType::F16), ("b", DType::BF16)];
    let mut model = Model::new();
    for (name, dtype) in kinds {
        let output = format!("{name}_out");
        model = model.input(name, tensor(dtype, "N")).output(&output, tensor(dtype, "N"));
        model = model.node(Node::new("Identity", &[name], &[&output]));
    }
    let server = Start::with(FakeEngine::echo()).model("mixed", &model).ready();
    let input = |name: &str, datatype: &str| proto::model_infer_request::InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![2],
        ..Default::default()
    };
    let asked = proto::ModelInferRequest {
        model_name: "mixed".to_owned(),
        inputs: vec![input("t", "BYTES"), input("h", "FP16"), input("b", "BF16")],
        raw_input_contents: vec![
            b"\x02\0\0\0\xc3\xa9\0\0\0\0".to_vec(),
            vec![0, 0x7c, 1, 0x7e],
            vec![0x80, 0x7f, 0xc1, 0x7f],
        ],
        ..Default::default()
    };
    let got = answer(&channel(&server).call(INFER, &[], &asked));
    assert_eq!(got.raw_output_contents, asked.raw_input_contents);
    let mut one = asked;
    one.outputs =
        vec![proto::model_infer_request::InferRequestedOutputTensor { name: "h_out".to_owned(), ..Default::default() }];
    let got = answer(&channel(&server).call(INFER, &[], &one));
    assert_eq!((got.outputs[0].name.as_str(), got.raw_output_contents.len()), ("h_out", 1));
}
