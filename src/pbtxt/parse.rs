//! From tokens to the tree.

use super::message::{Field, Message, Value};
use super::scan::{Scanner, Token};
use super::{Fault, MAX_BYTES, MAX_DEPTH, MAX_FIELDS, Place};

/// Reads a whole text.
pub fn parse(text: &[u8]) -> Result<Message, Fault> {
    let start = Place { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(Fault::new(start, format!("the file is longer than {MAX_BYTES} bytes")));
    }
    let mut parser = Parser { scanner: Scanner::new(text), next: (Token::End, start), fields: 0 };
    parser.step()?;
    parser.message(None, 0)
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    /// Not taken yet.
    next: (Token, Place),
    /// So far.
    fields: usize,
}

impl Parser<'_> {
    /// Takes the token that is next.
    fn step(&mut self) -> Result<(Token, Place), Fault> {
        let next = self.scanner.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn take(&mut self, sign: u8) -> Result<bool, Fault> {
        let is_next = self.next.0 == Token::Sign(sign);
        if is_next {
            self.step()?;
        }
        Ok(is_next)
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let got = match &self.next.0 {
            Token::Word(word) => Value::Word(word.clone()).describe(),
            Token::String(bytes) => Value::String(bytes.clone()).describe(),
            Token::Integer(number) => number.to_string(),
            Token::Float(number) => number.to_string(),
            Token::Sign(sign) => format!("'{}'", char::from(*sign)),
            Token::End => "the end of the file".to_owned(),
        };
        Fault::new(self.next.1, format!("expected {expected}, got {got}"))
    }

    /// Fields up to the sign that closes them, which is taken; without one, up to the end of the text.
    fn message(&mut self, close: Option<u8>, depth: usize) -> Result<Message, Fault> {
        let mut message = Message::default();
        loop {
            match (&self.next.0, close) {
                (Token::End, None) => return Ok(message),
                (Token::Sign(sign), Some(close)) if *sign == close => {
                    self.step()?;
                    return Ok(message);
                }
                (Token::Word(_), _) => self.field(&mut message, depth)?,
                (Token::Sign(b'['), _) => {
                    return Err(Fault::new(self.next.1, "extensions and Any ([package.name]) are not read here"));
                }
                (_, Some(close)) => {
                    return Err(self.unexpected(&format!("a field's name or '{}'", char::from(close))));
                }
                (_, None) => return Err(self.unexpected("a field's name")),
            }
        }
    }

    /// One field, or as many as its list has items; and the separator that may follow.
    fn field(&mut self, message: &mut Message, depth: usize) -> Result<(), Fault> {
        let (Token::Word(name), place) = self.step()? else { unreachable!("asked for by a word") };
        let has_colon = self.take(b':')?;
        if self.take(b'[')? {
            if !self.take(b']')? {
                loop {
                    let value = self.value(has_colon, depth)?;
                    self.push(message, Field { name: name.clone(), place, value })?;
                    if self.take(b']')? {
                        break;
                    }
                    if !self.take(b',')? {
                        return Err(self.unexpected("',' or ']'"));
                    }
                }
            }
        } else {
            let value = self.value(has_colon, depth)?;
            self.push(message, Field { name, place, value })?;
        }
        if !self.take(b',')? {
            self.take(b';')?;
        }
        Ok(())
    }

    fn push(&mut self, message: &mut Message, field: Field) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Fault::new(field.place, format!("the file has more than {MAX_FIELDS} fields")));
        }
        message.fields.push(field);
        Ok(())
    }

    fn value(&mut self, has_colon: bool, depth: usize) -> Result<Value, Fault> {
        let close = match self.next.0 {
            Token::Sign(b'{') => b'}',
            Token::Sign(b'<') => b'>',
            _ if !has_colon => return Err(self.unexpected("':' or '{'")),
            _ => return self.scalar(),
        };
        let (_, place) = self.step()?;
        if depth >= MAX_DEPTH {
            return Err(Fault::new(place, format!("messages lie more than {MAX_DEPTH} deep in each other")));
        }
        self.message(Some(close), depth + 1).map(Value::Message)
    }

    fn scalar(&mut self) -> Result<Value, Fault> {
        if self.take(b'-')? {
            return self.negative();
        }
        match &self.next.0 {
            Token::Word(_) | Token::Integer(_) | Token::Float(_) => {}
            Token::String(_) => return self.strings().map(Value::String),
            _ => return Err(self.unexpected("a value")),
        }
        Ok(match self.step()?.0 {
            Token::Word(word) => match non_finite(&word) {
                Some(number) => Value::Float(number),
                None => Value::Word(word),
            },
            Token::Integer(number) => Value::Integer(number.into()),
            Token::Float(number) => Value::Float(number),
            _ => unreachable!("looked at before"),
        })
    }

    /// What follows a minus.
    fn negative(&mut self) -> Result<Value, Fault> {
        let value = match &self.next.0 {
            Token::Integer(number) => Value::Integer(-i128::from(*number)),
            Token::Float(number) => Value::Float(-number),
            Token::Word(word) => match non_finite(word) {
                Some(number) => Value::Float(-number),
                None => return Err(self.unexpected("a number after '-'")),
            },
            _ => return Err(self.unexpected("a number after '-'")),
        };
        self.step()?;
        Ok(value)
    }

    /// Strings beside each other are one.
    fn strings(&mut self) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        while let Token::String(bytes) = &mut self.next.0 {
            whole.append(bytes);
            self.step()?;
        }
        Ok(whole)
    }
}

/// The floats that are words, in any letter case.
fn non_finite(word: &str) -> Option<f64> {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("inf") || is("infinity") {
        Some(f64::INFINITY)
    } else if is("nan") {
        Some(f64::NAN)
    } else {
        None
    }
}
