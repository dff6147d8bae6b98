//! libav's lines -> what is wrong with the GPU, and what to do. Pure.

/// What keeps a GPU, or a part of it, from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No `libcuda.so.1`.
    NoDriver,
}

/// The cause that these lines of libav's tell, the newest last.
#[must_use]
pub fn diagnose(lines: &[String]) -> Option<Cause> {
    lines
        .iter()
        .any(|line| line.contains("Cannot load libcuda.so.1"))
        .then_some(Cause::NoDriver)
}

impl Cause {
    /// One sentence: what is wrong.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoDriver => "the NVIDIA driver is not installed here, or not in this container",
        }
    }

    /// For metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDriver => "no_driver",
        }
    }

    /// Whether it holds until something is changed on the machine, as against what passes by itself.
    #[must_use]
    pub fn lasts(self) -> bool {
        match self {
            Self::NoDriver => true,
        }
    }

    /// What the operator does about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoDriver => "install the NVIDIA driver; in a container: `--gpus all`",
        }
    }
}
