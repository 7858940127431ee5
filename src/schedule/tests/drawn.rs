//! `H`, the number that a job's name draws.

use super::*;

#[test]
fn h_draws_numbers_that_stay_the_same_for_a_job() {
    // The draws of this job: minute 49, hour 5, day-of-month 23, month 12, day-of-week 2.
    same("H H H H *", "49 5 23 12 *");
    same("h h * * h", "49 5 * * 2");
    same("H H H * * *", "57 49 5 * * *");
}

#[test]
fn h_with_a_range_draws_from_the_range() {
    for (range, ok) in [("0-29", 0..=29), ("7-7", 7..=7), ("50-59", 50..=59)] {
        let next = slots(&format!("H({range}) * * * *"), "UTC", "2026-01-01", 1);
        let minute = next[0][14..16].parse::<u32>().unwrap();
        assert!(ok.contains(&minute), "{range} drew {minute}");
    }
    let days = slots("0 0 * * H(FRI-SUN)", "UTC", "2026-01-01", 1);
    assert!(["2026-01-02", "2026-01-03", "2026-01-04"].contains(&&days[0][..10]), "{days:?}");
}

#[test]
fn h_with_a_step_draws_where_the_steps_begin() {
    for step in [2, 5, 15, 60] {
        let minutes: Vec<u32> = slots(&format!("H/{step} 3 * * *"), "UTC", "2026-01-01", 60 / step)
            .iter()
            .map(|slot| slot[14..16].parse().unwrap())
            .collect();
        assert!(minutes[0] < step as u32, "{minutes:?}");
        assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] == step as u32), "{minutes:?}");
    }
    let few = slots("H(10-19)/5 3 * * *", "UTC", "2026-01-01", 2);
    assert!(few[0][14..16] >= *"10" && few[0][14..16] < *"15" && few[1][14..16] < *"20", "{few:?}");
}

#[test]
fn h_with_a_step_longer_than_its_range_draws_one_value_of_the_range() {
    let utc = Zone::utc();
    for n in 0..50 {
        let job = JobName::new(&format!("job-{n}")).unwrap();
        let context = Context { job: Some(&job), timezone: None, default_timezone: &utc };
        let normal = Schedule::parse("H(10-12)/30 H * * *", &context).unwrap().canonical();
        assert!(["10 ", "11 ", "12 "].iter().any(|m| normal[14..].starts_with(m)), "{normal}");
    }
}

#[test]
fn h_in_day_of_month_draws_days_that_every_month_has() {
    let utc = Zone::utc();
    let mut drawn = [0; 32];
    for n in 0..500 {
        let job = JobName::new(&format!("job-{n}")).unwrap();
        let context = Context { job: Some(&job), timezone: None, default_timezone: &utc };
        let monthly = Schedule::parse("0 0 H * *", &context).unwrap();
        let at = monthly.next_after("2026-01-31T12:00:00Z".parse().unwrap()).unwrap();
        drawn[at.to_string()[8..10].parse::<usize>().unwrap()] += 1;
        let steps = Schedule::parse("0 0 H/9 * *", &context).unwrap();
        let at = steps.next_after("2026-02-28T12:00:00Z".parse().unwrap()).unwrap();
        assert!(at.to_string()[8..10].parse::<u32>().unwrap() <= 9);
    }
    assert!(drawn[1..=28].iter().all(|n| *n > 0) && drawn[29..] == [0, 0, 0], "{drawn:?}");
}

#[test]
fn the_draws_of_two_fields_and_of_two_jobs_are_independent() {
    let utc = Zone::utc();
    let mut pairs = std::collections::BTreeSet::new();
    for n in 0..200 {
        let job = JobName::new(&format!("job-{n}")).unwrap();
        let context = Context { job: Some(&job), timezone: None, default_timezone: &utc };
        pairs.insert(Schedule::parse("H H * * *", &context).unwrap().canonical());
    }
    assert!(pairs.len() > 180, "{}", pairs.len());
}
