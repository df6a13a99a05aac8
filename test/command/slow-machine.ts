import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './command.ts';

/**
 * Writes a machine like the embedded one, that takes a minute to end a run that was not over, and returns its path.
 * `entry` is that of the packages as the command has them: `dist/index.js` in a process of its own.
 */
export function slowMachine(folder: string, entry: 'dist/index.js' | 'src/index.ts'): string {
  const path = join(folder, 'slow.mjs');
  const source = (name: string): string => JSON.stringify(join(ROOT, 'packages', name, entry));
  writeFileSync(
    path,
    `import simulated, { SimulatedMachine } from ${source('machine-simulated')};
import { MACHINE, MACHINE_REQUEST } from ${source('core')};
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
            if (${entry === 'src/index.ts'}) timer.unref();
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
