//! The walls around `kadr serve`, from the command's side: put up before its first thread, and told once there is a log.

use anyhow::Result;

use super::UsageError;
use crate::media::confine::{self, Confine, Rooms, Walls};

/// What to do where a wall is missing.
pub(super) const HINT: &str = "Linux 6.7 or newer with Landlock closes all of it; in a container its seccomp profile \
                               must let `landlock_*` through";

/// Puts them up; `None` where none are wanted.
///
/// # Errors
/// [`UsageError`] where all must stand and one does not.
pub(super) fn raise(confine: Confine, rooms: &Rooms) -> Result<Option<Walls>> {
    if confine == Confine::Off {
        return Ok(None);
    }
    let walls = confine::process(rooms);
    match walls.lacking() {
        Some(lacking) if confine == Confine::Require => Err(UsageError::new(
            format!("confine is `require`, and these stay open: {lacking}"),
            format!("{HINT}; `KADR_CONFINE=auto` goes on without"),
        )
        .into()),
        _ => Ok(Some(walls)),
    }
}

/// Says what stands.
pub(super) fn tell(walls: Option<&Walls>) {
    match walls.map(|walls| (walls.standing(), walls.lacking())) {
        Some((closed, None)) => tracing::info!(closed, "confined"),
        Some((closed, Some(open))) => tracing::warn!(closed, open, "confined in part"),
        None => tracing::warn!("not confined: confine is `off`"),
    }
}
