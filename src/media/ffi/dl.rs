//! Whether a shared library loads, as libav will load it when a device is first used.

use libloading::Library;

/// Loads a library by name and lets go of it.
///
/// # Errors
/// What the loader says: that there is none, or what is wrong with it.
pub(crate) fn can_load(name: &str) -> Result<(), String> {
    // SAFETY: loading runs what the library does at its start; the names are the driver's own, fixed in kadr, and libav loads
    // the same ones later.
    let loaded = unsafe { Library::new(name) };
    loaded.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::can_load;

    #[test]
    fn what_is_there_loads_and_what_is_not_says_its_name() {
        assert_eq!(can_load("libc.so.6"), Ok(()));
        assert!(can_load("libnone-such.so.1").is_err_and(|words| words.contains("libnone-such.so.1")));
    }
}
