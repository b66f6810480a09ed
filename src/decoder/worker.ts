// The worker file of a decoder's team: each thread binds the program to the memory once, and then takes part in passes.

import { joinTeam, type Member } from '../kernels/index.js';
import { createMachine, type Machine } from './machine.js';
import type { Placement, Step } from './placement.js';
import type { Program } from './program.js';

let machine: Machine | undefined;

joinTeam({
  programs: {
    prepare: (member: Member, { program, placement }: { program: Program; placement: Placement }) => {
      machine = createMachine(program, placement, member.kernels, member);
      return { value: undefined };
    },
    pass: (_: Member, step: Step) => {
      machine!.run(step);
      return { value: undefined };
    },
  },
});
