// Where the app begins: launched by an EHR with `iss` and `launch`, or opened alone.
import 'fhirclient'; // the official client; its build names itself window.FHIR
import { byId, element, fetchJson } from './dom.js';

const say = (text) => {
  byId('state').textContent = text;
  byId('state').classList.add('fault');
};

const same = (a, b) => a.replace(/\/+$/, '') === b.replace(/\/+$/, '');

/** Read scopes only, named one by one, in the way that the server knows. */
function scopes(types, capabilities, isLaunched) {
  const verb = capabilities.includes('permission-v2') ? 'rs' : 'read';
  const kinds = isLaunched ? ['launch'] : ['launch/patient'];
  return [...kinds, 'openid', 'fhirUser', ...types.map((type) => `patient/${type}.${verb}`)].join(' ');
}

async function smartConfiguration(url) {
  const address = `${url.replace(/\/+$/, '')}/.well-known/smart-configuration`;
  try {
    const answer = await fetch(address, { headers: { Accept: 'application/json' } });
    if (!answer.ok) throw new Error();
    return await answer.json();
  } catch {
    throw new Error(`The EHR at ${url} cannot be reached, or does not support SMART launches. Check the network, or ask your EHR team.`);
  }
}

async function authorize(server, known, isLaunched) {
  const configuration = await smartConfiguration(server.url);
  const methods = configuration.code_challenge_methods_supported ?? [];
  if (!methods.includes('S256')) throw new Error('The EHR does not support PKCE (S256), without which this app does not ask for access.');
  await window.FHIR.oauth2.authorize({
    iss: server.url,
    clientId: server.clientId,
    scope: scopes(known.resourceTypes, configuration.capabilities ?? [], isLaunched),
    redirectUri: new URL('./', location.href).href,
    pkceMode: 'required',
  });
}

function offer(known) {
  byId('alone').hidden = false;
  const list = byId('servers');
  for (const server of known.servers) {
    const row = element('li');
    const button = element('button', server.url);
    button.type = 'button';
    button.addEventListener('click', () => authorize(server, known, false).catch((error) => say(error.message)));
    row.append(button);
    list.append(row);
  }
  if (!known.servers.length) byId('servers').append(element('li', 'No EHR is configured for this app: see "smart" in the trust file.'));
}

async function start() {
  try {
    const known = await fetchJson('configuration');
    const asked = new URLSearchParams(location.search);
    const iss = asked.get('iss');
    if (!iss) {
      offer(known);
      return;
    }
    const server = known.servers.find((one) => same(one.url, iss));
    if (!server) throw new Error(`This app is not set up for the EHR at ${iss}. Ask the people who run it to add "smart" for that server to the trust file.`);
    byId('state').textContent = 'Asking the EHR for access.';
    await authorize(server, known, true);
  } catch (error) {
    say(error.message);
  }
}

start();
