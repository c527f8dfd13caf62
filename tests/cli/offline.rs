//! A token made in the data directory of a stopped server.

use std::path::Path;

use zonebeat::registry::Store;
use zonebeat::registry::store::embedded::EmbeddedStore;

use super::program::zonebeat;

fn create(data_dir: &Path, name: &str) -> std::process::Output {
    let data_dir = data_dir.to_str().expect("UTF-8");
    let mut command = zonebeat(&["token", "create", name, "--admin", "--data-dir", data_dir]);
    command.as_std_mut().output().expect("the command runs")
}

#[test]
fn the_way_back_in_is_the_data_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = create(dir.path(), "rescue");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("registry.redb"), "nothing is made where no store is");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);

    let store = EmbeddedStore::open(dir.path()).expect("a new store");
    let locked = create(dir.path(), "rescue");
    assert_eq!(locked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("in use by another process"), "a server is running");
    drop(store);

    let made = create(dir.path(), "rescue");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let secret = String::from_utf8(made.stdout).expect("text");
    let loaded = EmbeddedStore::open(dir.path()).expect("the store").load().expect("it reads");
    assert!(secret.starts_with(&format!("zb_{}_", loaded.tokens[0].id)));
    assert!(loaded.tokens[0].scope.admin && loaded.revision.0 == 1);
    assert_eq!(create(dir.path(), "rescue").status.code(), Some(1), "the name is taken");
    assert_eq!(create(dir.path(), "a b").status.code(), Some(2));
}
