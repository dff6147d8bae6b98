//! The order of an MP4's top-level boxes (ISO/IEC 14496-12, section 4.2).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Names of the top-level boxes, in order.
pub(crate) fn top_level(path: &Path) -> Vec<String> {
    let mut file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let (mut at, mut names) = (0, Vec::new());
    while at + 8 <= length {
        let mut header = [0_u8; 16];
        file.seek(SeekFrom::Start(at)).unwrap();
        let got = file.read(&mut header).unwrap();
        names.push(String::from_utf8_lossy(&header[4..8]).into_owned());
        let short = u32::from_be_bytes(header[..4].try_into().unwrap());
        at += match short {
            0 => break,
            1 if got == 16 => u64::from_be_bytes(header[8..].try_into().unwrap()).max(16),
            size => u64::from(size).max(8),
        };
    }
    names
}

/// Why a player that reads from the network could not start at once.
pub(crate) fn why_not_fast_start(path: &Path) -> Option<String> {
    let names = top_level(path);
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    match (place("moov"), place("mdat")) {
        (Some(moov), Some(mdat)) if moov < mdat => None,
        (Some(_), None) => None,
        _ => Some(format!("moov does not come before mdat ({})", names.join(" "))),
    }
}
