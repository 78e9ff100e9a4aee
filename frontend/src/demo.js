// The demonstration page: synthetic patients, their cards with buttons that give real feedback, their
// course, another day, and a box for a request of one's own.
import { cardElement, leftOutLines, recommendationList } from './cards.js';
import { showCourse } from './charts.js';
import { byId, element, fetchJson, postJson } from './dom.js';
import { unfoldForPrint } from './print.js';

let cases = [];
let again = () => {};

function listCases() {
  const wanted = byId('filter').value.toLowerCase();
  const list = byId('cases');
  list.replaceChildren();
  let group = '';
  for (const item of cases) {
    const text = `${item.id} ${item.title} ${item.story}`.toLowerCase();
    if (!text.includes(wanted)) continue;
    const [hook, card] = item.id.split('/');
    const heading = `${hook}: ${card.replaceAll('-', ' ')}`;
    if (heading !== group) list.append(element('li', heading, 'group'));
    group = heading;
    const row = element('li');
    const button = element('button', item.title);
    button.type = 'button';
    button.dataset.case = item.id;
    button.addEventListener('click', () => {
      byId('as-of').value = '';
      choose(item, button);
    });
    row.append(button);
    list.append(row);
  }
}

/** Sends what the user decided to the feedback route of the service. */
function feedbackTo(service) {
  return async (card, decision, said) => {
    const item = { card: card.uuid, outcomeTimestamp: new Date().toISOString() };
    if (decision.accepted) Object.assign(item, { outcome: 'accepted', acceptedSuggestions: [{ id: decision.accepted }] });
    else Object.assign(item, { outcome: 'overridden', overrideReason: { reason: decision.reason } });
    try {
      await postJson(`cds-services/${service}/feedback`, { feedback: [item] });
      said.textContent = `Kept: ${item.outcome}. It is in the report.`;
    } catch (error) {
      said.textContent = error.status === 401
        ? 'Not kept: this service takes feedback from callers that sign.'
        : `Not kept: ${error.message}`;
    }
  };
}

function show(answer) {
  const found = answer.view.cards;
  const count = found.length === 1 ? '1 card' : `${found.length || 'No'} cards`;
  byId('state').textContent = `${count}, judged as of ${answer.asOf}.`;
  byId('as-of').value = answer.asOf;
  byId('cards').replaceChildren(...found.map((card) => cardElement(card, feedbackTo(answer.service))));
  byId('recommendations').replaceChildren(recommendationList(answer.view.recommendations));
  byId('left-out').replaceChildren(...leftOutLines(answer.view.leftOut));
  byId('request').textContent = JSON.stringify(answer.request, null, 2);
  byId('response').textContent = JSON.stringify(answer.response, null, 2);
  byId('more').hidden = false;
  showCourse(byId('course'), answer.view);
}

async function ask(fetching) {
  byId('state').textContent = 'Asking the service ...';
  byId('cards').replaceChildren();
  byId('more').hidden = true;
  try {
    show(await fetching());
  } catch (error) {
    byId('state').textContent = `The service could not answer: ${error.message}`;
    if (error.body) {
      byId('cards').append(element('pre', JSON.stringify(error.body, null, 2), 'refusal'));
    }
  }
}

const onDay = (address) => (byId('as-of').value ? `${address}?as_of=${byId('as-of').value}` : address);

async function choose(item, button) {
  document.querySelector('[aria-current]')?.removeAttribute('aria-current');
  button.setAttribute('aria-current', 'true');
  byId('case-title').textContent = item.title;
  byId('story').textContent = item.story;
  again = () => ask(() => fetchJson(onDay(`demo/cases/${item.id}`)));
  await again();
}

async function sendOwn(event) {
  event.preventDefault();
  document.querySelector('[aria-current]')?.removeAttribute('aria-current');
  byId('case-title').textContent = 'Your own request';
  byId('story').textContent = 'Judged here and nowhere else; nothing of it is kept.';
  again = () => ask(() => postJson(onDay('demo/ask'), byId('own').value));
  await again();
}

async function start() {
  try {
    cases = await fetchJson('demo/cases');
    listCases();
  } catch (error) {
    byId('state').textContent = `The list of patients could not be loaded: ${error.message}`;
  }
}

unfoldForPrint();
byId('filter').addEventListener('input', listCases);
byId('as-of').addEventListener('change', () => again());
byId('own-form').addEventListener('submit', sendOwn);
start();
