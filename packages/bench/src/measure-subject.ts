import { StorageDaemon } from './back-end/storage-daemon.ts';
import { C_CHECKED, OURS, type BenchSubject } from './bench-case.ts';
import type { BenchSettings } from './bench-report.ts';
import { percentilesOf, leastOf, type Percentiles } from './measured/samples.ts';
import type { LatencyMeasurement } from './measured/request-latency.ts';
import type { CReference } from './processes/c-reference.ts';
import { measureTasks, type ProcessPlace } from './processes/measuring-process.ts';
import { runProgram } from './processes/run-program.ts';

/** What one process of a subject showed. Times in the unit of its part. */
export interface SubjectSample {
  readonly best: number;
  /** Each sample, less the best of the loop at the other end; none where each request was timed. */
  readonly samples: readonly number[];
  readonly percentiles: Percentiles;
  readonly bytesPerRequest: number | null;
  readonly pauses: Omit<LatencyMeasurement, 'percentiles'> | null;
}

/** Runs one process of a subject; `undefined` for C without a compiler. Rejects with `ERR_BENCH_PROCESS`. */
export async function measureSubject(
  subject: BenchSubject,
  settings: BenchSettings,
  reference: CReference | undefined,
  place: ProcessPlace,
): Promise<SubjectSample | undefined> {
  if (subject.kind === 'command') return await timeCommand(subject.command, place);
  if (subject.kind === 'front-end') return await measureFrontEnd(subject, settings, reference, place);
  const { requests, samples } = settings;
  if (subject.kind === 'reference') {
    const parameters = [...subject.parameters, `${requests}`, `${samples}`];
    const measured = await reference?.measure(subject.program, parameters, place);
    return measured && sampleOf(measured.nanoseconds, measured.peerNanoseconds, null);
  }
  // Two threads need a core each.
  const own = subject.task.kind === 'threads' ? { ...place, core: undefined } : place;
  const [measured] = await measureTasks([subject.task], settings, own);
  if (measured === undefined) throw new TypeError('a process measured nothing');
  if ('nanoseconds' in measured)
    return sampleOf(measured.nanoseconds, measured.peerNanoseconds, measured.bytesPerRequest);
  const { percentiles, ...pauses } = measured;
  return { best: percentiles.p50, samples: [], percentiles, bytesPerRequest: null, pauses };
}

/** A request of a back-end takes so much longer than one of a ring that a tenth of them make a sample. */
const BACK_END_SHARE = 10;

/** A process beside a back-end of its own, which has the next core. */
async function measureFrontEnd(
  { disk, depth, program }: BenchSubject & { kind: 'front-end' },
  settings: BenchSettings,
  reference: CReference | undefined,
  place: ProcessPlace,
): Promise<SubjectSample | undefined> {
  if (program !== undefined && reference === undefined) return undefined;
  const daemon = await StorageDaemon.start(disk, place.otherCore);
  try {
    const { socket } = daemon;
    const requests = Math.ceil(settings.requests / BACK_END_SHARE);
    const subject: BenchSubject =
      program === undefined
        ? { name: OURS, kind: 'task', task: { kind: 'front-end', socket, depth } }
        : { name: C_CHECKED, kind: 'reference', program, parameters: [socket, `${depth}`] };
    return await measureSubject(subject, { ...settings, requests }, reference, place);
  } finally {
    await daemon.end();
  }
}

function sampleOf(whole: readonly number[], peer: readonly number[], bytesPerRequest: number | null): SubjectSample {
  const other = peer.length === 0 ? 0 : leastOf(peer);
  const samples = whole.map((sample) => sample - other);
  return { best: leastOf(samples), samples, percentiles: percentilesOf(samples), bytesPerRequest, pauses: null };
}

/** Milliseconds from the start of a process to its end. */
async function timeCommand(command: readonly string[], { signal }: ProcessPlace): Promise<SubjectSample> {
  const [program = '', ...parameters] = command;
  const start = performance.now();
  await runProgram(program, parameters, signal);
  const samples = [performance.now() - start];
  return { best: samples[0]!, samples, percentiles: percentilesOf(samples), bytesPerRequest: null, pauses: null };
}
