// The coming slots: of each job its next, the soonest first.

import { by, fill, h, say } from './dom.js';
import { about, day } from './words.js';

/** So many are shown. */
const MOST = 14;

export function showComing(model, open) {
  const now = model.now();
  const coming = [];
  for (const job of model.jobs.values()) {
    if (job.paused || !job.enabled) continue;
    const at = job.next.map((text) => Date.parse(text)).find((at) => at > now);
    if (at !== undefined) coming.push([at, job.name]);
  }
  coming.sort((a, b) => a[0] - b[0] || a[1].localeCompare(b[1]));
  const list = by('coming');
  const wanted = coming.slice(0, MOST);
  if (wanted.length === 0) {
    fill(list, h('li.none', {}, model.jobs.size ? 'Nothing is scheduled.' : ''));
    return;
  }
  // Elements are kept, so that one that has the focus keeps it.
  while (list.children.length > wanted.length || list.querySelector('.none')) list.lastElementChild.remove();
  wanted.forEach(([at, name], i) => {
    let item = list.children[i];
    if (!item) {
      item = h('li', {}, h('button', { type: 'button', onclick: () => open(item.dataset.job) }, h('time'), h('span.name'), h('span.in')));
      list.append(item);
    }
    item.dataset.job = name;
    const [time, label, wait] = item.firstElementChild.children;
    say(time, day(at, now));
    say(label, name);
    say(wait, at - now < 1000 ? 'now' : about(at - now));
  });
}
