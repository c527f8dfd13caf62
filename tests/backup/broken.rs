//! What goes wrong: damage, files that were cut off, kills, full places, connections that break.

use std::io::{BufReader, Cursor, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use zonebeat::model::{Revision, Timestamp};
use zonebeat::registry::store::backup::{BackupError, BackupReader, BackupWriter, Checker};
use zonebeat::registry::store::embedded::EmbeddedStore;
use zonebeat::registry::store::{Batch, Store, Write};

use crate::store::{change, instance, service, token, written, zone};
use crate::support::{eventually, zonebeat};
use crate::{done, names, run, shown, text};

/// A backup of a store with so many instances and changes.
fn backup(instances: u64) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let (name, row) = zone("sd.example.org", 1);
    let mut batch = Batch::default();
    batch.writes.push(Write::Service("search".into(), service(1)));
    batch.writes.push(Write::Token(token("t1").into()));
    batch.writes.push(Write::Records(name.clone(), name.clone(), Some(written(1).into())));
    batch.writes.push(Write::Zone(name, row));
    for revision in 1..=instances {
        let id = format!("i{revision}");
        batch.changes.push(change(revision, &id));
        batch.writes.push(Write::Instance("search".into(), instance(&id, revision).into()));
    }
    store.commit(&batch).unwrap();
    let mut octets = Vec::new();
    let mut writer = BackupWriter::new(&mut octets, &store, Timestamp(0));
    store.read_all(&mut writer).unwrap();
    let summary = writer.finish().unwrap();
    assert_eq!((summary.header.revision, summary.counts.instances), (Revision(instances), instances));
    octets
}

/// What a reader says of it.
fn check(octets: &[u8]) -> Result<(), BackupError> {
    BackupReader::new(BufReader::new(Cursor::new(octets)))?.check().map(drop)
}

/// What somebody who fetches it says.
fn passes(octets: &[u8]) -> bool {
    let mut checker = Checker::default();
    octets.chunks(37).for_each(|part| checker.see(part));
    checker.finish().is_some()
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let whole = backup(3);
    assert!(check(&whole).is_ok() && passes(&whole));
    for length in 0..whole.len() {
        let error = check(&whole[..length]).expect_err("it is not whole");
        let is_cut = matches!(error, BackupError::CutOff(_) | BackupError::NotOne | BackupError::Line { .. });
        assert!(is_cut, "{length}: {error}");
        assert!(!passes(&whole[..length]), "{length}");
    }
}

#[test]
fn one_octet_that_is_other_is_found_anywhere() {
    let whole = backup(2);
    for at in 0..whole.len() {
        for bit in [0, 5] {
            let mut other = whole.clone();
            other[at] ^= 1 << bit;
            assert!(
                check(&other).is_err(),
                "octet {at}: {:?}",
                String::from_utf8_lossy(&other[at.saturating_sub(20)..at + 1])
            );
        }
    }
}

#[test]
fn lines_that_are_missing_twice_or_more_are_found() {
    let whole = String::from_utf8(backup(3)).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(
            check(fewer.concat().as_bytes()).is_err() && !passes(fewer.concat().as_bytes()),
            "without {}",
            lines[at]
        );
        let mut more = lines.clone();
        more.insert(at, lines[at]);
        assert!(check(more.concat().as_bytes()).is_err() && !passes(more.concat().as_bytes()), "twice {}", lines[at]);
    }
}

#[test]
fn damaged_files_make_no_store_and_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("backup"), directory.path().join("data"));
    let whole = String::from_utf8(backup(50)).unwrap();
    let cases: [(String, &str); 7] = [
        (whole[..whole.len() / 2].to_owned(), "it was cut off"),
        (whole.replacen("192.0.2.7", "192.0.2.8", 1), "but its content has SHA-256"),
        (whole.replacen("\"port\":8080", "\"port\":x", 1), "line 3 of the backup is damaged"),
        (whole.replacen("\"format\":1", "\"format\":9", 1), "format 9; this version reads format 1"),
        (format!("{whole}more\n"), "nothing should follow"),
        ("search A 192.0.2.7\n".to_owned(), "this is no backup of zonebeat"),
        (String::new(), "this is no backup of zonebeat"),
    ];
    for (content, why) in cases {
        std::fs::write(&file, content).unwrap();
        for args in [&["--check"][..], &["--data-dir", shown(&data)]] {
            let said = text(run(&[&["restore", shown(&file)], args].concat()), 1);
            let why = why.trim_start_matches("but ");
            assert!(said.contains(why) && said.contains(shown(&file)), "{why}: {said}");
        }
        assert!(!data.exists() || names(&data).is_empty(), "{why}: {:?}", names(&data));
    }
    std::fs::write(&file, b"\x28\xb5\x2f\xfd and so on").unwrap();
    let said = text(run(&["restore", shown(&file), "--check"]), 1);
    assert!(said.contains("zstd -dc FILE | zonebeat restore -"), "{said}");
    std::fs::write(&file, &whole).unwrap();
    done(&["restore", shown(&file), "--data-dir", shown(&data)]);
}

#[test]
fn a_restore_that_is_killed_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let whole = backup(20_000);
    let grown = |least: u64| std::fs::metadata(data.join("registry.redb.new")).is_ok_and(|found| found.len() > least);
    for part in [1, 3, 9] {
        let mut command = zonebeat();
        command.args(["restore", "-", "--data-dir", shown(&data)]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&whole[..whole.len() * part / 10]).unwrap();
        eventually("it is in the middle", || grown(1 << 20));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!data.join("registry.redb").exists());
    }
    let file = directory.path().join("backup");
    std::fs::write(&file, &whole).unwrap();
    done(&["restore", shown(&file), "--data-dir", shown(&data), "--ahead", "5"]);
    assert_eq!(names(&data), ["registry.redb"]);
    let loaded = EmbeddedStore::open(&data).unwrap().load().unwrap();
    assert_eq!((loaded.revision, loaded.instances.len()), (Revision(20_005), 20_000));
    assert_eq!(loaded.zones[0].1.changed, Revision(20_005));
}

#[test]
fn a_store_that_is_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("backup"), directory.path().join("data"));
    std::fs::write(&file, backup(3)).unwrap();
    done(&["restore", shown(&file), "--data-dir", shown(&data)]);
    let said = text(run(&["restore", shown(&file), "--data-dir", shown(&data)]), 1);
    assert!(said.contains("has a store already: revision 100000003") && said.contains("3 instances"), "{said}");
    let lost = directory.path().join("lost");
    std::fs::create_dir(&lost).unwrap();
    std::fs::write(lost.join("registry.journal.0"), "something").unwrap();
    let said = text(run(&["restore", shown(&file), "--data-dir", shown(&lost)]), 1);
    assert!(said.contains("registry.journal.0"), "{said}");
    let said = text(run(&["restore", shown(&file)]), 2);
    assert!(said.contains("--data-dir"), "{said}");
}

/// Answers one call with this, and closes.
fn answers(reply: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(&reply).unwrap();
    });
    (url, thread)
}

fn backed_up_from(url: &str, file: &Path) -> String {
    text(run(&["backup", shown(file), "--server", url]), 1)
}

#[test]
fn a_connection_that_breaks_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup");
    let whole = backup(500);
    let half = &whole[..whole.len() / 2];
    let line = half.iter().rposition(|octet| *octet == b'\n').unwrap() + 1;
    let chunked = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", half].concat();
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
    let short = [length.as_bytes(), half].concat();
    // Closed at the end of a line, without a length: nothing but the last line tells that it is not whole.
    let silent = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &half[..line]].concat();
    for (reply, why) in [(chunked, "broke off"), (short, "broke off"), (silent, "it is not whole")] {
        let (url, thread) = answers(reply);
        let said = backed_up_from(&url, &file);
        assert!(said.contains(why), "{said}");
        thread.join().unwrap();
        assert!(names(directory.path()).is_empty(), "{:?}", names(directory.path()));
    }
}
