//! @about@: `lsrun @name@` prints the tables of each database with their rows.

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    for database in invocation.databases() {
        let check = report::Check::new("count");
        match count(&sqlite::open(&database)?) {
            Ok(tables) => check.passed(&tables.join(", ")),
            Err(error) => check.ended(&error),
        }
    }
    Ok(())
}

/// Each table with its rows.
fn count(database: &impl Query) -> Result<Vec<String>, Error> {
    let names = database.rows(TABLES, &[])?;
    let count = |row: &Vec<sqlite::Value>| {
        let name = text(&row[0])?;
        let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
        Ok(format!("{name}: {}", database.integer(&sql)?))
    };
    names.iter().map(count).collect()
}

const TABLES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1";

#[cfg(test)]
mod tests {
    use lsrun_plugin::testing::Answers;

    use super::*;

    #[test]
    fn every_table_is_counted() {
        let database = Answers::default()
            .to(TABLES, [["users"]])
            .to("SELECT count(*) FROM \"users\"", [[2]]);
        assert_eq!(count(&database).unwrap(), ["users: 2"]);
    }
}
