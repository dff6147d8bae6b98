//! The documents, held against the source: errors that are explained exist, and those that exist are explained; the map of the
//! code has every room; links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TROUBLE: &str = "docs/troubleshooting.md";
const MAP: &str = "docs/code.md";
const WORDS: &str = "src/telegram/locales/en/main.ftl";

/// Where an error begins that a person meets, and the files where it does; its first argument is the text, if it is one.
const ERRORS: [(&str, &str); 6] = [
    ("#[error(", "src/"),
    ("UsageError::new(", "src/command/"),
    ("UsageError::failed(", "src/command/"),
    ("refused(", "src/command/jobs.rs"),
    ("bail!(", "src/"),
    ("wrong(", "src/config"),
];

/// Tables of sentences and hints: a file, where in it they begin and end, and what the document has before each.
const TABLES: [(&str, &str, &str, &str); 3] = [
    (
        "src/media/device/diagnosis/mod.rs",
        "pub fn sentence",
        "pub fn hint",
        "",
    ),
    (
        "src/media/device/diagnosis/mod.rs",
        "pub fn hint",
        "#[cfg(test)]",
        "hint: ",
    ),
    ("src/command/mod.rs", "fn hint_for", "fn check_inputs", "hint: "),
];

/// Messages of the bot that refuse or warn.
const REFUSALS: [&str; 11] = [
    "admin-only",
    "batch-unconfirmed",
    "day-full",
    "failed-",
    "not-media",
    "not-served",
    "quarantined",
    "queue-full",
    "too-large",
    "user-queue-full",
    "warning-",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Files below a folder with one extension, by their names from the root.
fn files(folder: &str, extension: &str) -> Vec<String> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(name).collect()
}

/// Placeholders lose their names, and blanks their number: `{mode:04o}`, `{ $size }` and a choice of plurals are all `{}`.
fn plain(text: &str) -> String {
    let (mut depth, mut plain) = (0, String::new());
    for letter in text.chars() {
        match letter {
            '{' => {
                depth += 1;
                if depth == 1 {
                    plain.push_str("{}");
                }
            }
            '}' => depth -= 1,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The string literal that begins here with its quotation mark, and what follows it.
fn literal(source: &str) -> Option<(String, &str)> {
    let rest = source.strip_prefix('"')?;
    let mut said = String::new();
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((said, &rest[at + 1..])),
            '\\' => match letters.next()?.1 {
                // A line that goes on: its indent belongs to nobody.
                '\n' => {
                    while letters.clone().next().is_some_and(|(_, next)| next == ' ') {
                        letters.next();
                    }
                }
                'n' => said.push(' '),
                other => said.push(other),
            },
            other => said.push(other),
        }
    }
    None
}

/// Every string literal of a Rust source, but for raw ones: no error is one.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some((said, after)) = literal(rest) {
            found.push(said);
            rest = after;
        } else if rest.starts_with(r#"'"'"#) || rest.starts_with(r"'\''") || rest.starts_with(r#"'\"'"#) {
            rest = &rest[if rest.starts_with(r"'\") { 4 } else { 3 }..];
        } else {
            rest = &rest[letter.len_utf8()..];
        }
    }
    found
}

/// The first argument after each `mark`, where it is a text or a `format!` of one.
fn arguments(source: &str, mark: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let after = code.match_indices(mark).map(|(at, _)| &code[at + mark.len()..]);
    let text = after.filter_map(|after| {
        let after = after.trim_start().trim_start_matches('&');
        let after = after.strip_prefix("format!(").unwrap_or(after).trim_start();
        literal(after).map(|(said, _)| said)
    });
    text.collect()
}

/// Messages of a Fluent file: name and text.
fn messages(source: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in source.lines() {
        match (
            line.starts_with([' ', '}', '*']),
            line.split_once(" = "),
            found.last_mut(),
        ) {
            (false, Some((name, said)), _) => found.push((name.to_owned(), said.to_owned())),
            (_, _, Some((_, said))) => {
                said.push(' ');
                said.push_str(line);
            }
            _ => {}
        }
    }
    found
}

/// Code spans of Markdown, with any number of backticks around them.
fn spans(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let after = rest[at..].trim_start_matches('`');
        let fence = &rest[at..rest.len() - after.len()];
        let closes = |end: &usize| !after[..*end].ends_with('`') && !after[end + fence.len()..].starts_with('`');
        let Some(end) = after.match_indices(fence).map(|(end, _)| end).find(closes) else {
            break;
        };
        found.push(after[..end].trim().replace("\\|", "|"));
        rest = &after[end + fence.len()..];
    }
    found
}

/// What the document says that kadr says: the first cell of each row, and each hint.
fn explained(document: &str) -> BTreeSet<String> {
    let first = |line: &str| line.strip_prefix("| `").and_then(|_| spans(line).into_iter().next());
    let hints = |line| spans(line).into_iter().filter(|span| span.starts_with("hint: "));
    let texts = document
        .lines()
        .flat_map(|line| first(line).into_iter().chain(hints(line)));
    texts.map(|said| plain(&said)).collect()
}

/// What kadr can say.
fn said() -> BTreeSet<String> {
    let mut sources = files("src", "rs");
    sources.push("build.rs".to_owned());
    assert!(sources.len() > 100, "the walk found the source");
    let rust = sources.iter().flat_map(|name| literals(&text(name)));
    let chat = messages(&text(WORDS)).into_iter().map(|(_, said)| said);
    let build = |said: String| plain(said.strip_prefix("cargo::error=").unwrap_or(&said));
    rust.chain(chat).map(build).collect()
}

fn unknown(explained: &BTreeSet<String>, said: &BTreeSet<String>) -> Vec<String> {
    let known =
        |text: &&String| said.contains(*text) || text.strip_prefix("hint: ").is_some_and(|hint| said.contains(hint));
    explained.iter().filter(|text| !known(text)).cloned().collect()
}

/// Errors of the source, as the document must have them. What is made of placeholders alone has nothing to search for.
fn errors() -> BTreeSet<String> {
    let mut found = Vec::new();
    for name in files("src", "rs") {
        for (mark, place) in ERRORS {
            if name.starts_with(place) {
                found.extend(arguments(&text(&name), mark));
            }
        }
    }
    for (name, from, to, before) in TABLES {
        let source = text(name);
        let table = &source[source.find(from).unwrap()..];
        let table = &table[..table.find(to).unwrap()];
        found.extend(literals(table).into_iter().map(|said| format!("{before}{said}")));
    }
    let refusals = messages(&text(WORDS));
    let refuses = |name: &str| REFUSALS.iter().any(|own| name.starts_with(own));
    found.extend(
        refusals
            .into_iter()
            .filter(|(name, _)| refuses(name))
            .map(|(_, said)| said),
    );
    let has_words = |text: &String| text.replace("{}", "").chars().any(char::is_alphabetic);
    found.iter().map(|said| plain(said)).filter(has_words).collect()
}

#[test]
fn what_is_explained_is_said() {
    let explained = explained(&text(TROUBLE));
    assert!(explained.len() > 150, "the document was read: {}", explained.len());
    assert_eq!(
        unknown(&explained, &said()),
        Vec::<String>::new(),
        "in {TROUBLE} and not in the source"
    );
}

#[test]
fn what_is_said_is_explained() {
    let errors = errors();
    assert!(errors.len() > 120, "the source was read: {}", errors.len());
    let explained = explained(&text(TROUBLE));
    let missing: Vec<_> = errors.difference(&explained).collect();
    assert!(missing.is_empty(), "in the source and not in {TROUBLE}: {missing:#?}");
}

#[test]
fn the_reading_of_errors_can_fail() {
    let document =
        "| `` `{path}` is gone `` | why | `hint: look` |\n| `{count} inputs` | why | `` hint: see `kadr -h` `` |";
    let explained = explained(document);
    assert_eq!(
        explained.iter().map(String::as_str).collect::<Vec<_>>(),
        ["`{}` is gone", "hint: look", "hint: see `kadr -h`", "{} inputs"]
    );
    let source = "let a = '\"'; // \"a remark\"\nwrong(\n    format!(\"`{}` is \\\n     gone\", 1),\n    \"look\",\n)";
    let said: BTreeSet<String> = literals(source).iter().map(|said| plain(said)).collect();
    assert_eq!(
        said.iter().map(String::as_str).collect::<Vec<_>>(),
        ["`{}` is gone", "look"]
    );
    assert_eq!(unknown(&explained, &said), ["hint: see `kadr -h`", "{} inputs"]);
    assert_eq!(arguments(source, "wrong("), ["`{}` is gone"]);
    let fluent =
        "full = You have { $count ->\n    [one] { $count } file\n   *[other] files\n} waiting.\nnext = a { $b }";
    let messages = messages(fluent);
    assert_eq!(plain(&messages[0].1), "You have {} waiting.");
    assert_eq!(plain(&messages[1].1), "a {}");
}

/// Modules of the upper two levels: `media`, `media/probe`, `telegram/text`; `main` and `lib` are told anyway.
fn rooms() -> BTreeSet<String> {
    let rooms = files("src", "rs").into_iter().filter_map(|name| {
        let room = name.strip_prefix("src/")?.strip_suffix(".rs")?.to_owned();
        let room = room.strip_suffix("/mod").map(str::to_owned).unwrap_or(room);
        Some(room.split('/').take(2).collect::<Vec<_>>().join("/"))
    });
    rooms.collect()
}

/// Rooms that a map lacks, and names of rooms on it that are none.
fn astray(map: &str, rooms: &BTreeSet<String>) -> [Vec<String>; 2] {
    let first = |line: &str| line.strip_prefix("| `").and_then(|_| spans(line).into_iter().next());
    let named: BTreeSet<String> = map.lines().filter_map(first).collect();
    let lacks = |from: &BTreeSet<String>, of: &BTreeSet<String>| from.difference(of).cloned().collect();
    [lacks(rooms, &named), lacks(&named, rooms)]
}

#[test]
fn the_map_of_the_code_has_every_room() {
    let rooms = rooms();
    assert!(rooms.len() > 100, "the walk found the rooms: {}", rooms.len());
    let nothing = Vec::<String>::new();
    assert_eq!(
        astray(&text(MAP), &rooms),
        [nothing.clone(), nothing],
        "not on {MAP}; on it and no room"
    );
    let two = BTreeSet::from(["job".to_owned(), "media/probe".to_owned()]);
    let map = "| `job` | nouns |\n| `media/prob` | misspelt |";
    assert_eq!(astray(map, &two), [["media/probe"], ["media/prob"]]);
}

/// Words that begin so: `KADR_JOBS` and `kadr_jobs_total` are names of settings and metrics.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = words.filter(|word| word.starts_with("KADR_") || word.starts_with("kadr_"));
    named.map(str::to_owned).collect()
}

#[test]
fn settings_and_metrics_that_documents_name_are_there() {
    let scripts = fs::read_dir(root().join("ci"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut there: BTreeSet<String> = scripts
        .flat_map(|path| names(&fs::read_to_string(path).unwrap()))
        .collect();
    for name in files("src", "rs").into_iter().chain(files("tests/it", "rs")) {
        there.extend(names(&text(&name)));
    }
    for name in files("docs", "md")
        .into_iter()
        .chain(["README.md", "README.ru.md"].map(str::to_owned))
    {
        let missing: Vec<_> = names(&text(&name)).difference(&there).cloned().collect();
        assert_eq!(missing, Vec::<String>::new(), "named by {name} and nowhere else");
    }
    assert!(there.len() > 50, "the walk found them: {}", there.len());
    assert_eq!(
        names("`KADR_JOBS=3`, kadr_slots{a}"),
        BTreeSet::from(["KADR_JOBS", "kadr_slots"].map(str::to_owned))
    );
}

/// GitHub's name of a heading: small letters, hyphens for blanks, no other marks.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
        .collect()
}

/// Links of a document that lead nowhere, by its name from the root.
fn lost(name: &str, document: &str) -> Vec<String> {
    let folder = Path::new(name).parent().unwrap();
    let links = document.split("](").skip(1).filter_map(|after| after.split(')').next());
    let leads = |link: &&str| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() {
            PathBuf::from(name)
        } else {
            folder.join(path)
        };
        let Ok(there) = fs::read(root().join(&target)) else {
            return root().join(&target).is_dir() && heading.is_empty();
        };
        let there = String::from_utf8_lossy(&there).into_owned();
        let headings = there.lines().filter(|line| line.starts_with('#'));
        heading.is_empty()
            || headings
                .into_iter()
                .any(|line| anchor(line.trim_start_matches('#').trim()) == heading)
    };
    let own = links.filter(|link| !link.starts_with("http"));
    own.filter(|link| !leads(link))
        .map(|link| format!("{name}: {link}"))
        .collect()
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(["README.md", "README.ru.md", "tests/data/README.md"].map(str::to_owned));
    let lost_ones: Vec<String> = documents.iter().flat_map(|name| lost(name, &text(name))).collect();
    assert_eq!(lost_ones, Vec::<String>::new());
    let bad = "[a](docs/none.md) [b](README.md#no-such-heading) [c](#privacy-and-licence) [d](docs)";
    assert_eq!(
        lost("README.md", bad),
        ["README.md: docs/none.md", "README.md: README.md#no-such-heading"]
    );
}
