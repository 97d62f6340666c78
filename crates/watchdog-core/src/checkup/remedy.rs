//! Commands to paste.

use super::state::{Place, State};
use crate::policy::{Address, Policy};

/// `text` as one word of a POSIX shell.
pub(super) fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:=,@+%".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Place {
    /// `aws SERVICE OPERATION … --region REGION`.
    pub(super) fn aws(&self, command: &str) -> String {
        format!("aws {command} --region {}", quote(&self.region))
    }

    /// IAM has no Region.
    pub(super) fn iam(&self, command: &str) -> String {
        format!("aws iam {command}")
    }

    /// `aws athena update-work-group …` with these updates of its configuration.
    pub(super) fn update_workgroup(&self, name: &str, updates: &str) -> String {
        self.aws(&format!("athena update-work-group --work-group {} --configuration-updates {updates}", quote(name)))
    }

    /// What the function wrote last.
    pub(super) fn read_log(&self) -> String {
        self.aws(&format!("logs tail {} --since 1h", quote(&format!("/aws/lambda/{}", self.stack))))
    }

    /// `watchdog check`, and storing what it has found valid.
    pub(super) fn store_policy(&self, name: &str) -> Vec<String> {
        let file = quote(&format!("{name}.toml"));
        vec![
            format!("watchdog check {file}"),
            self.aws(&format!(
                "ssm put-parameter --name {} --type String --overwrite --value \"$(cat {file})\"",
                quote(&format!("{}/{name}", self.policy_path))
            )),
        ]
    }

    /// Deploys the stack as it is in the repository.
    pub(super) fn deploy(&self) -> String {
        format!("sam build && sam deploy --stack-name {} --region {}", quote(&self.stack), quote(&self.region))
    }
}

/// The physical id of a stack's resource, or its logical id in angle brackets' stead where the stack is not known.
pub(super) fn resource<'a>(state: &'a State, logical: &'a str) -> Option<&'a str> {
    state.stack.as_ref().ok()?.as_ref()?.id(logical)
}

/// The first admin, to have somebody for a command that needs an address.
pub(super) fn first_admin(policy: Option<&Policy>) -> String {
    policy.and_then(|policy| policy.mail.admins.first()).map_or("ADDRESS".to_owned(), |a| quote(Address::as_str(a)))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_word_stays_one_word_and_runs_nothing() {
        assert_eq!(quote("etl-team@example.com"), "etl-team@example.com");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("o'neil`id`$x@example.com"), r"'o'\''neil`id`$x@example.com'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("~root"), "'~root'");
    }
}
