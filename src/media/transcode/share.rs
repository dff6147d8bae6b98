//! What one line makes: everything, the sound, or the pictures of one segment. Pure but for the first shape that is kept.

use std::sync::OnceLock;

use crate::media::ffi::{Frame, FrameShape};

/// The part of the output that a line makes.
#[derive(Clone, Copy)]
pub(in crate::media) enum Share<'a> {
    /// All of it.
    All,
    /// The sound alone.
    Sound,
    /// The pictures of one segment.
    Pictures(&'a Span<'a>),
}

/// One segment of a video stream: which packets are read, and which frames come of them. Times are in the stream's base.
///
/// Every key frame is taken for one that does not close its GOP: pictures shown before it may come after it in the file, so
/// a segment is read on until it has them, and what its own key frame brings of the segment before is thrown away.
pub(in crate::media) struct Span<'a> {
    /// The stream in the file.
    pub(in crate::media) stream: usize,
    /// Presentation time of the key frame that it begins with.
    pub(in crate::media) key: i64,
    /// Where to seek for it, microseconds on the container's clock; `None` reads from the start.
    pub(in crate::media) seek_us: Option<i64>,
    /// Packets from that key frame to the last one needed.
    pub(in crate::media) packets: usize,
    /// Its frames, as they are shown: time in the source, time in the output.
    pub(in crate::media) times: &'a [(i64, i64)],
    /// What its frames look like.
    pub(in crate::media) shape: OnceLock<FrameShape>,
}

impl Span<'_> {
    /// Whether a frame can be made without knowing those of other segments.
    pub(super) fn admit(&self, frame: &Frame, shape: &FrameShape, deinterlace: bool) -> Result<(), &'static str> {
        if frame.is_corrupt() {
            return Err("pictures are damaged");
        }
        if deinterlace && frame.is_interlaced() {
            return Err("deinterlacing looks at the pictures around each one");
        }
        let own = FrameShape {
            pool: None,
            ..shape.clone()
        };
        if *self.shape.get_or_init(|| own.clone()) != own {
            return Err("pictures change their shape");
        }
        Ok(())
    }
}

/// How far a line is in the list of its frames.
pub(super) struct Cursor<'a> {
    times: &'a [(i64, i64)],
    next: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(times: &'a [(i64, i64)]) -> Self {
        Self { times, next: 0 }
    }

    /// The time in the output of the next frame; `None` for a frame of another segment.
    pub(super) fn place(&mut self, raw: Option<i64>) -> Result<Option<i64>, &'static str> {
        let raw = raw.ok_or("a frame has no time")?;
        let (Some(&(first, _)), Some(&(last, _))) = (self.times.first(), self.times.last()) else {
            return Ok(None);
        };
        if raw < first || raw > last {
            return Ok(None);
        }
        match self.times.get(self.next) {
            Some(&(expected, pts)) if expected == raw => {
                self.next += 1;
                Ok(Some(pts))
            }
            _ => Err("packets and pictures do not match"),
        }
    }

    /// Whether every frame came.
    pub(super) fn end(&self) -> Result<(), &'static str> {
        if self.next == self.times.len() {
            Ok(())
        } else {
            Err("packets and pictures do not match")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    const TIMES: [(i64, i64); 3] = [(10, 0), (20, 10), (30, 20)];

    #[test]
    fn frames_of_other_segments_are_passed_over() {
        let mut cursor = Cursor::new(&TIMES);
        let placed: Vec<_> = [8, 10, 20, 30, 40].map(|raw| cursor.place(Some(raw))).into();
        assert_eq!(placed, [Ok(None), Ok(Some(0)), Ok(Some(10)), Ok(Some(20)), Ok(None)]);
        assert_eq!(cursor.end(), Ok(()));
    }

    #[test]
    fn a_frame_too_few_or_too_many_is_noticed() {
        let mut cursor = Cursor::new(&TIMES);
        assert!(cursor.place(Some(20)).is_err(), "one is missing");
        let mut cursor = Cursor::new(&TIMES);
        assert!(
            cursor.place(Some(10)).is_ok() && cursor.place(Some(10)).is_err(),
            "one came twice"
        );
        assert!(cursor.end().is_err(), "the last ones are missing");
        assert!(cursor.place(None).is_err());
    }
}
