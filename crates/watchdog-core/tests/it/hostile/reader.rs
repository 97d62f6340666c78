//! A mail and its page as others read them: `mail-parser` for the message, `html5gum` for the HTML.

use html5gum::{Token, Tokenizer};
use mail_parser::{HeaderValue, MessageParser, MimeHeaders, PartType};
use watchdog_core::mail::Mail;

use super::world::{NOW, REGION};
use crate::support::at;

/// The mail as it goes out.
pub struct Wire {
    pub size: usize,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub html: String,
}

impl Wire {
    #[track_caller]
    pub fn read(mail: &Mail) -> Self {
        let raw = mail.mime(at(NOW)).unwrap();
        assert!(raw.is_ascii(), "not 7-bit");
        let wire = std::str::from_utf8(&raw).unwrap();
        for line in wire.split_inclusive("\r\n") {
            assert!(line.len() <= 1000, "a line of {} bytes", line.len());
            let bare = line.trim_end_matches("\r\n").find(['\r', '\n', '\0']);
            assert_eq!(bare, None, "a bare line end in {line:?}");
        }
        let parsed = MessageParser::default().parse(&raw).unwrap();
        let kinds: Vec<String> = parsed
            .parts
            .iter()
            .map(|part| {
                let kind = part.content_type().map_or_else(String::new, |kind| {
                    format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
                });
                assert!(!matches!(part.body, PartType::Message(_)));
                assert!(!part.is_encoding_problem, "{kind}");
                kind
            })
            .collect();
        let mut wanted = vec!["multipart/alternative", "text/plain"];
        if mail.pictures.is_empty() {
            wanted.push("text/html");
        } else {
            wanted.extend(["multipart/related", "text/html"]);
            wanted.extend(mail.pictures.iter().map(|_| "image/png"));
        }
        assert_eq!(kinds, wanted);
        let headers = parsed.headers().iter().map(|header| {
            let value = match &header.value {
                HeaderValue::Text(text) => text.to_string(),
                HeaderValue::TextList(list) => list.join(" "),
                HeaderValue::Address(address) => {
                    address.iter().map(|one| one.address().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
                }
                _ => String::new(),
            };
            (header.name().to_owned(), value)
        });
        let headers: Vec<(String, String)> = headers.collect();
        // As a reader of lines sees it, who knows of nothing but colons and leading spaces.
        let (head, _) = wire.split_once("\r\n\r\n").unwrap();
        let lines = head.split("\r\n").filter(|line| !line.starts_with(' ') && !line.starts_with('\t'));
        let names: Vec<&str> = lines.map(|line| line.split_once(':').unwrap().0).collect();
        assert_eq!(names, headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        Self {
            size: raw.len(),
            headers,
            text: parsed.body_text(0).unwrap().replace("\r\n", "\n"),
            html: parsed.body_html(0).unwrap().replace("\r\n", "\n"),
        }
    }

    /// The value of a header that is there once.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = found.next().unwrap();
        assert!(found.next().is_none(), "`{name}` twice");
        value
    }
}

/// The HTML as a browser takes it apart.
pub struct Page {
    /// What somebody reads, with line ends between the pieces.
    pub text: String,
}

/// Everything that the templates use; whatever else is in a page came from somebody's text.
const TAGS: [&str; 26] = [
    "html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "th", "p", "b", "br", "ul", "li",
    "a", "code", "span", "img", "h1", "h2", "h3", "i", "tbody", "wbr",
];
const ATTRIBUTES: [&str; 26] = [
    "lang",
    "charset",
    "name",
    "content",
    "style",
    "class",
    "role",
    "width",
    "height",
    "cellpadding",
    "cellspacing",
    "align",
    "colspan",
    "scope",
    "title",
    "href",
    "src",
    "alt",
    "aria-hidden",
    "border",
    "valign",
    "bgcolor",
    "dir",
    "id",
    "rel",
    "target",
];
/// Those that have no end.
const VOID: [&str; 4] = ["meta", "br", "img", "wbr"];

impl Page {
    #[track_caller]
    pub fn read(html: &str) -> Self {
        let mut text = String::new();
        let mut open: Vec<String> = Vec::new();
        let mut doctypes = 0;
        for token in Tokenizer::new(html) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8(tag.name.to_vec()).unwrap();
                    assert!(TAGS.contains(&name.as_str()), "<{name}> in the page");
                    for (attribute, value) in &tag.attributes {
                        let attribute = std::str::from_utf8(attribute).unwrap();
                        let value = std::str::from_utf8(value).unwrap();
                        assert!(ATTRIBUTES.contains(&attribute), "<{name} {attribute}> in the page");
                        check_attribute(&name, attribute, value);
                        if matches!(attribute, "alt" | "title") {
                            text.push_str(value);
                            text.push('\n');
                        }
                    }
                    if !VOID.contains(&name.as_str()) {
                        open.push(name);
                    } else if name == "br" {
                        text.push('\n');
                    }
                }
                Token::EndTag(tag) => {
                    let name = String::from_utf8(tag.name.to_vec()).unwrap();
                    assert_eq!(open.pop().as_deref(), Some(name.as_str()), "ends in the order of their beginnings");
                    if !matches!(name.as_str(), "span" | "b" | "a" | "code") {
                        text.push('\n');
                    }
                }
                Token::String(piece) => {
                    if open.last().is_none_or(|tag| tag != "style") {
                        // A space that holds a number and its unit together is one for whoever reads it.
                        text.push_str(&std::str::from_utf8(&piece).unwrap().replace('\u{a0}', " "));
                    }
                }
                Token::Doctype(_) => doctypes += 1,
                Token::Comment(comment) => panic!("a comment: {comment:?}"),
                Token::Error(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((doctypes, open.len()), (1, 0), "one page, and all of it closed");
        Self { text }
    }
}

fn check_attribute(tag: &str, attribute: &str, value: &str) {
    match attribute {
        "href" => {
            let host = format!("https://{REGION}.console.aws.amazon.com/");
            let rest = value.strip_prefix(&host).unwrap_or_else(|| panic!("a link to {value}"));
            let is_plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._?=&#".contains(&b));
            assert!(is_plain && tag == "a", "a link to {value}");
        }
        "src" => {
            let rest = value.strip_prefix("cid:picture-").unwrap_or_else(|| panic!("loads {value}"));
            assert!(rest.ends_with("@example.com") && rest.len() < 20 && tag == "img", "loads {value}");
        }
        "style" | "class" | "role" | "width" | "height" | "content" => {
            let is_ours = value.bytes().all(|b| b.is_ascii_alphanumeric() || b" :;#%.,'-!()=".contains(&b));
            let loads = ["url(", "expression", "import", "refresh"].iter().any(|word| value.contains(word));
            assert!(is_ours && !loads, "{attribute}={value}");
        }
        _ => {}
    }
}

/// What nobody sees, or what makes text look like other text: line ends, marks of direction, and marks without any width.
pub fn is_unseen(c: char) -> bool {
    let is_line_end_of_ours = c == '\n';
    let directions = ['\u{61c}', '\u{200e}', '\u{200f}'];
    let blank =
        ['\u{ad}', '\u{34f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{3164}', '\u{ffa0}', '\u{feff}'];
    !is_line_end_of_ours
        && (c.is_control()
            || directions.contains(&c)
            || blank.contains(&c)
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{200b}'..='\u{200d}').contains(&c)
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
            || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// A text as it may be shown: what cannot be seen leaves one space, and no more than so many characters are shown.
pub fn as_shown(text: &str, longest: usize) -> String {
    let seen: String = text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
    let seen = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = seen.chars().take(longest).collect();
    if seen.chars().count() > longest {
        shown.push('…');
    }
    shown
}
