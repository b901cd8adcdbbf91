//! The tree of a text, and its fields as the types that a schema gives them.

use super::{Fault, Place};

/// The fields between two braces, or of a whole text, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub fields: Vec<Field>,
}

/// One field. A list (`dims: [1, 2]`) is as many fields as it has items.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    /// Of the name.
    pub place: Place,
    pub value: Value,
}

/// What stands behind a field's name.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Message(Message),
    /// Without its quotes and escapes; any bytes.
    String(Vec<u8>),
    /// A name: `true`, or a value of an enum.
    Word(String),
    Integer(i128),
    Float(f64),
}

impl Field {
    /// The field as a `string`.
    pub fn text(&self) -> Result<&str, Fault> {
        match &self.value {
            Value::String(bytes) => std::str::from_utf8(bytes).map_err(|_| self.fault("the string is not UTF-8")),
            _ => Err(self.mismatch("a string in quotes")),
        }
    }

    /// The field as a whole number from `least` to `most`.
    pub fn integer(&self, least: i64, most: i64) -> Result<i64, Fault> {
        let expected = || format!("a whole number from {least} to {most}");
        match self.value {
            Value::Integer(number) => {
                let number = i64::try_from(number).ok().filter(|number| (least..=most).contains(number));
                number.ok_or_else(|| self.mismatch(&expected()))
            }
            _ => Err(self.mismatch(&expected())),
        }
    }

    /// The field as a number of things.
    pub fn count(&self, most: u32) -> Result<u32, Fault> {
        self.integer(0, most.into()).map(|number| u32::try_from(number).expect("within the bounds of a u32"))
    }

    /// The field as a `bool`: the text format takes `true`, `True`, `t` and 1, and their opposites.
    pub fn flag(&self) -> Result<bool, Fault> {
        match &self.value {
            Value::Word(word) if matches!(word.as_str(), "true" | "True" | "t") => Ok(true),
            Value::Word(word) if matches!(word.as_str(), "false" | "False" | "f") => Ok(false),
            Value::Integer(1) => Ok(true),
            Value::Integer(0) => Ok(false),
            _ => Err(self.mismatch("true or false")),
        }
    }

    /// The field as one of an enum's values, which may be written by its name or by its number.
    pub fn choice<T: Copy>(&self, values: &[(&str, i128, T)]) -> Result<T, Fault> {
        let found = values.iter().find(|(name, number, _)| match &self.value {
            Value::Word(word) => word == name,
            Value::Integer(integer) => integer == number,
            _ => false,
        });
        found.map(|(_, _, value)| *value).ok_or_else(|| {
            let names: Vec<_> = values.iter().map(|(name, ..)| *name).collect();
            self.mismatch(&format!("one of {}", names.join(", ")))
        })
    }

    /// The field as a message.
    pub fn message(&self) -> Result<&Message, Fault> {
        match &self.value {
            Value::Message(message) => Ok(message),
            _ => Err(self.mismatch("a message in braces")),
        }
    }

    /// Something is wrong with this field.
    pub fn fault(&self, message: impl std::fmt::Display) -> Fault {
        Fault::new(self.place, format!("{}: {message}", self.name))
    }

    fn mismatch(&self, expected: &str) -> Fault {
        self.fault(format!("expected {expected}, got {}", self.value.describe()))
    }
}

impl Value {
    /// In few words.
    pub fn describe(&self) -> String {
        const SHOWN_CHARS: usize = 40;
        let shorten = |text: &str| -> String {
            let mut short: String = text.chars().take(SHOWN_CHARS).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short.replace(char::is_control, " ")
        };
        match self {
            Value::Message(_) => "a message in braces".to_owned(),
            Value::String(bytes) => format!("the string \"{}\"", shorten(&String::from_utf8_lossy(bytes))),
            Value::Word(word) => shorten(word),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
        }
    }
}
