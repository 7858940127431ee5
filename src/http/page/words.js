// Times, durations and states in words.

const pad = (n) => String(n).padStart(2, '0');

/** A duration in as few words as tell it: 340 ms, 4.2 s, 3 m 07 s, 2 h 05 m, 3 d 4 h. */
export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** How long until then, or since, without its small change. */
export function about(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} m`;
  return `${Math.floor(s / 86400)} d`;
}

/** An instant on the viewer's clock: the time alone where it is of today. */
export function moment(text, now) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(text);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  const today = new Date(now);
  if (at.toDateString() === today.toDateString()) return time;
  const day = at.toLocaleDateString('en', { month: 'short', day: 'numeric' });
  return at.getFullYear() === today.getFullYear() ? `${day}, ${time}` : `${day} ${at.getFullYear()}, ${time}`;
}

/** When something comes: the time alone where that is soon, else the day. */
export function day(at, now) {
  if (at - now < 86_400_000) return moment(at, at);
  const date = new Date(at);
  const words = date.toLocaleDateString('en', { month: 'short', day: 'numeric' });
  return date.getFullYear() === new Date(now).getFullYear() ? words : `${words} ${date.getFullYear()}`;
}

/** The words for a state, and the mark that it has on a cell. */
export const STATES = {
  running: ['running', ''],
  lapsed: ['lapsed: its node stopped renewing', '!'],
  handed_over: ['handed over, waits for a node', '…'],
  triggered: ['triggered, waits for a node', '…'],
  waiting: ['waiting for an earlier slot', '…'],
  catch_up: ['missed, to be run after all', '…'],
  succeeded: ['succeeded', ''],
  failed: ['failed', '✕'],
  timed_out: ['timed out', '◷'],
  cancelled: ['cancelled', '⊘'],
  lease_lost: ['lost its lease', '?'],
  abandoned: ['abandoned', '?'],
  missed: ['missed', '–'],
};

const OPEN = new Set(['running', 'lapsed', 'waiting', 'triggered', 'catch_up']);
const BAD = new Set(['failed', 'timed_out', 'lease_lost', 'abandoned', 'missed']);

/** Whether a slot in this state is not settled. */
export const isOpen = (state) => OPEN.has(state);

/** Whether somebody should look into it. */
export const isBad = (state) => BAD.has(state);

/** A state's short name. */
export const named = (state) => state.replaceAll('_', ' ');

/** Why slots were missed. */
export const REASONS = {
  no_node: 'no node was up',
  store_down: 'the store did not answer in time',
  late: 'the node came to it too late',
  full: 'every node was full',
  overlap: 'an earlier slot was not settled',
  paused: 'the job was paused',
};

/** `3 jobs`, `1 job`. */
export const counted = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
