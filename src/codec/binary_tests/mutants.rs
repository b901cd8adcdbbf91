//! Damaged bodies: whatever the bytes, decoding neither panics nor exceeds what a request may have.

use super::fixtures::{named_arrays, named_tensors, one};
use super::*;

const MUTANTS_PER_SEED: usize = 1200;

/// Small, so that a mutant that claims more than its share is noticed.
const MUTANT_MAX_BYTES: usize = 4096;

/// Marsaglia's xorshift64: the same mutants on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// One to four small changes of the kinds that confuse parsers.
    fn mutate(&mut self, body: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            if body.is_empty() {
                return;
            }
            let at = self.below(body.len());
            match self.below(7) {
                0 => body[at] ^= 1 << self.below(8),
                1 => body[at] = [0, 1, 0x7f, 0x80, 0xff, b'9', b'-', b','][self.below(8)],
                2 => body.truncate(at),
                3 => body.insert(at, self.below(256) as u8),
                4 => {
                    body.remove(at);
                }
                5 => {
                    let end = body.len().min(at + 8);
                    body[at..end].fill([0, 0xff][self.below(2)]);
                }
                _ => {
                    let piece = body[at..body.len().min(at + 16)].to_vec();
                    let to = self.below(body.len());
                    body.splice(to..to, piece);
                }
            }
        }
    }
}

/// The bytes of the elements themselves.
fn bytes(tensor: &Tensor) -> usize {
    match tensor {
        Tensor::String(array) => array.iter().map(String::len).sum(),
        other => other.len() * other.dtype().size().expect("only strings have no size"),
    }
}

#[test]
fn no_mutant_panics_or_grows() {
    let named_raw = {
        let signature = identity(vec![input("s", DType::String, &["3"]), input("b", DType::Bool, &["2"])]);
        let tensors = [counting(DType::String, &[3]), counting(DType::Bool, &[2])];
        (Format::Raw, encoded(Format::Raw, &signature, &tensors), signature)
    };
    let seeds = [
        (Format::Npy, fixture!("float32.npy").to_vec(), one(DType::F32)),
        (Format::Npy, fixture!("bool.npy").to_vec(), one(DType::Bool)),
        (Format::Npy, fixture!("fortran.npy").to_vec(), one(DType::F32)),
        (Format::Npy, fixture!("version_2.npy").to_vec(), one(DType::F32)),
        (Format::Npy, fixture!("strings.npy").to_vec(), one(DType::String)),
        (Format::Npy, fixture!("strings_big_endian.npy").to_vec(), one(DType::String)),
        (Format::Npy, fixture!("strings_bytes.npy").to_vec(), one(DType::String)),
        (Format::Npy, fixture!("fortran_strings.npy").to_vec(), one(DType::String)),
        (Format::Npy, fixture!("bfloat16.npy").to_vec(), one(DType::BF16)),
        (Format::Npy, fixture!("big_endian.npy").to_vec(), one(DType::F32)),
        (Format::Npz, fixture!("named.npz").to_vec(), named_arrays()),
        (Format::Npz, fixture!("compressed.npz").to_vec(), named_arrays()),
        (Format::Npz, fixture!("unnamed.npz").to_vec(), one(DType::F32)),
        (Format::Safetensors, fixture!("named.safetensors").to_vec(), named_tensors()),
        (Format::Safetensors, fixture!("float32.npy").to_vec(), one(DType::F32)),
        (Format::Raw, fixture!("float32.npy").to_vec(), identity(vec![input("x", DType::F32, &["N", "2"])])),
        named_raw,
    ];
    let mut random = Random(0x5c0_71a5);
    let (mut accepted, mut refused) = (0, 0);
    for (format, seed, signature) in &seeds {
        for _ in 0..MUTANTS_PER_SEED {
            let mut body = seed.clone();
            random.mutate(&mut body);
            let announced_bytes = [None, Some(body.len())][random.below(2)];
            let cut = random.below(body.len() + 1);
            let request = Request { announced_bytes, max_bytes: MUTANT_MAX_BYTES, ..request(signature) };
            match decode_in(*format, request, &body, [cut]) {
                Ok(tensors) => {
                    accepted += 1;
                    assert!(tensors.iter().map(bytes).sum::<usize>() <= MUTANT_MAX_BYTES);
                    assert!(tensors.iter().zip(&signature.inputs).all(|(tensor, spec)| tensor.dtype() == spec.dtype));
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.message.is_empty());
                }
            }
        }
    }
    // Both happen often, or the mutants prove nothing.
    assert!(accepted > 500 && refused > 5000, "{accepted} accepted, {refused} refused");
}
