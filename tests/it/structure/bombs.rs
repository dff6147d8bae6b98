//! Hostile files, made byte by byte: small, and out of all proportion in what they claim.

/// A file, what it is refused for, and whether only a conversion finds out.
pub(super) struct Bomb {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// In the words of the refusal.
    pub(super) why: &'static str,
    /// Refused by what its headers claim; else by what libav or the conversion met.
    pub(super) by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Structure,
    Probe,
    Conversion,
}

pub(super) fn all() -> Vec<Bomb> {
    let bomb = |name, why, bytes| Bomb {
        name,
        bytes,
        why,
        by: By::Structure,
    };
    let mut all = mp4_indexes(&bomb);
    all.extend(mp4_shapes(&bomb));
    all.extend(matroskas(&bomb));
    let late = |name, why, by, bytes| Bomb { name, bytes, why, by };
    all.push(late("gap.mov", "duration is", By::Probe, gap_mov(36_000)));
    all.push(late("gap.mkv", "duration is", By::Probe, film_mkv(&[0, 36_000_000])));
    let thousand_fps: Vec<u64> = (0..60_000).collect();
    all.push(late(
        "fps.mkv",
        "frames or more for its length",
        By::Conversion,
        film_mkv(&thousand_fps),
    ));
    all.push(late(
        "pixels_inside.mkv",
        "0 % could be decoded",
        By::Conversion,
        mkv_of(&track_mkv(b"V_MJPEG", 16, 16), &[0, 40, 80, 120], &jpeg(16_000, 16_000)),
    ));
    all
}

type Make<'a> = &'a dyn Fn(&'static str, &'static str, Vec<u8>) -> Bomb;

fn mp4(traks: &[u8]) -> Vec<u8> {
    [ftyp(), moov(traks)].concat()
}

fn pictures(samples: u32) -> Track {
    Track {
        samples,
        ..Track::default()
    }
}

/// Indexes that cost memory.
fn mp4_indexes(bomb: Make<'_>) -> Vec<Bomb> {
    let index = pictures(67_000_000).bytes();
    let mut sound = Track {
        handler: *b"soun",
        samples: u32::MAX,
        times: vec![(u32::MAX, 1)],
        ..Track::default()
    };
    let by_chunk = sound.bytes();
    sound.extra = full(*b"ctts", &words(&[1, u32::MAX, 0]));
    sound.chunks = vec![(1, 1)];
    let by_sample = sound.bytes();
    let edited = Track {
        samples: 90_000,
        edits: 2_000,
        ..Track::default()
    };
    let table = Track {
        extra: full(*b"stss", &words(&[1 << 30])),
        ..Track::default()
    };
    let run = boxed(*b"traf", &full(*b"trun", &words(&[1 << 31])));
    let claimed = "67000000 samples in a file of";
    vec![
        bomb("index.mp4", claimed, mp4(&index)),
        bomb("index_in_udta.mp4", claimed, mp4(&boxed(*b"udta", &index))),
        bomb(
            "index_in_an_unknown_family.mp4",
            claimed,
            [boxed(*b"abcd", &[]), boxed(*b"moov", &index)].concat(),
        ),
        bomb(
            "index_in_sixteen.mp4",
            "5000000 samples in a file of",
            mp4(&pictures(5_000_000).bytes().repeat(16)),
        ),
        bomb("chunks.mp4", "4194304 samples in a file of", mp4(&by_chunk)),
        bomb("offsets.mp4", "4294967295 samples in a file of", mp4(&by_sample)),
        bomb(
            "table.mp4",
            "1073741824 key frames in a table of 0 bytes",
            mp4(&table.bytes()),
        ),
        bomb("edits.mp4", "2000 edits of 90000 samples", mp4(&edited.bytes())),
        bomb(
            "fragments.mp4",
            "2147483648 samples of fragments",
            [ftyp(), moov(&pictures(0).bytes()), boxed(*b"moof", &run)].concat(),
        ),
    ]
}

fn mp4_shapes(bomb: Make<'_>) -> Vec<Bomb> {
    let sized = |width, height| Track {
        width,
        height,
        ..Track::default()
    };
    let fast = Track {
        samples: 600_000,
        sample_bytes: 12,
        times: vec![(600_000, 1)],
        ..sized(2, 2)
    };
    let media = boxed(*b"mdat", &vec![0; 7_200_000]);
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = boxed(*b"moov", &nested);
    }
    vec![
        bomb(
            "pixels.mp4",
            "picture is 16000x16000",
            mp4(&sized(16_000, 16_000).bytes()),
        ),
        bomb(
            "pixels_65535.mp4",
            "picture is 65535x65535",
            mp4(&sized(65_535, 65_535).bytes()),
        ),
        bomb(
            "fps.mov",
            "600000 frames or more for its length",
            [mp4(&fast.bytes()), media].concat(),
        ),
        bomb(
            "streams.mp4",
            "more than 16 streams",
            mp4(&pictures(1).bytes().repeat(300)),
        ),
        bomb("nested.mp4", "boxes nested deeper than 16", [ftyp(), nested].concat()),
        bomb(
            "boxes.mp4",
            "more than 600000 boxes",
            [ftyp(), boxed(*b"free", &[]).repeat(2_000_000)].concat(),
        ),
    ]
}

fn matroskas(bomb: Make<'_>) -> Vec<Bomb> {
    let film = |children: &[u8]| [ebml(), element(0x1853_8067, children)].concat();
    let tracks = |entries: &[u8]| element(0x1654_ae6b, entries);
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = element(0x67c8, &nested);
    }
    let huge = [&[0x63, 0xa2, 0x01][..], &[0xff; 6], &[0xfe]].concat();
    let seek = element(0x4dbb, &element(0x53ac, &[100]));
    let mut elsewhere = element(0x114d_9b74, &seek);
    elsewhere.extend(element(0x1f43_b675, &[]));
    elsewhere.resize(100, 0xec);
    elsewhere.extend(tracks(&track_mkv(b"V_UNCOMPRESSED", 16, 16).repeat(300)));
    vec![
        bomb(
            "streams.mkv",
            "more than 16 streams",
            film(&tracks(&track_mkv(b"V_UNCOMPRESSED", 16, 16).repeat(300))),
        ),
        bomb("streams_behind.mkv", "more than 16 streams", film(&elsewhere)),
        bomb(
            "pixels.mkv",
            "picture is 16000x16000",
            film(&tracks(&track_mkv(b"V_UNCOMPRESSED", 16_000, 16_000))),
        ),
        bomb(
            "nested.mkv",
            "elements nested deeper than 16",
            film(&element(0x1254_c367, &element(0x7373, &nested))),
        ),
        bomb(
            "cues.mkv",
            "header elements in a file of",
            film(&element(0x1c53_bb6b, &[0xbb, 0x80].repeat(500_000))),
        ),
        bomb(
            "size.mkv",
            "an element of 72057594037927934 bytes",
            film(&tracks(&element(0xae, &huge))),
        ),
    ]
}

pub(crate) fn boxed(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &kind, payload].concat()
}

/// With version and flags.
pub(crate) fn full(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[0; 4][..], payload].concat())
}

pub(crate) fn ftyp() -> Vec<u8> {
    boxed(*b"ftyp", b"qt  \0\0\x02\0qt  ")
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(super) fn moov(traks: &[u8]) -> Vec<u8> {
    let mut header = words(&[0, 0, 1_000, 0, 0x1_0000]);
    header.resize(96, 0);
    boxed(*b"moov", &[full(*b"mvhd", &header), traks.to_vec()].concat())
}

/// A track of MP4: uncompressed pictures, or sound of eight bits.
pub(super) struct Track {
    pub(super) handler: [u8; 4],
    pub(super) samples: u32,
    /// Of each sample.
    pub(super) sample_bytes: u32,
    pub(super) width: u16,
    pub(super) height: u16,
    /// Count and length, milliseconds.
    pub(super) times: Vec<(u32, u32)>,
    /// First chunk and samples a chunk.
    pub(super) chunks: Vec<(u32, u32)>,
    pub(super) edits: u32,
    /// Where the one chunk lies.
    pub(super) offset: u32,
    /// One more box of the sample table.
    pub(super) extra: Vec<u8>,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            handler: *b"vide",
            samples: 1,
            sample_bytes: 1,
            width: 16,
            height: 16,
            times: vec![(1, 3_600_000)],
            // The most that libav takes for valid.
            chunks: vec![(1, 0x7fff_ffff)],
            edits: 0,
            offset: 0,
            extra: Vec::new(),
        }
    }
}

impl Track {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let ms: u32 = self.times.iter().fold(0, |sum: u32, &(count, length)| {
            sum.saturating_add(count.saturating_mul(length))
        });
        let mut track_header = words(&[0, 0, 1, 0, ms]);
        track_header.resize(80, 0);
        let header = full(*b"mdhd", &words(&[0, 0, 1_000, ms, 0]));
        let handler = full(*b"hdlr", &[&[0; 4][..], &self.handler, &[0; 13]].concat());
        let entry = if &self.handler == b"vide" {
            let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
            entry.resize(24, 0);
            entry.extend([self.width.to_be_bytes(), self.height.to_be_bytes()].concat());
            entry.resize(74, 0);
            entry.extend([0, 24, 0xff, 0xff]);
            boxed(*b"raw ", &entry)
        } else {
            boxed(
                *b"raw ",
                &[
                    &[0, 0, 0, 0, 0, 0, 0, 1][..],
                    &[0; 8],
                    &[0, 1, 0, 8, 0, 0, 0, 0],
                    &[0x1f, 0x40, 0, 0],
                ]
                .concat(),
            )
        };
        let pairs = |pairs: &[(u32, u32)]| {
            pairs
                .iter()
                .flat_map(|&(one, other)| words(&[one, other]))
                .collect::<Vec<u8>>()
        };
        let counted = |kind, count: usize, entries: &[u8]| {
            full(
                kind,
                &[&u32::try_from(count).unwrap().to_be_bytes()[..], entries].concat(),
            )
        };
        let runs: Vec<u8> = self
            .chunks
            .iter()
            .flat_map(|&(first, samples)| words(&[first, samples, 1]))
            .collect();
        let table = [
            counted(*b"stsd", 1, &entry),
            counted(*b"stts", self.times.len(), &pairs(&self.times)),
            counted(*b"stsc", self.chunks.len(), &runs),
            full(*b"stsz", &words(&[self.sample_bytes, self.samples])),
            counted(*b"stco", 1, &self.offset.to_be_bytes()),
            self.extra.clone(),
        ]
        .concat();
        let edits = counted(
            *b"elst",
            self.edits as usize,
            &words(&[1, 0, 0x1_0000]).repeat(self.edits as usize),
        );
        let edits = if self.edits > 0 {
            boxed(*b"edts", &edits)
        } else {
            Vec::new()
        };
        let media = boxed(
            *b"mdia",
            &[header, handler, boxed(*b"minf", &boxed(*b"stbl", &table))].concat(),
        );
        boxed(*b"trak", &[full(*b"tkhd", &track_header), edits, media].concat())
    }
}

/// Two pictures so many seconds apart.
fn gap_mov(seconds: u32) -> Vec<u8> {
    let mut track = Track {
        samples: 2,
        sample_bytes: 768,
        times: vec![(1, seconds * 1_000), (1, 40)],
        ..Track::default()
    };
    let before = ftyp().len() + moov(&track.bytes()).len() + 8;
    track.offset = u32::try_from(before).unwrap();
    [ftyp(), moov(&track.bytes()), boxed(*b"mdat", &[0; 1_536])].concat()
}

pub(crate) fn element(id: u32, payload: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
    let size = (payload.len() as u64 | 1 << 56).to_be_bytes();
    [&id[..], &size, payload].concat()
}

pub(crate) fn ebml() -> Vec<u8> {
    element(0x1a45_dfa3, &element(0x4282, b"matroska"))
}

/// Pictures; uncompressed ones are YUY2.
pub(crate) fn track_mkv(codec: &[u8], width: u16, height: u16) -> Vec<u8> {
    let picture = [
        element(0xb0, &width.to_be_bytes()),
        element(0xba, &height.to_be_bytes()),
        element(0x2e_b524, b"YUY2"),
    ]
    .concat();
    let entry = [
        element(0xd7, &[1]),
        element(0x73c5, &[1]),
        element(0x83, &[1]),
        element(0x86, codec),
        element(0xe0, &picture),
    ];
    element(0xae, &entry.concat())
}

/// A film of grey pictures at these times, milliseconds.
fn film_mkv(times_ms: &[u64]) -> Vec<u8> {
    mkv_of(&track_mkv(b"V_UNCOMPRESSED", 16, 16), times_ms, &[128; 512])
}

/// A grey picture of JPEG whose data end early: all its blocks are alike, two bits each.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let segment = |marker: u8, payload: &[u8]| {
        let size = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker][..], &size, payload].concat()
    };
    let size = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat();
    // A table of one code, which is one bit and means 0.
    let table = |class: u8| segment(0xc4, &[&[class, 1][..], &[0; 16]].concat());
    [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &size),
        table(0),
        table(0x10),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0; 2_000],
        vec![0xff, 0xd9],
    ]
    .concat()
}

/// A film of one picture again and again at these times, milliseconds; a cluster for each second.
fn mkv_of(track: &[u8], times_ms: &[u64], picture: &[u8]) -> Vec<u8> {
    let mut clusters = Vec::new();
    for second in times_ms.chunk_by(|one, next| one / 1_000 == next / 1_000) {
        let begin = second[0];
        let mut cluster = element(0xe7, &begin.to_be_bytes());
        for time in second {
            let offset = u16::try_from(time - begin).unwrap().to_be_bytes();
            cluster.extend(element(0xa3, &[&[0x81][..], &offset, &[0x80], picture].concat()));
        }
        clusters.extend(element(0x1f43_b675, &cluster));
    }
    let info = element(0x1549_a966, &element(0x2a_d7b1, &1_000_000_u32.to_be_bytes()));
    let tracks = element(0x1654_ae6b, track);
    [ebml(), element(0x1853_8067, &[info, tracks, clusters].concat())].concat()
}
