import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { RingVectorReplay, type RingVector, type RingVectorStep } from '@virtio-platform/conformance';
import { RING_VECTOR_SCENARIOS } from './ring-vector-scenarios.ts';

// Writes the vectors anew: node --import tsx --conditions=@virtio-platform/source
// packages/conformance/test/write-ring-vectors.ts
for (const [name, { description, configuration, play }] of Object.entries(RING_VECTOR_SCENARIOS)) {
  const replay = new RingVectorReplay(configuration);
  const steps: RingVectorStep[] = [];
  play((operation) => {
    const step = replay.perform(operation);
    steps.push(step);
    return step.outcome;
  });
  const vector: RingVector = { description, configuration, addresses: replay.addresses, steps };
  writeFileSync(new URL(`../vectors/${name}.json`, import.meta.url), `${JSON.stringify(vector, undefined, 2)}\n`);
}
