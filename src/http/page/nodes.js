// The nodes: whether they live, what share of the runs is theirs, what they run now.

import { by, fill, h, say } from './dom.js';
import { paint } from './cells.js';
import { about, counted } from './words.js';

function state(node) {
  if (!node.alive) return ['gone', 'gone'];
  if (node.silent) return ['silent', 'silent'];
  if (node.draining) return ['draining', 'draining'];
  return ['up', 'up'];
}

function card(node, model) {
  const [kind, word] = state(node);
  const swatch = h('i.swatch', { 'aria-hidden': 'true' }, model.initials(node.name));
  paint(swatch, model, node.name);
  const share = Math.round(node.share * 100);
  const level = h('progress', { max: '100', value: String(share), 'aria-label': `${node.name} ran ${share} % of the last hour's runs` });
  paint(level, model, node.name);
  const now = model.now();
  const facts = [];
  if (node.alive && node.started_at) facts.push(`${about(now - Date.parse(node.started_at))} up`);
  if (node.version) facts.push(node.version);
  if (node.alive && Math.abs(node.skew_ms ?? 0) >= 100) facts.push(`clock ${node.skew_ms > 0 ? '+' : '−'}${Math.abs(node.skew_ms)} ms`);
  const odd = node.alive && model.cluster && node.table && node.table !== model.cluster.table;
  if (odd) facts.push('another job table');
  return h('li.node', { data: { state: kind } },
    h('div.top', {}, swatch, h('span.name', {}, node.name), node.this ? h('span.this', { title: 'This page comes from it' }, 'here') : null,
      h('span.standing', { data: { state: kind } }, word)),
    h('div.numbers', {}, h('b', {}, `${share} %`), h('span', {}, 'of runs'), h('span.grow'), h('b', {}, String(node.running)), h('span', {}, 'running')),
    level,
    h('div.about', {}, facts.join(' · ') || 'not heard of any more'));
}

export function showNodes(model) {
  fill(by('nodes'), model.nodes.map((node) => card(node, model)));
  const { cluster } = model;
  if (!cluster) return;
  say(by('cluster'), cluster.cluster);
  const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', { title: value }, value));
  fill(by('facts'),
    fact('Store', cluster.store),
    fact('Answers in', `${(cluster.store_latency_us / 1000).toFixed(1)} ms`),
    fact('Running', counted(cluster.running, 'slot')));
  fill(by('warnings'), cluster.store_warnings.map((warning) => h('li', {}, h('b', {}, 'The store: '), warning)));
}
