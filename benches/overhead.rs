//! What a job costs beyond its codecs: the engine in a process that is warm, less the same decoder and encoder alone, and
//! against `ffprobe` and `ffmpeg` for the same plan; and the bot from a message to the first bytes of its result.
//! `ci/bench overhead` builds and judges it.
//!
//! ```text
//! overhead [FILE]…   two clips so small that their codecs take next to nothing, then each FILE as it is
//! stdout             NDJSON: a line a clip from the engine, a line a small clip from the bot
//! ```

#![expect(clippy::disallowed_methods, reason = "what kadr is held against are processes")]

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ffmpeg_next::codec::context::Context;
use ffmpeg_next::codec::threading;
use ffmpeg_next::frame::Video;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Dictionary, Packet};
use kadr::config::{Config, Settings};
use kadr::media::arguments::{Peer, arguments};
use kadr::media::plan::{Rate, VideoEncode};
use kadr::media::synthetic::{TINY, make};
use kadr::media::{self, Caps, Control, Limits, Preset, Recipe};
use kadr::playground::{Options, Playground, SendAs};
use kadr::store::Journal;
use kadr::telegram::{self, delivery::TelegramCourier};
use kadr::workdir::Workdir;
use kadr::worker::Worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

type Outcomes<T> = Result<T, Box<dyn Error>>;

const WARM_UP: usize = 3;
const ROUNDS: usize = 21;
const LOOK_EVERY: Duration = Duration::from_micros(200);
const WAIT: Duration = Duration::from_secs(60);

/// Times of one thing, milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    fn figures(mut self) -> Value {
        self.0.sort_by(f64::total_cmp);
        json!({ "median_ms": self.0[self.0.len() / 2], "max_ms": self.0.last() })
    }
}

/// Wall time of one conversion, and until its first packet.
fn convert(source: &Path, output: &Path) -> Outcomes<(Duration, Duration)> {
    let control = Control::new(None);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            while control.gauge().read().out_bytes == 0 && control.check().is_ok() && began.elapsed() < WAIT {
                std::thread::sleep(LOOK_EVERY);
            }
            began.elapsed()
        });
        media::convert(
            source,
            output,
            &Recipe::from(Preset::Play),
            &Caps::without_gpus(),
            &Limits::default(),
            &control,
        )
        .inspect_err(|_| control.cancel())?;
        let whole = began.elapsed();
        Ok((whole, first.join().map_err(|_| "the watch ended early")?))
    })
}

/// What a script does instead: probe, then convert.
fn command(source: &Path, output: &Path) -> Outcomes<Duration> {
    let info = media::probe(source, &Limits::default(), &Control::new(None))?;
    let plan = media::plan(&info, &Recipe::from(Preset::Play), &Caps::without_gpus())?.remove(0);
    let major = ffmpeg_major()?;
    let peer = Peer {
        major,
        threads: 0,
        cores: media::cores(),
        table: None,
    };
    let files = (&*source.to_string_lossy(), &*output.to_string_lossy());
    let words = arguments(&plan, &info, peer, files)?;
    let began = Instant::now();
    let probe = ["-v", "error", "-of", "json", "-show_format", "-show_streams", files.0].map(str::to_owned);
    run("ffprobe", &probe)?;
    run("ffmpeg", &words)?;
    Ok(began.elapsed())
}

fn run(program: &str, words: &[String]) -> Outcomes<()> {
    let status = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} {}: {status}", words.join(" ")).into())
    }
}

/// What the plan's decoder and encoder take for the pictures by themselves, opened and flushed; nothing where they are copied,
/// though kadr decodes these as well.
fn codecs(source: &Path) -> Outcomes<Duration> {
    let info = media::probe(source, &Limits::default(), &Control::new(None))?;
    let plan = media::plan(&info, &Recipe::from(Preset::Play), &Caps::without_gpus())?.remove(0);
    let Some(encode) = plan.encode() else {
        return Ok(Duration::ZERO);
    };
    let mut input = ffmpeg_next::format::input(source)?;
    let stream = input.streams().best(Type::Video).ok_or("no pictures")?;
    let (index, params) = (stream.index(), stream.parameters());
    let packets: Vec<Packet> = input
        .packets()
        .filter_map(|(stream, packet)| (stream.index() == index).then_some(packet))
        .collect();
    let mut options = Dictionary::new();
    for (name, value) in encoder_options(encode) {
        options.set(name, &value);
    }
    let began = Instant::now();
    let mut decoder = Context::from_parameters(params)?;
    decoder.set_threading(threading::Config::kind(threading::Type::Frame));
    let mut decoder = decoder.decoder().video()?;
    let coder = ffmpeg_next::encoder::find_by_name("libx264").ok_or("no libx264")?;
    let mut encoder = Context::new_with_codec(coder).encoder().video()?;
    encoder.set_width(encode.picture.width);
    encoder.set_height(encode.picture.height);
    encoder.set_format(decoder.format());
    encoder.set_time_base((1, 1000));
    encoder.set_frame_rate(Some((encode.frame_rate.num, encode.frame_rate.den)));
    encoder.set_gop(encode.gop);
    let mut encoder = encoder.open_as_with(coder, options)?;
    let (mut frame, mut packet) = (Video::empty(), Packet::empty());
    let mut coded = 0;
    for input in packets.iter().map(Some).chain([None]) {
        match input {
            Some(packet) => decoder.send_packet(packet)?,
            None => decoder.send_eof()?,
        }
        while decoder.receive_frame(&mut frame).is_ok() {
            frame.set_pts(Some(coded * 40));
            frame.set_kind(ffmpeg_next::picture::Type::None);
            encoder.send_frame(&frame)?;
            coded += 1;
            while encoder.receive_packet(&mut packet).is_ok() {}
        }
    }
    encoder.send_eof()?;
    while encoder.receive_packet(&mut packet).is_ok() {}
    let took = began.elapsed();
    if coded == 0 {
        return Err("no picture was coded".into());
    }
    Ok(took)
}

/// As `media::transcode` sets them.
fn encoder_options(encode: &VideoEncode) -> Vec<(&'static str, String)> {
    let crf = match encode.rate {
        Rate::Quality { crf } => crf.to_string(),
        Rate::Bits { .. } => unreachable!("`play` has a quality"),
    };
    vec![
        ("preset", encode.speed.to_owned()),
        ("profile", "high".to_owned()),
        ("x264-params", "sync-lookahead=12".to_owned()),
        ("crf", crf),
    ]
}

fn ffmpeg_major() -> Outcomes<u32> {
    let said = String::from_utf8(Command::new("ffmpeg").arg("-version").output()?.stdout)?;
    let version = said.split_whitespace().nth(2).unwrap_or("");
    let major = version.trim_start_matches('n').split('.').next().unwrap_or("");
    major
        .parse()
        .map_err(|_| format!("ffmpeg says it is {version:?}").into())
}

fn engine(source: &Path, tiny: bool) -> Outcomes<Value> {
    let folder = tempfile::tempdir_in(".")?;
    let output = folder.path().join("output.mp4");
    let (mut whole, mut first, mut by_command) = (Times::default(), Times::default(), Times::default());
    let (mut alone, mut beyond) = (Times::default(), Times::default());
    for round in 0..WARM_UP + ROUNDS {
        let (took, began) = convert(source, &output)?;
        let coded = if tiny { codecs(source)? } else { Duration::ZERO };
        let commanded = command(source, &output)?;
        if round >= WARM_UP {
            alone.add(coded);
            beyond.add(took.saturating_sub(coded));
            whole.add(took);
            first.add(began);
            by_command.add(commanded);
        }
    }
    Ok(json!({
        "type": "engine",
        "clip": source.file_name().unwrap_or_default().to_string_lossy(),
        "tiny": tiny,
        "whole": whole.figures(),
        "codecs": alone.figures(),
        "beyond_codecs": beyond.figures(),
        "first_packet": first.figures(),
        "ffprobe_and_ffmpeg": by_command.figures(),
    }))
}

/// A file like no other: a `free` box behind the last, so that no result is remembered.
fn own(source: &Path, number: usize, folder: &Path) -> Outcomes<PathBuf> {
    let mut bytes = fs::read(source)?;
    bytes.extend_from_slice(&16_u32.to_be_bytes());
    bytes.extend_from_slice(b"free");
    bytes.extend_from_slice(&u64::try_from(number)?.to_be_bytes());
    let path = folder.join(format!("own-{number}.mp4"));
    fs::write(&path, bytes)?;
    Ok(path)
}

/// Whether some output in work has its first bytes.
fn has_begun(work: &Path) -> bool {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    entries(work).flat_map(|job| entries(&job.path())).any(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        let output = name.starts_with("output") || name.starts_with(".kadr-");
        output && file.metadata().is_ok_and(|facts| facts.len() > 0)
    })
}

async fn bot(source: &Path) -> Outcomes<Value> {
    let folder = tempfile::tempdir_in(".")?;
    let options = Options {
        port: 0,
        data_dir: folder.path().join("telegram"),
    };
    let playground = Playground::start(options).await?;
    let work = folder.path().join("work");
    let settings = Settings {
        token: Some(playground.token().to_owned()),
        api_url: Some(playground.api_url()),
        database: Some(format!("sqlite:{}", folder.path().join("kadr.db").display())),
        work_dir: Some(work.clone()),
        device: Some("cpu".to_owned()),
        disk_free_min_bytes: Some(1),
        ..Settings::default()
    };
    let config = Config::read(settings, None)?;
    let store = Journal::open(&config.database).await?;
    let courier = Arc::new(TelegramCourier::new(&config.telegram(), store.clone())?);
    let worker = Worker::new(
        store.clone(),
        courier,
        Workdir::open(&config.work_dir)?,
        config.worker.clone(),
    );
    let stop = CancellationToken::new();
    let (worker_stop, listener_stop) = (stop.clone(), stop.clone());
    let listening = telegram::run(config.telegram(), store.clone(), listener_stop);
    let running = tokio::spawn(async move {
        let (worked, listened) = tokio::join!(worker.run(worker_stop), listening);
        worked.map_err(|error| error.to_string())?;
        listened.map_err(|error| error.to_string())
    });
    let (mut first, mut whole) = (Times::default(), Times::default());
    for round in 0..WARM_UP + ROUNDS {
        let file = own(source, round, folder.path())?;
        // Somebody else each time: to one person the platform takes a message a second.
        let user = i64::try_from(round)? + 1;
        playground.add_user(user, "Anna", "en");
        let began = Instant::now();
        playground.send_file_in(user, user, &file, SendAs::Document, "play")?;
        while !has_begun(&work) {
            if began.elapsed() > WAIT {
                return Err(format!("no result begins: {:#?}", playground.chat(user)).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let begun = began.elapsed();
        let came = |chat: &[kadr::playground::Message]| {
            (chat.iter().filter(|m| m.from_bot && m.media.is_some()).count() > 0).then_some(())
        };
        let delivered = playground.wait(user, WAIT, came).await;
        delivered.ok_or_else(|| format!("no result comes: {:#?}", playground.chat(user)))?;
        if round >= WARM_UP {
            first.add(begun);
            whole.add(began.elapsed());
        }
        while fs::read_dir(&work)?.next().is_some() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    stop.cancel();
    running.await??;
    Ok(json!({
        "type": "bot",
        "clip": source.file_name().unwrap_or_default().to_string_lossy(),
        "first_bytes": first.figures(),
        "delivered": whole.figures(),
    }))
}

#[tokio::main]
async fn main() -> Outcomes<()> {
    let files: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .map(PathBuf::from)
        .collect();
    let folder = tempfile::tempdir_in(".")?;
    let mut out = std::io::stdout();
    let mut tiny = Vec::new();
    for clip in &TINY {
        let path = folder.path().join(clip.name);
        make(clip, &path)?;
        tiny.push(path);
    }
    for (source, is_tiny) in tiny
        .iter()
        .map(|path| (path, true))
        .chain(files.iter().map(|path| (path, false)))
    {
        let source = source.clone();
        let row = tokio::task::spawn_blocking(move || engine(&source, is_tiny).map_err(|error| error.to_string()));
        writeln!(out, "{}", row.await??)?;
    }
    for source in &tiny {
        writeln!(out, "{}", bot(source).await?)?;
    }
    Ok(())
}
