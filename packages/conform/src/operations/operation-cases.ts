import type { ConformCase, DeviceCases } from '@virtio-platform/core';
import type { QueueLayout } from '@virtio-platform/core/queue';
import type { PlannedCase } from '../run/planned-case.ts';
import { generateLegal } from './generate-operations.ts';
import { isHostile, type Operation } from './operation.ts';
import { playOperations } from './play-operations.ts';

/** The runs of one set of cases, each of as many operations: more find what happens rarely. */
const RUNS = 4;
const OPERATIONS = 300;
/** The seed of {@link randomCases} unless another is given. */
export const USUAL_SEED = 1;

/** A case that takes these steps. One that breaks the rules is hostile. */
export function operationCase(
  id: string,
  title: string,
  operations: readonly Operation[],
  openModel: DeviceCases['openModel'],
  layouts: readonly QueueLayout[] = ['split', 'packed'],
): ConformCase {
  return {
    id,
    clause: '2.6',
    level: 'MUST',
    title,
    layouts,
    isHostile: isHostile(operations),
    run: (bench) => playOperations(bench, operations, openModel),
  };
}

/** The same as a planned case on one layout. */
export function plannedOperations(
  id: string,
  layout: QueueLayout,
  operations: readonly Operation[],
  openModel: DeviceCases['openModel'],
): PlannedCase {
  const conformCase = operationCase(id, 'takes the steps of a file', operations, openModel, [layout]);
  return { id, conformCase, layout };
}

/** Long runs of operations that follow from a seed, whose data is verified. */
export function randomCases(openModel: DeviceCases['openModel'], seed: number = USUAL_SEED): readonly ConformCase[] {
  return Array.from({ length: RUNS }, (_, i) => {
    const operations = generateLegal(seed + i, OPERATIONS);
    const title = `does what a model does in ${OPERATIONS} random operations (run ${i + 1})`;
    return operationCase(`random/run-${i + 1}`, title, operations, openModel);
  });
}
