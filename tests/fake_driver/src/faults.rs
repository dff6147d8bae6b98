//! What shall go wrong, and what the card is like: read once from the environment. The table is in the crate's header.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::codes::Code;

/// What fresh memory holds: mid-grey as luma and as chroma, so that a picture that no kernel wrote is known again.
const FRESH: u8 = 0x80;

/// Strikes at the n-th of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Nth {
    n: u64,
    /// And at every later one.
    on: bool,
}

impl Nth {
    /// Whether it strikes; the first is number 1.
    pub(crate) fn strikes(self, number: u64) -> bool {
        number == self.n || (self.on && number > self.n)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Nvdec {
    Refuse,
    Grey,
    FailCreate,
    FailAt(Nth),
}

/// What the encoder answers to questions about itself; 0 and 1 are no and yes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caps {
    pub(crate) codecs: Vec<String>,
    pub(crate) width_max: u32,
    pub(crate) height_max: u32,
    pub(crate) width_min: u32,
    pub(crate) height_min: u32,
    pub(crate) bframes: u32,
    pub(crate) bref: u32,
    pub(crate) lookahead: u32,
    pub(crate) temporal_aq: u32,
    pub(crate) weighted: u32,
    pub(crate) yuv444: u32,
    pub(crate) lossless: u32,
    pub(crate) ten_bit: u32,
    pub(crate) refs: u32,
    pub(crate) engines: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) cuda_init: Option<Code>,
    pub(crate) devices: i32,
    pub(crate) name: String,
    pub(crate) capability: (u32, u32),
    pub(crate) context: Option<Code>,
    pub(crate) module: Option<Code>,
    pub(crate) memory_bytes: u64,
    pub(crate) fresh: u8,
    pub(crate) cuda_at: Option<Nth>,
    pub(crate) cuda_code: Code,
    pub(crate) nvenc_api: (u32, u32),
    pub(crate) nvenc_open: Option<Code>,
    pub(crate) sessions_max: Option<u64>,
    pub(crate) nvenc_init: Option<Code>,
    pub(crate) bitstream: Option<Code>,
    pub(crate) nvenc_at: Option<Nth>,
    pub(crate) sleep_ms: u64,
    pub(crate) caps: Caps,
    pub(crate) nvdec: Nvdec,
    pub(crate) nvdec_width_max: u32,
    pub(crate) nvml_init: Option<Code>,
    pub(crate) driver_version: String,
    pub(crate) report: Option<PathBuf>,
}

/// The faults of this process. The first call reads them.
pub(crate) fn faults() -> &'static Faults {
    static FAULTS: OnceLock<Faults> = OnceLock::new();
    FAULTS.get_or_init(|| match Faults::read(|name| std::env::var(name).ok()) {
        Ok(faults) => faults,
        Err(wrong) => {
            eprintln!("fake driver: {wrong}");
            std::process::abort();
        }
    })
}

impl Faults {
    fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let code = |name: &str| number(name, value(name));
        Ok(Self {
            cuda_init: code("FAKE_CUDA_INIT")?,
            devices: number("FAKE_CUDA_DEVICES", value("FAKE_CUDA_DEVICES"))?.unwrap_or(1),
            name: value("FAKE_CUDA_NAME").unwrap_or_else(|| "Fake GPU (control flow only)".to_owned()),
            capability: pair("FAKE_CUDA_CAPABILITY", value("FAKE_CUDA_CAPABILITY"))?.unwrap_or((8, 9)),
            context: code("FAKE_CUDA_CTX_CREATE")?,
            module: code("FAKE_CUDA_MODULE_LOAD")?,
            memory_bytes: number("FAKE_CUDA_MEM_MAX", value("FAKE_CUDA_MEM_MAX"))?.unwrap_or(8 << 30),
            fresh: number("FAKE_CUDA_FRESH", value("FAKE_CUDA_FRESH"))?.unwrap_or(FRESH),
            cuda_at: nth("FAKE_CUDA_FAIL_AT", value("FAKE_CUDA_FAIL_AT"))?,
            cuda_code: code("FAKE_CUDA_FAIL_CODE")?.unwrap_or(700),
            nvenc_api: pair("FAKE_NVENC_API", value("FAKE_NVENC_API"))?.unwrap_or((13, 0)),
            nvenc_open: code("FAKE_NVENC_OPEN")?,
            sessions_max: number("FAKE_NVENC_SESSIONS", value("FAKE_NVENC_SESSIONS"))?,
            nvenc_init: code("FAKE_NVENC_INIT")?,
            bitstream: code("FAKE_NVENC_BITSTREAM")?,
            nvenc_at: nth("FAKE_NVENC_FAIL_AT", value("FAKE_NVENC_FAIL_AT"))?,
            sleep_ms: number("FAKE_NVENC_SLEEP_MS", value("FAKE_NVENC_SLEEP_MS"))?.unwrap_or(0),
            caps: Caps::read(value("FAKE_NVENC_CAPS").as_deref())?,
            nvdec: nvdec(value("FAKE_NVDEC").as_deref())?,
            nvdec_width_max: number("FAKE_NVDEC_WIDTH_MAX", value("FAKE_NVDEC_WIDTH_MAX"))?.unwrap_or(4096),
            nvml_init: code("FAKE_NVML_INIT")?,
            driver_version: value("FAKE_DRIVER_VERSION").unwrap_or_else(|| "570.86.15".to_owned()),
            report: value("FAKE_REPORT").map(PathBuf::from),
        })
    }
}

impl Caps {
    fn read(given: Option<&str>) -> Result<Self, String> {
        let mut caps = Self {
            codecs: vec!["h264".to_owned()],
            width_max: 4096,
            height_max: 4096,
            width_min: 145,
            height_min: 49,
            bframes: 4,
            bref: 2,
            lookahead: 1,
            temporal_aq: 1,
            weighted: 1,
            yuv444: 0,
            lossless: 0,
            ten_bit: 0,
            refs: 1,
            engines: 1,
        };
        for word in given.into_iter().flat_map(|given| given.split(',')) {
            let wrong = || format!("FAKE_NVENC_CAPS has `{word}`, which is not a known name=value");
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            if name == "codecs" {
                caps.codecs = value
                    .split('+')
                    .filter(|codec| *codec != "none")
                    .map(str::to_owned)
                    .collect();
                continue;
            }
            *caps.field(name).ok_or_else(wrong)? = value.parse().map_err(|_| wrong())?;
        }
        Ok(caps)
    }

    fn field(&mut self, name: &str) -> Option<&mut u32> {
        Some(match name {
            "width_max" => &mut self.width_max,
            "height_max" => &mut self.height_max,
            "width_min" => &mut self.width_min,
            "height_min" => &mut self.height_min,
            "bframes" => &mut self.bframes,
            "bref" => &mut self.bref,
            "lookahead" => &mut self.lookahead,
            "temporal_aq" => &mut self.temporal_aq,
            "weighted" => &mut self.weighted,
            "yuv444" => &mut self.yuv444,
            "lossless" => &mut self.lossless,
            "ten_bit" => &mut self.ten_bit,
            "refs" => &mut self.refs,
            "engines" => &mut self.engines,
            _ => return None,
        })
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>, String> {
    let wrong = |value: &str| format!("{name} is `{value}`, which is not a number that fits");
    value.map(|value| value.parse().map_err(|_| wrong(&value))).transpose()
}

fn pair(name: &str, value: Option<String>) -> Result<Option<(u32, u32)>, String> {
    let Some(value) = value else { return Ok(None) };
    let wrong = || format!("{name} is `{value}`, which is not MAJOR.MINOR");
    let (major, minor) = value.split_once('.').ok_or_else(wrong)?;
    let pair = (major.parse().map_err(|_| wrong())?, minor.parse().map_err(|_| wrong())?);
    Ok(Some(pair))
}

fn nth(name: &str, value: Option<String>) -> Result<Option<Nth>, String> {
    let Some(value) = value else { return Ok(None) };
    let digits = value.strip_suffix('+').unwrap_or(&value);
    let n = number(name, Some(digits.to_owned()))?.unwrap_or_default();
    let on = digits.len() < value.len();
    Ok(Some(Nth { n, on }))
}

fn nvdec(value: Option<&str>) -> Result<Nvdec, String> {
    Ok(match value {
        None | Some("refuse") => Nvdec::Refuse,
        Some("grey") => Nvdec::Grey,
        Some("fail_create") => Nvdec::FailCreate,
        Some(other) => {
            let at = other.strip_prefix("fail_at:").map(str::to_owned);
            match nth("FAKE_NVDEC", at)? {
                Some(nth) => Nvdec::FailAt(nth),
                None => return Err(format!("FAKE_NVDEC is `{other}`, which is no way to fail")),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Caps, Faults, Nth, Nvdec, nth, nvdec};

    fn read(name: &'static str, value: &'static str) -> Result<Faults, String> {
        Faults::read(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn without_variables_the_card_is_well() {
        let faults = Faults::read(|_| None);
        assert!(faults.is_ok_and(|faults| faults.cuda_init.is_none() && faults.devices == 1));
    }

    #[test]
    fn the_nth_strikes_once_or_for_ever() {
        assert_eq!(nth("X", Some("3".to_owned())), Ok(Some(Nth { n: 3, on: false })));
        let once = Nth { n: 3, on: false };
        let on = Nth { n: 3, on: true };
        assert_eq!([2, 3, 4].map(|number| once.strikes(number)), [false, true, false]);
        assert_eq!([2, 3, 4].map(|number| on.strikes(number)), [false, true, true]);
        assert_eq!(nvdec(Some("fail_at:3+")), Ok(Nvdec::FailAt(on)));
    }

    #[test]
    fn a_misspelt_value_is_an_error() {
        assert!(read("FAKE_CUDA_INIT", "no").is_err());
        assert!(read("FAKE_NVENC_API", "11").is_err());
        assert!(read("FAKE_NVENC_CAPS", "bframe=0").is_err());
        assert!(read("FAKE_NVDEC", "gray").is_err());
        assert!(read("FAKE_NVDEC", "fail_at:x").is_err());
    }

    #[test]
    fn caps_are_a_list_of_names_and_values() {
        let caps = Caps::read(Some("codecs=h264+hevc,bframes=0")).ok();
        let codecs = vec!["h264".to_owned(), "hevc".to_owned()];
        assert!(caps.is_some_and(|caps| caps.codecs == codecs && caps.bframes == 0 && caps.bref == 2));
    }
}
