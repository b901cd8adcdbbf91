//! The body formats and their media types.

/// A format that a body can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    Csv,
    Npy,
    Npz,
    Raw,
    Safetensors,
}

impl Format {
    /// Every format, JSON first.
    pub const ALL: [Format; 6] =
        [Format::Json, Format::Csv, Format::Npy, Format::Npz, Format::Raw, Format::Safetensors];

    /// The media type of the format, as we send it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv",
            Format::Npy => "application/x-npy",
            Format::Npz => "application/x-npz",
            Format::Raw => "application/octet-stream",
            Format::Safetensors => "application/x-safetensors",
        }
    }

    /// A short name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Raw => "raw",
            Format::Safetensors => "safetensors",
        }
    }

    /// Whether a body of this format takes work in proportion to its length once all of it is there, and so does an answer. The
    /// bytes of the others are the elements themselves, which are put in their place as they come.
    pub const fn is_converted_whole(self) -> bool {
        matches!(self, Format::Json | Format::Npz)
    }

    /// The format of a media type, parameters and letter case aside.
    ///
    /// `text/plain` and the form type are read as JSON: they are what `curl -d` and browsers' simplest requests send.
    pub fn from_media_type(media_type: &str) -> Option<Format> {
        // As nearly all write it.
        if let Some(format) = Format::ALL.into_iter().find(|format| format.media_type() == media_type) {
            return Some(format);
        }
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match essence.as_str() {
            "application/json" | "text/json" | "text/plain" | "application/x-www-form-urlencoded" => Format::Json,
            "text/csv" | "application/csv" => Format::Csv,
            "application/x-npy" | "application/x-numpy" => Format::Npy,
            "application/x-npz" => Format::Npz,
            "application/octet-stream" => Format::Raw,
            "application/x-safetensors" | "application/safetensors" => Format::Safetensors,
            other if other.starts_with("application/") && other.ends_with("+json") => Format::Json,
            _ => return None,
        })
    }
}
