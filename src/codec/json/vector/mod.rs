//! Numbers of an array by vector instructions: AVX-512 on x86-64, where the processor has it. [`read`] takes them from a request's
//! text, [`write`] puts them into an answer's.
//!
//! A processor reads numbers slowly one after the other, because each starts where the last has ended. Here 64 bytes of text
//! are looked at together: bits say what each byte is, bit operations say which elements are well formed and where their
//! digits are, and one instruction each moves, adds up and scales the digits of eight numbers. What is not plain (an
//! exponent, whitespace but for one space, more than 32 digits, what is no number) is left where it stands for
//! [`super::array`], which can read everything and is all there is on other processors.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod shortest;

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::read;
#[cfg(target_arch = "x86_64")]
pub(super) use shortest::write;

/// How far a run of elements was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// To the start of an element that was not read, whitespace aside.
    Before(usize),
    /// To the `]` behind the last element.
    End(usize),
}

/// Reads elements from `at` on, where one starts, until `values` has `most` or there is one that it does not read: none.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn read<T>(_body: &[u8], at: usize, _values: &mut Vec<T>, _most: usize) -> Stop {
    Stop::Before(at)
}

/// Writes values with a comma behind each: none.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn write<T, E>(
    _values: &[T],
    _text: &mut Vec<u8>,
    _other: impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
) -> Result<bool, E> {
    Ok(false)
}
