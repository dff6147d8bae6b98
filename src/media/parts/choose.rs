//! Which pieces make which part: as few parts as the limit allows, and as even. Pure.
//!
//! A piece is what cannot be divided: the pictures from one place to cut at to the next, with their sound.

/// `at` is how many bytes lie before each place to cut at, ascending, the end of the file being the last place; `fixed`
/// what a part takes besides. The places where parts begin, and the end.
///
/// # Errors
/// The bytes of the largest piece, alone in a part, where they are more than `part_bytes_max`.
pub(super) fn choose(at: &[u64], fixed: u64, part_bytes_max: u64) -> Result<Vec<usize>, u64> {
    let largest = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    if largest.saturating_add(fixed) > part_bytes_max {
        return Err(largest.saturating_add(fixed));
    }
    let room = part_bytes_max - fixed;
    let end = at.len() - 1;
    // From the end: the first place from which the rest fits into no, one, two, … parts.
    let mut fits_from = vec![end];
    while let Some(&place) = fits_from.last().filter(|&&place| place > 0) {
        fits_from.push(at.partition_point(|&before| before + room < at[place]));
    }
    let mut begins = vec![0];
    let mut from = 0;
    for left in (1..fits_from.len() - 1).rev() {
        let farthest = at.partition_point(|&before| before <= at[from] + room) - 1;
        let earliest = fits_from[left].max(from + 1);
        let ideal = at[from] + (at[end] - at[from]) / (left as u64 + 1);
        from = nearest(at, ideal).clamp(earliest, farthest);
        begins.push(from);
    }
    begins.push(end);
    Ok(begins)
}

fn nearest(at: &[u64], ideal: u64) -> usize {
    let after = at.partition_point(|&before| before < ideal);
    match after.checked_sub(1) {
        Some(before) if ideal - at[before] <= at[after] - ideal => before,
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::choose;

    fn places(pieces: &[u64]) -> Vec<u64> {
        let ends = pieces.iter().scan(0, |at, piece| {
            *at += piece;
            Some(*at)
        });
        std::iter::once(0).chain(ends).collect()
    }

    #[track_caller]
    fn check(pieces: &[u64], part_bytes_max: u64, expected: Result<&[usize], u64>) {
        let chosen = choose(&places(pieces), 0, part_bytes_max);
        assert_eq!(chosen, expected.map(<[usize]>::to_vec));
    }

    #[test]
    fn parts_are_as_few_and_as_even_as_the_limit_allows() {
        check(&[10; 10], 100, Ok(&[0, 10]));
        check(&[10; 10], 99, Ok(&[0, 5, 10]));
        check(&[10; 10], 40, Ok(&[0, 3, 6, 10]));
        check(&[50, 10, 10, 10, 10, 10], 60, Ok(&[0, 1, 6]));
        check(&[10, 10, 50, 10, 10], 70, Ok(&[0, 2, 5]));
    }

    #[test]
    fn a_piece_beyond_the_limit_is_told_with_its_size() {
        check(&[10, 41, 10], 40, Err(41));
        assert_eq!(choose(&[0, 1], 3000, 2000), Err(3001));
    }

    /// As many parts as taking each as full as it gets, which none can beat.
    fn fewest(pieces: &[u64], room: u64) -> usize {
        let mut parts = 1;
        let mut filled = 0;
        for piece in pieces {
            if filled + piece > room {
                parts += 1;
                filled = 0;
            }
            filled += piece;
        }
        parts
    }

    proptest! {
        #[test]
        fn each_part_keeps_the_limit_and_none_is_one_too_many(
            pieces in prop::collection::vec(1_u64..1000, 1..300),
            fixed in 0_u64..50,
            more in 0_u64..5000,
        ) {
            let max = pieces.iter().max().unwrap() + fixed + more;
            let at = places(&pieces);
            let begins = choose(&at, fixed, max).unwrap();
            prop_assert_eq!((begins[0], *begins.last().unwrap()), (0, pieces.len()));
            prop_assert!(begins.is_sorted_by(|one, next| one < next), "no part is empty");
            prop_assert!(begins.windows(2).all(|pair| at[pair[1]] - at[pair[0]] + fixed <= max));
            prop_assert_eq!(begins.len() - 1, fewest(&pieces, max - fixed));
        }
    }
}
