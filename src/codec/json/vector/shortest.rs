//! Floats as the shortest decimals that read back as the same `f32`, eight at a time: AVX-512, with its counts of leading zeros.
//!
//! The search is Schubfach's (Raffaello Giulietti, "The Schubfach way to render doubles", 2020): scaled by the power of ten that makes
//! the distance of neighbours at least 1 and less than 10, the number's interval holds one multiple of ten at most, which is shorter if
//! it is there, and else the nearest integer is. For an `f32` double precision does for the scaling: wherever its error could
//! decide, and beyond the window of plain decimals (0.00001 to 10,000,000), a number is left to others. The text is
//! that of `ryu`, to the byte, of which all of the 2^32 patterns of bits were compared.
//!
//! Nothing here reads or writes memory but through arrays and slices. What needs `unsafe` is only that the processor has the
//! instructions, which [`write`] asks once before it starts.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

/// Whether this processor has what [`write`] is made of: Intel's since Skylake's servers, AMD's since Zen 4.
#[inline]
fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512cd")
}

macro_rules! avx512 {
    ($($item:item)*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd")]
        $item
    )*};
}

/// A number without its sign: at most nine digits, and five zeros, a point and one more before them.
const TEXT_BYTES: usize = 16;

/// Eight numbers with signs and commas, and what is written beyond the last.
const EIGHT_TEXT_BYTES: usize = 8 * (TEXT_BYTES + 2) + TEXT_BYTES;

/// An error of the scaled number, which is below 2^28, is less than a tenth of this.
const DOUBT: f64 = 1e-6;

const fn first_bytes(count: usize) -> u64 {
    if count < 8 { (1 << (8 * count)) - 1 } else { u64::MAX }
}

/// By the number of digits before the point: the bytes that they take.
const BEFORE_POINT: [u64; 8] = {
    let mut table = [0; 8];
    let mut digits = 0;
    while digits < 8 {
        table[digits] = first_bytes(digits);
        digits += 1;
    }
    table
};

/// By the number of digits before the point: the point.
const POINT: [u64; 8] = {
    let mut table = [0; 8];
    let mut digits = 0;
    while digits < 8 {
        table[digits] = (b'.' as u64) << (8 * digits);
        digits += 1;
    }
    table
};

/// By the number of zeros between the point and the first digit: what stands before that digit.
const LEADING: [u64; 8] = {
    let mut table = [0; 8];
    let mut zeros = 0;
    while zeros < 6 {
        table[zeros] = u64::from_le_bytes(*b"0.000000") & first_bytes(zeros + 2);
        zeros += 1;
    }
    table
};

/// The texts of eight numbers, without signs.
struct Eight {
    /// The first eight bytes of each.
    low: [u64; 8],
    /// The bytes behind those.
    high: [u64; 8],
    length: [u64; 8],
    /// A bit for each that is right; the others are for a slower way.
    done: u8,
}

/// Writes the values one after the other, each with a comma behind it; `false` if this processor cannot.
///
/// What is not finite, or has no plain and certain text, is written by `other`, whose error ends it.
#[inline]
pub fn write<T: Copy + Into<f32>, E>(
    values: &[T],
    text: &mut Vec<u8>,
    mut other: impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
) -> Result<bool, E> {
    if !is_available() {
        return Ok(false);
    }
    // SAFETY: the processor has the instructions, which is all that the function asks for.
    unsafe { write_all(values, text, &mut other)? };
    Ok(true)
}

avx512! {
    fn write_all<T: Copy + Into<f32>, E>(
        values: &[T],
        text: &mut Vec<u8>,
        other: &mut impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = [0; EIGHT_TEXT_BYTES];
        let (eights, rest) = values.as_chunks::<8>();
        for eight in eights {
            write_eight(eight.map(T::into), eight, text, &mut buffer, other)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut eight = [1.0; 8];
        eight.iter_mut().zip(rest).for_each(|(place, &value)| *place = value.into());
        write_eight(eight, rest, text, &mut buffer, other)
    }

    /// Writes the first of the numbers, which are as many as `values`.
    fn write_eight<T, E>(
        numbers: [f32; 8],
        values: &[T],
        text: &mut Vec<u8>,
        buffer: &mut [u8; EIGHT_TEXT_BYTES],
        other: &mut impl FnMut(&T, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Eight { low, high, length, done } = shortest(numbers);
        let mut end = 0;
        for (index, value) in values.iter().enumerate().take(8) {
            if done >> index & 1 == 0 {
                text.extend_from_slice(&buffer[..end]);
                other(value, text)?;
                end = 0;
            } else {
                buffer[end] = b'-';
                end += usize::from(numbers[index].is_sign_negative());
                let number = u128::from(low[index]) | u128::from(high[index]) << 64;
                buffer[end..end + TEXT_BYTES].copy_from_slice(&number.to_le_bytes());
                end += length[index] as usize;
            }
            buffer[end] = b',';
            end += 1;
        }
        text.extend_from_slice(&buffer[..end]);
        Ok(())
    }
}

avx512! {
    fn each(value: u64) -> __m512i {
        _mm512_set1_epi64(value as i64)
    }

    fn look_up(table: [u64; 8], index: __m512i) -> __m512i {
        _mm512_permutexvar_epi64(index, bytemuck::cast(table))
    }

    /// Picks bit by bit.
    fn choose(mask: __m512i, set: __m512i, clear: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<0xca>(mask, set, clear)
    }

    fn shortest(numbers: [f32; 8]) -> Eight {
        let numbers: __m256i = bytemuck::cast(numbers);
        let unsigned = _mm256_and_si256(numbers, _mm256_set1_epi32(0x7fff_ffff));
        let is_zero = _mm256_testn_epi32_mask(unsigned, unsigned);
        let bits = _mm512_cvtepu32_epi64(unsigned);
        // Neighbours below a power of two are half as far from it as those above.
        let is_power = _mm512_testn_epi64_mask(bits, each(0x007f_ffff));
        // 2^q is the distance of neighbours, 10^k the greatest power of ten that is not more.
        let q = _mm512_sub_epi64(_mm512_srli_epi64::<23>(bits), each(150));
        let k = _mm512_srai_epi64::<20>(_mm512_mul_epi32(q, each(315_653)));
        let power = _mm512_sub_epi64(_mm512_setzero_si512(), k);
        let in_window = _mm512_cmplt_epu64_mask(power, each(16));
        let scale = _mm512_permutex2var_pd(
            _mm512_setr_pd(1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7),
            power,
            _mm512_setr_pd(1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15),
        );
        let scaled = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_castsi256_ps(unsigned)), scale);
        // 2^(q-1), as the bits of a double.
        let half_distance = _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_add_epi64(q, each(1022))));
        let reach_up = _mm512_mul_pd(half_distance, scale);
        let reach_down = _mm512_mask_mul_pd(reach_up, is_power, reach_up, _mm512_set1_pd(0.5));

        let whole = _mm512_cvttpd_epi64(scaled);
        let rest = _mm512_sub_pd(scaled, _mm512_cvtepi64_pd(whole));
        let tens = _mm512_srli_epi64::<32>(_mm512_mul_epu32(whole, each(429_496_730)));
        let last = _mm512_sub_epi64(whole, _mm512_mul_epu32(tens, each(10)));
        let above_ten = _mm512_add_pd(_mm512_cvtepi64_pd(last), rest);
        let below_ten = _mm512_sub_pd(_mm512_set1_pd(10.0), above_ten);
        let down = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(above_ten, reach_down);
        let up = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(below_ten, reach_up);
        let half = _mm512_set1_pd(0.5);
        let are_near = |a, b| {
            _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_abs_pd(_mm512_sub_pd(a, b)), _mm512_set1_pd(DOUBT))
        };
        let is_round = down | up;
        let in_doubt = are_near(above_ten, reach_down)
            | are_near(below_ten, reach_up)
            | ((are_near(rest, half) | is_power) & !is_round);

        let one = each(1);
        let nearest = _mm512_mask_add_epi64(whole, _mm512_cmp_pd_mask::<_CMP_GT_OQ>(rest, half), whole, one);
        let round = _mm512_mask_add_epi64(tens, up, tens, one);
        // Nine digits of which the first is none of the zeros, and the place of the point behind it.
        let mut nine = _mm512_mask_mov_epi64(nearest, is_round, round);
        let mut point = _mm512_add_epi64(k, each(9));
        point = _mm512_mask_add_epi64(point, is_round, point, one);
        for _ in 0..3 {
            let is_short = _mm512_cmplt_epu64_mask(nine, each(100_000_000));
            nine = _mm512_mask_mul_epu32(nine, is_short, nine, each(10));
            point = _mm512_mask_sub_epi64(point, is_short, point, one);
        }

        // Divisions by multiplication, each exact for what there can be: 2^57 / 10^8, 2^45 / 10^4, 2^19 / 100, 2^10 / 10.
        let first = _mm512_srli_epi64::<57>(_mm512_mul_epu32(nine, each(1_441_151_881)));
        let eight = _mm512_sub_epi64(nine, _mm512_mul_epu32(first, each(100_000_000)));
        let upper = _mm512_srli_epi64::<45>(_mm512_mul_epu32(eight, each(3_518_437_209)));
        let lower = _mm512_sub_epi64(eight, _mm512_mul_epu32(upper, each(10_000)));
        let fours = _mm512_or_si512(upper, _mm512_slli_epi64::<32>(lower));
        let upper = _mm512_srli_epi16::<3>(_mm512_mulhi_epu16(fours, _mm512_set1_epi16(5_243)));
        let lower = _mm512_sub_epi16(fours, _mm512_mullo_epi16(upper, _mm512_set1_epi16(100)));
        let twos = _mm512_or_si512(upper, _mm512_slli_epi32::<16>(lower));
        let upper = _mm512_srli_epi16::<10>(_mm512_mullo_epi16(twos, _mm512_set1_epi16(103)));
        let lower = _mm512_sub_epi16(twos, _mm512_mullo_epi16(upper, _mm512_set1_epi16(10)));
        let ones = _mm512_or_si512(upper, _mm512_slli_epi16::<8>(lower));

        let digits = _mm512_sub_epi64(each(9), _mm512_srli_epi64::<3>(_mm512_lzcnt_epi64(ones)));
        let zeros = _mm512_set1_epi8(b'0' as i8);
        let low = _mm512_or_si512(zeros, _mm512_or_si512(first, _mm512_slli_epi64::<8>(ones)));
        let high = _mm512_or_si512(zeros, _mm512_srli_epi64::<56>(ones));

        // 12.3: a point between the digits, which move up behind it.
        let moved_low = _mm512_slli_epi64::<8>(low);
        let moved_high = _mm512_or_si512(_mm512_slli_epi64::<8>(high), _mm512_srli_epi64::<56>(low));
        let dot = look_up(POINT, point);
        let is_dot = _mm512_movm_epi8(_mm512_test_epi8_mask(dot, dot));
        let with_dot = choose(is_dot, dot, choose(look_up(BEFORE_POINT, point), low, moved_low));
        let with_dot_length = _mm512_add_epi64(_mm512_max_epi64(digits, _mm512_add_epi64(point, one)), one);
        // 0.0123: digits behind a point and zeros.
        let leading = _mm512_sub_epi64(_mm512_setzero_si512(), point);
        let shift = _mm512_add_epi64(each(16), _mm512_slli_epi64::<3>(leading));
        let small_low = _mm512_or_si512(_mm512_sllv_epi64(low, shift), look_up(LEADING, leading));
        let carried = _mm512_srlv_epi64(low, _mm512_sub_epi64(each(64), shift));
        let small_high = _mm512_or_si512(_mm512_sllv_epi64(high, shift), carried);
        let small_length = _mm512_add_epi64(_mm512_add_epi64(digits, each(2)), leading);

        let is_small = _mm512_cmple_epi64_mask(point, _mm512_setzero_si512());
        let is_plain = _mm512_cmplt_epu64_mask(_mm512_add_epi64(point, each(4)), each(12));
        let low = _mm512_mask_mov_epi64(with_dot, is_small, small_low);
        let length = _mm512_mask_mov_epi64(with_dot_length, is_small, small_length);
        Eight {
            low: bytemuck::cast(_mm512_mask_mov_epi64(low, is_zero, each(u64::from_le_bytes(*b"0.0\0\0\0\0\0")))),
            high: bytemuck::cast(_mm512_mask_mov_epi64(moved_high, is_small, small_high)),
            length: bytemuck::cast(_mm512_mask_mov_epi64(length, is_zero, each(3))),
            done: is_zero | (in_window & is_plain & !in_doubt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::SplitMix64;

    fn by_ryu(values: &[f32]) -> String {
        values.iter().map(|&value| format!("{},", ryu::Buffer::new().format(value))).collect()
    }

    fn by_us(values: &[f32]) -> String {
        let mut text = Vec::new();
        let other = |value: &f32, text: &mut Vec<u8>| {
            text.extend_from_slice(ryu::Buffer::new().format(*value).as_bytes());
            Ok::<_, ()>(())
        };
        assert_eq!(write(values, &mut text, other), Ok(true), "the tests need the processor's instructions");
        String::from_utf8(text).expect("digits")
    }

    #[test]
    fn texts_are_those_of_ryu() {
        if !is_available() {
            return;
        }
        let mut random = SplitMix64::new(7);
        for round in 0..20_000usize {
            let value = |random: &mut SplitMix64| match random.draw() % 6 {
                0 => f32::from_bits(random.draw() as u32),
                1 => (random.draw() % 2_000_000) as f32 / 100.0 - 10_000.0,
                2 => random.draw() as f32 / u64::MAX as f32,
                3 => f32::from_bits(
                    ((random.draw() % 255) as u32 * 0x80_0000 + (random.draw() % 3) as u32).wrapping_sub(1),
                ),
                4 => (random.draw() % 20_000_000) as f32,
                _ => 10f32.powi((random.draw() % 14) as i32 - 6) * (1.0 + (random.draw() % 9) as f32),
            };
            let values: Vec<f32> = (0..1 + round % 20).map(|_| value(&mut random)).collect();
            assert_eq!(by_us(&values), by_ryu(&values), "{values:?}");
        }
        let edges = [0.0, -0.0, 1.0, 1e-5, 9.999999e-6, 9999999.0, 1e7, f32::MAX, f32::MIN_POSITIVE, f32::NAN, -1e-45];
        assert_eq!(by_us(&edges), by_ryu(&edges));
    }

    #[test]
    fn the_error_of_another_way_ends_it() {
        if !is_available() {
            return;
        }
        let mut text = Vec::new();
        let refuse = |_: &f32, _: &mut Vec<u8>| Err("not finite");
        assert_eq!(write(&[1.5, f32::NAN, 2.5], &mut text, refuse), Err("not finite"));
    }
}
