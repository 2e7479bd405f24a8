//! The mathematical functions of SQLite, which the SQLite that lsrun carries is built
//! without: <https://sqlite.org/lang_mathfunc.html>. For the SQL of guests and of the
//! project file. lsrun's own checks go without them, as an application may have others of
//! the same names in its indexes.

use std::f64::consts::PI;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// A name and what it computes, of one number and of two.
type One = (&'static str, fn(f64) -> f64);
type Two = (&'static str, fn(f64, f64) -> f64);

const ONE: [One; 20] = [
    ("acos", f64::acos),
    ("acosh", f64::acosh),
    ("asin", f64::asin),
    ("asinh", f64::asinh),
    ("atan", f64::atan),
    ("atanh", f64::atanh),
    ("cos", f64::cos),
    ("cosh", f64::cosh),
    ("degrees", |x| x * (180.0 / PI)),
    ("exp", f64::exp),
    ("ln", |x| logarithm(x, f64::ln)),
    ("log", |x| logarithm(x, f64::log10)),
    ("log10", |x| logarithm(x, f64::log10)),
    ("log2", |x| logarithm(x, f64::log2)),
    ("radians", |x| x * (PI / 180.0)),
    ("sin", f64::sin),
    ("sinh", f64::sinh),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
];
/// They leave an integer as it is.
const ROUNDING: [One; 4] =
    [("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor), ("trunc", f64::trunc)];
const TWO: [Two; 5] = [
    ("atan2", f64::atan2),
    ("log", |base, x| {
        let base = logarithm(base, f64::ln);
        if base > 0.0 { logarithm(x, f64::ln) / base } else { f64::NAN }
    }),
    ("mod", |x, y| x % y),
    ("pow", f64::powf),
    ("power", f64::powf),
];

/// Not a number below zero and at it: NULL in SQL.
fn logarithm(x: f64, of: fn(f64) -> f64) -> f64 {
    if x > 0.0 { of(x) } else { f64::NAN }
}

/// Adds the functions to a connection. None of them has an effect, so that a schema may
/// use them.
pub(super) fn add(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, function) in ONE {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(number(context, 0).map(|number| function(number.double())))
        })?;
    }
    for (name, function) in ROUNDING {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(match number(context, 0) {
                None => Value::Null,
                Some(Number::Integer(whole)) => Value::Integer(whole),
                Some(Number::Real(real)) => Value::Real(function(real)),
            })
        })?;
    }
    for (name, function) in TWO {
        connection.create_scalar_function(name, 2, flags, move |context| {
            let both = number(context, 0).zip(number(context, 1));
            Ok(both.map(|(one, other)| function(one.double(), other.double())))
        })?;
    }
    connection.create_scalar_function("pi", 0, flags, |_context| Ok(PI))
}

/// Takes them away again.
pub(super) fn remove(connection: &Connection) -> Result<()> {
    let one = ONE.into_iter().chain(ROUNDING).map(|(name, _)| (name, 1));
    for (name, arguments) in one.chain(TWO.map(|(name, _)| (name, 2))).chain([("pi", 0)]) {
        connection.remove_function(name, arguments)?;
    }
    Ok(())
}

/// An argument that is a number.
enum Number {
    Integer(i64),
    Real(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "as SQLite does")]
    fn double(&self) -> f64 {
        match self {
            Self::Integer(whole) => *whole as f64,
            Self::Real(real) => *real,
        }
    }
}

/// The argument at `index` if it is a number, or a text that is nothing but one.
fn number(context: &Context<'_>, index: usize) -> Option<Number> {
    match context.get_raw(index) {
        ValueRef::Integer(whole) => Some(Number::Integer(whole)),
        ValueRef::Real(real) => Some(Number::Real(real)),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok()?;
            let text = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
            // Not the words that Rust takes for numbers.
            let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
            let real = text.bytes().all(plain).then(|| text.parse().ok()).flatten()?;
            Some(text.parse().map_or(Number::Real(real), Number::Integer))
        }
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(connection: &Connection, sql: &str) -> Value {
        connection.query_row(&format!("SELECT {sql}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_functions_are_those_of_sqlite() {
        let connection = Connection::open_in_memory().unwrap();
        assert!(connection.prepare("SELECT ceil(1)").is_err(), "SQLite has them itself");
        add(&connection).unwrap();
        for (sql, expected) in [
            ("ceil(1.2)", Value::Real(2.0)),
            ("ceiling(-1.2)", Value::Real(-1.0)),
            ("floor(-1.2)", Value::Real(-2.0)),
            ("trunc(-1.7)", Value::Real(-1.0)),
            ("ceil(7)", Value::Integer(7)),
            ("typeof(ceil('7'))", Value::Text("integer".into())),
            ("ceil(' 7.5 ')", Value::Real(8.0)),
            ("ceil('1e1')", Value::Real(10.0)),
            ("ceil('7x')", Value::Null),
            ("ceil('')", Value::Null),
            ("ceil('+5')", Value::Integer(5)),
            ("ceil('5.')", Value::Real(5.0)),
            ("ceil('1e')", Value::Null),
            ("sqrt('0x10')", Value::Null),
            ("atanh(1)", Value::Real(f64::INFINITY)),
            ("ceil('inf')", Value::Null),
            ("ceil(x'37')", Value::Null),
            ("ceil(NULL)", Value::Null),
            ("ln(exp(2))", Value::Real(2.0)),
            ("ln(0)", Value::Null),
            ("ln(-1)", Value::Null),
            ("log(1000)", Value::Real(3.0)),
            ("log10(100)", Value::Real(2.0)),
            ("log2(8)", Value::Real(3.0)),
            ("log(2, 8)", Value::Real(3.0)),
            ("log(1, 8)", Value::Null),
            ("log(0.5, 8)", Value::Null),
            ("log(2, 0)", Value::Null),
            ("pow(2, 10)", Value::Real(1024.0)),
            ("power(2, -1)", Value::Real(0.5)),
            ("pow(-1, 0.5)", Value::Null),
            ("pow('x', 1)", Value::Null),
            ("sqrt(16)", Value::Real(4.0)),
            ("sqrt(-1)", Value::Null),
            ("mod(11, 3)", Value::Real(2.0)),
            ("mod(-11, 3.5)", Value::Real(-0.5)),
            ("mod(1, 0)", Value::Null),
            ("acos(2)", Value::Null),
            ("sin(0)", Value::Real(0.0)),
            ("cos(0)", Value::Real(1.0)),
            ("round(tan(pi() / 4), 9)", Value::Real(1.0)),
            ("atan2(0, 1)", Value::Real(0.0)),
            ("round(degrees(pi()))", Value::Real(180.0)),
            ("radians(180) = pi()", Value::Integer(1)),
            ("tanh(0)", Value::Real(0.0)),
            ("sinh(0) + asinh(0) + asin(0) + atan(0) + atanh(0) + acosh(1)", Value::Real(0.0)),
            ("cosh(0)", Value::Real(1.0)),
        ] {
            assert_eq!(value(&connection, sql), expected, "{sql}");
        }
        connection.execute_batch("CREATE TABLE t (x, CHECK (floor(x) = x)); CREATE VIEW v AS SELECT pow(x, 2) FROM t; CREATE INDEX i ON t (ceil(x)); INSERT INTO t VALUES (3.0)").unwrap();
        connection.pragma_update(None, "trusted_schema", false).unwrap();
        let square = connection.query_row("SELECT * FROM v", [], |row| row.get::<_, f64>(0));
        assert_eq!(square.unwrap(), 9.0);
        remove(&connection).unwrap();
        for (name, _) in ONE.into_iter().chain(ROUNDING) {
            assert!(connection.prepare(&format!("SELECT {name}(1)")).is_err(), "{name}");
        }
        assert!(connection.prepare("SELECT pi() + pow(1, 2)").is_err());
    }
}
