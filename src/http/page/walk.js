// The keyboard's way over the board: one stop for Tab, arrows from there.
//
// Invariant: exactly one element of the board can be reached by Tab. Where it goes away,
// the name of its lane takes its place, and the focus with it.

export class Walk {
  constructor(board, open) {
    this.board = board;
    this.open = open;
    this.at = null;
    /** The job whose lane the stop is on. */
    this.job = null;
    const { element } = board;
    element.addEventListener('keydown', (event) => this.press(event));
    element.addEventListener('focusin', (event) => this.take(event.target));
    element.addEventListener('click', (event) => this.click(event));
  }

  /** The name of the lane that has the focus: it stays though it is out of sight. */
  lane() {
    return this.board.field.contains(document.activeElement) ? this.job : null;
  }

  /** The stops of a lane, from left to right. */
  stops(lane) {
    return [lane.header, ...lane.strip.children];
  }

  take(target) {
    if (!(target instanceof HTMLElement) || !target.matches('.job, .cell')) return;
    if (this.at && this.at !== target) this.at.tabIndex = -1;
    this.at = target;
    this.job = target.closest('.lane').dataset.job;
    target.tabIndex = 0;
  }

  /** Other lanes are shown: unless one is on the board, Tab leads to the first of them. */
  reset() {
    if (!this.at || this.board.field.contains(document.activeElement)) return;
    this.at.tabIndex = -1;
    this.at = this.job = null;
  }

  /** After the board was rendered: there is one stop, and it has the focus if one had it. */
  settle(hadFocus) {
    const { board } = this;
    if (this.at?.isConnected) return;
    const lane = board.lanes.get(this.job) ?? board.lanes.get(board.names[board.sight()[0]]) ?? board.lanes.values().next().value;
    this.at = lane?.header ?? null;
    this.job = lane?.name ?? null;
    if (this.at) this.at.tabIndex = 0;
    if (hadFocus) this.at?.focus({ preventScroll: true });
  }

  click(event) {
    const target = event.target.closest('.job, .cell');
    if (!target || !this.board.field.contains(target)) return;
    target.focus({ preventScroll: true });
    this.go(target);
  }

  go(target) {
    const lane = target.closest('.lane').dataset.job;
    const cell = this.board.model.jobs.get(lane)?.cells.find((one) => one.key === target.dataset.key);
    this.open(lane, target.matches('.cell') ? cell : null);
  }

  press(event) {
    if (event.altKey || event.metaKey || !this.at || !this.board.field.contains(event.target)) return;
    const lane = this.board.lanes.get(this.job);
    if (!lane) return;
    const stops = this.stops(lane);
    const at = stops.indexOf(this.at);
    const page = Math.max(1, Math.floor(innerHeight / this.board.height) - 3);
    const within = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: stops.length - 1 };
    const across = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page };
    if (event.ctrlKey && (event.key === 'Home' || event.key === 'End')) {
      this.toLane(event.key === 'Home' ? 0 : this.board.names.length - 1, stops.length - at);
    } else if (event.key in within) {
      stops[Math.max(0, Math.min(stops.length - 1, within[event.key]))].focus();
    } else if (event.key in across) {
      this.toLane(lane.at + across[event.key], at === 0 ? Infinity : stops.length - at);
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.go(this.at);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** To the lane of that number, at the stop that is so far from its right end. */
  toLane(number, fromRight) {
    const { board } = this;
    const i = Math.max(0, Math.min(board.names.length - 1, number));
    const name = board.names[i];
    if (name === undefined) return;
    const top = board.field.getBoundingClientRect().top + i * board.height;
    const margin = board.height * 1.5;
    if (top < margin) scrollBy({ top: top - margin, behavior: 'instant' });
    else if (top + board.height > innerHeight - margin) scrollBy({ top: top + board.height - innerHeight + margin, behavior: 'instant' });
    this.job = name;
    board.render();
    const lane = board.lanes.get(name);
    if (!lane) return;
    const stops = this.stops(lane);
    stops[Math.max(0, stops.length - fromRight)].focus({ preventScroll: true });
  }

  /** The focus to the lane of this job, as when its drawer is closed. */
  focus(name) {
    const i = this.board.index.get(name);
    if (i !== undefined) this.toLane(i, Infinity);
  }
}
