// Before the first paint, so that nothing flashes: the theme that was chosen here.
'use strict';
(() => {
  let chosen = 'auto';
  try {
    chosen = localStorage.getItem('solocron.theme') || 'auto';
  } catch {
    // Storage is forbidden: the system's theme it is.
  }
  document.documentElement.dataset.theme = chosen;
})();
