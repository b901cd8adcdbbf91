//! Tests of tensors and signatures.
