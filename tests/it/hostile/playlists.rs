//! Texts that list what else to open: HLS, DASH, concat, and descriptions of sessions.

use super::corpus::{Hostile, LINK, Lure, film, lines};

/// A playlist of one segment.
fn playlist(before: &str, uri: &str) -> String {
    lines(&[
        "#EXTM3U",
        "#EXT-X-VERSION:5",
        "#EXT-X-TARGETDURATION:10",
        "#EXT-X-MEDIA-SEQUENCE:0",
        before,
        "#EXTINF:10.0,",
        uri,
        "#EXT-X-ENDLIST",
    ])
}

fn master(uri: &str) -> String {
    lines(&["#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1\"", uri])
}

/// Base 64 of RFC 4648, for `data:`.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, at| {
            word << 8 | usize::from(*three.get(at).unwrap_or(&0))
        });
        for digit in 0..4 {
            let known = digit <= three.len();
            text.push(if known {
                DIGITS[word >> (18 - 6 * digit) & 63] as char
            } else {
                '='
            });
        }
    }
    text
}

#[expect(clippy::too_many_lines, reason = "a table, an entry a file")]
pub(super) fn hls(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, udp } = lure;
    let http = format!("http://127.0.0.1:{tcp}/segment.ts");
    let segment = |name: &str, tries, uri: &str| Hostile::new(name, tries, playlist("", uri));
    let tagged = |name: &str, tries, tag: &str| Hostile::new(name, tries, playlist(tag, "beside.ts"));
    let file_url = format!("file://{file}");
    let nested = base64(playlist("", &file_url).as_bytes());
    let mut all = vec![
        segment("hls_file.m3u8", "HLS, a segment by file:", &file_url),
        segment("hls_file.mp4", "the same under the name of a film", &file_url),
        segment("hls_file.txt", "the same under the name of a text", &file_url),
        segment("hls_file.mkv", "the same under the name of another film", &file_url),
        segment("hls_absolute.m3u8", "HLS, a segment by its absolute path", file),
        segment("hls_relative.m3u8", "HLS, a segment beside it", "beside.ts"),
        segment(
            "hls_above.m3u8",
            "HLS, a segment by way of the folder above",
            "canary/../canary/canary.ts",
        ),
        segment("hls_link.m3u8", "HLS, a link to a file elsewhere", LINK),
        segment("hls_password.m3u8", "HLS, the system's users", "file:///etc/passwd"),
        segment(
            "hls_environment.m3u8",
            "HLS, the environment of the process",
            "/proc/self/environ",
        ),
        segment("hls_http.m3u8", "HLS, a segment by http:", &http),
        segment("hls_http.mp4", "the same under the name of a film", &http),
        segment(
            "hls_localhost.m3u8",
            "HLS, a name to be resolved",
            &format!("http://localhost:{tcp}/a.ts"),
        ),
        segment(
            "hls_https.m3u8",
            "HLS, a segment by https:",
            &format!("https://127.0.0.1:{tcp}/a.ts"),
        ),
        segment(
            "hls_tcp.m3u8",
            "HLS, a segment by tcp:",
            &format!("tcp://127.0.0.1:{tcp}"),
        ),
        segment(
            "hls_udp.m3u8",
            "HLS, a segment by udp:",
            &format!("udp://127.0.0.1:{udp}"),
        ),
        segment(
            "hls_crypto.m3u8",
            "HLS, a segment by crypto:",
            &format!("crypto:{file}"),
        ),
        segment(
            "hls_subfile.m3u8",
            "HLS, a segment by subfile:",
            &format!("subfile,,start,0,end,188,,:{file}"),
        ),
        segment(
            "hls_concat.m3u8",
            "HLS, the start of a URL and a file to end it",
            &format!("concat:{http}?|{file_url}"),
        ),
        segment(
            "hls_data.m3u8",
            "HLS, a playlist in a data: URL",
            &format!("data:application/x-mpegurl;base64,{nested}"),
        ),
        segment(
            "hls_gopher.m3u8",
            "HLS, bytes to a port by gopher:",
            &format!("gopher://127.0.0.1:{tcp}/1x"),
        ),
        segment(
            "hls_unix.m3u8",
            "HLS, a socket of this machine",
            "unix:canary/canary.sock",
        ),
        tagged("hls_range.m3u8", "HLS, a part of a file", "#EXT-X-BYTERANGE:188@0"),
        tagged(
            "hls_key.m3u8",
            "HLS, a key by file:",
            &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{file_url}\""),
        ),
        tagged(
            "hls_key_http.m3u8",
            "HLS, a key by http:",
            &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{http}\""),
        ),
        tagged(
            "hls_key_beside.m3u8",
            "HLS, a key beside it",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"beside.key\"",
        ),
        tagged(
            "hls_map.m3u8",
            "HLS, a head by file:",
            &format!("#EXT-X-MAP:URI=\"{file_url}\""),
        ),
        Hostile::new("hls_master.m3u8", "HLS, a stream by file:", master(&file_url)),
        Hostile::new("hls_master_http.m3u8", "HLS, a stream by http:", master(&http)),
        Hostile::new(
            "hls_nested.m3u8",
            "HLS, a playlist beside it that names a file",
            master("inner.m3u8"),
        )
        .with("inner.m3u8", playlist("", &file_url)),
    ];
    let sound = format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{file_url}\"");
    let live = playlist("", &file_url).replace("#EXT-X-ENDLIST\n", "");
    all.push(Hostile::new(
        "hls_sound.m3u8",
        "HLS, another sound by file:",
        lines(&[
            "#EXTM3U",
            &sound,
            "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"",
            "beside.ts",
        ]),
    ));
    all.push(Hostile::new("hls_live.m3u8", "HLS without an end", live));
    all
}

pub(super) fn dash(lure: &Lure) -> Vec<Hostile> {
    let file_url = format!("file://{}", lure.file);
    let http = format!("http://127.0.0.1:{}/", lure.tcp);
    let manifest = |base: &str, inner: &str| {
        format!(
            r#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S" minBufferTime="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">
{base}<Period duration="PT10S"><AdaptationSet mimeType="video/mp4" contentType="video">
<Representation id="1" bandwidth="1000" width="64" height="48" codecs="avc1.4d401e">{inner}</Representation>
</AdaptationSet></Period></MPD>
"#
        )
    };
    let base = |url: &str| format!("<BaseURL>{url}</BaseURL>");
    let parts = |head: &str, part: &str| {
        format!(
            r#"<SegmentList duration="10"><Initialization sourceURL="{head}"/><SegmentURL media="{part}"/></SegmentList>"#
        )
    };
    let template = r#"<SegmentTemplate timescale="1" duration="10" startNumber="1" initialization="beside.ts" media="beside$Number$.ts"/>"#;
    vec![
        Hostile::new("dash_file.mpd", "DASH, a film by file:", manifest("", &base(&file_url))),
        Hostile::new(
            "dash_file.mp4",
            "the same under the name of a film",
            manifest("", &base(&file_url)),
        ),
        Hostile::new(
            "dash_http.mpd",
            "DASH, a base by http:",
            manifest(&base(&http), &parts("a.mp4", "b.m4s")),
        ),
        Hostile::new(
            "dash_relative.mpd",
            "DASH, a film beside it",
            manifest("", &base("beside.ts")),
        ),
        Hostile::new(
            "dash_parts.mpd",
            "DASH, a head by file:",
            manifest("", &parts(&file_url, &file_url)),
        ),
        Hostile::new("dash_template.mpd", "DASH, a pattern of names", manifest("", template))
            .with("beside1.ts", film()),
    ]
}

pub(super) fn concat(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, .. } = lure;
    let list = |name: &str, tries, words: &str| {
        Hostile::new(name, tries, lines(&["ffconcat version 1.0", words, "duration 1"]))
    };
    vec![
        list(
            "concat_absolute.ffconcat",
            "concat, an absolute path",
            &format!("file '{file}'"),
        ),
        list("concat_relative.ffconcat", "concat, a file beside it", "file beside.ts"),
        list(
            "concat_relative.mp4",
            "the same under the name of a film",
            "file beside.ts",
        ),
        list(
            "concat_folder.txt",
            "concat, a file in another folder",
            "file canary/canary.ts",
        ),
        list(
            "concat_link.ffconcat",
            "concat, a link to a file elsewhere",
            &format!("file {LINK}"),
        ),
        list("concat_url.ffconcat", "concat, file:", &format!("file 'file://{file}'")),
        list(
            "concat_http.ffconcat",
            "concat, http:",
            &format!("file 'http://127.0.0.1:{tcp}/a.ts'"),
        ),
        list(
            "concat_subfile.ffconcat",
            "concat, subfile:",
            &format!("file 'subfile,,start,0,end,188,,:{file}'"),
        ),
        list(
            "concat_concat.ffconcat",
            "concat, concat:",
            &format!("file 'concat:{file}|beside.ts'"),
        ),
        list(
            "concat_unsafe.ffconcat",
            "concat, told not to be careful",
            &format!("option safe 0\nfile '{file}'"),
        ),
        list(
            "concat_nested.ffconcat",
            "concat of a concat beside it",
            "file inner.ffconcat",
        )
        .with("inner.ffconcat", lines(&["ffconcat version 1.0", "file beside.ts"])),
        list(
            "concat_nested_hls.ffconcat",
            "concat of a playlist beside it",
            "file inner.m3u8",
        )
        .with("inner.m3u8", playlist("", &format!("file://{file}"))),
    ]
}

pub(super) fn sessions(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, udp } = lure;
    let session = |address: &str, more: &str| {
        lines(&[
            "v=0",
            "o=- 0 0 IN IP4 127.0.0.1",
            "s=x",
            &format!("c=IN IP4 {address}"),
            "t=0 0",
            &format!("m=video {udp} RTP/AVP 96"),
            "a=rtpmap:96 H264/90000",
            more,
        ])
    };
    let control = format!("a=control:rtsp://127.0.0.1:{tcp}/x");
    let package = r#"<?xml version="1.0" encoding="UTF-8"?>
<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:00000000-0000-0000-0000-000000000001</Id>
<ContentTitle>x</ContentTitle><EditRate>24 1</EditRate><SegmentList><Segment><Id>urn:uuid:00000000-0000-0000-0000-000000000002</Id>
<SequenceList><MainImageSequence xmlns="http://www.smpte-ra.org/schemas/2067-2/2016"><Id>urn:uuid:00000000-0000-0000-0000-000000000003</Id>
<TrackId>urn:uuid:00000000-0000-0000-0000-000000000004</TrackId><ResourceList><Resource><Id>urn:uuid:00000000-0000-0000-0000-000000000005</Id>
<IntrinsicDuration>24</IntrinsicDuration><TrackFileId>urn:uuid:00000000-0000-0000-0000-000000000006</TrackFileId></Resource></ResourceList>
</MainImageSequence></SequenceList></Segment></SegmentList></CompositionPlaylist>
"#;
    let assets = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Id>urn:uuid:00000000-0000-0000-0000-000000000007</Id><VolumeCount>1</VolumeCount>
<AssetList><Asset><Id>urn:uuid:00000000-0000-0000-0000-000000000006</Id><ChunkList><Chunk><Path>{file}</Path></Chunk></ChunkList></Asset></AssetList></AssetMap>
"#
    );
    vec![
        Hostile::new(
            "sdp.sdp",
            "SDP, a port to listen at",
            session("127.0.0.1", "a=recvonly"),
        ),
        Hostile::new(
            "sdp.mp4",
            "the same under the name of a film",
            session("127.0.0.1", "a=recvonly"),
        ),
        Hostile::new(
            "sdp_group.sdp",
            "SDP, a group to join",
            session("224.2.2.2/127", "a=recvonly"),
        ),
        Hostile::new(
            "sdp_control.sdp",
            "SDP, a server to ask",
            session("127.0.0.1", &control),
        ),
        Hostile::new(
            "rtsp.mov",
            "QuickTime's text of an RTSP address",
            lines(&["rtsptext", &format!("rtsp://127.0.0.1:{tcp}/x")]),
        ),
        Hostile::new("imf.xml", "IMF, a list with its map of files beside it", package)
            .with("ASSETMAP.xml", assets.clone()),
        Hostile::new("imf_map.xml", "IMF, the map itself", assets),
    ]
}
