//! What converts: kadr, a plain ffmpeg command, HandBrake. Each gets one file at a time and a time limit.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Kadr,
    Cli,
    HandBrake,
}

/// One conversion as it went.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) seconds: f64,
    /// kadr's account, from `--json`.
    pub(crate) report: Option<Value>,
}

impl Tool {
    /// From `KADR_CORPUS_TOOL`; kadr where it is not set.
    pub(crate) fn chosen() -> Self {
        match std::env::var("KADR_CORPUS_TOOL").as_deref() {
            Err(_) | Ok("kadr") => Self::Kadr,
            Ok("cli") => Self::Cli,
            Ok("handbrake") => Self::HandBrake,
            Ok(other) => panic!("unknown tool `{other}` (known: kadr, cli, handbrake)"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kadr => "kadr",
            Self::Cli => "cli",
            Self::HandBrake => "handbrake",
        }
    }

    /// Program and arguments; `IN` and `OUT` stand for the paths.
    fn command(self) -> (String, Vec<&'static str>) {
        match self {
            Self::Kadr => (
                std::env::var("KADR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kadr").to_owned()),
                vec!["convert", "IN", "-o", "OUT", "--json"],
            ),
            Self::Cli => (
                std::env::var("KADR_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned()),
                "-nostdin -v error -y -i IN -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart OUT"
                    .split(' ')
                    .collect(),
            ),
            // The picture is kept whole, square and at its own rate, which the preset alone does not do.
            Self::HandBrake => (
                "HandBrakeCLI".to_owned(),
                vec![
                    "-i",
                    "IN",
                    "-o",
                    "OUT",
                    "--preset",
                    "Fast 1080p30",
                    "--optimize",
                    "--crop",
                    "0:0:0:0",
                    "--non-anamorphic",
                    "--pfr",
                    "--rate",
                    "60",
                    "--no-markers",
                ],
            ),
        }
    }

    /// As a line for the table.
    pub(crate) fn caption(self) -> String {
        let (program, args) = self.command();
        let program = Path::new(&program)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let quoted = args.iter().map(|arg| {
            if arg.contains(' ') {
                format!("\"{arg}\"")
            } else {
                (*arg).to_owned()
            }
        });
        format!("{program} {}", quoted.collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn convert(self, input: &Path, output: &Path) -> Run {
        let limit_s = std::env::var("KADR_CORPUS_LIMIT_S").unwrap_or_else(|_| "600".to_owned());
        let (program, args) = self.command();
        let began = Instant::now();
        let done = Command::new("timeout")
            .args(["--kill-after=5", &limit_s, &program])
            .args(args.into_iter().map(|arg| match arg {
                "IN" => input.as_os_str(),
                "OUT" => output.as_os_str(),
                other => other.as_ref(),
            }))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("timeout runs");
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        Run {
            code: done.status.code(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
            seconds: began.elapsed().as_secs_f64(),
            report: (self == Self::Kadr)
                .then(|| stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()))
                .flatten(),
        }
    }
}
