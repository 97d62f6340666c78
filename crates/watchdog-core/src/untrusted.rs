//! Other people's text: names, codes and payloads that end up in mails, errors and logs.

/// Whether `c` does something other than being seen: control characters, the marks that turn the direction of writing, and those that take
/// no room, or a letter's room with nothing in it.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` on one line, without what is not seen and makes it look like what it is not.
pub(crate) fn plain(text: &str) -> String {
    text.replace(is_unseen, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_seen_is_left() {
        assert_eq!(plain("a\r\nb\0c\u{1b}[1md"), "a  b c [1md");
        assert_eq!(plain("etl\u{202e}gnp.exe"), "etl gnp.exe");
        assert_eq!(plain("a\u{200b}b\u{2066}c\u{2028}d"), "a b c d");
        assert_eq!(plain("a\u{3164}b\u{34f}c\u{115f}d\u{1160}e\u{17b4}f\u{17b5}g\u{ffa0}h"), "a b c d e f g h");
        assert_eq!(plain("Bücher 日本 👍 <b> \"'"), "Bücher 日本 👍 <b> \"'");
    }
}
