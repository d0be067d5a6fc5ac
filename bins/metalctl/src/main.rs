//! `metalctl`: the operator's tool. It runs the lab, plans, reads and writes BGP messages, and writes the
//! generated files.

mod args;
mod bgp;
mod crds;
mod lab;
mod plan;

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
        Command::Lab(arguments) => lab::run(&arguments).map(exit_code),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Bgp(command) => bgp::run(&command).map(exit_code),
        Command::Crds(arguments) => crds::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
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

fn exit_code(success: bool) -> ExitCode {
    if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
