//! Labels and addresses that are not let into DNS.

use ipnet::IpNet;

/// What the configuration says about labels, sites and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Prefixes that are allowed although they would be refused by default.
    pub allow_addresses: Vec<IpNet>,
    /// Reserved labels that are allowed although they would be refused by default.
    pub allow_labels: Vec<String>,
    /// The closed list of sites; empty: any.
    pub sites: Vec<String>,
}
