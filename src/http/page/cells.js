// A cell: its colour is the node, its letters name the node, its mark is the outcome.

import { h, visible } from './dom.js';
import { REASONS, STATES, counted, duration, moment, named } from './words.js';

/** So many colours there are; nodes beyond them have the same with a pattern. */
const COLOURS = 8;

/** Gives `element` the colour of a node. */
export function paint(element, model, node) {
  const number = model.colour(node);
  if (number < 0) {
    delete element.dataset.colour;
    delete element.dataset.pattern;
    return;
  }
  element.dataset.colour = String(number % COLOURS);
  const pattern = Math.floor(number / COLOURS) % 4;
  if (pattern) element.dataset.pattern = String(pattern);
  else delete element.dataset.pattern;
}

/** A node's colour and letters, beside its name. */
export function chip(model, node) {
  const swatch = h('i.swatch', { 'aria-hidden': 'true' }, model.initials(node));
  paint(swatch, model, node);
  return h('span.chip', {}, swatch, node);
}

/** The word for a state, with its mark. */
export function badge(state) {
  const mark = STATES[state]?.[1] ?? '';
  return h('span.badge', { data: { state } }, mark ? h('i', { 'aria-hidden': 'true' }, mark) : null, named(state));
}

/** What a cell says, in one sentence. */
export function sentence(cell, model) {
  const now = model.now();
  const words = cell.state === 'handed_over' && !cell.live ? 'handed over by a draining node' : STATES[cell.state]?.[0] ?? named(cell.state);
  const parts = [`${moment(cell.slot, now)} ${words}`];
  if (cell.state === 'missed') {
    if (cell.count > 1) parts.push(`${counted(cell.count, 'slot')} up to ${moment(cell.slot_to, now)}`);
    if (cell.reason) parts.push(REASONS[cell.reason] ?? named(cell.reason));
  } else if (cell.node && cell.run_id) {
    parts.push(`on ${cell.node}`);
  }
  if (cell.duration_ms !== null && cell.duration_ms !== undefined && !cell.live) parts.push(duration(cell.duration_ms));
  if (cell.attempt > 1) parts.push(`attempt ${cell.attempt}`);
  if (cell.taken_over) parts.push('taken over from a lost node');
  if (cell.trigger_id) parts.push('asked for');
  return parts.join(', ');
}

/** Whether the slot has no node yet. */
const isHeldByNobody = (cell) => cell.live && cell.state !== 'running' && cell.state !== 'lapsed';

/** Makes `element` show `cell`. */
export function show(element, cell, model) {
  const nobody = isHeldByNobody(cell) || cell.state === 'missed';
  const letters = nobody ? '' : model.initials(cell.node);
  const label = sentence(cell, model);
  const told = `${label}|${letters}|${cell.live}|${model.colour(cell.node)}`;
  if (element.told === told) return;
  element.told = told;
  element.dataset.state = isHeldByNobody(cell) ? 'waiting' : cell.state;
  element.dataset.key = cell.key;
  element.dataset.mark = cell.state === 'missed' && cell.count > 1 ? shortCount(cell.count) : STATES[cell.state]?.[1] ?? '';
  element.classList.toggle('taken', Boolean(cell.taken_over));
  element.classList.toggle('asked', Boolean(cell.trigger_id));
  paint(element, model, nobody ? null : cell.node);
  element.textContent = visible(letters);
  element.setAttribute('aria-label', visible(label));
  element.title = visible(label);
}

const shortCount = (n) => (n < 1000 ? String(n) : `${Math.floor(n / 1000)}k`);

/** The legend below the board. */
export function legend() {
  const items = [
    ['running', 'running', ''], ['succeeded', 'succeeded', ''], ['failed', 'failed', ''], ['timed_out', 'timed out', ''],
    ['cancelled', 'cancelled', ''], ['waiting', 'waiting', ''], ['missed', 'missed', ''], ['succeeded', 'taken over', 'taken'],
    ['succeeded', 'asked for', 'asked'],
  ];
  return items.map(([state, words, more]) => {
    const cell = h('span.cell', { data: { state, mark: STATES[state][1] }, 'aria-hidden': 'true' });
    if (more) cell.classList.add(more);
    return h('li', {}, cell, words);
  });
}
