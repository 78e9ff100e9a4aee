// Builds the scripts of the pages into the package: `make app`. The result is committed, so that
// whoever installs the service needs no Node.
import { build } from 'esbuild';
import { copyFileSync } from 'node:fs';

const target = '../cds_service/web/pages/built';
await build({
  entryPoints: { app: 'src/app.js', launch: 'src/launch.js', demo: 'src/demo.js' },
  outdir: target,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  legalComments: 'inline',
  // The build of the official client for browsers that need no old polyfills.
  alias: { fhirclient: './node_modules/fhirclient/build/fhir-client.pure.min.js' },
});
copyFileSync('node_modules/uplot/dist/uPlot.min.css', `${target}/uplot.css`);
