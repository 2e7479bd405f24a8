//! The hints in the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

use crate::support::{repository, sources};

/// Functions whose results become hints somewhere else.
const ELSEWHERE: [(&str, &str); 3] = [
    ("host/src/litestream/binary/feature.rs", "equivalent_of_03"),
    ("host/src/plugin/grants.rs", "hint"),
    ("host/src/trust/mod.rs", "fix"),
];

/// What a hint is called that was found, or made, somewhere else, and is passed on.
const PASSED_ON: [&str; 8] =
    ["None", "Some", "bounded", "hint", "nearest", "str", "to_owned", "today"];

/// Every text of a hint, as it is written in the sources, with the file it is in.
pub(super) fn hints() -> BTreeMap<String, String> {
    let files: Vec<(String, syn::File)> = files()
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(repository()).unwrap().display().to_string();
            (name, syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect();
    let mut everywhere = Named::default();
    for (_, file) in &files {
        everywhere.visit_file(file);
    }
    let is_constant = |name: &str| name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
    everywhere.values.retain(|name, _| is_constant(name));
    let mut found = BTreeMap::new();
    for (name, file) in files {
        let mut named = Named { values: everywhere.values.clone(), ..Named::default() };
        for name in constants(&file) {
            named.values.remove(&name);
        }
        named.visit_file(&file);
        let mut sites = Sites { named: &named, texts: BTreeSet::new(), without_a_text: Vec::new() };
        sites.visit_file(&file);
        for (_, function) in ELSEWHERE.iter().filter(|(file, _)| *file == name) {
            let body = named.functions.get(*function).unwrap_or_else(|| {
                panic!("{name} has no function {function} any more: correct the list here")
            });
            sites.take_block(body);
        }
        assert!(
            sites.without_a_text.is_empty(),
            "the text of a hint in {name} is not found by its name: {:?}",
            sites.without_a_text
        );
        found.extend(sites.texts.into_iter().map(|text| (text, name.clone())));
    }
    found
}

/// The sources of lsrun and of its built-in commands, without their tests.
fn files() -> Vec<PathBuf> {
    let mut files = sources("host/src");
    for plugin in std::fs::read_dir(repository().join("plugins")).unwrap().flatten() {
        let folder = plugin.path().join("src");
        if folder.is_dir() {
            files.extend(sources(folder.to_str().unwrap()));
        }
    }
    // What keeps a hint has none of its own.
    let keeps = [
        "host/src/error.rs",
        "host/src/config/problem.rs",
        "host/src/plugin/imports/events.rs",
        "host/src/plugin/imports/report.rs",
        "host/src/plugin/inspect/json.rs",
        "host/src/plugin/sink.rs",
        "host/src/report/human.rs",
        "host/src/report/json.rs",
        "host/src/report/mod.rs",
        "host/src/report/shown.rs",
    ];
    files.retain(|path| !keeps.iter().any(|file| path.ends_with(Path::new(file))));
    files
}

/// The names of a file's own constants.
fn constants(file: &syn::File) -> Vec<String> {
    let own = |item: &syn::Item| match item {
        syn::Item::Const(constant) => Some(constant.ident.to_string()),
        _ => None,
    };
    file.items.iter().filter_map(own).collect()
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it.parse_args::<syn::Path>().is_ok_and(|it| it.is_ident("test"))
    })
}

/// What a file gives names to.
#[derive(Default)]
struct Named {
    /// Constants and `let`s; one name may have several values.
    values: BTreeMap<String, Vec<syn::Expr>>,
    functions: BTreeMap<String, syn::Block>,
    /// Functions with a parameter `hint`, and which it is.
    takers: BTreeMap<String, usize>,
}

impl Named {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let name = signature.ident.to_string();
        let place = signature.inputs.iter().position(|input| match input {
            syn::FnArg::Typed(typed) => named(&typed.pat).is_some_and(|name| name == "hint"),
            syn::FnArg::Receiver(_) => false,
        });
        if let Some(place) = place {
            self.takers.insert(name.clone(), place);
        }
        self.functions.insert(name, block.clone());
    }
}

fn named(pattern: &syn::Pat) -> Option<String> {
    match pattern {
        syn::Pat::Ident(ident) => Some(ident.ident.to_string()),
        syn::Pat::Type(typed) => named(&typed.pat),
        // `let (what, hint) = …`
        syn::Pat::Tuple(tuple) => tuple.elems.iter().filter_map(named).find(|it| it == "hint"),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_const(&mut self, constant: &'ast syn::ItemConst) {
        let values = self.values.entry(constant.ident.to_string()).or_default();
        values.push((*constant.expr).clone());
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (Some(name), Some(init)) = (named(&local.pat), &local.init) {
            if let syn::Expr::Closure(closure) = &*init.expr
                && let Some(place) =
                    closure.inputs.iter().position(|it| named(it).is_some_and(|it| it == "hint"))
            {
                self.takers.insert(name.clone(), place);
            }
            self.values.entry(name).or_default().push((*init.expr).clone());
        }
        visit::visit_local(self, local);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

/// Finds where hints are given.
struct Sites<'a> {
    named: &'a Named,
    texts: BTreeSet<String>,
    /// Names by which a hint is given, and whose text was not found.
    without_a_text: Vec<String>,
}

impl Sites<'_> {
    fn take(&mut self, given: &syn::Expr) {
        let mut literals = Literals { named: self.named, seen: BTreeSet::new(), texts: Vec::new() };
        literals.visit_expr(given);
        if literals.texts.is_empty() {
            let unknown = |name: &&String| !PASSED_ON.contains(&name.as_str());
            self.without_a_text.extend(literals.seen.iter().find(unknown).cloned());
        }
        self.texts.extend(literals.texts);
    }

    fn take_block(&mut self, block: &syn::Block) {
        let mut literals = Literals { named: self.named, seen: BTreeSet::new(), texts: Vec::new() };
        literals.visit_block(block);
        self.texts.extend(literals.texts);
    }
}

impl<'ast> Visit<'ast> for Sites<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let ("hint" | "or_hint", [given]) =
            (call.method.to_string().as_str(), call.args.iter().collect::<Vec<_>>().as_slice())
        {
            self.take(given);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.segments.last()
            && let Some(place) = self.named.takers.get(&name.ident.to_string())
            && let Some(given) = call.args.iter().nth(*place)
        {
            self.take(given);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        if let syn::Expr::Field(field) = &*assign.left
            && matches!(&field.member, syn::Member::Named(name) if name == "hint")
        {
            self.take(&assign.right);
        }
        visit::visit_expr_assign(self, assign);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if matches!(&field.member, syn::Member::Named(name) if name == "hint") {
            self.take(&field.expr);
        }
        visit::visit_field_value(self, field);
    }

    /// A message that has its hint in it.
    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        for text in arguments(mac).iter().filter_map(literal) {
            let hint = text.split_once("\nhint: ").map(|(_, hint)| hint.to_owned());
            self.texts.extend(hint.filter(|hint| is_a_text(hint)));
        }
        for argument in arguments(mac) {
            let mut inner =
                Sites { named: self.named, texts: BTreeSet::new(), without_a_text: Vec::new() };
            inner.visit_expr(&argument);
            self.texts.extend(inner.texts);
            self.without_a_text.extend(inner.without_a_text);
        }
    }
}

fn arguments(mac: &syn::Macro) -> Vec<syn::Expr> {
    let all = mac.parse_body_with(Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated);
    all.map(|all| all.into_iter().collect()).unwrap_or_default()
}

fn literal(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// Not a separator, not a word and not what a text begins with.
fn is_a_text(text: &str) -> bool {
    text.contains(' ') && text.contains(char::is_alphabetic) && !text.ends_with(": ")
}

/// The texts that an expression may give, also by names.
struct Literals<'a> {
    named: &'a Named,
    seen: BTreeSet<String>,
    texts: Vec<String>,
}

impl<'ast> Visit<'ast> for Literals<'_> {
    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.texts.extend(Some(text.value()).filter(|text| is_a_text(text)));
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // What is put into it is shown with it.
        self.texts.extend(arguments(mac).first().and_then(literal).filter(|it| is_a_text(it)));
    }

    /// What is compared is not given.
    fn visit_expr_match(&mut self, given: &'ast syn::ExprMatch) {
        for arm in &given.arms {
            self.visit_expr(&arm.body);
        }
    }

    fn visit_expr_if(&mut self, given: &'ast syn::ExprIf) {
        self.visit_block(&given.then_branch);
        if let Some((_, otherwise)) = &given.else_branch {
            self.visit_expr(otherwise);
        }
    }

    /// What is asked of a value is not part of it.
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        const GIVE: [&str; 6] =
            ["map", "map_or", "map_or_else", "or", "unwrap_or", "unwrap_or_else"];
        self.visit_expr(&call.receiver);
        if GIVE.contains(&call.method.to_string().as_str()) {
            call.args.iter().for_each(|given| self.visit_expr(given));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        self.visit_expr(&call.func);
        let syn::Expr::Path(function) = &*call.func else { return };
        let passes =
            |name: &syn::PathSegment| ["Some", "Ok", "from"].iter().any(|it| name.ident == it);
        if function.path.segments.last().is_some_and(passes) {
            call.args.iter().for_each(|given| self.visit_expr(given));
        }
    }

    /// What is wrong, and what to do.
    fn visit_expr_tuple(&mut self, tuple: &'ast syn::ExprTuple) {
        if let Some(last) = tuple.elems.last() {
            self.visit_expr(last);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let Some(name) = path.path.segments.last().map(|it| it.ident.to_string()) else { return };
        // The hint of another error is taken where that one gets it.
        if name == "error" || !self.seen.insert(name.clone()) {
            return;
        }
        let named = self.named;
        for value in named.values.get(&name).into_iter().flatten() {
            self.visit_expr(value);
        }
        if let Some(block) = named.functions.get(&name) {
            self.visit_block(block);
        }
    }
}
