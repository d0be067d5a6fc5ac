//! A directory tree and what happens in it.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use futures::{FutureExt, StreamExt};
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};

/// What happened in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A file is there in full, or is gone.
    Ready(PathBuf),
    /// A file is being written.
    Growing(PathBuf),
    /// Anything may have changed.
    Everything,
    /// The root is gone.
    Lost,
}

/// A directory tree, followed with all its subdirectories. Hidden files and directories do not belong to it.
pub(super) struct Tree {
    root: PathBuf,
    accepts: fn(&Path) -> bool,
    stream: EventStream<[u8; 4096]>,
    directories: HashMap<WatchDescriptor, PathBuf>,
}

impl Tree {
    /// Starts to follow the tree below `root`, and in it the files that `accepts` takes.
    pub(super) fn open(root: &Path, accepts: fn(&Path) -> bool) -> io::Result<Self> {
        let stream = Inotify::init()?.into_event_stream([0; 4096])?;
        let mut tree = Self { root: root.into(), accepts, stream, directories: HashMap::new() };
        tree.follow(root, &mut Vec::new())?;
        Ok(tree)
    }

    /// Starts again after [`Notice::Lost`].
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.root, self.accepts)?;
        Ok(())
    }

    /// The directory that everything is below.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// All files that are there now, in order. Also follows directories that have been missed.
    pub(super) fn files(&mut self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Err(error) = self.follow(&self.root.clone(), &mut files) {
            tracing::warn!("{}: {error}", self.root.display());
        }
        files.sort();
        files
    }

    /// What has happened since, at least one thing.
    pub(super) async fn next(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        while notices.is_empty() {
            let Some(event) = self.stream.next().await else { return vec![Notice::Lost] };
            self.event(event, &mut notices);
            while let Some(Some(event)) = self.stream.next().now_or_never() {
                self.event(event, &mut notices);
            }
        }
        notices
    }

    fn event(&mut self, event: io::Result<EventOwned>, notices: &mut Vec<Notice>) {
        let event = match event {
            Ok(event) if event.mask.contains(EventMask::Q_OVERFLOW) => {
                return notices.push(Notice::Everything);
            }
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("watching {}: {error}", self.root.display());
                return notices.push(Notice::Everything);
            }
        };
        let Some(directory) = self.directories.get(&event.wd).cloned() else { return };
        let Some(name) = event.name else {
            // About the directory itself. Only the root's end matters: the others' parents speak for them.
            if event.mask.intersects(EventMask::DELETE_SELF | EventMask::MOVE_SELF) && directory == self.root
            {
                notices.push(Notice::Lost);
            }
            if event.mask.contains(EventMask::IGNORED) {
                self.directories.remove(&event.wd);
            }
            return;
        };
        let path = directory.join(&name);
        if is_hidden(&path) {
            // A mounted ConfigMap changes all its files at once by turning this link.
            if name == "..data" {
                notices.push(Notice::Everything);
            }
        } else if event.mask.contains(EventMask::ISDIR) {
            self.directory(&path, event.mask, notices);
        } else if (self.accepts)(&path) {
            notices.push(
                if event.mask.intersects(EventMask::MODIFY | EventMask::CREATE) && !is_link(&path) {
                    Notice::Growing(path)
                } else {
                    Notice::Ready(path)
                },
            );
        }
    }

    fn directory(&mut self, path: &Path, mask: EventMask, notices: &mut Vec<Notice>) {
        if mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
            let mut files = Vec::new();
            match self.follow(path, &mut files) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot watch {}: {error}", path.display());
                }
                _ => {}
            }
            notices.extend(files.into_iter().map(Notice::Ready));
        } else {
            let mut watches = self.stream.watches();
            let gone = self.directories.extract_if(|_, directory| directory.starts_with(path));
            gone.for_each(|(watch, _)| drop(watches.remove(watch)));
            notices.push(Notice::Everything);
        }
    }

    /// Watches `directory` and all below it, and collects their files. The watch comes first, so that nothing
    /// is missed in between.
    fn follow(&mut self, directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
        let watch = watch(&mut self.stream.watches(), directory)?;
        self.directories.insert(watch, directory.into());
        for entry in fs::read_dir(directory)? {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                match self.follow(&path, files) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            } else if (self.accepts)(&path) && fs::metadata(&path).is_ok_and(|file| file.is_file()) {
                files.push(path);
            }
        }
        Ok(())
    }
}

fn watch(watches: &mut Watches, directory: &Path) -> io::Result<WatchDescriptor> {
    let mask = WatchMask::CLOSE_WRITE
        | WatchMask::MODIFY
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    watches.add(directory, mask).map_err(|error| match error.raw_os_error() {
        // ENOSPC, which here is not about the disk.
        Some(28) => {
            io::Error::other("too many directories are watched: raise the sysctl fs.inotify.max_user_watches")
        }
        _ => error,
    })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_link(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    // A further name of a complete file is never closed after writing either.
    fs::symlink_metadata(path).is_ok_and(|file| file.is_symlink() || file.nlink() > 1)
}
