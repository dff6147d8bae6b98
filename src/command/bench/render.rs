//! Header and rows as text: for a terminal, for a page, for programs.

use anyhow::Result;

use super::row::{Header, Row, Spread};
use crate::media::packets::Same;

/// A column: its title, and what a row says there.
type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: [Column; 19] = [
    ("clip", |row| row.clip.clone()),
    ("preset", |row| row.preset.clone()),
    ("rung", |row| row.rung.clone()),
    ("jobs", |row| row.jobs.to_string()),
    ("by", |row| row.by.clone()),
    ("wall, s", |row| spread(row.wall_s.as_ref())),
    ("× real time", |row| number(row.speed_x, 2)),
    ("Mpx/s", |row| number(row.mpx_s, 1)),
    ("CPU, s", |row| spread(row.cpu_s.as_ref())),
    ("cores", |row| number(row.cores_busy, 2)),
    ("encoding", |row| number(row.encode_cores_busy, 2)),
    ("idle", |row| number(row.encode_cores_idle, 2)),
    ("MiB", |row| mebibytes(row.memory_bytes_max)),
    ("first, s", |row| number(row.first_packet_s, 3)),
    ("p95, s", |row| number(row.job_p95_s, 2)),
    ("bytes", |row| row.out_bytes.to_string()),
    ("PSNR / SSIM / VMAF", quality),
    ("packets", |row| same(row).to_owned()),
    ("kadr / it", ratios),
];

/// Aligned, with the header above and a sentence for each comparison below.
pub(super) fn table(header: &Header, rows: &[Row]) -> String {
    let cells = cells(rows);
    let used = used(&cells);
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let mut lines = words(header);
    lines.push(String::new());
    for cells in &cells {
        let padded = used.iter().map(|&column| {
            let cell = &cells[column];
            let pad = " ".repeat(width(column) - cell.chars().count());
            if column < 5 {
                format!("{cell}{pad}")
            } else {
                format!("{pad}{cell}")
            }
        });
        lines.push(padded.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines.extend(notes(rows));
    lines.extend(sentences(rows));
    lines.join("\n")
}

/// The same for a page.
pub(super) fn markdown(header: &Header, rows: &[Row]) -> String {
    let cells = cells(rows);
    let used = used(&cells);
    let mut lines: Vec<String> = words(header).iter().map(|line| format!("- {line}")).collect();
    lines.push(String::new());
    for (index, cells) in cells.iter().enumerate() {
        let said = used.iter().map(|&column| cells[column].replace('|', "\\|"));
        lines.push(format!("| {} |", said.collect::<Vec<_>>().join(" | ")));
        if index == 0 {
            lines.push(format!("|{}", "---|".repeat(used.len())));
        }
    }
    lines.push(String::new());
    lines.extend(
        notes(rows)
            .into_iter()
            .chain(sentences(rows))
            .map(|line| format!("- {line}")),
    );
    lines.join("\n")
}

/// One JSON object a line.
pub(super) fn ndjson(header: &Header, rows: &[Row]) -> Result<String> {
    let mut lines = vec![serde_json::to_string(header)?];
    for row in rows {
        lines.push(serde_json::to_string(row)?);
    }
    Ok(lines.join("\n"))
}

/// RFC 4180 with numbers as they are; a row's own key names as titles.
pub(super) fn csv(rows: &[Row]) -> String {
    let columns: [Column; 25] = [
        ("clip", |row| row.clip.clone()),
        ("preset", |row| row.preset.clone()),
        ("rung", |row| row.rung.clone()),
        ("jobs", |row| row.jobs.to_string()),
        ("by", |row| row.by.clone()),
        ("wall_s", |row| plain(row.wall_s.as_ref().map(|wall| wall.median))),
        ("wall_mad_s", |row| plain(row.wall_s.as_ref().map(|wall| wall.mad))),
        ("cpu_s", |row| plain(row.cpu_s.as_ref().map(|cpu| cpu.median))),
        ("speed_x", |row| plain(row.speed_x)),
        ("fps", |row| plain(row.fps)),
        ("mpx_s", |row| plain(row.mpx_s)),
        ("cores_busy", |row| plain(row.cores_busy)),
        ("encode_cores_busy", |row| plain(row.encode_cores_busy)),
        ("encode_cores_idle", |row| plain(row.encode_cores_idle)),
        ("memory_bytes_max", |row| plain(row.memory_bytes_max)),
        ("first_packet_s", |row| plain(row.first_packet_s)),
        ("job_p95_s", |row| plain(row.job_p95_s)),
        ("out_bytes", |row| row.out_bytes.to_string()),
        ("psnr", |row| plain(row.quality.map(|score| score.psnr))),
        ("ssim", |row| plain(row.quality.map(|score| score.ssim))),
        ("vmaf", |row| plain(row.vmaf)),
        ("vmaf_neg", |row| plain(row.vmaf_neg)),
        ("same_packets", |row| same(row).to_owned()),
        ("wall_ratio", |row| plain(row.wall_ratio)),
        ("note", |row| row.note.clone().unwrap_or_default()),
    ];
    let quoted = |cell: String| {
        if cell.contains([',', '"', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    let title = columns.iter().map(|(title, _)| (*title).to_owned());
    let mut lines = vec![title.collect::<Vec<_>>().join(",")];
    for row in rows {
        let cells = columns.iter().map(|(_, cell)| quoted(cell(row)));
        lines.push(cells.collect::<Vec<_>>().join(","));
    }
    lines.join("\r\n")
}

/// On what, with what, how often.
pub(super) fn words(header: &Header) -> Vec<String> {
    let host = &header.host;
    let gib = host
        .memory_bytes
        .map_or_else(String::new, |bytes| format!(", {} GiB", bytes >> 30));
    let load = host.load.map_or_else(String::new, |load| format!(", load {load}"));
    let mut lines = vec![
        format!("{}, {} cores{gib}, Linux {}{load}", host.cpu, host.cores, host.kernel),
        format!("kadr {} on {}", header.kadr, header.libraries),
    ];
    for gpu in &header.gpus {
        let driver = gpu.driver.as_deref().unwrap_or("unknown");
        lines.push(format!("{}, driver {driver}", gpu.name));
    }
    lines.extend(
        header
            .peers
            .iter()
            .map(|peer| format!("{}: {} ({})", peer.name, peer.version, peer.program)),
    );
    let threads = match header.threads {
        0 => "threads as each program chooses".to_owned(),
        threads => format!("{threads} threads"),
    };
    lines.push(format!(
        "{}, {} rounds after {} that do not count, {threads}: {}",
        header.date, header.rounds, header.warm_up, header.command
    ));
    if !header.optimised {
        lines.push("a debug build: its own part of the time means nothing".to_owned());
    }
    lines
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let titles = COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect();
    let rows = rows
        .iter()
        .map(|row| COLUMNS.iter().map(|(_, cell)| cell(row)).collect());
    std::iter::once(titles).chain(rows).collect()
}

/// Columns in which any row says something.
fn used(cells: &[Vec<String>]) -> Vec<usize> {
    let says = |column: &usize| cells.iter().skip(1).any(|line| !line[*column].is_empty());
    (0..COLUMNS.len()).filter(says).collect()
}

fn notes(rows: &[Row]) -> Vec<String> {
    let noted = rows.iter().filter_map(|row| {
        let note = row.note.as_ref()?;
        Some(format!(
            "{} · {} · {} · {} by {}: {note}",
            row.clip, row.preset, row.rung, row.jobs, row.by
        ))
    });
    noted.collect()
}

/// How much faster, for each peer: the geometric mean over all that both did.
fn sentences(rows: &[Row]) -> Vec<String> {
    let mut peers: Vec<&str> = rows
        .iter()
        .filter(|row| row.wall_ratio.is_some())
        .map(|row| &*row.by)
        .collect();
    peers.sort_unstable();
    peers.dedup();
    let sentence = |peer: &&str| {
        let of_peer = rows.iter().filter(|row| row.by == *peer);
        let ratios: Vec<f64> = of_peer.clone().filter_map(|row| row.wall_ratio).collect();
        let same = of_peer
            .clone()
            .filter(|row| matches!(row.same_packets, Some(Same::Identical | Same::ButForSei)));
        let (same, worst) = (same.count(), ratios.iter().copied().fold(0.0, f64::max));
        format!(
            "kadr took {:.3} of {peer}'s time (geometric mean of {}, at most {worst:.3}); {same} of them with the same packets",
            geometric_mean(&ratios),
            ratios.len()
        )
    };
    peers.iter().map(sentence).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len().max(1) as f64).exp()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

fn plain<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn spread(spread: Option<&Spread>) -> String {
    spread.map_or_else(String::new, |spread| {
        format!("{:.3} ± {:.3}", spread.median, spread.mad)
    })
}

fn mebibytes(bytes: Option<u64>) -> String {
    plain(bytes.map(|bytes| bytes >> 20))
}

fn quality(row: &Row) -> String {
    let Some(score) = row.quality else { return String::new() };
    let vmaf = row.vmaf.map_or_else(String::new, |vmaf| format!(" / {vmaf:.2}"));
    format!("{:.2} / {:.4}{vmaf}", score.psnr, score.ssim)
}

fn same(row: &Row) -> &'static str {
    match row.same_packets {
        None => "",
        Some(Same::Identical) => "identical",
        Some(Same::ButForSei) => "but for SEI",
        Some(Same::Different) => "different",
    }
}

fn ratios(row: &Row) -> String {
    let Some(wall) = row.wall_ratio else {
        return String::new();
    };
    let more = [("CPU", row.cpu_ratio), ("memory", row.memory_ratio)];
    let more = more
        .iter()
        .filter_map(|(name, ratio)| Some(format!(", {name} {:.2}", (*ratio)?)));
    format!("{wall:.3}{}", more.collect::<String>())
}
