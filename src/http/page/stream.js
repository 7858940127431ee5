// What changes, as it changes. The browser comes back by itself where the connection was
// cut, with the id of the last event; where the node turned it away, this does.

const KINDS = ['hello', 'slot', 'entry', 'nodes', 'pause', 'table', 'trouble', 'well', 'lost'];

/** Between two tries, at first and at most. */
const SOON = 500;
const LATE = 10_000;

/** A page that nobody sees lets its connection go after this: a browser has six for a node. */
const UNSEEN = 20_000;

/**
 * Listens until `close()`. `take(kind, data)` is called for each event, `cut(refused)` when
 * the connection is lost: `refused` where the node answered and would not have it.
 */
export function listen(take, cut) {
  let source = null;
  let last = null;
  let wait = SOON;
  let timer = 0;
  const closed = new AbortController();

  const stop = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    stop();
    const own = new EventSource(last ? `/api/v1/events?last_event_id=${encodeURIComponent(last)}` : '/api/v1/events');
    source = own;
    for (const kind of KINDS) {
      own.addEventListener(kind, (event) => {
        last = event.lastEventId || last;
        wait = SOON;
        take(kind, JSON.parse(event.data));
      });
    }
    own.onerror = () => {
      if (source !== own) return;
      const refused = own.readyState === EventSource.CLOSED;
      cut(refused);
      if (!refused) return;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, LATE);
    };
  };

  const { signal } = closed;
  let unseen = 0;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(stop, UNSEEN);
    else if (!source) open();
  }, { signal });
  addEventListener('pagehide', stop, { signal });
  addEventListener('pageshow', () => { if (!source) open(); }, { signal });
  open();
  return {
    close() {
      closed.abort();
      clearTimeout(unseen);
      stop();
    },
  };
}
