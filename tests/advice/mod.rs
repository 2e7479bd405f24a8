//! What lsrun advises, carried out: it leads to the state that it promises, and takes
//! nothing away. Most of it is in tables ([`table`]); what needs more than files and
//! commands has a test of its own. `hints.txt` says which test carries out which hint,
//! and [`listed`] that none is left out.

mod daemon;
mod disks;
mod download;
mod grants;
mod listed;
mod restores;
mod sources;
mod storage;
mod table;
mod users;
