//! What changed since an older run, beyond noise.
//!
//! A row changed where its median moved by more than 3 % and by more than both spreads together (their scaled MADs, see
//! [`Spread`]); bytes and quality, which have no noise, where they moved at all.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::super::UsageError;
use super::row::{Header, Row, SCHEMA, Spread};

/// What is put down to the machine, whatever the spread says.
const NOISE: f64 = 0.03;

/// Reads what `--save` or `--format ndjson` wrote.
pub(super) fn read(path: &Path) -> Result<(Header, Vec<Row>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let wrong = |what: String| {
        UsageError::new(
            format!("`{}` is not a bench: {what}", path.display()),
            "give a file that `kadr bench --save` wrote",
        )
    };
    let header: Header =
        serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| wrong(error.to_string()))?;
    if header.schema != SCHEMA {
        return Err(wrong(format!("schema {} (this kadr reads {SCHEMA})", header.schema)).into());
    }
    let rows: Result<Vec<Row>, _> = lines.map(serde_json::from_str).collect();
    Ok((header, rows.map_err(|error| wrong(error.to_string()))?))
}

/// A line a change, and one that counts them.
pub(super) fn words(old: &[Row], new: &[Row]) -> String {
    let mut lines = String::new();
    let (mut compared, mut faster, mut slower) = (0, 0, 0);
    for row in new {
        let before = old
            .iter()
            .find(|before| before.work() == row.work() && before.by == row.by);
        let Some(before) = before else { continue };
        compared += 1;
        let mut said = Vec::new();
        if let (Some(then), Some(now)) = (&before.wall_s, &row.wall_s)
            && let Some(change) = change(then, now)
        {
            *(if change < 0.0 { &mut faster } else { &mut slower }) += 1;
            said.push(format!(
                "{:+.1} % time ({:.3} -> {:.3} s)",
                change * 100.0,
                then.median,
                now.median
            ));
        }
        if let (Some(then), Some(now)) = (&before.cpu_s, &row.cpu_s)
            && let Some(change) = change(then, now)
        {
            said.push(format!("{:+.1} % CPU", change * 100.0));
        }
        if before.out_bytes != row.out_bytes {
            said.push(format!("{} -> {} bytes", before.out_bytes, row.out_bytes));
        }
        if let (Some(then), Some(now)) = (before.quality, row.quality)
            && (then.psnr - now.psnr).abs() > 0.005
        {
            said.push(format!("PSNR {:.2} -> {:.2} dB", then.psnr, now.psnr));
        }
        if !said.is_empty() {
            let (clip, preset, rung, jobs) = row.work();
            let _ = writeln!(
                lines,
                "{clip} · {preset} · {rung} · {jobs} by {}: {}",
                row.by,
                said.join(", ")
            );
        }
    }
    let _ = write!(
        lines,
        "since then: {faster} faster, {slower} slower of {compared} (more than 3 % and than both spreads together)"
    );
    lines
}

/// The relative change of the median; `None` within noise.
fn change(then: &Spread, now: &Spread) -> Option<f64> {
    let moved = now.median - then.median;
    let relative = moved / then.median;
    (relative.abs() > NOISE && moved.abs() > then.mad + now.mad).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(wall: &[f64], out_bytes: u64) -> Row {
        Row {
            by: "kadr".to_owned(),
            wall_s: Spread::of(wall),
            out_bytes,
            ..Row::default()
        }
    }

    #[test]
    fn noise_is_no_change() {
        let old = [row(&[1.0, 1.02, 0.98], 5)];
        assert!(words(&old, &[row(&[1.02, 1.04, 1.0], 5)]).starts_with("since then: 0 faster, 0 slower of 1"));
        // Ten per cent, within a spread of twenty.
        let wide = [row(&[1.0, 1.2, 0.8], 5)];
        assert!(words(&wide, &[row(&[1.1, 1.3, 0.9], 5)]).starts_with("since then: 0 faster, 0 slower"));
    }

    #[test]
    fn what_lies_outside_both_spreads_is_told() {
        let old = [row(&[1.0, 1.02, 0.98], 5)];
        let said = words(&old, &[row(&[0.8, 0.81, 0.79], 4)]);
        assert!(
            said.contains("-20.0 % time") && said.contains("5 -> 4 bytes") && said.contains("1 faster"),
            "{said}"
        );
        assert!(words(&[], &old).contains("of 0"));
    }
}
