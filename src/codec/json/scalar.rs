//! How one element of each type is read: the trait over which the array reader is generic.

use half::{bf16, f16};

use super::scan::Scanner;
use super::vector::{self, Stop};
use super::{float, integer, string};
use crate::tensor::Element;

/// What JSON writes an element as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Number,
    String,
}

/// An element type, as JSON text.
pub(super) trait Scalar: Element {
    const KIND: Kind;
    /// What `null` may stand for, where the endpoint allows it.
    const NULL: Option<Self> = None;

    /// The element that the text starts with, and what follows it.
    ///
    /// `None` for everything else, be it another type, a number that the type cannot hold or no JSON at all: finding out
    /// which is left to a slow second look. What follows is not judged.
    fn parse(text: &[u8]) -> Option<(Self, &[u8])>;

    /// The element that a text is, where the type is that of texts.
    fn from_text(_text: String) -> Option<Self> {
        None
    }

    /// See [`vector::read`].
    fn parse_run(_body: &[u8], at: usize, _values: &mut Vec<Self>, _most: usize) -> Stop {
        Stop::Before(at)
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Scalar for $t {
            const KIND: Kind = Kind::Number;

            #[inline(always)]
            fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
                integer::parse(text)
            }

            fn parse_run(body: &[u8], at: usize, values: &mut Vec<Self>, most: usize) -> Stop {
                vector::read(body, at, values, most)
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($t:ty: $parse:expr),*) => {$(
        impl Scalar for $t {
            const KIND: Kind = Kind::Number;
            const NULL: Option<Self> = Some(<$t>::NAN);

            #[inline(always)]
            fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
                $parse(text)
            }

            fn parse_run(body: &[u8], at: usize, values: &mut Vec<Self>, most: usize) -> Stop {
                vector::read(body, at, values, most)
            }
        }
    )*};
}

floats!(f32: float::parse_f32, f64: float::parse_f64);

macro_rules! narrow_floats {
    ($($t:ty),*) => {$(
        impl Scalar for $t {
            const KIND: Kind = Kind::Number;
            const NULL: Option<Self> = Some(<$t>::NAN);

            #[inline(always)]
            fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
                float::parse_narrow(text)
            }
        }
    )*};
}

narrow_floats!(f16, bf16);

impl Scalar for bool {
    const KIND: Kind = Kind::Boolean;

    #[inline(always)]
    fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
        match text {
            [b't', b'r', b'u', b'e', rest @ ..] => Some((true, rest)),
            [b'f', b'a', b'l', b's', b'e', rest @ ..] => Some((false, rest)),
            _ => None,
        }
    }
}

impl Scalar for String {
    const KIND: Kind = Kind::String;

    fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
        if text.first() != Some(&b'"') {
            return None;
        }
        let mut scanner = Scanner::inside(text);
        let value = string::take(&mut scanner).ok()?.into_owned();
        Some((value, scanner.rest()))
    }

    fn from_text(text: String) -> Option<Self> {
        Some(text)
    }
}
