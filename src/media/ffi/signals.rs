//! Signals that a whole group of processes is sent and that are meant for the bot alone.

/// From now on SIGTERM, SIGINT and SIGHUP do nothing to this process and to what it executes.
pub(in crate::media) fn ignore_stops() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: SIG_IGN is no function of ours, so no code runs in a signal's context.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
