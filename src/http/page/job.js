// One job, in a drawer: when it is due, how it went, what runs, what it prints.

import * as api from './api.js';
import { by, fill, h, icon, say } from './dom.js';
import { badge, chip, paint } from './cells.js';
import { RunView } from './run.js';
import { REASONS, about, counted, duration, moment, named } from './words.js';

/** So many entries of its history are drawn. */
const RUNS = 40;

/** After a change, the detail is read again this much later. */
const SOON = 250;

const PLAY = 'M5 3.2v9.6l7.5-4.8z';
const PAUSE = 'M5.5 3.5v9M10.5 3.5v9';
const STOP = 'M4 4h8v8H4z';

export class JobView {
  constructor(model, actions, may, closed) {
    this.model = model;
    this.actions = actions;
    this.may = may;
    this.dialog = by('job');
    this.name = null;
    this.run = new RunView(model);
    this.build();
    this.dialog.addEventListener('close', () => {
      const { name } = this;
      this.name = null;
      this.run.stop();
      closed(name);
    });
    // A click beside the drawer closes it.
    this.dialog.addEventListener('mousedown', (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    model.addEventListener('change', ({ detail }) => this.changed(detail));
  }

  build() {
    this.title = h('h2', { id: 'job-title', tabindex: '-1' });
    this.standing = h('span.standings');
    this.buttons = h('div.buttons');
    this.open = h('ul.open-runs', { 'aria-label': 'In progress' });
    this.schedule = h('div.schedule');
    this.coming = h('ol.next-slots');
    this.facts = h('dl.facts');
    this.history = h('ol.history');
    this.state = h('p.note', { role: 'status' });
    const part = (title, ...of) => h('section', {}, h('h3', {}, title), ...of);
    this.inProgress = part('In progress', this.open);
    fill(this.dialog,
      h('div.sheet', {},
        h('header', {}, h('div.titles', {}, this.title, this.standing),
          h('button.quiet.icon', { type: 'button', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => this.dialog.close() }, '×')),
        this.buttons, this.state,
        h('div.body', {},
          this.inProgress,
          part('Output', this.run.element),
          part('History', this.history),
          part('Schedule', this.schedule, this.coming),
          part('Policies', this.facts)),
        h('div.toasts', { role: 'status', 'aria-live': 'polite' })));
  }

  /** Opens the drawer on a job, and on one of its runs. */
  show(name, cell) {
    const isNew = this.name !== name;
    this.name = name;
    this.chosen = cell?.run_id ?? null;
    this.detail = null;
    if (isNew) {
      say(this.title, name);
      for (const part of [this.schedule, this.coming, this.facts, this.history, this.standing, this.buttons, this.open]) fill(part);
      this.inProgress.hidden = true;
      this.run.show(name, null);
      say(this.state, 'Loading…');
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.title.focus();
    this.read();
  }

  changed(what) {
    if (this.name === null || (what !== this.name && what !== 'all')) return;
    this.asked ||= setTimeout(() => {
      this.asked = 0;
      if (this.name !== null) this.read();
    }, SOON);
  }

  async read() {
    const { name } = this;
    try {
      const [detail, runs] = await Promise.all([api.job(name), api.runs(name, RUNS)]);
      if (this.name !== name) return;
      this.detail = detail;
      this.runs = runs;
      say(this.state, '');
      this.render();
    } catch (error) {
      if (this.name === name) say(this.state, `${error.message}. ${error.whatToDo}`);
    }
  }

  render() {
    const { detail } = this;
    const standings = [];
    if (detail.paused) standings.push(h('span.badge', { data: { state: 'paused' } }, 'paused'));
    if (!detail.enabled) standings.push(h('span.badge', { data: { state: 'paused' } }, 'disabled'));
    for (const tag of detail.tags) standings.push(h('span.tag', {}, tag));
    fill(this.standing, standings);
    this.renderButtons();
    this.renderOpen();
    this.renderSchedule();
    this.renderFacts();
    this.renderHistory();
    // What was chosen; else what runs; else what ran last.
    const running = detail.open.find((slot) => slot.run_id);
    const last = this.runs.find((entry) => entry.run_id);
    this.run.show(this.name, this.chosen ?? running?.run_id ?? last?.run_id ?? null);
    this.run.element.parentElement.hidden = this.run.id === null;
    this.mark();
  }

  /** The buttons are made once for each way a job stands, so that they keep the focus. */
  renderButtons() {
    const { detail, actions } = this;
    const stands = `${this.name} ${this.may()} ${detail.paused}`;
    if (this.buttons.stands === stands && this.buttons.firstChild) return;
    const focused = this.buttons.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.buttons.stands = stands;
    this.buttons.hidden = !this.may();
    if (!this.may()) {
      fill(this.buttons);
      return;
    }
    const pause = detail.paused
      ? h('button', { type: 'button', data: { act: 'resume', focus: 'pause' }, onclick: () => actions.resume(this.name) }, icon(PLAY), 'Resume')
      : h('button', { type: 'button', data: { act: 'pause', focus: 'pause' }, onclick: () => actions.pause(this.name) }, icon(PAUSE), 'Pause');
    fill(this.buttons,
      h('button.primary', { type: 'button', data: { act: 'trigger', focus: 'trigger' }, onclick: () => this.trigger() }, icon(PLAY), 'Run now'), pause);
    if (focused) this.buttons.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  async trigger() {
    const result = await this.actions.trigger(this.name);
    if (!result || this.name !== result.job) return;
    this.wanted = result.trigger_id;
    this.read();
  }

  renderOpen() {
    const { detail, model } = this;
    const now = model.now();
    this.inProgress.hidden = detail.open.length === 0;
    // What was asked for here is what is looked at.
    const wanted = this.wanted && detail.open.find((slot) => slot.trigger_id === this.wanted && slot.run_id);
    if (wanted) {
      this.chosen = wanted.run_id;
      this.wanted = null;
    }
    fill(this.open, detail.open.map((slot) => h('li', { data: { run: slot.run_id ?? '' } },
      badge(slot.state), slot.run_id ? chip(model, slot.node) : null,
      h('span.grow', {}, `slot ${moment(slot.slot, now)}${slot.trigger_id ? ', asked for' : ''}${slot.takeovers ? ', taken over' : ''}`),
      slot.run_id ? h('button.quiet', { type: 'button', onclick: () => this.choose(slot.run_id) }, 'Output') : null,
      this.may() && slot.state === 'running'
        ? h('button.danger.soft', { type: 'button', data: { act: 'cancel' }, onclick: () => this.actions.cancel(slot) }, icon(STOP), 'Cancel') : null)));
  }

  renderSchedule() {
    const { detail, model } = this;
    const now = model.now();
    fill(this.schedule, detail.schedules.length
      ? detail.schedules.map((schedule) => h('p', {}, h('b', {}, schedule.words), h('span.dim', {}, h('code', {}, schedule.expression), ` in ${schedule.zone}`)))
      : h('p', {}, 'It has no schedule: it runs when it is asked for.'));
    fill(this.coming, detail.coming.map((one) => h('li', {},
      h('time', { datetime: one.slot }, one.local.slice(0, 19).replace('T', ' ')),
      h('span.dim', {}, one.local.slice(19).replace(/\[.*/, '')), h('span.in', {}, `in ${about(Date.parse(one.slot) - now)}`))));
  }

  renderFacts() {
    const { detail } = this;
    const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
    fill(this.facts,
      fact('Runs', detail.kind), fact('While an earlier slot runs', named(detail.overlap)), fact('When its node is lost', named(detail.on_crash)),
      fact('Missed slots', named(detail.catch_up)), fact('Attempts', String(detail.attempts)),
      fact('Timeout', detail.timeout_ms ? duration(detail.timeout_ms) : 'none'), fact('Lease', duration(detail.lease_ttl_ms)),
      fact('May run on', detail.may_run_on.join(', ') || 'no node that lives'));
  }

  renderHistory() {
    const { runs, model } = this;
    if (runs.length === 0) {
      fill(this.history, h('li.none', {}, 'No run yet. Its first one shows here when it ends.'));
      return;
    }
    const focused = document.activeElement?.closest('.history [data-run]')?.dataset.run;
    const longest = Math.max(1, ...runs.map((entry) => entry.duration_ms ?? 0));
    const now = model.now();
    fill(this.history, runs.map((entry) => {
      if (!entry.run_id) {
        return h('li.gap', {}, h('time', { datetime: entry.slot }, moment(entry.slot, now)), badge('missed'),
          h('span.grow', {}, `${counted(entry.count ?? 1, 'slot')}: ${REASONS[entry.reason] ?? named(entry.reason ?? '')}`));
      }
      const bar = h('span.length', { 'aria-hidden': 'true' }, h('i'));
      bar.firstChild.style.width = `${Math.max(1, (100 * (entry.duration_ms ?? 0)) / longest)}%`;
      paint(bar.firstChild, model, entry.node);
      return h('li', {}, h('button', { type: 'button', data: { run: entry.run_id }, onclick: () => this.choose(entry.run_id) },
        h('time', { datetime: entry.slot }, moment(entry.slot, now)), badge(entry.outcome), chip(model, entry.node), bar,
        h('span.took', {}, duration(entry.duration_ms))));
    }));
    if (focused) this.history.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  choose(run) {
    this.chosen = run;
    this.run.show(this.name, run);
    this.run.element.parentElement.hidden = false;
    this.mark();
    this.run.element.parentElement.scrollIntoView({ block: 'nearest' });
  }

  mark() {
    for (const button of this.history.querySelectorAll('[data-run]')) {
      button.setAttribute('aria-pressed', String(button.dataset.run === this.run.id));
    }
  }
}
