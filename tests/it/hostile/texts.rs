//! Other texts: lists of players, subtitles, screens of terminals, drawings, and all that in a packing.

use super::containers::{gzip, zip};
use super::corpus::{Hostile, Lure, lines, picture};

/// Lists of players that libav does not know, or should not.
#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn lists(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let http = format!("http://127.0.0.1:{tcp}/x");
    let one = |name: &str, tries, text: String| Hostile::new(name, tries, text);
    vec![
        one("list.m3u", "a list without HLS's marks", lines(&[file, &http])),
        one(
            "list_extended.m3u",
            "a list with titles",
            lines(&["#EXTM3U", "#EXTINF:1,x", file, &http]),
        ),
        one(
            "list.pls",
            "a list of Winamp's",
            lines(&[
                "[playlist]",
                &format!("File1={file}"),
                &format!("File2={http}"),
                "NumberOfEntries=2",
                "Version=2",
            ]),
        ),
        one(
            "list.asx",
            "a list of Windows Media's",
            format!("<ASX version=\"3\"><ENTRY><REF HREF=\"{http}\"/><REF HREF=\"file://{file}\"/></ENTRY></ASX>"),
        ),
        one(
            "list.smil",
            "SMIL",
            format!("<smil><body><seq><video src=\"file://{file}\"/><video src=\"{http}\"/></seq></body></smil>"),
        ),
        one(
            "list.xspf",
            "XSPF",
            format!(
                "<?xml version=\"1.0\"?><playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><trackList><track><location>file://{file}</location></track></trackList></playlist>"
            ),
        ),
        one(
            "list.ram",
            "a list of RealPlayer's",
            lines(&[&format!("file://{file}"), &http]),
        ),
        one(
            "list.qtl",
            "a link of QuickTime's",
            format!(
                "<?xml version=\"1.0\"?><?quicktime type=\"application/x-quicktime-media-link\"?><embed src=\"{http}\" autoplay=\"true\"/>"
            ),
        ),
        one(
            "list.cue",
            "a list of tracks of a disc",
            lines(&[
                &format!("FILE \"{file}\" WAVE"),
                "  TRACK 01 AUDIO",
                "    INDEX 01 00:00:00",
            ]),
        ),
        one(
            "list.edl",
            "an edit list of mpv's",
            lines(&["# mpv EDL v0", file, &http]),
        ),
        one(
            "list.mlt",
            "a project of MLT's",
            format!("<mlt><producer id=\"a\"><property name=\"resource\">{file}</property></producer></mlt>"),
        ),
        one(
            "list.ism",
            "Smooth Streaming",
            format!(
                "<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"0\" Duration=\"1\"><StreamIndex Type=\"video\" Url=\"{http}\"/></SmoothStreamingMedia>"
            ),
        ),
        one(
            "metadata.txt",
            "ffmpeg's metadata",
            lines(&[
                ";FFMETADATA1",
                &format!("title={file}"),
                "[STREAM]",
                "[CHAPTER]",
                "TIMEBASE=1/1",
                "START=0",
                "END=9",
            ]),
        ),
        one(
            "filter.txt",
            "a filter that reads a file",
            lines(&[&format!("movie='{file}'[out0]")]),
        ),
        one(
            "filter.lavfi",
            "a filter that reads an address",
            lines(&[&format!("movie={http}[out0];amovie={file}[out1]")]),
        ),
        one(
            "script.avs",
            "a script of AviSynth's",
            lines(&[&format!("AviSource(\"{file}\")")]),
        ),
        one(
            "script.vpy",
            "a script of VapourSynth's",
            lines(&[
                "import vapoursynth as vs",
                &format!("vs.core.ffms2.Source('{file}').set_output()"),
            ]),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn subtitles(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let said = format!("<img src=\"file://{file}\">http://127.0.0.1:{tcp}/x");
    let one = |name: &str, tries, text: String| Hostile::new(name, tries, text);
    let idx = lines(&[
        "# VobSub index file, v7 (do not modify this line!)",
        "size: 720x576",
        "palette: 000000, 000000, 000000, 000000",
        "id: en, index: 0",
        "timestamp: 00:00:01:000, filepos: 000000000",
        "timestamp: 00:00:02:000, filepos: 000000800",
    ]);
    let ass = lines(&[
        "[Script Info]",
        "ScriptType: v4.00+",
        "[Aegisub Project Garbage]",
        &format!("Video File: {file}"),
        &format!("Audio File: {file}"),
        "[Events]",
        "Format: Layer, Start, End, Style, Text",
        &format!("Dialogue: 0,0:00:00.00,0:00:01.00,Default,{said}"),
    ]);
    vec![
        one(
            "subtitle.srt",
            "SubRip",
            lines(&["1", "00:00:00,000 --> 00:00:01,000", &said, ""]),
        ),
        one("subtitle.ass", "ASS, the film that it belongs to", ass),
        one(
            "subtitle.vtt",
            "WebVTT",
            lines(&[
                "WEBVTT",
                "",
                &format!("STYLE\n::cue {{ background: url(file://{file}) }}"),
                "",
                "00:00.000 --> 00:01.000",
                &said,
            ]),
        ),
        one(
            "subtitle.sub",
            "SubViewer",
            lines(&[
                "[INFORMATION]",
                "[TITLE]",
                &said,
                "[END INFORMATION]",
                "00:00:00.00,00:00:01.00",
                &said,
            ]),
        ),
        one(
            "subtitle.smi",
            "SAMI",
            format!(
                "<SAMI><HEAD><STYLE>@import url(file://{file});</STYLE></HEAD><BODY><SYNC Start=0><P>{said}</BODY></SAMI>"
            ),
        ),
        one(
            "subtitle_micro.sub",
            "MicroDVD",
            lines(&["{0}{25}x", &format!("{{25}}{{50}}{said}"), "{50}{75}x", "{75}{90}x"]),
        ),
        one(
            "subtitle.mpl",
            "MPL2",
            lines(&["[0][10]x", &format!("[10][20]{said}"), "[20][30]x"]),
        ),
        one(
            "subtitle.lrc",
            "LRC",
            lines(&[&format!("[by:{file}]"), "[00:00.00]x", &format!("[00:01.00]{said}")]),
        ),
        one(
            "subtitle.rt",
            "RealText",
            format!("<window duration=\"9\"><time begin=\"0\"/><a href=\"{said}\">x</a></window>"),
        ),
        one(
            "subtitle.scc",
            "captions of Scenarist's",
            lines(&["Scenarist_SCC V1.0", "", "00:00:00:00\t9420 9420"]),
        ),
        one(
            "subtitle.stl",
            "Spruce",
            lines(&[
                "$FontName = Arial",
                &format!("//{file}"),
                "00:00:00:00 , 00:00:01:00 , x",
            ]),
        ),
        Hostile::new("vobsub.idx", "VobSub, pictures in a file beside it", idx.clone())
            .with("vobsub.sub", vec![0; 4_096]),
        Hostile::new("vobsub_film.mp4", "the same under the name of a film", idx)
            .with("vobsub_film.sub", vec![0; 4_096]),
    ]
}

/// Text that becomes pictures, and drawings that name others.
pub(super) fn screens(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let said = format!("file://{file} http://127.0.0.1:{tcp}/x ").repeat(50);
    let one = |name: &str, tries, bytes: Vec<u8>| Hostile::new(name, tries, bytes);
    let xbin = [&b"XBIN\x1a\x50\0\x19\0\x10\0"[..], said.as_bytes()].concat();
    let sauce = [said.as_bytes(), b"\x1aSAUCE00", &[b' '; 83], &[1, 1], &[0; 32]].concat();
    let svg = format!(
        "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"64\" height=\"48\">\
         <image width=\"64\" height=\"48\" xlink:href=\"file://{file}\"/><image width=\"9\" height=\"9\" xlink:href=\"http://127.0.0.1:{tcp}/x\"/></svg>"
    );
    let svg_entity = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY x SYSTEM \"file://{file}\">]><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"48\"><text>&x;</text></svg>"
    );
    let post_script = lines(&[
        "%!PS-Adobe-3.0 EPSF-3.0",
        "%%BoundingBox: 0 0 64 48",
        &format!("({file}) (r) file"),
        "showpage",
    ]);
    let pdf = lines(&[
        "%PDF-1.4",
        "1 0 obj",
        &format!("<< /Type /XObject /F ({file}) /A << /S /URI /URI (http://127.0.0.1:{tcp}/x) >> >>"),
        "endobj",
        "trailer << /Root 1 0 R >>",
        "%%EOF",
    ]);
    let mvg = lines(&[
        "push graphic-context",
        "viewbox 0 0 64 48",
        &format!("image over 0,0 64,48 '{file}'"),
        &format!("fill 'url(http://127.0.0.1:{tcp}/x)'"),
        "pop graphic-context",
    ]);
    let jpeg = {
        let xmp = format!("http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><ref>file://{file}</ref></x:xmpmeta>");
        let length = u16::try_from(xmp.len() + 2).unwrap().to_be_bytes();
        [&[0xff, 0xd8, 0xff, 0xe1][..], &length, xmp.as_bytes(), &[0xff, 0xd9]].concat()
    };
    vec![
        one("screen.xb", "XBIN", xbin.clone()),
        one("screen.mp4", "the same under the name of a film", xbin),
        one(
            "screen.ans",
            "a screen of a terminal",
            [b"\x1b[2J\x1b[1;1H".as_slice(), said.as_bytes()].concat(),
        ),
        one("screen.nfo", "a text for a terminal", said.clone().into_bytes()),
        one("screen.bin", "a screen with SAUCE", sauce),
        one(
            "screen.idf",
            "a screen of iCE Draw's",
            [&b"\x041.4\0\0\0\0\x4f\0\x18\0"[..], said.as_bytes(), &[0; 4_144]].concat(),
        ),
        one("drawing.svg", "SVG, a picture by file: and by http:", svg.into_bytes()),
        one("drawing_entity.svg", "SVG, an entity by file:", svg_entity.into_bytes()),
        one("drawing.eps", "PostScript that opens a file", post_script.into_bytes()),
        one("drawing.pdf", "PDF, contents in another file", pdf.into_bytes()),
        one("drawing.mvg", "a drawing of ImageMagick's", mvg.into_bytes()),
        one("drawing.jpg", "JPEG, a reference in its metadata", jpeg),
        one("drawing.png", "a picture as a film", picture()),
    ]
}

pub(super) fn packed(lure: &Lure) -> Vec<Hostile> {
    let list = lines(&[
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:9",
        "#EXTINF:9,",
        &format!("file://{}", lure.file),
        "#EXT-X-ENDLIST",
    ]);
    let climbing = zip("../canary/canary.ts", list.as_bytes());
    vec![
        Hostile::new("packed.m3u8.gz", "a playlist, gzipped", gzip(list.as_bytes())),
        Hostile::new("packed.m3u8", "the same without saying so", gzip(list.as_bytes())),
        Hostile::new("packed.zip", "a playlist in a zip", zip("list.m3u8", list.as_bytes())),
        Hostile::new("packed.mp4", "a zip whose file lies above it", climbing),
        Hostile::new(
            "packed_bom.m3u8",
            "a playlist behind a mark of byte order",
            format!("\u{feff}{list}"),
        ),
        Hostile::new(
            "packed_cr.m3u8",
            "a playlist with the line ends of another system",
            list.replace('\n', "\r\n"),
        ),
        Hostile::new(
            "packed_late.ts",
            "a playlist behind the start of a film",
            [super::corpus::film(), list.into_bytes()].concat(),
        ),
    ]
}
