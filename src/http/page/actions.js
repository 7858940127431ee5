// What operators ask for: confirmed first, and its result told.

import * as api from './api.js';
import { announce, by, fill, h } from './dom.js';
import { moment, named } from './words.js';

/** How long a message stays. */
const STAYS = 8000;

/**
 * Tells it in a corner of the page. The element is the caller's to change: `update(text,
 * kind)`, after which it stays as long again.
 */
export function toast(text, kind = 'plain') {
  const words = h('span.words', {}, text);
  const close = h('button.quiet.icon', { type: 'button', 'aria-label': 'Dismiss', onclick: () => element.remove() }, '×');
  const element = h('div.toast', { data: { kind } }, h('i.mark', { 'aria-hidden': 'true' }), words, close);
  let timer = 0;
  const stay = () => {
    clearTimeout(timer);
    if (element.dataset.kind !== 'busy') timer = setTimeout(() => element.remove(), STAYS);
  };
  // A modal dialog hides all that is beside it: the message goes where it can be read.
  const place = [...document.querySelectorAll('dialog[open] .toasts')].at(-1) ?? by('toasts');
  place.append(element);
  stay();
  return {
    update(text, kind) {
      fill(words, text);
      element.dataset.kind = kind;
      stay();
    },
  };
}

/** Asks whether it is meant; resolves to whether it is. */
export function confirm({ title, text, act, danger = false }) {
  const dialog = by('ask');
  const no = h('button.quiet', { type: 'button', onclick: () => dialog.close('no') }, 'Back');
  const yes = h(danger ? 'button.danger' : 'button.primary', { type: 'button', id: 'ask-yes', onclick: () => dialog.close('yes') }, act);
  fill(dialog, h('h2', { id: 'ask-title' }, title), h('p', { id: 'ask-text' }, text), h('div.buttons', {}, no, yes));
  dialog.returnValue = 'no';
  dialog.showModal();
  yes.focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  });
}

function refused(error) {
  return [error.message, error.whatToDo].filter(Boolean).join(': ');
}

async function attempt(message, doing, done) {
  const told = toast(message, 'busy');
  try {
    const result = await doing();
    const [text, kind] = done(result, told);
    told.update(text, kind);
    return result;
  } catch (error) {
    told.update(refused(error), 'bad');
    return null;
  }
}

export class Actions {
  constructor(model) {
    this.model = model;
    /** What was asked for and has not ended: by trigger id, the message that tells of it. */
    this.under = new Map();
    model.addEventListener('change', () => this.follow());
  }

  async trigger(job) {
    const sure = await confirm({
      title: `Run ${job} now?`, act: 'Run now',
      text: 'One node runs it once, in a slot of its own. Its schedule goes on as before.',
    });
    if (!sure) return null;
    return attempt(`Asking for a run of ${job}…`, () => api.trigger(job), (result, told) => {
      this.under.set(result.trigger_id, { job, told, state: '' });
      queueMicrotask(() => this.follow());
      return [`${job}: asked for, waits for a node`, 'busy'];
    });
  }

  /** Tells how it goes on with what was asked for. */
  follow() {
    for (const [id, one] of this.under) {
      const cell = this.model.jobs.get(one.job)?.cells.find((cell) => cell.trigger_id === id);
      if (!cell) continue;
      const state = `${cell.state} ${cell.live} ${cell.node}`;
      if (one.state === state) continue;
      one.state = state;
      if (cell.live && cell.state === 'running') one.told.update(`${one.job}: running on ${cell.node}`, 'busy');
      else if (!cell.live) {
        one.told.update(`${one.job}: ${named(cell.state)} on ${cell.node}`, cell.state === 'succeeded' ? 'good' : 'bad');
        this.under.delete(id);
      }
    }
  }

  async pause(job) {
    const sure = await confirm({
      title: `Pause ${job}?`, act: 'Pause',
      text: 'None of its slots begins until it is resumed; they are recorded as missed. What runs goes on.',
    });
    if (!sure) return null;
    return attempt(`Pausing ${job}…`, () => api.pause(job), (result) => {
      this.model.take('pause', result);
      return [result.changed ? `${job} is paused` : `${job} was paused already`, 'good'];
    });
  }

  async resume(job) {
    const sure = await confirm({ title: `Resume ${job}?`, act: 'Resume', text: 'Its slots begin again as scheduled.' });
    if (!sure) return null;
    return attempt(`Resuming ${job}…`, () => api.resume(job), (result) => {
      this.model.take('pause', result);
      return [result.changed ? `${job} goes on` : `${job} was not paused`, 'good'];
    });
  }

  async cancel(slot) {
    const sure = await confirm({
      title: `Cancel the run on ${slot.node}?`, act: 'Cancel the run', danger: true,
      text: `${slot.job}, slot ${moment(slot.slot, this.model.now())}: its processes are asked to end, and killed if they do not. No other node takes it over.`,
    });
    if (!sure) return null;
    return attempt(`Cancelling the run on ${slot.node}…`, () => api.cancel(slot.run_id), (result) => {
      announce(`${result.node} is asked to end the run`);
      return [`${result.node} is asked to end the run`, 'good'];
    });
  }
}
