//! What ffprobe says of a file. Nothing of kadr's own prober is used here: the judge must not share its errors.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A file by ffprobe.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Demuxer names, as in `mov,mp4,m4a`.
    pub(crate) format: String,
    pub(crate) duration_s: Option<f64>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) chapters: Vec<Vec<(String, String)>>,
}

/// A stream by ffprobe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) index: usize,
    pub(crate) kind: String,
    pub(crate) codec: String,
    pub(crate) profile: String,
    pub(crate) level: i64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixel_format: String,
    pub(crate) field_order: String,
    /// Numerator and denominator; 1:1 where it is undefined.
    pub(crate) sar: (u64, u64),
    pub(crate) range: String,
    pub(crate) matrix: String,
    pub(crate) transfer: String,
    pub(crate) primaries: String,
    pub(crate) channels: u32,
    pub(crate) sample_rate: u32,
    pub(crate) start_s: Option<f64>,
    pub(crate) packets: u64,
    pub(crate) is_default: bool,
    pub(crate) attached_pic: bool,
    /// The nine numbers of the display matrix, where there is one.
    pub(crate) matrix_display: Option<[i64; 9]>,
    pub(crate) tags: Vec<(String, String)>,
}

impl Facts {
    /// `Err` holds ffprobe's words.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-count_packets", "-show_format", "-show_streams"])
            .args(["-show_chapters", "-of", "json"])
            .arg(path)
            .output()
            .expect("ffprobe runs");
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(words.lines().last().unwrap_or("ffprobe failed").to_owned());
        }
        let json: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(Self {
            format: text(&json["format"], "format_name"),
            duration_s: text(&json["format"], "duration").parse().ok(),
            tags: tags(&json["format"]),
            streams: list(&json["streams"]).iter().map(Stream::of).collect(),
            chapters: list(&json["chapters"]).iter().map(tags).collect(),
        })
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Stream> {
        self.streams.iter().filter(|stream| stream.kind == kind).collect()
    }
}

impl Stream {
    fn of(json: &Value) -> Self {
        let number = |key: &str| json[key].as_i64().unwrap_or(0);
        let small = |key: &str| u32::try_from(number(key)).unwrap_or(0);
        let flag = |key: &str| json["disposition"][key].as_i64() == Some(1);
        let side_data = list(&json["side_data_list"]);
        Self {
            index: usize::try_from(number("index")).unwrap_or(0),
            kind: text(json, "codec_type"),
            codec: text(json, "codec_name"),
            profile: text(json, "profile"),
            level: number("level"),
            width: small("width"),
            height: small("height"),
            pixel_format: text(json, "pix_fmt"),
            field_order: text(json, "field_order"),
            sar: ratio(&text(json, "sample_aspect_ratio")),
            range: text(json, "color_range"),
            matrix: text(json, "color_space"),
            transfer: text(json, "color_transfer"),
            primaries: text(json, "color_primaries"),
            channels: small("channels"),
            sample_rate: text(json, "sample_rate").parse().unwrap_or(0),
            start_s: text(json, "start_time").parse().ok(),
            packets: text(json, "nb_read_packets").parse().unwrap_or(0),
            is_default: flag("default"),
            attached_pic: flag("attached_pic") || flag("timed_thumbnails"),
            matrix_display: side_data
                .iter()
                .find_map(|data| display_matrix(&text(data, "displaymatrix"))),
            tags: tags(json),
        }
    }

    pub(crate) fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_str(), "smpte2084" | "arib-std-b67")
    }

    pub(crate) fn is_interlaced(&self) -> bool {
        matches!(self.field_order.as_str(), "tt" | "bb" | "tb" | "bt")
    }

    pub(crate) fn is_full_range(&self) -> bool {
        self.range == "pc" || self.pixel_format.starts_with("yuvj")
    }

    pub(crate) fn is_rgb(&self) -> bool {
        let name = &self.pixel_format;
        self.matrix == "gbr"
            || ["rgb", "bgr", "gbr", "arg", "abg", "pal"]
                .iter()
                .any(|start| name.starts_with(start))
    }

    /// Pixel formats that carry transparency.
    pub(crate) fn has_alpha(&self) -> bool {
        let name = &self.pixel_format;
        ["yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "pal8", "ya"]
            .iter()
            .any(|start| name.starts_with(start))
    }

    /// Whether the display matrix turns by a quarter.
    pub(crate) fn swaps_sides(&self) -> bool {
        self.matrix_display
            .is_some_and(|matrix| matrix[0] == 0 && matrix[4] == 0)
    }

    /// Size as shown with square pixels and upright: once by widening, once by heightening.
    pub(crate) fn displayed(&self) -> [(f64, f64); 2] {
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let sar = self.sar.0 as f64 / self.sar.1 as f64;
        [(width * sar, height), (width, height / sar)].map(|(w, h)| if self.swaps_sides() { (h, w) } else { (w, h) })
    }

    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// What ffprobe does not know is empty.
fn text(json: &Value, key: &str) -> String {
    let text = json[key].as_str().unwrap_or_default();
    if text == "unknown" {
        String::new()
    } else {
        text.to_owned()
    }
}

fn list(json: &Value) -> Vec<Value> {
    json.as_array().cloned().unwrap_or_default()
}

fn tags(json: &Value) -> Vec<(String, String)> {
    let map = json["tags"].as_object();
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `64:45`; what is undefined counts as square, as in every player.
fn ratio(text: &str) -> (u64, u64) {
    let parts = text.split_once(':').map(|(num, den)| (num.parse(), den.parse()));
    match parts {
        Some((Ok(num), Ok(den))) if num > 0 && den > 0 => (num, den),
        _ => (1, 1),
    }
}

/// Three lines, each an offset and three numbers.
fn display_matrix(text: &str) -> Option<[i64; 9]> {
    let numbers: Vec<i64> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(_, row)| row.split_whitespace().filter_map(|number| number.parse().ok()))
        .collect();
    numbers.try_into().ok()
}
