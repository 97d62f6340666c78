//! DynamoDB's expressions, those of them that the watchdog uses: what a call asks for is done, and not what this test knows of it.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value};

/// Whether an item, which is empty where there is none, meets a condition: comparisons and `attribute_not_exists`, with `AND`, `OR` and parentheses.
pub fn holds(condition: &str, item: &Map<String, Value>, values: &Value) -> bool {
    let mut reader = Reader { words: words(condition), item, values };
    let holds = reader.any();
    assert_eq!(reader.words.next(), None, "a condition that is not known here: {condition}");
    holds
}

/// Changes an item as an update says: `SET` of values, `REMOVE` of names.
pub fn update(expression: &str, item: &mut Map<String, Value>, values: &Value) {
    let (set, remove) = match expression.split_once("REMOVE ") {
        Some((set, remove)) => (set, remove),
        None => (expression, ""),
    };
    let set = set.trim();
    let parts = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    for part in set.strip_prefix("SET ").map(parts).unwrap_or_default() {
        let (name, value) = part.split_once(" = ").unwrap_or_else(|| panic!("not known here: {expression}"));
        assert!(!values[value].is_null(), "`{value}` has no value: {expression}");
        item.insert(name.to_owned(), values[value].clone());
    }
    assert!(set.is_empty() || set.starts_with("SET "), "an update that is not known here: {expression}");
    for name in parts(remove) {
        item.remove(&name);
    }
}

fn words(text: &str) -> Peekable<IntoIter<String>> {
    let apart = text.replace('(', " ( ").replace(')', " ) ");
    apart.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter().peekable()
}

struct Reader<'a> {
    words: Peekable<IntoIter<String>>,
    item: &'a Map<String, Value>,
    values: &'a Value,
}

impl Reader<'_> {
    fn next(&mut self) -> String {
        self.words.next().expect("a condition that goes on")
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.words.next_if(|word| word == "OR").is_some() {
            // Read in any case.
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.words.next_if(|word| word == "AND").is_some() {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        match self.next().as_str() {
            "(" => {
                let holds = self.any();
                assert_eq!(self.next(), ")");
                holds
            }
            "attribute_not_exists" => {
                let [open, name, close] = [self.next(), self.next(), self.next()];
                assert_eq!((open.as_str(), close.as_str()), ("(", ")"));
                !self.item.contains_key(&name)
            }
            name => {
                let (sign, value) = (self.next(), self.next());
                let to = &self.values[&value];
                assert!(!to.is_null(), "`{value}` has no value");
                // What is not there, and what is of another type, is neither less nor more nor the same.
                self.item.get(name).is_some_and(|is| compare(is, &sign, to))
            }
        }
    }
}

fn compare(is: &Value, sign: &str, to: &Value) -> bool {
    let number = |value: &Value| value["N"].as_str().map(|n| n.parse::<i64>().expect("a number"));
    let order = match (number(is), number(to)) {
        (Some(is), Some(to)) => is.cmp(&to),
        (None, None) => is["S"].as_str().cmp(&to["S"].as_str()),
        _ => return false,
    };
    match sign {
        "=" => order.is_eq(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        other => panic!("`{other}` is not known here"),
    }
}
