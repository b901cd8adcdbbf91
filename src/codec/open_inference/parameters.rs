//! Parameters of requests, inputs and outputs. What is known is checked; what is not is passed over, as the protocol asks.

use std::time::Duration;

use super::region::Region;
use crate::codec::refusal::quoted;
use crate::codec::{DecodeError, DecodeFault};

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    Bool(bool),
    /// A whole number, as far as either wire can carry one.
    Integer(i128),
    Real(f64),
    Text(String),
}

impl Parameter {
    fn bool(&self, key: &str) -> Result<bool, DecodeError> {
        if let Parameter::Bool(value) = self { Ok(*value) } else { Err(self.wrong(key, "true or false")) }
    }

    fn count<T: TryFrom<i128>>(&self, key: &str) -> Result<T, DecodeError> {
        let count = match self {
            Parameter::Integer(value) => T::try_from(*value).ok(),
            _ => None,
        };
        count.ok_or_else(|| self.wrong(key, "a whole number, 0 or more"))
    }

    fn text(&self, key: &str) -> Result<&str, DecodeError> {
        if let Parameter::Text(value) = self { Ok(value) } else { Err(self.wrong(key, "a text")) }
    }

    fn wrong(&self, key: &str, expected: &str) -> DecodeError {
        let got = match self {
            Parameter::Bool(value) => value.to_string(),
            Parameter::Integer(value) => value.to_string(),
            // With the point that makes it none.
            Parameter::Real(value) => format!("{value:?}"),
            Parameter::Text(value) => format!("'{}'", quoted(value)),
        };
        let message = format!("the parameter '{key}' must be {expected}, not {got}");
        DecodeError::new(DecodeFault::WrongType, message).expected(expected).got(got)
    }
}

/// What a request asks for as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestParameters {
    /// 1 goes first; 0 is what the model's requests have by default.
    pub priority: u64,
    /// The longest time that the request wants to wait for its run.
    pub queue_timeout: Option<Duration>,
    /// The form of the outputs, where the request lists none.
    pub binary_data_output: bool,
}

impl RequestParameters {
    /// Takes one parameter. Those of the sequence extension are passed over, as Triton does for models without state.
    pub fn take(&mut self, key: &str, value: &Parameter) -> Result<(), DecodeError> {
        match key {
            "priority" => self.priority = value.count(key)?,
            // Triton: 0 is no limit.
            "timeout" => {
                self.queue_timeout = Some(value.count(key)?).filter(|us| *us > 0).map(Duration::from_micros);
            }
            "binary_data_output" => self.binary_data_output = value.bool(key)?,
            _ => {}
        }
        Ok(())
    }
}

/// Where an input's elements are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputParameters {
    /// So many bytes behind the JSON.
    pub binary_data_size: Option<usize>,
    region: RegionParameters,
}

impl InputParameters {
    pub fn take(&mut self, key: &str, value: &Parameter) -> Result<(), DecodeError> {
        match key {
            "binary_data_size" => self.binary_data_size = Some(value.count(key)?),
            _ => self.region.take(key, value)?,
        }
        Ok(())
    }

    /// The shared memory that holds the elements, if it does.
    pub fn region(&self) -> Result<Option<Region>, DecodeError> {
        self.region.region()
    }
}

/// The form that an output is wanted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputParameters {
    pub binary_data: bool,
    /// So many classes instead of the values; 0 for the values.
    pub classification: usize,
    region: RegionParameters,
}

impl OutputParameters {
    pub fn take(&mut self, key: &str, value: &Parameter) -> Result<(), DecodeError> {
        match key {
            "binary_data" => self.binary_data = value.bool(key)?,
            "classification" => self.classification = value.count(key)?,
            _ => self.region.take(key, value)?,
        }
        Ok(())
    }

    /// The shared memory that takes the elements, if one does; then no other form can be asked for.
    pub fn region(&self) -> Result<Option<Region>, DecodeError> {
        let region = self.region.region()?;
        if region.is_some() && (self.binary_data || self.classification > 0) {
            let message = "an output that goes to shared memory takes neither 'binary_data' nor 'classification'";
            return Err(DecodeError::new(DecodeFault::WrongInputs, message));
        }
        Ok(region)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RegionParameters {
    name: Option<String>,
    offset_bytes: Option<usize>,
    size_bytes: Option<usize>,
}

impl RegionParameters {
    fn take(&mut self, key: &str, value: &Parameter) -> Result<(), DecodeError> {
        match key {
            "shared_memory_region" => self.name = Some(value.text(key)?.to_owned()),
            "shared_memory_offset" => self.offset_bytes = Some(value.count(key)?),
            "shared_memory_byte_size" => self.size_bytes = Some(value.count(key)?),
            _ => {}
        }
        Ok(())
    }

    fn region(&self) -> Result<Option<Region>, DecodeError> {
        let lacking = |message: &str| Err(DecodeError::new(DecodeFault::WrongInputs, message));
        match (&self.name, self.size_bytes) {
            (Some(name), Some(size_bytes)) => {
                Ok(Some(Region { name: name.clone(), offset_bytes: self.offset_bytes.unwrap_or(0), size_bytes }))
            }
            (None, None) if self.offset_bytes.is_none() => Ok(None),
            (Some(_), None) => lacking("'shared_memory_region' needs 'shared_memory_byte_size' beside it"),
            (None, _) => {
                lacking("'shared_memory_byte_size' and 'shared_memory_offset' need 'shared_memory_region' beside them")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Parameter {
        Parameter::Text(value.to_owned())
    }

    #[test]
    fn what_is_known_is_taken_and_checked_and_the_rest_passed_over() {
        let mut request = RequestParameters::default();
        for (key, value) in [
            ("priority", Parameter::Integer(1)),
            ("timeout", Parameter::Integer(1_500)),
            ("binary_data_output", Parameter::Bool(true)),
            ("sequence_id", text("s")),
            ("anything", Parameter::Real(0.5)),
        ] {
            request.take(key, &value).unwrap();
        }
        let queue_timeout = Some(Duration::from_micros(1_500));
        assert_eq!(request, RequestParameters { priority: 1, queue_timeout, binary_data_output: true });
        request.take("timeout", &Parameter::Integer(0)).unwrap();
        assert_eq!(request.queue_timeout, None);
        for (key, value) in [
            ("priority", Parameter::Integer(-1)),
            ("priority", Parameter::Real(1.0)),
            ("timeout", Parameter::Integer(1 << 64)),
            ("binary_data_output", text("true")),
        ] {
            let error = request.take(key, &value).unwrap_err();
            assert!(error.message.contains(key), "{}", error.message);
        }
        let error = request.take("priority", &Parameter::Real(1.0)).unwrap_err();
        assert_eq!(error.got.as_deref(), Some("1.0"), "and not a whole number that is refused for being none");
    }

    #[test]
    fn a_region_is_whole_or_not_there() {
        let mut input = InputParameters::default();
        assert_eq!(input.region(), Ok(None));
        input.take("shared_memory_region", &text("r")).unwrap();
        assert!(input.region().unwrap_err().message.contains("byte_size"));
        input.take("shared_memory_byte_size", &Parameter::Integer(16)).unwrap();
        let region = Region { name: "r".to_owned(), offset_bytes: 0, size_bytes: 16 };
        assert_eq!(input.region(), Ok(Some(region)));
        let mut output = OutputParameters::default();
        output.take("shared_memory_offset", &Parameter::Integer(1)).unwrap();
        assert!(output.region().is_err());
        output.take("shared_memory_region", &text("r")).unwrap();
        output.take("shared_memory_byte_size", &Parameter::Integer(16)).unwrap();
        assert_eq!(output.region().unwrap().unwrap().offset_bytes, 1);
        output.take("classification", &Parameter::Integer(3)).unwrap();
        assert!(output.region().unwrap_err().message.contains("classification"));
    }
}
