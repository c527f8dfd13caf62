//! Algorithms of TSIG keys (RFC 8945 section 6).

/// What a TSIG key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-1: every implementation has it, and nobody should choose it any more.
    HmacSha1,
    /// HMAC with SHA-256: the usual one.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl TsigAlgorithm {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 4] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512, Self::HmacSha1];

    /// As operators write it: any case, with or without the final dot.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Its name in messages: lower-case, uncompressed.
    pub fn as_wire(self) -> &'static [u8] {
        match self {
            Self::HmacSha1 => b"\x09hmac-sha1\0",
            Self::HmacSha256 => b"\x0bhmac-sha256\0",
            Self::HmacSha384 => b"\x0bhmac-sha384\0",
            Self::HmacSha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Octets of a whole MAC.
    pub fn mac_octets(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn every_algorithm_is_known_by_its_name() {
        for algorithm in TsigAlgorithm::ALL {
            let word = algorithm.as_str();
            assert_eq!(TsigAlgorithm::parse(word), Some(algorithm));
            assert_eq!(TsigAlgorithm::parse(&format!("{}.", word.to_uppercase())), Some(algorithm));
            assert_eq!(Name::parse_absolute(word).expect("a name").as_wire(), algorithm.as_wire());
        }
        assert_eq!(TsigAlgorithm::parse("hmac-md5"), None);
    }
}
