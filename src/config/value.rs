//! The types a setting can have, each read from one text form whatever the text came from.

use std::net::SocketAddr;
use std::path::PathBuf;

/// A type that a setting can have.
pub trait SettingValue: Sized {
    /// How the reference names the type.
    const KIND: &'static str;

    fn from_text(text: &str) -> Result<Self, String>;

    fn to_text(&self) -> String;
}

macro_rules! from_str {
    ($($t:ty => $kind:literal),* $(,)?) => {$(
        impl SettingValue for $t {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| format!("expected {}", $kind))
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

from_str! {
    u64 => "a whole number",
    usize => "a whole number",
    SocketAddr => "an address such as 127.0.0.1:8080",
    bool => "true or false",
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
    }

    fn to_text(&self) -> String {
        self.display().to_string()
    }
}

impl SettingValue for String {
    const KIND: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

/// A setting that may be left out; its text is then empty.
impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: &'static str = T::KIND;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::from_text(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.as_ref().map(T::to_text).unwrap_or_default()
    }
}

/// Several texts; commas between them on a command line, an array in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

impl SettingValue for List {
    const KIND: &'static str = "a list";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(List(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()))
    }

    fn to_text(&self) -> String {
        self.0.join(",")
    }
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? } $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl SettingValue for $name {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($text => Ok($name::$variant),)*
                    _ => Err(format!("expected {}", $kind)),
                }
            }

            fn to_text(&self) -> String {
                match self {
                    $($name::$variant => $text.to_owned(),)*
                }
            }
        }
    };
}

choices! {
    /// Whether scoring needs a key.
    Auth { Key = "key", None = "none" } "`key` or `none`"
}

choices! {
    /// Which engine runs the models.
    EngineChoice {
        /// ONNX Runtime where its library is found, tract otherwise.
        Auto = "auto",
        Ort = "ort",
        Tract = "tract",
    } "`auto`, `ort` or `tract`"
}

choices! {
    /// How log lines look.
    LogFormat {
        /// Human on a terminal, JSON otherwise.
        Auto = "auto",
        Human = "human",
        Json = "json",
    } "`auto`, `human` or `json`"
}

choices! {
    /// The least important line that is logged.
    LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug" } "`error`, `warn`, `info` or `debug`"
}

choices! {
    /// The oldest version of TLS that is spoken.
    TlsVersion { V1_2 = "1.2", V1_3 = "1.3" } "`1.2` or `1.3`"
}

choices! {
    /// Whether a JSON `null` may stand for NaN in a float input.
    NullInput { Reject = "reject", NaN = "nan" } "`reject` or `nan`"
}

choices! {
    /// What a NaN or an infinity in an output becomes in JSON, which has neither.
    NonFiniteOutput { Null = "null", Error = "error" } "`null` or `error`"
}
