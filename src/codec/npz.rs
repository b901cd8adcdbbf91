//! `application/x-npz`: a zip archive of `.npy` files, one for each input, as `numpy.savez` and `savez_compressed` write it.
//!
//! A zip's directory is at its end, so the body is collected first. What the directory says about sizes is never believed:
//! each file is bounded by its own array header, and that by what one request may have.

use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::fill::Allowance;
use super::npy::{self, Array};
use super::refusal::{self, malformed};
use super::{DecodeError, DecodeFault, Decoded, EncodeError, Encoded, Format, Reply, Request};
use crate::tensor::{Signature, Tensor, TensorSpec, Value};

const EXTENSION: &str = ".npy";

/// What `numpy.savez` calls an array that it gets without a name.
const UNNAMED: &str = "arr_0";

/// The most files in one archive: an entry of the directory takes several times its bytes in memory.
const MEMBERS_MAX: usize = 4096;

/// How each entry of a zip's directory begins.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";

/// Bytes inflated at a time.
const READ_BYTES: usize = 64 * 1024;

type Archive = ZipArchive<Cursor<Vec<u8>>>;

/// Takes in one `.npz` body.
#[derive(Debug)]
pub struct Receiver<'a> {
    request: Request<'a>,
    body: Vec<u8>,
}

impl<'a> Receiver<'a> {
    pub fn new(request: Request<'a>) -> Self {
        Receiver { request, body: Vec::new() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        let max = self.request.max_bytes;
        if chunk.len() > max.saturating_sub(self.body.len()) {
            let message = format!("the body is larger than {max} bytes");
            return Err(DecodeError::new(DecodeFault::TooLarge, message).expected(format!("at most {max} bytes")));
        }
        if self.body.is_empty() {
            self.body.reserve_exact(self.request.announced_bytes.unwrap_or(0).min(max).max(chunk.len()));
        }
        self.body.extend_from_slice(chunk);
        Ok(())
    }

    /// Opens the archive and reads each input from it.
    pub fn finish(self) -> Result<Decoded, DecodeError> {
        let signature = self.request.signature;
        let mut allowance = Allowance::compressed(&self.request);
        let mut archive = open(self.body)?;
        let members = members(&archive, signature)?;
        let inputs = signature.inputs.iter().zip(members).map(|(spec, index)| {
            let index = index.ok_or_else(|| missing(signature, spec))?;
            read_member(&mut archive, index, spec, &mut allowance)
        });
        Ok(Decoded { inputs: inputs.collect::<Result<_, _>>()?, reply: Reply::Npz })
    }
}

/// Writes an archive as `numpy.savez` does: nothing is compressed, and equal answers are equal bytes.
///
/// The one form whose tensor data is copied: the checksum that precedes each file needs a pass over it anyway.
pub fn encode(outputs: Vec<Value>, signature: &Signature) -> Result<Encoded, EncodeError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in refusal::only_tensors(outputs, signature, Format::Npz)? {
        write_member(&mut writer, name, tensor)?;
    }
    let archive = writer.finish().map_err(|error| unwritable("the answer", error))?;
    Ok(Encoded { format: Format::Npz, parts: vec![Bytes::from(archive.into_inner())], raw_layout: None })
}

fn write_member(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, tensor: Tensor) -> Result<(), EncodeError> {
    let parts = npy::encode_array(tensor, name)?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o600)
        .large_file(parts.iter().map(Bytes::len).sum::<usize>() > u32::MAX as usize);
    let written = writer
        .start_file(format!("{name}{EXTENSION}"), options)
        .and_then(|()| parts.iter().try_for_each(|part| writer.write_all(part).map_err(ZipError::from)));
    written.map_err(|error| unwritable(&format!("output '{name}'"), error))
}

fn unwritable(what: &str, error: ZipError) -> EncodeError {
    EncodeError::NotRepresentable(format!(
        "{what} cannot be written to an .npz file ({error}); ask for application/json or {}",
        Format::Safetensors.media_type(),
    ))
}

fn open(body: Vec<u8>) -> Result<Archive, DecodeError> {
    let got = match body.as_slice() {
        [0x93, b'N', b'U', b'M', ..] => Some(("a single .npy array", Format::Npy)),
        [b'{' | b'[', ..] => Some(("JSON", Format::Json)),
        _ => None,
    };
    if let Some((got, format)) = got {
        let message = format!("the body is no .npz file but {got}; for that set Content-Type: {}", format.media_type());
        return Err(malformed(message).expected("an .npz file").got(got));
    }
    if memchr::memmem::find_iter(&body, DIRECTORY_ENTRY).nth(MEMBERS_MAX).is_some() {
        let message = format!("the archive has more than {MEMBERS_MAX} files");
        return Err(malformed(message).expected(format!("at most {MEMBERS_MAX} files")));
    }
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    ZipArchive::with_config(config, Cursor::new(body)).map_err(|error| {
        malformed(format!("the body is no readable .npz file, as numpy.savez writes it: {error}"))
            .expected("an .npz file")
    })
}

/// The member of each input, by its place in the archive.
fn members(archive: &Archive, signature: &Signature) -> Result<Vec<Option<usize>>, DecodeError> {
    let mut members = vec![None; signature.inputs.len()];
    for index in 0..archive.len() {
        let name = archive
            .name_for_index(index)
            .and_then(Result::ok)
            .ok_or_else(|| malformed("the archive has a file without a readable name"))?;
        let input = match name.strip_suffix(EXTENSION) {
            Some(UNNAMED) if signature.inputs.len() == 1 => 0,
            Some(input) => signature.input_index(input).ok_or_else(|| refusal::unknown_input(signature, input))?,
            None => {
                let mut error = refusal::unknown_input(signature, &name);
                error.message.push_str("; each is a file named as the input, with .npy at the end");
                return Err(error);
            }
        };
        if members[input].replace(index).is_some() {
            return Err(refusal::repeated_input(&signature.inputs[input].name));
        }
    }
    if archive.has_duplicate_names() {
        let message = "the archive has two files of the same name; give each input once";
        return Err(DecodeError::new(DecodeFault::WrongInputs, message));
    }
    Ok(members)
}

fn missing(signature: &Signature, spec: &TensorSpec) -> DecodeError {
    let mut error = refusal::missing_input(signature, spec);
    error.message.push_str(&format!("; add the array by name: np.savez(file, **{{{:?}: array}})", spec.name));
    error
}

/// Reads one array to its end, so that its checksum is compared too.
fn read_member(
    archive: &mut Archive,
    index: usize,
    spec: &TensorSpec,
    allowance: &mut Allowance,
) -> Result<Tensor, DecodeError> {
    let path = archive.name_for_index(index).and_then(Result::ok).map(|name| name.into_owned()).unwrap_or_default();
    let unreadable = |why: String| malformed(format!("the file '{path}' of the archive {why}")).at(&path);
    let entry = archive.by_index_data(index).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    if entry.encrypted() {
        return Err(unreadable("is encrypted; write it with numpy.savez".to_owned()));
    }
    let method = entry.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(unreadable(format!("is compressed by {method}; use numpy.savez or numpy.savez_compressed"))
            .expected("stored or deflated")
            .got(method.to_string()));
    }
    let mut file = archive.by_index(index).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let mut array = Array::new(spec);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(|error| unreadable(format!("is damaged: {error}")))? {
            0 => break,
            count => array.push(&buffer[..count], allowance).map_err(|error| error.at(&path))?,
        }
    }
    array.finish().map_err(|error| error.at(&path))
}
