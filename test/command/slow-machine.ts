import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './command.ts';

function built(name: string): string {
  return JSON.stringify(join(ROOT, 'packages', name, 'dist/index.js'));
}

/**
 * Writes a machine like the embedded one, that takes a minute to end a run that was not over, and returns its path.
 * In the process of a test that minute does not keep the process.
 */
export function slowMachine(folder: string, { isInTest = false } = {}): string {
  const path = join(folder, 'slow.mjs');
  writeFileSync(
    path,
    `import simulated, { SimulatedMachine } from ${built('machine-simulated')};
import { MACHINE, MACHINE_REQUEST } from ${built('core')};
export default {
  ...simulated,
  name: 'slow',
  register(container, options) {
    const useFactory = (bindings) => {
      const request = bindings.resolve(MACHINE_REQUEST);
      const machine = new SimulatedMachine(request, options);
      const boot = async () => {
        const booted = await machine.boot();
        const dispose = async () => {
          await booted.dispose();
          if (!request.signal.aborted) return;
          await new Promise((resolve) => {
            const timer = setTimeout(resolve, 60_000);
            // In the process of a test the run is left behind.
            if (${isInTest}) timer.unref();
          });
        };
        return { ...booted, dispose };
      };
      return { name: 'slow', boot };
    };
    container.register(MACHINE, { useFactory });
  },
};
`,
  );
  return path;
}
