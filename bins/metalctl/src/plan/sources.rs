//! The files that a plan is made of.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use metal_k8s::Manifests;

/// Reads files, directories with all below them, and `-`. Returns a sentence for each that is not readable.
pub(crate) fn read(paths: &[PathBuf], manifests: &mut Manifests) -> Vec<String> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            if seen.insert(path.clone()) {
                match io::stdin().lock().read_to_string(&mut text) {
                    Ok(_) => manifests.read(None, text),
                    Err(error) => errors.push(format!("cannot read standard input: {error}")),
                }
            }
            continue;
        }
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, &mut files, &mut errors);
        } else {
            files.push(path.clone());
        }
        for file in files {
            // A file that is named twice counts once.
            let own = file.canonicalize().unwrap_or_else(|_| file.clone());
            if !seen.insert(own) {
                continue;
            }
            match fs::read_to_string(&file) {
                Ok(text) => manifests.read(Some(file), text),
                Err(error) => errors.push(format!("cannot read {}: {error}", file.display())),
            }
        }
    }
    errors
}

/// The manifests below a directory, in order; hidden ones are none.
fn collect(directory: &Path, files: &mut Vec<PathBuf>, errors: &mut Vec<String>) {
    let mut complain =
        |error: io::Error| errors.push(format!("cannot read {}: {error}", directory.display()));
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return complain(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if !entry.file_name().as_encoded_bytes().starts_with(b".") => paths.push(entry.path()),
            Ok(_) => {}
            Err(error) => complain(error),
        }
    }
    paths.sort();
    for path in paths {
        // Links to directories are not followed: they may lead in a circle.
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            collect(&path, files, errors);
        } else if is_manifest(&path) && !path.is_dir() {
            files.push(path);
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
