//! One part of a selection, for one of several runners.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// One part of a selection, for one of several runners.
///
/// A database's part depends only on its name: runners that see
/// different lists, because a tenant came or went meanwhile, still leave out none
/// of the others and do none of them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// `2/5` is the second of five. Fails with exit 2 when it is not that.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let read = text.split_once('/').and_then(|(one, of)| Some((number(one)?, number(of)?)));
        match read {
            Some((number, of)) if number <= of => Ok(Self { number, of }),
            _ => Err(Error::usage(format!("{text:?} is not a valid shard"))
                .hint("write it like 2/5: the second of five")),
        }
    }

    pub(super) fn has(self, key: &str) -> bool {
        let digest = Sha256::digest(key.as_bytes());
        let number = digest.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
        number % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_database_is_in_exactly_one_shard_and_every_shard_has_its_part() {
        let shards: Vec<Shard> =
            (1..=5).map(|number| Shard::parse(&format!("{number}/5")).unwrap()).collect();
        let mut sizes = [0; 5];
        for index in 0..1000 {
            let key = format!("tenant-{index}");
            let of: Vec<usize> = (0..5).filter(|at| shards[*at].has(&key)).collect();
            assert_eq!(of.len(), 1, "{key}");
            sizes[of[0]] += 1;
        }
        assert!(sizes.iter().all(|size| (150..250).contains(size)), "{sizes:?}");
        // Released: a runner of another version has to divide the same way.
        assert!(
            Shard::parse("2/2").unwrap().has("default")
                != Shard::parse("1/2").unwrap().has("default")
        );
    }

    #[test]
    fn what_is_no_shard_is_a_usage_error() {
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert_eq!(Shard::parse(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        assert_eq!(Shard::parse("5/5").unwrap().to_string(), "5/5");
    }
}
