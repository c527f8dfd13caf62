//! The store's file with damage anywhere in it: opening and reading it ends with data or an error, never with a panic.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zonebeat::model::Revision;
use zonebeat::registry::Store;
use zonebeat::registry::store::Batch;
use zonebeat::registry::store::embedded::{EmbeddedStore, FILE};

static PLACE: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/zonebeat-fuzz-{}", std::process::id()));
    let folder = if folder.parent().is_some_and(|parent| parent.is_dir()) { folder } else { std::env::temp_dir() };
    fs::create_dir_all(&folder).expect("a folder can be made");
    let store = EmbeddedStore::open(&folder).expect("a new store opens");
    let batch = Batch { expected: Revision(0), ..Batch::default() };
    store.commit(&batch).expect("an empty batch is stored");
    drop(store);
    let octets = fs::read(folder.join(FILE)).expect("the store has a file");
    (folder, octets)
});

fuzz_target!(|data: &[u8]| {
    let (folder, sound) = &*PLACE;
    let mut octets = sound.clone();
    let mut cut = octets.len();
    for damage in data.chunks_exact(5) {
        let at = u32::from_be_bytes([damage[0], damage[1], damage[2], damage[3]]) as usize;
        match damage[0] {
            255 => cut = at % sound.len(),
            0..=127 => octets[at % sound.len()] ^= damage[4], // anywhere
            _ => octets[at % 1024] ^= damage[4],              // in the header, which redb reads first
        }
    }
    fs::write(folder.join(FILE), &octets[..cut]).expect("the file can be written");
    let Ok(store) = EmbeddedStore::open(folder) else { return };
    // A file that is damaged may say so, or not show it; it may not end the process.
    let _ = store.load();
    let _ = store.history(Revision(0), 10);
});
