//! A graph that ONNX Runtime has loaded, which several threads run at the same time.
//!
//! The C API's `Run` may be called by many threads on one session of the processor's provider, CUDA's or TensorRT's
//! (<https://github.com/microsoft/onnxruntime/issues/114>, <https://github.com/microsoft/onnxruntime/issues/19275>), and that is how a deployment's sessions share weights. The `ort`
//! crate asks for exclusive access, since other providers are not as careful; so this file makes the call itself
//! ([ADR 11](../../../docs/adr/0011-one-session.md), [ADR 18](../../../docs/adr/0018-gpu.md)). CUDA graphs are the exception, which
//! is why those runs take turns, and each thread has its own (`recorder`).

use std::ffi::{CString, c_char};
use std::ptr::{self, NonNull};

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{RunOptions, Session};
use ort::value::DynValue;
use ort::{AsPointer, sys};
use parking_lot::Mutex;

use super::{cuda, failed};
use crate::engine::LoadError;
use crate::tensor::Signature;

/// A session of the runtime, and the names of its inputs and outputs in the signature's order.
pub(super) struct LoadedGraph {
    session: Session,
    /// The GPU it computes on.
    device: Option<u32>,
    /// For those runs that must not be at the same time: all, where any is recorded.
    turn: Option<Mutex<()>>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl LoadedGraph {
    /// Makes sure that the session takes the signature's inputs, no others, and gives its outputs.
    pub(super) fn new(
        session: Session,
        signature: &Signature,
        device: Option<u32>,
        is_recorded: bool,
    ) -> Result<LoadedGraph, LoadError> {
        // The runtime decides by itself which inputs are defaults to be left out.
        for input in session.inputs() {
            if signature.input_index(input.name()).is_none() {
                return Err(failed(format!("it asks for input '{}', which the graph does not list", input.name())));
            }
        }
        let untaken = |name: &str| session.inputs().iter().filter(|input| input.name() == name).count() != 1;
        if let Some(input) = signature.inputs.iter().find(|input| untaken(&input.name)) {
            return Err(failed(format!("it does not take input '{}', or takes it twice", input.name)));
        }
        let ungiven = |name: &str| !session.outputs().iter().any(|output| output.name() == name);
        if let Some(output) = signature.outputs.iter().find(|output| ungiven(&output.name)) {
            return Err(failed(format!("it does not give output '{}'", output.name)));
        }
        let inputs = signature.inputs.iter().map(|input| c_name(&input.name)).collect::<Result<_, _>>()?;
        let outputs = signature.outputs.iter().map(|output| c_name(&output.name)).collect::<Result<_, _>>()?;
        Ok(LoadedGraph { session, device, turn: is_recorded.then(Mutex::default), inputs, outputs })
    }

    /// The GPU it computes on; `None` on the processor.
    pub(super) fn device(&self) -> Option<u32> {
        self.device
    }

    /// Memory to hand inputs over in: what the GPU reads by itself, and the processor's own without one.
    pub(super) fn host_memory(&self) -> Allocator {
        let Some(device) = self.device else { return Allocator::default() };
        let pinned = |id: u32| {
            let id = i32::try_from(id).unwrap_or(0);
            let memory =
                MemoryInfo::new(AllocationDevice::CUDA_PINNED, id, AllocatorType::Device, MemoryType::CPUOutput)?;
            Allocator::new(&self.session, memory)
        };
        // Some versions of the runtime count such memory to the GPU it is for, others to the processor.
        pinned(device).or_else(|_| pinned(0)).unwrap_or_else(|error| {
            tracing::warn!(device, %error, "there is no pinned memory for this GPU; copies will be slower");
            Allocator::default()
        })
    }

    /// Runs the graph on as many values as the signature has inputs, in its order, and gives its outputs in its order, but for those
    /// that `given` has memory for, which are there then. `given` is as long, or empty.
    #[allow(unsafe_code, reason = "the crate's own call wants the session for itself")]
    pub(super) fn run(
        &self,
        values: &[&DynValue],
        given: &[Option<&DynValue>],
        options: &RunOptions,
    ) -> ort::Result<Vec<Option<DynValue>>> {
        let (inputs, outputs) = (self.inputs.len(), self.outputs.len());
        if values.len() != inputs || !(given.is_empty() || given.len() == outputs) {
            return Err(ort::Error::new(format!(
                "{} inputs and {} outputs instead of {inputs} and {outputs}",
                values.len(),
                given.len()
            )));
        }
        if self.device.is_some() {
            cuda::ignore_recordings_of_others();
        }
        let _turn = self.turn.as_ref().map(Mutex::lock);
        let inputs = pointers(&self.inputs);
        let outputs = pointers(&self.outputs);
        let values: Vec<*const sys::OrtValue> = values.iter().map(|value| value.ptr()).collect();
        let given = |index: usize| given.get(index).copied().flatten();
        let pointer = |index| given(index).map_or(ptr::null_mut(), |value: &DynValue| value.ptr().cast_mut());
        let mut results: Vec<*mut sys::OrtValue> = (0..outputs.len()).map(pointer).collect();
        // SAFETY: every pointer is to something borrowed for the length of the call: the session, whose
        // providers may be run by several threads; the options, which are only read; names that end with
        // a NUL; values. The four arrays are as long as the two lengths say. A result that is given is written to, and
        // belongs to this call alone; a null asks the runtime to make the value. It keeps none of the pointers.
        unsafe {
            let status = (ort::api().Run)(
                self.session.ptr().cast_mut(),
                options.ptr(),
                inputs.as_ptr(),
                values.as_ptr(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                results.as_mut_ptr(),
            );
            ort::Error::result_from_status(status)?;
        }
        // All of them become owned values before one that is missing is noticed, so that none is leaked.
        let made = results.into_iter().enumerate().map(|(index, result)| {
            // SAFETY: a run that succeeded has made the value where none was given, which is ours now and nobody else's; its
            // memory is from the session's allocator, which the value keeps alive.
            let own = |result| unsafe { DynValue::from_ptr(result, Some(self.session.allocator())) };
            if given(index).is_some() { Ok(None) } else { NonNull::new(result).map(own).map(Some).ok_or(()) }
        });
        let made: Vec<_> = made.collect();
        made.into_iter().map(|made| made.map_err(|()| ort::Error::new("an output was not made"))).collect()
    }
}

fn pointers(names: &[CString]) -> Vec<*const c_char> {
    names.iter().map(|name| name.as_ptr()).collect()
}

fn c_name(name: &str) -> Result<CString, LoadError> {
    CString::new(name).map_err(|_| failed(format!("the name {name:?} holds a NUL character")))
}
