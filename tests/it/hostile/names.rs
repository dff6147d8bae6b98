//! Harmless films whose names are addresses, options, filters or patterns: a path is a URL to libav.

use super::corpus::{Hostile, LINK, Lure, film, picture};

pub(super) fn all(lure: &Lure) -> Vec<Hostile> {
    let Lure { file, tcp, udp } = lure;
    // An absolute path in a name would lie elsewhere: its slashes begin at the folder of the run.
    let bare = file.trim_start_matches('/');
    let named = |name: String, tries| Hostile::new(name, tries, film());
    let pattern = |name: &str, tries| {
        (0..3).fold(Hostile::new(name, tries, picture()), |one, number| {
            one.with(&format!("frame{number}.png"), picture())
        })
    };
    vec![
        named(format!("http://127.0.0.1:{tcp}/x.ts"), "a name that is an address"),
        named(format!("https://127.0.0.1:{tcp}/x.ts"), "a name that is a safe address"),
        named(format!("tcp://127.0.0.1:{tcp}"), "a name that is a port"),
        named(format!("udp://127.0.0.1:{udp}"), "a name that is a port for datagrams"),
        named(format!("rtsp://127.0.0.1:{tcp}/x"), "a name that is a server of films"),
        named(
            format!("rtmp://127.0.0.1:{tcp}/x/y"),
            "a name that is a server of streams",
        ),
        named(
            format!("ftp://127.0.0.1:{tcp}/x.ts"),
            "a name that is a server of files",
        ),
        named(
            "concat:beside.ts|canary/canary.ts".to_owned(),
            "a name that joins files",
        ),
        named(
            "subfile,,start,0,end,188,,:canary/canary.ts".to_owned(),
            "a name that is a part of a file",
        ),
        named("file:canary/canary.ts".to_owned(), "a name with file:"),
        named("crypto:canary/canary.ts".to_owned(), "a name with crypto:"),
        named("async:cache:beside.ts".to_owned(), "a name with two prefixes"),
        named(
            "unix:canary/canary.sock".to_owned(),
            "a name that is a socket of this machine",
        ),
        named("data:,RklMTQ==".to_owned(), "a name that is its own content"),
        named("pipe:0".to_owned(), "a name that is an open file"),
        named("-i".to_owned(), "a name that is an option"),
        named("-filter_complex".to_owned(), "a name that is another option"),
        named("|cat canary".to_owned(), "a name that is a command"),
        named("$(cat canary).ts".to_owned(), "a name for a shell"),
        named("movie=beside.ts[out0]".to_owned(), "a name that is a filter"),
        named("line\nfile beside.ts".to_owned(), "a name of two lines"),
        named(format!("root/{bare}"), "a name with an absolute path in it"),
        named("canary/../x.ts".to_owned(), "a name with a way up"),
        named("beside.idx".to_owned(), "a name that has a partner").with("beside.sub", vec![0; 2_048]),
        pattern("frame%d.png", "a name that is a pattern"),
        pattern("frame%03d.png", "a name that is a pattern with zeros"),
        pattern("frame*.png", "a name that is a pattern of the shell's"),
        Hostile::new(
            "playlist_of_link.m3u8",
            "a list beside a link",
            format!("#EXTM3U\n#EXTINF:1,\n{LINK}\n"),
        ),
    ]
}
