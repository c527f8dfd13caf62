//! Signs generated zones with BIND's tools: all with one ECDSA key, whose tag does not depend on the zone's name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::zones::{Denial, Zone};

/// The name that the key is made for.
const MADE_FOR: &str = "key.example.org";

/// A folder with a key.
pub(crate) struct Signer {
    place: TempDir,
    /// `+013+TAG`, as in the key's file names.
    suffix: String,
    key: String,
    private: String,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let printed = run("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", MADE_FOR], &place);
        let name = printed.trim();
        let read =
            |ending: &str| fs::read_to_string(place.path().join(format!("{name}.{ending}"))).expect("a key file");
        let suffix = name.rsplit_once(".+").expect("K, the name, the algorithm and the tag").1.to_owned();
        Self { key: read("key"), private: read("private"), suffix, place }
    }

    /// The zone's file, signed.
    pub(crate) fn sign(&self, zone: &Zone) -> String {
        let name = zone.file_name();
        let key = format!("K{name}.+{}", self.suffix);
        let dnskey = self.key.replace(&format!("{MADE_FOR}."), &format!("{name}. 3600"));
        self.write(&format!("{key}.key"), &dnskey);
        self.write(&format!("{key}.private"), &self.private);
        self.write(&name, &(zone.text() + &dnskey));
        let denial: &[&str] = match zone.denial() {
            Denial::Nsec => &[],
            Denial::Nsec3 => &["-3", "aabb", "-H", "1"],
            Denial::OptOut => &["-3", "-", "-H", "0", "-A"],
        };
        let common = ["-P", "-q", "-z", "-n", "1", "-o", &name, "-f", "signed", &name, &key];
        run("dnssec-signzone", &[denial, &common].concat(), &self.place);
        fs::read_to_string(self.place.path().join("signed")).expect("the signed zone")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, text).expect("file can be written");
        path
    }
}

fn run(program: &str, args: &[&str], place: &TempDir) -> String {
    let output = Command::new(program).args(args).current_dir(place.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run `make setup`"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
