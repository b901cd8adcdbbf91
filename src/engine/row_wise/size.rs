//! Sizes and other integers of a graph, as far as they are known before anything runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// A product: a number, the number of rows or not, and integers that are not known but are the same for every request with which a
/// request may be joined.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    factor: i64,
    has_rows: bool,
    /// In ascending order.
    symbols: Vec<Symbol>,
}

/// An integer that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Symbol {
    number: u32,
    /// It is the size of a dimension, and so not negative.
    is_size: bool,
}

impl Size {
    pub const ONE: Size = Size::of(1);
    pub const ZERO: Size = Size::of(0);

    pub const fn of(factor: i64) -> Size {
        Size { factor, has_rows: false, symbols: Vec::new() }
    }

    /// The number of rows of the run.
    pub const fn rows() -> Size {
        Size { factor: 1, has_rows: true, symbols: Vec::new() }
    }

    pub fn has_rows(&self) -> bool {
        self.has_rows
    }

    /// The number, if it is the same in every run.
    pub fn known(&self) -> Option<i64> {
        (!self.has_rows && self.symbols.is_empty()).then_some(self.factor)
    }

    pub fn is(&self, number: i64) -> bool {
        self.known() == Some(number)
    }

    pub fn is_not_negative(&self) -> bool {
        self.factor >= 0 && self.symbols.iter().all(|symbol| symbol.is_size)
    }

    /// `None` where the product is too large, or has the number of rows in it twice.
    pub fn times(&self, other: &Size) -> Option<Size> {
        let factor = self.factor.checked_mul(other.factor)?;
        if factor == 0 {
            return Some(Size::ZERO);
        }
        if self.has_rows && other.has_rows {
            return None;
        }
        let mut symbols: Vec<Symbol> = self.symbols.iter().chain(&other.symbols).copied().collect();
        symbols.sort_unstable();
        Some(Size { factor, has_rows: self.has_rows || other.has_rows, symbols })
    }

    /// `None` where it is not certain that nothing remains.
    pub fn divided_by(&self, divisor: &Size) -> Option<Size> {
        if divisor.factor == 0 || self.factor.checked_rem(divisor.factor)? != 0 || (divisor.has_rows && !self.has_rows)
        {
            return None;
        }
        let mut symbols = self.symbols.clone();
        for symbol in &divisor.symbols {
            let found = symbols.iter().position(|other| other == symbol)?;
            symbols.remove(found);
        }
        Some(Size { factor: self.factor / divisor.factor, has_rows: self.has_rows && !divisor.has_rows, symbols })
    }

    /// `None` where it is no such product.
    pub fn plus(&self, other: &Size) -> Option<Size> {
        if self.factor == 0 || other.factor == 0 {
            return Some(if self.factor == 0 { other.clone() } else { self.clone() });
        }
        if self.symbols != other.symbols || self.has_rows != other.has_rows {
            return None;
        }
        let factor = self.factor.checked_add(other.factor)?;
        Some(if factor == 0 { Size::ZERO } else { Size { factor, ..self.clone() } })
    }

    pub fn negated(&self) -> Option<Size> {
        self.times(&Size::of(-1))
    }
}

/// The product of sizes; 1 of none.
pub fn product<'a>(sizes: impl IntoIterator<Item = &'a Size>) -> Option<Size> {
    sizes.into_iter().try_fold(Size::ONE, |product, size| product.times(size))
}

/// Makes symbols.
#[derive(Debug, Default)]
pub struct Symbols {
    count: Cell<u32>,
    made: RefCell<HashMap<(&'static str, Vec<Size>), Size>>,
}

impl Symbols {
    /// The size of a dimension of which nothing is known.
    pub fn size(&self) -> Size {
        self.symbol(true)
    }

    /// An integer of which nothing is known.
    pub fn integer(&self) -> Size {
        self.symbol(false)
    }

    /// The size that follows from these in this way: the same each time.
    pub fn size_from(&self, how: &'static str, of: &[&Size]) -> Size {
        self.from(how, of, true)
    }

    /// The integer that follows from these in this way: the same each time.
    pub fn integer_from(&self, how: &'static str, of: &[&Size]) -> Size {
        self.from(how, of, false)
    }

    fn from(&self, how: &'static str, of: &[&Size], is_size: bool) -> Size {
        let key = (how, of.iter().map(|&size| size.clone()).collect());
        self.made.borrow_mut().entry(key).or_insert_with(|| self.symbol(is_size)).clone()
    }

    fn symbol(&self, is_size: bool) -> Size {
        let number = self.count.get();
        self.count.set(number + 1);
        Size { factor: 1, has_rows: false, symbols: vec![Symbol { number, is_size }] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_taken_apart_only_where_nothing_remains() {
        let symbols = Symbols::default();
        let (length, rows) = (symbols.size(), Size::rows());
        let merged = product([&rows, &length, &Size::of(12)]).unwrap();
        assert_eq!(merged.divided_by(&Size::of(4)), product([&rows, &length, &Size::of(3)]));
        assert_eq!(merged.divided_by(&length), rows.times(&Size::of(12)));
        assert_eq!(merged.divided_by(&Size::of(5)), None);
        assert_eq!(merged.divided_by(&symbols.size()), None);
        assert_eq!(length.divided_by(&rows), None);
        assert_eq!(length.divided_by(&Size::ZERO), None);
        assert_eq!(merged.times(&rows), None, "rows squared");
        assert_eq!(merged.times(&Size::ZERO), Some(Size::ZERO));
        assert_eq!(Size::of(i64::MAX).times(&Size::of(2)), None);
    }

    #[test]
    fn sums_are_of_the_same_kind() {
        let symbols = Symbols::default();
        let length = symbols.size();
        assert_eq!(length.plus(&length), length.times(&Size::of(2)));
        assert_eq!(length.plus(&length.negated().unwrap()), Some(Size::ZERO));
        assert_eq!(length.plus(&Size::ZERO), Some(length.clone()));
        assert_eq!(length.plus(&Size::ONE), None);
    }

    #[test]
    fn what_follows_from_the_same_is_the_same() {
        let symbols = Symbols::default();
        let (a, b) = (symbols.size(), symbols.size());
        assert_ne!(a, b);
        assert_eq!(symbols.size_from("max", &[&a, &b]), symbols.size_from("max", &[&a, &b]));
        assert_ne!(symbols.size_from("max", &[&a, &b]), symbols.size_from("min", &[&a, &b]));
        assert!(symbols.size().is_not_negative() && !symbols.integer().is_not_negative());
    }
}
