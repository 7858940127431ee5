// The slot board: a lane for each job, of which only those in sight are elements.
//
// Invariants:
//
// - However many jobs there are, the lanes in sight and a few beside them are in the page.
// - A cell keeps its element for as long as it is shown, so that it keeps the focus.
// - Changes are shown once a frame.

import { by, fill, h, icon, say } from './dom.js';
import { legend, show } from './cells.js';
import { about } from './words.js';
import { Walk } from './walk.js';

/** So many lanes beyond the edges of the window. */
const BESIDE = 6;

const PAUSED = 'M5.5 3.5v9M10.5 3.5v9';

export class Board {
  constructor(model, open, seen) {
    this.model = model;
    this.seen = seen;
    this.element = by('board');
    this.lanes = new Map();
    this.names = [];
    this.index = new Map();
    this.dirty = new Set();
    this.asked = 0;
    this.fits = 12;
    this.walk = new Walk(this, open);
    this.head = h('div.head', { 'aria-hidden': 'true' },
      h('span', {}, 'Job'), h('span.axis', {}, h('span', {}, 'older'), h('span', {}, 'newest')), h('span.right', {}, 'Next'));
    this.field = h('div.field', { role: 'rowgroup' });
    fill(this.element, this.head, this.field);
    fill(by('legend'), legend());
    addEventListener('scroll', () => this.ask(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(this.element);
  }

  /** How high a lane is and how many cells it has room for. */
  measure() {
    const style = getComputedStyle(this.element);
    this.height = Number.parseFloat(style.getPropertyValue('--lane')) || 44;
    const step = Number.parseFloat(style.getPropertyValue('--step')) || 28;
    const aside = Number.parseFloat(style.getPropertyValue('--aside')) || 0;
    const fits = Math.max(4, Math.floor((this.element.clientWidth - aside) / step));
    if (fits !== this.fits) for (const name of this.lanes.keys()) this.dirty.add(name);
    this.fits = fits;
    this.element.setAttribute('aria-colcount', String(fits + 1));
    this.layOut();
  }

  /** These jobs, in this order. */
  setNames(names) {
    if (names.join() !== this.names.join()) this.walk.reset();
    this.names = names;
    this.index = new Map(names.map((name, i) => [name, i]));
    this.element.setAttribute('aria-rowcount', String(names.length));
    if (this.height) this.layOut();
    else this.measure();
  }

  layOut() {
    this.field.style.height = `${this.names.length * this.height}px`;
    this.render();
  }

  /** The job has changed. */
  touch(name) {
    if (!this.lanes.has(name)) return;
    this.dirty.add(name);
    this.ask();
  }

  touchAll() {
    for (const name of this.lanes.keys()) this.dirty.add(name);
    this.ask();
  }

  /** Renders with the next frame. */
  ask() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.render();
    });
  }

  /** The lanes in sight, as numbers. */
  sight() {
    const top = this.field.getBoundingClientRect().top;
    const first = Math.floor(-top / this.height) - BESIDE;
    const last = Math.ceil((innerHeight - top) / this.height) + BESIDE;
    return [Math.max(0, first), Math.min(this.names.length, last)];
  }

  render() {
    if (this.element.hidden) return;
    const hadFocus = this.field.contains(document.activeElement);
    const [first, last] = this.sight();
    const wanted = new Set(this.names.slice(first, last));
    const held = this.walk.lane();
    if (held !== null && this.index.has(held)) wanted.add(held);
    for (const [name, lane] of this.lanes) {
      if (wanted.has(name)) continue;
      lane.element.remove();
      this.lanes.delete(name);
    }
    const sorted = [...wanted].sort((a, b) => this.index.get(a) - this.index.get(b));
    let before = null;
    for (const name of sorted) {
      let lane = this.lanes.get(name);
      if (!lane) {
        lane = this.build(name);
        this.lanes.set(name, lane);
        this.dirty.add(name);
      }
      // In the order in which they are read aloud; moving one would take its focus away.
      const next = before ? before.nextSibling : this.field.firstChild;
      if (next !== lane.element) this.field.insertBefore(lane.element, next);
      before = lane.element;
      const i = this.index.get(name);
      if (lane.at !== i) {
        lane.at = i;
        lane.element.style.top = `${i * this.height}px`;
        lane.element.setAttribute('aria-rowindex', String(i + 1));
      }
      if (this.dirty.has(name)) this.update(lane, this.model.jobs.get(name));
    }
    this.dirty.clear();
    if (sorted.some((name) => this.model.jobs.get(name)?.isRead === false)) this.seen(sorted);
    this.walk.settle(hadFocus);
  }

  build(name) {
    const title = h('span.name', {}, name);
    const tags = h('span.tags');
    const state = h('span.state');
    const header = h('div.job', { role: 'rowheader', tabindex: '-1' }, h('span.line', {}, title, state), tags);
    const strip = h('div.strip', { role: 'none' });
    const next = h('div.next', { role: 'gridcell' });
    const element = h('div.lane', { role: 'row', data: { job: name } }, header, strip, next);
    return { name, element, header, tags, state, strip, next, cells: new Map(), at: -1 };
  }

  update(lane, job) {
    if (!job) return;
    const standing = job.paused ? 'paused' : job.enabled ? '' : 'disabled';
    if (lane.standing !== standing) {
      lane.standing = standing;
      lane.element.dataset.standing = standing;
      fill(lane.state, standing === 'paused' ? icon(PAUSED) : null, standing);
    }
    const words = job.tags.join(' · ');
    say(lane.tags, words);
    this.updateCells(lane, job);
    this.updateNext(lane, job);
    lane.header.setAttribute('aria-label', [job.name, standing, words && `tags ${job.tags.join(', ')}`].filter(Boolean).join(', '));
  }

  updateCells(lane, job) {
    const wanted = job.cells.slice(0, this.fits).reverse();
    const keys = new Set(wanted.map((cell) => cell.key));
    for (const [key, element] of lane.cells) {
      if (keys.has(key)) continue;
      element.remove();
      lane.cells.delete(key);
    }
    let before = null;
    for (const cell of wanted) {
      let element = lane.cells.get(cell.key);
      if (!element) {
        element = h('div.cell', { role: 'gridcell', tabindex: '-1' });
        lane.cells.set(cell.key, element);
      }
      show(element, cell, this.model);
      const next = before ? before.nextSibling : lane.strip.firstChild;
      if (next !== element) lane.strip.insertBefore(element, next);
      before = element;
    }
    lane.element.classList.toggle('bare', job.isRead && wanted.length === 0);
    lane.element.classList.toggle('unread', !job.isRead && wanted.length === 0);
  }

  updateNext(lane, job) {
    const now = this.model.now();
    const at = job.next.map((text) => Date.parse(text)).find((at) => at > now - 999);
    let text = '';
    if (job.paused || !job.enabled) text = '–';
    else if (at !== undefined) text = at - now < 1000 ? 'now' : `in ${about(at - now)}`;
    say(lane.next, text);
  }

  /** A second has gone by. */
  tick() {
    if (this.element.hidden) return;
    for (const lane of this.lanes.values()) {
      const job = this.model.jobs.get(lane.name);
      if (job) this.updateNext(lane, job);
    }
  }
}
