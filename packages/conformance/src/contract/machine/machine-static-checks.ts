import assert from 'node:assert/strict';
import { MACHINE, openContainer, type MissingRequirement } from '@virtio-platform/core';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { bindMachine } from '../../testing/open-plugin.ts';
import { machineOptions, requestOf, type MachinePluginSubject } from './machine-subject.ts';
import { openDescriptors } from './process-resources.ts';

/** The duties of a machine plugin that has booted nothing. */
export const MACHINE_STATIC_CHECKS: readonly ContractCheck<MachinePluginSubject>[] = [
  {
    name: 'names the facilities that it provides',
    duty: "MachinePlugin.provides: the facilities of its own, or 'simulated' when it takes them from the platform",
    advice: "list the tokens of the platforms' packages, or say 'simulated'",
    run({ plugin: { provides } }) {
      if (provides === 'simulated') return;
      assert.ok(Array.isArray(provides), 'provides is a list of tokens, or "simulated"');
      for (const token of provides)
        assert.ok(typeof token === 'symbol' && token.description, 'a token is a named symbol');
    },
  },
  {
    name: 'says what is missing on this computer, and what to do',
    duty: 'MachinePlugin.missing: what is missing to boot it with these options, with what to install; empty when nothing is',
    advice: 'return a list of { what, fix }, and throw nothing',
    async run(subject) {
      const options = await machineOptions(subject);
      const missing = await subject.plugin.missing(options);
      assertRequirements(missing);
      assert.deepEqual(await subject.plugin.missing(options), missing, 'the answer is the same when it is asked again');
    },
  },
  {
    name: 'lists the programs that it starts',
    duty: 'MachinePlugin.programs: the programs that boot starts with these options; empty where it starts none',
    advice: 'return the names of the programs, as they are started',
    async run(subject) {
      if (subject.plugin.programs === undefined) skipCheck('the plugin does not say: --no-programs refuses it');
      const programs = subject.plugin.programs(await machineOptions(subject));
      assert.ok(Array.isArray(programs) && programs.every((name) => typeof name === 'string' && name.length > 0));
    },
  },
  {
    name: 'discovers what its options could name',
    duty: 'MachinePlugin.discover: what is on this computer, and what is missing to use it',
    advice: 'return { missing, devices }, each device with name, what, details and missing',
    async run({ plugin }) {
      if (plugin.discover === undefined) skipCheck('the plugin has no discover: it brings its own device');
      const { missing, devices } = await plugin.discover();
      assertRequirements(missing);
      for (const { name, what, details, missing: lacks } of devices) {
        assert.ok(name.length > 0 && what.length > 0 && typeof details === 'object', 'a device says what it is');
        assertRequirements(lacks);
      }
    },
  },
  {
    name: 'says what it lacks with its options, and what its hardware is',
    duty:
      'MachinePlugin.facilityProblem: why the machine does not have one of these facilities with these options, and ' +
      'what to do; MachinePlugin.simulatedAs: what these options say of the hardware',
    advice: 'return a message and a hint, or undefined; and the options of the platform by name',
    async run(subject) {
      const { plugin } = subject;
      const { provides } = plugin;
      const says = 'facilityProblem' in plugin || 'simulatedAs' in plugin;
      if (provides === 'simulated' || !says)
        skipCheck('the machine has each facility with all options, and they say nothing of it');
      const options = await machineOptions(subject);
      for (const facility of provides) {
        const problem = plugin.facilityProblem?.([facility], options);
        if (problem !== undefined)
          assert.ok(problem.message && problem.hint, 'a problem has a message, and a hint says what to do');
        const hardware = plugin.simulatedAs?.([facility], options) ?? {};
        assert.ok(typeof hardware === 'object' && !Array.isArray(hardware), 'the hardware is options by name');
      }
    },
  },
  {
    name: 'takes the memory that it is booted with',
    duty: 'MachinePlugin.memoryProblem: why the machine cannot have so much memory; undefined where it can',
    advice: 'compare with what boot really allocates',
    async run(subject) {
      const { plugin, memory } = subject;
      if (plugin.memoryProblem === undefined) skipCheck('every amount of memory is possible');
      const problem = plugin.memoryProblem(memory, await machineOptions(subject), []);
      assert.equal(problem, undefined, `${memory} bytes, with which the suite boots it`);
    },
  },
  {
    name: 'says on which transport its device is',
    duty: 'MachinePlugin.transport: how a driver reaches the registers of the device with these options',
    advice: 'return pci, mmio or channel-io: a platform that needs a requester id is refused by it',
    async run(subject) {
      const { plugin } = subject;
      if (plugin.transport === undefined) skipCheck('the plugin does not say, and no platform is refused by it');
      const bus = plugin.transport(await machineOptions(subject));
      assert.ok(['pci', 'mmio', 'channel-io'].includes(bus), `${bus} is pci, mmio or channel-io`);
    },
  },
  {
    name: 'binds a machine of its own name, and starts nothing before it boots',
    duty: 'MachinePlugin.register: binds MACHINE; no I/O here',
    advice: 'bind MACHINE in the given container, and open files, sockets and programs in boot',
    async run(subject) {
      const before = openDescriptors();
      const { machine } = bindMachine(subject.plugin, await machineOptions(subject), requestOf(subject));
      assert.equal(machine.name, subject.plugin.name);
      assert.equal(typeof machine.boot, 'function', 'a machine boots');
      assert.equal(openContainer().isRegistered(MACHINE, true), false, 'the root container has no binding of a plugin');
      if (before !== undefined) assert.equal(openDescriptors(), before, 'register opens no file, socket or program');
    },
  },
];

function assertRequirements(missing: readonly MissingRequirement[]): void {
  assert.ok(Array.isArray(missing), 'a list');
  for (const { what, fix } of missing) {
    assert.ok(typeof what === 'string' && what.length > 0, 'what is missing');
    assert.ok(typeof fix === 'string' && fix.length > 0, `what to do about ${what}`);
  }
}
