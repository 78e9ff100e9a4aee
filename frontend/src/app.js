// The SMART app: reads the chart with the user's own token, has the service evaluate it, and shows the
// course. The token stays in this browser.
import 'fhirclient'; // the official client; its build names itself window.FHIR
import { cardElement, leftOutLines, recommendationList } from './cards.js';
import { showCourse } from './charts.js';
import { byId, element, fetchJson, postJson } from './dom.js';
import { unfoldForPrint } from './print.js';

const PAGES = 20;
const say = (text) => { byId('state').textContent = text; };

/** A fault with what to do about it. */
class Fault extends Error {}

function explain(error, what) {
  const status = error?.status ?? error?.statusCode ?? error?.response?.status;
  if (status === 401) return new Fault('Your session has ended. Close this page and open it again from the chart.');
  if (status === 403) return new Fault(`You, or this app, may not read ${what}. Ask your EHR team to grant the scope user/${what}.rs or patient/${what}.rs.`);
  if (status === 404) return new Fault(`The EHR has no ${what} to read at the address it gave. Ask your EHR team whether it serves FHIR R4.`);
  if (status >= 500) return new Fault('The EHR answers with an error of its own. Try again in a minute; if it stays, tell your EHR team.');
  return new Fault('The EHR cannot be reached from this browser. Check the network, or ask your EHR team whether it allows this page to read (CORS).');
}

async function ready() {
  try {
    return await window.FHIR.oauth2.ready();
  } catch (error) {
    const denied = new URLSearchParams(location.search).get('error');
    if (denied || /access_denied/.test(String(error))) throw new Fault('The EHR did not grant access. Open the app again from the chart, and allow it to read.');
    throw new Fault('This page was not opened by a launch that still holds. Open it from the chart, or start from the launch page.');
  }
}

/** One search with its pages as one Bundle, or one resource. */
async function read(client, path) {
  const what = path.split(/[/?]/)[0];
  try {
    if (!path.includes('?')) return await client.request(path);
    const pages = await client.request(path, { pageLimit: PAGES, flat: false });
    const bundles = Array.isArray(pages) ? pages : [pages];
    const entry = bundles.flatMap((bundle) => bundle?.entry ?? []);
    const last = bundles[bundles.length - 1];
    const more = bundles.length >= PAGES ? last?.link?.filter((link) => link.relation === 'next') : [];
    return { resourceType: 'Bundle', type: 'searchset', entry, ...(more?.length ? { link: more } : {}) };
  } catch (error) {
    throw explain(error, what);
  }
}

async function checkVersion(client) {
  const statement = await client.request('metadata').catch(() => null);
  const version = statement?.fhirVersion ?? '';
  if (/^[0-3]\./.test(version)) throw new Fault(`The EHR speaks FHIR ${version}; this app reads R4, R4B and R5. Ask your EHR team to register it with R4.`);
}

/** Drugs that a list only refers to, read one by one as some EHRs allow no search for them. */
async function medications(client, prefetch) {
  const lists = ['medicationRequests', 'medicationStatements'];
  const entries = lists.flatMap((key) => prefetch[key]?.entry ?? []);
  const names = new Set(entries
    .map(({ resource }) => resource?.medicationReference?.reference)
    .filter((name) => name && !name.startsWith('#') && /(^|\/)Medication\/[A-Za-z0-9.-]+$/.test(name)));
  const found = await Promise.all([...names].slice(0, 40).map((name) => client.request(name).catch(() => null)));
  if (prefetch.medicationRequests?.entry) {
    prefetch.medicationRequests.entry.push(...found.filter(Boolean).map((resource) => ({ resource })));
  }
}

async function readChart(client, known) {
  const prefetch = {};
  const faults = {};
  const keys = Object.keys(known.prefetch);
  const bar = byId('progress');
  Object.assign(bar, { max: keys.length + 1, value: 0, hidden: false });
  await Promise.all(keys.map(async (key) => {
    const path = known.prefetch[key].replace('{{context.patientId}}', encodeURIComponent(client.patient.id));
    try {
      prefetch[key] = await read(client, path);
    } catch (fault) {
      faults[key] = fault;
      prefetch[key] = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'exception' }] };
    }
    bar.value += 1;
    say(`Reading the chart: ${bar.value} of ${keys.length} parts.`);
  }));
  const needed = known.required.find((key) => faults[key]);
  if (needed) {
    await checkVersion(client);
    throw faults[needed];
  }
  await medications(client, prefetch);
  return { prefetch, faults };
}

async function evaluate(client, prefetch) {
  const user = client.user.fhirUser ?? 'Practitioner/unknown';
  return postJson('evaluation', {
    hook: 'patient-view',
    hookInstance: crypto.randomUUID(),
    context: { userId: user.split('/').slice(-2).join('/'), patientId: client.patient.id },
    prefetch,
  });
}

function show(view, faults, wanted) {
  byId('when').textContent = `As of ${view.asOf}; content ${view.contentVersion}. Decision support for clinicians: the content awaits clinical review.`;
  byId('cards').replaceChildren(...view.cards.map((card) => cardElement(card)));
  if (!view.cards.length) byId('cards').append(element('p', 'No recommendation applies now.'));
  byId('recommendations').replaceChildren(recommendationList(view.recommendations));
  const left = [...Object.values(faults).map((fault) => fault.message), ...view.leftOut];
  byId('left-out').replaceChildren(...leftOutLines(left));
  byId('result').hidden = false;
  showCourse(byId('course'), view);
  const card = wanted && document.querySelector(`article[data-recommendation="${CSS.escape(wanted)}"]`);
  if (card) {
    card.classList.add('wanted');
    card.scrollIntoView({ block: 'nearest' });
  }
}

/** The recommendation whose card opened the app, if it says so. */
function wantedBy(client) {
  try {
    return JSON.parse(client.state.tokenResponse?.appContext ?? '{}').recommendation;
  } catch {
    return undefined;
  }
}

async function start() {
  try {
    say('Opening the chart.');
    const [client, known] = [await ready(), await fetchJson('configuration')];
    if (!client.patient.id) throw new Fault('The EHR did not say whose chart is open. Open the app from a patient\'s chart.');
    const { prefetch, faults } = await readChart(client, known);
    say('Evaluating.');
    const view = await evaluate(client, prefetch);
    show(view, faults, wantedBy(client));
    say('');
    document.documentElement.dataset.done = 'shown';
  } catch (error) {
    say(error.message);
    byId('state').classList.add('fault');
    byId('again').hidden = false;
    document.documentElement.dataset.done = 'fault';
  }
  byId('progress').hidden = true;
}

unfoldForPrint();
byId('again').addEventListener('click', () => location.assign('launch.html'));
start();
