//! Rules that matter, held by reading the source: the floors, and the foreign words that stay at home.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor; a module imports only from lower floors and from itself.
const FLOORS: [(&str, u32); 13] = [
    ("crash", 0),
    ("media", 0),
    ("metrics", 0),
    ("job", 1),
    ("courier", 2),
    ("store", 2),
    ("workdir", 2),
    ("worker", 3),
    ("telegram", 3),
    ("playground", 3),
    ("watch", 3),
    ("config", 4),
    ("command", 5),
];

/// Words and the only places where they may stand.
const AT_HOME: [(&str, &[&str]); 12] = [
    ("prometheus::", &["src/metrics.rs", "src/watch/"]),
    ("unsafe {", &["src/media/ffi/"]),
    ("ffmpeg_next", &["src/media/"]),
    ("teloxide", &["src/telegram/", "src/lib.rs"]),
    ("nvml_wrapper", &["src/media/device/nvml.rs"]),
    ("libloading", &["src/media/ffi/"]),
    ("rayon", &["src/media/"]),
    ("spawn_blocking(", &["src/worker/engine.rs"]),
    ("sqlx::", &["src/store/"]),
    ("process::exit", &["src/main.rs"]),
    ("process::abort", &["src/crash.rs"]),
    ("KADR_TEST_WITHOUT", &["src/media/layers.rs"]),
];

const LINES_MAX: usize = 600;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    assert!(found.len() > 30, "the walk found the source");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn module_of(name: &str) -> &str {
    let rest = name.strip_prefix("src/").unwrap();
    rest.split(['/', '.']).next().unwrap()
}

fn floor_of(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Imports that go up or sideways.
fn wrong_imports(name: &str, text: &str) -> Vec<String> {
    let own = module_of(name);
    let Some(own_floor) = floor_of(own) else {
        return Vec::new();
    };
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("use crate::"))
        .filter_map(|import| {
            let module = import.split([':', ';', ' ']).next().unwrap_or_default();
            let lower = floor_of(module).is_some_and(|floor| floor < own_floor);
            (module != own && !lower).then(|| format!("{name} imports {import}"))
        })
        .collect()
}

#[test]
fn modules_import_only_from_lower_floors() {
    let wrong: Vec<String> = sources()
        .iter()
        .flat_map(|(name, text)| wrong_imports(name, text))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_rule_of_floors_can_fail() {
    assert_eq!(wrong_imports("src/job.rs", "use crate::worker::Worker;").len(), 1);
    assert_eq!(wrong_imports("src/worker.rs", "use crate::telegram::Options;").len(), 1);
    assert_eq!(wrong_imports("src/worker.rs", "use crate::{job, media};").len(), 1);
    assert_eq!(wrong_imports("src/worker.rs", "use crate::job::Job;").len(), 0);
}

#[test]
fn foreign_words_stay_at_home() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (word, homes) in AT_HOME {
            let at_home = homes.iter().any(|home| name.starts_with(home));
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if !at_home && code.into_iter().any(|line| line.contains(word)) {
                wrong.push(format!("{name} says `{word}`"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_room_grows_without_bounds() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(name, lines)| format!("{name} has {lines} lines (limit {LINES_MAX})"))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}
