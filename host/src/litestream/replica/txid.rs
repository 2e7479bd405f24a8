//! Litestream's transaction numbers. The control socket gives them as decimal
//! numbers, files and `-json` as 16 hexadecimal digits; here they are one type.

use std::fmt;
use std::str::FromStr;

/// A transaction of the replica; the first one is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Txid(pub u64);

/// Not a TXID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a TXID: expected 16 hexadecimal digits or a decimal number")]
pub(crate) struct InvalidTxid(String);

/// 16 hexadecimal digits, or anything shorter as a decimal number.
impl FromStr for Txid {
    type Err = InvalidTxid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = if text.len() == 16 {
            u64::from_str_radix(text, 16)
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse()
        } else {
            return Err(InvalidTxid(text.to_owned()));
        };
        match parsed {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(InvalidTxid(text.to_owned())),
        }
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_one_is_written() {
        assert_eq!("73".parse::<Txid>().unwrap().to_string(), "0000000000000049");
        assert_eq!("0000000000000049".parse(), Ok(Txid(73)));
        for wrong in ["", "0", "0000000000000000", "x", "-3", "00000000000000zz", "49h"] {
            assert!(wrong.parse::<Txid>().is_err(), "{wrong}");
        }
    }
}
