//! The instructions: AVX-512 with its byte permutations (VBMI, VBMI2), and BMI for the bits.
//!
//! Which bits must be set for an element to be well formed is RFC 8259's grammar, position by position. Nothing here reads or
//! writes memory but through slices. What needs `unsafe` is only that the processor has the instructions, which [`read`] asks
//! once before it starts.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Stop;
use crate::codec::json::float::{F32_WINDOW, SHORT_POW10, SHORT_TENTHS};
use crate::codec::json::integer;
use crate::codec::json::number::Short;

/// Whether this processor has what [`read`] is made of: Intel's since Ice Lake, AMD's since Zen 4.
#[inline]
fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// Eight numbers, the first in the lowest place.
#[derive(Clone, Copy, Debug)]
pub struct Eight {
    /// Their digits, without sign and point; below 2^63.
    digits: __m512i,
    /// How many of these stand behind the point; below 32.
    decimals: __m512i,
    /// A bit for each that has a minus sign.
    negative: u8,
}

/// An element type that numbers are made into, eight at a time.
pub trait Eights: Copy + Default {
    /// The elements, and a bit for each that is right; the others are for a slower way to decide.
    ///
    /// # Safety
    ///
    /// The processor must have the instructions: [`is_available`].
    unsafe fn from_eight(eight: Eight) -> ([Self; 8], u8);
}

macro_rules! avx512 {
    ($($item:item)*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
        $item
    )*};
}

/// Reads elements from `at` on, where one starts, until `values` has `most` or there is one that it does not read.
#[inline]
pub fn read<T: Eights>(body: &[u8], at: usize, values: &mut Vec<T>, most: usize) -> Stop {
    if !is_available() {
        return Stop::Before(at);
    }
    // SAFETY: the processor has the instructions, which is all that the function asks for.
    unsafe { read_blocks(body, at, values, most) }
}

/// A byte for each place of a vector.
const fn places(divide: u8, multiply: u8) -> [u8; 64] {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < 64 {
        bytes[i] = i as u8 / divide * multiply;
        i += 1;
    }
    bytes
}

/// Each place's own number.
const IOTA: [u8; 64] = places(1, 1);

/// Twice the number of each lane of 16 bytes: lanes hold every second element.
const EVEN: [u8; 64] = places(16, 2);

/// The number of each 64-bit word.
const WORDS: [u8; 64] = places(8, 1);

/// In each lane of 16 bytes, how far a byte is from the lane's end: 16 to 1.
const FROM_END: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < 64 {
        bytes[i] = 16 - (i as u8 & 15);
        i += 1;
    }
    bytes
};

avx512! {
    fn constant(bytes: [u8; 64]) -> __m512i {
        bytemuck::cast(bytes)
    }

    fn read_blocks<T: Eights>(body: &[u8], mut at: usize, values: &mut Vec<T>, most: usize) -> Stop {
        let mut text = block(body, at);
        let mut elements = Elements::find(text);
        while elements.ends != 0 {
            // The next block is looked at before this one's numbers are read, so that the processor has both to do.
            let end = at + 63 - elements.ends.leading_zeros() as usize;
            let (next, following) = if elements.ends_array {
                (text, elements)
            } else {
                let next = block(body, end + 1);
                (next, Elements::find(next))
            };
            let wanted = elements.count().min(most - values.len());
            let read = elements.read(text, wanted, values);
            if read < elements.count() {
                // The start of the first that was not read.
                let before = if read == 0 { 0 } else { _pdep_u64(1 << (read - 1), elements.ends).trailing_zeros() as usize + 1 };
                return Stop::Before(at + before);
            }
            if elements.ends_array {
                return Stop::End(end);
            }
            (at, text, elements) = (end + 1, next, following);
        }
        Stop::Before(at)
    }

    /// 64 bytes of the body from here, with zeros behind its end.
    fn block(body: &[u8], at: usize) -> __m512i {
        let rest = &body[at..];
        if let Some(bytes) = rest.first_chunk::<64>() {
            return bytemuck::cast(*bytes);
        }
        if let Some(bytes) = body.last_chunk::<64>() {
            let behind = (64 - rest.len()) as u32;
            let places = _mm512_add_epi8(constant(IOTA), _mm512_set1_epi8(behind as i8));
            return _mm512_maskz_permutexvar_epi8(u64::MAX.unbounded_shr(behind), places, bytemuck::cast(*bytes));
        }
        let mut bytes = [0; 64];
        bytes[..rest.len()].copy_from_slice(rest);
        constant(bytes)
    }
}

/// The elements that begin and end in a block, from its first byte on.
#[derive(Clone, Copy, Debug)]
struct Elements {
    /// A bit for the separator behind each.
    ends: u64,
    /// The last separator is the array's end.
    ends_array: bool,
    /// A bit for each, by its number, that is negative.
    negative: u64,
    /// Where each ends, a byte for each by its number.
    end: __m512i,
    /// Likewise, how many digits it has, and how many of them behind the point: 0 where there is none.
    digits: __m512i,
    decimals: __m512i,
    /// As `decimals`, but 255 where there is no point.
    behind_point: __m512i,
    /// Whether any has more than 16 digits.
    any_long: bool,
}

impl Elements {
    avx512! {
        fn find(text: __m512i) -> Self {
            let is = |byte: u8| _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(byte as i8));
            let figures = _mm512_xor_si512(text, _mm512_set1_epi8(b'0' as i8));
            let digit = _mm512_cmple_epu8_mask(figures, _mm512_set1_epi8(9));
            let (bracket, point, minus, space, zero) = (is(b']'), is(b'.'), is(b'-'), is(b' '), is(b'0'));
            let ends = (is(b',') | bracket) & _blsmsk_u64(bracket);
            // Where each element starts, its sign may be, and its first digit must be.
            let starts = ends << 1 | 1;
            let signs = (starts & !space) | (starts & space) << 1;
            let firsts = (signs & !minus) | (signs & minus) << 1;
            // Of the points and separators, those that follow a point: its element's separator, or a point too many.
            let fences = ends | point;
            let points = _pext_u64(point, fences);
            let behind_points = _pdep_u64(points << 1, fences);
            // The rest of the grammar: only these bytes, a digit before and behind a point, no zero before a digit.
            let wrong = !(digit | ends | point | minus | space)
                | (space & !starts)
                | (minus & !signs)
                | (firsts & !digit)
                | (point & !(digit << 1))
                | (point << 1 & !digit)
                | (point & behind_points)
                | ((zero & firsts) << 1 & digit);
            let ends = ends & !wrong & wrong.wrapping_sub(1);

            let iota = constant(IOTA);
            let end = _mm512_maskz_compress_epi8(ends, iota);
            // Where the separators are if only digits and they are counted.
            let counted = _mm512_maskz_compress_epi8(_pext_u64(ends, digit | ends), iota);
            let before = _mm512_mask_permutexvar_epi8(_mm512_set1_epi8(-1), !1, _mm512_sub_epi8(iota, _mm512_set1_epi8(1)), counted);
            let digits = _mm512_sub_epi8(_mm512_sub_epi8(counted, before), _mm512_set1_epi8(1));
            let has_point = _pext_u64(behind_points, ends);
            let place = _mm512_maskz_expand_epi8(has_point, _mm512_maskz_compress_epi8(point, iota));
            let decimals = _mm512_maskz_sub_epi8(has_point, _mm512_sub_epi8(end, place), _mm512_set1_epi8(1));
            let behind_point = _mm512_mask_mov_epi8(_mm512_set1_epi8(-1), has_point, decimals);
            let each = _bzhi_u64(u64::MAX, ends.count_ones());
            let any_long = _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(16)) & each != 0;
            let (ends_array, negative) = (ends & bracket != 0, _pext_u64(minus, signs));
            Elements { ends, ends_array, negative, end, digits, decimals, behind_point, any_long }
        }

        fn count(&self) -> usize {
            self.ends.count_ones() as usize
        }

        /// Appends the first elements, or fewer if one is not to be read here. Returns how many.
        fn read<T: Eights>(&self, text: __m512i, count: usize, values: &mut Vec<T>) -> usize {
            let figures = _mm512_xor_si512(text, _mm512_set1_epi8(b'0' as i8));
            let mut read = 0;
            while read < count {
                let from = _mm512_set1_epi8(read as i8);
                let even = _mm512_add_epi8(constant(EVEN), from);
                let odd = _mm512_add_epi8(even, _mm512_set1_epi8(1));
                let words = _mm512_add_epi8(constant(WORDS), from);
                let mut digits = self.sixteen(figures, even, odd, constant(FROM_END));
                let mut fine = 0xff;
                if self.any_long {
                    let high = self.sixteen(figures, even, odd, _mm512_add_epi8(constant(FROM_END), _mm512_set1_epi8(16)));
                    digits = _mm512_add_epi64(digits, _mm512_mullo_epi64(high, _mm512_set1_epi64(10_000_000_000_000_000)));
                    // Below 922 * 10^16, and so below 2^63; and of at most 32 digits.
                    fine = _mm512_cmplt_epu64_mask(high, _mm512_set1_epi64(922));
                    let many = _mm512_maskz_permutexvar_epi8(LOWEST, words, self.digits);
                    fine &= _mm512_cmple_epu64_mask(many, _mm512_set1_epi64(32));
                }
                let decimals = _mm512_maskz_permutexvar_epi8(LOWEST, words, self.decimals);
                let eight = Eight { digits, decimals, negative: self.negative.unbounded_shr(read as u32) as u8 };
                // SAFETY: whoever has called this function has promised it.
                let (elements, right) = unsafe { T::from_eight(eight) };
                let wanted = (count - read).min(8);
                values.extend_from_slice(&elements);
                // A branch, so that what comes next need not wait for what comes out here.
                if (fine & right) | 0xffu8.unbounded_shl(wanted as u32) != 0xff {
                    let good = (fine & right).trailing_ones() as usize;
                    values.truncate(values.len() - 8 + good);
                    return read + good;
                }
                values.truncate(values.len() - 8 + wanted);
                read += wanted;
            }
            read
        }

        /// 16 digits of each of eight elements as numbers: those so far from the end as `from_end` says.
        fn sixteen(&self, figures: __m512i, even: __m512i, odd: __m512i, from_end: __m512i) -> __m512i {
            let fours = |elements| {
                let end = _mm512_permutexvar_epi8(elements, self.end);
                let digits = _mm512_permutexvar_epi8(elements, self.digits);
                let behind_point = _mm512_permutexvar_epi8(elements, self.behind_point);
                let place = _mm512_sub_epi8(end, from_end);
                let before_point = _mm512_cmpgt_epu8_mask(from_end, behind_point);
                let place = _mm512_mask_sub_epi8(place, before_point, place, _mm512_set1_epi8(1));
                let inside = _mm512_cmple_epu8_mask(from_end, digits);
                let lanes = _mm512_maskz_permutexvar_epi8(inside, place, figures);
                let pairs = _mm512_maddubs_epi16(lanes, _mm512_set1_epi16(0x010a));
                _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064))
            };
            let fours = _mm512_packus_epi32(fours(even), fours(odd));
            let eights = _mm512_madd_epi16(fours, _mm512_set1_epi32(0x0001_2710));
            _mm512_add_epi64(_mm512_mul_epu32(eights, _mm512_set1_epi64(100_000_000)), _mm512_srli_epi64::<32>(eights))
        }
    }
}

/// The lowest byte of each 64-bit element.
const LOWEST: u64 = 0x0101_0101_0101_0101;

avx512! {
    fn look_up(table: &[f64; 32], places: __m512i) -> __m512d {
        let [a, b, c, d]: [[f64; 8]; 4] = bytemuck::cast(*table);
        let load = |part: [f64; 8]| -> __m512d { bytemuck::cast(part) };
        let low = _mm512_permutex2var_pd(load(a), places, load(b));
        let high = _mm512_permutex2var_pd(load(c), places, load(d));
        _mm512_mask_blend_pd(_mm512_test_epi64_mask(places, _mm512_set1_epi64(16)), low, high)
    }

    fn f32_from_eight(eight: Eight) -> ([f32; 8], u8) {
        let near = _mm512_mul_pd(_mm512_cvtepi64_pd(eight.digits), look_up(&SHORT_TENTHS, eight.decimals));
        let low = _mm512_and_si512(_mm512_castpd_si512(near), _mm512_set1_epi64(0x1fff_ffff));
        let away = _mm512_sub_epi64(low, _mm512_set1_epi64(0x1000_0000 - F32_WINDOW as i64));
        let fine = _mm512_cmpgt_epu64_mask(away, _mm512_set1_epi64(2 * F32_WINDOW as i64));
        let bits = _mm256_castps_si256(_mm512_cvtpd_ps(near));
        let signed = _mm256_mask_or_epi32(bits, eight.negative, bits, _mm256_set1_epi32(i32::MIN));
        (bytemuck::cast(signed), fine)
    }

    fn f64_from_eight(eight: Eight) -> ([f64; 8], u8) {
        let value = _mm512_div_pd(_mm512_cvtepi64_pd(eight.digits), look_up(&SHORT_POW10, eight.decimals));
        let fine = _mm512_cmplt_epu64_mask(eight.digits, _mm512_set1_epi64(1 << 53))
            & _mm512_cmple_epu64_mask(eight.decimals, _mm512_set1_epi64(22));
        let bits = _mm512_castpd_si512(value);
        let signed = _mm512_mask_or_epi64(bits, eight.negative, bits, _mm512_set1_epi64(i64::MIN));
        (bytemuck::cast(signed), fine)
    }
}

avx512! {
    fn i64_from_eight(eight: Eight) -> ([i64; 8], u8) {
        let signed = _mm512_mask_sub_epi64(eight.digits, eight.negative, _mm512_setzero_si512(), eight.digits);
        (bytemuck::cast(signed), _mm512_testn_epi64_mask(eight.decimals, eight.decimals))
    }
}

impl Eights for f32 {
    #[inline]
    unsafe fn from_eight(eight: Eight) -> ([f32; 8], u8) {
        // SAFETY: the caller promises what the function asks for.
        unsafe { f32_from_eight(eight) }
    }
}

impl Eights for f64 {
    #[inline]
    unsafe fn from_eight(eight: Eight) -> ([f64; 8], u8) {
        // SAFETY: the caller promises what the function asks for.
        unsafe { f64_from_eight(eight) }
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Eights for $t {
            #[inline]
            #[allow(unsafe_code)]
            unsafe fn from_eight(eight: Eight) -> ([$t; 8], u8) {
                let (digits, decimals): ([u64; 8], [u64; 8]) = (bytemuck::cast(eight.digits), bytemuck::cast(eight.decimals));
                let (mut elements, mut right) = ([0; 8], 0);
                for i in 0..8 {
                    let short = Short { negative: eight.negative >> i & 1 == 1, digits: digits[i], decimals: decimals[i] as usize };
                    if let Some(element) = integer::from_short(short) {
                        elements[i] = element;
                        right |= 1 << i;
                    }
                }
                (elements, right)
            }
        }
    )*};
}

integers!(i8, i16, i32, u8, u16, u32, u64);

impl Eights for i64 {
    #[inline]
    unsafe fn from_eight(eight: Eight) -> ([i64; 8], u8) {
        // SAFETY: the caller promises what the function asks for.
        unsafe { i64_from_eight(eight) }
    }
}
