import { runProfile } from '@virtio-platform/runner';
import { rowProfile } from '../decision-row-profile.ts';
import type { Observation, ObservedRow } from './observation.ts';

const OFFER = ['VERSION_1', 'ACCESS_PLATFORM'];

/**
 * Runs over tables that another kernel left: `address` is in its last buffer, which the device writes to with its first
 * reset, and again when the driver of this kernel is at work and its own buffers are elsewhere.
 */
async function takeOver(
  { row, table, folder }: ObservedRow,
  address: string,
  more: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const rogue = [0, 20].map((after) => ({ after, access: 'write', address, length: 64 }));
  const platform = { ...more, takeover: row.case };
  const section = table.platforms[row.platform!]!.profile!;
  const changes = { platform, machine: { rogue, onFault: 'zeros' } };
  const report = await runProfile(await rowProfile(folder, { ...row, offered: OFFER }, section, changes));
  const causes = report.faults.map(({ cause }) => cause);
  // A device that is refused the second access was refused the first one, or not.
  const [inFlight, withDriver] = causes.length === 1 ? ['arrives', causes[0]] : [causes[0], causes[1]];
  return { inFlight: inFlight ?? 'arrives', withDriver: withDriver ?? 'arrives', verified: report.workload.verified };
}

const TCE_LAST = '0x0000000000700000';
const TCE_LEFT = { formerOwner: { buffers: 1792 } };
const VTD_LAST = '0x000000007fe00000';
const VTD_LEFT = { aperture: '1MiB', formerOwner: { buffers: 512 } };

/** What a device reaches by the tables of a kernel before, by row. */
export const TAKEOVER_OBSERVATIONS: Readonly<Record<string, Observation>> = {
  'B21 kexec': (observed) => takeOver(observed, VTD_LAST, VTD_LEFT),
  'B21 kdump': (observed) => takeOver(observed, VTD_LAST, VTD_LEFT),
  'E14 kexec': (observed) => takeOver(observed, TCE_LAST, TCE_LEFT),
  'E14 kdump': (observed) => takeOver(observed, TCE_LAST, TCE_LEFT),
};
