"""Threat 10: numbers that an input's type cannot hold. Each is either answered as the type's nearest to it, or refused."""

import fractions

import ml_dtypes
import numpy as np

import wire
from zoo import numpy_dtype
from zoo.case import FLOATS, TYPES


NUMBERS = """
0 -0 1 -1 0.0 -0.0 0.9 -0.9 1.0 3.0 3.0000000000000000000000001 1e0 1e2 1.5e1 15e-1 10e-1 1E+2 127 128 -128 -129 255
256 300 32767 32768 -32768 -32769 65535 65536 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296
9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616 1e18 1e19 1e20 1e38 1e39 1e308 1e309 1e400 -1e400 1e-400 1e-45 1e-46 7e-46
5e-324 2e-324 65504 65519 65519.99 65520 65536.0 3.4028234663852886e38 3.4028235677973366e38 3.40282356e38
3.3895313892515355e38 3.4e38 0.1 0.30000000000000004 16777217 16777216.5 2049 2049.5 257 258 1.00390625 1.01171875
1e00000000000000000000000000000002 100000000000000000000e-18 0.00000000000000000000000000000000000000000000001e47
1e999999999999999999999 0e999999999999999999999
0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e-9999999999999
""".split()


def test_numbers_are_never_changed(hostile):
    """Each number in each type is either answered as the type's nearest to it, or refused where the type has none."""
    for dtype in TYPES:
        if dtype in ("bool", "string"):
            for number in NUMBERS:
                hostile.refuse(f"one-{dtype}", f'{{"x": [{number}]}}', code="wrong_type")
            continue
        for number in NUMBERS:
            expected = nearest(number, dtype)
            for position, body in enumerate((f'{{"x": [{number}]}}', f'{{"data": [1, {number}, 1]}}')):
                if expected is None:
                    hostile.refuse(f"one-{dtype}", body, code="lossy_number")
                    continue
                status, _, content = hostile.score(f"one-{dtype}", body, Accept=wire.NPY)
                assert status == 200, (dtype, body, content)
                got = wire.from_npy(content)[position]
                assert got == expected and np.signbit(got) == np.signbit(expected), (dtype, number, got, expected)


def nearest(text, dtype):
    """The value of the type that a decimal stands for; None where it must be refused."""
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) <= 10_000 or float(mantissa) == 0:
        value = fractions.Fraction(text if float(mantissa) else mantissa)
    elif int(exponent) < 0:
        # No fraction could be written out for it; any that is as good as nothing will do.
        value = fractions.Fraction(1, 10**400)
    else:
        return None
    kind = numpy_dtype(dtype)
    if dtype not in FLOATS:
        if value.denominator != 1:
            return None
        return kind.type(int(value)) if np.iinfo(kind).min <= value <= np.iinfo(kind).max else None
    limits = ml_dtypes.finfo(kind)
    largest = fractions.Fraction(float(limits.max))
    # Half a unit beyond the largest is where rounding would give infinity.
    if abs(value) >= largest + (largest - fractions.Fraction(float(np.nextafter(limits.max, kind.type(0))))) / 2:
        return None
    guess = np.array(float(value)).astype(kind)[()]
    guess = guess if np.isfinite(guess) else kind.type(limits.max) * (1 if value > 0 else -1)
    around = [np.nextafter(guess, kind.type(-np.inf)), guess, np.nextafter(guess, kind.type(np.inf))]
    around = [candidate for candidate in around if np.isfinite(candidate)]
    best = min(around, key=lambda candidate: (abs(fractions.Fraction(float(candidate)) - value), odd(candidate)))
    # Zero keeps the sign that was written.
    return np.copysign(best, kind.type(-1.0 if text.startswith("-") else 1.0))


def odd(value):
    return value.view(f"u{value.itemsize}") & 1
