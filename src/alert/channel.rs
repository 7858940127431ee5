//! A channel: one way to tell somebody, `[notify.NAME]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderMap;
use minijinja::{Environment, UndefinedBehavior};

use super::notice::Notice;
use super::signature::SigningKey;
use crate::request::Address;

/// One way to tell somebody.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub name: Box<str>,
    /// How.
    pub means: Means,
    /// What is sent, where it is not the notice as JSON.
    pub body: Option<Body>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts there are, the first included.
    pub attempts: u32,
}

/// How somebody is told.
#[derive(Debug)]
pub enum Means {
    /// By a request over HTTP.
    Webhook(Webhook),
    /// By a program, which reads the notice from its standard input.
    Command(Words),
}

/// A program and its arguments, never empty; they may be secret and are not printed.
pub struct Words(pub Box<[Box<str>]>);

/// A webhook. What may be secret of it is not printed.
pub struct Webhook {
    /// Where it is.
    pub address: Address,
    /// What is sent along.
    pub headers: HeaderMap,
    /// What the request is signed with.
    pub key: Option<SigningKey>,
    /// The roots to trust, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// A template for what is sent, in the language of Jinja, with the fields of the
/// [`Notice`] as its variables.
pub struct Body(Box<str>);

/// So many steps a template may take: one that repeats itself without end fails.
const FUEL: u64 = 200_000;

/// No service takes a longer message.
const LONGEST: usize = 256 * 1024;

/// A chain of operators is as deep as it is long, a byte or two a level, and the library reads,
/// renders and drops it level by level. So a template's length is bounded, ...
const LONGEST_TEMPLATE: usize = 16 * 1024;

/// ... and there is stack enough for the deepest: in an unoptimised build a level takes 1 to
/// 2 kB of it. What is not used is no memory.
const STACK: usize = 64 << 20;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate {
    /// In words.
    pub why: String,
    /// Where in its text, if that is known.
    pub at: Option<std::ops::Range<usize>>,
}

impl Body {
    /// A template, tried on notices with all their fields and with hardly any.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn new(template: &str) -> Result<Self, BadTemplate> {
        let length = template.len();
        if length > LONGEST_TEMPLATE {
            let why = format!("it is {length} bytes long, more than {LONGEST_TEMPLATE}");
            return Err(BadTemplate { why, at: None });
        }
        let body = Self(template.into());
        with_stack(|| body.check()).unwrap_or_else(|why| Err(BadTemplate { why, at: None }))?;
        Ok(body)
    }

    fn check(&self) -> Result<(), BadTemplate> {
        if let Some(name) = self.unknown_variable() {
            let why = format!("there is no `{name}`{}", nearest(&name));
            let at = self.0.find(name.as_str()).map(|from| from..from + name.len());
            return Err(BadTemplate { why, at });
        }
        for sample in Notice::samples() {
            self.try_render(&sample)
                .map_err(|error| BadTemplate { why: words(&error), at: place(&error, &self.0) })?;
        }
        Ok(())
    }

    /// A variable that no notice has. To be rendered is no proof of all: a branch may not be
    /// taken, and some filters take what is undefined for null.
    fn unknown_variable(&self) -> Option<String> {
        let environment = environment();
        let template = environment.template_from_str(&self.0).ok()?;
        let fields = fields();
        let is_known = |name: &String| {
            fields.contains(name) || environment.globals().any(|(global, _)| global == name)
        };
        template.undeclared_variables(false).into_iter().filter(|name| !is_known(name)).min()
    }

    /// Whether all that comes of it is JSON.
    pub fn is_json(&self) -> bool {
        let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        Notice::samples().iter().all(|sample| self.render(sample).is_ok_and(|text| is_json(&text)))
    }

    /// The text for `notice`.
    ///
    /// # Errors
    /// In words.
    pub fn render(&self, notice: &Notice) -> Result<String, String> {
        let text = with_stack(|| self.try_render(notice).map_err(|error| words(&error)))??;
        match text.len() {
            0..=LONGEST => Ok(text),
            length => Err(format!("the body is {length} bytes long, more than {LONGEST}")),
        }
    }

    fn try_render(&self, notice: &Notice) -> Result<String, minijinja::Error> {
        environment().render_str(&self.0, minijinja::value::Serde(notice))
    }
}

/// What the language has, but for what can be changed once it is made: that can hold itself,
/// or itself a thousandfold, and to print or drop it takes more stack than there is.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.remove_global("namespace");
    environment
}

/// Does `work` on a stack that is large enough for any template, or says why it cannot.
fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("there is no thread for it: {error}"))?;
        thread.join().map_err(|_| "it made the library panic".to_owned())
    })
}

/// The variables of a template.
fn fields() -> Vec<String> {
    let [all, _] = Notice::samples();
    match serde_json::to_value(all) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// What may have been meant by `name`.
fn nearest(name: &str) -> String {
    let fields = fields();
    let distance = |field: &&String| strsim::damerau_levenshtein(field, name);
    match fields.iter().min_by_key(distance) {
        Some(field) if distance(&field) <= 2 => format!("; did you mean `{field}`?"),
        _ => format!("; there are {}", fields.join(", ")),
    }
}

/// Where in the template it is. For what has no end the library points behind the end.
fn place(error: &minijinja::Error, template: &str) -> Option<std::ops::Range<usize>> {
    let at = error.range()?;
    let at = at.start.min(template.len())..at.end.min(template.len());
    template.get(at.clone()).map(|_| at)
}

fn words(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line} of the template)"));
    let detail = error.detail().map(|detail| format!(": {detail}"));
    format!("{}{}{}", error.kind(), detail.unwrap_or_default(), line.unwrap_or_default())
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(***)")
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            Some(program) => write!(f, "[{program:?}, ***]"),
            None => f.write_str("[]"),
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_the_fields_of_the_notice() {
        let body = Body::new(r#"{"text": {{ (alert ~ ": " ~ message) | tojson }}}"#).unwrap();
        assert!(body.is_json());
        let [all, hardly_any] = Notice::samples();
        let text: serde_json::Value = serde_json::from_str(&body.render(&all).unwrap()).unwrap();
        assert_eq!(text["text"], format!("failure: {}", all.message));
        assert!(body.render(&hardly_any).is_ok());
        assert!(!Body::new(r#"{"text": "{{ message }}"}"#).unwrap().is_json(), "it is not quoted");
    }

    #[test]
    fn what_is_no_field_may_be_made_or_be_of_the_language() {
        let template = "{% set x = range(3) %}{% for y in x %}{{ loop.index ~ y }}{% endfor %}";
        assert!(Body::new(template).is_ok());
    }

    #[test]
    fn what_cannot_be_rendered_is_refused_with_its_place() {
        for (template, why) in [
            ("{{ nonsense }}", "there is no `nonsense`; there are alert, at, "),
            ("{{ mesage | tojson }}", "there is no `mesage`; did you mean `message`?"),
            ("{% if error %}{{ eror }}{% endif %}", "did you mean `error`?"),
            ("{{ message.nope.nope }}", "undefined value"),
            ("a\n{% if %}", "syntax error"),
            ("{{ message | nope }}", "unknown filter"),
            (
                "{% for x in range(9999) %}{% for y in range(9999) %}{% endfor %}{% endfor %}",
                "fuel",
            ),
        ] {
            let error = Body::new(template).unwrap_err();
            assert!(error.why.contains(why), "{template}: {error:?}");
        }
        // What has no end is not beyond it.
        let endless = r#"{{ "\u00e9" ~ 'xs }}"#;
        let at = Body::new(endless).unwrap_err().at.unwrap();
        assert!(at.end <= endless.len(), "{at:?}");
    }

    #[test]
    fn no_template_takes_more_stack_than_there_is() {
        // What holds itself, or itself many times, needs something that can be changed.
        for changed in ["n", "[n.x]", "n.x[:]"] {
            let template = format!(
                "{{% set n = namespace(x=[]) %}}{{% for i in range(20000) %}}\
                 {{% set n.x = {changed} %}}{{% endfor %}}{{{{ n }}}}"
            );
            let error = Body::new(&template).unwrap_err();
            assert!(error.why.contains("there is no `namespace`"), "{template}: {error:?}");
        }
        // What is deep because it is long.
        for (begin, level, end, is_good) in [
            ("{{ message", ".a", " }}", false),
            ("{{ ", "[", "1 }}", false),
            ("{{ message[", "message[", "1 }}", false),
            ("{{ 1", "+1", " }}", true),
            ("{{ ", "-", "1 }}", true),
            ("{{ ", "not ", "1 }}", true),
            ("{{ message", "|upper", " }}", true),
            ("{{ ", "1 if 1 else ", "1 }}", true),
            ("{% if 1 %}", "{% elif 1 %}", "{% endif %}", true),
        ] {
            let room = LONGEST_TEMPLATE - begin.len() - end.len();
            let of = |levels| format!("{begin}{}{end}", level.repeat(levels));
            let longest = Body::new(&of(room / level.len()));
            assert_eq!(longest.is_ok(), is_good, "{begin}{level}: {longest:?}");
            let longer = Body::new(&of(room / level.len() + 1)).unwrap_err();
            assert!(longer.why.contains("bytes long, more than 16384"), "{longer:?}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_printed() {
        let body = Body::new("hunter2").unwrap();
        let words = Words(["/bin/send".into(), "hunter2".into()].into());
        let webhook = Webhook {
            address: Address::parse("https://hooks.example/hunter2").unwrap(),
            headers: HeaderMap::from_iter([(
                hyper::header::AUTHORIZATION,
                "hunter2".parse().unwrap(),
            )]),
            key: Some(SigningKey::new("hunter2").unwrap()),
            ca: None,
        };
        let printed = format!("{body:?} {words:?} {webhook:?} {:?}", webhook.key);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
