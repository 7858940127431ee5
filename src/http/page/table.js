// The same as a table, for whoever reads it better so; a page of it at a time.

import { by, fill, h } from './dom.js';
import { badge, chip } from './cells.js';
import { about, counted, duration, moment } from './words.js';

/** So many jobs a page. */
const PAGE = 50;

export class Table {
  constructor(model, open) {
    this.model = model;
    this.open = open;
    this.element = by('table');
    this.names = [];
    this.page = 0;
    this.asked = 0;
  }

  setNames(names) {
    this.names = names;
    this.page = Math.min(this.page, Math.max(0, Math.ceil(names.length / PAGE) - 1));
    this.ask();
  }

  /** Renders soon, and not more often than can be read. */
  ask() {
    if (this.element.hidden) return;
    this.asked ||= setTimeout(() => {
      this.asked = 0;
      this.render();
    }, this.element.firstChild ? 500 : 0);
  }

  render() {
    if (this.element.hidden) return;
    const focused = document.activeElement?.closest('#table [data-focus]')?.dataset.focus;
    const shown = this.names.slice(this.page * PAGE, (this.page + 1) * PAGE);
    const head = ['Job', 'Schedule', 'Last', 'Node', 'Took', 'Next', 'State'].map((text) => h('th', { scope: 'col' }, text));
    const table = h('table', {},
      h('caption.hidden', {}, 'Jobs, how they went last, and when they come next'),
      h('thead', {}, h('tr', {}, head)),
      h('tbody', {}, shown.map((name) => this.row(this.model.jobs.get(name)))));
    fill(this.element, h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': 'Jobs' }, table), this.pager());
    if (focused) this.element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  row(job) {
    const { model } = this;
    const now = model.now();
    const { last } = job;
    const running = job.open.filter((slot) => slot.state === 'running');
    const next = job.next.map((text) => Date.parse(text)).find((at) => at > now);
    const state = job.paused ? 'paused' : !job.enabled ? 'disabled' : running.length ? `running on ${running.map((slot) => slot.node).join(', ')}` : job.open.length ? 'waiting' : '';
    return h('tr', {},
      h('th', { scope: 'row' }, h('button.plain', { type: 'button', data: { focus: job.name }, onclick: () => this.open(job.name) }, job.name),
        job.tags.length ? h('span.tags', {}, job.tags.join(' · ')) : null),
      h('td', {}, job.schedules[0]?.words ?? 'by trigger alone'),
      h('td', {}, last ? [badge(last.outcome), ' ', h('time', { datetime: last.slot }, moment(last.slot, now))] : h('span.dim', {}, 'no run yet')),
      h('td', {}, last?.node ? chip(model, last.node) : '–'),
      h('td.number', {}, duration(last?.duration_ms)),
      h('td.number', {}, next && !job.paused ? `in ${about(next - now)}` : '–'),
      h('td', {}, state));
  }

  pager() {
    const pages = Math.ceil(this.names.length / PAGE);
    if (pages < 2) return null;
    const turn = (to, words) => h('button.quiet', {
      type: 'button', disabled: to < 0 || to >= pages, data: { focus: words },
      onclick: () => {
        this.page = to;
        this.render();
      },
    }, words);
    return h('nav.pager', { 'aria-label': 'Pages' }, turn(this.page - 1, 'Previous'),
      h('span', {}, `Page ${this.page + 1} of ${pages}, ${counted(this.names.length, 'job')}`), turn(this.page + 1, 'Next'));
  }
}
