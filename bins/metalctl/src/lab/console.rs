//! What the user sees while the lab runs: one line per step, and a line that is rewritten while waiting.

use std::{
    collections::HashSet,
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use owo_colors::OwoColorize;

use super::Stop;

/// Where steps go, with the time since the start.
#[derive(Debug)]
pub(crate) struct Console {
    begin: Instant,
    /// Standard output is for the document: everything else goes to standard error.
    document: bool,
    /// A terminal: lines can be rewritten.
    terminal: bool,
    verbose: bool,
    /// Whether the last line is one to be rewritten.
    progress: Mutex<bool>,
    /// What daemons have complained about. All read the same manifests: a mistake in these is told once.
    told: Mutex<HashSet<String>>,
}

/// How a step is marked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// As planned.
    Good,
    /// What the lab does to the LAN.
    Deed,
    /// Not as it should be.
    Bad,
}

impl Console {
    /// Time counts from now on.
    pub(crate) fn new(document: bool, verbose: bool) -> Self {
        let terminal = if document { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        Self {
            begin: Instant::now(),
            document,
            terminal,
            verbose,
            progress: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Prints something that went as planned.
    pub(crate) fn step(&self, subject: &str, text: impl Display) {
        self.marked(Mark::Good, subject, text);
    }

    /// Prints a step.
    pub(crate) fn marked(&self, mark: Mark, subject: &str, text: impl Display) {
        let time = format!("{:>8.3} s", self.begin.elapsed().as_secs_f64());
        let subject = format!("{subject:<10}");
        let subject = match mark {
            Mark::Good => subject.green().to_string(),
            Mark::Deed => subject.yellow().bold().to_string(),
            Mark::Bad => subject.red().bold().to_string(),
        };
        self.lines(format_args!("{}  {subject} {text}", time.dimmed()));
    }

    /// Says why the lab could not go on; that it was interrupted is said elsewhere.
    pub(crate) fn failure(&self, error: &anyhow::Error) {
        if !matches!(error.downcast_ref(), Some(Stop::Interrupted)) {
            self.marked(Mark::Bad, "failed", format_args!("{error:#}"));
        }
    }

    /// Prints text as it is.
    pub(crate) fn lines(&self, text: impl Display) {
        self.clear(&mut self.lock());
        self.write(format_args!("{text}\n"));
    }

    /// Passes on what a daemon logged: warnings and errors, each once, or everything if the user asked for it.
    pub(crate) fn log(&self, source: &str, line: &str) {
        let level = level(line);
        if !self.verbose && !matches!(level, Some("WARN" | "ERROR")) {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.verbose && !told.insert(message(line).to_owned()) {
            return;
        }
        drop(told);
        let source = format!("{source}:");
        let source = match level {
            Some("ERROR") => source.red().to_string(),
            Some("WARN") => source.yellow().to_string(),
            _ => source.dimmed().to_string(),
        };
        let text = if self.verbose { line } else { message(line) };
        self.clear(&mut self.lock());
        // The reader is the user, also when standard output is a file.
        let _gone = writeln!(anstream::stderr(), "            {source} {text}");
    }

    /// Shows what is being waited for, on a terminal.
    pub(crate) fn waiting(&self, text: impl Display, since: Duration) {
        if !self.terminal {
            return;
        }
        let mut open = self.lock();
        self.clear(&mut open);
        *open = true;
        let dots = ".".repeat(usize::try_from(since.as_millis() / 300 % 4).unwrap_or_default());
        let line = format!(
            "{:>8.3} s  {text} {:.1} s {dots}",
            self.begin.elapsed().as_secs_f64(),
            since.as_secs_f64()
        );
        self.write(format_args!("{}", line.dimmed()));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self, open: &mut bool) {
        if std::mem::take(open) {
            self.write(format_args!("\r\x1b[2K"));
        }
    }

    fn write(&self, text: impl Display) {
        // A reader that went away (`| head`) must not stop the lab from tidying up.
        let _gone = if self.document {
            let mut out = anstream::stderr().lock();
            write!(out, "{text}").and_then(|()| out.flush())
        } else {
            let mut out = anstream::stdout().lock();
            write!(out, "{text}").and_then(|()| out.flush())
        };
    }
}

/// The level of a line as the daemons log: `TIME LEVEL message`.
fn level(line: &str) -> Option<&str> {
    line.split_whitespace().nth(1).filter(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// What follows the time of a line.
fn message(line: &str) -> &str {
    line.split_once(char::is_whitespace).map_or(line, |(_, rest)| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_a_logged_line() {
        let line = "2026-11-22T21:57:13.123456Z  WARN pool.yaml:3: the range is reversed";
        assert_eq!(level(line), Some("WARN"));
        assert_eq!(message(line), "WARN pool.yaml:3: the range is reversed");
        assert_eq!(level("2026-11-22T21:57:13.123456Z ERROR x"), Some("ERROR"));
        assert_eq!(level("thread 'main' panicked"), None);
        assert_eq!(level(""), None);
    }
}
