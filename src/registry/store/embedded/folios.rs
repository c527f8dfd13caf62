//! Reads the file into the system's cache before redb does, so that it lies there in single pages.
//!
//! Linux keeps what it has read ahead of a reader in folios of up to megabytes. On 6.18 with ext4, each page that is
//! written later walks all of its folio and counts all of it as written, so a commit of a few pages costs several times
//! what it should for as long as the server runs. A file that was advised to be read at random is read into folios of
//! one page; and what is in the cache already is not read ahead again when redb scans the file.
//!
//! Nothing depends on it: it is advice, and what goes wrong with it shows when redb reads the file.

use std::fs::{self, File};
use std::num::NonZeroU64;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// What the system is asked to read at a time: as much as it queues without waiting.
const STEP: NonZeroU64 = NonZeroU64::new(1 << 20).expect("it is not zero");
/// Where Linux says how much memory may be had without swapping.
const MEMORY: &str = "/proc/meminfo";

/// Asks the system to read all of the file, unless it takes half of the memory that is available: then reading it ahead
/// could push out its own beginning.
pub(super) fn read_ahead(path: &Path) {
    let length = match fs::metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        _ => return, // redb says why; opening a pipe would wait for its other end
    };
    if length >= available() / 2 {
        return;
    }
    let Ok(file) = File::open(path) else { return };
    // The advice of access belongs to this descriptor alone, what is read to everybody.
    if fadvise(&file, 0, None, Advice::Random).is_err() {
        return; // no such advice on this file system: what would be read now would be in large folios
    }
    for at in (0..length).step_by(STEP.get() as usize) {
        if fadvise(&file, at, Some(STEP), Advice::WillNeed).is_err() {
            return; // redb reads the rest, or says why not
        }
    }
}

/// Octets of memory that are available; none if the system does not say.
fn available() -> u64 {
    fs::read_to_string(MEMORY).ok().and_then(|text| available_in(&text)).unwrap_or(0)
}

fn available_in(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_octets() {
        let text = "MemTotal:       24683372 kB\nMemAvailable:   23674988 kB\nBuffers: 1 kB\n";
        assert_eq!(available_in(text), Some(23_674_988 * 1024));
        assert_eq!(available_in("MemAvailable: much\n"), None);
        assert_eq!(available_in("MemAvailable: 18446744073709551615 kB\n"), None);
        assert!(available() > 0);
    }

    #[test]
    fn any_path_may_be_read_ahead() {
        let directory = tempfile::tempdir().unwrap();
        read_ahead(directory.path());
        read_ahead(&directory.path().join("missing"));
        let path = directory.path().join("file");
        fs::write(&path, vec![1; (2 << 20) + 7]).unwrap();
        read_ahead(&path);
        assert_eq!(fs::read(&path).unwrap(), vec![1; (2 << 20) + 7]);
    }
}
