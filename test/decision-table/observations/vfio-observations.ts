import { isCodedError } from '@virtio-platform/core';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { composeRun } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { rowProfile, type RowMachine } from '../decision-row-profile.ts';
import { mapResult, type Observation, type ObservedRow } from './observation.ts';

const OFFER = ['VERSION_1', 'ACCESS_PLATFORM'];
const EXEC = { workload: { disruptions: [{ after: 20, do: 'exec' }] } };
/** The first address of what another device maps, which are the highest of 39 bits. */
const HIGHEST = 2 ** 39 - 2 ** 20;

async function run({ row, table, folder }: ObservedRow, more: RowMachine): Promise<RunReport> {
  const platform = table.platforms[row.platform!]!.profile!;
  return await runProfile(await rowProfile(folder, { ...row, offered: OFFER, privilege: 'process' }, platform, more));
}

/** How a run ended, and what of it a row may be about. */
function endOf({ outcome, failure, workload, faults, statistics }: RunReport): Readonly<Record<string, unknown>> {
  const refused = statistics['refused to other devices, errno']?.['net0'];
  return {
    outcome,
    ...(failure !== null && { fails: failure.code }),
    ...(outcome === 'completed' && { verified: workload.verified }),
    faults: faults.length,
    ...(refused !== undefined && { refusedToOther: refused }),
  };
}

/** What a run with these changes comes to, in the words of the row's own outcome. */
function ends(more: RowMachine): Observation {
  return async (observed) => {
    const end = endOf(await run(observed, more));
    return Object.fromEntries(Object.keys(observed.row.outcome).map((key) => [key, end[key]]));
  };
}

/** Maps one page of memory behind an IOMMU with larger ones. */
function mapPage(partialPages: string): Observation {
  return async ({ row, table, folder }) => {
    const platform = { ...table.platforms[row.platform!]!.profile, partialPages };
    const composed = await composeRun(
      await rowProfile(folder, { ...row, offered: OFFER, privilege: 'process' }, platform),
    );
    try {
      const mapping = composed.platform.openMapping('translated', { queue: 0, capacity: 4 });
      const buffer = composed.machine.memory.allocate(PAGE_SIZE, 2 ** 16);
      const id = mapping.map(buffer, PAGE_SIZE, DmaDirection.ToDevice, new Uint32Array(2), 0);
      const bytesBeside = composed.platform.statistics?.['bytes beside buffers']?.['most'] ?? 0;
      return { map: mapResult(id), bytesBeside };
    } finally {
      await composed.dispose();
    }
  };
}

/** Another device maps a megabyte, and this one reads there. */
function strayRead(container: string): Observation {
  const otherDevices = [{ name: 'net0', maps: '1MiB', container }];
  const rogue = [{ after: 10, access: 'read', address: HIGHEST, length: 16 }];
  return ends({ platform: { otherDevices }, machine: { onFault: 'silent', rogue } });
}

/** How the rows of VFIO are seen that no negotiation decides. */
export const VFIO_OBSERVATIONS: Readonly<Record<string, Observation>> = {
  'I20 type 1': ends(EXEC),

  async 'I20 iommufd'(observed) {
    try {
      return endOf(await run(observed, EXEC));
    } catch (error) {
      if (!isCodedError(error)) throw error;
      return { fails: error.code };
    }
  },

  'I20 lower limit': ends({ ...EXEC, platform: { afterExec: { memoryLockLimit: '8KiB' } } }),
  'I21 widened': mapPage('widen'),
  'I21 refused': mapPage('refuse'),
  'I22 first': ends({ platform: { otherDevices: [{ name: 'net0', maps: '8MiB', afterMappings: 1 }] } }),
  'I22 second': ends({ platform: { otherDevices: [{ name: 'net0', maps: '8MiB' }] } }),
  'I23 same container': strayRead('shared'),
  'I23 another container': strayRead('own'),
  'I24 levels': ends({ platform: { memoryLockLimit: '256MiB', window: { size: '256GiB' } } }),
  'I24 one level': ends({ platform: { memoryLockLimit: '256MiB', window: { size: '256GiB', levels: 1 } } }),
};
