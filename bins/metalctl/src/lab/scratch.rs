//! The lab's directory: removed at the end, and by the next lab if this one could not.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// What the names of all labs' directories begin with; the process and a number follow.
const PREFIX: &str = "metal-lab-";
/// Locked by the living owner of the directory.
const LOCK: &str = "lock";

/// A directory for manifests, state and logs.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Held until the process ends, however it ends.
    _lock: File,
}

impl Scratch {
    /// Makes a new one below the directory for temporary files.
    pub(crate) fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            let lock = File::create_new(path.join(LOCK))?;
            lock.lock()?;
            return Ok(Self { path, _lock: lock });
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    pub(crate) fn subdirectory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now, the next lab removes.
        let _left = fs::remove_dir_all(self.path());
    }
}

/// Removes what crashed labs of this user left behind and returns how many directories that were.
pub(crate) fn sweep() -> usize {
    sweep_in(&std::env::temp_dir())
}

fn sweep_in(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let left: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_left(path)).collect();
    left.iter().filter(|path| fs::remove_dir_all(path).is_ok()).count()
}

/// Whether a directory is a lab's whose process is gone. The lock tells it also where processes of
/// another container share the directory.
fn is_left(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { return false };
    let real = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !real || owner.parse::<u32>().is_err() || Path::new("/proc").join(owner).exists() {
        return false;
    }
    match File::open(path.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_removed_with_its_content() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::create().unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(scratch.subdirectory("state").unwrap().join("file"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_a_dead_lab_left_is_swept() {
        let parent = Scratch::create().unwrap();
        let living = Scratch::create_in(parent.path()).unwrap();
        // No process has a number as large as this.
        let dead = parent.subdirectory("metal-lab-4294967295-0").unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::create_dir(dead.join("state")).unwrap();
        let locked = parent.subdirectory("metal-lab-4294967295-1").unwrap();
        let lock = File::create_new(locked.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let foreign = parent.subdirectory("metal-laboratory").unwrap();
        assert_eq!(sweep_in(parent.path()), 1);
        assert!(!dead.exists());
        assert!(living.path().exists() && locked.exists() && foreign.exists());
    }
}
