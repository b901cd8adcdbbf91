//! Whole connections of HTTP/1.1 and HTTP/2, to both ports, down to a model that echoes.

#![no_main]

use scoria_fuzz::{bounds, server};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let server = server::shared();
    // Connections have buffers of their own, and the server's documents are made when one is first asked for.
    bounds::within(64 * bytes.len() + (2 << 20), || server.converse(*choice, bytes));
});
