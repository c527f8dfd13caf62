//! Our sources as syntax: which paths a file uses, how long its functions are, whether it has `unsafe`.

#![allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One Rust file.
pub struct Source {
    /// Its path from the root of the repository.
    pub path: String,
    /// Its module path, as in `["view", "publish"]`; empty for `lib.rs`.
    pub module: Vec<String>,
    /// Its text.
    pub text: String,
    file: syn::File,
}

/// A path that a file mentions outside its tests.
#[derive(Debug)]
pub struct Used {
    /// Absolute: begins with `crate` or with the name of another crate.
    pub path: Vec<String>,
    /// Line.
    pub line: usize,
}

/// A function and its length.
pub struct Function {
    /// Name.
    pub name: String,
    /// First line.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub lines: usize,
}

/// Where `async` or `await` stands, outside tests.
pub struct Async {
    /// Line.
    pub line: usize,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this extension below a folder of the repository, sorted; none if there is no such folder.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("folder can be read").path();
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => folders.push(path),
                false if path.extension().is_some_and(|found| found == extension) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file below a folder of the repository.
pub fn sources(folder: &str) -> Vec<Source> {
    files(folder, "rs").iter().map(|path| Source::read(path)).collect()
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("source can be read");
        let path = path.strip_prefix(root()).expect("path lies below the root").to_string_lossy().into_owned();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let module = if module == "lib" { Vec::new() } else { module.split('/').map(str::to_owned).collect() };
        Self { path, module, text, file }
    }

    /// Whether the whole file is a test module.
    pub fn is_test(&self) -> bool {
        self.module.last().is_some_and(|name| name == "tests")
    }

    /// Every path that it mentions outside its tests.
    pub fn uses(&self) -> Vec<Used> {
        self.collect().used
    }

    /// Every `async` and `await` outside its tests.
    pub fn asyncs(&self) -> Vec<Async> {
        self.collect().asyncs
    }

    /// Every function, tests included.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Functions(Vec::new());
        functions.visit_file(&self.file);
        functions.0
    }

    /// Whether the word `unsafe` stands anywhere in its code.
    pub fn has_unsafe(&self) -> bool {
        let tokens = self.text.parse().expect("a file that parsed has tokens");
        any_ident(tokens, "unsafe")
    }

    fn collect(&self) -> Collector {
        let mut collector = Collector { module: self.module.clone(), used: Vec::new(), asyncs: Vec::new() };
        collector.visit_file(&self.file);
        collector
    }
}

fn any_ident(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => any_ident(group.stream(), word),
        _ => false,
    })
}

/// Walks a file, leaves out what is compiled for tests only, and makes paths absolute.
struct Collector {
    module: Vec<String>,
    used: Vec<Used>,
    asyncs: Vec<Async>,
}

impl Collector {
    fn add(&mut self, path: Vec<String>, line: usize) {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let path = match path.first().map(String::as_str) {
            Some("crate" | "zonebeat") => own(path.into_iter().skip(1)),
            Some("self") => own(self.module.iter().cloned().chain(path.into_iter().skip(1))),
            Some("super") => {
                let above = self.module.len().saturating_sub(supers);
                own(self.module[..above].iter().cloned().chain(path.into_iter().skip(supers)))
            }
            _ => path,
        };
        self.used.push(Used { path, line });
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.add_tree(&part.tree, &path);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_tree(item, &path)),
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.add(path, name.span().start().line);
            }
            syn::UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.add(path, rename.span().start().line);
            }
            _ => self.add(path, tree.span().start().line),
        }
    }

    /// Macro bodies are not syntax: every run of `a::b::c` in them counts as a path.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 && path.len() > 1 {
                        self.add(std::mem::take(&mut path), line);
                    } else if colons != 2 {
                        path.clear();
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    if path.len() > 1 {
                        self.add(std::mem::take(&mut path), line);
                    }
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        if path.len() > 1 {
            self.add(path, line);
        }
    }
}

fn own(rest: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once("crate".to_owned()).chain(rest).collect()
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(item_attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.asyncs.push(Async { line: signature.span().start().line });
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, expression: &'ast syn::ExprAsync) {
        self.asyncs.push(Async { line: expression.span().start().line });
        visit::visit_expr_async(self, expression);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && any_ident(list.tokens.clone(), "test"),
        syn::Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

fn item_attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let last = block.brace_token.span.close().end().line;
        self.0.push(Function { name: signature.ident.to_string(), line, lines: last + 1 - line });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}
