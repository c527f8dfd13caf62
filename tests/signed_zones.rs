//! Zones that were signed elsewhere: BIND and ldns sign them, this server serves them, and BIND's and Unbound's
//! validators believe every answer.

#[path = "signed_zones/policy.rs"]
mod policy;
#[allow(dead_code)] // it also serves tests of secondaries
#[path = "clients/program.rs"]
mod program;
#[path = "signed_zones/sections.rs"]
mod sections;
#[path = "signed_zones/signing.rs"]
mod signing;
mod support;
#[path = "signed_zones/transfers.rs"]
mod transfers;
#[path = "signed_zones/validators.rs"]
mod validators;

use signing::{Signed, Style};
use support::{Server, Setup};

/// A server with the zones, which no configuration declares.
fn serve(signed: &Signed) -> Server {
    let zones = signed.zones.iter();
    zones.fold(Setup::bare(), |setup, (name, text)| setup.zone_file(name, text)).start()
}

/// Signs the zones in a style and serves them.
fn signed_in(style: Style) -> (Signed, Server) {
    let signed = signing::sign(style);
    let server = serve(&signed);
    (signed, server)
}
