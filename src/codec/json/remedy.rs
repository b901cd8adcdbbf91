//! What to do about a value that is nested less or more deeply than its input: the value as the input would take it.
//!
//! Only called for messages, so it may be slow. What it shows is tried against the signature first.

use super::example;
use super::members::Items;
use super::refusal::shorten;
use super::scan::Scanner;
use crate::tensor::TensorSpec;

/// Deeper values get no proposal: there are too many ways to nest them.
const RANK_MAX: usize = 8;

/// Elements that are kept to be shown.
const LEAVES_MAX: usize = 16;

/// Items of one list that are shown.
const ITEMS_MAX: usize = 4;

/// Characters of one element that are shown.
const ELEMENT_CHARS_MAX: usize = 20;

/// Brackets that make this value the input's, or remove those that keep it from being it. `columns` is the number of column
/// names that came with it.
pub(super) fn nest(value: &[u8], spec: &TensorSpec, rank: usize, columns: Option<usize>) -> String {
    let proposal = Nested::of(value).and_then(|nested| {
        let fits = |shape: &[usize]| {
            let has_columns = columns.is_none_or(|columns| shape.get(1) == Some(&columns));
            shape.len() == rank && has_columns && spec.check_shape(shape).is_ok()
        };
        if nested.shape.len() < rank { nested.wrapped(rank, fits) } else { nested.unwrapped(rank, fits) }
    });
    proposal.unwrap_or_else(|| {
        let kind = match rank {
            0 => "a bare value".to_owned(),
            1 => "one list".to_owned(),
            _ => format!("lists nested {rank} deep"),
        };
        let example = example::value(spec).filter(|_| columns.is_none());
        example.map_or_else(|| format!("send {kind}"), |example| format!("send {kind}, such as {example}"))
    })
}

/// A value of regular lists.
struct Nested<'a> {
    shape: Vec<usize>,
    /// The first elements, as they are written.
    leaves: Vec<&'a [u8]>,
}

impl<'a> Nested<'a> {
    /// `None` if the lists differ, or hold nothing.
    fn of(value: &'a [u8]) -> Option<Nested<'a>> {
        let mut walk = Walk { sizes: Vec::new(), rank: None, leaves: Vec::new() };
        walk.read(&mut Scanner::new(value, RANK_MAX), 0)?;
        walk.rank?;
        Some(Nested { shape: walk.sizes.into_iter().collect::<Option<_>>()?, leaves: walk.leaves })
    }

    /// More lists around it, else around each element, else in between.
    fn wrapped(&self, rank: usize, fits: impl Fn(&[usize]) -> bool) -> Option<String> {
        let missing = rank - self.shape.len();
        let added = choices(rank, missing).find(|added| fits(&self.with(added, rank)))?;
        let text = self.text(&self.with(&added, rank));
        let last = |axis: usize| axis >= self.shape.len();
        let how = match missing {
            1 if added == [0] => "wrap it in another list".to_owned(),
            _ if added.iter().copied().eq(0..missing) => format!("wrap it {missing} times in another list"),
            1 if added.iter().all(|axis| last(*axis)) => "put each value into a list of its own".to_owned(),
            _ => "nest it as its dimensions are".to_owned(),
        };
        Some(format!("{how}: {text}"))
    }

    /// Fewer lists around it or its parts.
    fn unwrapped(&self, rank: usize, fits: impl Fn(&[usize]) -> bool) -> Option<String> {
        let surplus = self.shape.len() - rank;
        let without = |removed: &[usize]| -> Option<Vec<usize>> {
            removed.iter().all(|axis| self.shape[*axis] == 1).then(|| {
                let kept = self.shape.iter().enumerate().filter(|(axis, _)| !removed.contains(axis));
                kept.map(|(_, size)| *size).collect()
            })
        };
        let shape =
            choices(self.shape.len(), surplus).filter_map(|removed| without(&removed)).find(|shape| fits(shape))?;
        let plural = if surplus == 1 { "" } else { "s" };
        Some(format!("remove {surplus} level{plural} of brackets: {}", self.text(&shape)))
    }

    /// The shape with dimensions of 1 at these axes.
    fn with(&self, added: &[usize], rank: usize) -> Vec<usize> {
        let mut sizes = self.shape.iter();
        (0..rank).map(|axis| if added.contains(&axis) { 1 } else { sizes.next().copied().unwrap_or(1) }).collect()
    }

    fn text(&self, shape: &[usize]) -> String {
        let mut text = String::new();
        self.write(&mut text, shape, 0);
        text
    }

    fn write(&self, text: &mut String, shape: &[usize], first: usize) {
        let Some((&size, inner)) = shape.split_first() else {
            let leaf = self.leaves.get(first).and_then(|leaf| std::str::from_utf8(leaf).ok());
            return text.push_str(&leaf.map_or_else(|| "…".to_owned(), |leaf| shorten(leaf, ELEMENT_CHARS_MAX)));
        };
        let step = inner.iter().fold(1usize, |step, size| step.saturating_mul(*size));
        text.push('[');
        for index in 0..size.min(ITEMS_MAX) {
            if index > 0 {
                text.push_str(", ");
            }
            self.write(text, inner, first.saturating_add(index.saturating_mul(step)));
        }
        text.push_str(if size > ITEMS_MAX { ", …]" } else { "]" });
    }
}

/// All ways to choose some of the axes, those with the outermost first.
fn choices(axes: usize, count: usize) -> impl Iterator<Item = Vec<usize>> {
    let all = if axes <= RANK_MAX { 1usize << axes } else { 0 };
    let chosen = move |mask: usize| -> Vec<usize> { (0..axes).filter(|axis| mask >> axis & 1 == 1).collect() };
    (0..all).filter(move |mask| mask.count_ones() as usize == count).map(chosen)
}

struct Walk<'a> {
    sizes: Vec<Option<usize>>,
    /// How deep the elements lie, once there has been one.
    rank: Option<usize>,
    leaves: Vec<&'a [u8]>,
}

impl<'a> Walk<'a> {
    fn read(&mut self, scanner: &mut Scanner<'a>, axis: usize) -> Option<()> {
        if scanner.peek() != Some(b'[') {
            let leaf = scanner.skip_value().ok()?;
            if self.leaves.len() < LEAVES_MAX {
                self.leaves.push(leaf);
            }
            return (*self.rank.get_or_insert(axis) == axis).then_some(());
        }
        if axis == RANK_MAX || self.rank.is_some_and(|rank| axis >= rank) {
            return None;
        }
        let mut items = Items::open(scanner).ok()?;
        while items.next(scanner).ok()? {
            self.read(scanner, axis + 1)?;
        }
        // Inner lists end before the outer ones, whose size is not known until then.
        if self.sizes.len() <= axis {
            self.sizes.resize(axis + 1, None);
        }
        (*self.sizes[axis].get_or_insert(items.count()) == items.count()).then_some(())
    }
}
