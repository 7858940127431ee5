// The page's life: who looks on, what is read, what is shown.

import * as api from './api.js';
import { Actions } from './actions.js';
import { Board } from './board.js';
import { showComing } from './coming.js';
import { announce, by, fill, h, isWriting, say, segments } from './dom.js';
import { Filter } from './filter.js';
import { JobView } from './job.js';
import { Model } from './model.js';
import { showNodes } from './nodes.js';
import { listen } from './stream.js';
import { Table } from './table.js';
import { moment } from './words.js';

/** How often what no event tells is read: the coming slots, the shares, the store's pace. */
const AGAIN = 5_000;
/** The same where there are so many jobs that it weighs. */
const AGAIN_OF_MANY = 20_000;
const MANY = 200;

/** So many cells of a job are read at first; what happens while one looks is put to them. */
const CELLS = 32;
/** Of so many jobs at once. */
const LANES = 50;

/** How long the first event of the stream is waited for before all is read without it. */
const HELLO = 1_000;

const model = new Model();
let who = null;
let stream = null;
let held = [];
let isReading = false;
let isStale = false;
let readAt = 0;
let isRefreshing = false;
let retry = 0;

const open = (name, cell) => job.show(name, cell);
const actions = new Actions(model);
const board = new Board(model, open, (names) => readCells(names));
const table = new Table(model, open);
const filter = new Filter(model, () => list());
const job = new JobView(model, actions, () => who?.role === 'operator', (name) => {
  if (location.hash) history.replaceState(null, '', location.pathname);
  if (name && !board.element.hidden) board.walk.focus(name);
});

// What is shown.

function list() {
  const names = filter.names();
  board.setNames(names);
  table.setNames(names);
  const empty = by('empty');
  empty.hidden = names.length > 0;
  if (names.length === 0) {
    if (model.jobs.size === 0) {
      fill(empty, h('h3', {}, 'No jobs yet'), h('p', {}, 'The job table of this node is empty. Add a [jobs.NAME] to it and reload.'));
    } else {
      fill(empty, h('h3', {}, 'No job is like that'), h('p', {}, 'Nothing fits this filter.'),
        h('button', { type: 'button', onclick: () => { filter.clear(); filter.input.focus(); } }, 'Show all jobs'));
    }
  }
  document.body.classList.toggle('nothing', names.length === 0);
}

let relist = 0;
model.addEventListener('change', ({ detail }) => {
  if (detail === 'all') {
    filter.setTags(model.tags);
    list();
    board.touchAll();
    showNodes(model);
    showComing(model, open);
  } else if (detail === 'nodes') {
    showNodes(model);
  } else if (detail === 'jobs') {
    board.touchAll();
    table.ask();
  } else {
    board.touch(detail);
    table.ask();
    if (filter.isLive()) relist ||= setTimeout(() => { relist = 0; list(); }, 300);
  }
});

setInterval(() => {
  if (document.hidden || by('main').hidden) return;
  board.tick();
  showComing(model, open);
  const again = model.jobs.size > MANY ? AGAIN_OF_MANY : AGAIN;
  if (Date.now() - readAt > again) refresh();
}, 1000);

// What is read.

/** Reads all; events that come meanwhile wait. */
async function read() {
  if (isReading) {
    isStale = true;
    return;
  }
  isReading = true;
  isStale = false;
  try {
    const [cluster, nodes, jobs] = await Promise.all([api.cluster(), api.nodes(), api.jobs(1)]);
    // The next slot of each is enough for now; more of them come with the first refresh.
    readAt = jobs.jobs.length > MANY ? Date.now() : 0;
    model.load(cluster, nodes, jobs);
    for (const [kind, data] of held) model.take(kind, data);
    held = [];
    document.body.classList.remove('loading');
    if (stream) link('live');
    well();
    fromHash();
  } catch (error) {
    failed(error);
    if (error.status !== 401) {
      retry ||= setTimeout(() => {
        retry = 0;
        read();
      }, 2000);
    }
  } finally {
    isReading = false;
  }
  if (isStale) read();
}

/** Reads the cells of lanes that are seen for the first time. */
async function readCells(names) {
  const wanted = model.ask(names, LANES);
  if (wanted.length === 0) return;
  const { round } = model;
  try {
    const { lanes } = await api.slots(wanted, CELLS);
    // All was read anew meanwhile: this is older than what is known.
    if (round !== model.round) return;
    model.loadCells(lanes);
    // With the frame after the one that shows them.
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark('solocron.shown')));
  } catch (error) {
    // One of them may be no job any more.
    if (error.status === 404) setTimeout(read, 1000);
    else failed(error);
    setTimeout(() => {
      model.loadFailed(wanted);
      board.ask();
    }, 2000);
  }
}

/** Reads what no event tells; never twice at a time. */
async function refresh() {
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    const [cluster, nodes, jobs] = await Promise.all([api.cluster(), api.nodes(), api.jobs(model.jobs.size > MANY ? 2 : 3)]);
    model.cluster = cluster;
    model.setNodes(nodes.nodes);
    model.tell('nodes');
    well();
    if (!model.refresh(jobs)) read();
  } catch (error) {
    failed(error);
  } finally {
    isRefreshing = false;
    readAt = Date.now();
  }
}

function failed(error) {
  if (error.status === 401) signedOut();
  else if (error.status === 0) link('cut');
  else banner(`${error.message}. ${error.whatToDo}`);
}

// The stream.

function begin() {
  by('door').hidden = true;
  by('main').hidden = false;
  document.body.classList.add('loading');
  link('loading');
  stream?.close();
  held = [];
  let greeted = false;
  // What is read is at least as new as where the stream begins, so that nothing is between.
  const first = setTimeout(() => { if (!greeted) read(); }, HELLO);
  stream = listen((kind, data) => {
    if (kind === 'hello') {
      clearTimeout(first);
      link('live');
      if (!greeted || !data.complete) read();
      greeted = true;
    } else if (kind === 'table' || kind === 'lost') {
      read();
    } else if (kind === 'trouble') {
      banner(`The store does not answer: ${data.error}. What you see is from ${moment(new Date(), model.now())}.`);
    } else if (kind === 'well') {
      well();
      read();
    } else if (isReading) {
      held.push([kind, data]);
    } else {
      model.take(kind, data);
    }
  }, async (isRefused) => {
    link('cut');
    if (!isRefused) return;
    try {
      await api.session();
    } catch (error) {
      if (error.status === 401) signedOut();
    }
  });
}

const LINKS = { loading: 'Connecting', live: 'Live', cut: 'Reconnecting' };

function link(state) {
  if (state === 'cut' && document.body.dataset.link === 'cut') return;
  document.body.dataset.link = state;
  const element = by('link');
  if (element.dataset.state !== state) announce(LINKS[state]);
  element.dataset.state = state;
  say(element.lastElementChild, LINKS[state]);
  if (state === 'cut') banner(`${model.node || 'This node'} does not answer. What you see was true at ${moment(new Date(), Date.now())}; it is tried again.`, 'cut');
  else if (state === 'live' && by('banner').dataset.kind === 'cut') banner('');
}

function banner(text, kind = 'trouble') {
  const element = by('banner');
  element.hidden = !text;
  element.dataset.kind = text ? kind : '';
  say(element, text);
}

/** The store answers. */
function well() {
  if (by('banner').dataset.kind === 'trouble') banner('');
}

// Who looks on.

async function start() {
  try {
    who = await api.session();
    known();
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      signedOut();
      if (error.status === 403) say(by('sign-in-error'), `${error.message}. ${error.whatToDo}`);
    } else {
      failed(error);
      setTimeout(start, 2000);
    }
  }
}

function known() {
  by('who').hidden = who.open;
  by('sign-out').hidden = who.open;
  fill(by('who'), who.name, h('span.role', {}, who.role));
  begin();
}

function signedOut() {
  stream?.close();
  stream = null;
  who = null;
  if (job.dialog.open) job.dialog.close();
  if (by('ask').open) by('ask').close('no');
  by('main').hidden = true;
  by('who').hidden = true;
  by('sign-out').hidden = true;
  by('link').dataset.state = 'out';
  say(by('link').lastElementChild, 'Signed out');
  banner('');
  by('door').hidden = false;
  by('token').focus();
}

by('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = event.target.querySelector('button');
  button.disabled = true;
  say(by('sign-in-error'), '');
  try {
    who = await api.signIn(by('token').value);
    by('token').value = '';
    known();
  } catch (error) {
    say(by('sign-in-error'), `${error.message}. ${error.whatToDo}`);
    by('token').select();
  } finally {
    button.disabled = false;
  }
});

by('sign-out').addEventListener('click', async () => {
  await api.signOut().catch(() => null);
  signedOut();
});

// The frame: theme, view, keys, address.

const store = {
  get(key) { try { return localStorage.getItem(`solocron.${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`solocron.${key}`, value); } catch { /* It is forbidden, and forgotten. */ } },
};

const THEMES = { auto: ['◐', 'the system’s'], light: ['☀', 'light'], dark: ['☾', 'dark'] };

function theme(chosen) {
  document.documentElement.dataset.theme = chosen;
  const [sign, words] = THEMES[chosen];
  say(by('theme'), sign);
  by('theme').setAttribute('aria-label', `Theme: ${words}. Change it`);
  by('theme').title = `Theme: ${words} (t)`;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const chosen = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
  store.set('theme', chosen);
  theme(chosen);
  announce(`Theme: ${THEMES[chosen][1]}`);
}
by('theme').addEventListener('click', nextTheme);
theme(document.documentElement.dataset.theme in THEMES ? document.documentElement.dataset.theme : 'auto');

const view = segments(by('view'), [['board', 'Board'], ['table', 'Table']], 'board', (shown) => {
  board.element.hidden = shown === 'table';
  by('legend').hidden = shown === 'table';
  table.element.hidden = shown !== 'table';
  store.set('view', shown);
  table.ask();
  board.touchAll();
});
if (store.get('view') === 'table') view.pick('table');

const KEYS = [
  ['/', 'Filter the jobs'], ['b', 'To the board'], ['↑ ↓ ← →', 'Move on the board'], ['Page Up, Page Down', 'Many lanes up or down'],
  ['Home, End', 'To the job, to its newest slot'], ['Enter', 'Open the job, or the slot’s run'], ['Esc', 'Close, or clear the filter'],
  ['v', 'Board or table'], ['t', 'Theme'], ['?', 'This list'],
];

function keys() {
  const dialog = by('keys');
  fill(dialog, h('h2', { id: 'keys-title' }, 'Keys'),
    h('dl.keys', {}, KEYS.map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))),
    h('p.dim', {}, 'A cell’s colour and letters are its node, its mark is how the slot ended.'),
    h('div.buttons', {}, h('button.primary', { type: 'button', onclick: () => dialog.close() }, 'Close')));
  dialog.showModal();
}
by('help').addEventListener('click', keys);

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || isWriting(event) || document.querySelector('dialog[open]') || by('main').hidden) return;
  const deeds = {
    '/': () => filter.input.focus(),
    b: () => { view.pick('board'); (board.walk.at ?? board.element).focus(); },
    v: () => view.pick(board.element.hidden ? 'board' : 'table'),
    t: nextTheme,
    '?': keys,
  };
  const deed = deeds[event.key];
  if (!deed) return;
  event.preventDefault();
  deed();
});

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  (board.walk.at ?? board.element).focus();
});

/** Opens what the address names: `#job=NAME`. */
function fromHash() {
  const name = new URLSearchParams(location.hash.slice(1)).get('job');
  if (name && model.jobs.has(name) && job.name !== name) job.show(name, null);
}
addEventListener('hashchange', fromHash);

start();
