//! The outputs that a request wants, in the order in which they are answered.

use super::carried::carried_spec;
use super::datatype;
use super::parameters::OutputParameters;
use super::region::Region;
use crate::codec::refusal::quoted;
use crate::codec::{DecodeError, DecodeFault};
use crate::tensor::Signature;

/// Checked against the signature: every output exists, can be carried, and is there once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub outputs: Vec<WantedOutput>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedOutput {
    /// Its place in the signature.
    pub index: usize,
    pub binary: bool,
    /// So many classes instead of the values; 0 for the values.
    pub classes: usize,
    /// The shared memory that takes it.
    pub region: Option<Region>,
}

impl Wanted {
    /// What a request that lists no outputs gets: all that can be carried.
    pub fn all(signature: &Signature, binary: bool) -> Result<Wanted, DecodeError> {
        let carried = signature.outputs.iter().enumerate().filter(|(_, output)| carried_spec(output).is_some());
        let outputs: Vec<_> =
            carried.map(|(index, _)| WantedOutput { index, binary, classes: 0, region: None }).collect();
        if outputs.is_empty() && !signature.outputs.is_empty() {
            let message =
                "no output of this model is a tensor, and this protocol carries nothing else; use the scoring URI";
            return Err(DecodeError::new(DecodeFault::WrongInputs, message));
        }
        Ok(Wanted { outputs })
    }

    /// An empty list, to be filled with [`Wanted::push`].
    pub fn none() -> Wanted {
        Wanted { outputs: Vec::new() }
    }

    /// Adds an output that the request lists.
    pub fn push(
        &mut self,
        signature: &Signature,
        name: &str,
        parameters: &OutputParameters,
    ) -> Result<(), DecodeError> {
        let refuse = |message: String| Err(DecodeError::new(DecodeFault::WrongInputs, message).got(quoted(name)));
        let Some(index) = signature.outputs.iter().position(|output| output.name == name) else {
            let names: Vec<_> = signature.outputs.iter().map(|output| format!("'{}'", output.name)).collect();
            return refuse(format!("the model has no output '{}'; its outputs are {}", quoted(name), names.join(", ")));
        };
        let Some(spec) = carried_spec(&signature.outputs[index]) else {
            let value = &signature.outputs[index].value;
            return refuse(format!(
                "output '{name}' is {value}, which this protocol cannot carry; use the scoring URI"
            ));
        };
        if parameters.classification > 0 && !spec.dtype.is_number() {
            let datatype = datatype::name(spec.dtype);
            return refuse(format!(
                "output '{name}' holds {datatype}, which cannot be classified: leave out `classification`"
            ));
        }
        if self.outputs.iter().any(|output| output.index == index) {
            return refuse(format!("output '{name}' is asked for twice"));
        }
        self.outputs.push(WantedOutput {
            index,
            binary: parameters.binary_data,
            classes: parameters.classification,
            region: parameters.region()?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, OutputSpec, ValueType};

    fn signature() -> Signature {
        let tensor = || ValueType::Tensor { dtype: DType::F32, dims: None };
        let output = |name: &str, value| OutputSpec { name: name.to_owned(), value };
        let outputs = vec![output("y", tensor()), output("s", ValueType::Sequence(Box::new(tensor())))];
        Signature { inputs: Vec::new(), outputs }
    }

    #[test]
    fn outputs_are_named_once_each_and_can_be_carried() {
        let signature = signature();
        assert_eq!(Wanted::all(&signature, true).unwrap().outputs.len(), 1);
        let mut wanted = Wanted::none();
        let plain = OutputParameters::default();
        wanted.push(&signature, "y", &plain).unwrap();
        assert_eq!(wanted.outputs[0], WantedOutput { index: 0, binary: false, classes: 0, region: None });
        for (name, words) in [("y", "twice"), ("z", "no output 'z'"), ("s", "cannot carry")] {
            let error = wanted.push(&signature, name, &plain).unwrap_err();
            assert!(error.message.contains(words), "{}", error.message);
        }
        let mut classes = OutputParameters::default();
        classes.classification = 1;
        let tensor = |dtype| ValueType::Tensor { dtype, dims: None };
        for (dtype, is_taken) in [(DType::String, false), (DType::Bool, false), (DType::U8, true), (DType::F16, true)] {
            let outputs = vec![OutputSpec { name: "y".to_owned(), value: tensor(dtype) }];
            let pushed = Wanted::none().push(&Signature { outputs, ..signature.clone() }, "y", &classes);
            assert_eq!(pushed.is_ok(), is_taken, "{dtype}");
        }
        let only_sequences = Signature { outputs: signature.outputs[1..].to_vec(), ..signature };
        assert!(Wanted::all(&only_sequences, false).is_err());
    }
}
