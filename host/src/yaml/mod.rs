//! A YAML file that knows where each of its parts is: parsing, and a cursor that reads
//! checked values. It does not know the keys of `lsrun.yml`.

mod cursor;
mod document;
mod scalars;
mod seek;
mod snippet;
mod step;
mod unique;

pub(crate) use self::cursor::Cursor;
pub(crate) use self::document::Document;
pub(crate) use self::step::Step;
