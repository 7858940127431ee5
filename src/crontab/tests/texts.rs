//! Generated texts: commands, variables and users come through as they are.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::table::{Job, Work};

/// A text on one line, which a crontab can have between double quotes.
fn value() -> impl Strategy<Value = String> {
    "[^\0\r\n\"]{0,30}|[ '${}\\\\a#=%]{0,12}"
}

proptest! {
    #[test]
    fn commands_and_variables_come_through(
        command in "[^\\s\0%*\\\\][^\0\r\n%\\\\]{0,30}",
        variables in proptest::collection::btree_map("[A-Z]{1,3}_", value(), 0..4),
        other in value(),
        user in "[a-z_][a-z0-9_-]{0,8}",
    ) {
        let lines = variables.iter().map(|(name, value)| format!("{name} = \"{value}\"\n"));
        let text = format!(
            "{}0 0 * * * {user} {command}\nOTHER='{}'\n0 0 * * * {user} true\n",
            lines.collect::<String>(),
            other.replace('\'', ""),
        );
        let imported = imported(&text, Form::OfSystem, Some("UTC"));
        let table = jobs(&imported.config);
        prop_assert_eq!(table.len(), 2);
        let wanted = |job: &&Arc<Job>| job.work == Work::Shell(command.as_str().into());
        let job = table.iter().find(wanted).expect("its command is the same");
        prop_assert_eq!(job.user.as_deref(), Some(user.as_str()));
        let env: Vec<_> = job.env.iter().map(|var| (var.name.to_string(), var.value.to_string())).collect();
        prop_assert_eq!(env, variables.into_iter().collect::<Vec<_>>(), "{}", imported.config);
    }

    #[test]
    fn any_text_is_imported_to_a_good_config_or_explained(
        text in prop_oneof![
            "\\PC*|(\\PC|\n)*",
            "([-0-9*/,]{1,3} ){5}[a-z%\\\\'\"]{0,9}\n([A-Z]{1,8}|CRON_TZ|MAILTO|HOME)= ?['\"]?[a-zA-Z/ ]{0,9}['\"]?\n#?.{0,9}\n@(daily|reboot) .{0,9}",
        ],
        of_system in any::<bool>(),
    ) {
        let form = if of_system { Form::OfSystem } else { Form::OfUser };
        match import(Path::new("crontab"), &text, form, None) {
            Ok(imported) => {
                prop_assert_eq!(imported.warnings.errors(), 0);
                jobs(&imported.config);
            }
            Err(errors) => prop_assert!(errors.errors() > 0),
        }
    }
}
