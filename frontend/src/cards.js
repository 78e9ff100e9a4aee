// Cards as an EHR shows them, and every recommendation with its reasons.
import { element } from './dom.js';

/** One card; `act` is told what the user decides, and is left out where nobody may decide. */
export function cardElement(card, act) {
  const made = element('article', '', card.indicator);
  made.dataset.recommendation = card.source.topic.code;
  made.append(element('div', card.indicator, 'kind'), element('h3', card.summary));
  const body = element('div', '', 'detail');
  body.innerHTML = card.html; // rendered by the service, which lets no HTML of a record through
  made.append(body);
  const said = element('p', '', 'said');
  said.setAttribute('role', 'status');
  const offers = element('ul', '', 'offers');
  for (const suggestion of card.suggestions ?? []) {
    const row = element('li', suggestion.label);
    row.append(element('small', suggestion.actions.map((action) => action.description).join('; ')));
    if (act) row.append(button('Accept', () => act(card, { accepted: suggestion.uuid }, said)));
    offers.append(row);
  }
  if (offers.children.length) made.append(element('p', 'The EHR can take over:', 'source'), offers);
  if (card.overrideReasons?.length) made.append(act ? overrides(card, act, said) : reasons(card));
  made.append(said, source(card));
  return made;
}

function button(text, does) {
  const made = element('button', text);
  made.type = 'button';
  made.addEventListener('click', does);
  return made;
}

const reasons = (card) =>
  element('p', `Override: ${card.overrideReasons.map((reason) => reason.display).join('; ')}`, 'source');

function overrides(card, act, said) {
  const form = element('form', '', 'override');
  const label = element('label', 'Override because ');
  const choice = element('select');
  for (const reason of card.overrideReasons) {
    const option = element('option', reason.display);
    option.value = reason.code;
    choice.append(option);
  }
  label.append(choice);
  const send = element('button', 'Override');
  form.append(label, send);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const reason = card.overrideReasons.find((known) => known.code === choice.value);
    act(card, { reason }, said);
  });
  return form;
}

function source(card) {
  const made = element('p', 'Source: ', 'source');
  const link = element('a', card.source.label);
  link.href = card.source.url;
  link.rel = 'noreferrer';
  made.append(link);
  return made;
}

/** Values that could not be used, with the reason. */
export function leftOutLines(lines) {
  const shown = lines.length ? lines : ['Every value that was found could be used.'];
  return shown.map((line) => element('li', line.replaceAll('`', '')));
}

/** Every recommendation, those that apply first, each with its reasons. */
export function recommendationList(recommendations) {
  const order = ['recommended', 'failed', 'undetermined', 'not indicated'];
  const list = element('ul', '', 'recommendations');
  const sorted = [...recommendations].sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  for (const one of sorted) {
    const row = element('li');
    const box = element('details');
    const head = element('summary', `${one.title}: `);
    head.append(element('strong', one.outcome));
    const why = element('ul');
    for (const reason of one.reasons) {
      const line = element('li');
      line.innerHTML = reason;
      why.append(line);
    }
    if (!one.reasons.length) why.append(element('li', 'No value on record speaks for or against it.'));
    box.append(head, why);
    row.append(box);
    list.append(row);
  }
  return list;
}
