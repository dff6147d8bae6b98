//! What more than one area needs: clips made by ffmpeg, facts told by ffprobe, and a bot on a playground.

pub(crate) mod bot;
pub(crate) mod fake_driver;
pub(crate) mod served;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The clip that the repository ships: MPEG-2 with MP2, 8.3 s.
pub(crate) fn shipped_clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hello_mpeg2_mp2.mpeg")
}

/// Makes a clip once a run; `args` are ffmpeg's between the program and the output.
pub(crate) fn clip(name: &str, args: &str) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let stamp = folder.join(format!("{name}.args"));
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == args) {
        return path;
    }
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(args.split_whitespace())
        .arg(&path)
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(stamp, args).unwrap();
    path
}

/// H.264 and AAC in Matroska: what a remux is for.
pub(crate) fn playable_mkv() -> PathBuf {
    clip(
        "playable.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=3 -f lavfi -i sine=f=440:r=48000:d=3 \
         -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -ac 2",
    )
}

/// A clip that takes the engine tens of seconds: to be cancelled, killed or timed out.
pub(crate) fn long_clip() -> PathBuf {
    clip(
        "long.mpg",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=120 -c:v mpeg2video -q:v 31 -g 12",
    )
}

/// ffprobe's answer to `-show_entries`, a line an entry of `key=value|…`.
pub(crate) fn ffprobe(path: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "compact=p=0:nk=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Frames that ffmpeg decodes, without one error.
pub(crate) fn decoded_frames(path: &Path) -> usize {
    md5s(path, "0:v:0", &["-fps_mode", "passthrough"]).len()
}

/// One hash a frame or packet of a stream, by ffmpeg.
pub(crate) fn md5s(path: &Path, stream: &str, extra: &[&str]) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-map", stream])
        .args(extra)
        .args(["-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned()))
        .collect()
}

/// The colour of one pixel of the first frame.
pub(crate) fn pixel(path: &Path, x: u32, y: u32) -> [u8; 3] {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args([
            "-vf",
            &format!("crop=2:2:{x}:{y},scale=1:1"),
            "-frames:v",
            "1",
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .expect("ffmpeg runs");
    output.stdout[..3].try_into().expect("one pixel")
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Waits for what rings no bell.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it did not happen: {what}");
}
