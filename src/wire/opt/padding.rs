//! How much a response over an encrypted transport is padded, so that its length says little (RFC 8467).

/// Responses become a multiple of so many octets (RFC 8467 section 4.1).
pub(in crate::wire) const BLOCK: usize = 468;

/// Octets of padding behind `length` octets of a message that may have `limit`; it ends at the limit at the latest.
pub(super) fn octets_behind(length: usize, limit: usize) -> usize {
    length.next_multiple_of(BLOCK).min(limit).saturating_sub(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8467_4_1_responses_end_at_a_block_or_at_their_limit() {
        for (length, limit, padded) in
            [(1, 65_535, 468), (468, 65_535, 468), (469, 65_535, 936), (900, 920, 920), (920, 920, 920)]
        {
            assert_eq!(length + octets_behind(length, limit), padded, "{length} of {limit}");
        }
    }
}
