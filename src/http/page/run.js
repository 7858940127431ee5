// One run: how it went, and the end of its output, live while it runs.

import * as api from './api.js';
import { fill, h, say, visible } from './dom.js';
import { badge, chip } from './cells.js';
import { duration, moment } from './words.js';

/** Between two looks at a run in progress. */
const LOOK = 1000;

export class RunView {
  constructor(model) {
    this.model = model;
    this.id = null;
    this.timer = 0;
    this.facts = h('div.run-facts');
    this.note = h('p.note');
    this.output = h('pre.output', { tabindex: '0', 'aria-label': 'Output' });
    this.element = h('section.run', { 'aria-label': 'Run' }, this.facts, this.output, this.note);
  }

  show(job, id) {
    if (this.id === id) return;
    this.stop();
    this.job = job;
    this.id = id;
    this.element.hidden = !id;
    if (!id) return;
    // What is shown of another run of the job stays until this one's is there.
    if (this.of !== job) {
      this.of = job;
      fill(this.facts, h('span.dim', {}, 'Loading…'));
      this.output.hidden = true;
      fill(this.note);
    }
    this.look();
  }

  stop() {
    clearTimeout(this.timer);
    this.id = null;
  }

  async look() {
    const { id } = this;
    let run;
    try {
      run = await api.run(id, this.job);
    } catch (error) {
      if (this.id !== id) return;
      // Between its end and the ledger it may be nowhere for a moment.
      say(this.note, `${error.message}. ${error.whatToDo}`);
      this.timer = setTimeout(() => this.look(), 2 * LOOK);
      return;
    }
    if (this.id !== id) return;
    this.render(run);
    if (run.finished_at === null) this.timer = setTimeout(() => this.look(), LOOK);
  }

  render(run) {
    const now = this.model.now();
    const isOver = run.finished_at !== null;
    const took = isOver ? run.duration_ms : now - Date.parse(run.started_at);
    const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
    fill(this.facts,
      h('div.title', {}, badge(run.state), ' ', run.node ? chip(this.model, run.node) : null),
      h('dl', {},
        fact('Slot', moment(run.slot, now)), fact('Started', moment(run.started_at, now)),
        fact(isOver ? 'Took' : 'For', duration(took)), fact('Attempt', String(run.attempt)),
        run.exit_code !== null ? fact('Exit code', String(run.exit_code)) : null,
        run.signal !== null ? fact('Signal', String(run.signal)) : null,
        fact('Fence', String(run.fence)), fact('Run', h('code', {}, run.run_id))),
      run.error ? h('p.failure', {}, run.error) : null);
    this.renderOutput(run, isOver);
  }

  renderOutput(run, isOver) {
    const { output } = this;
    const text = run.output === null ? '' : visible(run.output);
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 24;
    if (output.textContent !== text) {
      output.textContent = text;
      if (atEnd) output.scrollTop = output.scrollHeight;
    }
    output.hidden = text === '';
    output.dataset.live = String(run.output_is_live);
    let note = '';
    if (run.output_is_live) note = text ? 'The end of its output, as it comes.' : 'Nothing was printed yet.';
    else if (!isOver) note = `Asked ${run.node} for its output; it tells it if it serves HTTP as well.`;
    else if (run.output === null) note = 'Its output is not kept.';
    else if (text === '') note = 'It printed nothing.';
    say(this.note, note);
  }
}
