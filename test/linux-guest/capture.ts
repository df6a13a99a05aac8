/** `npm run capture-features`: boots every case and writes down what was seen. Takes two minutes. */
import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { CAPTURED_FEATURES, captureFeatures, type CapturedCase } from './captured-features.ts';
import { FEATURE_CASES } from './feature-cases.ts';

const cases: CapturedCase[] = [];
for (const from of FEATURE_CASES) {
  console.log(from.name);
  cases.push(await captureFeatures(from));
}
writeFileSync(CAPTURED_FEATURES, `${JSON.stringify({ madeBy: 'npm run capture-features', cases }, undefined, 2)}\n`);
