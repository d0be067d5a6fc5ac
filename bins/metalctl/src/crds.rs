//! The CustomResourceDefinitions, generated from the types that the daemons read.

use std::io::Write;

use anyhow::{Context, Result};
use metal_k8s::crd;

use crate::args::CrdsArgs;

/// Writes them where the arguments say.
pub(crate) fn run(arguments: &CrdsArgs) -> Result<()> {
    if let Some(directory) = &arguments.write {
        let place = directory.display();
        crd::write(directory).with_context(|| format!("cannot write the definitions to {place}"))?;
        let names: Vec<String> = crd::all().into_iter().map(|file| file.name).collect();
        let _gone = writeln!(anstream::stderr(), "written to {place}: {}", names.join(", "));
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    for file in crd::all() {
        let begin = if file.yaml.starts_with("---") { "" } else { "---\n" };
        write!(out, "{begin}{}", file.yaml).context("cannot write the definitions")?;
    }
    Ok(())
}
