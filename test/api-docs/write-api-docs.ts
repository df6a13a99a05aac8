/** `npm run api-docs`: writes the API reference to `api-docs/`, to be opened in a browser. */
import { join } from 'node:path';
import { ROOT } from '../packed/public-packages.ts';
import { writeApiDocs } from './api-docs.ts';

const problems = await writeApiDocs(join(ROOT, 'api-docs'));
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`open ${join('api-docs', 'index.html')} in a browser`);
