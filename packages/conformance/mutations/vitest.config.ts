import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { mergeConfig } from 'vitest/config';
import base from '../../../test/vitest.config.ts';
import { MISPLACED, MUTATIONS } from './mutations.ts';

const QUEUE = fileURLToPath(new URL('../../core/src/queue/', import.meta.url));

/** Applies the mutation whose number is in MUTATION to the source as it is loaded; nothing on disk changes. */
function mutation(): Plugin {
  const chosen = MUTATIONS[Number(process.env['MUTATION'])];
  return {
    name: 'mutation',
    enforce: 'pre',
    transform(code, id) {
      if (chosen === undefined || id !== QUEUE + chosen.file) return undefined;
      if (code.split(chosen.from).length !== 2) throw new Error(`${chosen.name}: ${MISPLACED}`);
      return code.replace(chosen.from, () => chosen.to);
    },
  };
}

export default mergeConfig(base, { plugins: [mutation()] });
