//! What must not leave the process: tokens in a line of the log or of an error, what a panic quotes of a user, and a
//! memory image.
//!
//! ```text
//! tracing's layers -> Hiding<W> -> bot.log, error.log, stderr   each event is one write, so a token is never cut in two
//! panic            -> `watch_panics` -> tracing
//! errors of a command -> `hidden` -> stderr
//! ```
//! Absent: taking the token out of the environment. `remove_var` is unsafe once threads run, and the environment of a
//! process is read by its own user alone; whoever minds that gives the token in a file.

use std::any::Any;
use std::borrow::Cow;
use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::fmt::MakeWriter;

/// Of a token, `123456:ABC…`: digits before the colon, and word characters after it.
const ID_DIGITS_MIN: usize = 6;
const SECRET_LETTERS_MIN: usize = 30;
const INSTEAD: &[u8] = b"(hidden)";

/// What follows the colon of this process's own token; set once, before anything is logged.
static SECRET: OnceLock<Vec<u8>> = OnceLock::new();

/// Hides a token from now on, whatever it looks like.
pub(super) fn hide(token: &str) {
    let (_, secret) = token.split_once(':').unwrap_or_default();
    if !secret.is_empty() {
        let _ = SECRET.set(secret.as_bytes().to_owned());
    }
}

/// A line without tokens: this process's own, and whatever looks like one.
pub(super) fn hidden(line: &[u8]) -> Cow<'_, [u8]> {
    without(line, SECRET.get().map(Vec::as_slice))
}

fn without<'a>(line: &'a [u8], secret: Option<&[u8]>) -> Cow<'a, [u8]> {
    let mut clean = Vec::new();
    let (mut at, mut kept) = (0, 0);
    while at < line.len() {
        let rest = &line[at..];
        let begins = at == 0 || !line[at - 1].is_ascii_digit();
        let length = match secret {
            Some(secret) if rest.starts_with(secret) => secret.len(),
            _ if begins => token_length(rest),
            _ => 0,
        };
        if length > 0 {
            clean.extend_from_slice(&line[kept..at]);
            clean.extend_from_slice(INSTEAD);
            kept = at + length;
        }
        at += length.max(1);
    }
    if kept == 0 {
        return Cow::Borrowed(line);
    }
    clean.extend_from_slice(&line[kept..]);
    Cow::Owned(clean)
}

/// Bytes of the token that `text` begins with; 0 where it begins with none. In a URL the colon may be written `%3A`.
fn token_length(text: &[u8]) -> usize {
    let count = |text: &[u8], is: fn(&u8) -> bool| text.iter().take_while(|byte| is(byte)).count();
    let digits = count(text, u8::is_ascii_digit);
    let colon = match &text[digits..] {
        [b':', ..] => 1,
        [b'%', b'3', b'A' | b'a', ..] => 3,
        _ => return 0,
    };
    let letters = count(&text[digits + colon..], |byte| {
        byte.is_ascii_alphanumeric() || b"_-".contains(byte)
    });
    if digits >= ID_DIGITS_MIN && letters >= SECRET_LETTERS_MIN {
        digits + colon + letters
    } else {
        0
    }
}

/// Writes lines without tokens.
#[derive(Debug)]
pub(super) struct Hiding<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Hiding<W> {
    type Writer = Hiding<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Hiding(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for Hiding<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&hidden(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Panics go to the log: the place, and the words where they are the programmer's alone. Words that were put together may
/// quote a file's name, as those of a slice at the wrong place do.
pub(super) fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            place,
            thread = std::thread::current().name().unwrap_or_default(),
            words = words_of(panic.payload()),
            "panicked"
        );
    }));
}

fn words_of(payload: &(dyn Any + Send)) -> &'static str {
    let words = payload.downcast_ref::<&'static str>();
    words.copied().unwrap_or("(withheld, they may quote a user)")
}

/// No core dumps. A limit of 0 still feeds a core to a program that the kernel pipes it to; one of 1 byte feeds none, and
/// is too small for a file (core(5)).
pub(super) fn dump_no_core() {
    let hard = getrlimit(Resource::Core).maximum.map_or(1, |hard| hard.min(1));
    let limit = Rlimit {
        current: Some(hard),
        maximum: Some(hard),
    };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::warn!(%error, "core dumps stay on");
    }
}

#[cfg(test)]
mod tests {
    use super::{without, words_of};

    #[track_caller]
    fn check(line: &str, secret: Option<&str>, expected: &str) {
        let clean = without(line.as_bytes(), secret.map(str::as_bytes));
        assert_eq!(std::str::from_utf8(&clean).unwrap_or_default(), expected);
    }

    #[test]
    fn what_looks_like_a_token_is_hidden_wherever_it_stands() {
        let token = format!("123456:{}", "aB3_-".repeat(6));
        check(&token, None, "(hidden)");
        check(
            &format!("get https://h/file/bot{token}/a.mp4 and {token}."),
            None,
            "get https://h/file/bot(hidden)/a.mp4 and (hidden).",
        );
        check(&format!("bot{}/x", token.replace(':', "%3A")), None, "bot(hidden)/x");
        // One digit, one letter fewer.
        let short = token[1..].to_owned();
        check(&short, None, &short);
        let short = token[..token.len() - 1].to_owned();
        check(&short, None, &short);
        check(
            "at 2026-11-26T16:44:13 job 123456: done",
            None,
            "at 2026-11-26T16:44:13 job 123456: done",
        );
    }

    #[test]
    fn the_own_token_is_hidden_whatever_it_looks_like() {
        check(
            "bot1:playground/x 1:playground",
            Some("playground"),
            "bot1:(hidden)/x 1:(hidden)",
        );
        check("nothing here: é", Some("playground"), "nothing here: é");
    }

    #[test]
    fn a_panic_quotes_only_the_programmer() {
        assert_eq!(words_of(&"no such phase"), "no such phase");
        assert!(words_of(&"`Holiday.mp4` is too short".to_owned()).starts_with("(withheld"));
    }
}
