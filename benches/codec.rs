//! Bodies into tensors and back, beside what else could do it: serde_json for JSON, a copy of the bytes for binary forms.
//!
//! `serde_json` is a visitor that streams numbers into a `Vec` of their type and looks at the key alone: no tree, no checks of
//! shape. `scoria` is all that a request's body goes through, from the announced length to the checked tensor.

#![allow(clippy::unwrap_used, reason = "a benchmark stops by panicking")]

use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use scoria::codec::{
    ExtraColumns, Format, JsonReply, NonFiniteOutput, NullInput, Policy, Receiver, Reply, Request, encode,
};
use scoria::tensor::{Dim, Element, OutputSpec, Signature, Tensor, TensorSpec, Value, ValueType};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [1, 10, 784, 150_528];

const POLICY: Policy = Policy {
    null_input: NullInput::Reject,
    extra_columns: ExtraColumns::Refuse,
    non_finite_output: NonFiniteOutput::Null,
    max_elements: 1 << 24,
    max_rank: 8,
    max_json_depth: 32,
};

/// Random numbers, the same in each run: xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A matrix of one row.
fn signature<T: Element>(columns: usize) -> Signature {
    let dims = Some(vec![Dim::Dynamic(Some("N".to_owned())), Dim::Fixed(columns)]);
    Signature {
        inputs: vec![TensorSpec { name: "x".to_owned(), dtype: T::DTYPE, dims: dims.clone() }],
        outputs: vec![OutputSpec { name: "y".to_owned(), value: ValueType::Tensor { dtype: T::DTYPE, dims } }],
    }
}

fn decode(format: Format, signature: &Signature, body: &[u8]) -> Vec<Tensor> {
    let announced_bytes = Some(body.len());
    let request = Request { signature, policy: POLICY, announced_bytes, max_bytes: 64 << 20, raw_shape: None };
    let mut receiver = Receiver::new(format, request).unwrap();
    receiver.push(body).unwrap();
    receiver.finish().unwrap().inputs
}

/// Streams nested arrays into a list.
struct Nested<'a, T>(&'a mut Vec<T>, usize);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Nested<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Nested<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.1 > 1 {
            while items.next_element_seed(Nested(&mut *self.0, self.1 - 1))?.is_some() {}
        } else {
            while let Some(value) = items.next_element()? {
                self.0.push(value);
            }
        }
        Ok(())
    }
}

/// `{"data": [[…]]}`.
struct Body<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Body<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(key) = members.next_key::<&str>()? {
            assert_eq!(key, "data");
            members.next_value_seed(Nested(&mut values, 2))?;
        }
        Ok(values)
    }
}

fn stream<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Vec<T> {
    serde_json::Deserializer::from_slice(body).deserialize_map(Body(PhantomData)).unwrap()
}

fn json_decode_of<T: Element + for<'de> Deserialize<'de>>(
    criterion: &mut Criterion,
    name: &str,
    number: impl Fn(&mut Random) -> String,
) {
    let mut group = criterion.benchmark_group(format!("json decode/{name}"));
    for size in SIZES {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let texts: Vec<String> = (0..size).map(|_| number(&mut random)).collect();
        let body = format!("{{\"data\":[[{}]]}}", texts.join(",")).into_bytes();
        let signature = signature::<T>(size);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("serde_json", size), |bencher| {
            bencher.iter(|| stream::<T>(black_box(&body)));
        });
        group.bench_function(BenchmarkId::new("scoria", size), |bencher| {
            bencher.iter(|| decode(Format::Json, &signature, black_box(&body)));
        });
    }
    group.finish();
}

fn json_decode(criterion: &mut Criterion) {
    let signed = |random: &mut Random| random.unit() * 2.0 - 1.0;
    json_decode_of::<f32>(criterion, "f32", |random| (signed(random) as f32).to_string());
    json_decode_of::<f32>(criterion, "f32 of two decimals", |random| format!("{:.2}", random.unit() * 10.0));
    json_decode_of::<f32>(criterion, "f32 of integers", |random| (random.bits() % 256).to_string());
    json_decode_of::<f32>(criterion, "f32 written as doubles", |random| f64::from(signed(random) as f32).to_string());
    json_decode_of::<f64>(criterion, "f64", |random| signed(random).to_string());
    json_decode_of::<i64>(criterion, "i64", |random| (random.bits() % 30_000).to_string());
    json_decode_of::<String>(criterion, "string", |random| format!("\"word {}\"", random.bits() % 30_000));
}

fn json_encode_of<T: Element + serde::Serialize>(
    criterion: &mut Criterion,
    name: &str,
    value: impl Fn(&mut Random) -> T,
) {
    let mut group = criterion.benchmark_group(format!("json encode/{name}"));
    for size in [1, 10, 1_000, 150_528] {
        let mut random = Random(7);
        let values: Vec<T> = (0..size).map(|_| value(&mut random)).collect();
        let tensor = T::wrap(ArrayD::from_shape_vec(IxDyn(&[1, size]), values.clone()).unwrap());
        let signature = signature::<T>(size);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("serde_json", size), |bencher| {
            bencher.iter(|| serde_json::to_vec(black_box(&[&values])).unwrap());
        });
        group.bench_function(BenchmarkId::new("scoria", size), |bencher| {
            let outputs = || vec![Value::Tensor(tensor.clone())];
            let encode = |outputs| encode(outputs, &signature, Reply::Json(JsonReply::Bare), &POLICY).unwrap();
            bencher.iter_batched(outputs, encode, criterion::BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn json_encode(criterion: &mut Criterion) {
    json_encode_of::<f32>(criterion, "f32", |random| random.unit() as f32);
    json_encode_of::<f64>(criterion, "f64", Random::unit);
    json_encode_of::<i64>(criterion, "i64", |random| (random.bits() % 30_000) as i64);
    json_encode_of::<String>(criterion, "string", |random| format!("class {}", random.bits() % 100));
}

fn binary_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("binary decode/f32");
    for size in [784, 150_528] {
        let mut random = Random(7);
        let values: Vec<f32> = (0..size).map(|_| random.unit() as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = f32::wrap(ArrayD::from_shape_vec(IxDyn(&[1, size]), values).unwrap());
        let signature = signature::<f32>(size);
        // Inputs and outputs have different names, and an archive names its members.
        let mut echo = signature.clone();
        echo.outputs[0].name = echo.inputs[0].name.clone();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
            bencher.iter(|| black_box(&bytes).clone());
        });
        for format in [Format::Raw, Format::Npy, Format::Safetensors] {
            let encoded = encode(vec![Value::Tensor(tensor.clone())], &echo, Reply::from(format), &POLICY).unwrap();
            let body = encoded.parts.concat();
            group.bench_function(BenchmarkId::new(format!("{format:?}"), size), |bencher| {
                bencher.iter(|| decode(format, &signature, black_box(&body)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, json_decode, json_encode, binary_decode);
criterion_main!(benches);
