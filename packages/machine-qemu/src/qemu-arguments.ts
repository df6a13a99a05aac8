import type { BoardName, QemuOptions } from './options.ts';
import { MEMORY_DESCRIPTOR, QTEST_DESCRIPTOR } from './qemu-process.ts';

/** QEMU's machine types. What emulation does not have of a POWER machine's defaults it would warn of. */
const MACHINES: Readonly<Record<BoardName, string>> = {
  pc: 'pc',
  q35: 'q35',
  pseries: 'pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off',
};

/**
 * The arguments for a machine that this process drives: its memory is a file that came along, its processor runs `firmware` and
 * nothing else. It runs in emulation: Debian's QEMU has no accelerator for tests.
 */
export function qemuArguments(options: QemuOptions, memory: number, firmware: string): string[] {
  const backend = { 'qom-type': 'memory-backend-file', id: 'memory', size: memory, share: true };
  const memoryPath = `/proc/self/fd/${MEMORY_DESCRIPTOR}`;
  const parts = [
    ['-no-user-config', '-nodefaults', '-display', 'none', '-accel', 'tcg', '-smp', '1'],
    ['-machine', `${MACHINES[options.board]},memory-backend=memory`, '-m', `${memory / 2 ** 20}M`],
    ['-object', JSON.stringify({ ...backend, 'mem-path': memoryPath }), '-bios', firmware],
    ['-chardev', `socket,id=qtest,fd=${QTEST_DESCRIPTOR}`, '-qtest', 'chardev:qtest', '-qtest-log', '/dev/null'],
    options.iommu === 'intel' ? ['-device', 'intel-iommu,intremap=off,caching-mode=off'] : [],
  ];
  return parts.flat();
}
