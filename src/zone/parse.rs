//! Zone files become records: directives, owners, TTLs, classes (RFC 1035 section 5.1, RFC 2308 section 4).
//!
//! The parser holds what counts across files (`$TTL`, the records, the findings) and a context per file (origin, owner,
//! text). After an error it goes on with the next entry. Limits: include depth, number of files, number of findings.

use std::path::Path;
use std::sync::Arc;

use super::check::Checks;
use super::findings::Findings;
use super::lexer::{Entry, Lexer, Token};
use super::rdata::{self, Fault, Input, shown};
use super::{File, Place, StaticRecord, StaticZone, check, generate, presentation, settle, special, types};
use crate::model::{Finding, Name, Record, Rtype, Severity, ZoneFile};

/// Where the texts of zone files come from: the reader of zone files itself does no I/O.
pub trait Sources {
    /// The octets of a file, or why it cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

impl<F: Fn(&str) -> Result<Vec<u8>, String>> Sources for F {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self(path)
    }
}

/// A zone with the warnings about it, or everything that was found when there is an error.
pub type Parsed = Result<(StaticZone, Vec<Finding>), Vec<Finding>>;

/// How deep files may include files.
const MAX_DEPTH: usize = 16;
/// How many files one zone may include.
const MAX_INCLUDES: usize = 10_000;

/// What the files of raw format begin with: the number of the format, as BIND writes it.
const RAW: [&[u8]; 2] = [&[0, 0, 0, 2], &[0, 0, 0, 3]];

/// Reads and checks the zone in the file `path`. Names are relative to `default_origin` until the file says otherwise.
pub fn parse_zone(sources: &dyn Sources, path: &str, default_origin: &Name) -> Parsed {
    parse_zone_with(&Checks::default(), sources, path, default_origin)
}

/// The same, with what the checks need besides the file.
pub fn parse_zone_with(checks: &Checks, sources: &dyn Sources, path: &str, default_origin: &Name) -> Parsed {
    parse_file(checks, sources, &ZoneFile::new(path), default_origin).0
}

/// Reads and checks the zone in a file; beside the outcome the files that it includes.
pub(super) fn parse_file(
    checks: &Checks,
    sources: &dyn Sources,
    file: &ZoneFile,
    default_origin: &Name,
) -> (Parsed, Vec<File>) {
    let place = Place::whole(&file.path);
    let text = match sources.read(&file.path) {
        Ok(text) => text,
        Err(why) => return (Err(vec![Finding::error(place, format!("cannot read the zone file: {why}"))]), Vec::new()),
    };
    if RAW.iter().any(|format| text.starts_with(format)) {
        let name = default_origin.to_string();
        let help = format!("write it as text: named-compilezone -f raw -F text -o NEW {name} {}", file.path);
        let finding = Finding::error(place, "this is a zone file in the raw format of BIND").with_help(help);
        return (Err(vec![finding]), Vec::new());
    }
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let base = file.folder.as_deref().unwrap_or(folder);
    let exact = file.zone.is_some();
    Parser { base, exact, checks: *checks, ..Parser::new(sources) }.zone(place.file, text, default_origin)
}

/// Reads and checks a zone from a text that includes no files.
pub fn parse_text(file: &str, text: &[u8], default_origin: &Name) -> Parsed {
    let no_files = |_: &str| Err("there are no files to include".to_owned());
    Parser::new(&no_files).zone(file.into(), text.to_vec(), default_origin).0
}

/// A record as read, with what its findings need.
#[derive(Debug)]
pub(super) struct Draft {
    /// The record and its place.
    pub(super) stated: StaticRecord,
    /// Width of what stands at the place, in characters.
    pub(super) width: u32,
}

struct Parser<'p> {
    sources: &'p dyn Sources,
    /// The directory that names of included files are relative to.
    base: &'p Path,
    /// Whether the apex is known, so that no file can name another.
    exact: bool,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    includes: usize,
    generated: u64,
    drafts: Vec<Draft>,
    findings: Findings,
    texts: Vec<(File, Vec<u8>)>,
    checks: Checks,
    /// Whether `$ORIGIN` stands between the record before and what comes.
    moved: bool,
}

/// One file on the stack of includes.
struct Context<'c> {
    file: File,
    text: &'c [u8],
    /// In wire format, with its case.
    origin: Vec<u8>,
    owner: Option<Name>,
    /// The files that include this one, outermost first.
    parents: &'c [File],
}

impl Context<'_> {
    fn place(&self, token: &Token) -> (Place, u32) {
        let (column, width) = token.span(self.text);
        (Place { file: Arc::clone(&self.file), line: token.line, column }, width)
    }

    fn finding(&self, fault: &Fault) -> Finding {
        let (place, width) = self.place(&fault.at);
        let ends = |octet: &u8| matches!(octet, b'\n' | b'\r');
        let line = self.text[fault.at.line_start..].split(ends).next().unwrap_or_default();
        Finding::error(place, fault.message.as_str()).with_width(width).with_source(line)
    }
}

impl<'p> Parser<'p> {
    fn new(sources: &'p dyn Sources) -> Self {
        Self {
            sources,
            base: Path::new(""),
            exact: false,
            default_ttl: None,
            last_ttl: None,
            includes: 0,
            generated: 0,
            drafts: Vec::new(),
            findings: Findings::default(),
            texts: Vec::new(),
            checks: Checks::default(),
            moved: false,
        }
    }

    fn zone(mut self, file: File, text: Vec<u8>, default_origin: &Name) -> (Parsed, Vec<File>) {
        self.file(Arc::clone(&file), text, default_origin.as_wire().to_vec(), None, &[]);
        let included = self.texts.iter().map(|(file, _)| Arc::clone(file)).filter(|other| *other != file).collect();
        let known = self.exact.then_some(default_origin);
        let broken = self.findings.has_error();
        let remarks = settle::settle(&mut self.drafts, known, self.checks.max_ttl);
        let outcome = check::check(&file, self.drafts, default_origin, broken, &self.checks);
        for remark in remarks.into_iter().chain(outcome.remarks) {
            self.findings.push(remark);
        }
        let findings = self.findings.show(&file, &self.texts);
        let parsed = match findings.iter().any(Finding::is_error) {
            true => Err(findings),
            false => Ok((StaticZone { origin: outcome.apex, records: outcome.records }, findings)),
        };
        (parsed, included)
    }

    /// Reads one file, and keeps its text for the findings of the checks. `owner` is that of the entry before.
    fn file(&mut self, file: File, text: Vec<u8>, origin: Vec<u8>, owner: Option<Name>, parents: &[File]) {
        let mut context = Context { file: Arc::clone(&file), text: &text, origin, owner, parents };
        let mut lexer = Lexer::new(&text);
        while let Some(entry) = lexer.next_entry() {
            let outcome = match entry {
                Ok(entry) => self.entry(&mut context, &entry),
                Err(fault) => Err(Fault { at: fault.at, message: fault.message.to_owned() }),
            };
            if let Err(fault) = outcome {
                self.findings.push(context.finding(&fault));
            }
            if self.findings.are_too_many() {
                self.findings.stop(&file);
                break;
            }
        }
        self.texts.push((file, text));
    }

    fn entry(&mut self, context: &mut Context<'_>, entry: &Entry) -> Result<(), Fault> {
        let first = entry.tokens[0];
        let directive = !entry.leading_blank && first.text(context.text).starts_with(b"$");
        if !directive {
            return self.record(context, entry);
        }
        let mut input = Input::new(context.text, &entry.tokens[1..], first, &context.origin);
        match first.text(context.text).to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let origin = rdata::name(&mut input)?;
                rdata::end(&mut input, "$ORIGIN")?;
                context.origin = origin;
                self.moved = true;
                Ok(())
            }
            b"$TTL" => {
                let text = input.word("a TTL")?;
                let ttl = presentation::ttl(text)
                    .unwrap_or_else(|| Err(format!("{} is not a TTL such as 300 or 1h30m", shown(text))));
                let ttl = ttl.map_err(|message| input.fault(message))?;
                self.default_ttl = Some(self.sane(context, ttl, input.last()));
                rdata::end(&mut input, "$TTL")
            }
            b"$INCLUDE" => self.include(context, input),
            b"$GENERATE" => self.generate(context, input, first),
            b"$DATE" => {
                special::stamp(&mut input)?; // when BIND wrote the file; of no meaning for a zone
                rdata::end(&mut input, "$DATE")
            }
            other => {
                let known = "$ORIGIN, $TTL, $INCLUDE and $GENERATE";
                let message = format!("{} is not a directive; known are {known}", shown(other));
                Err(Fault { at: first, message })
            }
        }
    }

    /// `$INCLUDE file [origin]`: the including file's origin and owner stay as they are.
    fn include(&mut self, context: &Context<'_>, mut input: Input<'_>) -> Result<(), Fault> {
        let (text, at) = input.next("a file name")?;
        let origin = if input.is_empty() { context.origin.clone() } else { rdata::name(&mut input)? };
        rdata::end(&mut input, "$INCLUDE")?;
        let refuse = |message: String| Err(Fault { at, message });
        let name = presentation::unescape(text).ok().and_then(|octets| String::from_utf8(octets).ok());
        let Some(name) = name else { return refuse(format!("{} is not a file name", shown(text))) };
        if context.parents.len() + 1 >= MAX_DEPTH || self.includes >= MAX_INCLUDES {
            return refuse(format!(
                "too many includes; files may include files {MAX_DEPTH} deep, and {MAX_INCLUDES} in all"
            ));
        }
        self.includes += 1;
        let (path, text) = match self.read_included(&context.file, &name) {
            Ok(read) => read,
            Err((path, why)) => return refuse(format!("cannot read \"{path}\": {why}")),
        };
        let stack = [context.parents, &[Arc::clone(&context.file)]].concat();
        if stack.contains(&path) {
            return refuse(format!("\"{path}\" includes itself"));
        }
        self.file(path, text, origin, context.owner.clone(), &stack);
        Ok(())
    }

    /// The file of a name: in the directory that all names are relative to, as in BIND, or else beside the file that
    /// includes it. The error is that of the first.
    fn read_included(&self, from: &str, name: &str) -> Result<(File, Vec<u8>), (File, String)> {
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let path: File = self.base.join(name).to_string_lossy().into();
        let beside: File = folder.join(name).to_string_lossy().into();
        match self.sources.read(&path) {
            Ok(text) => Ok((path, text)),
            Err(why) if beside == path => Err((path, why)),
            Err(why) => self.sources.read(&beside).map(|text| (beside, text)).map_err(|_| (path, why)),
        }
    }

    /// `$GENERATE start-stop[/step] owner [TTL] [class] type data`: a record for each number.
    fn generate(&mut self, context: &Context<'_>, mut input: Input<'_>, first: Token) -> Result<(), Fault> {
        let range = generate::range(&mut input)?;
        let generated = self.generated + range.count();
        if generated > generate::MAX {
            let message =
                format!("this makes {} records; $GENERATE may make {} in a zone", range.count(), generate::MAX);
            return Err(Fault { at: first, message });
        }
        self.generated = generated;
        let owners = generate::template(input.word("an owner")?, false).map_err(|message| input.fault(message))?;
        let owners_at = input.last();
        let (explicit, rtype) = head(&mut input)?;
        let quoted = input.is_quoted();
        let (text, data_at) = input.next("a word of data")?;
        let data = generate::template(text, quoted).map_err(|message| input.fault(message))?;
        rdata::end(&mut input, "$GENERATE").map_err(|fault| {
            let message = format!("{}; data of several words stand between quotes", fault.message);
            Fault { message, ..fault }
        })?;
        let (place, width) = context.place(&first);
        for number in range.numbers() {
            let fault = |at: Token, message: String| Fault { at, message: format!("for {number}: {message}") };
            let owner = owners.fill(number).map_err(|message| fault(owners_at, message))?;
            let owner = presentation::name(&owner, &context.origin).and_then(|wire| Name::from_wire(&wire));
            let owner = owner.map_err(|error| fault(owners_at, error.to_string()))?;
            let text = data.fill(number).map_err(|message| fault(data_at, message))?;
            let rdata = generate::rdata(rtype, &text, &context.origin).map_err(|message| fault(data_at, message))?;
            let ttl = self.ttl(context, explicit, rtype, &rdata, data_at)?;
            let record = Record { owner, rtype, ttl, rdata: rdata.into() };
            self.drafts.push(Draft { stated: StaticRecord { record, place: place.clone() }, width });
        }
        Ok(())
    }

    /// `[owner] [TTL] [class] type data`, TTL and class in any order.
    fn record(&mut self, context: &mut Context<'_>, entry: &Entry) -> Result<(), Fault> {
        let owner = owner(context, entry)?;
        context.owner = Some(owner.clone());
        if std::mem::take(&mut self.moved) && entry.leading_blank {
            let message = format!("this record stands behind $ORIGIN and belongs to the owner before it, {owner}");
            let finding = context.finding(&Fault { at: entry.tokens[0], message });
            let help = "name the owner, or write @ for the new origin";
            self.findings.push(Finding { severity: Severity::Warning, ..finding.with_help(help) });
        }
        let named = usize::from(!entry.leading_blank);
        let mut input = Input::new(context.text, &entry.tokens[named..], entry.tokens[0], &context.origin);
        let (explicit, rtype) = head(&mut input)?;
        let at = input.last();
        let rdata = rdata::parse(rtype, &mut input)?;
        let ttl = self.ttl(context, explicit, rtype, &rdata, at)?;
        let (place, width) = context.place(&entry.tokens[0]);
        let record = Record { owner, rtype, ttl, rdata: rdata.into() };
        self.drafts.push(Draft { stated: StaticRecord { record, place }, width });
        Ok(())
    }

    /// The TTL: as stated, of `$TTL`, of the record before, or for a first SOA its last field.
    fn ttl(
        &mut self,
        context: &Context<'_>,
        explicit: Option<u32>,
        rtype: Rtype,
        rdata: &[u8],
        at: Token,
    ) -> Result<u32, Fault> {
        if let Some(stated) = explicit {
            let ttl = self.sane(context, stated, at);
            self.last_ttl = Some(ttl);
            return Ok(ttl);
        }
        if let Some(ttl) = self.default_ttl.or(self.last_ttl) {
            return Ok(ttl);
        }
        let minimum = rdata.last_chunk::<4>().filter(|_| rtype == Rtype::SOA).map(|octets| u32::from_be_bytes(*octets));
        let Some(ttl) = minimum else {
            return Err(Fault { at, message: "no TTL is known here; begin the file with $TTL".into() });
        };
        let message = format!("no TTL is known here; the SOA's last field is taken, {ttl} seconds");
        let finding = context.finding(&Fault { at, message }).with_help("begin the file with $TTL");
        self.findings.push(Finding { severity: Severity::Warning, ..finding });
        let ttl = self.sane(context, ttl, at);
        self.default_ttl = Some(ttl);
        Ok(ttl)
    }

    /// A TTL as it is used: one that is too long counts as 0 (RFC 2181 section 8).
    fn sane(&mut self, context: &Context<'_>, ttl: u32, at: Token) -> u32 {
        if ttl <= presentation::MAX_TTL {
            return ttl;
        }
        let message = format!("TTL {ttl} is more than {} and counts as 0", presentation::MAX_TTL);
        let finding = context.finding(&Fault { at, message });
        self.findings.push(Finding { severity: Severity::Warning, ..finding });
        0
    }
}

/// The owner that an entry states or inherits.
fn owner(context: &Context<'_>, entry: &Entry) -> Result<Name, Fault> {
    let at = entry.tokens[0];
    let fault = |message: String| Fault { at, message };
    if entry.leading_blank {
        let none = "no record stands before this one in the file, so its owner has to be named";
        return context.owner.clone().ok_or_else(|| fault(none.into()));
    }
    let wire = presentation::name(at.text(context.text), &context.origin);
    let wire = wire.map_err(|error| fault(error.to_string()))?;
    Name::from_wire(&wire).map_err(|error| fault(error.to_string()))
}

/// TTL and class in any order, then the type.
fn head(input: &mut Input<'_>) -> Result<(Option<u32>, Rtype), Fault> {
    let (mut ttl, mut class) = (None, false);
    loop {
        let text = input.word("a record type")?;
        if let Some(value) = presentation::ttl(text).filter(|_| ttl.is_none()) {
            ttl = Some(value.map_err(|message| input.fault(message))?);
        } else if let Some(is_in) = class_from_text(text).filter(|_| !class) {
            if !is_in {
                return Err(input.fault(format!("class {}: zones here are of class IN", shown(text))));
            }
            class = true;
        } else {
            let rtype = types::type_from_text(text).ok_or_else(|| {
                input.fault(format!("{} is not a record type; use a mnemonic such as SRV, or TYPEnnn", shown(text)))
            })?;
            return match types::banned(rtype) {
                None => Ok((ttl, rtype)),
                Some(why) => Err(input.fault(format!("type {} cannot stand in a zone: {why}", types::mnemonic(rtype)))),
            };
        }
    }
}

/// Whether a class is IN; `None` if the text is no class.
fn class_from_text(text: &[u8]) -> Option<bool> {
    match text.to_ascii_uppercase().as_slice() {
        b"IN" | b"CLASS1" => Some(true),
        b"CH" | b"CHAOS" | b"HS" | b"HESIOD" | b"CS" => Some(false),
        other => other.strip_prefix(b"CLASS").and_then(|digits| rdata::decimal(digits, 0xffff)).map(|class| class == 1),
    }
}
