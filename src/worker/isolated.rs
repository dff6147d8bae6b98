//! The engine in a process of its own: what it is asked, the work itself, and what is believed of its answer.
//!
//! The bot plans nothing with a stranger's file here and opens none with libav. Of what an engine made it sees that it is
//! a file of its own, of the size that was said, and begins as its kind does: no link to another file, no other kind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Options;
use super::engine::{below_the_chat, make};
use crate::crash::point_with;
use crate::job::{BLAME_NAMED, BLAME_UNNAMED, Outlook, Seen, Wish};
use crate::media::isolation::{Errand, Nursery};
use crate::media::preset::Container;
use crate::media::{self, Caps, Control, Limits, Look, MediaError, Recipe, Report};
use crate::workdir::Scratch;

/// A thumbnail that is larger is none.
const THUMBNAIL_BYTES_MAX: u64 = 200_000;

/// What an engine is asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    source: PathBuf,
    what: What,
    caps: Caps,
    limits: Limits,
}

#[derive(Debug, Serialize, Deserialize)]
enum What {
    Convert {
        wish: Wish,
        output: PathBuf,
        thumbnail: PathBuf,
    },
    Look(Vec<Wish>),
}

/// What an engine answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    look: Option<Look>,
    /// Of a conversion: the account, and how long it was expected to take, seconds.
    report: Option<(Report, f64)>,
    /// Of a look: in the order in which it was asked, and what experience says of it.
    outlooks: Vec<(Outlook, Option<bool>)>,
}

/// Does in an engine's process what it was asked.
///
/// # Errors
/// Those of the engine.
pub fn work(order: Order, control: &Control) -> Result<Answer, MediaError> {
    let Order {
        source,
        what,
        caps,
        limits,
    } = order;
    match what {
        What::Convert {
            wish,
            output,
            thumbnail,
        } => {
            let report =
                below_the_chat(|| make((&source, &output, &thumbnail), &wish.recipe, &caps, &limits, control))?;
            Ok(Answer {
                look: report.look.clone(),
                outlooks: Vec::new(),
                report: Some((report.clone(), report.expected_s)),
            })
        }
        What::Look(wishes) => {
            // Beside a bot that is killed where it converts, for a look is done by another process.
            point_with("converting", &source);
            let info = media::probe(&source, &limits, control)?;
            let outlook = |wish: &Wish| match media::forecast::rough(&info, &wish.recipe, &caps) {
                Ok((forecast, learnt)) => (Outlook::Makes(forecast), learnt),
                Err(why) => (Outlook::Refuses(why), None),
            };
            Ok(Answer {
                look: Some(Look::from(&info)),
                report: None,
                outlooks: wishes.iter().map(outlook).collect(),
            })
        }
    }
}

/// Has a conversion done.
pub(super) fn convert(
    nursery: &Nursery,
    scratch: &Scratch,
    recipe: &Recipe,
    options: &Options,
    control: &Control,
) -> Result<Report, MediaError> {
    let order = Order {
        source: scratch.source.clone(),
        what: What::Convert {
            wish: Wish {
                recipe: *recipe,
                as_file: false,
            },
            output: scratch.output.clone(),
            thumbnail: scratch.thumbnail.clone(),
        },
        caps: in_turns(options.machine.caps()),
        limits: options.limits.clone(),
    };
    let answered = ask(nursery, &order, Some(&scratch.folder), options.time_limit, control);
    // It was killed, or died: what it had begun is nobody's.
    if answered.is_err() {
        remove_begun(&scratch.folder);
    }
    let answer = answered?;
    let Some((report, expected_s)) = answer.report else {
        return Err(unbelievable("no report"));
    };
    check_output(&scratch.output, recipe.preset.contract().container, report.out_bytes)?;
    if !is_thumbnail(&scratch.thumbnail) {
        let _ = fs::remove_file(&scratch.thumbnail);
    }
    Ok(Report {
        input: scratch.source.clone(),
        output: scratch.output.clone(),
        expected_s,
        look: answer.look,
        ..report
    })
}

/// No process sees which seats the others have taken: each begins with another GPU.
fn in_turns(mut caps: Caps) -> Caps {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let turn = TURN.fetch_add(1, Relaxed).checked_rem(caps.gpus.len());
    caps.gpus.rotate_left(turn.unwrap_or(0));
    caps
}

/// Has a file looked at.
pub(super) fn look(
    nursery: &Nursery,
    source: PathBuf,
    wishes: Vec<Wish>,
    options: &Arc<Options>,
    limit: Duration,
) -> Result<Seen, MediaError> {
    let order = Order {
        source,
        what: What::Look(wishes.clone()),
        caps: options.machine.caps(),
        limits: options.limits.clone(),
    };
    let answer = ask(nursery, &order, None, limit, &Control::new(Some(limit)))?;
    let Some(look) = answer.look.filter(|_| answer.outlooks.len() == wishes.len()) else {
        return Err(unbelievable("no look, or not at what was asked"));
    };
    let experience = options.machine.experience();
    let learnt = |(wish, (outlook, learnt)): (Wish, (Outlook, Option<bool>))| match outlook {
        Outlook::Makes(forecast) => {
            let forecast = experience.correct(&wish.recipe, (forecast, learnt));
            (wish, Outlook::Makes(forecast))
        }
        Outlook::Refuses(why) => (wish, Outlook::Refuses(why)),
    };
    Ok(Seen {
        outlooks: wishes.into_iter().zip(answer.outlooks).map(learnt).collect(),
        look,
    })
}

/// What a death is worth. The kernel kills so when memory is out, and so does who stands at the machine: it may be the
/// file's doing, and often is not.
pub(super) fn blame_of(signal: i32) -> u32 {
    if signal == libc::SIGKILL {
        BLAME_UNNAMED
    } else {
        BLAME_NAMED
    }
}

fn ask(
    nursery: &Nursery,
    order: &Order,
    folder: Option<&Path>,
    limit: Duration,
    control: &Control,
) -> Result<Answer, MediaError> {
    let errand = Errand {
        source: &order.source,
        folder,
        // A look plans, and opens no device.
        gpu: folder.is_some() && !order.caps.gpus.is_empty(),
        confine: order.limits.confine,
        limit,
    };
    nursery.ask(&errand, order, control)
}

/// Temporary files begin with a dot, ours and those of libraries.
fn remove_begun(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")) {
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
        if let Err(error) = removed {
            tracing::debug!(%error, "what an engine had begun stays until its job is over");
        }
    }
}

fn unbelievable(what: impl Into<String>) -> MediaError {
    MediaError::Unverified(what.into())
}

fn check_output(path: &Path, container: Container, bytes: u64) -> Result<(), MediaError> {
    let (size, head) = head_of(path).map_err(|error| unbelievable(format!("the output: {error}")))?;
    let right = match container {
        Container::Mp4 | Container::M4a => head[4..8] == *b"ftyp",
        Container::Ogg => head.starts_with(b"OggS"),
        Container::WebM => head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]),
        Container::Jpeg => head.starts_with(&[0xff, 0xd8]),
    };
    if !right || size != bytes {
        return Err(unbelievable(format!(
            "{size} bytes that do not begin as {container:?}, or not the {bytes} that were said"
        )));
    }
    Ok(())
}

fn is_thumbnail(path: &Path) -> bool {
    head_of(path).is_ok_and(|(size, head)| size < THUMBNAIL_BYTES_MAX && head.starts_with(&[0xff, 0xd8]))
}

/// Size and first bytes of a file that has this one name.
fn head_of(path: &Path) -> io::Result<(u64, [u8; 8])> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::other("not a file of its own"));
    }
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    Ok((metadata.len(), head))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_output_is_believed_by_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let film = b"\0\0\0\x18ftypisom";
        fs::write(at("film"), film).expect("a file");
        let check = |name: &str, bytes| check_output(&at(name), Container::Mp4, bytes).is_ok();
        assert!(check("film", 12));
        assert!(!check("film", 13) && !check("missing", 12));
        symlink(at("film"), at("link")).expect("a link");
        assert!(!check("link", 12), "a link may lead anywhere");
        fs::hard_link(at("film"), at("second")).expect("a second name");
        assert!(!check("film", 12), "the file is also another's");
        fs::write(at("words"), "no film at all").expect("a file");
        assert!(!check("words", 14));
    }
}
