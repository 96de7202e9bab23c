//! Two speeds of the suite: what is tried a few times by `make test` is tried more often by `make soak`.

/// `few`, or `many` when the suite is to find what fails seldom (`COMMONS_SOAK=1`, as `make soak` sets it).
pub fn rounds(few: usize, many: usize) -> usize {
    let soak = std::env::var_os("COMMONS_SOAK").is_some_and(|value| value == "1");
    if soak { many } else { few }
}
