//! Tables whose keys are not ours but names: headers and variables.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{HeaderText, Quoted, Value};
use crate::config::account;
use crate::config::invalid::InvalidValue;
use crate::config::keys::Key;
use crate::config::mismatch::article;
use crate::config::reader::Reader;
use crate::request;
use crate::table::Variable;

impl Reader<'_> {
    pub(super) fn headers<'v>(
        &mut self,
        key: &'static Key,
        table: &'v DeTable<'v>,
    ) -> Vec<HeaderText<'v>> {
        let mut headers = Vec::with_capacity(table.len());
        for (name, value) in table {
            let known = match request::header_name(name.get_ref()) {
                Ok(known) => known,
                Err(why) => {
                    self.refuse(key, name.span(), InvalidValue::new(0..0, why));
                    continue;
                }
            };
            let Some(value) = self.named_text("a header", value) else { continue };
            headers.push(HeaderText { name: known, value });
        }
        headers
    }

    pub(super) fn variables<'v>(
        &mut self,
        key: &'static Key,
        table: &'v DeTable<'v>,
    ) -> Option<Value<'v>> {
        let mut variables = Vec::with_capacity(table.len());
        for (name, value) in table {
            if let Err(invalid) = account::check_variable(name.get_ref()) {
                self.refuse(key, name.span(), invalid);
                continue;
            }
            let Some(text) = self.named_text("a variable", value) else { continue };
            if let Some(Value::Expanded(text, value)) = self.expandable(key, text) {
                if value.text.contains('\0') {
                    self.error(text.span(), "a variable cannot hold a NUL character");
                    continue;
                }
                variables.push(Variable {
                    name: name.get_ref().as_ref().into(),
                    value: value.text.into(),
                    local: value.changed,
                });
            }
        }
        Some(Value::Variables(variables))
    }

    /// A text that has a name; `what` it is.
    fn named_text<'v>(
        &mut self,
        what: &str,
        value: &'v Spanned<DeValue<'v>>,
    ) -> Option<Quoted<'v>> {
        let DeValue::String(text) = value.get_ref() else {
            let is = article(value.get_ref().type_str());
            self.error(value.span(), format!("{what} is a text, and this is {is}"))
                .help("put it in quotes");
            return None;
        };
        Some(Quoted::new(self.text, text, value.span()))
    }
}
