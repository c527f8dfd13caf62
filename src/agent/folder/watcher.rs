//! Wakes when something may have changed in a folder of services.
//!
//! What it holds: one inotify descriptor, by rustix, and the directories that it watches: the folder, and where it or
//! one of its files is a link, each directory in which a link of the chain stands, and the one of the target. So an
//! edited target is seen, a link that is replaced, and a ConfigMap of Kubernetes whose `..data` is swapped. The
//! directories are found anew with each change, before the files are read, so that nothing falls in between.
//!
//! A burst of events is one change. A folder that cannot be watched (it is not there yet, or its file system knows no
//! inotify) is looked at every [`LOOK`], every other one every [`RESCAN`]: network file systems do not tell what
//! another host has written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::super::ready::watched;
use super::files_of;

/// How long a burst of events may be quiet before it is over.
const BURST: Duration = Duration::from_millis(100);
/// How often a folder is looked at that cannot be watched.
const LOOK: Duration = Duration::from_secs(1);
/// How often one is looked at that can.
const RESCAN: Duration = Duration::from_secs(30);
/// The most links that a path may lead over, as for the kernel.
const MOST_LINKS: usize = 40;

/// Wakes when something in a folder changes.
#[derive(Debug)]
pub struct Watcher {
    path: PathBuf,
    watching: Option<Watching>,
    /// When the burst is over that has begun, or when to look again.
    due: Option<Instant>,
}

/// What is watched.
#[derive(Debug)]
struct Watching {
    inotify: AsyncFd<OwnedFd>,
    /// Each directory and its number.
    directories: BTreeMap<PathBuf, i32>,
}

impl Watcher {
    /// Watches from now on.
    pub fn new(path: PathBuf) -> Self {
        let mut watcher = Self { path, watching: None, due: None };
        watcher.follow();
        watcher
    }

    /// Waits for a change, and until a burst of them is over. May wake without one; may be dropped and called again.
    pub async fn changed(&mut self) {
        let due = match (self.due, &self.watching) {
            (Some(due), _) => due,
            (None, None) => Instant::now() + LOOK,
            (None, Some(watching)) => {
                let inotify = &watching.inotify;
                tokio::select! {
                    ready = inotify.readable() => match ready {
                        Ok(_) => Instant::now() + BURST,
                        Err(_) => return std::future::pending().await, // the runtime is going away
                    },
                    () = sleep_until(Instant::now() + RESCAN) => Instant::now(),
                }
            }
        };
        self.due = Some(due);
        sleep_until(due).await;
        self.due = None;
        if let Some(watching) = &self.watching
            && watching.drain()
        {
            self.watching = None;
        }
        self.follow();
    }

    /// Watches what has to be watched now.
    fn follow(&mut self) {
        let mut watching = self.watching.take().map_or_else(Watching::new, Ok);
        let followed = watching.as_mut().is_ok_and(|watching| watching.follow(&self.path).is_ok());
        self.watching = watching.ok().filter(|_| followed);
    }
}

impl Watching {
    fn new() -> io::Result<Self> {
        let inotify = watched(init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        Ok(Self { inotify, directories: BTreeMap::new() })
    }

    /// The error is that the folder itself cannot be watched.
    fn follow(&mut self, folder: &Path) -> io::Result<()> {
        let files = WatchFlags::CREATE | WatchFlags::CLOSE_WRITE | WatchFlags::DELETE | WatchFlags::ATTRIB;
        let moves = WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        let (resolved, wanted) = directories(folder);
        for gone in self.directories.extract_if(.., |path, _| !wanted.contains(path)) {
            let _ = remove_watch(&self.inotify, gone.1); // the kernel may have done so
        }
        for path in wanted {
            if self.directories.contains_key(&path) {
                continue;
            }
            match add_watch(&self.inotify, &path, files | moves | own) {
                Ok(number) => drop(self.directories.insert(path, number)),
                Err(error) if path == resolved => return Err(error.into()),
                Err(_) => {} // the target of a link that is not there; its own directory is watched
            }
        }
        Ok(())
    }

    /// Throws away what has been read; whether a directory is gone.
    fn drain(&self) -> bool {
        if let Some(Ok(mut ready)) = self.inotify.readable().now_or_never() {
            ready.clear_ready(); // before reading: what comes after that wakes us again
        }
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut gone = false;
        while let Ok(event) = reader.next() {
            gone |= event.events().intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
        }
        gone
    }
}

/// Where the folder really is, and every directory in which something decides what its files say.
fn directories(folder: &Path) -> (PathBuf, BTreeSet<PathBuf>) {
    let mut found = BTreeSet::new();
    let resolved = resolve(folder, &mut found);
    found.insert(resolved.clone());
    for file in files_of(folder).unwrap_or_default() {
        if file.is_symlink() {
            let target = resolve(&file, &mut found);
            found.extend(target.parent().map(Path::to_owned));
        }
    }
    (resolved, found)
}

/// Follows all links of a path, and adds the directory in which each stands.
fn resolve(path: &Path, found: &mut BTreeSet<PathBuf>) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts = |path: &Path| -> VecDeque<OsString> { path.iter().map(OsString::from).collect() };
    let (mut at, mut rest, mut links) = (PathBuf::from("/"), parts(&absolute), 0);
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::Normal(_)) => match std::fs::read_link(at.join(&part)) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    found.insert(at.clone());
                    let mut before = parts(&target);
                    before.append(&mut rest);
                    rest = before;
                }
                _ => at.push(&part),
            },
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_that_decides_is_found() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        let at = |name: &str| root.join(name);
        for name in ["real", "map", "map/..1", "other"] {
            std::fs::create_dir(at(name)).expect("a folder can be made");
        }
        std::fs::write(at("map/..1/b.toml"), "").expect("a file can be written");
        std::fs::write(at("real/plain.toml"), "").expect("a file can be written");
        let link = |target: &str, name: &str| symlink(target, at(name)).expect("a link can be made");
        link("real", "services.d");
        link("..1", "map/..data");
        link("..data/b.toml", "map/b.toml");
        link("../map/b.toml", "real/b.toml");
        link(&at("other/gone.toml").display().to_string(), "real/c.toml");
        link("loop.toml", "real/loop.toml");
        let (resolved, found) = directories(&at("services.d"));
        assert_eq!(resolved, at("real"));
        let expected: BTreeSet<_> = ["", "real", "map", "map/..1", "other"].map(|name| root.join(name)).into();
        let found: BTreeSet<_> = found.into_iter().map(|path| root.join(path.strip_prefix(&root).unwrap())).collect();
        assert_eq!(found, expected.into_iter().map(|path| path.components().collect()).collect());
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_again_by_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let began = Instant::now();
        Watcher::new(dir.path().to_owned()).changed().await;
        assert_eq!(began.elapsed(), RESCAN);
        let began = Instant::now();
        Watcher::new(dir.path().join("later")).changed().await;
        assert_eq!(began.elapsed(), LOOK);
    }
}
