//! `.npy` files, version 1.0 (NumPy's `numpy.lib.format`).

/// Data begin at a multiple of this.
const ALIGNMENT: usize = 64;
const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";

/// A file with these elements.
pub fn file(descr: &str, shape: &[u64], elements: &[u8]) -> Vec<u8> {
    // A tuple of one has a comma as well.
    let sizes = match shape {
        [size] => format!("{size},"),
        sizes => sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let before_data = MAGIC.len() + 2 + header.len() + 1;
    header.push_str(&" ".repeat(before_data.next_multiple_of(ALIGNMENT) - before_data));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a shape's text is short");
    [&MAGIC[..], &length.to_le_bytes(), header.as_bytes(), elements].concat()
}
