//! What is mutated: a tiny clip of each container and codec that kadr offers and ffmpeg makes, and samples of the world.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kadr::media::{Control, Limits, probe};

use crate::corpus::samples;
use crate::support::clip;

const PICTURE: &str = "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4";
const SOUND: &str = "-f lavfi -i sine=r=48000:d=0.4";

/// Name, sources, and how they are written. `P` and `S` stand for the picture and the sound.
const CLIPS: [(&str, &str); 46] = [
    ("h264.mp4", "P S -c:v libx264 -pix_fmt yuv420p -bf 2 -c:a aac"),
    (
        "fragmented.mp4",
        "P S -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +frag_keyframe+empty_moov",
    ),
    ("hevc.mov", "P S -c:v libx265 -x265-params log-level=none -c:a alac"),
    ("prores.mov", "P S -c:v prores_ks -c:a pcm_s24be"),
    ("svq1.mov", "P -c:v svq1"),
    ("qtrle.mov", "P S -c:v qtrle -c:a adpcm_ima_qt"),
    ("png.mov", "P -c:v png"),
    (
        "dnxhd.mov",
        "-f lavfi -i testsrc2=s=256x144:r=25:d=0.12 -c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p",
    ),
    (
        "h263.3gp",
        "-f lavfi -i testsrc2=s=128x96:r=25:d=0.4 S -c:v h263 -c:a aac",
    ),
    ("av1.mkv", "P S -c:v libaom-av1 -cpu-used 8 -c:a flac"),
    ("vp8.webm", "P S -c:v libvpx -b:v 100k -c:a libvorbis"),
    ("vp9.webm", "P S -c:v libvpx-vp9 -deadline realtime -c:a libopus"),
    ("alpha.webm", "P -vf format=yuva420p -c:v libvpx-vp9 -deadline realtime"),
    ("ffv1.mkv", "P S -c:v ffv1 -c:a truehd -strict -2"),
    ("huffyuv.avi", "P S -c:v huffyuv -c:a pcm_s16le"),
    ("mpeg4.avi", "P S -c:v mpeg4 -c:a mp3"),
    ("msmpeg4.avi", "P S -c:v msmpeg4v2 -c:a adpcm_ms"),
    ("cinepak.avi", "P S -c:v cinepak -c:a pcm_u8"),
    ("mjpeg.avi", "P S -c:v mjpeg -c:a adpcm_ima_wav"),
    ("rawvideo.avi", "-f lavfi -i testsrc2=s=32x24:r=25:d=0.2 -c:v rawvideo"),
    ("mpeg1.mpg", "P S -c:v mpeg1video -c:a mp2"),
    ("mpeg2.ts", "P S -c:v mpeg2video -c:a ac3"),
    ("h264.ts", "P S -c:v libx264 -pix_fmt yuv420p -c:a eac3"),
    ("mpeg2.vob", "P S -c:v mpeg2video -c:a ac3"),
    ("flv1.flv", "P S -ar 22050 -c:v flv1 -c:a nellymoser -ac 1"),
    ("h264.flv", "P S -ar 44100 -c:v libx264 -pix_fmt yuv420p -c:a aac"),
    ("wmv2.asf", "P S -c:v wmv2 -c:a wmav2"),
    ("wmv1.wmv", "P S -c:v wmv1 -c:a wmav1"),
    ("theora.ogv", "P S -c:v libtheora -c:a libspeex -ar 16000"),
    ("still.gif", "P -vf fps=10"),
    ("anim.apng", "P -c:v apng -f apng"),
    (
        "pal.dv",
        "-f lavfi -i testsrc2=s=720x576:r=25:d=0.04 -f lavfi -i sine=r=48000:d=0.04 -pix_fmt yuv420p -ac 2",
    ),
    ("tone.mp3", "S -c:a mp3"),
    ("tone.aac", "S -c:a aac"),
    ("tone.wav", "S"),
    ("tone.flac", "S"),
    ("tone.ac3", "S"),
    ("tone.eac3", "S"),
    ("tone.dts", "S -c:a dca -strict -2 -ac 2"),
    ("tone.aiff", "S"),
    ("tone.caf", "S -c:a alac"),
    ("raw.ivf", "P -c:v libvpx"),
    ("raw.h264", "P -c:v libx264 -pix_fmt yuv420p"),
    ("raw.hevc", "P -c:v libx265 -x265-params log-level=none"),
    ("raw.m2v", "P -c:v mpeg2video"),
    ("opus.ogg", "S -c:a libopus"),
];

/// Of a sample no more is taken: what is broken in a film is broken in its first seconds.
const HEAD_BYTES: u64 = 1 << 20;

/// A file to mutate.
pub(super) struct Seed {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn clips() -> Vec<Seed> {
    let made = CLIPS.map(|(name, args)| {
        let words: Vec<&str> = args
            .split_whitespace()
            .map(|word| match word {
                "P" => PICTURE,
                "S" => SOUND,
                word => word,
            })
            .collect();
        Seed {
            name: name.to_owned(),
            bytes: std::fs::read(clip(&format!("seed_{name}"), &words.join(" "))).unwrap(),
        }
    });
    made.into()
}

/// The heads of the samples that still open without their rest. None where there are no samples.
pub(super) fn heads() -> Vec<Seed> {
    let root = samples();
    let manifest = std::fs::read_to_string(root.join("MANIFEST.tsv")).unwrap_or_default();
    let names = manifest.lines().skip(1).filter_map(|row| row.split('\t').next());
    names.filter_map(|name| head(&root, name)).collect()
}

fn head(root: &Path, name: &str) -> Option<Seed> {
    let mut bytes = Vec::new();
    let file = File::open(root.join(name)).ok()?;
    file.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    let whole = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(whole.path(), &bytes).unwrap();
    probe(whole.path(), &Limits::default(), &Control::new(None)).ok()?;
    Some(Seed {
        name: name.to_owned(),
        bytes,
    })
}
