// Which jobs are shown: by words of their name or tags, by a tag, by how they stand.

import { by, fill, h, say, segments, visible } from './dom.js';
import { counted, isBad } from './words.js';

const WHICH = {
  all: () => true,
  running: (job) => job.open.some((slot) => slot.state === 'running' || slot.state === 'lapsed'),
  trouble: (job) => job.last !== null && isBad(job.last.outcome),
  paused: (job) => job.paused || !job.enabled,
};

export class Filter {
  constructor(model, changed) {
    this.model = model;
    this.words = [];
    this.tag = '';
    this.which = 'all';
    this.input = by('filter');
    this.input.addEventListener('input', () => {
      this.words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
      changed();
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.input.value) {
        event.preventDefault();
        this.clear();
      }
    });
    by('tag').addEventListener('change', () => {
      this.tag = by('tag').value;
      changed();
    });
    const choices = [['all', 'All'], ['running', 'Running'], ['trouble', 'Trouble'], ['paused', 'Paused']];
    this.choice = segments(by('which'), choices, 'all', (which) => {
      this.which = which;
      changed();
    });
    this.changed = changed;
  }

  clear() {
    this.input.value = '';
    this.words = [];
    this.tag = by('tag').value = '';
    this.choice.pick('all');
  }

  /** Whether anything is left out, or may be. */
  isOn() {
    return this.words.length > 0 || this.tag !== '' || this.which !== 'all';
  }

  /** Whether what holds of a job can change by itself. */
  isLive() {
    return this.which !== 'all';
  }

  /** The tags that there are. */
  setTags(tags) {
    if (!tags.includes(this.tag)) this.tag = '';
    fill(by('tag'), h('option', { value: '' }, 'All tags'), tags.map((tag) => h('option', { value: tag }, visible(tag))));
    by('tag').value = this.tag;
    by('tag').disabled = tags.length === 0;
  }

  /** The names of the jobs that are shown, in order. */
  names() {
    const holds = WHICH[this.which];
    const names = [];
    for (const job of this.model.jobs.values()) {
      if (this.tag && !job.tags.includes(this.tag)) continue;
      if (!this.words.every((word) => job.search.includes(word))) continue;
      if (holds(job)) names.push(job.name);
    }
    const all = this.model.jobs.size;
    say(by('count'), this.isOn() ? `${names.length.toLocaleString('en')} of ${counted(all, 'job')}` : counted(all, 'job'));
    return names;
  }
}
