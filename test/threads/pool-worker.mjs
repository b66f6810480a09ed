// The worker file of the pool's tests: what a room above the kernels writes. Loaded from dist/, as workers are.

import { SUMS_BYTES } from '../../dist/kernels/index.js';
import { joinThreads } from '../../dist/threads/index.js';

joinThreads({
  tasks: {
    where: ({ index, count, share }, units) => ({ value: { index, count, share: share(units) } }),

    /** Each thread adds one to every cell, in turns; a barrier that lets somebody through early is seen. */
    turns: (thread, { address, rounds }) => {
      const cells = new Int32Array(thread.memory.buffer, address, thread.count);
      for (let round = 0; round < rounds; round++) {
        if (round % 50 === thread.index) for (const end = performance.now() + 0.3; performance.now() < end; );
        cells[thread.index]++;
        thread.barrier();
        for (const cell of cells) if (cell !== round + 1) throw new Error(`in round ${round} a cell is ${cell}`);
        thread.barrier();
      }
      return { value: [...cells] };
    },

    /** Takes its time, then leaves a mark. */
    linger: ({ index, memory }, { address, milliseconds }) => {
      for (const end = performance.now() + milliseconds; performance.now() < end; );
      new Int32Array(memory.buffer, address, 4)[3] = 1;
      return { value: index };
    },

    /** Whether each thread sees the mark. */
    seen: ({ index, count, memory, barrier }, { address }) => {
      const cells = new Int32Array(memory.buffer, address, 4);
      cells[index] = cells[3];
      barrier();
      return { value: [...cells.slice(0, count)] };
    },

    multiply: (thread, { layout, parts, call, y, length }) => {
      const linear = thread.kernels.bindLinear(layout, parts);
      const sums = call.sums + thread.index * 2 * SUMS_BYTES;
      linear.multiply({ ...call, sums, ...thread.share(linear.groups) });
      thread.barrier();
      const copy = new Float32Array(thread.memory.buffer, y, length).slice();
      return { value: copy, transfer: [copy.buffer] };
    },

    grow: (thread, { pages }) => {
      const before = thread.memory.buffer.byteLength;
      if (thread.index === 0) thread.memory.grow(pages);
      thread.barrier();
      const after = thread.memory.buffer.byteLength;
      new Uint8Array(thread.memory.buffer)[after - 1 - thread.index] = 1 + thread.index;
      thread.barrier();
      return { value: { before, after, written: [...new Uint8Array(thread.memory.buffer, after - thread.count)] } };
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
