//! Walking the members of an object and the items of an array, outside the hot loops.

use std::borrow::Cow;
use std::collections::HashSet;

use super::refusal::{malformed, shown};
use super::scan::Scanner;
use super::string;
use crate::codec::DecodeError;

/// The members of an object that is being read. The caller reads the value after each key.
#[derive(Debug)]
pub(in crate::codec) struct Members<'a> {
    seen: Keys<'a>,
    any: bool,
}

impl<'a> Members<'a> {
    pub fn open(scanner: &mut Scanner<'a>) -> Result<Self, DecodeError> {
        scanner.open(b'{')?;
        Ok(Members { seen: Keys::default(), any: false })
    }

    /// The next key; the scanner stands at its value. `None` when the object has ended.
    pub fn next(&mut self, scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if scanner.peek() == Some(b'}') && !self.any {
            scanner.close();
            return Ok(None);
        }
        if self.any && !scanner.take(b',') {
            if scanner.peek() == Some(b'}') {
                scanner.close();
                return Ok(None);
            }
            return Err(scanner.unexpected("expected ',' or '}'"));
        }
        self.any = true;
        if scanner.peek() != Some(b'"') {
            return Err(scanner.unexpected("expected a key in double quotes"));
        }
        let before = scanner.clone();
        let key = string::take(scanner)?;
        if !self.seen.insert(key.clone()) {
            return Err(malformed(&before, format!("the key {} is given twice", shown(&key))));
        }
        if !scanner.take(b':') {
            return Err(scanner.unexpected("expected ':'"));
        }
        Ok(Some(key))
    }
}

/// The items of an array that is being read. The caller reads each item.
#[derive(Debug)]
pub(in crate::codec) struct Items {
    count: usize,
}

impl Items {
    pub fn open(scanner: &mut Scanner<'_>) -> Result<Self, DecodeError> {
        scanner.open(b'[')?;
        Ok(Items { count: 0 })
    }

    /// Whether there is another item; the scanner then stands at it.
    pub fn next(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
        if self.count > 0 && scanner.take(b',') {
            self.count += 1;
            return Ok(true);
        }
        match scanner.peek() {
            Some(b']') => {
                scanner.close();
                Ok(false)
            }
            _ if self.count == 0 => {
                self.count = 1;
                Ok(true)
            }
            _ => Err(scanner.unexpected("expected ',' or ']'")),
        }
    }

    /// The position of the current item.
    pub fn index(&self) -> usize {
        self.count.saturating_sub(1)
    }

    /// The number of items so far.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The keys of one object so far. Few are compared one by one; many go into a set, so that a hostile body cannot make
/// this quadratic. Most objects have one, which takes no memory.
#[derive(Debug, Default)]
struct Keys<'a> {
    first: Option<Cow<'a, str>>,
    few: Vec<Cow<'a, str>>,
    many: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Keys<'a> {
    const FEW: usize = 16;

    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        let Some(first) = &self.first else {
            self.first = Some(key);
            return true;
        };
        if *first == key || self.few.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.many.get_or_insert_default().insert(key)
    }
}
