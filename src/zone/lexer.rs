//! Octets become entries: the tokens of one logical line (RFC 1035 section 5.1).
//!
//! Parentheses join lines, `;` starts a comment, quotes keep blanks together, a backslash takes its special meaning
//! from the octet behind it. Escapes stay in the tokens; what they mean depends on the field. A token knows its line
//! and offset; columns are counted only when something has to be reported.

/// A word of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// Offset of its first octet, behind the quote if quoted.
    pub(super) start: usize,
    /// Offset behind its last octet, before the quote if quoted.
    pub(super) end: usize,
    /// Its line, from 1.
    pub(super) line: u32,
    /// Offset where that line starts.
    pub(super) line_start: usize,
    /// Whether it stood between quotes.
    pub(super) quoted: bool,
}

impl Token {
    /// Its octets, escapes included.
    pub(super) fn text<'s>(&self, source: &'s [u8]) -> &'s [u8] {
        &source[self.start..self.end]
    }

    /// Its column in characters and its width with the quotes.
    pub(super) fn span(&self, source: &[u8]) -> (u32, u32) {
        let quote = usize::from(self.quoted);
        let characters = |octets: &[u8]| String::from_utf8_lossy(octets).chars().count() as u32;
        let before = characters(&source[self.line_start..self.start - quote]);
        (before + 1, characters(self.text(source)) + 2 * quote as u32)
    }
}

/// One logical line.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Its tokens; never empty.
    pub(super) tokens: Vec<Token>,
    /// Whether it begins with a blank: the owner of the entry before counts.
    pub(super) leading_blank: bool,
}

/// What is wrong with the shape of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LexFault {
    /// Where; its text may be empty.
    pub(super) at: Token,
    /// What.
    pub(super) message: &'static str,
}

/// Reads entries one after the other.
#[derive(Debug)]
pub(super) struct Lexer<'s> {
    source: &'s [u8],
    at: usize,
    line: u32,
    line_start: usize,
    open: Vec<Token>,
    fault: Option<LexFault>,
}

impl<'s> Lexer<'s> {
    /// Starts at the beginning; a byte order mark is skipped.
    pub(super) fn new(source: &'s [u8]) -> Self {
        let at = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { source, at, line: 1, line_start: at, open: Vec::new(), fault: None }
    }

    /// The next entry that has tokens; `None` at the end. After a fault the next call goes on with the next entry.
    pub(super) fn next_entry(&mut self) -> Option<Result<Entry, LexFault>> {
        loop {
            let mut entry = Entry { leading_blank: self.peek().is_some_and(is_blank), ..Entry::default() };
            self.fault = None;
            let more = self.read_line(&mut entry.tokens);
            if let Some(fault) = self.fault.take() {
                return Some(Err(fault));
            }
            match (entry.tokens.is_empty(), more) {
                (false, _) => return Some(Ok(entry)),
                (true, true) => {}
                (true, false) => return None,
            }
        }
    }

    /// Reads tokens up to the end of the logical line; false at the end of the file.
    fn read_line(&mut self, tokens: &mut Vec<Token>) -> bool {
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' | b'\r' if self.ends_line(octet) => {
                    if self.open.is_empty() {
                        return true;
                    }
                }
                blank if is_blank(blank) => self.at += 1,
                b';' => self.skip_comment(),
                b'(' => {
                    self.open.push(self.mark(1));
                    self.at += 1;
                }
                b')' => self.close(),
                b'"' => tokens.extend(self.quoted()),
                _ => tokens.push(self.word()),
            }
        }
        if let Some(opened) = self.open.pop() {
            self.open.clear();
            self.report(opened, "this parenthesis is never closed");
        }
        false
    }

    /// Steps over the end of a line. A carriage return without a line feed ends the line too, and counts as none.
    fn ends_line(&mut self, octet: u8) -> bool {
        match octet {
            b'\n' => self.newline(),
            _ if self.source.get(self.at + 1) == Some(&b'\n') => return false,
            _ => {
                self.at += 1;
                self.line_start = self.at;
            }
        }
        true
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// A token of `width` octets that begins here.
    fn mark(&self, width: usize) -> Token {
        let end = (self.at + width).min(self.source.len());
        Token { start: self.at, end, line: self.line, line_start: self.line_start, quoted: false }
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|octet| octet != b'\n') {
            self.at += 1;
        }
    }

    fn close(&mut self) {
        if self.open.pop().is_none() {
            self.report(self.mark(1), "this parenthesis was never opened");
        }
        self.at += 1;
    }

    /// An unquoted word; ends before a blank or a special octet that is not escaped.
    fn word(&mut self) -> Token {
        let mut token = self.mark(0);
        while let Some(octet) = self.peek() {
            if is_blank(octet) || matches!(octet, b'\n' | b';' | b'(' | b')' | b'"') {
                break;
            }
            self.octet(octet, false);
        }
        token.end = self.at;
        token
    }

    /// A quoted string; must end on its line, but for line feeds with a backslash before them.
    fn quoted(&mut self) -> Option<Token> {
        let opening = self.mark(1);
        self.at += 1;
        let mut token = Token { quoted: true, ..self.mark(0) };
        while let Some(octet) = self.peek() {
            match octet {
                b'"' => {
                    token.end = self.at;
                    self.at += 1;
                    return Some(token);
                }
                b'\n' => break,
                other => self.octet(other, true),
            }
        }
        self.report(opening, "this quote is not closed on its line");
        None
    }

    /// Steps over one octet, or over an escape of two. Between quotes the second may be a line feed.
    fn octet(&mut self, octet: u8, quoted: bool) {
        let escape = self.mark(1);
        self.at += 1;
        match (octet, self.peek()) {
            (0, _) if !quoted => self.report(escape, "an octet of zero stands here; write it as \\000"),
            (b'\\', Some(b'\n')) if quoted => self.newline(),
            (b'\\', None | Some(b'\n')) => self.report(escape, "nothing stands behind this backslash"),
            (b'\\', Some(b'\r')) if self.source.get(self.at + 1) == Some(&b'\n') => {
                self.report(escape, "nothing stands behind this backslash");
            }
            (b'\\', Some(_)) => self.at += 1,
            _ => {}
        }
    }

    /// Keeps the first fault of an entry; what follows it is often its consequence.
    fn report(&mut self, at: Token, message: &'static str) {
        self.fault.get_or_insert(LexFault { at, message });
    }
}

fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(source: &[u8]) -> Vec<Result<Vec<String>, String>> {
        let mut lexer = Lexer::new(source);
        let mut all = Vec::new();
        while let Some(entry) = lexer.next_entry() {
            let shown = |token: &Token| String::from_utf8_lossy(token.text(source)).into_owned();
            all.push(
                entry
                    .map(|entry| entry.tokens.iter().map(shown).collect())
                    .map_err(|fault| format!("{}:{} {}", fault.at.line, fault.at.span(source).0, fault.message)),
            );
        }
        all
    }

    #[test]
    fn lines_join_in_parentheses_and_comments_go() {
        let got = entries(b"a ( b ; x\n c (d)\n) e\r\n;only\n\n f");
        assert_eq!(got, [Ok(["a", "b", "c", "d", "e"].map(String::from).to_vec()), Ok(vec!["f".into()])]);
    }

    #[test]
    fn quotes_and_escapes_keep_special_octets() {
        let got = entries(b"a\\;b \"c ;( d\" e\"f\" \"\" \"\\\"\"");
        assert_eq!(got, [Ok(["a\\;b", "c ;( d", "e", "f", "", "\\\""].map(String::from).to_vec())]);
    }

    #[test]
    fn lines_end_at_carriage_returns_and_go_on_behind_escaped_line_feeds() {
        let got = entries(b"a\rb (\rc)\r\n\"d\\\ne\" f\n\"g");
        let last = got.last().cloned().expect("entries");
        let words = |words: &[&str]| Ok(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(got[..3], [words(&["a"]), words(&["b", "c"]), words(&["d\\\ne", "f"])]);
        assert_eq!(last, Err("4:1 this quote is not closed on its line".to_owned()));
    }

    #[test]
    fn faults_have_their_place_and_the_next_line_is_read() {
        let got = entries("é \"x\nb )\nc d\\\ne (\nf".as_bytes());
        let texts: Vec<_> = got.into_iter().map(|entry| entry.expect_err("fault")).collect();
        assert_eq!(
            texts,
            [
                "1:3 this quote is not closed on its line",
                "2:3 this parenthesis was never opened",
                "3:4 nothing stands behind this backslash",
                "4:3 this parenthesis is never closed"
            ]
        );
    }
}
