/** `npm run api-report`: writes what each published package exports, after a change that is meant. */
import { writeFileSync } from 'node:fs';
import build from '../build.ts';
import { apiReport, apiReportPath } from './api-report.ts';
import { publicPackages } from './public-packages.ts';

build();
for (const published of publicPackages()) writeFileSync(apiReportPath(published.folder), apiReport(published));
