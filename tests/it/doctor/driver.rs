//! `kadr doctor` on a machine with the fake driver: **control flow only**. Each fault that a driver can produce is produced,
//! goes through unmodified FFmpeg, and must come out as its cause.

use serde_json::Value;

use crate::support::fake_driver::FakeDriver;

/// All lines of `kadr doctor --json`, and its exit code.
fn doctor(driver: &FakeDriver, device: &str) -> (Vec<Value>, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let output = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .current_dir(folder.path())
        .args(["doctor", "--json", "--device", device])
        .env_remove("TELEGRAM_BOT_TOKEN")
        .env_remove("TELEGRAM_BOT_TOKEN_FILE")
        .env_remove("TELEGRAM_API_URL")
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(lines.last().expect(&said)["type"], "verdict", "{said}");
    assert_only_the_context_is_left(driver);
    (lines, output.status.code())
}

/// The process keeps one context a GPU until its end, and nothing in it.
fn assert_only_the_context_is_left(driver: &FakeDriver) {
    for report in driver.reports() {
        for (kind, count) in report["live"].as_object().unwrap() {
            let most = i64::from(kind == "contexts");
            assert!(
                count.as_i64().unwrap() <= most,
                "left behind in the fake driver: {count} {kind}"
            );
        }
    }
}

/// The finding of this name.
fn finding<'a>(lines: &'a [Value], what: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["type"] == "finding" && line["what"] == what)
        .unwrap_or_else(|| panic!("there is a finding `{what}` in {lines:#?}"))
}

fn verdict(lines: &[Value]) -> &Value {
    lines.last().unwrap()
}

#[test]
fn a_driver_that_is_well_encodes() {
    let driver = FakeDriver::new();
    let (lines, exit) = doctor(&driver, "cuda");
    assert_eq!(exit, Some(0));
    assert_eq!(verdict(&lines)["device"], "cuda:0");
    assert!(
        finding(&lines, "GPU 0: encodes")["found"]
            .as_str()
            .unwrap()
            .starts_with("h264")
    );
    assert_eq!(finding(&lines, "GPU 0: filters")["mark"], "ok");
    assert_eq!(finding(&lines, "NVIDIA driver")["found"], "570.86.15, up to CUDA 12.8");
    let gpu = lines.iter().find(|line| line["type"] == "gpu").unwrap();
    assert_eq!(gpu["name"], "Fake GPU (control flow only)");
    assert!(gpu["memory_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn each_failure_to_start_cuda_has_its_cause() {
    for (code, cause) in [
        ("100", "no_device"),
        ("999", "device_unreachable"),
        ("803", "driver_mismatch"),
        ("804", "compat_library"),
        ("802", "fabric_not_ready"),
        ("34", "stub_library"),
        ("304", "sandboxed"),
    ] {
        let driver = FakeDriver::new().env("FAKE_CUDA_INIT", code);
        let (lines, exit) = doctor(&driver, "auto");
        assert_eq!(finding(&lines, "GPUs")["cause"], cause, "{code}");
        let verdict = verdict(&lines);
        assert_eq!(
            (&verdict["cause"], &verdict["device"]),
            (&cause.into(), &"cpu".into()),
            "{code}"
        );
        assert_eq!(exit, Some(0));
    }
    let driver = FakeDriver::new().env("FAKE_CUDA_INIT", "100");
    assert_eq!(doctor(&driver, "cuda").1, Some(1));
}

#[test]
fn a_driver_without_a_gpu_says_so() {
    let (lines, _) = doctor(&FakeDriver::new().env("FAKE_CUDA_DEVICES", "0"), "auto");
    assert_eq!(verdict(&lines)["device"], "cpu");
    assert_ne!(finding(&lines, "GPUs")["mark"], "ok");
}

#[test]
fn a_context_that_cannot_be_made_has_its_cause() {
    for (code, cause) in [("2", "memory_full"), ("46", "device_busy")] {
        let (lines, _) = doctor(&FakeDriver::new().env("FAKE_CUDA_CTX_CREATE", code), "auto");
        assert_eq!(finding(&lines, "GPUs")["cause"], cause, "{code}");
    }
}

#[test]
fn each_failure_to_open_the_encoder_has_its_cause() {
    for (name, code, cause) in [
        ("FAKE_NVENC_OPEN", "1", "no_encoder"),
        ("FAKE_NVENC_OPEN", "2", "no_encoder"),
        ("FAKE_NVENC_OPEN", "10", "session_limit"),
        ("FAKE_NVENC_OPEN", "21", "session_limit"),
        ("FAKE_NVENC_OPEN", "15", "api_mismatch"),
        ("FAKE_NVENC_SESSIONS", "0", "session_limit"),
        ("FAKE_NVENC_API", "9.0", "driver_too_old"),
        ("FAKE_NVENC_INIT", "8", "encode_settings"),
        ("FAKE_NVENC_BITSTREAM", "10", "memory_full"),
        ("FAKE_NVENC_FAIL_AT", "1+", "fell_over"),
        ("FAKE_NVENC_CAPS", "codecs=none", "encode_codec"),
    ] {
        let (lines, exit) = doctor(&FakeDriver::new().env(name, code), "auto");
        let encodes = finding(&lines, "GPU 0: encodes");
        assert_eq!(encodes["cause"], cause, "{name}={code}: {encodes}");
        assert!(encodes["hint"].is_string(), "{name}={code}");
        assert_eq!(verdict(&lines)["device"], "cpu", "{name}={code}");
        assert_eq!(exit, Some(0));
    }
}

#[test]
fn an_old_driver_is_told_which_release_it_needs() {
    let driver = FakeDriver::new()
        .env("FAKE_NVENC_API", "9.0")
        .env("FAKE_DRIVER_VERSION", "418.40");
    let (lines, _) = doctor(&driver, "auto");
    let encodes = finding(&lines, "GPU 0: encodes");
    assert!(
        encodes["hint"]
            .as_str()
            .unwrap()
            .contains("; driver 418.40 is older than "),
        "{encodes}"
    );
}

#[test]
fn a_container_without_the_video_capability_is_known() {
    for (library, what, cause) in [
        ("libnvidia-encode.so.1", "GPU 0: encodes", "no_encode_library"),
        ("libnvcuvid.so.1", "GPU 0: decodes", "no_decode_library"),
    ] {
        let (lines, _) = doctor(&FakeDriver::new().without(library), "auto");
        assert_eq!(finding(&lines, what)["cause"], cause);
        let named = lines
            .iter()
            .find(|line| line["what"].as_str().is_some_and(|what| what.starts_with(library)));
        assert_eq!(named.unwrap()["cause"], cause);
    }
}

#[test]
fn filters_that_do_not_load_have_their_cause() {
    let (lines, _) = doctor(&FakeDriver::new().env("FAKE_CUDA_MODULE_LOAD", "222"), "auto");
    assert_eq!(finding(&lines, "GPU 0: filters")["cause"], "ptx_too_new");
    assert_eq!(verdict(&lines)["device"], "cpu");
}

#[test]
fn facts_are_absent_where_nvml_is() {
    let (lines, exit) = doctor(&FakeDriver::new().env("FAKE_NVML_INIT", "18"), "auto");
    assert_eq!(finding(&lines, "NVIDIA driver")["mark"], "warn");
    assert_eq!((&verdict(&lines)["device"], exit), (&"cuda:0".into(), Some(0)));
}
