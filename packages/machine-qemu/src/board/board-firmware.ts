import { buildFirmware } from '../pseries/firmware.ts';
import { buildWaitingFirmware } from './arm-firmware.ts';
import type { BoardName } from './board-name.ts';
import { buildHaltingFirmware } from './x86-board.ts';

const FIRMWARE: Readonly<Record<BoardName, () => Uint8Array>> = {
  pc: buildHaltingFirmware,
  q35: buildHaltingFirmware,
  pseries: buildFirmware,
  microvm: buildHaltingFirmware,
  virt: buildWaitingFirmware,
};

/** What the processor of a board runs. */
export function buildBoardFirmware(board: BoardName): Uint8Array {
  return FIRMWARE[board]();
}
