// One dispatch of a kernel on a device, for tests: in Node's child process and, by its text, in a page. `api` is
// dist/gpu/portable.js.

/** Returns the arena afterwards, as numbers of four bytes. */
export async function runKernel(api, gpu, { code, weights, arena, cache, parameters, x, y }) {
  const { device } = gpu;
  const { COMPUTE_STAGE, KERNEL_DATA, PARAMETERS, PARAMETER_BYTES, READ_BACK, USAGE } = api;
  const words = new Uint32Array(PARAMETER_BYTES / 4);
  for (const [i, name] of PARAMETERS.entries()) words[i] = parameters[name] ?? 0;
  const fill = async (data, usage) => {
    const buffer = await gpu.allocate(data.byteLength, usage, 'a test');
    if (data.byteLength > 0) device.queue.writeBuffer(buffer, 0, data.buffer, data.byteOffset, data.byteLength);
    return buffer;
  };
  const whole = new Uint8Array(Math.ceil(weights.length / 16) * 16);
  whole.set(weights);
  const buffers = [
    await fill(whole, KERNEL_DATA),
    await fill(arena, KERNEL_DATA),
    await fill(cache, KERNEL_DATA),
    await fill(words, USAGE.uniform | USAGE.copyTo),
  ];
  const back = await gpu.allocate(arena.byteLength, READ_BACK, 'a test');
  try {
    await gpu.checked(async () => {
      const types = ['read-only-storage', 'storage', 'storage', 'uniform'];
      const layout = device.createBindGroupLayout({
        entries: types.map((type, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer: { type } })),
      });
      const module = device.createShaderModule({ code });
      const pipeline = await device.createComputePipelineAsync({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(x, y);
      pass.end();
      encoder.copyBufferToBuffer(buffers[1], 0, back, 0, arena.byteLength);
      device.queue.submit([encoder.finish()]);
    });
    return new Uint32Array(await gpu.read(back, arena.byteLength));
  } finally {
    for (const buffer of [...buffers, back]) buffer.destroy();
  }
}
