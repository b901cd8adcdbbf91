//! What a file is that is no ONNX model: people serve what they have at hand, and an export stops half-way.
//!
//! Looks at the first bytes, and at where protobuf's outermost fields end. Asked only after a file could not be read as ONNX.

use std::path::Path;

/// Bytes that open a format, where they stand, what it is, and how to come from there to ONNX.
const KINDS: &[(usize, &[u8], &str)] = &[
    (0, b"version https://git-lfs", "a Git LFS pointer, not the model itself; fetch it with `git lfs pull`"),
    (
        0,
        b"PK\x03\x04",
        "a zip archive, as PyTorch (.pt, .pth), Keras (.keras) and NumPy (.npz) write; export the model to ONNX, as \
      with torch.onnx.export",
    ),
    (0, b"\x80\x02", PICKLE),
    (0, b"\x80\x03", PICKLE),
    (0, b"\x80\x04", PICKLE),
    (0, b"\x80\x05", PICKLE),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes (.h5); convert it with tf2onnx"),
    (4, b"TFL3", "a TensorFlow Lite model; convert it with tf2onnx --tflite"),
    (4, b"ORTM", "in ONNX Runtime's own format (.ort); serve the .onnx file that it was made from"),
    (0, b"GGUF", "a GGUF file of llama.cpp, which is not ONNX"),
    (0, b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (0, b"tree\n", "a LightGBM text model; convert it with onnxmltools.convert_lightgbm"),
    (0, b"binf", "an XGBoost model; convert it with onnxmltools.convert_xgboost"),
    (8, b"{\"", "a safetensors file, which holds weights without a graph; export the model to ONNX"),
    (0, b"<", "a page of HTML or XML, as a download gives that was redirected or refused; fetch the file again"),
    (0, b"{", "JSON text; if it is a model of XGBoost, convert it with onnxmltools.convert_xgboost"),
];

const PICKLE: &str = "a Python pickle, as joblib, scikit-learn and PyTorch write; pickles run code and are never loaded: \
                      export the model, as with skl2onnx.to_onnx or torch.onnx.export";

/// What the bytes are instead of an ONNX model, as the end of "… is not an ONNX model: it is …"; `None` if nobody knows.
pub(super) fn explain(bytes: &[u8]) -> Option<String> {
    if let Some(what) = known(bytes) {
        return Some(format!("it is {what}"));
    }
    missing_bytes(bytes).map(|missing| {
        format!(
            "it is cut off: a field goes on for {missing} bytes after the end of the file, so that a copy or download of it \
             has stopped half-way"
        )
    })
}

/// What the file at `path` is by its first bytes, as in "it is …"; `None` if they are nothing known.
pub fn kind(path: &Path) -> Option<&'static str> {
    use std::io::Read;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(64).read_to_end(&mut head).ok()?;
    known(&head)
}

fn known(bytes: &[u8]) -> Option<&'static str> {
    let opens = |(at, mark, _): &&(usize, &[u8], &str)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    KINDS.iter().find(opens).map(|(_, _, what)| *what)
}

/// How many bytes the last of the outermost fields lacks, if it is one of a model's and lacks any.
fn missing_bytes(mut bytes: &[u8]) -> Option<u64> {
    let mut fields = 0;
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        // ModelProto's fields go up to 26; the four wire types that protobuf still writes.
        if !(1..=32).contains(&(key >> 3)) {
            return None;
        }
        let (length, rest) = match key & 7 {
            0 => (0, varint(rest).map(|(_, rest)| rest)?),
            1 => (8, rest),
            2 => varint(rest)?,
            5 => (4, rest),
            _ => return None,
        };
        let held = rest.len() as u64;
        if length > held {
            // Text looks like a field as well, though not like several.
            return (fields > 0 && length < 1 << 31).then(|| length - held);
        }
        // It is not longer than the slice.
        bytes = &rest[length as usize..];
        fields += 1;
    }
    None
}

/// A base-128 number, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_serve_by_mistake_is_named_with_a_way_out() {
        for (bytes, what) in [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00".as_slice(), "git lfs pull"),
            (b"PK\x03\x04\x00\x00archive/data.pkl", "torch.onnx.export"),
            (b"\x80\x04\x95\x00\x00\x00", "pickle"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"\x40\0\0\0\0\0\0\0{\"w\":", "safetensors"),
        ] {
            assert!(explain(bytes).unwrap().contains(what), "{what}");
        }
        assert_eq!(explain(b"hello"), None);
        assert_eq!(explain(b""), None);
    }

    #[test]
    fn a_file_that_stops_half_way_is_told_by_its_last_field() {
        // ir_version 8, then field 7 (the graph) of 100 bytes, of which 3 came.
        assert_eq!(missing_bytes(b"\x08\x08\x3a\x64abc"), Some(97));
        assert_eq!(missing_bytes(b"\x08\x08\x3a\x03abc"), None);
        assert_eq!(missing_bytes(b"\x08\x08\x3a"), None);
        // A length that no file has says nothing.
        assert_eq!(missing_bytes(b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc"), None);
    }
}
