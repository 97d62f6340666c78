//! Mails made of other people's text at its worst, as they go out, read back by parsers that know nothing of how they were made.
//!
//! Every message comes from the plan of a run, and not from a notice that a test has put together: alerts of every level, ends, what cannot be
//! seen, active and waiting queries, submitters, grants, silences and a broken policy.

mod reader;
pub mod world;

use expect_test::expect;
use proptest::prelude::*;
use watchdog_core::mail::{Mail, Origins, compose};
use watchdog_core::policy::Address;

use self::reader::{Page, Wire, as_shown};
use self::world::{ALLOWED, MEANT, REGION, World};
use crate::support::{at, cases};

/// What people have tried elsewhere, and what this product's own texts could be taken for.
const PIECES: [&str; 44] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    "\u{1b}[2J",
    "\u{85}",
    "\r\nBcc: evil@elsewhere.example\r\n",
    "\r\n\r\n",
    "\r\n.\r\n",
    "=?utf-8?q?=0d=0aBcc:_evil=40elsewhere.example?=",
    "=?utf-8?B?PGI+?=",
    "=?utf-8?",
    "?=",
    "=\r\n",
    "=3D=0A",
    "--=_athena_quota_watchdog",
    "\r\n--=_athena_quota_watchdog\r\nContent-Type: text/html\r\n\r\n<b>",
    "\r\n--=_athena_quota_watchdog--\r\n",
    "Content-Transfer-Encoding: base64",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</td></tr></table><h1>",
    "</title></style>",
    "<!--",
    "]]>",
    "<iframe src=//elsewhere.example>",
    "<a href=\"javascript:alert(1)\">",
    "&lt;b&gt;",
    "&#60;&#x3c;&",
    "{{ view.subject }}{% include %}",
    "https://elsewhere.example/",
    "cid:picture-1@example.com",
    "\u{202e}",
    "\u{2066}\u{2069}\u{200b}\u{feff}\u{e0041}",
    "\u{301}",
    "\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}\u{338}",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦",
    "ß日本語İﬀ",
    "`\"'\\",
    "[critical] etl: 96 % of 700 GB used",
    "; rm -rf ~ $(reboot)",
    "evil@elsewhere.example, ceo@example.com",
];

/// A text of somebody who means ill, or of nobody in particular.
pub fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        3 => "[a-z0-9._-]{1,8}",
        2 => any::<String>().prop_map(|text| text.chars().take(12).collect()),
        1 => (prop::sample::select(PIECES.to_vec()), 1usize..400).prop_map(|(piece, n)| piece.repeat(n)),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn origins() -> Origins {
    Origins { region: REGION.to_owned(), name: "athena-quota-watchdog".to_owned() }
}

/// Holds a mail against everything that must be true of all of them.
#[track_caller]
fn check(mail: &Mail, is_to_a_stranger: bool) {
    let wire = Wire::read(mail);
    assert!(wire.size < 100_000, "{} bytes: `{}`", wire.size, mail.subject);
    let names: Vec<&str> = wire.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut wanted = vec!["From", "To", "Subject", "Date", "Auto-Submitted"];
    wanted.extend(["In-Reply-To", "References", "MIME-Version", "Content-Type"]);
    assert_eq!(names, wanted, "each once, and no other");
    assert_eq!(wire.one("From"), "watchdog@example.com");
    assert_eq!(wire.one("To"), mail.to.as_str());
    assert_eq!(wire.one("Subject"), mail.subject, "the subject is read as it was written");
    let (_, domain) = wire.one("To").rsplit_once('@').unwrap();
    assert!(ALLOWED.contains(&domain), "to {}", mail.to);
    assert!(is_to_a_stranger || MEANT.contains(&wire.one("To")), "to {}", mail.to);
    assert_eq!(wire.text.trim_end(), mail.text.trim_end());
    assert_eq!(wire.html.trim_end(), mail.html.trim_end());
    let page = Page::read(&wire.html);
    for text in [&mail.subject, &wire.text, &page.text] {
        let odd = text.chars().find(|c| reader::is_unseen(*c));
        assert_eq!(odd, None, "in {text:?}");
    }
    // What stands in the sentences and numbers of one form stands in the other.
    assert!(page.text.contains(&mail.subject), "{}", mail.subject);
}

#[test]
fn no_address_is_one_that_mail_programs_read_as_another() {
    for text in ["=?utf-8?B?PGI+?=@example.com", "a=?utf-8?q?b?=@example.com", "a@a!a.example"] {
        assert!(Address::parse(text).is_err(), "{text}");
    }
    assert!(Address::parse("a=b?c@example.com").is_ok());
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn no_text_makes_a_mail_what_it_is_not(
        texts in prop::collection::vec(hostile(), 12), used in 0u64..1500, active in 0u64..220, kind in 0u8..32, seed in any::<u8>(),
    ) {
        let world = World { texts, used, active, kind, seed };
        for message in world.messages() {
            let mail = compose(&message, &world.policy().mail, &origins(), at(world::NOW));
            check(&mail, false);
        }
    }

    /// Whatever a text looks like, what is taken for an address is one address of one line, and goes to nobody else.
    #[test]
    fn an_address_is_one_address(text in prop_oneof![
        hostile(), "[a-z.+]{1,6}@[a-zA-Z0-9.-]{1,12}", "[ -~]{0,12}@[ -~]{0,16}",
        (hostile(), hostile()).prop_map(|(local, domain)| format!("{local}@{domain}.example.com")),
        hostile().prop_map(|local| format!("{local}@example.com")),
    ]) {
        if let Ok(address) = Address::parse(&text) {
            prop_assert!(address.as_str().eq_ignore_ascii_case(&text) && text.len() <= 254);
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()) && text.matches('@').count() == 1);
            let header = format!("To: {address}\r\nSubject: x\r\n\r\nx");
            let message = mail_parser::MessageParser::default().parse(header.as_bytes()).unwrap();
            let to: Vec<_> = message.to().unwrap().iter().map(|one| one.address().unwrap().to_owned()).collect();
            prop_assert_eq!(to, [address.as_str()]);
            prop_assert!(address.domain().bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)), "{}", address);
        }
    }
}

/// What is shown of a text is the text, in both forms: nothing is swallowed, and nothing is read as anything else.
#[test]
fn a_text_is_shown_as_it_is() {
    for piece in PIECES {
        let name = format!("a{piece}z");
        let world = World { texts: vec![name.clone(); 12], used: 820, active: 210, kind: 0b11111, seed: 0 };
        let messages = world.messages();
        let (mut has_sql, mut has_reason) = (false, false);
        for message in messages {
            let mail = compose(&message, &world.policy().mail, &origins(), at(world::NOW));
            check(&mail, false);
            let page = Page::read(&mail.html);
            let shown = as_shown(&name, 128);
            let is_about_it = message.notices.iter().any(|notice| notice.subject.to_string().contains(&name));
            if is_about_it {
                assert!(page.text.contains(&shown) && mail.text.contains(&shown), "{shown:?} in {}", mail.text);
            }
            has_sql |= page.text.contains(&as_shown(&format!("SELECT '{name}'"), 300));
            has_reason |= page.text.contains(&as_shown(&format!("because {name}"), 400));
        }
        assert!(has_sql && has_reason, "{piece:?}: {has_sql} {has_reason}");
    }
}

/// A program that reads mail decodes what looks encoded: text that only looks so must come out as it is.
#[test]
fn what_looks_encoded_is_not_decoded() {
    let world = World {
        texts: vec!["=?utf-8?q?=0d=0aBcc:_evil=40elsewhere.example?=".to_owned(); 12],
        used: 820,
        active: 0,
        kind: 0,
        seed: 0,
    };
    let messages = world.messages();
    let subject = messages.iter().find_map(|message| {
        let mail = compose(message, &world.policy().mail, &origins(), at(world::NOW));
        mail.subject.contains("=?utf-8?").then(|| Wire::read(&mail).one("Subject").to_owned())
    });
    expect!["[warn] =?utf-8?q?=0d=0aBcc:_evil=40elsewhere.example?=: 82 % of 1 GB used in the last hour"]
        .assert_eq(&subject.unwrap());
}

/// Whoever writes into the table cannot have mail sent to a stranger, nor to somebody whose domain is not allowed any more.
#[test]
fn what_is_remembered_of_a_stranger_leads_to_no_mail() {
    let world = World { texts: vec!["etl".to_owned(); 12], used: 10, active: 0, kind: 0, seed: 0 };
    let told = |to: &str| {
        let messages = world.messages_after(to);
        messages.iter().map(|message| message.to.to_string()).filter(|told| told == to).count()
    };
    assert_eq!((told("gone@example.com"), told("evil@elsewhere.example"), told("evil@sub.example.com")), (1, 0, 0));
    for message in world.messages_after("gone@example.com") {
        check(&compose(&message, &world.policy().mail, &origins(), at(world::NOW)), true);
    }
}

/// As many and as long as there can be, in the characters that take most room on the way.
#[test]
fn no_text_makes_a_mail_large() {
    for piece in ["👩", "<", "=", "日本"] {
        let world = |n: u8| {
            let texts = (0..12).map(|m| format!("{n:03}{m}{}", piece.repeat(500))).collect();
            World { texts, used: 1200, active: 210, kind: 0b11111, seed: n }
        };
        let mut message =
            world(0).messages().into_iter().find(|message| message.to.as_str() == "ops@example.com").unwrap();
        for n in 1..12 {
            let theirs = world(n).messages().into_iter().filter(|theirs| theirs.to == message.to);
            message.notices.extend(theirs.flat_map(|theirs| theirs.notices));
        }
        let mail = compose(&message, &world(0).policy().mail, &origins(), at(world::NOW));
        check(&mail, false);
        // Those that have no room are counted.
        assert!(mail.text.contains(" more; `watchdog status` shows every limit"), "{}", mail.text);
    }
}
