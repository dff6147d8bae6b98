//! The decided settings as `kadr serve --print-config` shows them.

use std::fmt;

use super::{Config, Watch, Webhook};

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As `--print-config` shows it: TOML that `kadr.toml` could hold, but for the secrets.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            token: _,
            api_url,
            shared,
            access,
            fetch_bytes_max,
            send_bytes_max,
            look_bytes_max,
            throttle: _,
            turns: _,
            pulse: _,
            role,
            database,
            backup_every,
            work_dir,
            log_dir,
            log_format,
            worker,
            queue,
            isolation,
            watch,
            webhook,
        } = self;
        writeln!(f, "token = \"(hidden)\"")?;
        writeln!(f, "api_url = {api_url:?}")?;
        let admins: Vec<String> = access.admins.iter().map(|user| user.0.to_string()).collect();
        writeln!(f, "admins = {:?}", admins.join(","))?;
        let allowed: Vec<String> = access.allowed.iter().map(ToString::to_string).collect();
        writeln!(f, "allowed = {:?}", allowed.join(","))?;
        if let Some(shared) = shared {
            writeln!(f, "api_local_root = {:?}", shared.files.here.display().to_string())?;
            writeln!(
                f,
                "api_local_root_there = {:?}",
                shared.files.there.display().to_string()
            )?;
            if let Some(results) = &shared.results {
                writeln!(f, "api_local_work_there = {:?}", results.there.display().to_string())?;
            }
            writeln!(f, "api_local_delete = {}", shared.delete)?;
        }
        writeln!(f, "fetch_max_bytes = {fetch_bytes_max}")?;
        writeln!(f, "send_max_bytes = {send_bytes_max}")?;
        writeln!(f, "look_max_bytes = {look_bytes_max}")?;
        writeln!(f, "role = \"{role}\"")?;
        writeln!(f, "database = {:?}", Self::shown(database))?;
        let backup_hours = backup_every.map_or(0, |every| every.as_secs() / 3600);
        writeln!(f, "backup_hours = {backup_hours}")?;
        writeln!(f, "work_dir = {:?}", work_dir.display().to_string())?;
        writeln!(f, "log_dir = {:?}", log_dir.display().to_string())?;
        writeln!(f, "log_format = \"{}\"", log_format.name())?;
        writeln!(f, "jobs = {}", worker.jobs_max)?;
        writeln!(f, "device = \"{}\"", worker.machine.choice())?;
        writeln!(f, "conversion_timeout_s = {}", worker.time_limit.as_secs())?;
        writeln!(f, "queue_per_user = {}", queue.per_user_max)?;
        writeln!(f, "queue_total = {}", queue.total_max)?;
        writeln!(f, "files_per_day = {}", queue.per_day_max.unwrap_or(0))?;
        writeln!(f, "duration_max_s = {}", worker.limits.duration_max.as_secs())?;
        writeln!(f, "pixels_max = {}", worker.limits.pixels_max)?;
        writeln!(f, "disk_free_min_bytes = {}", worker.disk_free_bytes_min)?;
        writeln!(f, "keep_days = {}", worker.keep_days)?;
        writeln!(f, "grace_s = {}", worker.grace.as_secs())?;
        writeln!(f, "confine = \"{}\"", worker.limits.confine)?;
        write!(f, "isolation = \"{isolation}\"")?;
        doors(f, watch.as_ref(), webhook.as_ref())
    }
}

/// Where the process listens, if anywhere.
fn doors(f: &mut fmt::Formatter<'_>, watch: Option<&Watch>, webhook: Option<&Webhook>) -> fmt::Result {
    if let Some(watch) = watch {
        write!(f, "\nwatch = \"{}\"", watch.address)?;
        if watch.token.is_some() {
            write!(f, "\nwatch_token = \"(hidden)\"")?;
        }
    }
    if let Some(webhook) = webhook {
        write!(f, "\nwebhook_url = {:?}", webhook.url.as_str())?;
        write!(f, "\nwebhook_listen = \"{}\"", webhook.listen)?;
        if webhook.secret.is_some() {
            write!(f, "\nwebhook_secret = \"(hidden)\"")?;
        }
    }
    Ok(())
}
