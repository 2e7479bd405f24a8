//! Tests of the whole: the built binary, the real litestream, real SQLite files,
//! real components. Each test has a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod advice;
mod authors;
mod bad_input;
mod builtin;
mod config;
mod containers;
mod deadlines;
mod faults;
mod gaps;
mod hooks_around;
mod hostile;
mod hostile_network;
mod layers;
mod litestream_configuration;
mod many;
mod metrics;
mod no_harm;
mod output;
mod pages;
mod passthrough;
mod pipelines;
mod plugin_add;
mod plugin_commands;
mod plugin_links;
mod plugin_list;
mod plugin_lock;
mod plugin_problems;
mod plugin_settings;
mod plugins;
mod quickstart;
mod reference;
mod replicate;
mod restore;
mod restore_crashes;
mod restore_disks;
mod restore_flight;
mod restore_hooks;
mod restore_plan;
mod restore_refusals;
mod restore_safety;
mod results;
mod s3;
mod secrets;
mod sentinel;
mod signals;
mod snapshots;
mod sql_limits;
mod support;
mod tasks;
mod terminal;
mod trust;
mod verify;
mod whose_fault;
