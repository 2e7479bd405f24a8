//! Writes the manifest into a component, and makes a component of a core module that was
//! built against `plugins/c/lsrun.h`.

use std::io::Cursor;
use std::path::Path;

use include_dir::{Dir, include_dir};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::plugin::outline::{Outline, SECTION};
use crate::plugin::{manifest, words_of};

/// The public interface, as every tool for WIT reads it.
pub(super) static WIT: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/wit");

/// A component with its manifest in it.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The component.
    pub(crate) bytes: Vec<u8>,
    /// What it is, such as `check`.
    pub(crate) kinds: Vec<&'static str>,
}

/// The component of the file's `bytes` with this manifest. One that is in it already is
/// replaced; a core module becomes a component.
///
/// Fails, with exit 30, for a manifest that is wrong, and for what is not a plugin.
pub(crate) fn pack(bytes: &[u8], name: &str, yaml: &str, manifest_name: &str) -> Result<Packed> {
    manifest::parse(yaml, manifest_name)?;
    let component = match encoding(bytes, name)? {
        Encoding::Component => bytes.to_vec(),
        Encoding::Module => of_module(bytes, name)?,
    };
    let mut bytes = without_manifest(&component, name)?;
    section(&mut bytes, yaml.as_bytes());
    let outline = Outline::of(&mut Cursor::new(&bytes), name)?;
    let kinds = words_of(&outline.exports);
    if kinds.is_empty() {
        return Err(not_a_plugin(name));
    }
    // What is written has to be what is read.
    match manifest::of(&outline, name)? {
        Some(_) => Ok(Packed { bytes, kinds }),
        None => Err(Error::new(Code::Unexpected, format!("{name} lost its manifest"))),
    }
}

/// The error of a component that exports nothing that lsrun calls.
pub(super) fn not_a_plugin(name: &str) -> Error {
    Error::new(Code::UnusablePlugin, format!("{name} exports nothing of lsrun's"))
        .hint("build it for a world of lsrun:plugin, as lsrun plugin new and build do")
}

fn encoding(bytes: &[u8], name: &str) -> Result<Encoding> {
    match Parser::new(0).parse_all(bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(error)) => Err(not_wasm(name, error)),
        _ => Err(not_wasm(name, "it is empty")),
    }
}

fn not_wasm(name: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Code::UnusablePlugin, format!("{name} is not WebAssembly")).cause(cause)
}

/// The component that the exports of a core module make it: those named such as
/// `lsrun:plugin/check@0.1.0#run`.
fn of_module(module: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut exports = Vec::new();
    let mut has_type = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|error| not_wasm(name, error))? {
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().flatten().map(|export| export.name.to_owned()));
            }
            Payload::CustomSection(section) => {
                has_type |= section.name().starts_with("component-type");
            }
            _ => {}
        }
    }
    let kinds: Vec<&str> = exports
        .iter()
        .filter_map(|export| export.strip_suffix("#run"))
        .filter(|interface| interface.starts_with("lsrun:plugin/"))
        .collect();
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Code::UnusablePlugin, format!("{name} does not become a component"))
            .cause(error)
            .hint("build it against the lsrun.h that lsrun plugin new writes for this lsrun")
    };
    let mut module = module.to_vec();
    if !has_type {
        if kinds.is_empty() {
            return Err(Error::new(
                Code::UnusablePlugin,
                format!("{name} exports nothing of lsrun's"),
            )
            .cause("it is a core module without a function such as lsrun:plugin/check@0.1.0#run")
            .hint("compile lsrun.c along with it, and -DLSRUN_CHECK for a check"));
        }
        let (resolve, world) = world(&kinds).map_err(|error| failed(&format_args!("{error:#}")))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(|error| failed(&format_args!("{error:#}")))?;
    }
    let encode = || {
        ComponentEncoder::default()
            .module(&module)?
            // For what a C library asks of WASI's first preview.
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .validate(true)
            .encode()
    };
    encode().map_err(|error| failed(&format_args!("{error:#}")))
}

/// A world with everything that a plugin may import, and these exports.
fn world(exports: &[&str]) -> anyhow::Result<(Resolve, wit_parser::WorldId)> {
    let mut resolve = Resolve::default();
    let host = WIT.get_dir("deps/host").ok_or_else(|| anyhow::anyhow!("no lsrun:host"))?;
    for folder in [host, &WIT] {
        let mut sources = SourceMap::default();
        let is_wit = |path: &Path| path.extension().is_some_and(|ending| ending == "wit");
        for file in folder.files().filter(|file| is_wit(file.path())) {
            let text = file.contents_utf8().unwrap_or_default();
            sources.push_str(&file.path().display().to_string(), text);
        }
        push(&mut resolve, sources)?;
    }
    let exports: String = exports.iter().map(|export| format!("export {export};\n")).collect();
    let world = format!(
        "package lsrun:module;\nworld plugin {{\ninclude lsrun:host/imports@0.1.0;\n{exports}}}\n"
    );
    let mut sources = SourceMap::default();
    sources.push_str("world.wit", world);
    let package = push(&mut resolve, sources)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    Ok((resolve, world))
}

fn push(resolve: &mut Resolve, sources: SourceMap) -> anyhow::Result<wit_parser::PackageId> {
    let group = sources
        .parse()
        .map_err(|(sources, error)| anyhow::anyhow!("{}", error.render(&sources)))?;
    resolve.push_group(group).map_err(|error| anyhow::anyhow!("{error:?}"))
}

/// The component without its own section; those of the modules inside come after it.
fn without_manifest(component: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(component.len());
    let mut from = 0;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| not_wasm(name, error))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                let range = section.range();
                // Before it are its id, its length and the length of its name and the name:
                // the range begins with the length of the name.
                let start = header(component, range.start, range.end);
                kept.extend_from_slice(&component[from..start]);
                from = range.end;
            }
            _ => {}
        }
    }
    kept.extend_from_slice(&component[from..]);
    Ok(kept)
}

/// Where the section begins whose content is there: before it are its id and its length.
fn header(component: &[u8], start: usize, end: usize) -> usize {
    let mut length = Vec::new();
    leb128(&mut length, end - start);
    // A length may be written with more bytes than it needs.
    (length.len()..=5)
        .map(|bytes| start.saturating_sub(bytes + 1))
        .find(|at| component.get(*at) == Some(&0))
        .unwrap_or(start)
}

/// Appends the section.
fn section(component: &mut Vec<u8>, data: &[u8]) {
    let name = SECTION.as_bytes();
    let mut content = Vec::new();
    leb128(&mut content, name.len());
    content.extend_from_slice(name);
    content.extend_from_slice(data);
    component.push(0);
    leb128(component, content.len());
    component.extend_from_slice(&content);
}

fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

/// Reads a file of an author's.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::usage(format!("cannot read {}", path.display())).cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_section_replaces_the_one_before_it_and_nothing_else() {
        let mut component = EMPTY.to_vec();
        section(&mut component, b"version: 1");
        let mut other = EMPTY.to_vec();
        section(&mut other, &[b'#'; 300]);
        for with in [component, other] {
            let mut with = with;
            // Something of another tool after it.
            with.extend_from_slice(&[0, 3, 1, b'x', 7]);
            let without = without_manifest(&with, "x").unwrap();
            assert_eq!(without, [EMPTY, &[0, 3, 1, b'x', 7]].concat());
            assert_eq!(without_manifest(&without, "x").unwrap(), without);
        }
    }

    #[test]
    fn the_interface_is_in_the_binary_whole() {
        let (resolve, world) = world(&["lsrun:plugin/check@0.1.0"]).unwrap();
        assert!(resolve.worlds[world].exports.len() == 1);
        let imports = resolve.worlds[world].imports.len();
        assert!(imports >= 8, "{imports}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let failed = |bytes: &[u8], yaml: &str| pack(bytes, "x.wasm", yaml, "m.yml").unwrap_err();
        assert!(failed(EMPTY, "permission: [x]").one_line().contains("m.yml"));
        assert!(failed(b"hello", "").one_line().contains("not WebAssembly"));
        assert!(failed(b"", "").one_line().contains("not WebAssembly"));
        assert!(failed(EMPTY, "version: '1'").one_line().contains("nothing of lsrun's"));
        let module = b"\0asm\x01\0\0\0";
        assert!(failed(module, "version: '1'").one_line().contains("nothing of lsrun's"));
    }
}
