//! What every lab stands on.

use std::sync::Arc;

use anyhow::{Context, Result};
use metal_net::Isolation;

use super::{
    Stop, console::Console, count, daemons::Programs, interrupt::Interrupt, scratch, scratch::Scratch,
};
use crate::args::{LabArgs, Output};

/// What every lab stands on.
pub(crate) struct Ground {
    pub(crate) programs: Programs,
    pub(crate) isolation: Isolation,
    pub(crate) interrupt: Interrupt,
    pub(crate) console: Arc<Console>,
    pub(crate) scratch: Scratch,
}

impl Ground {
    /// Leaves the host's namespaces. The process must have no second thread yet.
    pub(crate) fn prepare(arguments: &LabArgs) -> Result<Self> {
        let programs = Programs::find(arguments.bin_dir.as_deref())?;
        let isolation = metal_net::isolate().map_err(|error| Stop::Refused(error.to_string()))?;
        let interrupt = Interrupt::watch().context("cannot catch signals")?;
        let console = Arc::new(Console::new(arguments.output == Output::Json, arguments.verbose));
        let left = scratch::sweep();
        if left > 0 {
            console.step("clean", format_args!("removed what {} left behind", count(left, "crashed lab")));
        }
        let scratch = Scratch::create().context("cannot make a directory for the lab")?;
        Ok(Self { programs, isolation, interrupt, console, scratch })
    }
}
