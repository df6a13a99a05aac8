import type { AddressExplanation } from '@virtio-platform/runner';
import type { Terminal } from '../terminal.ts';

/** Prints where an address leads: as the device uses it, and as an address of guest memory. */
export function printAddress(terminal: Terminal, walk: AddressExplanation): void {
  const { bold, dim } = terminal.colors;
  const { profile, platform, address, path, backward, forward, mapped } = walk;
  terminal.print(`${bold(profile)}  ${address} on ${platform}, path ${path ?? 'none'}`);
  if (backward === null || forward === null) {
    terminal.printHanging('', 'the device is refused, so nothing is mapped: explain without --address says why');
    return;
  }
  terminal.printHanging('  ', `${bold('as a device address')}: ${backward.answer}`);
  printSteps(terminal, backward.steps);
  terminal.printHanging('  ', `${bold('as guest memory')}: ${forward.answer}`);
  printSteps(terminal, forward.steps);
  terminal.print(dim('  mapped before the first request:'));
  for (const { what, guest, length, device } of mapped)
    terminal.printHanging('    ', dim(`${guest} +${length} at device ${device}: ${what}`));
}

function printSteps(terminal: Terminal, steps: readonly { readonly table: string; readonly says: string }[]): void {
  for (const [i, { table, says }] of steps.entries()) terminal.printHanging(`    ${i + 1}. `, `${table}: ${says}`);
}
