import 'reflect-metadata';
import { raiseInliningBudget } from '@virtio-platform/core/queue';
import type { WorkerOrder } from './processes/measuring-process.ts';
import { FrontEnd } from './measured/front-end.ts';
import { measureLatency } from './measured/request-latency.ts';
import { measureRounds } from './measured/measure-rounds.ts';
import { openMeasured } from './measured/open-measured.ts';
import { measureTwoThreads } from './threads/measure-two-threads.ts';

// A process of its own for what is measured, so that call sites see one class: `MeasuringProcess` starts it.
const order: WorkerOrder = JSON.parse(process.argv[2] ?? '');
if (order.raisesBudget) raiseInliningBudget();
const { tasks, requests, samples, seconds } = order;
const measurements: object[] = [];
for (const task of tasks) {
  if (task.kind === 'threads') measurements.push(await measureTwoThreads(task, requests, samples));
  else if (task.kind === 'latency') measurements.push(await measureLatency(task, seconds));
  else if (task.kind === 'front-end')
    measurements.push(await measureRounds(await FrontEnd.open(task), requests, samples));
  else measurements.push(await measureRounds(openMeasured(task), requests, samples));
}
process.stdout.write(JSON.stringify(measurements), () => process.exit());
