// Elements. What the API answers gets onto the page through here alone, as text.

/** A control or direction character, which a terminal would obey and a page would hide. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** `text` with every character to be seen: ESC is ␛, a right-to-left override is ‹U+202E›. */
export function visible(text) {
  return String(text).replace(UNSEEN, (found) => {
    const code = found.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return '\u2421';
    return `\u2039U+${code.toString(16).toUpperCase().padStart(4, '0')}\u203a`;
  });
}

/**
 * An element: `h('button.primary', {type: 'button', onclick}, 'Run now')`. Values of
 * `data` become data attributes; `null` and `false` are left out; children are elements
 * or text.
 */
export function h(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'title' || name.startsWith('aria-')) element.setAttribute(name, visible(value));
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false).map(piece));
  return element;
}

function piece(child) {
  return child instanceof Node ? child : document.createTextNode(visible(child));
}

const SVG = 'http://www.w3.org/2000/svg';

/** A drawing of one path on a field of 16 by 16. */
export function icon(path) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'drawn');
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

/** The element of the page with this id. */
export const by = (id) => document.getElementById(id);

/** Writes `text` where it is not there already. */
export function say(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Puts `children` in the place of what is in `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== false).map(piece));
}

/** Tells those who do not see the page. */
export function announce(text) {
  say(by('said'), text);
}

/** Whether a key is meant for a field in which one writes. */
export function isWriting(event) {
  const at = event.target;
  return at instanceof HTMLElement && (at.matches('input, select, textarea') || at.isContentEditable);
}

/**
 * A row of choices of which one holds, as radio buttons do: arrows move it.
 * `choices` are `[value, label]`.
 */
export function segments(element, choices, chosen, choose) {
  const buttons = choices.map(([value, label]) =>
    h('button', {
      type: 'button', role: 'radio', data: { value },
      'aria-checked': String(value === chosen), tabindex: value === chosen ? '0' : '-1',
      onclick: () => pick(value, false),
    }, label));
  const pick = (value, focus) => {
    for (const button of buttons) {
      const is = button.dataset.value === value;
      button.setAttribute('aria-checked', String(is));
      button.tabIndex = is ? 0 : -1;
      if (is && focus) button.focus();
    }
    choose(value);
  };
  element.onkeydown = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    pick(choices[(at + step + choices.length) % choices.length][0], true);
  };
  fill(element, buttons);
  return { pick: (value) => pick(value, false) };
}
