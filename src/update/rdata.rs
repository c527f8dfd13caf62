//! RDATA out of a message: names are written out, and what does not fit the type is malformed.

use crate::model::name::{MAX_LABEL, MAX_NAME};
use crate::model::{Rtype, WrittenData};
use crate::zone::{canonical, check_rdata, print};

/// Reads the name at `at`: uncompressed, with its case, and the offset behind it. Pointers lead only backwards, each to
/// before the one it follows, so the walk ends.
pub(super) fn read_name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut bound, mut end) = (start, start, None);
    let mut wire = Vec::new();
    loop {
        let label = *message.get(at)?;
        match label {
            0xC0.. => {
                let target = usize::from(u16::from_be_bytes([label & 0x3F, *message.get(at + 1)?]));
                end = end.or(Some(at + 2));
                (at, bound) = (Some(target).filter(|target| *target < bound)?, target);
            }
            label if usize::from(label) <= MAX_LABEL => {
                let next = at + 1 + usize::from(label);
                wire.extend_from_slice(message.get(at..next)?);
                if wire.len() > MAX_NAME {
                    return None;
                }
                if label == 0 {
                    return Some((wire, end.unwrap_or(next)));
                }
                at = next;
            }
            _ => return None,
        }
    }
}

/// Reads the data of a record, which stand at `start..end` of the message; `None` if they are malformed.
pub(super) fn read(rtype: Rtype, message: &[u8], start: usize, end: usize) -> Option<WrittenData> {
    let data = expand(rtype, message, start, end)?;
    if data.len() > usize::from(u16::MAX) || !check_rdata(rtype, &data) {
        return None;
    }
    let folded = canonical(rtype, &data);
    let text = print::rdata(rtype, &data).into();
    let folded = (folded != data).then(|| folded.into());
    Some(WrittenData { data: data.into(), folded, text })
}

/// The octets of the data with its names written out. Only types that are as old as RFC 1035 may be compressed, and
/// a few more that were taken for it (RFC 3597 section 4).
fn expand(rtype: Rtype, message: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
    let whole = message.get(start..end)?;
    let (before, names) = match rtype.0 {
        2..=5 | 7..=9 | 12 => (0, 1),
        6 | 14 | 17 => (0, 2),
        15 | 18 | 21 | 36 => (2, 1),
        26 => (2, 2),
        33 => (6, 1),
        35 => (strings_end(whole, 4, 3)?, 1),
        _ => return Some(whole.to_vec()),
    };
    let mut data = whole.get(..before)?.to_vec();
    let mut at = start + before;
    for _ in 0..names {
        let (name, behind) = read_name(message, at)?;
        data.extend_from_slice(&name);
        at = behind;
    }
    let rest = message.get(at..end)?; // nothing if a name has run over the end
    data.extend_from_slice(rest);
    Some(data)
}

/// The offset behind so many character strings from `at` on.
fn strings_end(octets: &[u8], mut at: usize, count: usize) -> Option<usize> {
    for _ in 0..count {
        at += 1 + usize::from(*octets.get(at)?);
    }
    (at <= octets.len()).then_some(at)
}
