import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { runMonitored, type Monitored } from './monitored-run.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const MIB = 1024 ** 2;
const MEMORY = 64 * MIB;
const MACHINE = { board: 'q35', memory: '64MiB' };
/** Of the first run. */
const REQUESTS = 20_000;

function balloonTo(bytes: number): object {
  return { execute: 'balloon', arguments: { value: bytes } };
}

function balloonProperty(property: string): object {
  return { execute: 'qom-get', arguments: { path: '/machine/peripheral/balloon', property } };
}

/** Waits until the monitor says that the guest has so many bytes. */
async function reaches({ ask }: Monitored, bytes: number): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const [balloon] = await ask({ execute: 'query-balloon' });
    const { actual } = balloon as { readonly actual: number };
    // A balloon exchanges pages where it has what was asked for.
    if (Math.abs(actual - bytes) < MIB) return;
    await setTimeout(20);
  }
  throw new Error(`the guest never had ${bytes} bytes`);
}

describe.skipIf(!QEMU_TESTS.mayRun)(`the balloon of QEMU (${QEMU_TESTS.needs})`, () => {
  it('inflates and deflates as its monitor says, and has statistics of the guest', async () => {
    let statistics: unknown;
    const report = await runMonitored(
      {
        machine: MACHINE,
        device: { type: 'balloon', statistics: '1s' },
        workload: { kind: 'mixed', requests: REQUESTS, depth: 8, batch: 32, seed: 9 },
      },
      async (monitored) => {
        const { ask } = monitored;
        await ask(balloonTo(MEMORY - 16 * MIB));
        await reaches(monitored, MEMORY - 16 * MIB);
        await ask(balloonTo(MEMORY - 4 * MIB));
        await reaches(monitored, MEMORY - 4 * MIB);
        [statistics] = await ask(balloonProperty('guest-stats'));
      },
    );
    expect([report.outcome, report.failure]).toEqual(['completed', null]);
    expect(report.workload).toMatchObject({ errors: 0, verified: true });
    expect(report.configuration.seen).toEqual(['target 0 to 4096 pages', 'target 4096 to 1024 pages']);
    expect(report.features.accepted).toContain('BALLOON_PAGE_REPORTING');
    const { stats } = statistics as { readonly stats: Readonly<Record<string, number>> };
    expect(stats['stat-total-memory']).toBe(MEMORY);
    expect(stats['stat-free-memory']).toBeLessThan(MEMORY - 1 * MIB);
  });

  it('asks for hints while it migrates, and is done', async () => {
    const report = await runMonitored(
      {
        machine: MACHINE,
        device: { type: 'balloon', hints: true },
        workload: { kind: 'mixed', requests: REQUESTS, depth: 8, seed: 9 },
      },
      async ({ ask, more }) => {
        // So slow that it is not over before the driver saw the id, and then given up.
        await ask(
          { execute: 'migrate-set-parameters', arguments: { 'max-bandwidth': 65_536 } },
          { execute: 'migrate', arguments: { uri: 'exec:cat > /dev/null' } },
        );
        await more(1);
        await setTimeout(300);
        await ask({ execute: 'migrate_cancel' });
        await more(1);
      },
    );
    expect([report.outcome, report.failure, report.workload.verified]).toEqual(['completed', null, true]);
    // QEMU's first id is 0x80000001.
    expect(report.configuration.seen).toContain('free_page_hint_cmd_id to 2147483649');
    expect(report.configuration.seen.at(-1)).toBe('free_page_hint_cmd_id to DONE');
  });
});
