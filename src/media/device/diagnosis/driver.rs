//! Which NVIDIA driver is new enough, and how many encoder sessions it opens. Pure tables.

use std::fmt;

/// Version of the encoder interface (NVENC API), which FFmpeg is built for and the driver offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Api {
    /// Before the dot.
    pub major: u32,
    /// After it.
    pub minor: u32,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Oldest Linux driver for each version of the interface, by the notes of FFmpeg's nv-codec-headers.
const RELEASES: [(u32, u32, &str); 10] = [
    (9, 0, "418.30"),
    (9, 1, "435.21"),
    (10, 0, "445.87"),
    (11, 0, "455.28"),
    (11, 1, "470.57.02"),
    (12, 0, "520.56.06"),
    (12, 1, "530.41.03"),
    (12, 2, "550.54.14"),
    (13, 0, "570.0"),
    (13, 1, "610.00"),
];

/// The oldest driver that offers this version of the interface, as far as it is known.
#[must_use]
pub fn release_for(api: Api) -> Option<&'static str> {
    RELEASES
        .iter()
        .find(|&&(major, minor, _)| Api { major, minor } >= api)
        .map(|&(_, _, release)| release)
}

/// Whether one release of the driver is older than another; what is no release is not older.
#[must_use]
pub fn is_older(release: &str, than: &str) -> bool {
    match (parts(release), parts(than)) {
        (Some(release), Some(than)) => release < than,
        _ => false,
    }
}

/// Why this driver does not serve an FFmpeg that needs `api`.
#[must_use]
pub fn too_old(release: &str, api: Api) -> Option<String> {
    let needed = release_for(api)?;
    is_older(release, needed).then(|| format!("driver {release} is older than {needed}, which NVENC API {api} needs"))
}

/// How many encoder sessions GeForce cards open at once under this driver, all programs together, in words: the driver
/// tells the limit nowhere, and it has been changed without notice, so nothing is decided by it.
#[must_use]
pub fn session_limit(release: Option<&str>) -> String {
    let Some(major) = release.and_then(parts).and_then(|parts| parts.first().copied()) else {
        return "GeForce cards open 3 to 12 at once, by the driver; professional cards have no limit".to_owned();
    };
    let limit = match major {
        590.. => 12,
        550..590 => 8,
        530..550 => 5,
        _ => 3,
    };
    format!("GeForce cards open {limit} at once with this driver; professional cards have no limit")
}

fn parts(release: &str) -> Option<Vec<u32>> {
    release.trim().split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Api, is_older, release_for, session_limit, too_old};

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert!(is_older("470.57.02", "520.56.06"));
        assert!(is_older("535.183.01", "550.54.14"));
        assert!(!is_older("1000.1", "550.54.14"));
        assert!(!is_older("610.00", "610.00"));
        assert!(!is_older("no release", "550.54.14"));
    }

    #[test]
    fn an_interface_has_its_oldest_driver() {
        let api = |major, minor| Api { major, minor };
        assert_eq!(release_for(api(12, 1)), Some("530.41.03"));
        assert_eq!(release_for(api(12, 0)), Some("520.56.06"));
        assert_eq!(release_for(api(13, 9)), None);
        assert_eq!(too_old("535.183.01", api(12, 1)), None);
        assert_eq!(
            too_old("535.183.01", api(12, 2)).as_deref(),
            Some("driver 535.183.01 is older than 550.54.14, which NVENC API 12.2 needs")
        );
    }

    #[test]
    fn the_session_limit_follows_the_driver() {
        for (release, limit) in [("470.1", "3"), ("535.183.01", "5"), ("580.82.07", "8"), ("590.1", "12")] {
            assert!(
                session_limit(Some(release)).contains(&format!("open {limit} at once")),
                "{release}"
            );
        }
        assert!(session_limit(None).contains("3 to 12"));
    }
}
