//! Sound, streams and discs whose tags are links.

use super::corpus::{Hostile, Lure, lines};

/// Silence of MPEG-1 layer III, 128 kbit/s.
fn silence() -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
    frame.resize(417, 0);
    frame.repeat(20)
}

/// A frame of ID3 2.3.
fn frame(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&kind[..], &size, &[0, 0], payload].concat()
}

fn id3(frames: &[u8]) -> Vec<u8> {
    let size = u32::try_from(frames.len()).unwrap();
    let size = [21, 14, 7, 0].map(|shift| u8::try_from(size >> shift & 127).unwrap());
    [&b"ID3\x03\0\0"[..], &size, frames, &silence()].concat()
}

/// A page of Ogg that begins a stream (RFC 3533).
fn page(serial: u32, packet: &[u8]) -> Vec<u8> {
    let mut segments = vec![255; packet.len() / 255];
    segments.push(u8::try_from(packet.len() % 255).unwrap());
    let mut page = b"OggS\0\x02".to_vec();
    page.extend([0; 8]);
    page.extend(serial.to_le_bytes());
    page.extend([0; 8]);
    page.push(u8::try_from(segments.len()).unwrap());
    page.extend(segments);
    page.extend(packet);
    let crc = page.iter().fold(0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            }
        })
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

/// An object of ASF.
fn object(id: u128, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u64 + 24).to_le_bytes();
    [&id.to_be_bytes()[..], &size, payload].concat()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn asf(url: &str) -> Vec<u8> {
    let short = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    let script = [
        &[0; 16][..],
        &[1, 0, 1, 0, 3, 0],
        &wide("URL"),
        &[0; 6],
        &short(url.len()),
        &wide(url),
    ];
    let licence = [
        &[4, 0, 0, 0][..],
        &[0; 4],
        &[3, 0, 0, 0],
        b"DRM",
        &[1, 0, 0, 0, b'k'],
        &short(url.len()),
        &[0, 0],
        url.as_bytes(),
    ];
    let objects = [
        object(0x301a_fb1e_620b_d011_a39b_00a0_c903_48f6, &script.concat()),
        object(0xfbb3_1122_23bd_d211_b4b7_00a0_c955_fc6e, &licence.concat()),
    ]
    .concat();
    object(
        0x3026_b275_8e66_cf11_a6d9_00aa_0062_ce6c,
        &[&[2, 0, 0, 0, 1, 2][..], &objects].concat(),
    )
}

/// FLV whose first script moves the player elsewhere.
fn flv(url: &str) -> Vec<u8> {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let script = [
        &[2][..],
        &text("onMetaData"),
        &[8, 0, 0, 0, 1],
        &text("redirect"),
        &[2],
        &text(url),
        &[0, 0, 9],
    ]
    .concat();
    let size = u32::try_from(script.len()).unwrap();
    [
        &b"FLV\x01\x01\0\0\0\x09\0\0\0\0\x12"[..],
        &size.to_be_bytes()[1..],
        &[0; 7],
        &script,
        &(size + 11).to_be_bytes(),
    ]
    .concat()
}

#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn all(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let http = format!("http://127.0.0.1:{tcp}/x");
    let file_url = format!("file://{file}");
    let linked = [&[0][..], b"-->\0\x03\0", http.as_bytes()].concat();
    let chapter = [
        &b"c\0"[..],
        &[0; 16],
        &frame(*b"WXXX", &[&[0, 0][..], http.as_bytes()].concat()),
        &frame(*b"APIC", &linked),
    ]
    .concat();
    let picture = {
        let mime = b"-->";
        let length = u32::try_from(file_url.len()).unwrap().to_be_bytes();
        [
            &[0, 0, 0, 3, 0, 0, 0, 3][..],
            mime,
            &[0; 20],
            &length,
            file_url.as_bytes(),
        ]
        .concat()
    };
    let picture_size = u32::try_from(picture.len()).unwrap().to_be_bytes();
    let stream_info = [
        &[0, 0, 0, 34, 16, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0][..],
        &[0; 20],
    ]
    .concat();
    let flac = [&b"fLaC"[..], &stream_info, &[0x86], &picture_size[1..], &picture].concat();
    let mut head = b"fishead\0\x03\0\0\0".to_vec();
    head.resize(64, 0);
    let bone = [
        &b"fisbone\0\x2c\0\0\0"[..],
        &[0; 40],
        format!("Content-Type: video/theora\r\nContent-Location: {file_url}\r\n").as_bytes(),
    ]
    .concat();
    let one = |name: &str, tries, bytes| Hostile::new(name, tries, bytes);
    let real = [
        &b".RMF\0\0\0\x12\0\0\0\0\0\0\0\0\0\x01CONT"[..],
        format!("\0\0\0\x40\0\0rtsp://127.0.0.1:{tcp}/x").as_bytes(),
    ]
    .concat();
    let disc = [&b"DVDVIDEO-VMG"[..], &[0; 2_036], file.as_bytes()].concat();
    vec![
        one(
            "picture.mp3",
            "ID3, a picture that is a link",
            id3(&frame(*b"APIC", &linked)),
        ),
        one(
            "chapter.mp3",
            "ID3, a chapter with links",
            id3(&frame(*b"CHAP", &chapter)),
        ),
        one(
            "linked.mp3",
            "ID3, frames that lie elsewhere",
            id3(&frame(*b"LINK", &[&b"APIC"[..], file_url.as_bytes(), &[0]].concat())),
        ),
        one("picture.flac", "FLAC, a picture that is a link", flac),
        one(
            "skeleton.ogg",
            "Ogg, a skeleton that says where its streams lie",
            [page(1, &head), page(1, &bone)].concat(),
        ),
        one("script.asf", "ASF, a command that opens an address", asf(&http)),
        one("script.flv", "FLV, a script that moves the player", flv(&http)),
        one("real.rm", "RealMedia, an address in its headers", real),
        one("disc.ifo", "a disc's list of titles", disc),
        one(
            "disc.bdmv",
            "a disc's list of films",
            [&b"INDX0200"[..], &[0; 64], file.as_bytes()].concat(),
        ),
        one(
            "flash.swf",
            "Flash that loads another",
            [
                &b"FWS\x06\x40\0\0\0"[..],
                &[0x78, 0, 5, 0x5f, 0, 0, 0x0a, 0xf0, 0, 0x0c, 1, 0],
                b"\x3f\x03\x40\0\0\0\x83",
                file_url.as_bytes(),
                &[0; 16],
            ]
            .concat(),
        ),
        one(
            "torrent.torrent",
            "a torrent that names a tracker",
            lines(&[&format!(
                "d8:announce{}:{http}4:infod6:lengthi1e4:name1:xee",
                http.len()
            )])
            .into_bytes(),
        ),
    ]
}
