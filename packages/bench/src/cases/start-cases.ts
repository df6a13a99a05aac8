import { OURS, type BenchPart } from '../bench-case.ts';

/** The words of a command whose start is measured, by the name of its case. */
const COMMANDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['help', ['--help']],
  ['explain', ['explain', 'pseries-plain']],
  ['check', ['check', 'pseries-plain']],
]);

/** How long commands take, against a Node that does nothing. `program` is the module that the command starts with. */
export function startPart(program: string): BenchPart {
  return {
    name: 'start',
    title: 'Commands from start to end, against `node -e 0`.',
    unit: 'ms',
    cases: [...COMMANDS].map(([command, words]) => ({
      id: `start/${command}`,
      part: 'start',
      axes: { command },
      subjects: [
        { name: OURS, kind: 'command', command: [process.execPath, program, ...words] },
        { name: 'node -e 0', kind: 'command', command: [process.execPath, '-e', '0'] },
      ],
    })),
  };
}
