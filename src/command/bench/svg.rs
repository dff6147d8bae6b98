//! The rows as a picture: bars of speed, speed over jobs at once, rate over quality. Plain SVG, readable on light and dark.

use std::fmt::Write as _;

use super::render;
use super::row::{Header, Row};

const WIDTH: f64 = 900.0;
const LINE: f64 = 18.0;
const LEFT: f64 = 330.0;
const PLOT_HEIGHT: f64 = 260.0;
/// Of a point's name.
const LABEL_WIDTH: f64 = 220.0;
const LABEL_HEIGHT: f64 = 12.0;
/// Distinct on white and on black, also where red and green look alike (Okabe and Ito, 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.s{fill:#666;font-size:11px}\
.a{stroke:#999;fill:none}.l{fill:none;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}.b{fill:#161616}}";

/// The whole picture.
pub(super) fn draw(header: &Header, rows: &[Row]) -> String {
    let mut page = Page {
        body: String::new(),
        y: 20.0,
        names: names(rows),
    };
    page.text(10.0, "t", "kadr bench");
    for line in render::words(header) {
        page.text(10.0, "s", &cut(&line, 150));
    }
    page.legend();
    page.bars(rows);
    page.concurrency(rows);
    page.rate_and_quality(rows);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0:.0}\" width=\"{WIDTH}\" height=\"{0:.0}\" role=\"img\" \
         aria-label=\"kadr bench\">\n<style>{STYLE}</style>\n<rect class=\"b\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{1}</svg>\n",
        page.y + 10.0,
        page.body
    )
}

/// Programs in the order of their first row.
fn names(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        if !names.contains(&row.by) {
            names.push(row.by.clone());
        }
    }
    names
}

/// What it is of, by whom, and its points.
type Curve = (String, String, Vec<(f64, f64)>);

struct Page {
    body: String,
    /// Where the next line begins.
    y: f64,
    names: Vec<String>,
}

impl Page {
    fn colour(&self, by: &str) -> &'static str {
        let at = self.names.iter().position(|name| name == by).unwrap_or(0);
        COLOURS[at % COLOURS.len()]
    }

    fn text(&mut self, x: f64, class: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.0}\" y=\"{:.0}\">{}</text>",
            self.y,
            escaped(text)
        );
        self.y += LINE;
    }

    fn label(&mut self, (x, y): (f64, f64), anchor: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text class=\"s\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(text)
        );
    }

    fn legend(&mut self) {
        let mut x = 10.0;
        for name in self.names.clone() {
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.0}\" y=\"{:.0}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
                self.y - 10.0,
                self.colour(&name)
            );
            self.label((x + 17.0, self.y), "start", &name);
            #[expect(clippy::cast_precision_loss, reason = "a short name")]
            let width = name.chars().count() as f64 * 7.5;
            x += 40.0 + width;
        }
        self.y += 2.0 * LINE;
    }

    /// × real time of each row.
    fn bars(&mut self, rows: &[Row]) {
        let most = rows.iter().filter_map(|row| row.speed_x).fold(0.0, f64::max);
        if most <= 0.0 {
            return;
        }
        self.text(10.0, "t", "Speed, × real time (more is better)");
        // Copies are hundreds of times faster than encoding: each kind has a scale of its own.
        for rung in ["copy", "partial", "cpu", "hybrid", "nvenc"] {
            let rows: Vec<&Row> = rows
                .iter()
                .filter(|row| row.rung == rung && row.speed_x.is_some())
                .collect();
            let most = rows.iter().filter_map(|row| row.speed_x).fold(0.0, f64::max);
            let mut last = None;
            for row in rows {
                let title = format!("{} · {} · {} · {}", row.clip, row.preset, row.rung, row.jobs);
                if last.as_ref() != Some(&title) {
                    self.label((LEFT - 8.0, self.y), "end", &shortened(&title, 52));
                    last = Some(title);
                }
                let speed = row.speed_x.unwrap_or(0.0);
                let width = (speed / most * (WIDTH - LEFT - 90.0)).max(1.0);
                let _ = writeln!(
                    self.body,
                    "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"13\" fill=\"{}\"/>",
                    self.y - 11.0,
                    self.colour(&row.by)
                );
                self.label((LEFT + width + 5.0, self.y), "start", &format!("{speed:.2}"));
                self.y += LINE;
            }
        }
        self.y += LINE;
    }

    /// Frames a second of all jobs together, over their number.
    fn concurrency(&mut self, rows: &[Row]) {
        let mut lines: Vec<Curve> = Vec::new();
        for row in rows {
            let Some(fps) = row.fps else { continue };
            let name = format!("{} · {} · {}", row.clip, row.preset, row.rung);
            let point = (f64::from(row.jobs), fps);
            match lines.iter_mut().find(|(line, by, _)| *line == name && *by == row.by) {
                Some((_, _, points)) => points.push(point),
                None => lines.push((name, row.by.clone(), vec![point])),
            }
        }
        lines.retain(|(_, _, points)| points.len() > 1);
        if lines.is_empty() {
            return;
        }
        self.text(10.0, "t", "Frames a second of all jobs together, over jobs at once");
        let axes = self.axes(
            lines.iter().flat_map(|(_, _, points)| points.iter().copied()),
            (0.0, 0.0),
        );
        for (name, by, mut points) in lines {
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            let places: Vec<(f64, f64)> = points.iter().map(|&point| axes.place(point)).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                self.body,
                "<polyline class=\"l\" points=\"{}\" stroke=\"{}\"/>",
                path.join(" "),
                self.colour(&by)
            );
            if let Some(&(x, y)) = places.last() {
                self.label((x - 4.0, y - 6.0), "end", &shortened(&name, 40));
            }
        }
    }

    /// Bits against VMAF-NEG, else PSNR: one curve of points a clip.
    fn rate_and_quality(&mut self, rows: &[Row]) {
        let by_vmaf = rows.iter().any(|row| row.vmaf_neg.is_some());
        let point = |row: &Row| {
            let quality = if by_vmaf {
                row.vmaf_neg
            } else {
                row.quality.map(|score| score.psnr)
            }?;
            #[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
            let kbps = row.out_bytes as f64 * 8.0 / 1000.0 / row.duration_s;
            kbps.is_finite().then_some((kbps, quality))
        };
        let points: Vec<(&Row, (f64, f64))> = rows.iter().filter_map(|row| Some((row, point(row)?))).collect();
        if points.is_empty() {
            return;
        }
        let measure = if by_vmaf { "VMAF-NEG" } else { "PSNR 6:1:1, dB" };
        self.text(10.0, "t", &format!("{measure} over kbit/s"));
        let lowest = points
            .iter()
            .map(|(_, (_, quality))| *quality)
            .fold(f64::INFINITY, f64::min);
        let axes = self.axes(
            points.iter().map(|(_, point)| *point),
            (0.0, (lowest - 3.0).max(0.0).floor()),
        );
        let mut labels = Labels::default();
        for (row, point) in points {
            let (x, y) = axes.place(point);
            let colour = self.colour(&row.by);
            // A peer that made the same lies on kadr's point: a ring around it.
            let shape = if row.by == "kadr" {
                format!("r=\"4\" fill=\"{colour}\"")
            } else {
                format!("r=\"6\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"")
            };
            let _ = writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" {shape}/>");
            let text = shortened(&format!("{} · {}", row.clip, row.preset), 34);
            if let Some(place) = labels.place((x + 9.0, y + 4.0), &text) {
                self.label(place, "start", &text);
            }
        }
    }

    /// Draws a frame with its ends marked and goes below it.
    fn axes(&mut self, points: impl Iterator<Item = (f64, f64)>, from: (f64, f64)) -> Axes {
        let most = points.fold(from, |most, point| (most.0.max(point.0), most.1.max(point.1)));
        let axes = Axes {
            from,
            to: (most.0 * 1.25, from.1 + (most.1 - from.1) * 1.08),
            top: self.y,
        };
        let (left, bottom) = (60.0, self.y + PLOT_HEIGHT);
        let _ = writeln!(
            self.body,
            "<path class=\"a\" d=\"M{left} {:.0}V{bottom:.0}H{:.0}\"/>",
            self.y,
            WIDTH - 20.0
        );
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let x = axes.from.0 + (axes.to.0 - axes.from.0) * share;
            let y = axes.from.1 + (axes.to.1 - axes.from.1) * share;
            self.label((axes.place((x, y)).0, bottom + 14.0), "middle", &rounded(x));
            self.label((left - 6.0, axes.place((x, y)).1 + 4.0), "end", &rounded(y));
        }
        self.y = bottom + 3.0 * LINE;
        axes
    }
}

/// Where points have their names: none over another, and none twice for one place.
#[derive(Default)]
struct Labels {
    /// The points that were named.
    named: Vec<(f64, f64, String)>,
    /// Where the names stand.
    taken: Vec<(f64, f64)>,
}

impl Labels {
    /// Beside the point, or a line or two away; `None` where there is no room, or its name stands already.
    fn place(&mut self, (x, y): (f64, f64), text: &str) -> Option<(f64, f64)> {
        let near = |other: f64, own: f64| (other - own).abs() < LABEL_HEIGHT;
        let same =
            |(other_x, other_y, other): &(f64, f64, String)| other == text && near(*other_x, x) && near(*other_y, y);
        if self.named.iter().any(same) {
            return None;
        }
        self.named.push((x, y, text.to_owned()));
        let free = [0.0, 1.0, -1.0, 2.0, -2.0]
            .into_iter()
            .map(|lines| y + lines * LABEL_HEIGHT)
            .find(|&line| {
                let over = |(other_x, other_y): &(f64, f64)| (other_x - x).abs() < LABEL_WIDTH && near(*other_y, line);
                !self.taken.iter().any(over)
            })?;
        self.taken.push((x, free));
        Some((x, free))
    }
}

/// From figures to places on the page.
struct Axes {
    from: (f64, f64),
    to: (f64, f64),
    top: f64,
}

impl Axes {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, from: f64, to: f64| (value - from) / (to - from).max(f64::MIN_POSITIVE);
        (
            60.0 + share(x, self.from.0, self.to.0) * (WIDTH - 80.0),
            self.top + PLOT_HEIGHT * (1.0 - share(y, self.from.1, self.to.1)),
        )
    }
}

fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn shortened(text: &str, letters: usize) -> String {
    let count = text.chars().count();
    if count <= letters {
        return text.to_owned();
    }
    // The end tells rows apart.
    format!("…{}", text.chars().skip(count - letters + 1).collect::<String>())
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(letters - 1).collect::<String>())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
