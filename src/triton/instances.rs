//! `instance_group`, `parameters` and `optimization`: how many sessions, with which threads, on what.

use super::draft::Draft;
use super::schema;
use crate::pbtxt::{Fault, Field, Message};

/// As many as the setting `workers` may have, and threads.
const INSTANCES_MAX: u32 = 1_024;

const PROVIDERS: &str = "execution providers are set by the endpoint's settings: providers = [\"cuda\", \"cpu\"]";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Auto,
    Gpu,
    Cpu,
    Model,
}

const KINDS: &[(&str, i128, Kind)] = &[
    ("KIND_AUTO", 0, Kind::Auto),
    ("KIND_GPU", 1, Kind::Gpu),
    ("KIND_CPU", 2, Kind::Cpu),
    ("KIND_MODEL", 3, Kind::Model),
];

/// Groups add up to so many sessions. Where none says a count, how many there are is found out by measuring.
pub(super) fn read_groups(groups: &[&Field], draft: &mut Draft) -> Result<(), Fault> {
    let mut workers = 0u32;
    for group in groups {
        for field in schema::INSTANCE_GROUP.of(group.message()?)? {
            match field.name.as_str() {
                "count" => {
                    workers = workers.saturating_add(field.count(INSTANCES_MAX)?);
                    if workers > INSTANCES_MAX {
                        return Err(field.fault(format_args!("the groups have more than {INSTANCES_MAX} instances")));
                    }
                    if workers > 0 {
                        draft.set(field, "workers", workers);
                    }
                }
                "kind" => {
                    if field.choice(KINDS)? == Kind::Gpu {
                        draft.notice(field, PROVIDERS);
                    }
                }
                "name" => {
                    field.text()?;
                }
                "gpus" => draft.notice(field, PROVIDERS),
                "rate_limiter" => draft.notice(field, "all models share the cores of one server-wide budget"),
                _ => draft.notice(field, "has no counterpart here"),
            }
        }
    }
    Ok(())
}

/// One entry of `parameters`: a string under a key, as the ONNX Runtime backend reads them.
pub(super) fn read_parameter(field: &Field, draft: &mut Draft) -> Result<(), Fault> {
    let (key, value) = entry(field)?;
    let Some(value) = value else { return Ok(()) };
    let text = match schema::PARAMETER.of(value.message()?)? {
        [] => "",
        [text, ..] => text.text()?,
    };
    let number = || {
        text.trim().parse::<u32>().ok().filter(|number| *number <= INSTANCES_MAX).ok_or_else(|| {
            field.fault(format_args!("{key}: expected a whole number from 0 to {INSTANCES_MAX}, got \"{text}\""))
        })
    };
    match key {
        "intra_op_thread_count" => {
            let threads = number()?;
            // 0 leaves it to the runtime there, and to the measurement here.
            if threads > 0 {
                draft.set(field, "intra_op_threads", threads);
            }
        }
        "inter_op_thread_count" if number()? <= 1 => {}
        "execution_mode" if number()? == 0 => {}
        "inter_op_thread_count" | "execution_mode" => {
            draft.notice_of(field, key, "operators of one run follow each other; several runs go on side by side");
        }
        "enable_mem_arena"
        | "enable_mem_pattern"
        | "memory.enable_memory_arena_shrinkage"
        | "session.use_device_allocator_for_initializers" => {
            draft.notice_of(
                field,
                key,
                "memory comes from the server's own allocator, and is given back when it is idle",
            );
        }
        "enable-global-threadpool" => draft.notice_of(field, key, "all models share one thread pool already"),
        _ => draft.notice_of(field, key, "no such parameter is known here"),
    }
    Ok(())
}

/// The key of a map's entry, and the field of its value.
pub(super) fn entry(field: &Field) -> Result<(&str, Option<&Field>), Fault> {
    let fields = schema::ENTRY.of(field.message()?)?;
    let find = |name: &str| fields.iter().find(|field| field.name == name);
    let key = find("key").ok_or_else(|| field.fault("an entry needs a key: { key: \"…\" value: … }"))?;
    Ok((key.text()?, find("value")))
}

pub(super) fn read_optimization(field: &Field, draft: &mut Draft) -> Result<(), Fault> {
    for field in schema::OPTIMIZATION.of(field.message()?)? {
        match field.name.as_str() {
            "execution_accelerators" => accelerators(field.message()?, draft)?,
            "graph" => draft.notice(field, "every optimization of the graph is on"),
            "priority" => {
                if !matches!(field.choice(PRIORITIES)?, Priority::Default) {
                    draft.notice(field, "requests have priorities here, models do not");
                }
            }
            "cuda" => draft.notice(field, PROVIDERS),
            _ => draft.notice(field, "has no counterpart here"),
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Priority {
    Default,
    Other,
}

const PRIORITIES: &[(&str, i128, Priority)] = &[
    ("PRIORITY_DEFAULT", 0, Priority::Default),
    ("PRIORITY_MAX", 1, Priority::Other),
    ("PRIORITY_MIN", 2, Priority::Other),
];

fn accelerators(message: &Message, draft: &mut Draft) -> Result<(), Fault> {
    for field in schema::ACCELERATORS.of(message)? {
        let fields = schema::ACCELERATOR.of(field.message()?)?;
        let name = fields.iter().find(|field| field.name == "name").map(Field::text).transpose()?.unwrap_or_default();
        let reason = match name {
            "tensorrt" | "cuda" => {
                format!("execution providers are set by the endpoint's settings: providers = [\"{name}\", \"cpu\"]")
            }
            "openvino" => "there is no such execution provider here".to_owned(),
            _ => {
                let expected = "expected name: \"tensorrt\", \"cuda\" or \"openvino\"";
                return Err(field.fault(format_args!("{expected}, got \"{name}\"")));
            }
        };
        draft.notice_of(field, &format!("{} {name}", field.name), reason);
    }
    Ok(())
}
