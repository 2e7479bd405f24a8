//! A component without its code: what it is, what it imports and exports, and what its
//! manifest says, found by reading the headers of its sections and passing over the rest.
//! Megabytes of code cost nothing until they are run.

use std::io::{Read, Seek, SeekFrom};

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, InstanceTypeDeclaration, Parser,
    Payload,
};

use crate::code::Code;
use crate::error::Error;

/// The name of the custom section that a manifest is in.
pub(crate) const SECTION: &str = "lsrun:manifest";

/// How much of a component may be something else than code, in bytes, and how deep
/// components may be within each other.
const MOST: u64 = 16 << 20;
const DEEPEST: u32 = 16;

/// Ids of sections.
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;

const MAGIC: &[u8; 4] = b"\0asm";
const IS_MODULE: [u8; 4] = [1, 0, 0, 0];
const IS_COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Why something cannot be read as WebAssembly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWasm {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is something else, or a part of it is missing.
    #[error("{0}")]
    Malformed(&'static str),
}

/// What a component imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Such as `lsrun:host/sqlite@0.1.0`.
    pub name: String,
    /// Its functions, such as `[method]rows.next`.
    pub functions: Vec<String>,
}

/// A component, or a core module, without its code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// It is a component, and not a core module.
    pub is_component: bool,
    /// Its manifest.
    pub manifest: Option<Vec<u8>>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// The names of what it exports, such as `lsrun:plugin/check@0.1.0`.
    pub exports: Vec<String>,
    /// The first thing in it of the asynchronous ABI, such as `context.get`.
    pub asynchronous: Option<&'static str>,
    /// The component up to its last import, with an empty module for each of its own: a
    /// component that imports the same and does nothing.
    type_: Vec<u8>,
    /// For each section of imports, where it ends in that, and how many imports there are
    /// up to it.
    import_ends: Vec<(usize, usize)>,
}

impl Outline {
    /// Reads it. Fails with exit 30 for what is not WebAssembly; `place` is for the message.
    pub(crate) fn of(file: &mut (impl Read + Seek), place: &str) -> Result<Self, Error> {
        Self::read(file).map_err(|error| {
            Error::new(Code::UnusablePlugin, format!("{place} is not WebAssembly")).cause(error)
        })
    }

    /// Reads it; `file` is at its beginning.
    fn read(file: &mut (impl Read + Seek)) -> Result<Self, NotWasm> {
        let end = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut outline = Self::default();
        let mut without_code = Vec::new();
        let mut skimmer = Skimmer { file, at: 0, outline: &mut outline, has_own_manifest: false };
        skimmer.body(end, 0, Some(&mut without_code))?;
        outline.examine(&without_code);
        outline.type_ = without_code;
        outline.type_.truncate(outline.end_of(outline.import_ends.len()));
        Ok(outline)
    }

    /// A component that imports what the first `sections` sections of imports import, and
    /// does nothing.
    pub(crate) fn importing(&self, sections: usize) -> &[u8] {
        self.type_.get(..self.end_of(sections)).unwrap_or_default()
    }

    fn end_of(&self, sections: usize) -> usize {
        let last = sections.checked_sub(1).and_then(|last| self.import_ends.get(last));
        last.map_or(MAGIC.len() + IS_COMPONENT.len(), |(end, _count)| *end)
    }

    /// How many imports the first `sections` sections have.
    pub(crate) fn imported_by(&self, sections: usize) -> usize {
        let last = sections.checked_sub(1).and_then(|last| self.import_ends.get(last));
        last.map_or(0, |(_end, count)| *count)
    }

    /// How many sections of imports it has.
    pub(crate) fn import_sections(&self) -> usize {
        self.import_ends.len()
    }

    /// Whether it exports this interface: 0.1.1 is 0.1.0 with more, as wasmtime reads it.
    #[must_use]
    pub(crate) fn exports(&self, interface: &str) -> bool {
        let wanted = series(interface);
        self.exports.iter().any(|export| series(export) == wanted)
    }

    /// The imports of this interface of `lsrun:host`.
    pub(crate) fn imports_of_host(&self, interface: &str) -> impl Iterator<Item = &Import> {
        let prefix = format!("lsrun:host/{interface}@");
        self.imports.iter().filter(move |import| import.name.starts_with(&prefix))
    }

    /// Reads the types, imports and exports. What cannot be understood is passed over: it
    /// is refused when it is compiled.
    fn examine(&mut self, component: &[u8]) {
        // What each index of a type is, if it is an instance: the names of its functions.
        let mut types: Vec<Vec<String>> = Vec::new();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentTypeSection(section) if depth == 0 => {
                    for one in section.into_iter().map_while(Result::ok) {
                        self.asynchronous = self.asynchronous.or(of_type(&one));
                        types.push(functions_of(one));
                    }
                }
                Payload::ComponentAliasSection(section) if depth == 0 => {
                    let is_type = |alias: &ComponentAlias<'_>| {
                        matches!(
                            alias,
                            ComponentAlias::InstanceExport {
                                kind: ComponentExternalKind::Type,
                                ..
                            } | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. }
                        )
                    };
                    let all = section.into_iter().map_while(Result::ok);
                    types.extend(all.filter(is_type).map(|_type| Vec::new()));
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    let end = section.range().end;
                    for import in section.into_iter().map_while(Result::ok) {
                        let functions = match import.ty {
                            ComponentTypeRef::Instance(index) => {
                                types.get(index as usize).cloned().unwrap_or_default()
                            }
                            ComponentTypeRef::Type(_) => {
                                types.push(Vec::new());
                                Vec::new()
                            }
                            _ => Vec::new(),
                        };
                        let name = import.name.name.to_owned();
                        self.imports.push(Import { name, functions });
                    }
                    self.import_ends.push((end, self.imports.len()));
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section.into_iter().map_while(Result::ok) {
                        if export.kind == ComponentExternalKind::Type {
                            types.push(Vec::new());
                        }
                        self.exports.push(export.name.name.to_owned());
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for one in section.into_iter().map_while(Result::ok) {
                        self.asynchronous = self.asynchronous.or(of_function(&one));
                    }
                }
                _ => {}
            }
        }
    }
}

/// `lsrun:plugin/check@0.1` of `lsrun:plugin/check@0.1.0`.
fn series(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(series, _patch)| series)
}

fn functions_of(one: ComponentType<'_>) -> Vec<String> {
    let ComponentType::Instance(declarations) = one else { return Vec::new() };
    let exported = declarations.iter().filter_map(|declaration| match declaration {
        InstanceTypeDeclaration::Export { name, ty: ComponentTypeRef::Func(_) } => {
            Some(name.name.to_owned())
        }
        _ => None,
    });
    exported.collect()
}

fn of_type(one: &ComponentType<'_>) -> Option<&'static str> {
    const FUNCTION: &str = "an async function";
    match one {
        ComponentType::Func(function) if function.async_ => Some(FUNCTION),
        ComponentType::Instance(declarations) => {
            declarations.iter().find_map(|declaration| match declaration {
                InstanceTypeDeclaration::Type(inner) => of_type(inner),
                _ => None,
            })
        }
        _ => None,
    }
}

fn of_function(one: &CanonicalFunction) -> Option<&'static str> {
    let with = |options: &[CanonicalOption]| {
        options
            .iter()
            .any(|option| matches!(option, CanonicalOption::Async))
            .then_some("async lift")
    };
    match one {
        CanonicalFunction::Lift { options, .. } => with(options),
        CanonicalFunction::Lower { options, .. } => with(options).map(|_lift| "async lower"),
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => None,
        CanonicalFunction::ContextGet { .. } => Some("context.get"),
        CanonicalFunction::ContextSet { .. } => Some("context.set"),
        CanonicalFunction::TaskReturn { .. } => Some("task.return"),
        CanonicalFunction::SubtaskDrop => Some("subtask.drop"),
        CanonicalFunction::WaitableSetNew => Some("waitable-set.new"),
        _ => Some("a built-in function of the asynchronous ABI"),
    }
}

/// Reads headers and passes over code.
struct Skimmer<'a, F> {
    file: &'a mut F,
    at: u64,
    outline: &'a mut Outline,
    /// The manifest is one of the component itself.
    has_own_manifest: bool,
}

impl<F: Read + Seek> Skimmer<'_, F> {
    /// A component or a module that ends at `end`. What a component has besides code is
    /// appended to `kept`.
    fn body(&mut self, end: u64, depth: u32, kept: Option<&mut Vec<u8>>) -> Result<(), NotWasm> {
        let mut preamble = [0; 8];
        self.exactly(&mut preamble, end)
            .map_err(|_short| NotWasm::Malformed("it does not begin as WebAssembly does"))?;
        let (magic, kind) = preamble.split_at(4);
        let is_component = kind == IS_COMPONENT;
        if magic != MAGIC || !(is_component || kind == IS_MODULE) {
            return Err(NotWasm::Malformed("it does not begin as WebAssembly does"));
        }
        if depth > DEEPEST {
            return Err(NotWasm::Malformed("components are too deep within each other"));
        }
        if depth == 0 {
            self.outline.is_component = is_component;
        }
        let mut kept = kept.filter(|_kept| is_component);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&preamble);
        }
        while self.at < end {
            self.section(end, depth, is_component, kept.as_deref_mut())?;
        }
        Ok(())
    }

    fn section(
        &mut self,
        end: u64,
        depth: u32,
        in_component: bool,
        kept: Option<&mut Vec<u8>>,
    ) -> Result<(), NotWasm> {
        let mut id = [0];
        self.exactly(&mut id, end)?;
        let size = self.size(end)?;
        let section_end = self.at + size;
        if section_end > end {
            return Err(NotWasm::Malformed("it ends before a section of it does"));
        }
        match (id[0], in_component) {
            (CUSTOM, _) => self.custom(section_end, depth)?,
            (CORE_MODULE, true) => {
                if let Some(kept) = kept {
                    kept.extend_from_slice(&[CORE_MODULE, 8]);
                    kept.extend_from_slice(MAGIC);
                    kept.extend_from_slice(&IS_MODULE);
                }
                self.body(section_end, depth + 1, None)?;
            }
            (COMPONENT, true) => {
                let mut inner = Vec::new();
                self.body(section_end, depth + 1, Some(&mut inner))?;
                if let Some(kept) = kept {
                    append(kept, COMPONENT, &inner)?;
                }
            }
            (id, true) => {
                if let Some(kept) = kept {
                    let mut content = vec![0; usize::try_from(size.min(MOST + 1)).unwrap_or(0)];
                    self.exactly(&mut content, section_end)?;
                    append(kept, id, &content)?;
                }
            }
            _code => {}
        }
        self.pass_to(section_end)
    }

    /// A custom section: the first that is a manifest is kept, unless the component has one
    /// of its own beside that of a module inside.
    fn custom(&mut self, end: u64, depth: u32) -> Result<(), NotWasm> {
        let length = self.size(end)?;
        let outweighs = depth == 0 && !self.has_own_manifest;
        let is_first = outweighs || self.outline.manifest.is_none();
        if length != SECTION.len() as u64 || !is_first {
            return Ok(());
        }
        let mut name = [0; SECTION.len()];
        self.exactly(&mut name, end)?;
        if name == SECTION.as_bytes() {
            if end - self.at > MOST {
                return Err(NotWasm::Malformed("its manifest is too large"));
            }
            let mut manifest = vec![0; usize::try_from(end - self.at).unwrap_or(0)];
            self.exactly(&mut manifest, end)?;
            self.outline.manifest = Some(manifest);
            self.has_own_manifest |= depth == 0;
        }
        Ok(())
    }

    fn exactly(&mut self, bytes: &mut [u8], end: u64) -> Result<(), NotWasm> {
        if self.at + bytes.len() as u64 > end {
            return Err(NotWasm::Malformed("it ends within a section"));
        }
        self.file.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// A size as WebAssembly writes it: seven bits in a byte, at most five bytes.
    fn size(&mut self, end: u64) -> Result<u64, NotWasm> {
        let mut size = 0_u64;
        for shift in (0..35).step_by(7) {
            let mut byte = [0];
            self.exactly(&mut byte, end)?;
            size |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(size);
            }
        }
        Err(NotWasm::Malformed("the size of a section is wrong"))
    }

    fn pass_to(&mut self, end: u64) -> Result<(), NotWasm> {
        if end > self.at {
            let ahead = i64::try_from(end - self.at).unwrap_or(i64::MAX);
            self.file.seek_relative(ahead)?;
            self.at = end;
        }
        Ok(())
    }
}

/// Appends a section.
fn append(kept: &mut Vec<u8>, id: u8, content: &[u8]) -> Result<(), NotWasm> {
    if (kept.len() + content.len()) as u64 > MOST {
        return Err(NotWasm::Malformed("its types are too large"));
    }
    kept.push(id);
    let mut left = content.len();
    loop {
        let bits = (left & 0x7f) as u8;
        left >>= 7;
        kept.push(if left > 0 { bits | 0x80 } else { bits });
        if left == 0 {
            break;
        }
    }
    kept.extend_from_slice(content);
    Ok(())
}
