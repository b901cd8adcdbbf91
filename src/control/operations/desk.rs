//! Where a server carries operations out: on the registry that it serves, which may be away when it starts.

use std::fmt;
use std::sync::Arc;

use super::{OperationError, Operations};
use crate::config::Config;
use crate::control::Open;

/// Opens the registry for each operation.
#[derive(Clone)]
pub struct Desk {
    open: Arc<Open>,
    config: Config,
}

impl Desk {
    pub fn new(open: Arc<Open>, config: Config) -> Desk {
        Desk { open, config }
    }

    pub fn operations(&self) -> Result<Operations, OperationError> {
        Ok(Operations::new((self.open)()?, self.config.clone()))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk(…)")
    }
}
