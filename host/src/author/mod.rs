//! What authors of plugins get: new projects, the tools that build them, components
//! out of modules, and a scratch project to try a plugin in.

mod build;
mod component;
mod project;
mod trial;

pub(crate) use build::{Built, build};
pub(crate) use component::{Packed, pack};
pub(crate) use project::{Language, NewPlugin, create};
pub(crate) use trial::{Trial, TrialRequest};
