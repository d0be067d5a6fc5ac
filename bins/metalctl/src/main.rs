//! `metalctl`: the operator's tool. It runs the lab, reads and writes BGP messages, and writes the generated files.

mod args;
mod bgp;
mod crds;
mod lab;

use std::{io::Write, process::ExitCode};

use clap::Parser;
use owo_colors::OwoColorize;

use crate::{
    args::{Cli, Command},
    lab::Stop,
};

// Not asynchronous: the lab leaves the host's namespaces before there is a second thread.
fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Lab(arguments) => lab::run(&arguments),
        Command::Bgp(command) => bgp::run(&command),
        Command::Crds(arguments) => crds::run(&arguments).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody left to tell when standard error is gone.
            let _gone = writeln!(anstream::stderr(), "{} {error:#}", "metalctl:".red().bold());
            if error.is::<bgp::Unusable>() {
                return ExitCode::from(bgp::Unusable::EXIT_CODE);
            }
            error.downcast_ref().map_or(ExitCode::FAILURE, |stop: &Stop| ExitCode::from(stop.exit_code()))
        }
    }
}
