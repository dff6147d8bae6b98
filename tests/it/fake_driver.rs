//! The fake NVIDIA driver (`tests/fake_driver`) under the unmodified ffmpeg of this machine: frames come back as they went
//! in, and every failure that a driver can produce is produced (`faults`). **Control flow only**: nothing here says
//! anything about a card's speed, quality or behaviour.

mod faults;

use std::path::{Path, PathBuf};

use crate::support::fake_driver::FakeDriver;
use crate::support::{clip, ffprobe, md5s};

const FRAMES: usize = 25;

/// A second of a moving picture, lossless, in the sizes that encoders take.
fn source(width: u32, height: u32) -> PathBuf {
    clip(
        &format!("fake-driver-{width}x{height}.mkv"),
        &format!("-f lavfi -i testsrc2=s={width}x{height}:r=25:d=1 -pix_fmt yuv420p -c:v ffv1"),
    )
}

/// Runs ffmpeg on a machine with this driver; returns what it said. `args` are those after the input.
fn ffmpeg(driver: &FakeDriver, before: &str, input: &Path, args: &str, output: &Path) -> String {
    let run = driver
        .command("ffmpeg")
        .args(["-v", "warning", "-nostdin", "-y"])
        .args(before.split_whitespace())
        .arg("-i")
        .arg(input)
        .args(args.split_whitespace())
        .arg(output)
        .output()
        .expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "fake driver: control flow only: {said}");
    said
}

/// A hash a frame, of all of them.
#[track_caller]
fn pixels(path: &Path) -> Vec<String> {
    let hashes = md5s(path, "0:v:0", &["-fps_mode", "passthrough", "-pix_fmt", "yuv420p"]);
    assert_eq!(hashes.len(), FRAMES, "{}", path.display());
    hashes
}

fn size(path: &Path) -> String {
    ffprobe(path, "stream=width,height").trim().to_owned()
}

const UPLOAD: &str = "-init_hw_device cuda=card -filter_hw_device card";

#[test]
fn frames_of_system_memory_come_back_pixel_by_pixel() {
    for (width, height) in [(320, 240), (322, 242), (426, 240), (1366, 768)] {
        for format in ["yuv420p", "nv12"] {
            let driver = FakeDriver::new();
            let source = source(width, height);
            let output = driver.folder().join("out.mp4");
            ffmpeg(
                &driver,
                "",
                &source,
                &format!("-pix_fmt {format} -c:v h264_nvenc"),
                &output,
            );
            let same = pixels(&output) == pixels(&source);
            assert!(same, "fake driver: {width}x{height} as {format} came back changed");
            assert_eq!(size(&output), format!("width={width}|height={height}"));
            assert_eq!(driver.count("/total/encoded_pictures"), 25);
            driver.assert_nothing_left();
        }
    }
}

/// The generic filter takes the device that it is given, `hwupload_cuda` opens one of its own.
#[test]
fn frames_of_device_memory_come_back_pixel_by_pixel() {
    for (width, height) in [(320, 240), (322, 242), (1366, 768)] {
        for (format, before, upload) in [
            ("yuv420p", "", "hwupload_cuda"),
            ("nv12", "", "hwupload_cuda"),
            ("nv12", UPLOAD, "hwupload"),
        ] {
            let driver = FakeDriver::new();
            let source = source(width, height);
            let output = driver.folder().join("out.mp4");
            let filters = format!("-vf format={format},{upload},scale_cuda -c:v h264_nvenc");
            ffmpeg(&driver, before, &source, &filters, &output);
            let same = pixels(&output) == pixels(&source);
            assert!(same, "fake driver: {width}x{height} as {format} came back changed");
            assert_eq!(driver.count("/peak/contexts"), 1);
            driver.assert_nothing_left();
        }
    }
}

#[test]
fn the_settings_that_kadr_asks_for_are_taken_and_times_only_grow() {
    let driver = FakeDriver::new();
    let output = driver.folder().join("out.mp4");
    let settings = "-pix_fmt nv12 -c:v h264_nvenc -preset p5 -tune hq -rc vbr -cq 24 -b:v 0 -maxrate 8M -multipass qres \
         -spatial-aq 1 -aq-strength 8 -rc-lookahead 20 -bf 3 -b_ref_mode middle -profile:v high -g 250 \
         -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";
    ffmpeg(&driver, "", &source(320, 240), settings, &output);
    let facts = ffprobe(
        &output,
        "stream=profile,color_space,color_transfer,color_primaries,color_range",
    );
    for fact in [
        "profile=High",
        "color_range=tv",
        "color_space=bt709",
        "color_primaries=bt709",
    ] {
        assert!(facts.contains(fact), "{facts}");
    }
    let times: Vec<[i64; 2]> = ffprobe(&output, "packet=pts,dts")
        .lines()
        .map(|line| {
            let number = |name| line.split('|').find_map(|entry| entry.strip_prefix(name)?.parse().ok());
            [number("pts=").unwrap(), number("dts=").unwrap()]
        })
        .collect();
    assert_eq!(times.len(), FRAMES);
    assert!(times.windows(2).all(|pair| pair[0][1] < pair[1][1]), "{times:?}");
    assert!(times.iter().all(|[pts, dts]| dts <= pts), "{times:?}");
}

#[test]
fn a_scaled_picture_has_its_size_and_is_grey_because_kernels_do_nothing() {
    let driver = FakeDriver::new();
    let output = driver.folder().join("out.mp4");
    let filters = "-vf format=nv12,hwupload,scale_cuda=w=160:h=120 -c:v h264_nvenc";
    ffmpeg(&driver, UPLOAD, &source(320, 240), filters, &output);
    assert_eq!(size(&output), "width=160|height=120");
    let pictures = pixels(&output);
    assert!(pictures.windows(2).all(|pair| pair[0] == pair[1]));
    // Two planes of each picture.
    assert_eq!(driver.count("/total/launches"), 50);
    driver.assert_nothing_left();
}

/// What NVDEC is given: H.264 with B-frames, MPEG-2, and HEVC of ten bits.
fn coded(codec: &str) -> PathBuf {
    let coding = match codec {
        "h264" => "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2",
        "mpeg2" => "-pix_fmt yuv420p -c:v mpeg2video -q:v 4",
        _ => "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=none",
    };
    clip(
        &format!("fake-driver-{codec}.mkv"),
        &format!("-f lavfi -i testsrc2=s=320x240:r=25:d=1 {coding}"),
    )
}

const DECODE: &str = "-hwaccel cuda -hwaccel_output_format cuda";

#[test]
fn a_decoder_that_hands_out_grey_gives_every_picture_its_own_grey() {
    for codec in ["h264", "mpeg2"] {
        let driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
        let output = driver.folder().join("out.mp4");
        ffmpeg(&driver, DECODE, &coded(codec), "-c:v h264_nvenc", &output);
        assert_eq!(size(&output), "width=320|height=240");
        let mut pictures = pixels(&output);
        pictures.sort();
        pictures.dedup();
        assert_eq!(pictures.len(), FRAMES, "fake driver: {codec}");
        assert_eq!(driver.count("/total/decoded_pictures"), 25);
        driver.assert_nothing_left();
    }
}

#[test]
fn ten_bits_are_decoded_to_surfaces_of_sixteen() {
    let driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
    let output = driver.folder().join("out.mkv");
    let filters = "-vf hwdownload,format=p010le -c:v ffv1";
    ffmpeg(&driver, DECODE, &coded("hevc10"), filters, &output);
    pixels(&output);
    driver.assert_nothing_left();
}

#[test]
fn a_decoder_that_refuses_leaves_the_work_to_software() {
    let driver = FakeDriver::new();
    let output = driver.folder().join("out.mp4");
    let said = ffmpeg(&driver, "-hwaccel cuda", &coded("h264"), "-c:v h264_nvenc", &output);
    assert!(said.contains("Failed setup for format cuda"), "{said}");
    assert_eq!(pixels(&output), pixels(&coded("h264")));
    driver.assert_nothing_left();
}

#[test]
fn one_session_more_than_allowed_is_refused_and_the_others_go_on() {
    let driver = FakeDriver::new().env("FAKE_NVENC_SESSIONS", "1");
    let output = driver.folder().join("out.mp4");
    let run = driver
        .command("ffmpeg")
        .args(["-v", "warning", "-nostdin", "-y", "-i"])
        .arg(source(320, 240))
        .args(["-map", "0:v", "-c:v", "h264_nvenc"])
        .arg(&output)
        .args(["-map", "0:v", "-c:v", "h264_nvenc", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        said.contains("OpenEncodeSessionEx failed: out of memory (10)"),
        "{said}"
    );
    assert_eq!(driver.count("/peak/sessions"), 1);
    driver.assert_nothing_left();
}
