//! Update -> what is wanted. Pure: no store, no network, no clock.

use teloxide::types::{FileMeta, Message, MessageKind, Update, UpdateKind};

use super::keyboard::offers;
use super::wish::{self, Fault, Reading};
use crate::job::{Announced, ChatId, JobId, Lang, MessageId, Source, UserId, Wish};

/// Who wrote, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The chat.
    pub chat: ChatId,
    /// The person.
    pub user: UserId,
    /// The message that was written or whose button was pressed.
    pub message: MessageId,
    /// The chat's topic, where it has topics.
    pub topic: Option<i64>,
    /// The album that the message is of, by the platform's name for it.
    pub album: Option<String>,
    /// When a message of the person's own came, Unix seconds; not for one that is answered or pressed.
    pub date_s: Option<i64>,
    /// Whether more than two are in the chat.
    pub group: bool,
    /// The person's Telegram language (IETF tag).
    pub language_code: Option<String>,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `/start`
    Start,
    /// `/help`
    Help,
    /// `/cancel`, of all, or `/cancel N`
    Cancel(Option<JobId>),
    /// `/convert` that answers no file
    Convert,
    /// `/auto WISH` or `/auto off`: what becomes of every file of this chat
    Auto(Auto),
    /// `/info` that answers no file
    Info,
    /// `/again`
    Again,
    /// `/forget_me`
    ForgetMe,
    /// `/stats`, for admins
    Stats,
    /// `/jobs`, for admins
    Jobs,
    /// `/ban USER`, for admins
    Ban(Option<UserId>),
    /// `/allow USER`, for admins
    Allow(Option<UserId>),
    /// `/drain` or `/drain off`, for admins
    Drain(bool),
    /// `/quarantine lift`, for admins
    Quarantine {
        /// Lets all files in again.
        lift: bool,
    },
    /// `/queue`
    Queue,
    /// `/settings`
    Settings,
}

/// What is to become of every file of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auto {
    /// It was not said.
    Unsaid,
    /// It cannot be followed.
    Wrong {
        /// The words at fault.
        given: String,
        /// What is wrong with them.
        fault: Fault,
    },
    /// Nothing that nobody asks for.
    Off,
    /// This.
    Wish(Wish),
}

/// A button, as its callback data says. At most 64 bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    /// What the next file shall become.
    Next(Wish),
    /// What the file of this card shall become.
    Choose(Wish),
    /// More choices on this card, or the first ones again.
    More(bool),
    /// Something else of this job's source.
    Redo(JobId),
    /// The same as this job, in the most bytes that the chat takes.
    Fit(JobId),
    /// End this job.
    Cancel(JobId),
    /// Do this job again.
    Retry(JobId),
    /// What happens to a file without asking; `None` asks.
    Default(Option<Wish>),
    /// The language; `None` follows Telegram.
    Language(Option<Lang>),
}

impl Press {
    /// The data for a button.
    #[must_use]
    pub fn data(&self) -> String {
        match self {
            Self::Next(wish) => format!("n:{wish}"),
            Self::Choose(wish) => format!("c:{wish}"),
            Self::More(more) => format!("m:{}", u8::from(*more)),
            Self::Redo(job) => format!("a:{}", job.0),
            Self::Fit(job) => format!("f:{}", job.0),
            Self::Cancel(job) => format!("x:{}", job.0),
            Self::Retry(job) => format!("r:{}", job.0),
            Self::Default(wish) => format!("d:{}", wish.map_or("ask".to_owned(), |wish| wish.to_string())),
            Self::Language(None) => "l:auto".to_owned(),
            Self::Language(Some(Lang::En)) => "l:en".to_owned(),
            Self::Language(Some(Lang::Ru)) => "l:ru".to_owned(),
        }
    }

    pub(super) fn parse(data: &str) -> Option<Self> {
        let (kind, value) = data.split_once(':')?;
        let job = || value.parse().ok().map(JobId);
        let wish = || value.parse().ok().filter(|wish| offers(*wish));
        match kind {
            "n" => wish().map(Self::Next),
            "c" => wish().map(Self::Choose),
            "m" => Some(Self::More(value == "1")),
            "a" => job().map(Self::Redo),
            "f" => job().map(Self::Fit),
            "x" => job().map(Self::Cancel),
            "r" => job().map(Self::Retry),
            "d" if value == "ask" => Some(Self::Default(None)),
            "d" => wish().map(|wish| Self::Default(Some(wish))),
            "l" => match value {
                "auto" => Some(Self::Language(None)),
                "en" => Some(Self::Language(Some(Lang::En))),
                "ru" => Some(Self::Language(Some(Lang::Ru))),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What an update wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// A file to convert, and what was said with it.
    File(Source, Reading),
    /// A file in a group that nobody asked anything of.
    Overheard(Source),
    /// What this file is.
    Info(Source),
    /// A file that the platform would not hand out.
    TooLarge {
        /// As announced, bytes.
        size_bytes: u64,
    },
    /// A document that says itself that it is no video.
    NotMedia,
    /// A command.
    Command(Command),
    /// A button.
    Press {
        /// To be answered, whatever it was.
        query: String,
        /// `None` where the data is not ours.
        press: Option<Press>,
    },
    /// Words, in a private chat.
    Words,
    /// Nothing for us.
    Ignore,
}

/// Reads an update. `me` is the bot's user name, `size_bytes_max` what the platform hands out.
#[must_use]
pub fn read(update: &Update, me: &str, size_bytes_max: u64) -> Option<(Sender, Intake)> {
    match &update.kind {
        UpdateKind::Message(message) => {
            let from = message.from.as_ref()?;
            let mut sender = Sender {
                chat: ChatId(message.chat.id.0),
                user: UserId(from.id.0.cast_signed()),
                message: MessageId(message.id.0.into()),
                topic: message.thread_id.map(|topic| topic.0.0.into()),
                album: message.media_group_id().map(|album| album.0.clone()),
                date_s: Some(message.date.timestamp()),
                group: !message.chat.is_private(),
                language_code: from.language_code.clone(),
            };
            let asked = message.text().and_then(|text| command(text, me));
            if let (Some(Command::Info), Some(answered)) = (asked, message.reply_to_message())
                && let Some(source) = source_of(answered)
            {
                sender.message = MessageId(answered.id.0.into());
                return Some((sender, Intake::Info(source)));
            }
            // Words that answer a file are about that file, whoever sent it.
            if let (Some(said), Some(answered)) = (asked_in(message, me), message.reply_to_message())
                && file_of(answered).is_some()
            {
                sender.message = MessageId(answered.id.0.into());
                sender.date_s = None;
                return Some((sender, of_file(answered, said, size_bytes_max, false)));
            }
            let intake = of_message(message, me, size_bytes_max, sender.group);
            Some((sender, intake))
        }
        UpdateKind::CallbackQuery(query) => {
            let message = query.message.as_ref()?;
            let sender = Sender {
                chat: ChatId(message.chat().id.0),
                user: UserId(query.from.id.0.cast_signed()),
                message: MessageId(message.id().0.into()),
                topic: None,
                album: None,
                date_s: None,
                group: !message.chat().is_private(),
                language_code: query.from.language_code.clone(),
            };
            let press = query.data.as_deref().and_then(Press::parse);
            Some((
                sender,
                Intake::Press {
                    query: query.id.0.clone(),
                    press,
                },
            ))
        }
        _ => None,
    }
}

fn of_message(message: &Message, me: &str, size_bytes_max: u64, group: bool) -> Intake {
    // Joins, pins, calls and the like.
    if !matches!(message.kind, MessageKind::Common(_)) {
        return Intake::Ignore;
    }
    if let Some(text) = message.text() {
        return match command(text, me) {
            Some(command) => Intake::Command(command),
            None if group => Intake::Ignore,
            None => Intake::Words,
        };
    }
    let caption = message.caption().unwrap_or_default();
    let named = after_command(caption, me).or_else(|| after_mention(caption, me));
    let to_us = message
        .reply_to_message()
        .and_then(|answered| answered.from.as_ref()?.username.as_ref())
        .is_some_and(|name| name.eq_ignore_ascii_case(me));
    let intake = of_file(message, wish::read(named.unwrap_or(caption)), size_bytes_max, group);
    match intake {
        // An admin bot sees every file of its groups: one that is not meant for us is left alone.
        Intake::File(source, _) if group && named.is_none() && !to_us => Intake::Overheard(source),
        Intake::TooLarge { .. } if group && named.is_none() && !to_us => Intake::Ignore,
        intake => intake,
    }
}

/// What follows the bot's name. A longer name that begins with it, or an address that ends with it, is somebody else.
fn after_mention<'a>(text: &'a str, me: &str) -> Option<&'a str> {
    let mention = format!("@{me}");
    let bytes = text.as_bytes();
    let of_name = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let at = (0..bytes.len()).find(|&at| {
        let end = at + mention.len();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let named = bytes
            .get(at..end)
            .is_some_and(|place| place.eq_ignore_ascii_case(mention.as_bytes()));
        named && !of_name(before) && !of_name(bytes.get(end))
    })?;
    text.get(at + mention.len()..)
}

/// What follows `/convert`.
fn after_command<'a>(text: &'a str, me: &str) -> Option<&'a str> {
    let asks = matches!(command(text, me)?, Command::Convert);
    asks.then(|| text.split_once(char::is_whitespace).map_or("", |(_, words)| words))
}

/// What is asked of the file that a message answers: `/convert`, with words or without, or a mention of the bot.
fn asked_in(message: &Message, me: &str) -> Option<Reading> {
    let text = message.text()?;
    let words = if text.starts_with('/') {
        after_command(text, me)?
    } else {
        after_mention(text, me)?
    };
    // After a command every word is meant for us.
    Some(wish::read_all(
        words.trim_matches(|letter: char| letter.is_whitespace() || letter == ','),
    ))
}

fn of_file(message: &Message, said: Reading, size_bytes_max: u64, group: bool) -> Intake {
    // An animation comes with a document that describes the same file.
    let is_no_media = message.animation().is_none()
        && message
            .document()
            .and_then(|document| document.mime_type.as_ref())
            .is_some_and(|mime| is_surely_no_media(mime.essence_str()));
    match file_of(message) {
        Some(_) if is_no_media && group => Intake::Ignore,
        Some(_) if is_no_media => Intake::NotMedia,
        None if group => Intake::Ignore,
        None => Intake::NotMedia,
        Some(file) if u64::from(file.size) > size_bytes_max => Intake::TooLarge {
            size_bytes: file.size.into(),
        },
        Some(file) => Intake::File(source_of_file(message, file), said),
    }
}

fn source_of(message: &Message) -> Option<Source> {
    file_of(message).map(|file| source_of_file(message, file))
}

fn source_of_file(message: &Message, file: &FileMeta) -> Source {
    Source {
        file_id: file.id.0.clone(),
        file_unique_id: file.unique_id.0.clone(),
        size_bytes: (file.size > 0).then_some(file.size.into()),
        announced: announced(message),
    }
}

fn file_of(message: &Message) -> Option<&FileMeta> {
    message
        .video()
        .map(|video| &video.file)
        .or_else(|| message.animation().map(|animation| &animation.file))
        .or_else(|| message.video_note().map(|note| &note.file))
        .or_else(|| message.audio().map(|audio| &audio.file))
        .or_else(|| message.voice().map(|voice| &voice.file))
        .or_else(|| message.document().map(|document| &document.file))
}

/// What the platform says of a picture or a sound before anybody looked into the file.
fn announced(message: &Message) -> Announced {
    let of = |duration_s: u32, width: u32, height: u32| Announced {
        duration_s,
        width,
        height,
    };
    if let Some(video) = message.video() {
        of(video.duration.seconds(), video.width, video.height)
    } else if let Some(animation) = message.animation() {
        of(animation.duration.seconds(), animation.width, animation.height)
    } else if let Some(note) = message.video_note() {
        of(note.duration.seconds(), note.length, note.length)
    } else if let Some(audio) = message.audio() {
        of(audio.duration.seconds(), 0, 0)
    } else if let Some(voice) = message.voice() {
        of(voice.duration.seconds(), 0, 0)
    } else {
        Announced::default()
    }
}

/// Names and types lie, so only what is surely no video is turned away before the probe looks.
fn is_surely_no_media(mime: &str) -> bool {
    let starts = [
        "text/",
        "font/",
        "application/vnd.openxmlformats",
        "application/vnd.oasis",
    ];
    let whole = [
        "application/pdf",
        "application/zip",
        "application/msword",
        "application/x-rar-compressed",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/vnd.android.package-archive",
        "image/jpeg",
        "image/png",
    ];
    starts.iter().any(|start| mime.starts_with(start)) || whole.contains(&mime)
}

/// `/word`, `/word@me` or either with words after it; a command to another bot is none of ours.
fn command(text: &str, me: &str) -> Option<Command> {
    let first = text.strip_prefix('/')?.split_whitespace().next()?;
    let (word, to) = first.split_once('@').unwrap_or((first, me));
    if !to.eq_ignore_ascii_case(me) {
        return None;
    }
    let value = text.split_whitespace().nth(1);
    let number = || value.and_then(|value| value.trim_start_matches(['j', '#', '№']).parse().ok());
    match word {
        "start" => Some(Command::Start),
        "help" => Some(Command::Help),
        // A number that does not read is no job's, and not all of them.
        "cancel" => Some(Command::Cancel(value.map(|_| JobId(number().unwrap_or(0))))),
        "convert" => Some(Command::Convert),
        "auto" => Some(Command::Auto(match text.split_once(char::is_whitespace) {
            None => Auto::Unsaid,
            Some((_, words)) if words.trim() == "off" => Auto::Off,
            Some((_, words)) => match wish::read_all(words) {
                Reading::Wish(wish) => Auto::Wish(wish),
                Reading::Wrong { given, fault } => Auto::Wrong { given, fault },
                Reading::Other => Auto::Unsaid,
            },
        })),
        "info" => Some(Command::Info),
        "again" => Some(Command::Again),
        "forget_me" => Some(Command::ForgetMe),
        "stats" => Some(Command::Stats),
        "jobs" => Some(Command::Jobs),
        "ban" => Some(Command::Ban(number().map(UserId))),
        "allow" => Some(Command::Allow(number().map(UserId))),
        "drain" => Some(Command::Drain(value != Some("off"))),
        "quarantine" => Some(Command::Quarantine {
            lift: value == Some("lift"),
        }),
        "queue" => Some(Command::Queue),
        "settings" => Some(Command::Settings),
        _ => None,
    }
}
