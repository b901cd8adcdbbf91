//! The types a setting can have, each read from one text form whatever the text came from.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::provider::ProviderOptions;

/// A type that a setting can have.
pub trait SettingValue: Sized {
    /// How the reference names the type.
    const KIND: &'static str;

    /// How the file writes it.
    const FORM: Form;

    fn from_text(text: &str) -> Result<Self, String>;

    fn to_text(&self) -> String;

    /// What the file may hold, as JSON Schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// What the setting's lower bound speaks of: a number, or the length of a list.
    fn size(&self) -> Option<u64> {
        None
    }
}

/// The types that a value has in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Number,
    Switch,
    Text,
    List,
}

macro_rules! from_str {
    ($($t:ty: $form:ident, $kind:literal, $schema:expr, $size:expr;)*) => {$(
        impl SettingValue for $t {
            const KIND: &'static str = $kind;
            const FORM: Form = Form::$form;

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| format!("expected {}", $kind))
            }

            fn to_text(&self) -> String {
                self.to_string()
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                $schema(generator)
            }

            fn size(&self) -> Option<u64> {
                $size(*self)
            }
        }
    )*};
}

from_str! {
    u64: Number, "a whole number", u64::json_schema, Some;
    usize: Number, "a whole number", usize::json_schema, |number| Some(number as u64);
    bool: Switch, "true or false", bool::json_schema, |_| None;
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "a path";
    const FORM: Form = Form::Text;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
    }

    fn to_text(&self) -> String {
        self.display().to_string()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl SettingValue for String {
    const KIND: &'static str = "text";
    const FORM: Form = Form::Text;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// A setting that may be left out; its text is then empty.
impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: &'static str = T::KIND;
    const FORM: Form = T::FORM;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::from_text(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.as_ref().map(T::to_text).unwrap_or_default()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::schema(generator);
        schema.remove("minLength");
        schema
    }
}

/// Several texts; commas between them on a command line, an array in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<String>);

impl SettingValue for List {
    const KIND: &'static str = "a list";
    const FORM: Form = Form::List;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(List(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()))
    }

    fn to_text(&self) -> String {
        self.0.join(",")
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

impl SettingValue for ProviderOptions {
    const KIND: &'static str = "a list of `provider.option=value`";
    const FORM: Form = Form::List;

    fn from_text(text: &str) -> Result<Self, String> {
        ProviderOptions::parse(text)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string", "pattern": r"^[a-z]+\.[a-z0-9_]+=.+$" } })
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
            const FORM: Form = Form::Text;

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

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($text),*] })
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
    /// On which threads a model is run.
    ExecutionChoice {
        /// As the measured cost of runs says.
        Auto = "auto",
        Combining = "combining",
        Pooled = "pooled",
    } "`auto`, `combining` or `pooled`"
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
    /// Whether clients may load and unload models.
    RepositoryMode {
        None = "none",
        /// By the model repository extension of the Open Inference Protocol.
        Explicit = "explicit",
    } "`none` or `explicit`"
}

choices! {
    /// Whether a JSON `null` may stand for NaN in a float input.
    NullInput { Reject = "reject", NaN = "nan" } "`reject` or `nan`"
}

choices! {
    /// What becomes of a column of a table that is none of the model's inputs.
    ExtraColumns { Refuse = "refuse", Drop = "drop" } "`refuse` or `drop`"
}

choices! {
    /// What a NaN or an infinity in an output becomes in JSON, which has neither.
    NonFiniteOutput { Null = "null", Error = "error" } "`null` or `error`"
}
