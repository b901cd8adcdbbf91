//! `max_batch_size` and `dynamic_batching`: how requests wait, and which are joined.

use super::draft::Draft;
use super::schema;
use crate::pbtxt::{Fault, Field};

/// The longest times that the settings they become may have: a minute and a year.
const DELAY_US_MAX: i64 = 60_000_000;
const WAIT_US_MAX: i64 = 365 * 24 * 3600 * 1_000_000;

/// The size of a batch, from both fields. 0 says that the inputs have no batch dimension, so nothing is joined. A size by
/// itself is Triton's word for how many rows a request may have; how many rows are joined is then found out by measuring.
pub(super) fn read(
    max_batch_size: Option<(&Field, i64)>,
    dynamic: Option<&Field>,
    draft: &mut Draft,
) -> Result<(), Fault> {
    match (max_batch_size, dynamic) {
        (Some((field, size @ (0 | 1))), None) => {
            if size == 1 {
                draft.notice(field, "requests are not joined, but one request may bring more rows than 1");
            }
            draft.set(field, "max_batch", 1);
        }
        (Some((field, _)), None) => draft.notice(
            field,
            "without dynamic_batching, how many rows are joined is found out by measuring; one request may bring more rows",
        ),
        (Some((field, 0)), Some(dynamic)) => {
            draft.notice(dynamic, "max_batch_size is 0, so requests are not joined");
            draft.set(field, "max_batch", 1);
        }
        (Some((field, size)), Some(_)) => draft.set(field, "max_batch", size),
        (None, _) => {}
    }
    dynamic.map_or(Ok(()), |field| dynamic_batching(field, draft))
}

fn dynamic_batching(field: &Field, draft: &mut Draft) -> Result<(), Fault> {
    let mut has_preferred = false;
    for field in schema::DYNAMIC_BATCHING.of(field.message()?)? {
        match field.name.as_str() {
            "max_queue_delay_microseconds" => {
                draft.set(field, "max_batch_delay_us", field.integer(0, DELAY_US_MAX)?);
            }
            "preferred_batch_size" => {
                field.integer(1, i32::MAX.into())?;
                if !std::mem::replace(&mut has_preferred, true) {
                    draft.notice(field, "a run takes what waits, up to max_batch_size, and prefers no size");
                }
            }
            "preserve_ordering" => {
                if field.flag()? {
                    draft.notice(field, "each answer goes out when it is ready; HTTP and gRPC match it to its request");
                }
            }
            "priority_levels" => {
                let levels = field.count(u32::MAX)?;
                if levels > 3 {
                    draft.notice(field, "there are three priorities here: high, normal and low");
                }
            }
            "default_priority_level" => {
                field.count(u32::MAX)?;
                draft.notice(field, "a request that names no priority has the middle one, normal");
            }
            "default_queue_policy" => queue_policy(field, draft)?,
            // A map from a level to its policy.
            _ => draft.notice(field, "all priorities wait in one queue; default_queue_policy holds for each"),
        }
    }
    Ok(())
}

fn queue_policy(field: &Field, draft: &mut Draft) -> Result<(), Fault> {
    const ACTIONS: &[(&str, i128, bool)] = &[("REJECT", 0, false), ("DELAY", 1, true)];
    for field in schema::QUEUE_POLICY.of(field.message()?)? {
        match field.name.as_str() {
            "max_queue_size" => {
                let size = field.count(u32::MAX)?;
                // 0 is no bound for Triton; here there is always one.
                if size > 0 {
                    draft.set(field, "queue_max_length", size);
                }
            }
            "default_timeout_microseconds" => {
                let wait_us = field.integer(0, WAIT_US_MAX)?;
                if wait_us > 0 {
                    draft.set(field, "queue_max_wait_ms", wait_us.unsigned_abs().div_ceil(1_000));
                }
            }
            "timeout_action" => {
                if field.choice(ACTIONS)? {
                    draft.notice(field, "a request that has waited too long is refused (429), never put behind others");
                }
            }
            _ => {
                if !field.flag()? {
                    draft.notice(field, "a client may always ask for a shorter timeout, and never for a longer one");
                }
            }
        }
    }
    Ok(())
}
