/**
 * `npm run conform:qemu`: tries QEMU's devices on each of its boards with every case, and prints a table of verdicts.
 * Words limit it: `npm run conform:qemu -- block q35`. Ends with 1 where a failure is not known, or one that is known
 * passes.
 */
import {
  chanceDeviations,
  DeviceTrial,
  identifyBackEnd,
  isFailure,
  knownDeviations,
  planTrial,
} from '@virtio-platform/conform';
import { loadProfile } from '@virtio-platform/profile';
import { BOARDS, DEVICES, qemuProfile } from './qemu-profiles.ts';

const words = process.argv.slice(2);
const isChosen = (name: string, all: readonly string[]): boolean =>
  words.includes(name) || !words.some((word) => all.includes(word));

console.log(`${'device'.padEnd(22)}${['cases', 'tried', 'pass', 'known', 'new', 'gone'].map(column).join('')}`);
for (const type of Object.keys(DEVICES)) {
  for (const board of BOARDS) {
    if (isChosen(type, Object.keys(DEVICES)) && isChosen(board, BOARDS)) await tryDevice(type, board);
  }
}

async function tryDevice(type: string, board: (typeof BOARDS)[number]): Promise<void> {
  const profile = await loadProfile(qemuProfile(type, board));
  const identity = await identifyBackEnd(profile);
  const of = [identity?.program ?? '', identity?.version ?? '', type] as const;
  const known = knownDeviations(...of);
  const byChance = chanceDeviations(...of);
  const trial = new DeviceTrial({ profile, plan: planTrial(profile), known, patienceMs: 1000, settleMs: 5 });
  try {
    const results = await trial.run();
    const tried = results.filter(({ verdict }) => verdict !== 'skip');
    const failed = tried.filter(isFailure);
    const fresh = failed.filter(({ id }) => !known.has(id));
    // A known failure that passes by now: the expectation is out of date.
    const gone = tried.filter(({ id, verdict }) => verdict === 'pass' && known.has(id) && !byChance.has(id));
    const counts = [
      results.length,
      tried.length,
      tried.length - failed.length,
      failed.length - fresh.length,
      fresh.length,
      gone.length,
    ];
    console.log(`${`${type} on ${board}`.padEnd(22)}${counts.map(column).join('')}`);
    for (const { id, verdict, seen } of fresh) console.log(`  new: ${id}: ${verdict}, ${seen}`);
    for (const { id } of gone) console.log(`  passes by now: ${id}`);
    if (fresh.length > 0 || gone.length > 0) process.exitCode = 1;
  } finally {
    await trial.end();
  }
}

function column(value: number | string): string {
  return String(value).padStart(7);
}
