//! Manifests read once, without a daemon: every object in them, and where it stands.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use metal_core::config::{Object, ObjectRef, Spec};

use super::{
    document,
    manifest::{self, Entry, Id, Value},
};
use crate::{
    backend::Options,
    change::{Change, Problem},
};

/// Manifests that are read once: from files, or from standard input.
///
/// Unlike a daemon, which leaves a file alone as long as anything in it is broken, this reads document by
/// document. A configuration object without a namespace counts as one of the configured namespace.
pub struct Manifests {
    options: Options,
    files: Vec<File>,
    /// What counts, and in which file it is.
    objects: BTreeMap<Id, (usize, Entry)>,
    unusable: Vec<Unusable>,
    notes: Vec<Problem>,
}

/// A file; the one without a path is standard input.
struct File {
    path: Option<PathBuf>,
    text: String,
    json: bool,
}

/// A document that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its kind, as far as it can be read.
    pub kind: Option<String>,
    /// Its name, as far as it can be read.
    pub name: Option<String>,
    /// What is wrong with it.
    pub fault: Fault,
    /// The sentence about it.
    pub message: String,
    /// Where it is.
    pub place: Place,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not YAML, or not JSON.
    Illegible,
    /// A field has the wrong type, or it is no object at all.
    Undecodable,
    /// The same object has come before.
    Duplicate,
}

/// A line in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; `None` for standard input.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: u64,
}

impl Manifests {
    /// No manifests yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, files: Vec::new(), objects: BTreeMap::new(), unusable: Vec::new(), notes: Vec::new() }
    }

    /// Takes the text of a file, or of standard input.
    pub fn read(&mut self, path: Option<PathBuf>, text: String) {
        let json = match &path {
            Some(path) => path.extension().is_some_and(|extension| extension == "json"),
            None => text.trim_start().starts_with('{'),
        };
        let shown = path.clone().unwrap_or_else(|| Path::new("standard input").into());
        let (read, broken) = manifest::read_each(&shown, &text, json, &self.options);
        let index = self.files.len();
        for broken in broken {
            let fault = if broken.is_legible { Fault::Undecodable } else { Fault::Illegible };
            let place = Place { file: path.clone(), line: broken.problem.line.unwrap_or(1) };
            let message = broken.problem.message;
            self.unusable.push(Unusable { kind: broken.kind, name: broken.name, fault, message, place });
        }
        self.notes.extend(read.problems);
        self.files.push(File { path, text, json });
        for entry in read.entries {
            match self.objects.get(&entry.id) {
                None => drop(self.objects.insert(entry.id.clone(), (index, entry))),
                Some((first, other)) => {
                    let first = self.place(*first, other.line, "");
                    let file = first.file.unwrap_or_else(|| "standard input".into());
                    let message = format!(
                        "{} is already in {}:{}; this one is ignored",
                        entry.id,
                        file.display(),
                        first.line
                    );
                    let (kind, name) = entry.id.kind_and_name();
                    let place = self.place(index, entry.line, "");
                    let (kind, name, fault) = (Some(kind), Some(name), Fault::Duplicate);
                    self.unusable.push(Unusable { kind, name, fault, message, place });
                }
            }
        }
    }

    /// Everything that counts as changes of an empty world, the end of the listing included.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let objects = self.objects.values();
        let changes = objects.filter_map(|(_, entry)| entry.id.clone().change(Some(entry.value.clone())));
        changes.chain([Change::Synced]).collect()
    }

    /// The documents that cannot be used.
    #[must_use]
    pub fn unusable(&self) -> &[Unusable] {
        &self.unusable
    }

    /// What else a user may want to know, such as that a kind is not supported.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// Where a field of a configuration object is, else the object.
    #[must_use]
    pub fn field(&self, object: &ObjectRef, field: &str) -> Option<Place> {
        let (file, entry) = self.objects.get(&Id::Config(object.clone()))?;
        // What could not be decoded says its own line.
        if let Value::Config(Object { spec: Spec::Unreadable(refusal), .. }) = &entry.value
            && let Some(line) = self.line_in(*file, &refusal.message)
        {
            return Some(Place { file: self.files[*file].path.clone(), line });
        }
        Some(self.place(*file, entry.line, field))
    }

    fn place(&self, file: usize, line: u64, field: &str) -> Place {
        let File { path, text, json } = &self.files[file];
        let documents = document::split(text, *json);
        let outer = documents.iter().rev().find(|document| document.line <= line);
        let line = outer.map_or(line, |outer| {
            if outer.line == line {
                return outer.line_of(field);
            }
            let items = outer.items().unwrap_or_default();
            items.iter().find(|item| item.line == line).map_or(line, |item| item.line_of(field))
        });
        Place { file: path.clone(), line }
    }

    /// The line that a message begins with, if it begins with one of this file.
    fn line_in(&self, file: usize, message: &str) -> Option<u64> {
        let path = self.files[file].path.as_deref().unwrap_or(Path::new("standard input"));
        let rest = message.strip_prefix(&format!("{}:", path.display()))?;
        rest.split(':').next()?.parse().ok()
    }
}
