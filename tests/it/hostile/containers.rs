//! Containers that say where else their contents lie: references of MP4, playlists as AVI's subtitles, Matroska's
//! neighbours, links of tags.

use super::corpus::{Hostile, Lure};
use crate::structure::bombs::{boxed, ebml, element, ftyp, full, track_mkv, words};

/// A picture of 16x16, 24 bits a pixel.
const PICTURE: [u8; 768] = [0x55; 768];

/// A film of two pictures that says of them where they lie: by the `index`th of these references.
fn film(references: &[Vec<u8>], index: u16) -> Vec<u8> {
    let mut entry = vec![0; 6];
    entry.extend(index.to_be_bytes());
    entry.resize(24, 0);
    entry.extend([0, 16, 0, 16]);
    entry.resize(74, 0);
    entry.extend([0, 24, 0xff, 0xff]);
    let count = u32::try_from(references.len()).unwrap();
    let places = full(*b"dref", &[words(&[count]), references.concat()].concat());
    let build = |offset: u32| {
        let table = [
            full(*b"stsd", &[words(&[1]), boxed(*b"raw ", &entry)].concat()),
            full(*b"stts", &words(&[1, 2, 500])),
            full(*b"stsc", &words(&[1, 1, 2, 1])),
            full(*b"stsz", &words(&[768, 2])),
            full(*b"stco", &words(&[1, offset])),
        ];
        let handler = full(*b"hdlr", &[&[0; 4][..], b"vide", &[0; 13]].concat());
        let inner = [
            full(*b"mdhd", &words(&[0, 0, 1_000, 1_000, 0])),
            handler,
            boxed(
                *b"minf",
                &[boxed(*b"dinf", &places), boxed(*b"stbl", &table.concat())].concat(),
            ),
        ];
        let mut head = words(&[0, 0, 1, 0, 1_000]);
        head.resize(80, 0);
        let track = boxed(
            *b"trak",
            &[full(*b"tkhd", &head), boxed(*b"mdia", &inner.concat())].concat(),
        );
        let mut head = words(&[0, 0, 1_000, 1_000, 0x1_0000]);
        head.resize(96, 0);
        boxed(*b"moov", &[full(*b"mvhd", &head), track].concat())
    };
    let offset = u32::try_from(ftyp().len() + build(0).len() + 8).unwrap();
    [ftyp(), build(offset), boxed(*b"mdat", &PICTURE.repeat(2))].concat()
}

/// An alias of the Macintosh, as libav reads it: so many levels up and down to a path.
fn alias(path: &str, up: u16, down: u16, flags: u32) -> Vec<u8> {
    let mut bytes = flags.to_be_bytes().to_vec();
    bytes.resize(4 + 10, 0);
    // No volume.
    bytes.resize(bytes.len() + 1 + 27 + 12, 0);
    let name = path.rsplit('/').next().unwrap().as_bytes();
    bytes.push(u8::try_from(name.len()).unwrap());
    bytes.extend(name);
    bytes.resize(4 + 10 + 40 + 64 + 16, 0);
    bytes.extend([up.to_be_bytes(), down.to_be_bytes()].concat());
    bytes.resize(bytes.len() + 16, 0);
    let mut padded = path.as_bytes().to_vec();
    padded.resize(padded.len().next_multiple_of(2), 0);
    bytes.extend(2_u16.to_be_bytes());
    bytes.extend(u16::try_from(path.len()).unwrap().to_be_bytes());
    bytes.extend(padded);
    bytes.extend([0xff, 0xff, 0, 0]);
    boxed(*b"alis", &bytes)
}

fn reference(kind: [u8; 4], flags: u32, text: &str) -> Vec<u8> {
    boxed(kind, &[&flags.to_be_bytes()[..], text.as_bytes(), &[0]].concat())
}

/// zlib without compression (RFC 1950, 1951).
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let (one, other) = bytes.iter().fold((1_u32, 0_u32), |(one, other), &byte| {
        let one = (one + u32::from(byte)) % 65_521;
        (one, (one + other) % 65_521)
    });
    [&[0x78, 0x01][..], &stored(bytes), &(other << 16 | one).to_be_bytes()].concat()
}

/// One block, stored.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = bytes
        .iter()
        .fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step));
    (!crc).to_le_bytes()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..],
        &stored(bytes),
        &crc32(bytes),
        &length,
    ]
    .concat()
}

/// A zip of one file, stored.
pub(super) fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
    let common = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &crc32(bytes),
        &length,
        &length,
        &name_length,
        &[0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04"[..], &common, name.as_bytes(), bytes].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &common, &[0; 14], name.as_bytes()].concat();
    let size = u32::try_from(central.len()).unwrap().to_le_bytes();
    let at = u32::try_from(local.len()).unwrap().to_le_bytes();
    [
        &local[..],
        &central,
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
        &size,
        &at,
        &[0, 0],
    ]
    .concat()
}

#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn mov(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let http = format!("http://127.0.0.1:{tcp}/x.mov");
    let file_url = format!("file://{file}");
    let one = |name: &str, tries, bytes| Hostile::new(name, tries, bytes);
    let by_alias = film(&[alias(file, 0, 0, 0)], 1);
    let movie = |inner: &[u8]| [ftyp(), boxed(*b"moov", &boxed(*b"rmra", &boxed(*b"rmda", inner)))].concat();
    let data = |kind: &[u8; 4], bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        full(*b"rdrf", &[&kind[..], &length, bytes].concat())
    };
    let packed = |moov: &[u8]| {
        let length = u32::try_from(moov.len()).unwrap().to_be_bytes();
        let body = [
            boxed(*b"dcom", b"zlib"),
            boxed(*b"cmvd", &[&length[..], &zlib(moov)].concat()),
        ]
        .concat();
        [ftyp(), boxed(*b"moov", &boxed(*b"cmov", &body))].concat()
    };
    let moov = by_alias[ftyp().len()..by_alias.len() - 8 - 1_536].to_vec();
    let movie_packed = boxed(
        *b"moov",
        &boxed(*b"rmra", &boxed(*b"rmda", &data(b"url ", file_url.as_bytes()))),
    );
    let own = boxed(*b"url ", &1_u32.to_be_bytes());
    let picture = boxed(
        *b"meta",
        &[
            &[0; 4][..],
            &full(*b"hdlr", &[&[0; 4][..], b"pict", &[0; 13]].concat()),
            &boxed(
                *b"dinf",
                &full(*b"dref", &[words(&[1]), reference(*b"url ", 0, &file_url)].concat()),
            ),
            &full(*b"pitm", &[0, 1]),
            &full(*b"iloc", &[0x44, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]),
        ]
        .concat(),
    );
    let heif = [boxed(*b"ftyp", b"heic\0\0\0\0mif1heic"), picture].concat();
    vec![
        one("alias.mov", "MOV, an alias with an absolute path", by_alias.clone()),
        one(
            "alias_own.mov",
            "the same, said to lie in the file itself",
            film(&[alias(file, 0, 0, 1)], 1),
        ),
        one(
            "alias_beside.mov",
            "MOV, an alias to a file beside it",
            film(&[alias("/x/beside.ts", 1, 1, 0)], 1),
        ),
        one(
            "alias_up.mov",
            "MOV, an alias by way of the folder above",
            film(&[alias("/x/canary/canary.ts", 2, 2, 0)], 1),
        ),
        one(
            "alias_down.mov",
            "MOV, an alias to a folder below",
            film(&[alias("/x/canary/canary.ts", 1, 2, 0)], 1),
        ),
        one(
            "alias_second.mov",
            "MOV, its own contents and an alias",
            film(&[own, alias(file, 0, 0, 0)], 2),
        ),
        one(
            "alias_http.mov",
            "MOV, an alias to an address",
            film(&[alias(&http, 0, 0, 0)], 1),
        ),
        one("alias.mp4", "the same alias under another name", by_alias),
        one(
            "url_file.mp4",
            "MP4, contents by file:",
            film(&[reference(*b"url ", 0, &file_url)], 1),
        ),
        one(
            "url_http.mp4",
            "MP4, contents by http:",
            film(&[reference(*b"url ", 0, &http)], 1),
        ),
        one(
            "url_own.mp4",
            "MP4, an address, said to be the file itself",
            film(&[reference(*b"url ", 1, &file_url)], 1),
        ),
        one(
            "urn.mp4",
            "MP4, contents by name",
            film(&[reference(*b"urn ", 0, &format!("x\0{file_url}"))], 1),
        ),
        one(
            "resource.mov",
            "MOV, contents in a resource fork",
            film(&[reference(*b"rsrc", 0, file)], 1),
        ),
        one("missing.mp4", "MP4, a reference that is not there", film(&[], 7)),
        one(
            "movie_url.mov",
            "a reference movie, file:",
            movie(&data(b"url ", file_url.as_bytes())),
        ),
        one(
            "movie_http.mov",
            "a reference movie, http:",
            movie(&data(b"url ", http.as_bytes())),
        ),
        one(
            "movie_alias.mov",
            "a reference movie, an alias",
            movie(&data(b"alis", &alias(file, 0, 0, 0)[12..])),
        ),
        one("packed_alias.mov", "an alias in compressed headers", packed(&moov)),
        one(
            "packed_movie.mov",
            "a reference movie in compressed headers",
            packed(&movie_packed),
        ),
        one("picture.heic", "HEIF, contents by file:", heif),
    ]
}

fn chunk(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let pad = &[0][..payload.len() % 2];
    [&kind[..], &size, payload, pad].concat()
}

fn list(kind: [u8; 4], name: [u8; 4], inner: &[u8]) -> Vec<u8> {
    chunk(kind, &[&name[..], inner].concat())
}

fn words_le(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Uncompressed pictures, and a stream of text: `index` is one more chunk of its headers.
fn avi_of(text: &[u8], index: &[u8]) -> Vec<u8> {
    let stream = |kind: [u8; 4], rate, size| {
        let mut head = kind.to_vec();
        head.extend(words_le(&[0, 0, 0, 0, 1, rate, 0, 2, size, u32::MAX, 0, 0, 0]));
        chunk(*b"strh", &head)
    };
    let pictures = words_le(&[40, 16, 16, 24 << 16 | 1, 0, 768, 0, 0, 0, 0]);
    let headers = [
        chunk(
            *b"avih",
            &words_le(&[500_000, 0, 0, 0x10, 2, 0, 2, 768, 16, 16, 0, 0, 0, 0]),
        ),
        list(
            *b"LIST",
            *b"strl",
            &[stream(*b"vids", 2, 768), chunk(*b"strf", &pictures)].concat(),
        ),
        list(
            *b"LIST",
            *b"strl",
            &[stream(*b"txts", 2, 0), chunk(*b"strf", &[]), index.to_vec()].concat(),
        ),
    ];
    let movie = [
        chunk(*b"01tx", text),
        chunk(*b"00db", &PICTURE),
        chunk(*b"00db", &PICTURE),
        chunk(*b"01tx", text),
    ];
    let body = [
        list(*b"LIST", *b"hdrl", &headers.concat()),
        list(*b"LIST", *b"movi", &movie.concat()),
    ];
    list(*b"RIFF", *b"AVI ", &body.concat())
}

pub(super) fn avi(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let gab2 = |text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        [&b"GAB2\0\x02\0\x02\0\0\0\0\0\x04\0"[..], &length, text.as_bytes()].concat()
    };
    let playlist = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\nfile://{file}\n#EXT-X-ENDLIST\n");
    let remote = playlist.replace(&format!("file://{file}"), &format!("http://127.0.0.1:{tcp}/x.ts"));
    let subtitle = format!("1\n00:00:00,000 --> 00:00:01,000\n<img src=\"file://{file}\">\n\n");
    let one = |name: &str, tries, text: &str| Hostile::new(name, tries, avi_of(&gab2(text), &[]));
    let index = chunk(
        *b"indx",
        &[
            &[4, 0, 0, 0, 1, 0, 0, 0][..],
            b"01tx",
            &[0; 12],
            &u64::MAX.to_le_bytes(),
            &[0; 8],
        ]
        .concat(),
    );
    let extended = list(*b"LIST", *b"odml", &chunk(*b"dmlh", &u32::MAX.to_le_bytes()));
    vec![
        one("subtitle_hls.avi", "AVI, a playlist as a subtitle (2017)", &playlist),
        one("subtitle_http.avi", "the same by http:", &remote),
        one(
            "subtitle_concat.avi",
            "AVI, concat as a subtitle",
            &format!("ffconcat version 1.0\nfile '{file}'\nfile beside.ts\n"),
        ),
        one(
            "subtitle_sdp.avi",
            "AVI, a session as a subtitle",
            &format!("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video {tcp} RTP/AVP 96\n"),
        ),
        one("subtitle_srt.avi", "AVI, a subtitle with a picture by file:", &subtitle),
        Hostile::new(
            "index.avi",
            "AVI, an index that lies beyond the file",
            avi_of(&gab2(&playlist), &index),
        ),
        Hostile::new(
            "extended.avi",
            "AVI, an extended header that claims another part",
            avi_of(&gab2(&playlist), &extended),
        ),
    ]
}

/// Pictures of Matroska, with more in its header of the film and behind it.
fn mkv(info: &[u8], more: &[u8], codec: &[u8]) -> Vec<u8> {
    let picture = |time: u16| element(0xa3, &[&[0x81][..], &time.to_be_bytes(), &[0x80], &[128; 512]].concat());
    let cluster = [element(0xe7, &[0]), picture(0), picture(500)].concat();
    let info = [element(0x2a_d7b1, &1_000_000_u32.to_be_bytes()), info.to_vec()].concat();
    let mut track = track_mkv(b"V_UNCOMPRESSED", 16, 16);
    if !codec.is_empty() {
        // Without its head: one byte of name, eight of size.
        track = element(0xae, &[&track[9..], codec].concat());
    }
    let segment = [
        element(0x1549_a966, &info),
        element(0x1654_ae6b, &track),
        more.to_vec(),
        element(0x1f43_b675, &cluster),
    ];
    [ebml(), element(0x1853_8067, &segment.concat())].concat()
}

#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn matroska(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let http = format!("http://127.0.0.1:{tcp}/x");
    let one = |name: &str, tries, bytes| Hostile::new(name, tries, bytes);
    let attached = |name: &str, kind: &str, content: &[u8]| {
        let file = [
            element(0x466e, name.as_bytes()),
            element(0x4660, kind.as_bytes()),
            element(0x465c, content),
            element(0x46ae, &[1]),
        ];
        element(0x1941_a469, &element(0x61a7, &file.concat()))
    };
    let neighbours = [
        element(0x73a4, &[1; 16]),
        element(0x7384, file.as_bytes()),
        element(0x3c_b923, &[2; 16]),
        element(0x3c_83ab, file.as_bytes()),
        element(0x3e_b923, &[3; 16]),
        element(0x3e_83bb, b"beside.mkv"),
    ]
    .concat();
    let chapter = [
        element(0x73c4, &[1]),
        element(0x91, &[0]),
        element(0x92, &[1]),
        element(0x6e67, &[2; 16]),
        element(0x6ebc, &[1]),
    ]
    .concat();
    let edition = [element(0x45bd, &[0]), element(0x45dd, &[1]), element(0xb6, &chapter)].concat();
    let chapters = element(0x1043_a770, &element(0x45b9, &edition));
    let tag = [element(0x45a3, b"URL"), element(0x4487, http.as_bytes())].concat();
    let tags = element(
        0x1254_c367,
        &element(0x7373, &[element(0x63c0, &[]), element(0x67c8, &tag)].concat()),
    );
    let codec = [element(0x3b_4040, http.as_bytes()), element(0x26_b240, http.as_bytes())].concat();
    let playlist = format!("#EXTM3U\n#EXTINF:9,\nfile://{file}\n");
    vec![
        one(
            "attached_font.mkv",
            "Matroska, a font that is a playlist",
            mkv(
                &[],
                &attached("font.ttf", "application/x-truetype-font", playlist.as_bytes()),
                &[],
            ),
        ),
        one(
            "attached_path.mkv",
            "Matroska, an attachment with an absolute path",
            mkv(&[], &attached(file, "image/png", playlist.as_bytes()), &[]),
        ),
        one(
            "attached_list.mkv",
            "Matroska, a playlist attached",
            mkv(
                &[],
                &attached("list.m3u8", "application/x-mpegurl", playlist.as_bytes()),
                &[],
            ),
        ),
        one(
            "neighbours.mkv",
            "Matroska, the parts before and after it",
            mkv(&neighbours, &[], &[]),
        ),
        one(
            "chapters.mkv",
            "Matroska, a chapter in another film",
            mkv(&neighbours, &chapters, &[]),
        ),
        one("tags.mkv", "Matroska, an address in a tag", mkv(&[], &tags, &[])),
        one(
            "codec.mkv",
            "Matroska, where to load its decoder from",
            mkv(&[], &[], &codec),
        ),
    ]
}
