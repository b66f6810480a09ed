// The worker file of the team's tests: what a room above the kernels writes. Loaded from dist/, as workers are.

import { SUMS_BYTES } from '../../dist/kernels/index.js';
import { joinTeam } from '../../dist/threads/index.js';

joinTeam({
  programs: {
    where: ({ index, count, share }, units) => ({ value: { index, count, share: share(units) } }),

    /** Each thread adds one to every cell, in turns; a barrier that lets somebody through early is seen. */
    turns: (member, { address, rounds }) => {
      const cells = new Int32Array(member.memory.buffer, address, member.count);
      for (let round = 0; round < rounds; round++) {
        if (round % 50 === member.index) for (const end = performance.now() + 0.3; performance.now() < end; );
        cells[member.index]++;
        member.barrier();
        for (const cell of cells) if (cell !== round + 1) throw new Error(`in round ${round} a cell is ${cell}`);
        member.barrier();
      }
      return { value: [...cells] };
    },

    multiply: (member, { layout, parts, call, y, length }) => {
      const linear = member.kernels.bindLinear(layout, parts);
      const sums = call.sums + member.index * 2 * SUMS_BYTES;
      linear.multiply({ ...call, sums, ...member.share(linear.groups) });
      member.barrier();
      const copy = new Float32Array(member.memory.buffer, y, length).slice();
      return { value: copy, transfer: [copy.buffer] };
    },

    grow: (member, { pages }) => {
      const before = member.memory.buffer.byteLength;
      if (member.index === 0) member.memory.grow(pages);
      member.barrier();
      const after = member.memory.buffer.byteLength;
      new Uint8Array(member.memory.buffer)[after - 1 - member.index] = 1 + member.index;
      member.barrier();
      return { value: { before, after, written: [...new Uint8Array(member.memory.buffer, after - member.count)] } };
    },

    /** One thread fails while the others wait for it. */
    fail: ({ index, barrier }, { who, how }) => {
      if (index === who) {
        if (how === 'throw') throw new Error('on purpose');
        process.exit(3);
      }
      barrier();
      return { value: index };
    },
  },
});
