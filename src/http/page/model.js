// The cluster as it was read, and as it has changed since. Touches no element.
//
// Invariants:
//
// - What was read anew takes the place of all that was known; events that came while it was
//   read are put to it afterwards. An event told twice changes nothing the second time.
// - Of each job whose cells were read, the newest KEPT are held, newest first. Of the others
//   there are none: they are read when somebody sees their lane, and what happens while they
//   are is put to them then.

import { isOpen } from './words.js';

/** As wide as the widest lane. */
const KEPT = 96;

/** A slot's key among those of its job: a triggered one is another slot than the scheduled. */
const keyOf = (slot) => (slot.trigger_id ? `${slot.slot} ${slot.trigger_id}` : slot.slot);
const cellKey = (cell) => (cell.state === 'missed' ? `missed ${cell.slot}` : keyOf(cell));

export class Model extends EventTarget {
  constructor() {
    super();
    this.cluster = null;
    this.nodes = [];
    this.jobs = new Map();
    this.tags = [];
    /** The store's clock, less this browser's. */
    this.ahead = 0;
    this.node = '';
    this.colours = new Map();
    /** How often all was read. */
    this.round = 0;
  }

  /** The store's clock now, in milliseconds. */
  now() {
    return Date.now() + this.ahead;
  }

  /** Something has changed: `what` is `all`, `nodes`, `jobs`, or a job's name. */
  tell(what) {
    this.dispatchEvent(new CustomEvent('change', { detail: what }));
  }

  /** All of it, read anew, but for the cells. */
  load(cluster, nodes, jobs) {
    this.cluster = cluster;
    this.node = cluster.node;
    this.ahead = Date.parse(jobs.now) - Date.now();
    this.setNodes(nodes.nodes);
    this.round += 1;
    const before = this.jobs;
    this.jobs = new Map(jobs.jobs.map((job) => [job.name, {
      ...job, search: `${job.name} ${job.tags.join(' ')}`.toLowerCase(),
      // What is known of its slots is shown until it is read again.
      cells: before.get(job.name)?.cells ?? [], isRead: false, isAsked: false, held: [],
    }]));
    this.tags = [...new Set(jobs.jobs.flatMap((job) => job.tags))].sort();
    this.tell('all');
  }

  /** Those of `names` whose cells nobody has read or asked for, at most `most`; they are asked for now. */
  ask(names, most) {
    const wanted = [];
    for (const name of names) {
      const job = this.jobs.get(name);
      if (!job || job.isRead || job.isAsked) continue;
      job.isAsked = true;
      job.held = [];
      wanted.push(name);
      if (wanted.length === most) break;
    }
    return wanted;
  }

  /** The cells of some jobs, as they were read. */
  loadCells(lanes) {
    for (const { job: name, cells } of lanes) {
      const job = this.jobs.get(name);
      if (!job) continue;
      const open = new Set(job.open.map(keyOf));
      for (const cell of cells) this.colour(cell.node);
      job.cells = cells.map((cell) => {
        const key = cellKey(cell);
        // Only this state can be of a slot that waits and of one that is settled.
        return { ...cell, key, live: cell.state === 'handed_over' ? open.has(key) : isOpen(cell.state) };
      });
      job.isRead = true;
      job.isAsked = false;
      const { held } = job;
      job.held = [];
      for (const [kind, data] of held) this.take(kind, data);
      this.tell(name);
    }
  }

  /** They could not be read: whoever sees them asks again. */
  loadFailed(names) {
    for (const name of names) {
      const job = this.jobs.get(name);
      if (job) job.isAsked = false;
    }
  }

  /** The jobs alone, for their coming slots; false where they are others than before. */
  refresh(jobs) {
    this.ahead = Date.parse(jobs.now) - Date.now();
    if (jobs.jobs.length !== this.jobs.size || jobs.jobs.some((job) => !this.jobs.has(job.name))) return false;
    for (const job of jobs.jobs) {
      const held = this.jobs.get(job.name);
      held.next = job.next;
      held.paused = job.paused;
      held.enabled = job.enabled;
    }
    this.tell('jobs');
    return true;
  }

  setNodes(nodes) {
    this.nodes = nodes.map((node) => ({ ...node, this: node.name === this.node }));
    for (const node of nodes) this.colour(node.name);
  }

  /** The number of a node's colour: the first one seen has 0, for as long as the page lives. */
  colour(node) {
    if (!node) return -1;
    if (!this.colours.has(node)) this.colours.set(node, this.colours.size);
    return this.colours.get(node);
  }

  /** Puts a change to what is known. */
  take(kind, data) {
    if (kind === 'slot' || kind === 'entry') {
      const job = this.jobs.get(data.job);
      if (!job) return;
      if (job.isAsked) job.held.push([kind, data]);
      if (kind === 'slot') this.takeSlot(job, data);
      else this.takeEntry(job, data);
      this.tell(data.job);
    } else if (kind === 'pause') {
      const job = this.jobs.get(data.job);
      if (!job) return;
      job.paused = data.paused;
      this.tell(data.job);
    } else if (kind === 'nodes') {
      this.setNodes(data);
      this.tell('nodes');
    }
  }

  takeSlot(job, open) {
    const key = keyOf(open);
    job.open = job.open.filter((slot) => keyOf(slot) !== key);
    if (open.state === 'settled') {
      const cell = job.cells.find((one) => one.key === key);
      // Its end is told before: without one there is nothing to show.
      if (cell && cell.live) job.cells = job.cells.filter((one) => one !== cell);
    } else {
      job.open.push(open);
      this.put(job, {
        key, live: true, slot: open.slot, trigger_id: open.trigger_id, state: open.state, node: open.node,
        run_id: open.run_id, attempt: open.attempt, taken_over: open.takeovers > 0, started_at: open.claimed_at,
      });
    }
  }

  takeEntry(job, entry) {
    job.last = entry;
    const cell = {
      slot: entry.slot, slot_to: entry.slot_to, count: entry.count, trigger_id: entry.trigger_id,
      state: entry.outcome, reason: entry.reason, node: entry.node, run_id: entry.run_id,
      attempt: entry.attempt, started_at: entry.started_at, duration_ms: entry.duration_ms, taken_over: false,
    };
    cell.key = cellKey(cell);
    const before = job.cells.find((one) => one.key === cell.key);
    // An earlier run of a slot that is under way again is history.
    const isPast = before?.live && before.run_id && before.run_id !== cell.run_id;
    if (isPast) {
      before.taken_over ||= cell.state === 'lease_lost';
    } else {
      const was = before && (before.taken_over || before.state === 'lease_lost');
      this.put(job, { ...cell, taken_over: Boolean(was) && cell.state !== 'lease_lost' });
    }
  }

  put(job, cell) {
    this.colour(cell.node);
    const others = job.cells.filter((one) => one.key !== cell.key);
    // Newest first; a slot of the same second that comes later goes before.
    let at = others.findIndex((one) => one.slot <= cell.slot);
    if (at < 0) at = others.length;
    others.splice(at, 0, cell);
    job.cells = others.slice(0, KEPT);
  }

  /** A letter or two for each node that tell it from the others. */
  initials(node) {
    if (!this.short || this.short.of !== this.colours.size) {
      this.short = { of: this.colours.size, names: shorten([...this.colours.keys()]) };
    }
    return this.short.names.get(node) ?? '';
  }
}

/** The shortest part behind what all names begin with, two letters at most. */
export function shorten(names) {
  const tokens = names.map((name) => name.split(/[-._]/));
  let common = 0;
  while (names.length > 1 && tokens.every((parts) => parts.length > common + 1 && parts[common] === tokens[0][common])) common += 1;
  return new Map(names.map((name, i) => {
    const rest = tokens[i].slice(common).join('');
    return [name, (rest || name).slice(0, 2).toUpperCase()];
  }));
}
