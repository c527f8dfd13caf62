//! Signs a zone and a zone below it with BIND's or ldns's signer.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// How the zones are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Nsec,
    /// With salt and iterations, which RFC 9276 advises against and zones still have.
    Nsec3,
    /// Insecure delegations have no record of their own (RFC 5155 section 6).
    OptOut,
    /// By another signer.
    LdnsNsec3,
}

/// Zones as their files say, and the key that validators trust.
pub(crate) struct Signed {
    /// Name and text of each.
    pub(crate) zones: Vec<(String, String)>,
    /// Public key of `example.org`, base 64.
    pub(crate) key: String,
}

/// Names that exercise every kind of answer. `sub` and `plain` are zones of ours as well, `lab` and `safe` are not.
const PARENT: &str = r#"$TTL 300
@ SOA ns1 hostmaster 7 3600 600 604800 60
  NS ns1
  NS ns.example.net.
  MX 10 mail
ns1 A 192.0.2.53
    AAAA 2001:db8::53
mail A 192.0.2.25
www CNAME mail
far CNAME host.example.net.
dangling CNAME nobody
*.wild A 192.0.2.99
       TXT "any"
sub.wild A 192.0.2.98
*.alias CNAME mail
x.*.star TXT "below a wildcard without records"
deep.er TXT "x"
cut.only NS ns.example.net.
old DNAME new
a.new A 192.0.2.61
lab NS ns.lab
ns.lab A 192.0.2.60
safe NS ns.safe
ns.safe A 192.0.2.62
sub NS ns.sub
ns.sub A 192.0.2.63
plain NS ns.plain
ns.plain A 192.0.2.64
to-sub CNAME www.sub
to-plain CNAME www.plain
_sip._tcp SRV 0 0 5060 mail
"#;
const CHILD: &str = "$TTL 300\n@ SOA ns hostmaster 7 3600 600 604800 60\n  NS ns\nns A 192.0.2.63\nwww A 192.0.2.65\n\
                     *.wild TXT \"sub\"\n";
const PLAIN: &str = "$TTL 300\n@ SOA ns hostmaster 7 3600 600 604800 60\n  NS ns\nns A 192.0.2.64\nwww A 192.0.2.66\n";
/// A DS record that stands for a key of somebody else.
const SAFE: &str = "safe.example.org. 300 IN DS 12345 13 2 \
                    0102030405060708010203040506070801020304050607080102030405060708\n";

/// Signs `example.org` and `sub.example.org`; `plain.example.org` stays as it is.
pub(crate) fn sign(style: Style) -> Signed {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(folder.path().join("dsset-safe.example.org."), SAFE).expect("file can be written");
    let (child, _) = sign_zone(&folder, style, "sub.example.org", CHILD);
    let (parent, key) = sign_zone(&folder, style, "example.org", PARENT);
    let zones = [("example.org", parent), ("sub.example.org", child), ("plain.example.org", PLAIN.to_owned())];
    Signed { zones: zones.map(|(name, text)| (name.to_owned(), text)).into(), key }
}

fn sign_zone(folder: &TempDir, style: Style, zone: &str, text: &str) -> (String, String) {
    let text = format!("$ORIGIN {zone}.\n{text}");
    fs::write(folder.path().join(zone), &text).expect("file can be written");
    match style {
        Style::LdnsNsec3 => sign_by_ldns(folder.path(), zone, &text),
        _ => sign_by_bind(folder.path(), style, zone),
    }
}

fn sign_by_bind(folder: &Path, style: Style, zone: &str) -> (String, String) {
    let keygen =
        |args: &[&str]| run(folder, "dnssec-keygen", &[&["-q", "-a", "ECDSAP256SHA256"], args, &[zone]].concat());
    keygen(&[]);
    let ksk = keygen(&["-f", "KSK"]);
    let how: &[&str] = match style {
        Style::Nsec3 => &["-3", "aabbccdd", "-H", "5"],
        Style::OptOut => &["-3", "-", "-A"],
        _ => &[],
    };
    run(folder, "dnssec-signzone", &[&["-q", "-S", "-x", "-g", "-o", zone, "-f", "signed"], how, &[zone]].concat());
    (read(folder, "signed"), public_key(&read(folder, &format!("{}.key", ksk.trim()))))
}

/// ldns takes the DS records from the zone itself.
fn sign_by_ldns(folder: &Path, zone: &str, text: &str) -> (String, String) {
    let keygen = |args: &[&str]| run(folder, "ldns-keygen", &[&["-a", "ECDSAP256SHA256"], args, &[zone]].concat());
    let (zsk, ksk) = (keygen(&[]).trim().to_owned(), keygen(&["-k"]).trim().to_owned());
    let ds = run(folder, "ldns-key2ds", &["-n", "-2", &format!("{ksk}.key")]);
    fs::write(folder.join(format!("dsset-{zone}.")), ds).expect("file can be written");
    let mut text = text.to_owned();
    for below in ["safe", "sub"].iter().filter(|_| zone == "example.org") {
        text += &read(folder, &format!("dsset-{below}.example.org."));
    }
    fs::write(folder.join(zone), text).expect("file can be written");
    run(folder, "ldns-signzone", &["-n", "-s", "0123", "-o", zone, "-f", "signed", zone, &zsk, &ksk]);
    (read(folder, "signed"), public_key(&read(folder, &format!("{ksk}.key"))))
}

/// The last fields of a DNSKEY record, base 64.
fn public_key(text: &str) -> String {
    let record = text.lines().find(|line| line.contains("DNSKEY") && !line.starts_with(';')).expect("a key file");
    let fields = record.split(';').next().unwrap_or(record).split_whitespace();
    let fields: Vec<&str> = fields.skip_while(|field| *field != "DNSKEY").skip(4).collect();
    fields.concat()
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Runs a program in a folder; its standard output.
pub(crate) fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not start ({error}); run `make setup`"));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {out}{err}");
    out
}
