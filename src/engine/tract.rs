//! tract: the embedded engine, pure Rust, for machines without an ONNX Runtime library.
//!
//! The only file that names tract. It computes on one thread of the processor, knows fewer operators than ONNX Runtime and no
//! bfloat16, sequences or maps; what it does not know is refused at load, by name. Its symbols are strict: inputs that share
//! a dimension's name must agree on its size. A panic inside it becomes an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::ArrayD;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceModel, InferenceModelExt, IntoTValue, SymbolScope, SymbolValues, TValue,
    TVec, Tensor as TractTensor, TractError, TractResult, TypedModel, TypedSimplePlan, TypedSimpleState,
};
use tract_onnx::tract_core::ops::array::Topk;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::plan;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::{DimFact, GenericFactoid, ShapeFactoid, TDim, ToDim, bail};

use super::allowance::Allowance;
use super::{Engine, EngineInfo, Graph, Interrupt, LoadError, LoadOptions, Loaded, RunError, Session, provider};
use crate::tensor::{DType, Dim, Element, OutputSpec, Signature, Tensor, Value, ValueType, element_count};

const NAME: &str = "tract";

/// The version in Cargo.toml, which pins it exactly; the crate does not say itself.
const VERSION: &str = "0.23.9";

/// The operator domains that tract implements. It looks operators up by name alone, so that one of another domain would
/// silently be taken for the standard one.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// The engine. It has no state: models share nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct TractEngine;

impl Engine for TractEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: NAME, version: VERSION.to_owned(), loaded_from: None }
    }

    fn load(&self, path: &Path, graph: &Graph, options: &LoadOptions) -> Result<Loaded, LoadError> {
        let choice = provider::choose(&options.providers, "the embedded engine computes on the processor only")?;
        check_types(&graph.signature)?;
        let plan = catch(|| prepare(path, &graph.signature)).unwrap_or_else(|panic| Err(failed(panic)))?;
        let first = TractSession::new(&plan, graph.signature.outputs.clone().into(), options.max_output_elements)?;
        let sessions = super::sessions(Box::new(first), options.sessions)?;
        Ok(Loaded { sessions, devices: 0, providers: choice.providers, missing_providers: choice.missing })
    }
}

/// Refuses what tract cannot hand in or out.
fn check_types(signature: &Signature) -> Result<(), LoadError> {
    for input in &signature.inputs {
        if input.dtype == DType::BF16 {
            return Err(unsupported(format!("input '{}' is bfloat16", input.name)));
        }
        if input.dims.is_none() {
            return Err(unsupported(format!("input '{}' does not state how many dimensions it has", input.name)));
        }
    }
    for OutputSpec { name, value } in &signature.outputs {
        match value {
            ValueType::Tensor { dtype: DType::BF16, .. } => {
                return Err(unsupported(format!("output '{name}' is bfloat16")));
            }
            ValueType::Tensor { .. } => {}
            ValueType::Sequence(_) | ValueType::Map { .. } => {
                return Err(unsupported(format!("output '{name}' is a {value} (ZipMap or a sequence operator)")));
            }
        }
    }
    Ok(())
}

/// Reads the file and optimises it into a plan that serves every size of the dynamic dimensions.
fn prepare(path: &Path, signature: &Signature) -> Result<Arc<TypedSimplePlan>, LoadError> {
    let onnx = tract_onnx::onnx();
    let proto = onnx.proto_model_for_path(path).map_err(|error| failed(format!("{error:#}")))?;
    if let Some(node) = proto.graph.as_ref().and_then(|graph| unknown_operator(graph, &onnx)) {
        let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
        return Err(unsupported(format!("it does not know operator {domain}.{} (node '{}')", node.op_type, node.name)));
    }
    let folder = path.parent().and_then(Path::to_str);
    let parsed = onnx.parse(&proto, folder).map_err(classify_parse)?;
    if let Some(name) = parsed.unresolved_inputs.first() {
        return Err(failed(format!("nothing gives the value '{name}'")));
    }
    let mut model = parsed.model;
    check_names(&model, signature)?;
    name_dims(&mut model, signature).map_err(beyond)?;
    let model = model.into_typed().and_then(TypedModel::into_decluttered).map_err(beyond)?;
    check_products(&model)?;
    check_top_k(&model)?;
    let model = model.into_optimized().map_err(beyond)?;
    check_outputs(&model, signature)?;
    TypedSimplePlan::new(model).map_err(beyond)
}

/// The first node, in subgraphs too, that tract has no implementation of.
fn unknown_operator<'a>(graph: &'a GraphProto, onnx: &tract_onnx::Onnx) -> Option<&'a NodeProto> {
    graph.node.iter().find_map(|node| {
        let known = DOMAINS.contains(&node.domain.as_str()) && onnx.op_register.0.contains_key(&node.op_type);
        if !known {
            return Some(node);
        }
        let subgraphs = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        subgraphs.into_iter().find_map(|graph| unknown_operator(graph, onnx))
    })
}

/// Inputs and outputs are matched by position from here on, so both sides must see the same ones.
fn check_names(model: &InferenceModel, signature: &Signature) -> Result<(), LoadError> {
    let inputs = model.inputs.iter().map(|outlet| model.node(outlet.node).name.as_str());
    if !inputs.eq(signature.inputs.iter().map(|input| input.name.as_str())) {
        return Err(failed("it sees other inputs than the graph declares".to_owned()));
    }
    let outputs = model.outputs.iter().map(|outlet| model.outlet_label(*outlet).unwrap_or_default());
    if !outputs.eq(signature.outputs.iter().map(|output| output.name.as_str())) {
        return Err(failed("it sees other outputs than the graph declares".to_owned()));
    }
    Ok(())
}

/// Gives every dynamic dimension that has no usable name a symbol of its own, without which nothing can be inferred.
fn name_dims(model: &mut InferenceModel, signature: &Signature) -> TractResult<()> {
    let symbols: SymbolScope = model.symbols.clone();
    for (outlet, input) in model.inputs.clone().into_iter().zip(&signature.inputs) {
        let mut fact = model.outlet_fact(outlet)?.clone();
        if fact.shape.is_open() {
            // tract forgets the type of an input that is an output as well.
            let dims = input.dims.iter().flatten().map(|dim| match dim {
                Dim::Fixed(size) => DimFact::from(size.to_dim()),
                Dim::Dynamic(Some(name)) => DimFact::from(symbols.sym(name).to_dim()),
                Dim::Dynamic(None) => DimFact::default(),
            });
            fact.shape = ShapeFactoid::closed(dims.collect());
            fact.datum_type = datum_type(input.dtype).map_or(GenericFactoid::Any, GenericFactoid::Only);
        }
        let dims = fact.shape.dims().map(|dim| {
            if dim.is_concrete() { dim.clone() } else { DimFact::from(symbols.new_with_prefix("dim").to_dim()) }
        });
        fact.shape = ShapeFactoid::closed(dims.collect());
        model.set_outlet_fact(outlet, fact)?;
    }
    Ok(())
}

/// Refuses products over dimensions that are not proven equal.
///
/// Where the sizes differ in a request, tract does not fail: it multiplies what overlaps, or reads past the shorter one.
fn check_products(model: &TypedModel) -> Result<(), LoadError> {
    for node in model.nodes() {
        let Some(product) = node.op_as::<EinSum>() else { continue };
        let facts = model.node_input_facts(node.id).map_err(beyond)?;
        for axis in product.axes.iter_all_axes() {
            let dims = (axis.inputs.iter().zip(&facts))
                .flat_map(|(positions, fact)| positions.iter().map(|&position| &fact.shape[position]))
                .filter(|dim| !dim.is_one());
            let mut dims = dims.peekable();
            let Some(first) = dims.peek().copied() else { continue };
            if let Some(other) = dims.find(|dim| *dim != first) {
                let what = format!("node '{}' multiplies dimensions that may differ, {first} and {other}", node.name);
                return Err(unsupported(what));
            }
        }
    }
    Ok(())
}

/// Refuses to take the top k of a dimension that is not proven to have as many: tract would make up the rest.
fn check_top_k(model: &TypedModel) -> Result<(), LoadError> {
    for node in model.nodes() {
        let Some(top_k) = node.op_as::<Topk>() else { continue };
        let facts = model.node_input_facts(node.id).map_err(beyond)?;
        let size = facts[0].shape[top_k.axis].to_i64().ok();
        let k = facts.get(1).and_then(|fact| fact.konst.as_ref()).and_then(|k| k.cast_to_scalar::<i64>().ok());
        if size.zip(k).is_none_or(|(size, k)| k > size) {
            return Err(unsupported(format!(
                "node '{}' takes the top k of a dimension that may have fewer",
                node.name
            )));
        }
    }
    Ok(())
}

/// Whether the outputs, as inferred, are what the graph declares.
fn check_outputs(model: &TypedModel, signature: &Signature) -> Result<(), LoadError> {
    for (index, OutputSpec { name, value }) in signature.outputs.iter().enumerate() {
        let ValueType::Tensor { dtype, dims } = value else { continue };
        let fact = model.output_fact(index).map_err(beyond)?;
        // Sizes that tract computes symbolically stay in a type of its own until they are read.
        let inferred = if fact.datum_type == DatumType::TDim { DatumType::I64 } else { fact.datum_type };
        if datum_type(*dtype) != Some(inferred) {
            return Err(failed(format!("output '{name}' is declared {dtype}, but would be {inferred:?}")));
        }
        let rank = fact.rank();
        if dims.as_ref().is_some_and(|dims| dims.len() != rank) {
            return Err(failed(format!("output '{name}' is declared {value}, but would have {rank} dimensions")));
        }
    }
    Ok(())
}

fn datum_type(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::Bool => DatumType::Bool,
        DType::I8 => DatumType::I8,
        DType::I16 => DatumType::I16,
        DType::I32 => DatumType::I32,
        DType::I64 => DatumType::I64,
        DType::U8 => DatumType::U8,
        DType::U16 => DatumType::U16,
        DType::U32 => DatumType::U32,
        DType::U64 => DatumType::U64,
        DType::F16 => DatumType::F16,
        DType::BF16 => return None,
        DType::F32 => DatumType::F32,
        DType::F64 => DatumType::F64,
        DType::String => DatumType::String,
    })
}

fn unsupported(what: String) -> LoadError {
    let remedy = "use ONNX Runtime: run `make` for a pinned copy, or name its library with --ort-lib".to_owned();
    LoadError::Unsupported { engine: NAME, what, remedy }
}

fn failed(reason: String) -> LoadError {
    LoadError::Failed { engine: NAME, reason }
}

/// An error of the analysis. The file was read, so that it is likelier too much for tract than wrong.
fn beyond(error: TractError) -> LoadError {
    unsupported(format!("{error:#}"))
}

/// An error of reading: of an element type that tract lacks, or of the file.
fn classify_parse(error: TractError) -> LoadError {
    let text = format!("{error:#}");
    if text.contains("Unknown DatumType") { unsupported(text) } else { failed(text) }
}

/// Runs tract's code; a panic comes back as its text.
fn catch<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever the code had in hand is thrown away by the callers after a panic.
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| format!("it panicked: {}", panic_text(&*panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

struct TractSession {
    state: TypedSimpleState,
    /// Whether some operator keeps a state. tract means it for streams, where a run continues the one before (`Scan` goes on
    /// from its last hidden state); here every request starts afresh.
    remembers: bool,
    stop: Arc<Stop>,
    outputs: Arc<[OutputSpec]>,
    max_output_elements: usize,
}

impl Session for TractSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Value>, RunError> {
        let inputs = inputs.iter().map(to_tract).collect::<Result<TVec<TValue>, _>>()?;
        let failure = match catch(|| self.compute(inputs)) {
            Ok(Ok(outputs)) => return Ok(outputs),
            Ok(Err(_)) if self.stop.was_called() => RunError::Interrupted,
            Ok(Err(error)) => error.downcast().unwrap_or_else(|error| classify_run(format!("{error:#}"))),
            Err(panic) => classify_run(panic),
        };
        // A failed run leaves its half-bound symbols and values behind.
        self.renew().map_err(|error| RunError::Failed(format!("{error:#}")))?;
        Err(failure)
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn another(&self) -> Result<Box<dyn Session>, LoadError> {
        let another = TractSession::new(self.state.plan(), self.outputs.clone(), self.max_output_elements)?;
        Ok(Box::new(another))
    }
}

impl TractSession {
    /// The plan has the weights, and belongs to all its sessions.
    fn new(
        plan: &Arc<TypedSimplePlan>,
        outputs: Arc<[OutputSpec]>,
        max_output_elements: usize,
    ) -> Result<TractSession, LoadError> {
        let state = plan.spawn().map_err(|error| failed(format!("{error:#}")))?;
        let remembers = state.op_states.iter().any(Option::is_some);
        Ok(TractSession {
            state,
            remembers,
            stop: Arc::new(Stop(AtomicBool::new(false))),
            outputs,
            max_output_elements,
        })
    }

    fn compute(&mut self, inputs: TVec<TValue>) -> TractResult<Vec<Value>> {
        let stop = &self.stop;
        self.state.set_inputs(inputs)?;
        self.state.exec_plan_with_eval(|context, state, node, inputs| {
            if stop.was_called() {
                return Err(std::io::Error::other("the run was interrupted").into());
            }
            plan::eval(context, state, node, inputs)
        })?;
        let outputs = self.state.outputs()?;
        let mut allowance = Allowance::new(self.max_output_elements);
        outputs.iter().try_for_each(|output| allowance.take(element_count(output.shape())))?;
        let symbols = &self.state.turn_state.resolved_symbols;
        let outputs = self.outputs.iter().zip(&outputs).map(|(spec, value)| take(spec, value, symbols)).collect();
        if self.remembers {
            self.renew()?;
        } else {
            self.state.reset_turn()?;
        }
        outputs
    }

    /// Forgets everything about the runs so far.
    fn renew(&mut self) -> TractResult<()> {
        self.state = self.state.plan().clone().spawn()?;
        Ok(())
    }
}

struct Stop(AtomicBool);

impl Stop {
    fn was_called(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Interrupt for Stop {
    fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }

    fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The words by which tract blames shapes, indices or strings: its errors have no codes. Found by provoking it; the last
/// lines are of panics, by which it reports a bad index for `Gather` or a division by zero.
const BLAMES_INPUT: [&str; 16] = [
    "can not broadcast",
    "clashing resolution",
    "incorrect dtype or shape",
    "mismatch",
    "impossible to unify",
    "invalid gatherelements index",
    "invalid float literal",
    "invalid digit",
    "out of bounds",
    "out of range",
    "with overflow",
    "divide by zero",
    "divisor of zero",
    "cannot parse float",
    "is too large",
    "index < dim",
];

/// The words by which tract says that a kernel lacks an element type, which its analysis does not notice.
const LACKS_KERNEL: [&str; 4] = ["does not support", "is not a number", "doesn't implement", "datum type error"];

fn classify_run(text: String) -> RunError {
    let lower = text.to_lowercase();
    if LACKS_KERNEL.iter().any(|words| lower.contains(words)) {
        return RunError::Unsupported(text);
    }
    if BLAMES_INPUT.iter().any(|words| lower.contains(words)) {
        RunError::Rejected(text)
    } else {
        RunError::Failed(text)
    }
}

/// A tensor of tract's with a copy of the elements; it allocates by alignments of its own.
fn to_tract(tensor: &Tensor) -> Result<TValue, RunError> {
    fn copy<T: Datum + Copy>(array: &ArrayD<T>) -> Result<TractTensor, RunError> {
        let slice = array.as_slice().ok_or_else(|| RunError::Failed("an input tensor is not contiguous".to_owned()))?;
        TractTensor::from_shape(array.shape(), slice).map_err(|error| RunError::Failed(format!("{error:#}")))
    }
    let tensor = match tensor {
        Tensor::Bool(array) => copy(array),
        Tensor::I8(array) => copy(array),
        Tensor::I16(array) => copy(array),
        Tensor::I32(array) => copy(array),
        Tensor::I64(array) => copy(array),
        Tensor::U8(array) => copy(array),
        Tensor::U16(array) => copy(array),
        Tensor::U32(array) => copy(array),
        Tensor::U64(array) => copy(array),
        Tensor::F16(array) => copy(array),
        Tensor::BF16(_) => Err(RunError::Failed("tract has no bfloat16".to_owned())),
        Tensor::F32(array) => copy(array),
        Tensor::F64(array) => copy(array),
        Tensor::String(array) => Ok(TractTensor::from(array.clone())),
    };
    tensor.map(IntoTValue::into_tvalue)
}

/// An output, copied, in the type that the graph declares.
fn take(spec: &OutputSpec, value: &TractTensor, symbols: &SymbolValues) -> TractResult<Value> {
    fn copy<T: Datum + Element>(value: &TractTensor) -> TractResult<Tensor> {
        Ok(T::wrap(value.to_plain_array_view::<T>()?.to_owned()))
    }
    let ValueType::Tensor { dtype, dims } = &spec.value else { bail!("output '{}' is no tensor", spec.name) };
    let tensor = match dtype {
        DType::Bool => copy::<bool>(value),
        DType::I8 => copy::<i8>(value),
        DType::I16 => copy::<i16>(value),
        DType::I32 => copy::<i32>(value),
        DType::I64 if value.datum_type() == DatumType::TDim => sizes(value, symbols),
        DType::I64 => copy::<i64>(value),
        DType::U8 => copy::<u8>(value),
        DType::U16 => copy::<u16>(value),
        DType::U32 => copy::<u32>(value),
        DType::U64 => copy::<u64>(value),
        DType::F16 => copy::<half::f16>(value),
        DType::BF16 => bail!("tract has no bfloat16"),
        DType::F32 => copy::<f32>(value),
        DType::F64 => copy::<f64>(value),
        DType::String => copy::<String>(value),
    }?;
    if dims.as_ref().is_some_and(|dims| dims.len() != tensor.shape().len()) {
        bail!("output '{}' is declared {}, but has rank {}", spec.name, spec.value, tensor.shape().len());
    }
    Ok(Value::Tensor(tensor))
}

/// Sizes that were computed symbolically, in this run's numbers.
fn sizes(value: &TractTensor, symbols: &SymbolValues) -> TractResult<Tensor> {
    let array = value.to_plain_array_view::<TDim>()?;
    let sizes = array.iter().map(|size| size.eval_to_i64(symbols)).collect::<TractResult<Vec<i64>>>()?;
    Ok(Tensor::I64(ArrayD::from_shape_vec(array.raw_dim(), sizes)?))
}
