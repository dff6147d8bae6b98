//! FFmpeg unloads the driver after each encoder and device; what lives in it, and what it counted, must outlast that.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
