import { existsSync } from 'node:fs';
import { defineMachinePlugin, MACHINE, MACHINE_REQUEST, PLUGIN_API_VERSION } from '@virtio-platform/core';
import { TinyMachine } from './tiny-machine.js';

/** Checks `machine: { use, memory, source }`: issues carry the path of the key, so that errors point into the YAML. */
const options = {
  '~standard': {
    version: 1,
    vendor: 'tiny-machine',
    validate(value) {
      if (typeof value !== 'object' || value === null) return { issues: [{ message: 'must be a map' }] };
      const { source = '/dev/urandom', ...rest } = value;
      const issues = Object.keys(rest).map((key) => ({ message: `unknown option ${key}`, path: [key] }));
      if (typeof source !== 'string' || !source.startsWith('/'))
        issues.push({ message: 'source is the absolute path of a file of random bytes', path: ['source'] });
      return issues.length > 0 ? { issues } : { value: { source } };
    },
  },
};

export default defineMachinePlugin({
  kind: 'machine',
  name: 'tiny',
  apiVersion: PLUGIN_API_VERSION,
  options,
  provides: 'simulated',
  async missing({ source }) {
    if (existsSync(source)) return [];
    return [{ what: source, fix: 'set machine.source to a file that this computer has, such as /dev/urandom' }];
  },
  programs: () => [],
  register(container, { source }) {
    container.register(MACHINE, { useFactory: (bound) => new TinyMachine(bound.resolve(MACHINE_REQUEST), source) });
  },
});
