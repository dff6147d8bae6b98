//! Who is served: everybody, or those whom the configuration and the admins let in. Pure.

use std::fmt;
use std::str::FromStr;

use super::intake::Sender;
use crate::job::{ChatId, UserId};
use crate::store::Standing;

/// A person, a chat, or one topic of a chat; as written: `123`, `-100123`, `-100123|7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A person, in every chat.
    Person(UserId),
    /// A chat, with everybody in it.
    Chat(ChatId),
    /// A topic of a chat.
    Topic(ChatId, i64),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no person, chat or topic (such as 123, -100123 or -100123|7)");
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong());
        match text.split_once('|') {
            Some((chat, topic)) => Ok(Self::Topic(ChatId(number(chat)?), number(topic)?)),
            // Groups and channels have negative numbers.
            None => Ok(match number(text)? {
                chat @ ..0 => Self::Chat(ChatId(chat)),
                person => Self::Person(UserId(person)),
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(user) => write!(f, "{}", user.0),
            Self::Chat(chat) => write!(f, "{}", chat.0),
            Self::Topic(chat, topic) => write!(f, "{}|{topic}", chat.0),
        }
    }
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// People who may use the operators' commands.
    pub admins: Vec<UserId>,
    /// Who is served; empty for everybody.
    pub allowed: Vec<Place>,
}

/// Whether somebody is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Served,
    /// An admin said no.
    Banned,
    /// Only some are, and this is none of them.
    Stranger,
}

impl Access {
    /// Whether a person may use the operators' commands.
    #[must_use]
    pub fn is_admin(&self, user: UserId) -> bool {
        self.admins.contains(&user)
    }

    /// Decides by the person, what admins said of them, and the place.
    #[must_use]
    pub fn decide(&self, sender: &Sender, standing: Option<Standing>) -> Verdict {
        let here = |place: &Place| match place {
            Place::Person(user) => *user == sender.user,
            Place::Chat(chat) => *chat == sender.chat,
            Place::Topic(chat, topic) => *chat == sender.chat && Some(*topic) == sender.topic,
        };
        match standing {
            _ if self.is_admin(sender.user) => Verdict::Served,
            Some(Standing::Banned) => Verdict::Banned,
            Some(Standing::Allowed) => Verdict::Served,
            None if self.allowed.is_empty() || self.allowed.iter().any(here) => Verdict::Served,
            None => Verdict::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Place, Verdict};
    use crate::job::{ChatId, MessageId, UserId};
    use crate::store::Standing;
    use crate::telegram::intake::Sender;

    fn sender(user: i64, chat: i64, topic: Option<i64>) -> Sender {
        Sender {
            chat: ChatId(chat),
            user: UserId(user),
            message: MessageId(1),
            topic,
            album: None,
            date_s: None,
            group: chat < 0,
            language_code: None,
        }
    }

    #[test]
    fn places_read_as_people_chats_and_topics() {
        assert_eq!("5".parse(), Ok(Place::Person(UserId(5))));
        assert_eq!("-100".parse(), Ok(Place::Chat(ChatId(-100))));
        assert_eq!("-100|7".parse(), Ok(Place::Topic(ChatId(-100), 7)));
        for wrong in ["", "x", "-100|", "|7", "1.5"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_list_decides_and_an_admin_decides_before_it() {
        let access = Access {
            admins: vec![UserId(9)],
            allowed: ["5", "-100", "-200|7"].map(|text| text.parse().unwrap()).to_vec(),
        };
        let served = [
            (5, 5, None),
            (5, -300, None),
            (1, -100, Some(3)),
            (1, -200, Some(7)),
            (9, 9, None),
        ];
        for (user, chat, topic) in served {
            assert_eq!(access.decide(&sender(user, chat, topic), None), Verdict::Served);
        }
        for (user, chat, topic) in [(1, 1, None), (1, -200, None), (1, -200, Some(8)), (1, -300, None)] {
            assert_eq!(access.decide(&sender(user, chat, topic), None), Verdict::Stranger);
        }
        let of = |user, standing| access.decide(&sender(user, user, None), Some(standing));
        assert_eq!(of(5, Standing::Banned), Verdict::Banned);
        assert_eq!(of(1, Standing::Allowed), Verdict::Served);
        assert_eq!(
            of(9, Standing::Banned),
            Verdict::Served,
            "an admin cannot lock out another"
        );
        let open = Access::default();
        assert_eq!(open.decide(&sender(1, 1, None), None), Verdict::Served);
    }
}
