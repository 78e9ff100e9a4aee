// Small helpers: elements by id, elements with text, and JSON from the service.

export const byId = (id) => document.getElementById(id);

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== '') made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** What the service answers; an Error with its own words when it refuses. */
export async function fetchJson(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error('The service cannot be reached. Check the connection and try again.');
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    const issue = body?.issue?.[0];
    const words = [issue?.details?.text ?? `HTTP ${answer.status}`, issue?.diagnostics];
    throw Object.assign(new Error(words.filter(Boolean).join(' ')), { status: answer.status, body });
  }
  return body;
}

export const postJson = (address, value) =>
  fetchJson(address, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: typeof value === 'string' ? value : JSON.stringify(value),
  });

/** A table with a caption; `rows` are arrays of texts. */
export function table(caption, headings, rows) {
  const made = element('table');
  made.append(element('caption', caption));
  const head = element('tr');
  for (const heading of headings) {
    const cell = element('th', heading);
    cell.scope = 'col';
    head.append(cell);
  }
  const top = element('thead');
  top.append(head);
  const body = element('tbody');
  for (const row of rows) {
    const line = element('tr');
    for (const text of row) line.append(element('td', text ?? ''));
    body.append(line);
  }
  made.append(top, body);
  return made;
}
