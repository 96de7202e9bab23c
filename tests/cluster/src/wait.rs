//! Waiting for a condition, never for a time: every wait has a deadline and says at it what did not come.

use std::time::{Duration, Instant};

use crate::{
    error::{Error, Result},
    interrupt,
    progress::readable,
};

/// Between two looks: short beside what is waited for, long beside what a look costs.
const INTERVAL: Duration = Duration::from_millis(40);

/// Tries until it works; the deadline's error tells why it last did not.
pub(crate) fn until_ok<T>(
    condition: &str,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut last = None;
    until(condition, patience, || match attempt() {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    })
    .map_err(|error| match last.take() {
        Some(last) => error.because(last),
        None => error,
    })
}

/// Looks until there is an answer. A look that fails ends the wait; a signal does too.
pub(crate) fn until<T>(
    condition: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        interrupt::check()?;
        if started.elapsed() > patience {
            return Err(Error::new(format!(
                "gave up after {}: {condition} did not come true",
                readable(patience)
            )));
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_condition() {
        let mut looks = 0;
        let answer = until("three looks", Duration::from_secs(5), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn a_wait_says_what_did_not_come() {
        let error = until("the moon is blue", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the moon is blue did not come true"),
            "{error}"
        );
    }
}
