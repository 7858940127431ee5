// Questions to the node that serves this page.

/** What the node answered instead of what was asked for. */
export class Refusal extends Error {
  constructor(status, words) {
    super(words?.error ?? `the node answered with status ${status}`);
    this.status = status;
    this.whatToDo = words?.what_to_do ?? '';
  }
}

async function ask(method, path, body) {
  const headers = { accept: 'application/json' };
  // No form of another site can send it: it proves that this page asks.
  if (method !== 'GET') headers['x-solocron'] = '1';
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method, headers, credentials: 'same-origin', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refusal(0, { error: 'this node does not answer', what_to_do: 'look whether it runs' });
  }
  if (response.status === 204) return null;
  const said = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, said);
  return said;
}

const name = encodeURIComponent;

export const session = () => ask('GET', 'session');
export const signIn = (token) => ask('POST', 'session', { token });
export const signOut = () => ask('DELETE', 'session');

export const cluster = () => ask('GET', 'cluster');
export const nodes = () => ask('GET', 'nodes');
export const jobs = (next) => ask('GET', `jobs?next=${next}`);
export const slots = (of, limit) => ask('GET', `slots?limit=${limit}&job=${of.map(name).join()}`);
export const job = (of) => ask('GET', `jobs/${name(of)}`);
export const runs = (of, limit) => ask('GET', `jobs/${name(of)}/runs?limit=${limit}`);
export const run = (id, of) => ask('GET', `runs/${name(id)}?job=${name(of)}`);

export const trigger = (of) => ask('POST', `jobs/${name(of)}/trigger`);
export const pause = (of) => ask('POST', `jobs/${name(of)}/pause`);
export const resume = (of) => ask('POST', `jobs/${name(of)}/resume`);
export const cancel = (id) => ask('POST', `runs/${name(id)}/cancel`);
